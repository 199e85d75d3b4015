"""Priors of the spheres, and what the network sees of a measurement.

Start with `priors.py`; `map_inversion.py` is the linear inversion in front of the network. Imports `runtime` and
`physics`.
"""
