"""A small network that is asked whether a pixel holds an electron: the published way, for comparison.

Start with `net.py`; `patches.py` cuts what it is trained on, `finder.py` finds electrons with it.
"""
