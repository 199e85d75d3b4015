"""A small network that tells whether a pixel holds an electron: the published method, for comparison.

Start with `net.py`; `patches.py` cuts what it is trained on, `patch_file.py` keeps that, `training.py` trains it by the
loop of `src.network`, `finder.py` finds electrons with it.
"""
