"""Files that exist are whole: write beside the target under a temporary name, then rename."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from util.errors import InputError


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give a temporary path beside `target`; rename it to `target` on success, remove it on any failure.

    Parameters
    ----------
    target : Path
        The final name. Its folder is made if need be. An existing file is replaced in one step.

    Yields
    ------
    Path
        The temporary name, in the same folder and with the same suffix, so that writers which look at
        the suffix behave as they would for the target.

    Raises
    ------
    InputError
        The file cannot be written: no room, no permission, a folder in its place.
    """
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.partial{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        # A failed write names no file, a failed opening the temporary one, which would tell the user nothing.
        if error.filename not in (None, str(temporary), str(target.parent)):
            raise
        reason = error.strerror or str(error).partition("\n")[0]
        raise InputError(f"{target}: cannot be written ({reason}); make room there or name another file") from None
    finally:
        with suppress(NotADirectoryError):
            temporary.unlink(missing_ok=True)
