"""From a folded map to a spectrum: electrons and anisotropy against speed, and against energy.

Start with `fit.py`, the fit; `shell_model.py` is what it fits, `interior_point.py` how, `spectrum.py` what it returns.
May import `runtime`, `physics` and `fit`.
"""
