"""What all simulated files have in common: they say how they were made, are kept if made alike, and need room."""

import platform
import shutil
from pathlib import Path

import h5py
import numba
import numpy as np

from util.runtime.errors import InputError
from util.runtime.facts import to_json
from util.runtime.hdf5 import reading_hdf5


def attributes_of(settings: str, seed: int) -> dict[str, str | int]:
    """Return the attributes of the root of a file made with these settings (JSON) and this seed."""
    versions = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "h5py": h5py.__version__,
        "hdf5": h5py.version.hdf5_version,
    }
    return {"settings": settings, "seed": seed, "versions": to_json(versions)}


def is_made_with(path: Path, settings: str, seed: int) -> bool:
    """Return whether `path` exists and was made with these settings (JSON) and this seed.

    Raises
    ------
    InputError
        It exists, but was made in another way.
    """
    if not path.exists():
        return False
    with reading_hdf5(path) as file:
        found = dict(file.attrs)
    if found.get("settings") == settings and found.get("seed") == seed:
        return True
    how = f"with other settings (seed {found['seed']})" if "settings" in found and "seed" in found else "elsewhere"
    raise InputError(f"{path}: exists, made {how}; add --overwrite to replace it, or name another file")


def check_room(path: Path, needed: int, remedy: str) -> None:
    """Refuse to begin what the disk of `path` cannot hold; make its folder.

    Parameters
    ----------
    path : Path
    needed : int
        Bytes.
    remedy : str
        What else to ask for, as "fewer frames".

    Raises
    ------
    InputError
        Fewer bytes are free.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise InputError(
            f"{path}: expected room for about {needed / 1e6:.0f} MB, found {free / 1e6:.0f} MB free; "
            f"make room, name another folder or ask for {remedy}"
        )
