"""Faults that a fit may have and that have a name: pieces of the model that were not fitted, and centres apart."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from util.fit.parameters import PIECES, Layout, Piece
from util.fit.result import FitResult
from util.fit.score_test import Lack
from util.runtime.value_with_error import shorthand


@dataclass(frozen=True)
class Test:
    """One test.

    Attributes
    ----------
    name : str
    value, error : float
        The statistic, or the size of a named fault with its error (nan where there is none).
    p : float
        Probability of a value at least as extreme where the model is right.
    text : str
        What was found, in words.
    chi2 : float
        Of a named fault: how much better a fit that allowed it would be; 0 otherwise.
    """

    name: str
    value: float
    error: float
    p: float
    text: str
    chi2: float = 0.0


class FaultTest(Protocol):
    """What measures a fault by one step of a fit that allowed it, as `util.fit.score_test.ScoreTest` does."""

    def of_piece(self, piece: Piece, /) -> Lack | None:
        """Test a piece that is not fitted; None where the fitted parameters describe as much already."""

    def of_centre(self, sphere: int, /) -> Lack | None:
        """Test whether one sphere, counted from 0, has a centre (x, z) of its own."""


def named_faults(test: FaultTest, result: FitResult, remedy: str = "--fit {}") -> list[Test]:
    """Measure each fault by one step of a fit that allowed it alone.

    Where next to nothing is expected the variance is taken too large, so that the p of a background errs on the safe
    side.

    Parameters
    ----------
    test : FaultTest
    result : FitResult
        The fit, with the errors in which is told what a fault moves.
    remedy : str
        What to do about a piece, whose name takes the place of the braces.
    """
    tests = []
    for piece in PIECES:
        lack = None if piece in result.layout.pieces else test.of_piece(piece)
        if lack:
            value, error, text = _TEXTS[piece](lack, result)
            # There are no fewer slow electrons than none: no piece describes that.
            end = "" if piece == "blob" and value < 0 else f": {remedy.format(piece)}"
            moves = _IN_SECOND_ORDER.get(piece) or _moves(lack, result)
            tests.append(Test(piece, value, error, lack.p, f"{text}, which {moves}{end}", lack.chi2))
    for s in range(1, len(result.electrons)):
        lack = test.of_centre(s)
        if lack is None:
            continue
        along_x, along_z = (shorthand(*pair) for pair in zip(lack.size, lack.error, strict=True))
        beside = f"sphere {s + 1} lies beside the others, by {along_x} along x and {along_z} along z"
        text = f"{beside}, which widens its line"
        tests.append(Test(f"centre of {s + 1}", lack.chi2, float("nan"), lack.p, text, lack.chi2))
    return tests


# Of what is odd in x or in z, and so moves nothing in proportion.
_IN_SECOND_ORDER: dict[Piece, str] = {"rotation": "lowers betas of high degree", "odd": "moves no even beta"}


def _moves(lack: Lack, result: FitResult) -> str:
    """Say which of R, sigma_R and the betas is farthest off, in its errors, where a fault is left alone."""
    layout = result.layout
    _, by_q = layout.to_public(layout.to_internal(result.values))
    moved = (by_q @ lack.moves)[layout.shape]
    errors = result.errors[layout.shape]
    pulls = np.abs(moved) / np.where(errors > 0, errors, np.inf)
    worst = int(pulls.argmax())
    return f"moves {layout.names[layout.shape[worst]]} by about {pulls[worst]:.2g} of its errors"


def _share(lack: Lack, result: FitResult) -> tuple[float, float]:
    """Return size and error of the first parameter in percent of the electrons."""
    total = result.electrons.sum()
    return 100 * float(lack.size[0]) / total, 100 * float(lack.error[0]) / total


def _background(lack: Lack, result: FitResult) -> tuple[float, float, str]:
    share = _share(lack, result)
    return *share, f"an even background of {shorthand(*share)} % of the electrons"


def _blob(lack: Lack, result: FitResult) -> tuple[float, float, str]:
    share = _share(lack, result)
    return *share, f"slow electrons about the centre, {shorthand(*share)} % of all"


def _rotation(lack: Lack, _: FitResult) -> tuple[float, float, str]:
    turned = float(np.degrees(lack.size[0])), float(np.degrees(lack.error[0]))
    return *turned, f"the image is turned by {shorthand(*turned)} degrees from +z towards +x"


def _ellipse(lack: Lack, _: FitResult) -> tuple[float, float, str]:
    size = float(np.hypot(*lack.size[:2]))
    toward = lack.size[:2] / max(size, 1e-300)
    error = float(np.sqrt(toward @ lack.covariance[:2, :2] @ toward))
    # One axis is longer by as much as the other is shorter.
    longer = 200 * size, 200 * error
    return *longer, f"the image is an ellipse, one axis longer by {shorthand(*longer)} %"


def _odd(lack: Lack, result: FitResult) -> tuple[float, float, str]:
    layout = Layout(result.layout.spheres, result.layout.order, ("odd",))
    pulls = np.abs(lack.size / np.where(lack.error > 0, lack.error, np.inf))
    clearest = int(pulls.argmax())
    electrons = result.electrons[clearest // len(layout.odd_degrees)]
    beta = float(lack.size[clearest] / electrons), float(lack.error[clearest] / electrons)
    name = layout.nuisances[clearest]
    return *beta, f"forward and backward differ, {name} is about {shorthand(*beta)}"


def _shape(lack: Lack, result: FitResult) -> tuple[float, float, str]:
    layout = Layout(result.layout.spheres, result.layout.order, ("shape",))
    pulls = np.abs(lack.size / np.where(lack.error > 0, lack.error, np.inf))
    clearest = int(pulls.argmax())
    found = float(lack.size[clearest]), float(lack.error[clearest])
    return *found, f"the lines are not Gaussian, {layout.nuisances[clearest]} is about {shorthand(*found)}"


_TEXTS: dict[Piece, Callable[[Lack, FitResult], tuple[float, float, str]]] = {
    "background": _background,
    "rotation": _rotation,
    "ellipse": _ellipse,
    "blob": _blob,
    "odd": _odd,
    "shape": _shape,
}
