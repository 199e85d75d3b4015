"""Priors of the spheres, what the network sees of a measurement, and the record of its training.

Start with `priors.py`; `map_inversion.py` is the linear inversion in front of the network, `matrix_input.py` what the
published one sees instead, `recipe.py` reads how it is trained, `course.py` says how that went. May import `runtime`
and `physics`.
"""
