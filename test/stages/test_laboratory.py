"""Any laboratory's data through the answer stage: any number of spheres, what the detector does, masks."""

import dataclasses
import io
import re

import h5py
import numpy as np
import pytest

from support import effects, truth
from support.answers import answer, parameters
from support.shards import events_at, shard_of, write
from util.answer.final_h5 import read_answer, read_made_by
from util.electrons.shard_facts import ImportSettings
from util.runtime.errors import InputError

PIXELS = (400, 400)
EVENTS = ImportSettings("events", PIXELS, 1)
RADII = (0.25, 0.45, 0.6, 0.8)
RINGS = tuple(dataclasses.replace(truth.DESIGN[0], R=R, sigma_R=0.008, beta=(0.4, 0.1)) for R in RADII)


def imported(folder, positions):
    """Write events as script/import_events.sh would, one electron each; return the folder."""
    x, z = positions
    inside = (np.abs(x) < 1) & (np.abs(z) < 1)
    write(folder, shard_of(events_at(x[inside], z[inside]), settings=EVENTS))
    return folder


@pytest.fixture(scope="module")
def rings(module_folder):
    """Return shards of four rings."""
    positions = truth.hits(RINGS, (20_000,) * 4, rng=np.random.default_rng(430))
    return imported(module_folder("rings"), positions)


@pytest.fixture(scope="module")
def stretched(module_folder):
    """Return shards of an image that is longer along one direction."""
    positions = effects.stretched(*effects.design(100_000, rng=np.random.default_rng(431)), 0.03, 20.0)
    return imported(module_folder("stretched"), positions)


def nuisances(path):
    with h5py.File(path) as file:
        return {row["Name"].decode(): row for row in file["Nuisances"][()]}


def test_as_many_spheres_are_answered_as_there_are(rings, tmp_path):
    printed = answer(rings, tmp_path / "final.h5", "--spheres", "auto", "--order", 4, "--details", tmp_path / "figures")
    assert "4 sphere(s), as many as the hits call for" in printed
    found = read_answer(tmp_path / "final.h5")
    assert np.allclose(found["R"], RADII, atol=0.001)
    assert found["SphereId"].tolist() == [0, 1, 2, 3]
    assert nuisances(tmp_path / "final.h5") == {}
    assert read_made_by(tmp_path / "final.h5").settings.spheres == "auto"
    assert {"pads.png", "betas.png", "distribution.png"} <= {path.name for path in (tmp_path / "figures").iterdir()}


def test_radii_that_are_known_and_orders_of_each_sphere_are_kept(rings, tmp_path):
    told = ("--spheres", 4, "--start", 0.26, 0.44, 0.61, 0.79, "--order", 4, 2, 4, 2)
    answer(rings, tmp_path / "final.h5", *told)
    found = parameters(tmp_path / "final.h5")
    assert np.allclose([found[f"R_{s}"]["Value"] for s in (1, 2, 3, 4)], RADII, atol=0.001)
    assert [found[f"beta_4_{s}"]["Error"] > 0 for s in (1, 2, 3, 4)] == [True, False, True, False]


def test_what_the_hits_call_for_is_fitted_and_told(stretched, tmp_path):
    printed = answer(stretched, tmp_path / "final.h5")
    assert "fitted besides, since the hits call for it: ellipse" in printed
    assert not [line for line in printed.splitlines() if "does not describe" in line]
    found = nuisances(tmp_path / "final.h5")
    assert list(found) == ["ellipse_1", "ellipse_2", "shear_1", "shear_2"]
    size = np.hypot(found["ellipse_1"]["Value"], found["ellipse_2"]["Value"])
    assert size == pytest.approx(0.015, abs=0.001)
    for name, row in found.items():
        assert row == parameters(tmp_path / "final.h5")[name][["Name", "Value", "Error"]]


def test_what_is_not_to_be_fitted_is_warned_of_by_its_option(stretched, tmp_path):
    answer(stretched, tmp_path / "final.h5", "--fit", "none")
    assert nuisances(tmp_path / "final.h5") == {}
    with h5py.File(tmp_path / "final.h5") as file:
        warnings = file["Warnings"].asstr()[()].tolist()
    assert any(": --fit ellipse" in warning for warning in warnings)


@pytest.fixture(scope="module")
def spotted(module_folder):
    """Return a folder with shards of an image with a dead spot, and masks that tell of it."""
    folder = module_folder("spotted")
    x, z = effects.design(100_000, rng=np.random.default_rng(432))
    circle = {"x": 290.0, "z": 260.0, "radius": 25.0}
    i, j = ((part + 1) * 200 - 0.5 for part in (x, z))
    alive = np.hypot(i - circle["x"], j - circle["z"]) > circle["radius"]
    imported(folder / "shards", np.stack((x, z))[:, alive])
    (folder / "mask.toml").write_text("[[circle]]\n" + "".join(f"{key} = {value}\n" for key, value in circle.items()))
    rows, columns = np.indices(PIXELS)
    np.save(folder / "mask.npy", 1 * (np.hypot(rows - circle["x"], columns - circle["z"]) > circle["radius"]))
    return folder


@pytest.mark.parametrize("mask", ["mask.toml", "mask.npy"])
def test_a_mask_takes_a_dead_spot_out(spotted, tmp_path, mask):
    answer(spotted / "shards", tmp_path / "final.h5", "--mask", spotted / mask)
    found = parameters(tmp_path / "final.h5")
    for s, sphere in enumerate(truth.DESIGN, 1):
        for degree, wanted in zip((2, 4), sphere.beta, strict=False):
            row = found[f"beta_{degree}_{s}"]
            assert abs(row["Value"] - wanted) < 4 * row["Error"]
        assert abs(found[f"N_{s}"]["Value"] - 50_000) < 4 * found[f"N_{s}"]["Error"]
    assert read_made_by(tmp_path / "final.h5").settings.mask == mask


def test_an_efficiency_is_divided_out(tmp_path):
    rng = np.random.default_rng(433)
    x, z = effects.design(150_000, rng=rng)
    pixels = (np.indices(PIXELS) + 0.5) / 200 - 1
    efficiency = 0.85 + 0.1 * np.cos(2 * np.arctan2(*pixels))
    i, j = (np.clip(((part + 1) * 200).astype(int), 0, 399) for part in (x, z))
    seen = rng.random(x.size) < efficiency[i, j]
    imported(tmp_path / "shards", np.stack((x, z))[:, seen])
    np.save(tmp_path / "flood.npy", 37 * efficiency)  # only ratios matter
    off = []
    for options in (("--efficiency", tmp_path / "flood.npy"), ("--fit", "none")):
        answer(tmp_path / "shards", tmp_path / "final.h5", *options)
        row = parameters(tmp_path / "final.h5")["beta_2_2"]
        off.append(abs(row["Value"] - truth.DESIGN[1].beta[0]) / row["Error"])
    assert off[0] < 4 < 6 < off[1]


def useless_masks():
    """Return the content of masks that cannot be used, and what is said of each, by their names."""
    blind, small = io.BytesIO(), io.BytesIO()
    spot = np.ones(PIXELS)
    np.save(small, spot[:300])
    spot[:] = 0
    spot[:100, :100] = 1
    np.save(blind, spot)
    return {
        "small.npy": (small.getvalue(), "expected an image of .* pixels, as the camera has, found"),
        "blind.npy": (blind.getvalue(), "% of the hits lie where the detector is blind by it, expected few"),
        "far.toml": (b"[[circle]]\nx = 900.0\nz = 1.0\nradius = 5.0\n", "found none of them there"),
        "turned.toml": (b"[[rectangle]]\nx = [20.0, 10.0]\nz = [0.0, 5.0]\n", "from below to"),
        "point.toml": (b"[[circle]]\nx = 9.0\nz = 1.0\nradius = 0.0\n", "radius must be above 0"),
        "empty.toml": (b"", "at least one"),
        "misspelt.toml": (b"[[circel]]\nx = 9.0\n", "circel"),
        "nothing.toml": (None, "no such settings file"),
    }


@pytest.mark.parametrize("name", useless_masks())
def test_a_mask_that_cannot_be_used_is_refused_in_one_line(spotted, tmp_path, name):
    content, message = useless_masks()[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}.*{message}") as caught:
        answer(spotted / "shards", tmp_path / "final.h5", "--mask", tmp_path / name)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "final.h5").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--spheres", 0), "--spheres: expected an integer of at least 1 and at most 20"),
        (("--spheres", 21), "--spheres: expected an integer of at least 1 and at most 20"),
        (("--spheres", "many"), "--spheres: expected an integer"),
        (("--start", 1.5), "--start: expected a number of at least 0 and at most 1"),
        (("--start", 0.2, 0.3, 0.4), "--start: expected no more radii than --spheres 2, found 3"),
        (("--order", 4, 6, 8), "--order: expected one degree, or one for each of --spheres 2, found 3"),
        (("--spheres", "auto", "--order", 4, 6), "--order: expected one degree"),
        (("--fit", "none", "ellipse"), "--fit: expected none alone"),
        (("--fit", "tilt"), "--fit: invalid choice: 'tilt'"),
        (("--method", "integrated", "--spheres", "auto"), "--spheres: expected at most 3 with --method integrated"),
        (("--method", "integrated", "--mask", "mask.toml"), "--mask does not apply to --method integrated"),
        (("--method", "resnet", "--raw", "--fit", "none"), "--fit does not apply to --method resnet --raw"),
    ],
)
def test_options_that_contradict_are_refused(rings, tmp_path, capsys, options, message):
    with pytest.raises(SystemExit) as caught:
        answer(rings, tmp_path / "final.h5", *options)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_more_spheres_than_the_hits_hold_are_refused(rings, tmp_path):
    with pytest.raises(InputError, match="spheres"):
        answer(rings, tmp_path / "final.h5", "--spheres", 9, "--order", 4)
    assert not (tmp_path / "final.h5").exists()


def test_the_edge_of_a_plate_is_told_and_what_lies_beyond_is_blind_unless_it_is_to_be_seen(tmp_path):
    rng = np.random.default_rng(434)
    x, z = np.concatenate((effects.design(100_000, rng=rng), rng.uniform(-1, 1, (2, 30_000))), axis=1)
    lit = np.hypot(x - 0.05, z) < 0.9
    imported(tmp_path / "shards", np.stack((x, z))[:, lit])
    printed = [answer(tmp_path / "shards", tmp_path / f"{plate}.h5", "--plate", plate) for plate in ("auto", "none")]
    (line,) = [line for line in printed[0].splitlines() if "sharp circle" in line]
    radius, x, z = (float(number) for number in re.findall(r"(?:radius|x =|z =) ([\d.]+)", line))
    assert (radius, x, z) == pytest.approx((180, 209.5, 199.5), abs=1.5)
    assert "sharp circle" not in printed[1]
    background = nuisances(tmp_path / "auto.h5")["background"]
    assert background["Value"] == pytest.approx(30_000 * np.pi / 4, abs=4 * background["Error"])
    assert [read_made_by(tmp_path / f"{plate}.h5").settings.plate for plate in ("auto", "none")] == ["auto", "none"]
