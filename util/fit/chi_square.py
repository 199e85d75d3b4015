"""The tail of chi-square distributions, as `scipy.stats.chi2.sf` gives it to the last bit.

That module takes half a second to load, more than many an answer's fit.
"""

from scipy.special import chdtrc


def tail(chi2: float, dof: float) -> float:
    """Return the probability of as large a chi-square of `dof` degrees of freedom; of none, NaN."""
    return float(chdtrc(dof, max(float(chi2), 0.0))) if dof > 0 else float("nan")
