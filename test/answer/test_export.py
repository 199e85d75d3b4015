"""CSV and JSON of an answer: every number again, in both normalisations."""

import csv
import json

import numpy as np
import pytest

from support import truth
from util.answer.export import write_all
from util.fit.likelihood import fit
from util.fit.systematics import systematics
from util.physics.polar_map import PolarBins


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    x, z = truth.hits(truth.DESIGN[:1], (30_000,), rng=np.random.default_rng(150))
    start = [(truth.DESIGN[0].R, truth.DESIGN[0].sigma_R)]
    result = fit(x, z, spheres=1, order=8, start=start, bins=PolarBins(250, 48))
    folder = tmp_path_factory.mktemp("export")
    return result, write_all(folder, result, ["the spheres overlap"], systematics(result))


def test_json_holds_values_errors_and_covariance_in_both_normalisations(written):
    result, paths = written
    content = json.loads(paths[0].read_text())
    assert content["parameters"] == list(result.names)
    assert "half the screen" in content["units"]
    assert content["warnings"] == ["the spheres overlap"]
    mine, field = content["project"], content["field"]
    assert np.array_equal(mine["value"], result.values)
    assert np.array_equal(mine["covariance"], result.covariance)
    ratio, betas = np.array(field["value"]) / result.values, result.layout.beta.ravel()
    assert np.all(ratio[betas] == 2) and np.all(np.delete(ratio, betas) == 1)
    assert np.allclose(np.sqrt(np.diag(field["covariance"])), field["error"])
    moved = systematics(result).per_percent
    assert {what: list(values) for what, values in moved.items()} == mine["per_percent"]
    assert field["per_percent"]["efficiency"][3] == 2 * moved["efficiency"][3] != 0
    assert "1/2 + sum" in mine["normalisation"] and "1 + sum" in field["normalisation"]


@pytest.mark.parametrize("number", [1, 2])
def test_csv_repeats_the_json(written, number):
    result, paths = written
    lines = paths[number].read_text().splitlines()
    heading = [line for line in lines if line.startswith("#")]
    assert len(heading) == 4 and heading[3] == "# warning: the spheres overlap" and "half the screen" in heading[1]
    rows = list(csv.reader(lines[4:]))
    content = json.loads(paths[0].read_text())["project" if number == 1 else "field"]
    assert rows[0][:3] == ["parameter", "value", "error"]
    assert [row[0] for row in rows[1:]] == list(result.names)
    numbers = np.array([row[1:] for row in rows[1:]], float)
    assert np.array_equal(numbers[:, 0], content["value"])
    assert np.array_equal(numbers[:, 1], content["error"])
    assert np.array_equal(numbers[:, 2:], content["covariance"])
