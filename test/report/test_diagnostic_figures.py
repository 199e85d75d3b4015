"""Every figure is drawn, as PNG and PDF, with and without what is optional."""

from dataclasses import replace

import numpy as np
import pytest

from support import truth
from util.finder.finder import EVENT
from util.fit.goodness import assess
from util.fit.likelihood import fit
from util.physics.polar_map import PolarBins
from util.report.diagnostic_figures import Measured, draw_all

NAMES = {"distribution", "radial_spectrum", "angular_pulls", "pads", "correlations", "betas"}


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
        frame = (np.zeros((64, 64), np.uint8), hits)
        extra = {"truth": known, "others": {"network": result.beta[:, :12] + 0.01}}
    measured = Measured(goodness, matrix, 1.0, frame)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "frame.png").write_text("of an earlier answer")
    paths = draw_all(tmp_path / "figures", result, measured, **extra)
    assert {path.stem for path in paths} == NAMES | ({"frame"} if spheres == 2 else set())
    for path in paths:
        assert path.read_bytes().startswith(b"\x89PNG" if path.suffix == ".png" else b"%PDF")
        assert path.stat().st_size > 5_000
    assert set((tmp_path / "figures").iterdir()) == set(paths)
    # An answer without hits has fewer, and leaves none of those that had some.
    few = draw_all(tmp_path / "figures", result)
    assert {path.stem for path in few} == {"pads", "correlations", "betas"}
    assert set((tmp_path / "figures").iterdir()) == set(few)
