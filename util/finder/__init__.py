"""Find the electrons of one frame by a joint fit of overlapping spots.

Start with `finder.py`, one frame; `spot_search.py` decides where spots are, `spot_change.py` where one is two or
none, `spot_fit.py` fits them, `one_electron.py` and `binned_spot.py` say what they look like, `weighting.py` tells how
many electrons a hit stands for. `real_detector.py` learns the detector from the frames: `camera_calibration.py` the
camera, `calibration.py` the spot, `spot_shape.py` its shape, `pulse_heights.py` the law of its brightness,
`gain_map.py` the gain over the screen, `afterglow.py` and `linearity.py` what `corrected_frames.py` then undoes;
`run_checks.py` looks for drift as well, and `findings.py` says what each would do to an answer. May import `runtime`,
`camera` and `frames`.
"""
