"""Play the experiment: frames and tables of known spheres, and a virtual experiment at an answer.

Start with `frame_block.py`, which simulates some frames of a `simulated_detector.py`; `frames_file.py` and
`sphere_file.py` write the course's two kinds of files, `virtual_experiment.py` repeats the measurement at an answer.
May import `finder`, `training` and the floors below.
"""
