"""CSV and JSON of an answer: every number again, in both normalisations."""

import csv
import json

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from support import ROOT, truth
from util.answer.export import write_all
from util.fit.likelihood import fit
from util.fit.systematics import systematics
from util.physics.polar_map import PolarBins


@pytest.fixture(scope="module")
def written(module_folder):
    x, z = truth.hits(truth.DESIGN[:1], (30_000,), rng=np.random.default_rng(150))
    start = [(truth.DESIGN[0].R, truth.DESIGN[0].sigma_R)]
    result = fit(x, z, spheres=1, order=8, start=start, bins=PolarBins(250, 48))
    folder = module_folder("export")
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


@pytest.mark.parametrize("suffix", ["", "_field"])
def test_csv_repeats_the_json(written, suffix):
    result, paths = written
    folder = paths[0].parent
    content = json.loads(paths[0].read_text())
    lines = (folder / f"answer{suffix}.csv").read_text().splitlines()
    assert lines[2] == "# warning: the spheres overlap"
    head, *rows = csv.reader(line for line in lines if not line.startswith("#"))
    assert head == ["name", "value", "error", "unit"]
    assert [row[0] for row in rows] == content["parameters"] == list(result.names)
    assert [row[3] for row in rows] == content["unit"]
    told = content["field" if suffix else "project"]
    assert np.array_equal(np.array([row[1:3] for row in rows], float).T, [told["value"], told["error"]])
    lines = (folder / f"covariance{suffix}.csv").read_text().splitlines()
    head, *rows = csv.reader(line for line in lines if not line.startswith("#"))
    assert head[1:] == [row[0] for row in rows] == list(result.names)
    assert np.array_equal(np.array([row[1:] for row in rows], float), told["covariance"])


def test_json_follows_its_schema(written):
    _, paths = written
    content, schema = json.loads(paths[0].read_text()), json.loads((ROOT / "doc" / "answer.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    assert list(validator.iter_errors(content)) == []
    assert content.keys() - {"commit"} == schema["properties"].keys() - {"commit"}
    assert not validator.is_valid({**content, "unit": ["pixels"]})
    assert not validator.is_valid({**content, "project": {}})
