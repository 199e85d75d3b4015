"""A measured value as text, for people."""

from uncertainties import ufloat


def shorthand(value: float, error: float, *, sign: bool = False) -> str:
    """Return a value with its standard error in brackets, as 0.556(21); a value without error as it is.

    The error has one or two digits by the rounding of the Particle Data Group (Phys. Rev. D 110, 030001 (2024),
    section 5.3 of the introduction).

    Parameters
    ----------
    value, error : float
    sign : bool
        Whether a value above 0 shows its sign.
    """
    plus = "+" if sign else ""
    point = "f" if error < 1 else ""  # -0.00002(6), not -2(6)e-05; but 2.1500(15)e+06, not 2150000(1500)
    return f"{ufloat(value, error):{plus}{point}S}" if error > 0 else f"{value:{plus}.4g}"
