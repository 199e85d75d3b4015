"""The angular distribution of each sphere, against cos(theta) and as a polar plot, beside what it is compared to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.gridspec import SubplotSpec
from matplotlib.projections.polar import PolarAxes
from numpy.typing import NDArray

from util.fit.parameters import Layout
from util.physics import pad
from util.report.chance import joint_chi_square
from util.report.style import ANSWER, OTHERS, TRUTH, log_axis, pull_axis
from util.runtime.value_with_error import shorthand

_ABREAST = 2  # spheres side by side
_POINTS = 601
_FEW = 2  # spheres in a figure whose legends do not crowd it


@dataclass(frozen=True)
class Compared:
    """An answer, and what it is compared to.

    Attributes
    ----------
    layout : Layout
    values, covariance : (P,), (P, P)
    truth : (S, m) or None
        Its betas, where it is known.
    others : mapping of a method's name to its betas (S, m)
    name : str
        What the answer is called.
    """

    layout: Layout
    values: NDArray[np.float64]
    covariance: NDArray[np.float64]
    truth: NDArray[np.float64] | None = None
    others: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    name: str = "answer"

    def beta(self, sphere: int) -> NDArray[np.float64]:
        """Betas (n,) of a sphere."""
        return self.values[self.layout.beta[sphere]]

    def covariance_of(self, sphere: int) -> NDArray[np.float64]:
        """Covariance (n, n) of the betas of a sphere."""
        index = self.layout.beta[sphere]
        return self.covariance[np.ix_(index, index)]

    def shown_beside(self, sphere: int) -> dict[str, tuple[NDArray[np.float64], str]]:
        """Betas of a sphere and colour of all that is shown beside the answer, by name."""
        shown = {} if self.truth is None else {"truth": (self.truth[sphere], TRUTH)}
        return shown | {
            name: (betas[sphere], OTHERS[i % len(OTHERS)]) for i, (name, betas) in enumerate(self.others.items())
        }

    @property
    def reference(self) -> str | None:
        """Name of what differences are taken from: the truth, else the first of the others, else nothing."""
        return "truth" if self.truth is not None else next(iter(self.others), None)

    def differences(self, sphere: int) -> dict[str, tuple[NDArray[np.float64], str]]:
        """Betas (n,) less those of the reference, and colour, by name; of the others only where there is a truth."""
        if self.reference is None:
            return {}
        shown = {self.name: (self.beta(sphere), ANSWER), **self.shown_beside(sphere)}
        base = shown[self.reference][0]
        told = shown.keys() - {self.reference} if self.truth is not None else {self.name}
        return {
            name: (_as_many(beta, self.beta(sphere).size) - _as_many(base, self.beta(sphere).size), colour)
            for name, (beta, colour) in shown.items()
            if name in told
        }

    def chance(self, sphere: int) -> str:
        """Say how likely the answer's distance from the truth is; empty where that is not known."""
        if self.truth is None:
            return ""
        return str(joint_chi_square(self.differences(sphere)[self.name][0], self.covariance_of(sphere)))


def _as_many(beta: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return n betas, those that a method lacks as 0."""
    return np.concatenate((beta[:n], np.zeros(max(n - len(beta), 0))))


def rows_of(spheres: int) -> int:
    """Return in how many rows the spheres of a figure stand."""
    return -(-spheres // _ABREAST)


def places(figure: Figure | SubFigure, spheres: int, *, polar: bool) -> list[tuple[Axes, Axes, SubplotSpec]]:
    """Return an upper and a lower panel for each sphere and, for `polar`, the place to their right of a polar plot."""
    columns, each = min(spheres, _ABREAST), 2 if polar else 1
    grid = figure.add_gridspec(
        2 * rows_of(spheres),
        each * columns,
        width_ratios=(1.55, 1)[:each] * columns,
        height_ratios=(1.5, 1) * rows_of(spheres),
    )
    out = []
    for sphere in range(spheres):
        row, column = 2 * (sphere // _ABREAST), each * (sphere % _ABREAST)
        upper = figure.add_subplot(grid[row, column])
        lower = figure.add_subplot(grid[row + 1, column], sharex=upper)
        upper.tick_params(labelbottom=False)
        out.append((upper, lower, grid[row : row + 2, column + each - 1]))
    return out


def draw_pads(figure: Figure | SubFigure, compared: Compared) -> None:
    """Draw the PAD of each sphere: I(c), below it the difference in standard errors, beside it the polar plot.

    Without anything to compare with, the standard error of I(c) stands below.
    """
    # Both ends of an order-24 series move within 1/24 of the poles: points uniform in theta.
    theta = np.linspace(np.pi, 0, _POINTS)
    c = np.cos(theta)
    layout = compared.layout
    # I(c) is linear in beta: its derivatives are the Legendre polynomials.
    slopes = pad.polynomials(len(layout.degrees), c)
    for s, (upper, lower, place) in enumerate(places(figure, layout.spheres, polar=True)):
        polar = figure.add_subplot(place, projection="polar")
        assert isinstance(polar, PolarAxes)
        sigma = np.sqrt(np.einsum("ic,ij,jc->c", slopes, compared.covariance_of(s), slopes))
        shown = {compared.name: (compared.beta(s), ANSWER), **compared.shown_beside(s)}
        highest = lowest = 0.0
        for i, (name, (beta, colour)) in enumerate(shown.items()):
            value, line = pad.intensity(beta, c), ("-", "--", ":", "-.")[i % 4]
            upper.plot(c, value, line, color=colour, label=name)
            polar.plot(np.append(theta, -theta[::-1]), np.append(value, value[::-1]).clip(0), line, color=colour)
            highest, lowest = max(highest, value.max()), min(lowest, value.min())
        margin = 0.05 * (highest - lowest)
        R, error = compared.values[layout.R[s]], np.sqrt(compared.covariance[layout.R[s], layout.R[s]])
        upper.set(
            title=f"sphere {s + 1}: R = {shorthand(R, error)}",
            ylabel="I(cos θ)",
            xlim=(-1, 1),
            ylim=(lowest - margin * (lowest < 0), highest + margin),
        )
        if len(shown) > 1:
            upper.legend(loc="upper center" if 2 * pad.intensity(compared.beta(s), 0.0) < highest else "lower center")
        _draw_below(lower, compared, s, c, sigma)
        _dress(polar, highest)


def _draw_below(ax: Axes, compared: Compared, sphere: int, c: NDArray[np.float64], sigma: NDArray[np.float64]) -> None:
    ax.set(xlabel="cos θ", xticks=(-1, -0.5, 0, 0.5, 1))
    differences = compared.differences(sphere)
    if not differences:
        ax.plot(c, sigma, color=ANSWER)
        ax.set_ylabel("standard error of I")
        log_axis(ax)
        return
    size = np.where(sigma > 0, sigma, np.inf)
    slopes = pad.polynomials(compared.beta(sphere).size, c)
    pulls = [(beta @ slopes / size, colour) for beta, colour in differences.values()]
    pull_axis(ax, *(pull for pull, _ in pulls))
    for (pull, colour), line in zip(pulls, ("-", ":", "-."), strict=False):
        ax.plot(c, pull, line, color=colour)
    ax.set_ylabel(f"I - {compared.reference}\n[standard errors]")
    ax.set_title(compared.chance(sphere))


def _dress(polar: PolarAxes, highest: float) -> None:
    """Let the polarisation point upwards, as in the maps, and leave few marks."""
    polar.set_theta_zero_location("N")
    polar.set_theta_direction(-1)
    polar.set_thetagrids((0, 45, 90, 135, 180, 225, 270, 315), ("0°", "", "90°", "", "180°", "", "90°", ""))
    polar.set_ylim(0, 1.03 * highest)
    polar.set_yticks([highest / 2, highest], ["", f"{highest:.2g}"])
    polar.tick_params(pad=-1)
    polar.grid(linewidth=0.4, color="0.8")
    polar.set_title("I(θ), 0°: polarisation")
