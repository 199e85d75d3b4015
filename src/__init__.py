"""The stages: one thin program per script, and what only programs need.

A program reads its options and calls the rooms of `util`; start with `gen_finaltest_npy.py` and
`gen_finaltest_answer.py`. Nothing imports `src` but `src`, tests and benchmarks.
"""
