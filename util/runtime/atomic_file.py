"""Files that exist are whole: write in a folder beside the target that is this process's own, then rename."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from util.runtime.errors import InputError

_SUFFIX = ".partial"


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a path to write to; rename what is there to `target` on success, remove it on any failure.

    Parameters
    ----------
    target : Path
        The final name. Its folder is made where it is missing. An existing file is replaced in one step; so is a link,
        which may be planted, and never the file that it leads to.

    Yields
    ------
    Path
        The target's name in a folder of its own beside the target, so that writers, some of which look at the name,
        write what they would to the target.

    Raises
    ------
    InputError
        The file cannot be written: no room, no permission, a folder in its place.
    """
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _own_folder(target) as folder:
            temporary = folder / target.name
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(target)
    except OSError as error:
        # A failed write names no file, and a failed open the temporary one, which would tell the user nothing.
        if error.filename not in (None, str(temporary), str(target.parent)) and _SUFFIX not in str(error.filename):
            raise
        raise _unwritable(target, error) from None


def _unwritable(target: Path, error: OSError) -> InputError:
    reason = error.strerror or str(error).partition("\n")[0]
    return InputError(f"{target}: cannot be written ({reason}); make room there or name another file")


@contextmanager
def _own_folder(target: Path) -> Iterator[Path]:
    """Make a folder beside `target` that nobody else enters, locked for as long as this process lives.

    A name that nobody can guess, made new: no link that was planted is followed, and no two processes meet, be they in
    containers of one host name and process id. The lock tells the living from the killed, whose folders are removed
    here. The folder has it, not the file, which HDF5 locks itself.
    """
    _remove_stale(target)
    while True:
        folder = Path(tempfile.mkdtemp(_SUFFIX, _prefix(target), target.parent))
        try:
            lock = _locked(folder, fcntl.LOCK_SH)
        except FileNotFoundError:
            continue
        # Another may have taken it for a killed process's before it was locked.
        if folder.exists():
            break
        os.close(lock)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _prefix(target: Path) -> str:
    return f".{target.name}."


def _locked(folder: Path, kind: int) -> int:
    """Open a folder and lock it; return what is to be closed."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(opened, kind)
    except OSError:
        if kind & fcntl.LOCK_EX:
            os.close(opened)
            raise
        # A disk without locks: what a killed process leaves there stays.
    return opened


def _remove_stale(target: Path) -> None:
    """Remove what killed processes left behind while they wrote `target`."""
    for folder in target.parent.iterdir():
        if folder.name.startswith(_prefix(target)) and folder.name.endswith(_SUFFIX):
            # In use, gone meanwhile, no folder, or on a disk that cannot lock one.
            with suppress(OSError):
                lock = _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


@contextmanager
def resuming(partial: Path) -> Iterator[BinaryIO]:
    """Open a file that is written in several goes, at its end; this process alone may write it.

    Parameters
    ----------
    partial : Path
        Its folder is made where it is missing.

    Raises
    ------
    InputError
        It cannot be written, is a link, which is never followed, or another process is writing it.
    """
    # Not blocking: a pipe in its place would be waited for.
    how = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(partial, how, 0o666), "a+b") as file:
            _lock_alone(file, partial)
            yield file
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise InputError(f"{partial}: expected a file, found a symbolic link; remove it") from None
        if error.filename not in (None, str(partial), str(partial.parent)):
            raise
        raise _unwritable(partial, error) from None


def _lock_alone(file: BinaryIO, path: Path) -> None:
    with suppress(OSError):  # a disk without locks
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{path}: another process is writing it; wait for that one") from None
