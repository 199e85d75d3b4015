"""Folders of frames: which files, and in which order."""

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from util.runtime.errors import InputError
from util.runtime.input_file import check_file


def files_in(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files of a folder whose names end so, by name, with the numbers in names by value; hidden ones not.

    Raises
    ------
    InputError
        There are none.
    """
    with os.scandir(folder) as entries:
        names = [Path(entry) for entry in entries if _is_frame(Path(entry), suffixes) and _is_file(entry)]
    if not names:
        wanted = " or ".join(f"*{suffix}" for suffix in suffixes)
        raise InputError(f"{folder}: expected files {wanted}, found none; give the folder that holds the frames")
    return sorted(names, key=_by_value)


def _is_frame(path: Path, suffixes: tuple[str, ...]) -> bool:
    return path.suffix.lower() in suffixes and not path.name.startswith(".")


def _is_file(entry: os.DirEntry[str]) -> bool:
    if not entry.is_file():  # told by the folder itself, as a rule, without looking at each file
        check_file(Path(entry))
    return True


def sizes_of(files: Sequence[Path]) -> str:
    """Return the SHA-256, as hex digits, of names and sizes of files, in their order."""
    return hashlib.sha256("/".join(f"{path.name}/{path.stat().st_size}" for path in files).encode()).hexdigest()


def _by_value(path: Path) -> list[tuple[int, int | str]]:
    """Order names so that frame_9 comes before frame_10, and names of equal values by their text."""
    parts = [part for part in re.split(r"(\d+)", path.name) if part]
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts] + [(2, path.name)]
