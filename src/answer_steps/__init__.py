"""The steps of the answer stage.

Start with `src/gen_finaltest_answer.py`, which calls them in turn. May import `util`, and `src.network` for the
network's answer.
"""
