"""Files that are whole and hold nonsense: refused before anything is allocated, never taken for data."""

import dataclasses
import io
import json
import zipfile

import h5py
import numpy as np
import pytest
import torch

from src.network.checkpoint import TrainingState, write_checkpoint
from src.network.weights import read_facts
from support.faults import refusal
from support.inputs import INPUTS, SHAPE
from support.networks import facts_of
from support.param import prior_named
from util.electrons.shards import read_shard
from util.finder.finder import EVENT
from util.frames.course_file import FRAMES
from util.runtime import memory
from util.runtime.errors import InputError
from util.runtime.input_file import MOST_TEXT

SHARD = "final_0_10.npz"


def refused(name, path):
    """Return the line that refuses a file; one that was read is a silent loss."""
    line = refusal(INPUTS[name].read, path)
    assert line is not None, f"{path} was read"
    return line


@pytest.fixture
def shard(whole):
    """Return the arrays of a whole shard, to be changed."""
    with np.load(whole[SHARD]) as archive:
        return dict(archive)


def one(field, value):
    def change(arrays):
        arrays["events"][field][3] = value

    return change


def alone(name, value, index=(500, 500)):
    def change(arrays):
        del arrays["events"]
        arrays[name][index] = value

    return change


def put(name, value):
    return lambda arrays: arrays.__setitem__(name, value)


ARRAYS = {
    **{f"{field} {value}": one(field, value) for field in ("x", "z") for value in (-5, 2.5, np.nan, np.inf)},
    **{f"{field} {value}": one(field, value) for field in ("weight", "flux") for value in (-1, np.nan, np.inf)},
    **{f"{field} {value}": one(field, value) for field in ("A", "sigma", "rho") for value in (np.nan, -np.inf)},
    **{f"distribution {value}": alone("distribution", value) for value in (-1, np.nan, np.inf, 1e30)},
    "counts -1": alone("counts", -1),
    "counts of more than all events": lambda arrays: arrays["counts"].__setitem__((0, 0), 10**6),
    "counts of another type": lambda arrays: arrays.update(counts=arrays["counts"].astype(np.float32)),
    "distribution of another size": put("distribution", np.zeros((10, 10), np.float32)),
    "no distribution": lambda arrays: arrays.pop("distribution"),
    "no facts": lambda arrays: arrays.pop("facts"),
    "facts of numbers": put("facts", np.arange(3)),
    "facts of bytes": put("facts", np.array(b"{}")),
    "an unknown member": put("more", np.zeros(3)),
    "an image that nobody told of": put("image", np.zeros((4, 4), np.float32)),
    "events in two dimensions": put("events", np.zeros((2, 2), EVENT)),
    "events of other fields": put("events", np.zeros(2, [*EVENT.descr, ("more", "f4")])),
    "events of another type": put("events", np.zeros(2, [("ImageId", "f4"), *EVENT.descr[1:]])),
}


@pytest.mark.parametrize("change", ARRAYS.values(), ids=ARRAYS)
def test_a_shard_of_nonsense_is_refused(tmp_path, shard, change):
    change(shard)
    np.savez(tmp_path / SHARD, **shard)
    assert "not a whole shard" in refused(SHARD, tmp_path / SHARD)


NONSENSE = {
    "text": "7",
    "null": None,
    "true": True,
    "below nothing": -1,
    "more than 64 bits": 10**30,
    "list": [],
    "nested": json.loads("[" * 50 + "]" * 50),
    "table": {"a": 1},
}
NUMBERS = ("start", "stop", "frames_in_source", "squared_weights")


@pytest.mark.parametrize("value", NONSENSE.values(), ids=NONSENSE)
@pytest.mark.parametrize("key", [*NUMBERS, "settings", "counts_of_frames"])
def test_facts_of_another_type_or_size_are_refused(tmp_path, shard, key, value):
    facts = json.loads(str(shard["facts"]))
    shard["facts"] = np.array(json.dumps(facts | {key: value}))
    np.savez(tmp_path / SHARD, **shard)
    refused(SHARD, tmp_path / SHARD)


TEXTS = {
    "nested": "[" * 10_000 + "]" * 10_000,
    "nan": '{"start": NaN}',
    "infinity": '{"start": -Infinity}',
    "digits": '{"start": ' + "9" * 5000 + "}",
    "nothing": "",
    "a number": "3",
    "settings of nothing": '{"settings": {}}',
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("name", [SHARD, "weights.json", "some.weights.pt", "samples.h5", "final.h5"])
def test_facts_that_are_none_are_refused(tmp_path, whole, shard, name, text):
    path = tmp_path / name
    path.write_bytes(whole[name].read_bytes())
    if path.suffix == ".h5":
        with h5py.File(path, "a") as file:
            del file["MadeBy"]
            file["MadeBy"] = text
    elif path.suffix == ".pt":
        torch.save({"tensors": {}, "facts": text}, path)
    elif path.suffix == ".json":
        path.write_text(text)
    else:
        np.savez(path, **shard | {"facts": np.array(text)})
    refused(name, path)


def header(shape, descr="<f8"):
    """Return an array's header without its content."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"shape": shape, "fortran_order": False, "descr": descr})
    return stream.getvalue()


@pytest.mark.parametrize("shape", [(5 * 10**9,), (10**6, 10**6), (2**62, 4), (-1,), (3, 2)])
@pytest.mark.parametrize("name", ["image.npy", "events.npy", "events.npz", SHARD])
def test_an_array_that_declares_more_than_is_there_is_refused(tmp_path, shard, name, shape):
    content = header(shape) + bytes(40)
    if name.endswith(".npy"):
        (tmp_path / name).write_bytes(content)
    else:
        np.savez(tmp_path / name, **{"counts": shard["counts"], "facts": shard["facts"]})
        with zipfile.ZipFile(tmp_path / name, "a") as archive:
            archive.writestr("distribution.npy", content)
    refused(name, tmp_path / name)


DECLARED = [
    *(("truth.h5", table) for table in ("Truth", "GeneratedElectrons", "DetectedElectrons")),
    *(("training.h5", table) for table in ("DistributionParameters", "GeneratedElectrons", "DetectedElectrons")),
    *(("samples.h5", table) for table in ("inputs", "labels", "Rs", "sigma_Rs", "electrons", "MadeBy")),
    *(("final.h5", table) for table in ("Answer", "Parameters", "Tests", "Covariance", "MadeBy")),
    *(
        ("events.h5", "table"),
        ("columns.h5", "x"),
        ("image.h5", "image"),
        ("course.h5", FRAMES),
        ("plain.h5", "images"),
    ),
]


@pytest.mark.parametrize("layout", ["chunked", "in one piece"])
@pytest.mark.parametrize(("name", "dataset"), DECLARED)
def test_what_was_declared_and_never_written_is_refused(tmp_path, whole, name, dataset, layout):
    path = tmp_path / name
    path.write_bytes(whole[name].read_bytes())
    with h5py.File(path, "a") as file:
        shape, kind = file[dataset].shape, file[dataset].dtype
        del file[dataset]
        file.create_dataset(dataset, shape, kind, chunks=True if layout == "chunked" and shape else None)
    assert "never written" in refused(name, path)


@pytest.mark.parametrize(("name", "dataset"), [pair for pair in DECLARED if pair[1] != "MadeBy"])
def test_more_rows_than_any_memory_holds_are_refused(tmp_path, whole, name, dataset):
    path = tmp_path / name
    path.write_bytes(whole[name].read_bytes())
    with h5py.File(path, "a") as file:
        shape, kind = file[dataset].shape, file[dataset].dtype
        del file[dataset]
        file.create_dataset(dataset, (10**12, *shape[1:]), kind, chunks=(1, *shape[1:]))[0] = np.zeros((), kind)
    refused(name, path)


def test_a_table_that_is_there_and_larger_than_the_memory_is_refused(whole, monkeypatch):
    monkeypatch.setattr(memory, "_memory", lambda: 1000)
    assert "expected at most 0.0 GB, half of this machine's memory" in refused("training.h5", whole["training.h5"])
    for name in ("image.npy", SHARD, "some.weights.pt"):
        assert "half of this machine's memory" in refused(name, whole[name])


@pytest.mark.parametrize("number", [2**31, 2**40, -(2**31) - 1])
def test_an_image_id_beyond_32_bits_is_refused(tmp_path, number):
    rows = np.zeros(3, [("ImageId", "<i8"), ("Image", "u1", SHAPE)])
    rows["ImageId"] = 0, number, 2
    with h5py.File(tmp_path / "course.h5", "w") as file:
        file[FRAMES] = rows
    assert f"frame 1: expected an ImageId of 32 bits, found {number}" in refused("course.h5", tmp_path / "course.h5")


@pytest.mark.parametrize("shape", [(1, 200_000, 200_000), (1, 40_000, 16)])
def test_a_frame_of_gigapixels_is_refused(tmp_path, shape):
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        images = file.create_dataset("images", shape, "u2", chunks=(1, 16, 16))
        images[0, :16, :16] = 1
    line = refused("plain.h5", tmp_path / "plain.h5")
    assert "expected frames of 1 to 32768 pixels each way" in line or "along axis" in line


@pytest.mark.parametrize("name", ["finder.toml", "weights.json"])
def test_a_text_larger_than_any_is_refused(tmp_path, name):
    with (tmp_path / name).open("wb") as file:
        file.truncate(MOST_TEXT + 1)
    assert "expected at most 64 MB of text, found 64" in refused(name, tmp_path / name)


TENSORS = {
    "a list": [torch.zeros(3)],
    "not finite": {"a": [torch.tensor([1.0, np.nan])]},
    "infinite": {"a": {"b": torch.tensor([np.inf])}},
}


@pytest.mark.parametrize("tensors", TENSORS.values(), ids=TENSORS)
def test_tensors_that_are_none_are_refused(tmp_path, whole, tensors):
    path = tmp_path / "some.weights.pt"
    text = torch.load(whole[path.name], weights_only=True)["facts"]
    torch.save({"tensors": tensors, "facts": text}, path)
    assert "expected a checkpoint of run_model.sh, found none" in refused(path.name, path)


@pytest.mark.parametrize("tensors", [{}, {"net": {}, "average": {}, "optimiser": {}}, {"net": 3}])
def test_a_checkpoint_of_another_network_is_refused(tmp_path, tensors):
    net = torch.nn.Linear(2, 2)
    state = TrainingState(net, torch.optim.swa_utils.AveragedModel(net), None, None)
    with pytest.raises(InputError, match=r"c\.pt: expected a checkpoint of this network, found another .*--restart"):
        state.load(tensors, tmp_path / "c.pt")


def test_bytes_that_are_no_text_in_an_answer_are_refused(tmp_path, whole):
    path = tmp_path / "final.h5"
    path.write_bytes(whole["final.h5"].read_bytes())
    with h5py.File(path, "a") as file:
        rows = file["Tests"][()]
        del file["Tests"]
        rows["Text"][0] = b"\xff\xfe"
        file["Tests"] = rows
    assert "Tests: expected text, found bytes that are none" in refused("final.h5", path)


def test_weights_beyond_a_training_are_refused(tmp_path):
    facts = dataclasses.replace(facts_of(prior_named("fine_tuning")), seed=2**70)
    write_checkpoint(tmp_path / "w.pt", {}, facts)
    assert "at 'seed', found" in refusal(read_facts, tmp_path / "w.pt")


def test_a_shard_without_events_is_told_by_its_squared_weights(tmp_path, shard):
    del shard["events"]
    np.savez(tmp_path / SHARD, **shard)
    assert read_shard(tmp_path / SHARD).events is None
    facts = json.loads(str(shard["facts"]))
    for nonsense in (0.0, 1e300):
        shard["facts"] = np.array(json.dumps(facts | {"squared_weights": nonsense}))
        np.savez(tmp_path / SHARD, **shard)
        assert "expected squared_weights of" in refused(SHARD, tmp_path / SHARD)
