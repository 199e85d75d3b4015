"""Names of what is to be written: what would be lost is refused before any work."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import h5py
import pytest

from util.runtime.options import Parser, as_options
from util.runtime.output_names import file_name, folder_name, hdf5_file, text_file


def test_the_name_of_a_file_to_write_is_no_folder(tmp_path):
    assert file_name(str(tmp_path / "final.h5")) == tmp_path / "final.h5"
    with pytest.raises(argparse.ArgumentTypeError, match="expected the name of a file, found a folder"):
        file_name(str(tmp_path))


def test_a_folder_to_write_to_is_no_file_and_lies_in_none(tmp_path):
    file = tmp_path / "final.h5"
    file.touch()
    assert folder_name(str(tmp_path / "new" / "figures")) == tmp_path / "new" / "figures"
    for path in (file, file / "figures"):
        with pytest.raises(argparse.ArgumentTypeError, match=f"{file}: expected a folder, found a file"):
            folder_name(str(path))
    with pytest.raises(argparse.ArgumentTypeError, match=f"{file}: expected a folder, found a file"):
        file_name(str(file / "answer.h5"))


def test_a_file_of_the_same_kind_may_be_replaced_and_no_other(tmp_path):
    answer, frames, page = (tmp_path / name for name in ("final.h5", "frames.h5", "report.html"))
    for path, table in ((answer, "Answer"), (frames, "FinalImage")):
        with h5py.File(path, "w") as file:
            file[table] = [0]
    page.write_text("<!DOCTYPE html>")
    (tmp_path / "empty").touch()
    kind = hdf5_file("an answer", "Answer")
    for path in (answer, tmp_path / "empty", tmp_path / "new.h5"):
        assert kind(str(path)) == path
    assert text_file("a page", "<!DOCTYPE html>")(str(page)) == page
    for path in (frames, page):
        with pytest.raises(argparse.ArgumentTypeError, match="expected an answer, found a file of another kind"):
            kind(str(path))
    with pytest.raises(argparse.ArgumentTypeError, match="expected a page, found a file of another kind"):
        text_file("a page", "<!DOCTYPE html>")(str(answer))


def test_a_pipe_is_no_file_to_write(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(argparse.ArgumentTypeError, match="expected a file, found a device or a pipe"):
        file_name(str(tmp_path / "pipe"))


@dataclass(frozen=True)
class Files:
    figure: Path


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--mask", "m.png", "--figure", "./m.png"), "--figure: m.png: is read too (--mask), and would be lost"),
        (("--figure", "a.png", "--output", "a.png"), "--output: a.png: is written too (--figure), and would be lost"),
        (("--with", "b", "c.h5", "--output", "c.h5"), "--output: c.h5: is read too (--with), and would be lost"),
    ],
)
def test_a_file_that_is_read_or_written_already_is_not_written(capsys, argv, said):
    parser = Parser("some.sh", None)
    for name in ("--mask", "--figure", "--output"):
        parser.add_argument(name, type=folder_name if name == "--mask" else file_name)
    parser.add_argument("--with", type=folder_name, nargs="+", default=())
    parsed = vars(parser.parse_args(["--mask", "m.png", "--figure", "a.png"]))
    assert as_options(Files, parser, parsed).figure.name == "a.png"
    with pytest.raises(SystemExit) as ended:
        as_options(Files, parser, vars(parser.parse_args(argv)))
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: {said}; name another file; some.sh --help tells all options\n"
