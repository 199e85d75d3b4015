"""Files that are read: regular ones alone, and of bounded size where they are read whole."""

import errno
import stat
from collections.abc import Callable
from pathlib import Path

from util.runtime.errors import InputError

MOST_TEXT = 1 << 26  # bytes of a file of settings or facts; the largest that the program writes has 1e5

MISSING = "no such file; give an existing one"
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_KINDS: tuple[tuple[Callable[[int], bool], str, str], ...] = (
    (stat.S_ISDIR, "a folder", "name the file in it"),
    (stat.S_ISFIFO, "a named pipe", "save what comes out of it as a file"),
    (stat.S_ISSOCK, "a socket", "name a file"),
)


def check_file(path: Path, missing: str = MISSING) -> None:
    """Refuse what is no regular file before anyone opens it: a pipe waits for a writer for ever, a device has no end.

    Parameters
    ----------
    path : Path
        Links are followed.
    missing : str
        What the message says where nothing is there.

    Raises
    ------
    InputError
        Nothing is there, or a folder, a named pipe, a socket, a device.
    OSError
        There is no permission to look.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if error.errno not in _ABSENT:
            raise
        raise InputError(f"{path}: {missing}") from None
    if not stat.S_ISREG(mode):
        known = ((name, remedy) for is_one, name, remedy in _KINDS if is_one(mode))
        name, remedy = next(known, ("a device", "name a file"))
        raise InputError(f"{path}: expected a file, found {name}; {remedy}")


def read_whole(path: Path, missing: str) -> bytes:
    """Read a file of settings or facts; parameters and errors as in `check_file`, or it is too large to be one."""
    check_file(path, missing)
    with path.open("rb") as stream:
        content = stream.read(MOST_TEXT + 1)
    if len(content) > MOST_TEXT:
        size = path.stat().st_size >> 20
        raise InputError(f"{path}: expected at most {MOST_TEXT >> 20} MB of text, found {size}; name another file")
    return content
