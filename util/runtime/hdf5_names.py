"""What is in an HDF5 file under which name: datasets, in groups and behind links, and links that lead nowhere."""

from typing import Any

import h5py

from util.runtime.hdf5 import describe
from util.runtime.hdf5_types import is_known


def datasets_of(file: h5py.File | h5py.Group) -> dict[str, h5py.Dataset]:
    """Return all datasets of a file by name: those in groups, then those that only links lead to, other files' too.

    What is of a type that NumPy has not, such as times of HDF5, is passed over.
    """
    found: dict[str, h5py.Dataset] = {}
    _collect(file, "", found, set())
    return found


def _collect(group: h5py.Group, prefix: str, found: dict[str, h5py.Dataset], seen: set[Any]) -> None:
    """Add to `found` what is below a group that is known as `prefix`, and to `seen` what tells objects apart."""

    def take(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if _identity(item) not in seen and isinstance(item, h5py.Dataset) and is_known(item):
            found[prefix + name] = item
        seen.add(_identity(item))

    seen.add(_identity(group))
    group.visititems(take)  # which follows no links
    for name in _links(group):
        try:
            item = group[name]
        except (KeyError, OSError):
            continue
        if _identity(item) not in seen:
            take(name, item)
            if isinstance(item, h5py.Group):
                _collect(item, f"{prefix}{name}/", found, seen)


def broken_links(file: h5py.File) -> dict[str, str]:
    """Return the links of a file that lead nowhere, by name: where to, and why they fail."""
    broken: dict[str, str] = {}
    for name, link in _links(file).items():
        try:
            file[name]
        except (KeyError, OSError) as error:
            reason = str(error).strip("'\"").rpartition("(")[2].strip("()") or "no such object"
            external = isinstance(link, h5py.ExternalLink)
            target = f"{link.path} in {link.filename}" if external else link.path
            broken[name] = f"{target} ({'no such object' if 'component' in reason else reason})"
    return broken


def _links(group: h5py.Group) -> dict[str, h5py.SoftLink | h5py.ExternalLink]:
    found = {}

    def take(name: str, link: object) -> None:
        if isinstance(link, h5py.SoftLink | h5py.ExternalLink):
            found[name] = link

    group.visititems_links(take)
    return found


def _identity(item: h5py.Group | h5py.Dataset) -> tuple[int, ...]:
    info = h5py.h5o.get_info(item.id)
    return info.fileno, info.addr


def list_contents(datasets: dict[str, h5py.Dataset], broken: dict[str, str]) -> str:
    """Say in a message what there is."""
    names = [f"{name} ({describe(found.dtype)}, shape {found.shape})" for name, found in datasets.items()]
    return ", ".join(names + link_texts(broken)) or "no datasets"


def link_texts(broken: dict[str, str]) -> list[str]:
    """Say in a message which links lead nowhere."""
    return [f"a link {name} that leads nowhere: to {target}" for name, target in broken.items()]
