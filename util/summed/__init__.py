"""The answer of the summed frames, without finding a single electron.

Start with `deconvolved_fit.py`, the fit; `sum_model.py` is what it fits, `deconvolution.py` how spheres look there.
`restore.py` puts back what the camera cut off, `spot.py` learns the mean spot, `blocks.py` sums a file. Imports
`finder`, `fit` and the floors below.
"""
