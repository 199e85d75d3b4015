"""Every kind of file that a program reads: a small whole one, and the reader that must bear whatever becomes of it."""

import bz2
import gzip
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pyarrow
import pyarrow.parquet
import tifffile
import torch
from PIL import Image

from src.network.checkpoint import write_checkpoint
from src.network.dataset import SamplesMadeBy, fresh_samples, read_made_by, read_samples, write_samples
from src.network.weights import read_facts
from src.spot_classifier.patches import GaussTasks
from support import ROOT
from support.networks import facts_of
from support.param import INPUT, PARAM, prior_named
from support.shards import events_at, shard_of
from util.answer import final_h5
from util.camera.phosphor import PhosphorRecipe
from util.electrons.shards import read_shard, write_shard
from util.entries.efficiency import Shapes
from util.entries.event_file import open_events
from util.entries.image_file import read_image
from util.finder.finder import FinderSettings
from util.frames.course_file import FRAMES, frame_dtype
from util.frames.open import open_frames
from util.report import html
from util.runtime import settings
from util.runtime.facts import to_json
from util.simulation import training_tables
from util.simulation.truth_tables import (
    DETECTED,
    DETECTED_DTYPE,
    GENERATED,
    GENERATED_DTYPE,
    TRUTH,
    read_detected_electrons,
    read_generated_electrons,
    read_truth,
    truth_dtype,
)
from util.spectrum.energy import CalibrationFile
from util.training.map_inversion import InputSettings
from util.training.priors import Prior
from util.training.recipe import TrainingStages
from util.training.released import Manifest, read_manifest

SHAPE = (20, 30)
ROWS = 40
_RNG = np.random.default_rng(0)
_FRAMES = _RNG.integers(1, 200, (12, *SHAPE), np.uint16)
_IMAGE = _RNG.poisson(5, (20, 24)).astype(np.float64)
_TABLE = np.zeros(ROWS, [("x", "f8"), ("y", "f8")])
_TABLE["x"], _TABLE["y"] = _RNG.uniform(0, 100, (2, ROWS))


@dataclass(frozen=True)
class Input:
    """A file's name, a way to write a whole one, a reader, and whether its format shows that a part is missing."""

    name: str
    write: Callable[[Path], object]
    read: Callable[[Path], object]
    tells_cuts: bool = True


def _read_frames(path):
    with open_frames(path) as file:
        file.check_written()
        file.fingerprint()
        return [file.image_ids(), *(frame.sum() for _, frame in file.rows())]


def _hdf5(**datasets):
    def write(path):
        with h5py.File(path, "w") as file:
            for name, data in datasets.items():
                layout = {"chunks": (1, *data.shape[1:]), "compression": "gzip"} if data.size < 1e4 else {}
                file.create_dataset(name, data=data, **layout)

    return write


def _course_file(path):
    rows = np.zeros(12, frame_dtype(SHAPE))
    rows["ImageId"], rows["Image"] = np.arange(12), _FRAMES
    truth = np.array([(0, 0.5, 0.01, [0.1] * 12)], truth_dtype(12))
    generated = np.array([(0, i, 0.5, 0.1) for i in range(ROWS)], GENERATED_DTYPE)
    detected = np.array([(i % 12, i, 0.5, 0.1) for i in range(ROWS)], DETECTED_DTYPE)
    _hdf5(**{FRAMES: rows, TRUTH: truth, GENERATED: generated, DETECTED: detected})(path)


def _training_file(path):
    spheres = np.array([(i, 0.5, 0.01, [0.1] * 12) for i in range(3)], training_tables.distribution_dtype(12))
    generated = np.array([(i % 3, i, 0.5, 0.1) for i in range(ROWS)], training_tables.GENERATED_DTYPE)
    detected = np.array([(i, 0.5, 0.1) for i in range(ROWS)], training_tables.DETECTED_DTYPE)
    _hdf5(**{training_tables.DISTRIBUTIONS: spheres, GENERATED: generated, DETECTED: detected})(path)


def _events():
    events = events_at(*np.random.default_rng(1).uniform(-0.6, 0.6, (2, 50)))
    events["flux"], events["A"], events["sigma"] = 1, 100, 0.015
    return events


def _text(array, **how):
    stream = io.StringIO()
    np.savetxt(stream, array, fmt="%g", **how)
    return stream.getvalue().encode()


def _read_events(path):
    file = open_events(path)
    return sum(chunk.shape[1] for chunk in file.chunks(range(len(file.names))))


def _read_answer(path):
    final_h5.read_answer(path), final_h5.read_made_by(path)
    return html.headline(path), html.betas(path), html.checks(path)


def _write_samples(path):
    prior = prior_named("fine_tuning")
    made_by = SamplesMadeBy(prior, INPUT, "poisson", 0, 2)
    write_samples(path, fresh_samples(prior, INPUT, 2, rng=np.random.default_rng(0)), made_by)


def _write_weights(path):
    write_checkpoint(path, {"a": torch.zeros(5)}, facts_of(prior_named("fine_tuning")))


def _toml(name, cls, text=None):
    content = (PARAM / name).read_bytes() if text is None else text.encode()
    return Input(name, lambda path: path.write_bytes(content), lambda path: settings.load(cls, path), False)


_COLUMNS = np.stack((_TABLE["x"], _TABLE["y"]), axis=1)
_CALIBRATION = "photon_energy = 2.33\n[[line]]\nradius = 0.4\nenergy = 0.5\n[[line]]\nradius = 0.6\nenergy = 1.1\n"
_MASK = "[[circle]]\nx = 3.0\nz = 4.0\nradius = 5.0\n[[rectangle]]\nx = [1.0, 2.0]\nz = [3.0, 4.0]\n"

FRAME_FILES = (
    Input("course.h5", _course_file, _read_frames),
    Input("plain.h5", _hdf5(images=_FRAMES), _read_frames),
    Input("frames.tif", lambda path: tifffile.imwrite(path, _FRAMES, photometric="minisblack"), _read_frames),
    Input("imagej.tif", lambda path: tifffile.imwrite(path, _FRAMES, imagej=True), _read_frames),
    Input("frame.png", lambda path: Image.fromarray(_FRAMES[0].astype(np.uint8)).save(path), _read_frames),
)
ENTRIES = (
    Input("image.npy", lambda path: np.save(path, _IMAGE), read_image),
    Input("image.txt", lambda path: path.write_bytes(_text(_IMAGE)), read_image, False),
    Input("image.txt.gz", lambda path: path.write_bytes(gzip.compress(_text(_IMAGE))), read_image),
    Input("image.tif", lambda path: tifffile.imwrite(path, _IMAGE.astype(np.float32)), read_image),
    Input("image.png", lambda path: Image.fromarray(_IMAGE.astype(np.uint8)).save(path), read_image),
    Input("image.h5", _hdf5(image=_IMAGE), read_image),
    Input("events.npy", lambda path: np.save(path, _TABLE), _read_events),
    Input("events.npz", lambda path: np.savez_compressed(path, x=_TABLE["x"], y=_TABLE["y"]), _read_events),
    Input("events.csv", lambda path: path.write_bytes(_text(_COLUMNS, header="x y", comments="")), _read_events, False),
    Input("events.csv.bz2", lambda path: path.write_bytes(bz2.compress(_text(_COLUMNS))), _read_events),
    Input("events.h5", _hdf5(table=_TABLE), _read_events),
    Input("columns.h5", _hdf5(x=_TABLE["x"], y=_TABLE["y"]), _read_events),
    Input(
        "events.parquet",
        lambda path: pyarrow.parquet.write_table(pyarrow.table({"x": _TABLE["x"], "y": _TABLE["y"]}), path),
        _read_events,
    ),
)
OWN = (
    Input("final_0_10.npz", lambda path: write_shard(path, shard_of(_events())), read_shard),
    Input("truth.h5", _course_file, lambda p: (read_truth(p), read_detected_electrons(p), read_generated_electrons(p))),
    Input("training.h5", _training_file, training_tables.read_tables),
    Input("samples.h5", _write_samples, lambda path: (read_made_by(path), read_samples(path))),
    Input("final.h5", lambda p: p.write_bytes((ROOT / "data/sample/final.h5").read_bytes()), _read_answer),
    Input("some.weights.pt", _write_weights, read_facts),
    Input("weights.json", lambda path: path.write_text(to_json(Manifest("", ()))), read_manifest),
)
SETTINGS = (
    _toml("finder.toml", FinderSettings),
    _toml("phosphor.toml", PhosphorRecipe),
    _toml("pretraining.toml", Prior),
    _toml("training.toml", TrainingStages),
    _toml("network_input.toml", InputSettings),
    _toml("gauss.toml", GaussTasks),
    _toml("mask.toml", Shapes, _MASK),
    _toml("calibration.toml", CalibrationFile, _CALIBRATION),
)
INPUTS = {each.name: each for each in (*FRAME_FILES, *ENTRIES, *OWN, *SETTINGS)}
