"""The parameter vector of a fit: what its entries are, where each stands, and what each is called.

A vector (P,) holds, for each sphere, N, R, sigma_R, beta_2 .. beta_order; then the parameters of all further pieces of
the model (`PIECES`); then the centre. It comes in two forms. The public one is what an answer tells. The internal one,
in which the expected counts are linear but for R and sigma_R, has N beta in place of beta.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from util.physics.image_geometry import ImageGeometry
from util.physics.polar_map import EVEN, ODD_IN_BOTH, ODD_IN_X, ODD_IN_Z

Piece = Literal["odd", "shape", "background", "rotation", "ellipse", "blob"]
_CENTRE = ("centre_x", "centre_z")
# Parity (`util.physics.polar_map.SIGNS`) of what a change of the geometry does to the image.
_GEOMETRY = {
    "centre_x": ODD_IN_X,
    "centre_z": ODD_IN_Z,
    "rotation_rad": ODD_IN_BOTH,
    "ellipse_1": EVEN,
    "ellipse_2": ODD_IN_BOTH,
    "shear_1": EVEN,
    "shear_2": ODD_IN_BOTH,
}
# What can be fitted besides spheres and centre. "odd" and "shape" have parameters of each sphere; those of the others
# are these.
PIECES: tuple[Piece, ...] = get_args(Piece)
# What may be fitted unasked: not a line's shape, which describes in part whatever is amiss about a sphere.
AUTOMATIC: tuple[Piece, ...] = tuple(piece for piece in PIECES if piece != "shape")
# Of these the first parameter is a number of electrons.
OF_ELECTRONS: tuple[Piece, ...] = ("background", "blob")
_OF_PIECE: dict[Piece, tuple[str, ...]] = {
    "background": ("background",),
    "rotation": ("rotation_rad",),
    "ellipse": ("ellipse_1", "ellipse_2", "shear_1", "shear_2"),
    "blob": ("blob_N", "blob_R", "blob_sigma_R", "blob_beta_2"),
}


_OF_LENGTH = ("R", "sigma_R", "centre", "blob_R", "blob_sigma_R")
_UNITS = {"N": "electrons", "background": "electrons", "blob_N": "electrons", "rotation_rad": "rad"}
_UNITS |= dict.fromkeys(_OF_LENGTH, "half screens")

# Normal priors, mean and standard deviation: what hits hardly tell, and reason does.
PRIORS = {"shear_1": (0.5, 0.5), "shear_2": (0.5, 0.5)}


@dataclass(frozen=True)
class Layout:
    """Order of the P parameters of a fit.

    Attributes
    ----------
    spheres : int
        S.
    order : int
        Highest Legendre degree, even; n = order / 2 betas per sphere.
    pieces : tuple of str
        Of `PIECES`: what is fitted besides spheres and centre; kept in the order in which they stand there.
    """

    spheres: int = 2
    order: int = 24
    pieces: tuple[Piece, ...] = ()

    def __post_init__(self) -> None:
        if unknown := set(self.pieces) - set(PIECES):
            raise ValueError(f"expected pieces among {', '.join(PIECES)}, found {', '.join(sorted(unknown))}")
        object.__setattr__(self, "pieces", tuple(piece for piece in PIECES if piece in self.pieces))

    @classmethod
    def from_names(cls, names: Sequence[str]) -> "Layout":
        """Return the layout whose `names` are these.

        Raises
        ------
        ValueError
            There is none.
        """
        spheres = sum(name.startswith("R_") for name in names)
        order = max((int(name.split("_")[1]) for name in names if name.startswith("beta_")), default=0)
        pieces = tuple(piece for piece in PIECES if cls(1, 2, (piece,)).nuisances[0] in names)
        layout = cls(spheres, order, pieces)
        for wanted, found in zip_longest(layout.names, names, fillvalue="nothing"):
            if wanted != found:
                raise ValueError(f"expected {wanted}, found {found}")
        return layout

    @property
    def degrees(self) -> tuple[int, ...]:
        """Legendre degrees (n,) of the betas."""
        return tuple(range(2, self.order + 1, 2))

    @property
    def odd_degrees(self) -> tuple[int, ...]:
        """Odd Legendre degrees (n,) of the betas of each sphere; none where "odd" is no piece."""
        return tuple(range(1, self.order, 2)) if "odd" in self.pieces else ()

    @property
    def _of_line(self) -> tuple[str, ...]:
        return ("skewness", "kurtosis") if "shape" in self.pieces else ()

    @cached_property
    def nuisances(self) -> tuple[str, ...]:
        """Names of the parameters of all pieces."""
        odd = (f"beta_{degree}_{s + 1}" for s in range(self.spheres) for degree in self.odd_degrees)
        shape = (f"{name}_{s + 1}" for s in range(self.spheres) for name in self._of_line)
        return (*odd, *shape, *(name for piece in self.pieces for name in _OF_PIECE.get(piece, ())))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names (P,): N_1, R_1, sigma_R_1, beta_2_1 .., N_2 ..; nuisances; centre_x, centre_z."""
        single = ("N", "R", "sigma_R", *(f"beta_{degree}" for degree in self.degrees))
        return (*(f"{name}_{s + 1}" for s in range(self.spheres) for name in single), *self.nuisances, *_CENTRE)

    @cached_property
    def units(self) -> tuple[str, ...]:
        """Units (P,): electrons, half screens, rad, or 1 of what has none."""
        # The last part of a name is the number of its sphere, or x or z.
        kinds = (name if name in _UNITS else name.rpartition("_")[0] for name in self.names)
        return tuple(_UNITS.get(kind, "1") for kind in kinds)

    @property
    def size(self) -> int:
        """P."""
        return self.blocks.size + len(self.nuisances) + len(_CENTRE)

    @cached_property
    def blocks(self) -> NDArray[np.intp]:
        """Indices (S, 3 + n) of each sphere's parameters."""
        block = 3 + len(self.degrees)
        return np.arange(self.spheres * block).reshape(self.spheres, block)

    @property
    def N(self) -> NDArray[np.intp]:
        """Indices (S,) of the numbers of electrons."""
        return self.blocks[:, 0]

    @property
    def numbers(self) -> NDArray[np.intp]:
        """Indices of all numbers of electrons: of the spheres, and of background and blob where these are fitted."""
        further = [self.of_piece(piece)[0] for piece in OF_ELECTRONS if piece in self.pieces]
        return np.array([*self.N, *further], dtype=np.intp)

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
    def odd_beta(self) -> NDArray[np.intp]:
        """Indices (S, n) of beta_1, beta_3 .. of each sphere; (S, 0) where odd degrees are not fitted."""
        each = len(self.odd_degrees)
        return self.blocks.size + np.arange(self.spheres * each).reshape(self.spheres, each)

    @property
    def line(self) -> NDArray[np.intp]:
        """Indices (S, 2) of skewness and excess kurtosis of each sphere's line; (S, 0) where these are not fitted."""
        each = len(self._of_line)
        return self.blocks.size + self.odd_beta.size + np.arange(self.spheres * each).reshape(self.spheres, each)

    @property
    def blob(self) -> NDArray[np.intp]:
        """Indices (4,) of N, R, sigma_R and beta_2 of the blob; (0,) where none is fitted."""
        if "blob" not in self.pieces:
            return np.zeros(0, dtype=np.intp)
        return self.index("blob_N") + np.arange(4)

    def of_piece(self, piece: Piece) -> NDArray[np.intp]:
        """Return the indices of the parameters of a piece that is fitted."""
        own = Layout(self.spheres, self.order, (piece,)).nuisances
        return np.array([self.index(name) for name in own], dtype=np.intp)

    @cached_property
    def geometry(self) -> NDArray[np.intp]:
        """Indices of what `ImageGeometry` holds and is fitted, ascending."""
        return np.array([i for i, name in enumerate(self.names) if name in _GEOMETRY], dtype=np.intp)

    @cached_property
    def parity(self) -> NDArray[np.intp]:
        """Parity (P,) of the derivative of an image in each parameter, as `util.physics.polar_map.SIGNS` has it."""
        parity = np.full(self.size, EVEN, dtype=np.intp)
        parity[self.odd_beta] = ODD_IN_Z
        for i in self.geometry:
            parity[i] = _GEOMETRY[self.names[i]]
        return parity

    @property
    def is_geometry(self) -> NDArray[np.bool_]:
        """Which parameters (P,) `geometry` lists."""
        return np.isin(np.arange(self.size), self.geometry)

    @cached_property
    def prior(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and precision (P,) of the parameters' normal priors; the precision is 0 where there is none."""
        mean, precision = np.zeros((2, self.size))
        for i, name in enumerate(self.names):
            if name in PRIORS:
                mean[i], precision[i] = PRIORS[name][0], PRIORS[name][1] ** -2
        return mean, precision

    def index(self, name: str) -> int:
        """Return the index of the parameter of this name."""
        return self.names.index(name)

    def geometry_of(self, values: NDArray[np.float64]) -> ImageGeometry:
        """Return how the image lies on the detector by a vector (P,); what is not fitted is zero."""
        return ImageGeometry(**{self.names[i]: float(values[i]) for i in self.geometry})

    def beyond(self, degrees: Sequence[int]) -> NDArray[np.bool_]:
        """Return which betas (S, n) are of higher degree than `degrees`, one per sphere."""
        return np.array(self.degrees) > np.array(degrees)[:, None]

    def ascending(self, values: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the permutation (P,) that puts the spheres of a vector (P,) in the order of their R."""
        by_R = np.argsort(values[self.R], kind="stable")
        permutation = np.arange(self.size)
        for own in (self.blocks, self.odd_beta, self.line):
            permutation[own] = own[by_R]
        return permutation

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

    @property
    def _products(self) -> list[tuple[int, int]]:
        """Pairs of indices: of each beta, even, odd or the blob's, and of the number that multiplies it internally."""
        own = np.concatenate((self.beta, self.odd_beta), axis=1)
        pairs = [(int(beta), int(N)) for N, betas in zip(self.N, own, strict=True) for beta in betas]
        return [*pairs, *((int(beta), int(self.blob[0])) for beta in self.blob[3:])]

    def to_public(self, q: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the public vector (P,) of an internal one, and its derivatives (P, P) with respect to that."""
        values, by_q = q.copy(), np.eye(self.size)
        for beta, N in self._products:
            values[beta] = q[beta] / q[N]
            by_q[beta, beta] /= q[N]
            by_q[beta, N] = -values[beta] / q[N]
        return values, by_q

    def to_internal(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the internal vector (P,) of a public one."""
        q = values.copy()
        for beta, N in self._products:
            q[beta] *= values[N]
        return q
