"""The anisotropy parameters of each sphere, and their differences in standard errors."""

import numpy as np
from matplotlib.figure import Figure

from util.report.chance import joint_chi_square
from util.report.pads_figure import Compared, places
from util.report.style import ANSWER, pull_axis

_MARKS = "ovD^"  # of what stands beside the answer
_ASIDE = (-0.45, 0.45, 0.9, -0.9)  # and where


def draw_betas(figure: Figure, compared: Compared) -> None:
    """Draw the betas with their errors; below, how far they are from the truth or from another method's.

    The joint chi-square tells whether the differences are more than chance makes: neighbouring degrees are correlated,
    and may all be on one side.
    """
    layout = compared.layout
    order = np.array(layout.degrees)
    for s, (upper, lower, _) in enumerate(places(figure, layout.spheres, polar=False)):
        error = np.sqrt(np.diag(compared.covariance_of(s)))
        upper.axhline(0, color="0.5", linewidth=0.5)
        upper.errorbar(
            order, compared.beta(s), error, fmt="s", color=ANSWER, markersize=2.5, capsize=2, label=compared.name
        )
        marks = {compared.name: ("s", 0.0)}
        for i, (name, (beta, colour)) in enumerate(compared.shown_beside(s).items()):
            told = beta[: order.size]
            marks[name] = (_MARKS[i % len(_MARKS)], _ASIDE[i % len(_ASIDE)])
            mark, aside = marks[name]
            at = order[: told.size] + aside
            upper.plot(at, told, mark, color=colour, fillstyle="none", markersize=4, label=name)
        upper.set(title=f"sphere {s + 1}, I(c) = 1/2 + Σ β P(c)", ylabel="β")
        handles, names = upper.get_legend_handles_labels()
        if len(names) > 1:  # the answer, drawn with its errors, first
            upper.legend(handles[-1:] + handles[:-1], names[-1:] + names[:-1])
        lower.set(xlabel="Legendre degree", xticks=order)
        differences = compared.differences(s)
        if not differences:
            lower.bar(order, error, 1.2, color="0.78")
            lower.set_ylabel("standard error of β")
            continue
        size = np.where(error > 0, error, np.inf)
        pulls = {name: (away / size, colour) for name, (away, colour) in differences.items()}
        pull_axis(lower, *(pull for pull, _ in pulls.values()))
        for name, (pull, colour) in pulls.items():
            mark, aside = marks[name]
            style = "full" if name == compared.name else "none"
            lower.plot(order + aside, pull, mark, color=colour, fillstyle=style, markersize=4 if aside else 2.5)
        lower.set_ylabel(f"β - {compared.reference}\n[standard errors]")
        lower.set_title(compared.chance(s))
    if compared.truth is not None:
        away = np.concatenate([compared.differences(s)[compared.name][0] for s in range(layout.spheres)])
        index = layout.beta.ravel()
        chance = joint_chi_square(away, compared.covariance[np.ix_(index, index)])
        figure.suptitle(f"{compared.name} and truth, betas of all spheres at once: {chance}")
