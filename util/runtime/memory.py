"""How large an array may be that a file declares: refused before it is allocated."""

import os
import resource
from pathlib import Path

from util.runtime.errors import InputError

_SHARE = 2  # of this part of the memory: what is read is often copied once


def check_fits(where: Path | str, needed: int) -> None:
    """Refuse what this machine cannot hold.

    Parameters
    ----------
    where : Path or str
        The file, or the array in it, named first in the message.
    needed : int
        Bytes that it declares.

    Raises
    ------
    InputError
        They are more than half the memory.
    """
    most = _memory() // _SHARE
    if needed > most:
        raise InputError(
            f"{where}: expected at most {most / 1e9:.1f} GB, half of this machine's memory, found {needed / 1e9:.3g} "
            "GB declared; make the file anew if that is not so, or use a machine with more"
        )


def _memory() -> int:
    """Return the bytes of memory that this process may use."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return physical if limit == resource.RLIM_INFINITY else min(physical, limit)
