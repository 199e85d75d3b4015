"""Lists of events are streamed from every format, and their columns are found or asked for."""

import bz2
import re

import h5py
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from util.entries import event_file
from util.entries.event_columns import Columns, choose_columns
from util.entries.event_file import open_events
from util.runtime.errors import InputError

NAMES = ("frame", "x", "y", "weight")
RNG = np.random.default_rng(8)
ROWS = np.column_stack([np.arange(60) // 7, *RNG.uniform(0, 99, (2, 60)).round(3), RNG.uniform(0.5, 2, 60).round(2)])
ROWS[17, 1] = np.nan
STRUCTURED = np.array([tuple(row) for row in ROWS.tolist()], [(name, "f8") for name in NAMES])


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Read a few rows at a time."""
    monkeypatch.setattr(event_file, "CHUNK_ROWS", 7)
    monkeypatch.setattr(event_file, "CHUNK_BYTES", 200)


def lines(separator, *, head=True, missing="nan"):
    rows = [[f"{value:g}" if np.isfinite(value) else missing for value in row] for row in ROWS]
    text = [separator.join(words) for words in ([list(NAMES)] if head else []) + rows]
    return "\n".join([*text[:20], "# a remark", "", *text[20:]]) + "\n"


def write_columns(path):
    with h5py.File(path, "w") as file:
        for name, values in zip(NAMES, ROWS.T, strict=True):
            file[f"events/{name}"] = values


def write_table(path):
    with h5py.File(path, "w") as file:
        file["run/table"] = STRUCTURED


def write_frame(path):
    """Write as pandas does in its fixed format."""
    order = [2, 3, 0, 1]
    with h5py.File(path, "w") as file:
        file["events/axis0"] = file["events/block0_items"] = np.array([NAMES[k].encode() for k in order])
        file["events/axis1"] = np.arange(len(ROWS))
        file["events/block0_values"] = ROWS[:, order]


WRITERS = {
    "comma.csv": lambda path: path.write_text(lines(",", missing="")),
    "blank after comma.csv": lambda path: path.write_text(lines(", ")),
    "semicolon.csv": lambda path: path.write_text(lines(";")),
    "tab.tsv": lambda path: path.write_text(lines("\t", missing="")),
    "white space.txt": lambda path: path.write_text(" " + lines("   ").replace("\n", " \n  ")),
    "windows.csv": lambda path: path.write_bytes(lines(",").replace("\n", "\r\n").encode()),
    "windows.txt": lambda path: path.write_bytes(lines(" ").replace("\n", "\r\n").encode()),
    "head in a comment.txt": lambda path: path.write_text(
        f"# made today\n# {' '.join(NAMES)}\n{lines(' ', head=False)}"
    ),
    "old mac.csv": lambda path: path.write_bytes(lines(",").replace("\n", "\r").encode()),
    "old mac.txt.bz2": lambda path: path.write_bytes(bz2.compress(lines(" ").replace("\n", "\r").encode())),
    "marked.csv": lambda path: path.write_text(lines(","), "utf-8-sig"),
    "small.csv.bz2": lambda path: path.write_bytes(bz2.compress(lines(",").encode())),
    "no end of line.csv": lambda path: path.write_text(lines(",").rstrip() + "\n# the end"),
    "table.npy": lambda path: np.save(path, STRUCTURED),
    "columns.npz": lambda path: np.savez(path, **dict(zip(NAMES, ROWS.T, strict=True))),
    "packed.npz": lambda path: np.savez_compressed(path, **dict(zip(NAMES, ROWS.T, strict=True))),
    "columns.h5": write_columns,
    "table.h5": write_table,
    "pandas.h5": write_frame,
    "table.parquet": lambda path: pyarrow.parquet.write_table(
        pyarrow.table(dict(zip(NAMES, ROWS.T, strict=True))), path, row_group_size=25
    ),
}


@pytest.mark.parametrize("name", WRITERS)
def test_events_are_streamed_with_their_names_from(tmp_path, name):
    WRITERS[name](tmp_path / name)
    file = open_events(tmp_path / name, "events" if name == "columns.h5" else None)
    assert (sorted(file.names), file.named) == (sorted(NAMES), True)
    columns = choose_columns(file, None)
    assert [file.names[column] for column in columns.read] == ["x", "y", "frame", "weight"]
    for _ in range(2):
        chunks = list(file.chunks(columns.read))
        assert len(chunks) > 3
        np.testing.assert_array_equal(np.concatenate(chunks, axis=1), ROWS[:, [1, 2, 0, 3]].T)


@pytest.mark.parametrize("order", ["C", "F"])
def test_columns_without_names_are_numbered(tmp_path, order):
    np.save(tmp_path / "a.npy", np.array(ROWS, order=order))
    (tmp_path / "a.txt").write_text(lines("  ", head=False))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["events"] = ROWS
    for name in ("a.npy", "a.txt", "a.h5"):
        file = open_events(tmp_path / name)
        assert (file.names, file.named) == (("0", "1", "2", "3"), False)
        columns = choose_columns(file, ["1", "2", "", "3"])
        assert columns == Columns(1, 2, None, 3)
        found = np.concatenate(list(file.chunks(columns.read)), axis=1)
        np.testing.assert_array_equal(found, ROWS[:, [1, 2, 3]].T)
        with pytest.raises(InputError, match=r"found 4 columns without names; name those of the positions"):
            choose_columns(file, None)


def named(*names):
    return event_file.EventFile("a.csv", names, True, lambda _: iter(()))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("y", "x", "mass", "size", "frame"), Columns(1, 0, 4)),  # trackpy
        (("id", "xcentroid", "ycentroid", "flux"), Columns(1, 2)),  # photutils
        (("x_init", "y_init", "x_fit", "y_fit"), Columns(2, 3)),
        (("X [px]", "Y [px]", "Frame", "Weight (electrons)"), Columns(0, 1, 2, 3)),
        (("ImageId", "x", "z", "weight", "flux", "A", "sigma", "rho"), Columns(1, 2, 0, 3)),  # events.h5
    ],
)
def test_columns_are_found_by_the_names_that_programs_give_them(names, expected):
    assert choose_columns(named(*names), None) == expected


@pytest.mark.parametrize(
    ("names", "asked", "message"),
    [
        (("a", "b"), None, "a.csv: expected columns x and y, or x and z, found columns a, b; name those of"),
        (("x", "y", "z"), None, "found columns x, y, z; name those of the positions"),
        (("x", "y"), ["x", "q"], "a.csv: --columns: no column q; there are x, y"),
        (("x", "y"), ["x", "2"], "a.csv: --columns: no column 2; there are x, y"),
        (("x", "y"), ["x", ""], "--columns x,: expected two columns of positions; name both"),
    ],
)
def test_columns_that_are_not_there_are_told_with_those_that_are(names, asked, message):
    with pytest.raises(InputError, match=re.escape(message)):
        choose_columns(named(*names), asked)


def read(path, columns=(0, 1)):
    return list(open_events(path).chunks(columns))


def save_columns(**columns):
    return lambda path: np.savez(path, **columns)


BAD = {
    "nothing.csv": (lambda path: path.write_text("\n"), "expected data, found an empty file"),
    "comments.csv": (lambda path: path.write_text("# x,y\n"), "expected rows of events, found none"),
    "ragged.csv": (lambda path: path.write_text("x,y\n1,2\n1,2,3\n"), "expected rows of 2 values, numbers where they"),
    "ragged.txt": (lambda path: path.write_text("x y\n1 2\n1\n"), "expected rows of 2 values"),
    "words.csv": (lambda path: path.write_text("x,y\n1,2\n1,two\n"), "invalid value 'two'"),
    "quoted.csv": (
        lambda path: path.write_text(f'"x{"y" * 200_000}",z\n1,2\n'),
        "found one that cannot be split (field",
    ),
    "complex.npy": (
        lambda path: np.save(path, ROWS * 1j),
        "column 0: expected integers or real numbers, found complex",
    ),
    "stack.npy": (lambda path: np.save(path, np.zeros((3, 4, 5))), "structured (n,) or of shape (n, k), found float64"),
    "lengths.npz": (save_columns(x=np.zeros(3), y=np.zeros(4)), "all of one length, found x (3,), y (4,)"),
    "matrix.npz": (save_columns(x=np.zeros((3, 2))), "expected one array (n,) per column"),
    "text.npz": (save_columns(x=np.array(["a"]), y=np.zeros(1)), "column x: expected integers or real numbers, found"),
    "cut.npz": (lambda path: path.write_bytes(b"PK\x03\x04 cut short"), "expected a whole file"),
    "cut.parquet": (lambda path: path.write_bytes(b"PAR1 cut short"), "expected a whole file"),
    "image.png": (lambda path: path.write_bytes(b"\x89PNG\r\n"), "expected events as text, NPY, NPZ, HDF5 or Parquet"),
    "pandas.h5": (
        lambda path: h5py.File(path, "w").update({"block0_values": ROWS, "block0_items": np.zeros(3)}),
        "block0_values: expected names of its 4 columns in block0_items, found float64 of shape (3,); save the frame",
    ),
    "missing.csv": (lambda _: None, "no such file; give an existing one"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_holds_no_events_is_refused_in_one_line(tmp_path, name):
    write, message = BAD[name]
    write(tmp_path / name)
    with pytest.raises(InputError, match=re.escape(message)) as told:
        read(tmp_path / name)
    assert str(told.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(told.value)


def test_tables_of_an_hdf5_file_are_told_apart_by_name(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["one"], file["two"] = STRUCTURED, STRUCTURED[:5]
    assert sum(chunk.shape[1] for chunk in open_events(tmp_path / "a.h5", "two").chunks([0])) == 5
    with pytest.raises(InputError, match=r"expected one table of events, found one .*name one with --dataset"):
        open_events(tmp_path / "a.h5")
    with pytest.raises(InputError, match=r"--dataset three: no such table or group; there are one"):
        open_events(tmp_path / "a.h5", "three")
    np.save(tmp_path / "a.npy", ROWS)
    with pytest.raises(InputError, match="--dataset one: expected an HDF5 file, found npy"):
        open_events(tmp_path / "a.npy", "one")
