"""The parameter vector of a fit: what its entries are, where each stands, and what each is called.

A vector (P,) holds, for each sphere, N, R, sigma_R, beta_2 .. beta_order; then nuisances; then the centre. It comes
in two forms. The public one is what an answer tells. The internal one, in which the expected counts are linear but for
R and sigma_R, has N beta in place of beta.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

_CENTRE = ("centre_x", "centre_z")


@dataclass(frozen=True)
class Layout:
    """Order of the P parameters of a fit.

    Attributes
    ----------
    spheres : int
        S.
    order : int
        Highest Legendre degree, even; n = order / 2 betas per sphere.
    nuisances : tuple of str
        Names of what is fitted besides spheres and centre, as `util.fit.map_model.MapModel` knows it.
    """

    spheres: int = 2
    order: int = 24
    nuisances: tuple[str, ...] = ()

    @classmethod
    def from_names(cls, names: Sequence[str]) -> "Layout":
        """Return the layout whose `names` are these.

        Raises
        ------
        ValueError
            There is none.
        """
        spheres = sum(name.startswith("R_") for name in names)
        order = 2 * sum(name.startswith("beta_") and name.endswith("_1") for name in names)
        layout = cls(spheres, order, tuple(names[spheres * (order // 2 + 3) : -len(_CENTRE)]))
        for wanted, found in zip_longest(layout.names, names, fillvalue="nothing"):
            if wanted != found:
                raise ValueError(f"expected {wanted}, found {found}")
        return layout

    @property
    def degrees(self) -> tuple[int, ...]:
        """Legendre degrees (n,) of the betas."""
        return tuple(range(2, self.order + 1, 2))

    @property
    def names(self) -> tuple[str, ...]:
        """Names (P,): N_1, R_1, sigma_R_1, beta_2_1 .., N_2 ..; nuisances; centre_x, centre_z."""
        single = ("N", "R", "sigma_R", *(f"beta_{degree}" for degree in self.degrees))
        return (*(f"{name}_{s + 1}" for s in range(self.spheres) for name in single), *self.nuisances, *_CENTRE)

    @property
    def size(self) -> int:
        """P."""
        return self.blocks.size + len(self.nuisances) + len(_CENTRE)

    @property
    def blocks(self) -> NDArray[np.intp]:
        """Indices (S, 3 + n) of each sphere's parameters."""
        block = 3 + len(self.degrees)
        return np.arange(self.spheres * block).reshape(self.spheres, block)

    @property
    def N(self) -> NDArray[np.intp]:
        """Indices (S,) of the numbers of electrons."""
        return self.blocks[:, 0]

    @property
    def R(self) -> NDArray[np.intp]:
        """Indices (S,) of the radii."""
        return self.blocks[:, 1]

    @property
    def sigma_R(self) -> NDArray[np.intp]:
        """Indices (S,) of the widths."""
        return self.blocks[:, 2]

    @property
    def beta(self) -> NDArray[np.intp]:
        """Indices (S, n) of the betas."""
        return self.blocks[:, 3:]

    @property
    def shape(self) -> NDArray[np.intp]:
        """Indices (S (2 + n),) of R, sigma_R and beta of all spheres, ascending."""
        return self.blocks[:, 1:].ravel()

    @property
    def centre(self) -> NDArray[np.intp]:
        """Indices (2,) of x and z of the centre."""
        return np.arange(self.size - len(_CENTRE), self.size)

    @property
    def folded(self) -> NDArray[np.intp]:
        """Indices (P - 2,) of all that a map folded about the centre depends on, ascending: all but the centre."""
        return np.arange(self.size - len(_CENTRE))

    def index(self, name: str) -> int:
        """Return the index of the parameter of this name."""
        return self.names.index(name)

    def beyond(self, degrees: Sequence[int]) -> NDArray[np.bool_]:
        """Return which betas (S, n) are of higher degree than `degrees`, one per sphere."""
        return np.array(self.degrees) > np.array(degrees)[:, None]

    def ascending(self, values: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the permutation (P,) that puts the spheres of a vector (P,) in the order of their R."""
        by_R = np.argsort(values[self.R], kind="stable")
        return np.concatenate((self.blocks[by_R].ravel(), np.arange(self.blocks.size, self.size)))

    def known(
        self, R: Sequence[float], sigma_R: Sequence[float], beta: Sequence[Sequence[float]]
    ) -> NDArray[np.float64]:
        """Return a public vector (P,) of what is known of the spheres; the rest is nan.

        Parameters
        ----------
        R, sigma_R : (S,)
        beta : (S, any number)
            Those beyond `order` are left out.
        """
        values = np.full(self.size, np.nan)
        values[self.R], values[self.sigma_R] = R, sigma_R
        for places, row in zip(self.beta, beta, strict=True):
            told = places[: len(row)]
            values[told] = row[: told.size]
        return values

    def joint(self, folded: NDArray[np.float64], centre: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the covariance (P, P) from those of what is `folded` and of the `centre`, which are uncorrelated."""
        covariance = np.zeros((self.size, self.size))
        covariance[np.ix_(self.folded, self.folded)] = folded
        covariance[np.ix_(self.centre, self.centre)] = centre
        return covariance

    def to_public(self, q: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the public vector (P,) of an internal one, and its derivatives (P, P) with respect to that."""
        values, by_q = q.copy(), np.eye(self.size)
        for first, betas in zip(self.N, self.beta, strict=True):
            values[betas] = q[betas] / q[first]
            by_q[betas, betas] /= q[first]
            by_q[betas, first] = -values[betas] / q[first]
        return values, by_q

    def to_internal(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the internal vector (P,) of a public one."""
        q = values.copy()
        q[self.beta] *= q[self.N, None]
        return q
