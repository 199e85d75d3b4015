"""Newton spheres: angular distribution, projection onto the detector, sampling, folded maps.

Start with `pad.py`, the angular distribution I(c), then `projection.py`, the density on the detector. Imports no other
room.
"""
