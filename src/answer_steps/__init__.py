"""What the answer stage does one after the other.

Start with `src/gen_finaltest_answer.py`, which calls these steps in turn.
"""
