"""Folders of frames: which files, and in which order."""

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from util.runtime.errors import InputError
from util.runtime.input_file import check_file

# "f_3 (1).png", "f_3 - Copy.png", "f_3 copy 2.png", "Copy of f_3.png"; the groups together are the name copied.
_COPY = re.compile(r"(?:copy of )?(.+?)(?: \(\d+\)|[ _-]+copy(?: ?\(?\d+\)?)?)?(\.\w+)", re.IGNORECASE)


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


def told_of_copies(files: Sequence[Path]) -> tuple[str, ...]:
    """Return what should be told of a folder's frames: a file that is named like a copy of another one there."""
    names = {path.name for path in files}
    copies = [path for path in files if _copied(path.name) in names - {path.name}]
    if not copies:
        return ()
    more = f" and {len(copies) - 1} more" if len(copies) > 1 else ""
    return (f"{copies[0]}{more}: named like a copy of a frame beside it, whose electrons would count twice; remove it",)


def _copied(name: str) -> str:
    """Return the name of the file that one of this name would be a copy of; the same where it is none."""
    found = _COPY.fullmatch(name)
    return "".join(found.groups()) if found else name


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
