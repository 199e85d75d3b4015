"""Files that exist are whole: write beside the target under a temporary name, then rename."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.partial{target.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
