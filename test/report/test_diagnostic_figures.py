"""Every figure is drawn, as PNG and PDF, with and without what is optional."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from support import truth
from support.figures import saved_figures, titles
from util.finder.finder import EVENT
from util.fit.goodness import assess
from util.fit.likelihood import fit
from util.physics.polar_map import PolarBins
from util.report.diagnostic_figures import Measured, draw_all
from util.report.frame_figure import ShownFrame
from util.report.maps import PULLED, summed
from util.runtime.executor import open_executor

pytestmark = pytest.mark.slow

NAMES = {"distribution", "radial_spectrum", "angular_pulls", "pads", "correlations", "betas"}


def lines(ax):
    """Return what each line of an axes shows, by its label."""
    return {line.get_label(): line.get_ydata() for line in ax.lines}


def check_artists(figures, result, goodness, *, truth=None, others=None):
    """Assert that each figure shows what it is named after, the truth and other answers only where there are some."""
    shown = figures["correlations"].axes[0].images[0].get_array().data
    assert shown == pytest.approx(result.covariance / np.outer(result.errors, result.errors))
    for axis in (figures["correlations"].axes[0].xaxis, figures["correlations"].axes[0].yaxis):
        boxes = [label.get_window_extent() for label in axis.get_ticklabels()]
        assert not any(before.overlaps(after) for before, after in itertools.pairwise(boxes))
    radial = lines(figures["radial_spectrum"].axes[0])
    assert radial["electrons found"] == pytest.approx(goodness.radial)
    assert radial["fit, all together"] == pytest.approx(goodness.radial_model)
    assert sum("sphere " in label for label in radial) == len(result.R)
    assert next(iter(radial)) == "fit, all together"  # below the spheres, each of which it would hide
    pulls = [bar.get_height() for bar in figures["angular_pulls"].axes[0].containers[0]]
    assert pulls == pytest.approx((goodness.angular - goodness.angular_model) / goodness.angular_error)
    assert [title.split(";")[0] for title in titles(figures["distribution"])] == [
        "electrons found",
        "electrons expected by the fit",
        "pulls",
    ]
    found, model, pulls = (ax.images[0].get_array().data for ax in figures["distribution"].axes[:3])
    assert found.sum() == pytest.approx(model.sum(), rel=0.01)
    assert np.std(pulls[summed(model, PULLED) > 5]) == pytest.approx(1, abs=0.1)
    named = {"answer"} | ({"truth"} if truth else set()) | set(others or ())
    for s in range(len(result.R)):
        pad_lines = lines(figures["pads"].axes[2 * s])
        assert pad_lines.keys() == named
        assert pad_lines["answer"][-1] == pytest.approx(0.5 + result.beta[s].sum())  # at c = 1, where each P is 1
        betas = figures["betas"].axes[2 * s]
        assert set(betas.get_legend_handles_labels()[1]) == named
        assert (betas.get_legend() is not None) == (len(named) > 1)
        assert betas.lines[1].get_ydata() == pytest.approx(result.beta[s])


@pytest.mark.parametrize("spheres", [1, 2, 3])
def test_every_figure_is_drawn(tmp_path, spheres):
    rng = np.random.default_rng(170)
    known = (*truth.DESIGN, replace(truth.DESIGN[0], R=0.3))[:spheres]
    x, z = truth.hits(known, (60_000,) * spheres, rng=rng)
    weight = np.ones(x.size)
    start = [(s.R, s.sigma_R) for s in known]
    result = fit(x, z, weight, spheres=spheres, start=start, bins=PolarBins(250, 48))
    goodness = assess(x, z, weight, result, rng=rng, simulations=20)
    matrix = np.histogram2d(x, z, 1024, [(-1, 1), (-1, 1)])[0]
    extra, frame = {}, None
    if spheres == 2:
        hits = np.zeros(4, EVENT)
        hits["weight"] = 1, 1, 2, 1
        frame = ShownFrame(np.zeros((64, 64), np.uint8), hits)
        extra = {"truth": known, "others": {"network": result.beta[:, :12] + 0.01}}
    measured = Measured(matrix, 1.0, frame)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "frame.png").write_text("of an earlier answer")
    with saved_figures() as figures, open_executor(1) as executor:
        paths = draw_all(tmp_path / "figures", result, goodness, measured, executor=executor, **extra)
    assert {path.stem for path in paths} == NAMES | ({"frame"} if spheres == 2 else set())
    for path in paths:
        assert path.read_bytes().startswith(b"\x89PNG" if path.suffix == ".png" else b"%PDF")
    assert set((tmp_path / "figures").iterdir()) == set(paths)
    assert figures.keys() == {path.stem for path in paths}
    check_artists(figures, result, goodness, **extra)
    # An answer without hits has fewer, and leaves none of those that had some.
    with open_executor(1) as executor:
        few = draw_all(tmp_path / "figures", result, goodness, executor=executor)
    assert {path.stem for path in few} == NAMES - {"distribution"}
    assert set((tmp_path / "figures").iterdir()) == set(few)
