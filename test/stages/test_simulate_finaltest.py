"""The simulated run: the same file from any number of workers, whole or not there at all."""

import dataclasses
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest

from src import simulate_finaltest
from support import ROOT
from support.param import EXPERIMENT
from support.processes import messages, stage, start, wait_until
from util.camera.exposure import counts_kind
from util.camera.phosphor import detector_to_pixel
from util.frames.course_file import FrameFile, frame_dtype
from util.runtime import settings
from util.runtime.errors import InputError
from util.simulation.simulated_detector import SimulatedDetector
from util.simulation.truth_tables import (
    DETECTED_DTYPE,
    GENERATED_DTYPE,
    read_detected_electrons,
    read_truth,
    truth_dtype,
)

DETECTORS = ROOT / "param" / "detectors"
SMALL = [*EXPERIMENT, "--frame-shape", "128", "128"]  # spots of one pixel


def run(output, *options, workers=1, frames=8):
    argv = ["--output", output, *SMALL, "--frames", frames, "--workers", workers, *options]
    simulate_finaltest.main([str(word) for word in argv])
    return Path(output)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def begin(output, *options, **how):
    return start(stage("simulate_finaltest", "--output", output, *options), **how)


def living(group):
    """List the processes of a process group that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = stat.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(pgrp) == group and state != "Z":
            found.append(int(stat.parent.name))
    return found


def test_file_is_the_same_for_any_number_of_workers(tmp_path):
    options = ("--camera-noise", 1.0, "--detector", DETECTORS / "p20.toml", "--seed", 3)
    digests = {digest(run(tmp_path / f"{workers}.h5", *options, workers=workers, frames=250)) for workers in (1, 2, 3)}
    assert len(digests) == 1
    assert digest(run(tmp_path / "other.h5", "--camera-noise", 1.0, "--seed", 4, frames=250)) not in digests


def test_frames_of_an_ideal_detector_are_what_they_always_were(tmp_path):
    simulate_finaltest.main(["--output", str(tmp_path / "f.h5"), *EXPERIMENT, "--frames", "3", "--workers", "1"])
    found = hashlib.sha256()
    with h5py.File(tmp_path / "f.h5") as file:
        for table in ("DetectedElectrons", "FinalImage", "GeneratedElectrons", "Truth"):
            found.update(file[table][()].tobytes())
    assert found.hexdigest() == "90bfad05e765cb6092d8def219bf30062bcb2a4ec37e4884909023048dd03af0"


def frames_of(path):
    with FrameFile(path) as file:
        return np.array([frame for _, frame in file.rows()])


def test_every_frame_shows_the_afterglow_of_the_last_ones_whoever_took_them(tmp_path):
    few = ("--electrons", 1, 1)
    plain = frames_of(run(tmp_path / "plain.h5", *few, frames=103)).astype(float)
    glowing = frames_of(run(tmp_path / "glow.h5", *few, "--detector", DETECTORS / "p20.toml", frames=103))
    parts = 1.0, *settings.load(SimulatedDetector, DETECTORS / "p20.toml").imperfections.afterglow
    for frame in (1, 99, 100, 101):
        wanted = sum(part * plain[frame - last] for last, part in enumerate(parts) if last <= frame)
        assert glowing[frame] == pytest.approx(wanted, abs=1.3)


@pytest.mark.parametrize("path", sorted(DETECTORS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_detector_that_ships_takes_frames(tmp_path, path):
    frames = frames_of(run(tmp_path / "f.h5", "--detector", path, frames=2))
    detector = settings.load(SimulatedDetector, path)
    assert frames.dtype == counts_kind(detector.saturation)
    assert np.median(frames) == pytest.approx(detector.background[0], abs=2)
    assert frames.max() > 60


def test_electrons_are_told_where_they_would_fall_on_an_ideal_detector(tmp_path):
    wanting = """
        distortion = 0.05
        drift = { x = 12.0, rate = -1.0 }
        imperfections = { efficiency = [{ x = 0, z = 1, size = 0.5 }] }
    """
    (tmp_path / "d.toml").write_text(textwrap.dedent(wanting))
    path = run(tmp_path / "f.h5", "--electrons", 5, 5, "--detector", tmp_path / "d.toml", frames=60)
    electrons, frames = read_detected_electrons(path), frames_of(path)
    with h5py.File(path) as file:
        own = file["GeneratedElectrons"][:][electrons["ElectronId"]]
    assert np.allclose(electrons["z"], own["r"] * own["costheta"])
    detector = settings.load(SimulatedDetector, tmp_path / "d.toml")
    pitch = 2 / 128
    x, z = detector.seen_at(electrons["x"], electrons["z"], (electrons["ImageId"] + 0.5) / 60, pitch)
    i, k = (np.floor((position + 1) / pitch).astype(int) for position in (x, z))
    assert frames[electrons["ImageId"], i, k].min() > 30
    assert np.abs(x - electrons["x"]).max() > 5 * pitch
    assert electrons["z"].mean() > 0.05
    assert np.mean(electrons["ImageId"]) < 28
    assert len(electrons) < 60 * 10 * 0.67


def test_file_has_the_courses_datasets_and_says_how_it_was_made(tmp_path):
    path = run(tmp_path / "f.h5", "--electrons", 5, 7, "--seed", 11, frames=105)
    with h5py.File(path) as file:
        assert file["FinalImage"].dtype == frame_dtype((128, 128))
        assert file["Truth"].dtype == truth_dtype(12)
        assert file["GeneratedElectrons"].dtype == GENERATED_DTYPE
        assert file["DetectedElectrons"].dtype == DETECTED_DTYPE
        assert np.array_equal(file["FinalImage"]["ImageId"], np.arange(105))
        generated, detected = file["GeneratedElectrons"][:], file["DetectedElectrons"][:]
        assert file.attrs["seed"] == 11
        made_with = json.loads(file.attrs["settings"])
        assert set(json.loads(file.attrs["versions"])) == {"python", "numpy", "numba", "h5py", "hdf5"}
    assert made_with["phosphor"]["frame_shape"] == [128, 128]
    assert made_with["experiment"]["frames"] == 105
    assert np.array_equal(generated["ElectronId"], np.arange(105 * 12))
    assert np.bincount(generated["SphereId"]).tolist() == [105 * 5, 105 * 7]
    # Whatever was generated is detected once, in the frame it belongs to, at its own height.
    assert np.array_equal(np.sort(detected["ElectronId"]), generated["ElectronId"])
    assert np.array_equal(np.bincount(detected["ImageId"]), np.full(105, 12))
    own = generated[detected["ElectronId"]]
    assert np.allclose(detected["z"], own["r"] * own["costheta"])
    assert (np.hypot(detected["x"], detected["z"]) <= own["r"] + 1e-12).all()
    assert [sphere.electrons_per_frame for sphere in read_truth(path)] == [5, 7]


def unexplained_light(path, shape):
    """Return the frames, with the surroundings of each detected electron made dark; each must have lit its own."""
    recipe = simulate_finaltest.resolve(simulate_finaltest.parse_args(["--output", "x", *EXPERIMENT]))[1]
    recipe = dataclasses.replace(recipe, frame_shape=shape)
    reach = 2 + round(4 * recipe.sigma.mean / recipe.pitch)
    electrons = read_detected_electrons(path)
    with FrameFile(path) as file:
        assert file.frame_shape == shape
        for image_id, frame in file.rows():
            rest = frame.copy()
            own = electrons[electrons["ImageId"] == image_id]
            for x, z in zip(
                detector_to_pixel(recipe, own["x"], 0), detector_to_pixel(recipe, own["z"], 1), strict=True
            ):
                i, k = (min(max(round(float(c)), 0), n - 1) for c, n in zip((x, z), shape, strict=True))
                assert frame[i, k] > 30
                rest[max(i - reach, 0) : i + reach + 1, max(k - reach, 0) : k + reach + 1] = 0
            yield rest


def test_frames_show_the_detected_electrons_and_no_others(tmp_path):
    path = run(tmp_path / "f.h5", "--frame-shape", 256, 256, "--electrons", 1, 2, frames=20)
    assert not any(rest.any() for rest in unexplained_light(path, (256, 256)))
    with h5py.File(path, "r+") as file:  # the check must be able to fail
        moved = file["DetectedElectrons"][:]
        moved["ImageId"] = 0
        moved["ImageId"][0] = 1
        file["DetectedElectrons"][:] = moved
    with pytest.raises(AssertionError):
        list(unexplained_light(path, (256, 256)))


def test_electrons_that_miss_the_screen_are_neither_detected_nor_seen(tmp_path):
    path = run(tmp_path / "f.h5", "--frame-shape", 64, 128, "--electrons", 4, 4, frames=100)  # x within +-0.5
    detected = read_detected_electrons(path)
    with h5py.File(path) as file:
        generated = len(file["GeneratedElectrons"])
    assert 0.5 * generated < len(detected) < 0.95 * generated
    assert np.abs(detected["x"]).max() <= 0.5 < np.abs(detected["z"]).max()
    assert not any(rest.any() for rest in unexplained_light(path, (64, 128)))


def test_file_made_with_the_same_settings_is_kept_and_another_is_not_replaced(tmp_path, capsys):
    path = run(tmp_path / "f.h5")
    before = path.stat().st_mtime_ns, digest(path)
    run(path, workers=2)
    assert "already there" in capsys.readouterr().out
    for options in (("--seed", 1), ("--camera-noise", 1)):
        with pytest.raises(InputError, match=r"f\.h5: exists, made with other settings \(seed 0\); add --overwrite"):
            run(path, *options)
    assert (path.stat().st_mtime_ns, digest(path)) == before
    run(path, "--seed", 1, "--overwrite")
    assert digest(path) != before[1]
    with h5py.File(path, "r+") as file:
        del file.attrs["seed"]
    with pytest.raises(InputError, match="exists, made elsewhere"):
        run(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--electrons", "43"], "--electrons: expected 2 values, one for each sphere of --experiment, found 1"),
        (["--radii", "0.5", "0.6", "0.7"], "--radii: expected 2 values"),
        (["--radii", "0.5", "0.99"], "must not exceed 1"),
        (["--sigma-R", "0.01", "0"], "sigma_R must be above 0"),
        (["--frame-shape", "16", "16", "--phosphor", "narrow.toml"], "sigma.mean must be at least 0.1 pixel"),
        (["--frames", "2000000000"], "more electrons than ElectronId can count"),
        (["--experiment", "none.toml"], "none.toml: no such settings file"),
        (["--detector", "narrow.toml"], "narrow.toml: unknown key 'frame_shape'; known here: A, noise, background"),
    ],
)
def test_contradicting_settings_are_refused_before_any_work(tmp_path, monkeypatch, options, message):
    published = (ROOT / "param/phosphor.toml").read_text()
    monkeypatch.chdir(tmp_path)
    Path("narrow.toml").write_text(published.replace("mean = 0.015", "mean = 0.005"))
    with pytest.raises(InputError, match=message):
        run(tmp_path / "f.h5", *options)
    assert [file.name for file in tmp_path.iterdir()] == ["narrow.toml"]


@pytest.mark.parametrize(
    "options",
    [
        ["--frames", "0"],
        ["--frames", "1.5"],
        ["--electrons", "0", "3"],
        ["--camera-noise", "-1"],
        ["--camera-noise", "nan"],
        ["--frame-shape", "8", "8"],
        ["--seed", "-1"],
        ["--workers", "0"],
        ["--no-such-option"],
    ],
)
def test_options_out_of_range_end_with_status_two(tmp_path, options, capsys):
    with pytest.raises(SystemExit) as ended:
        run(tmp_path / "f.h5", *options)
    assert ended.value.code == 2
    assert options[0] in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_disk_without_room_is_refused_before_any_work(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=10_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError, match=r"f\.h5: expected room for about 1 MB, found 0 MB free; make room"):
        run(tmp_path / "f.h5", frames=100)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999], ids=["at once", "half way", "on closing"])
def test_disk_that_fills_up_ends_in_one_line_and_leaves_nothing(tmp_path, share):
    size = run(tmp_path / "whole.h5", frames=300).stat().st_size
    (tmp_path / "whole.h5").unlink()
    limit = int(share * size)
    program = begin(
        tmp_path / "f.h5",
        *SMALL,
        *("--frames", 300, "--workers", 1 if share < 0.9 else 2),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    _, stderr = program.communicate(timeout=60)
    assert program.returncode == 2, stderr
    (line,) = messages(stderr)
    assert line.startswith(f"error: {tmp_path / 'f.h5'}: cannot be written (File too large); make room")
    assert not list(tmp_path.iterdir())
    wait_until(lambda: not living(program.pid))


def size_of_partial_file(folder):
    """Return the bytes of the file that is being written, in a folder of its own; -1 before it is there."""
    return max((path.stat().st_size for path in folder.glob(".*.partial/f.h5")), default=-1)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("when", ["at the start", "at work"])
def test_interrupt_ends_everything_quietly_and_leaves_nothing(tmp_path, workers, when):
    command = stage("simulate_finaltest", "--output", tmp_path / "f.h5", *EXPERIMENT, "--frames", 20000)
    # Python itself, between opening a file and giving it a name, loses it to an interrupt; it is closed all the same.
    command[3:3] = ["-W", "ignore::ResourceWarning"]
    program = start([*command, "--workers", workers])
    enough = 0 if when == "at the start" else 5e6  # at the start: the file is there, the workers are not
    wait_until(lambda: size_of_partial_file(tmp_path) >= enough)
    os.killpg(program.pid, signal.SIGINT)  # as the terminal does
    _, stderr = program.communicate(timeout=30)
    assert program.returncode == 130, stderr
    said = messages(stderr)
    assert [line.partition(":")[0] for line in said] == ["interrupted"], stderr
    assert not list(tmp_path.iterdir())
    wait_until(lambda: not living(program.pid))


def test_workers_end_when_their_parent_is_killed(tmp_path):
    program = start(
        stage("simulate_finaltest", "--output", tmp_path / "f.h5", *EXPERIMENT, "--frames", 20000, "--workers", 2)
    )
    wait_until(lambda: size_of_partial_file(tmp_path) >= 5e6)
    assert len(living(program.pid)) >= 3
    program.kill()
    program.communicate(timeout=30)
    wait_until(lambda: not living(program.pid))
    assert not (tmp_path / "f.h5").exists()


def test_script_takes_its_settings_from_the_environment_and_the_callers_folder(tmp_path):
    environment = os.environ | {"DATA_DIR": "here", "SEED": "9", "WORKERS": "1"}
    done = subprocess.run(
        [ROOT / "script/simulate_finaltest.sh", "--frames", "3", "--frame-shape", "64", "64"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "3 frames" in done.stdout
    with h5py.File(tmp_path / "here" / "finaltest.h5") as file:
        assert file.attrs["seed"] == 9
