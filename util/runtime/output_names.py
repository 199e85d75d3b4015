"""Names of files and folders that are to be written: what they would destroy is told before any work."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import h5py


class FileName:
    """As argparse's ``type``: the path of a file that is to be written.

    A file of another kind, a folder, and what is no plain file are refused.

    Parameters
    ----------
    what : str
        The kind of file, with its article.
    is_one : callable
        Whether a file is of that kind, which may be replaced; an empty one always may.
    """

    def __init__(self, what: str = "a file", is_one: Callable[[Path], bool] = lambda _: True) -> None:
        self._what, self._is_one = what, is_one

    def __call__(self, text: str) -> Path:
        """Return the path.

        Raises
        ------
        argparse.ArgumentTypeError
            It would replace something else.
        """
        path = Path(text)
        if path.is_dir():
            raise argparse.ArgumentTypeError(f"{text}: expected the name of a file, found a folder; name a file in it")
        folder_name(str(path.parent))
        if path.exists() and (lost := self._lost(path)):
            raise argparse.ArgumentTypeError(f"{text}: expected {self._what}, found {lost}; name another file")
        return path

    def _lost(self, path: Path) -> str | None:
        """Say what would be replaced, unless that is as it should be."""
        if not path.is_file():
            return "a device or a pipe"
        if path.stat().st_size and not self._is_one(path):
            return "a file of another kind, which would be lost"
        return None


file_name = FileName()


def hdf5_file(what: str, holds: str) -> FileName:
    """Return the type of an HDF5 file that is to be written: `what`, with its article, told by what it `holds`."""
    return FileName(what, lambda path: _holds(path, holds))


def text_file(what: str, begins: str) -> FileName:
    """Return the type of a text file that is to be written: `what`, with its article, told by how it `begins`."""
    return FileName(what, lambda path: path.read_bytes().startswith(begins.encode()))


def _holds(path: Path, name: str) -> bool:
    try:
        with h5py.File(path) as file:
            return name in file
    except OSError:
        return False


def folder_name(text: str) -> Path:
    """Return the path of a folder that is to be written to, as argparse's ``type``; that of a file is refused.

    One below a file, in which no folder can be made, is refused too.
    """
    path = Path(text)
    for there in (path, *path.parents):
        if there.exists() and not there.is_dir():
            raise argparse.ArgumentTypeError(f"{there}: expected a folder, found a file; name a folder")
    return path


def clash(actions: Sequence[argparse.Action], values: Mapping[str, object]) -> str | None:
    """Say which file is to be written that is read too, or written twice; None where all are apart.

    Parameters
    ----------
    actions : sequence of argparse.Action
        All options.
    values : mapping of str
        What they were given.
    """
    named: dict[Path, argparse.Action] = {}
    # What is written comes last, so that it meets all that is read.
    for action in sorted(actions, key=lambda action: isinstance(action.type, FileName)):
        given = values.get(action.dest)
        for path in given if isinstance(given, list | tuple) else [given]:
            if not isinstance(path, Path):
                continue
            other = named.setdefault(path.resolve(), action)
            if other is not action and isinstance(action.type, FileName):
                use = "written" if isinstance(other.type, FileName) else "read"
                return f"{_name(action)}: {path}: is {use} too ({_name(other)}), and would be lost; name another file"
    return None


def _name(action: argparse.Action) -> str:
    return action.option_strings[-1] if action.option_strings else action.dest
