"""The tail of chi-square distributions is that of scipy.stats."""

import numpy as np
import pytest
from scipy import stats

from util.fit.chi_square import tail


def test_it_is_that_of_scipy_to_the_last_bit():
    rng = np.random.default_rng(0)
    pairs = zip(rng.gamma(1, 200, 500), rng.uniform(0.01, 900, 500), strict=True)
    found = [(tail(chi2, dof), float(stats.chi2.sf(chi2, dof))) for chi2, dof in pairs]
    assert [one for one, other in found if one != other] == []
    assert len({one for one, _ in found}) > 100


@pytest.mark.parametrize("chi2", [-1.0, 0.0, 3.0, np.inf, np.nan])
@pytest.mark.parametrize("dof", [0, 2, 2.5, np.nan])
def test_what_is_beyond_or_no_number_is_as_there(chi2, dof):
    assert tail(chi2, dof) == pytest.approx(float(stats.chi2.sf(chi2, dof)), rel=0, abs=0, nan_ok=True)
