"""Play the experiment: frames and tables of known spheres, and a virtual experiment at an answer.

Start with `frame_block.py`, some frames; `frames_file.py` and `sphere_file.py` write the course's two kinds of files,
`virtual_experiment.py` measures a simulated answer again. Imports `finder`, `training` and the floors below.
"""
