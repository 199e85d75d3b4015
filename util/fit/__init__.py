"""From a folded map to radii, widths and betas: model, likelihood, errors, goodness.

Start with `likelihood.py`, the fit; `map_model.py` is what it fits, `result.py` what it returns, `parameters.py` the
order and names of its parameters, which nothing else knows. May import `runtime` and `physics`.
"""
