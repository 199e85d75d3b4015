"""Files that exist are whole: write beside the target under a temporary name, then rename."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from util.runtime.errors import InputError


def _prefix(target: Path) -> str:
    # Several machines may share a disk, and only a process's own machine can tell whether it still runs.
    return f".{target.stem}.{socket.gethostname()}-"


def _suffix(target: Path) -> str:
    return f".partial{target.suffix}"


def _remove_stale(target: Path) -> None:
    """Remove what killed processes of this machine left behind while they wrote `target`."""
    prefix, suffix = _prefix(target), _suffix(target)
    for path in target.parent.iterdir():
        pid = path.name[len(prefix) : -len(suffix)]
        if path.name.startswith(prefix) and path.name.endswith(suffix) and pid.isdecimal() and not _lives(int(pid)):
            path.unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # another user's
    return True


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; rename it to `target` on success, remove it on any failure.

    Parameters
    ----------
    target : Path
        The final name. Its folder is made where it is missing. An existing file is replaced in one step.

    Yields
    ------
    Path
        The temporary name, in the same folder and with the same suffix, so that writers that look at the suffix behave
        as they would for the target.

    Raises
    ------
    InputError
        The file cannot be written: no room, no permission, a folder in its place.
    """
    temporary = target.with_name(f"{_prefix(target)}{os.getpid()}{_suffix(target)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(target)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        # A failed write names no file, and a failed open the temporary one, which would tell the user nothing.
        if error.filename not in (None, str(temporary), str(target.parent)):
            raise
        reason = error.strerror or str(error).partition("\n")[0]
        raise InputError(f"{target}: cannot be written ({reason}); make room there or name another file") from None
    finally:
        with suppress(NotADirectoryError):
            temporary.unlink(missing_ok=True)
