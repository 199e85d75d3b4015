"""Find the electrons of one frame by a joint fit of overlapping spots.

Start with `finder.py`, one frame; `spot_search.py` decides where spots are, `spot_change.py` where one is two or
none, `spot_fit.py` fits them, `weighting.py` tells how many electrons a hit stands for, `calibration.py` learns camera
and spot from the frames. May import `runtime`, `camera` and `frames`.
"""
