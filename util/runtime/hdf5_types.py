"""What HDF5 may hold and this machine cannot read: types that NumPy has not, and chunks packed by a filter it lacks."""

import h5py

from util.runtime.errors import InputError

_CLASSES = {
    h5py.h5t.BITFIELD: "bit fields",
    h5py.h5t.ENUM: "values of an enumeration",
    h5py.h5t.TIME: "times (H5T_TIME)",
}
# Of those that are registered with the HDF Group (https://github.com/HDFGroup/hdf5_plugins), what cameras pack with.
_FILTERS = {
    32001: "Blosc",
    32004: "LZ4",
    32008: "bitshuffle",
    32015: "Zstandard",
    32026: "Blosc2",
}


def is_known(dataset: h5py.Dataset) -> bool:
    """Return whether NumPy has a type for what a dataset holds."""
    try:
        return dataset.dtype is not None
    except TypeError:
        return False


def check_known(file: h5py.File, name: str) -> None:
    """Refuse a dataset that the user names, where `is_known` is False of it."""
    try:
        found = file.get(name)
    except OSError:  # a link that leads nowhere
        return
    if isinstance(found, h5py.Dataset) and not is_known(found):
        raise InputError(
            f"{file.filename}: {name}: expected numbers, found {_class_of(found)}, which are not read; name another "
            "dataset, or convert it"
        )


def check_integers(where: str, dataset: h5py.Dataset) -> None:
    """Refuse a dataset whose type is no integer, though NumPy has one for it."""
    if not isinstance(dataset.id.get_type(), h5py.h5t.TypeIntegerID):
        raise InputError(
            f"{where}: expected integers, found {_class_of(dataset)}; write the counts as unsigned integers"
        )


def _class_of(dataset: h5py.Dataset) -> str:
    kind = dataset.id.get_type()
    return _CLASSES.get(kind.get_class(), type(kind).__name__)


def check_filters(where: str, dataset: h5py.Dataset) -> None:
    """Refuse a dataset with a chunk that was packed by a filter which is not installed.

    Raises
    ------
    InputError
        There is one; the message names the filter.
    """
    if dataset.chunks is None:
        return
    filters = dataset.id.get_create_plist()
    for place in range(filters.get_nfilters()):
        number, _, _, name = filters.get_filter(place)
        # A filter that its writer lacked was left out where it was optional.
        if h5py.h5z.filter_avail(number) or not _is_applied(dataset, place):
            continue
        called = name.decode("utf-8", "replace") or _FILTERS.get(number, "without a name")
        raise InputError(
            f"{where}: expected chunks packed by a filter that is installed, found filter {number} ({called}), which "
            "is not; where it is, pack the file anew with h5repack -f GZIP=1, or install its plug-in here and name the "
            "plug-in's folder in HDF5_PLUGIN_PATH"
        )


def _is_applied(dataset: h5py.Dataset, place: int) -> bool:
    """Return whether any chunk went through a filter."""
    return bool(dataset.id.chunk_iter(lambda chunk: None if chunk.filter_mask >> place & 1 else True))
