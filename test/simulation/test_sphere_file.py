"""Training files of the second kind: written whole, read at once, and true to their parameters."""

import hashlib
import itertools
import logging
import time

import h5py
import numpy as np
import pytest
from scipy.stats import chi2

from src import simulate_finaltest
from support import ROOT
from util.fit.likelihood import fit
from util.physics import pad
from util.runtime.errors import InputError
from util.simulation import sphere_file
from util.simulation.training_tables import (
    DETECTED_DTYPE,
    GENERATED_DTYPE,
    count_electrons,
    distribution_dtype,
    read_parameters,
    read_tables,
)

PRIOR = ("--prior", f"{ROOT}/param/pretraining.toml")


def run(output, *options, workers=1):
    argv = ["--kind", "2", "--output", output, "--workers", workers, *PRIOR, *options]
    simulate_finaltest.main([str(word) for word in argv])
    return output


@pytest.fixture(scope="module")
def made(module_folder):
    """Return a file of 20 spheres with 8,000 to 12,000 electrons each; not to be changed."""
    return run(module_folder("kind 2") / "f.h5", "--distributions", 20, "--electrons", 8000, 12000, "--seed", 7)


def test_file_has_the_courses_tables_and_every_electron_falls_where_it_was_sent(made):
    with h5py.File(made) as file:
        assert set(file) == {"DistributionParameters", "GeneratedElectrons", "DetectedElectrons"}
        assert file["DistributionParameters"].dtype == distribution_dtype(12)
        assert file["GeneratedElectrons"].dtype == GENERATED_DTYPE
        assert file["DetectedElectrons"].dtype == DETECTED_DTYPE
    tables = read_tables(made)
    electrons = tables.electrons()
    assert (electrons >= 8000).all() and (electrons <= 12000).all() and len(set(electrons)) > 10
    assert np.array_equal(count_electrons(made, tables.parameters), electrons)
    assert np.array_equal(tables.generated["ElectronId"], np.arange(electrons.sum()))
    assert pad.is_density(tables.parameters["beta"]).all()
    own = tables.generated[tables.detected["ElectronId"]]
    assert np.allclose(tables.detected["z"], own["r"] * own["costheta"])
    assert np.array_equal(own["DistributionId"], tables.sphere_of_detected)


@pytest.mark.slow
def test_a_fit_of_each_sphere_recovers_its_parameters_and_not_those_of_its_neighbour(made):
    tables = read_tables(made)
    pulls, swapped = [], []
    for index, other in ((0, 2), (1, 3), (4, 6), (5, 7)):
        x, z = tables.hits(index)
        result = fit(x, z, spheres=1)
        ids = result.layout.beta[0][:6]
        inverse = np.linalg.inv(result.covariance[np.ix_(ids, ids)])
        for row, squares in ((index, pulls), (other, swapped)):
            off = result.beta[0][:6] - tables.parameters["beta"][row][:6]
            squares.append(off @ inverse @ off)
    assert chi2.sf(sum(pulls), 24) > 0.001
    assert chi2.sf(sum(swapped), 24) < 1e-9


def test_file_does_not_depend_on_the_workers_nor_on_how_pieces_are_shared(tmp_path, monkeypatch):
    monkeypatch.setattr(sphere_file, "PIECE", 3000)
    digests = {
        hashlib.sha256(
            run(tmp_path / f"{n}.h5", "--distributions", 3, "--electrons", 7000, workers=n).read_bytes()
        ).digest()
        for n in (1, 2)
    }
    assert len(digests) == 1
    tables = read_tables(tmp_path / "1.h5")
    assert tables.electrons().tolist() == [7000] * 3
    assert len(np.unique(tables.generated["r"])) == 21_000


def test_a_million_electrons_are_read_in_seconds_and_joined_as_one_by_one(tmp_path):
    path = run(tmp_path / "f.h5", "--distributions", 100, "--electrons", 10_000)
    begin = time.process_time()
    tables = read_tables(path)
    assert time.process_time() - begin < 4
    sphere_of = {int(row["ElectronId"]): int(row["DistributionId"]) for row in tables.generated[:30_000]}
    some = tables.detected[:20_000]
    assert [sphere_of[int(i)] for i in some["ElectronId"]] == tables.sphere_of_detected[:20_000].tolist()


def rewritten(source, target, change, rename=lambda name: name):
    """Copy a file with its tables changed by ``change(name, rows)`` and their fields renamed."""
    with h5py.File(source) as old, h5py.File(target, "w") as new:
        for name in old:
            rows = change(name, old[name][()])
            if rows is not None:
                kinds = [(rename(n), rows.dtype[n].base, rows.dtype[n].shape) for n in rows.dtype.names]
                new[name] = rows.view(np.dtype(kinds))
    return target


def test_ids_in_any_order_and_with_gaps_are_joined_all_the_same(made, tmp_path):
    rng = np.random.default_rng(1)

    def shuffled(_name, rows):
        rows = rows[rng.permutation(len(rows))]
        for field in ("ElectronId", "DistributionId"):
            if field in rows.dtype.names:
                rows[field] = 7 + 3 * rows[field]
        return rows

    one, two = read_tables(made), read_tables(rewritten(made, tmp_path / "f.h5", shuffled))
    own = two.parameters["DistributionId"][two.sphere_of_detected]
    order = np.argsort(two.detected["ElectronId"])
    assert np.array_equal((own[order] - 7) // 3, one.sphere_of_detected)


@pytest.mark.parametrize(
    "spelling",
    [
        {"sigma_R": "σ_R", "beta": "β", "costheta": "cosθ"},
        {"DistributionId": "distribution_id", "R": "Radius", "ElectronId": "electronId", "r": "speed"},
    ],
    ids=str,
)
def test_other_spellings_are_read_and_it_is_said_which(made, tmp_path, spelling, caplog):
    path = rewritten(made, tmp_path / "f.h5", lambda _, rows: rows, lambda name: spelling.get(name, name))
    with caplog.at_level(logging.WARNING):
        found = read_tables(path)
    assert np.array_equal(found.parameters, read_tables(made).parameters)
    for field, name in spelling.items():
        assert f"taking {name} for {field}" in caplog.text


def test_betas_in_a_field_for_each_degree_are_put_together(made, tmp_path, caplog):
    def apart(name, rows):
        if name != "DistributionParameters":
            return rows
        names = [*(n for n in rows.dtype.names if n != "beta"), *(f"beta_{2 * i + 2}" for i in range(12))]
        values = [*(rows[n] for n in rows.dtype.names if n != "beta"), *rows["beta"].T]
        return np.rec.fromarrays(values, names=names)

    path = rewritten(made, tmp_path / "f.h5", apart)
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(read_parameters(path)["beta"], read_parameters(made)["beta"])
    assert "taking beta_2, beta_4" in caplog.text


def drop(table):
    return lambda name, rows: None if name == table else rows


def twice(_name, rows):
    return np.concatenate((rows[1:], rows[1:2]))


def foreign(name, rows):
    if name == "DetectedElectrons":
        rows["ElectronId"][5] = 10_000_000
    return rows


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("DistributionParameters"), "expected a table DistributionParameters, found DetectedElectrons, Generated"),
        (drop("DetectedElectrons"), "expected a table DetectedElectrons, found"),
        (twice, "DistributionParameters: expected each DistributionId once"),
        (foreign, "DetectedElectrons: expected every ElectronId in the table that it refers to, found 10000000"),
    ],
)
def test_a_file_that_does_not_fit_together_is_refused_in_a_sentence(made, tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        read_tables(rewritten(made, tmp_path / "f.h5", change))


def refused(capsys, argv):
    """Run the program with options that contradict each other; return what it said."""
    with pytest.raises(SystemExit) as ended:
        simulate_finaltest.main([str(word) for word in argv])
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--frames", 3), "--frames: files of kind 2 have no frames"),
        (("--camera-noise", 1), "--camera-noise: files of kind 2 have no frames"),
        (
            ("--electrons", 9, 8),
            "--electrons: expected N, or LOW HIGH with LOW <= HIGH, for a file of kind 2, found 9 8",
        ),
        (("--electrons", 1, 2, 3), "--electrons: expected N, or LOW HIGH"),
    ],
)
def test_options_that_contradict_the_kind_are_refused_before_any_work(tmp_path, capsys, options, message):
    assert message in refused(capsys, ["--kind", 2, "--output", tmp_path / "f.h5", *PRIOR, *options])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--electrons", 2_000_000_000), "fewer electrons than ElectronId can count"),
        (("--prior", "none.toml"), "none.toml: no such settings file"),
    ],
)
def test_what_cannot_be_made_is_refused_before_any_work(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        run(tmp_path / "f.h5", *options)
    assert not list(tmp_path.iterdir())


def test_distributions_are_not_asked_of_a_file_of_frames(tmp_path, capsys):
    said = refused(capsys, ["--output", tmp_path / "f.h5", "--distributions", 3])
    assert "--distributions: a file of kind 1 holds the spheres of --experiment; add --kind 2" in said


def test_a_file_made_otherwise_is_kept_and_nothing_is_left_of_one_that_fails(tmp_path, monkeypatch, capsys):
    path = run(tmp_path / "f.h5", "--distributions", 2, "--electrons", 50)
    before = path.read_bytes()
    run(path, "--distributions", 2, "--electrons", 50)
    assert "already there" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"exists, made with other settings \(seed 0\); add --overwrite"):
        run(path, "--distributions", 3, "--electrons", 50)
    count = itertools.count()

    def failing(piece, whole=sphere_file.draw_piece):
        if next(count):
            raise ZeroDivisionError
        return whole(piece)

    monkeypatch.setattr(sphere_file, "draw_piece", failing)
    with pytest.raises(ZeroDivisionError):
        run(path, "--distributions", 3, "--electrons", 50, "--overwrite")
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
