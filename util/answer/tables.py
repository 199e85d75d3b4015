"""Tables that stand beside the answer in final.h5 and in spectrum.h5, and what each says of itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from util.fit.parameters import Layout
from util.fit.result import FitResult

# Attributes in which HDF5 keeps what belongs to which axis.
_OF_AXES = ("CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "DIMENSION_LABELS")


@dataclass(frozen=True)
class Axis:
    """An axis of an array: what it runs over, and the name or the number of each of its entries (n,)."""

    name: str
    labels: tuple[str, ...] | NDArray[np.int32] | NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """An array, and what the dataset that it becomes says of itself.

    Attributes
    ----------
    array : array
    description : str
        Attribute ``description``.
    units : str, or sequence of str
        Attribute ``units``: of all entries, of each field ("R: half screens; energy: eV"), or of each parameter along
        an axis (in a covariance an entry has the product of two).
    axes : sequence of Axis
        Of all dimensions of the array, or none. Each becomes a dimension scale of HDF5, a dataset of the axis's name,
        which labels the axis for h5py, xarray and others. Attribute ``axes`` names these datasets.
    attributes : mapping
        Whatever else is to be told, by name.
    """

    array: NDArray[Any]
    description: str = ""
    units: str | Sequence[str] = ""
    axes: Sequence[Axis] = ()
    attributes: Mapping[str, object] = field(default_factory=dict)


def _stored(value: object) -> object:
    """Return texts in a sequence as HDF5 keeps them; any other value as it is."""
    if isinstance(value, list | tuple) and any(isinstance(part, str) for part in value):
        return np.array(value, dtype=h5py.string_dtype())
    return value


def add_table(file: h5py.File, name: str, table: Table) -> None:
    """Store a table in a file, with its attributes and its axes."""
    dataset = file.create_dataset(name, data=table.array)
    axes = [_scale(file, axis, name) for axis in table.axes]
    for number, (axis, scale) in enumerate(axes):
        dataset.dims[number].label = axis
        dataset.dims[number].attach_scale(scale)
    own = {"description": table.description, "units": table.units, "axes": [axis for axis, _ in axes]}
    told = {attribute: value for attribute, value in own.items() if value} | dict(table.attributes)
    dataset.attrs.update({attribute: _stored(value) for attribute, value in told.items()})


def _scale(file: h5py.File, axis: Axis, table: str) -> tuple[str, h5py.Dataset]:
    """Return name and labels of an axis, of its own for a table that is labelled otherwise than those before it."""
    labels = axis.labels if isinstance(axis.labels, np.ndarray) else np.array(axis.labels, dtype=h5py.string_dtype())
    name = axis.name
    if name in file and not np.array_equal(_labels(file[name]), labels):
        name = f"{axis.name}_of_{table}"
    if name not in file:
        scale = file.create_dataset(name, data=labels)
        scale.attrs["description"] = f"labels of the axis {name} of other datasets"
        scale.make_scale(name)
    return name, file[name]


def _labels(scale: h5py.Dataset) -> NDArray[Any]:
    return scale[()] if h5py.check_string_dtype(scale.dtype) is None else scale.asstr()[()]


def told_by(dataset: h5py.Dataset) -> dict[str, object]:
    """Return the attributes of a dataset that `add_table` stored."""
    return {name: value for name, value in dataset.attrs.items() if name not in _OF_AXES}


def labels_axis(dataset: h5py.Dataset) -> bool:
    """Return whether a dataset holds the labels of an axis, and no table."""
    return bool(h5py.h5ds.is_scale(dataset.id))


def named_rows(names: tuple[str, ...], **columns: NDArray[np.float64]) -> NDArray[np.void]:
    """Return rows (P,) of float64 `columns`, each array (P,), with the name of a parameter in field ``Name``."""
    rows = np.zeros(len(names), [("Name", "S16"), *((column, "<f8") for column in columns)])
    rows["Name"] = [name.encode() for name in names]
    for column, values in columns.items():
        rows[column] = values
    return rows


def parameter_table(
    layout: Layout,
    columns: Mapping[str, NDArray[np.float64]],
    description: str,
    attributes: Mapping[str, object] | None = None,
) -> Table:
    """Return a table of `named_rows` of all P parameters of a fit, in which each row has a unit of its own."""
    rows = named_rows(layout.names, **columns)
    return Table(rows, description, layout.units, (Axis("parameter", layout.names),), attributes or {})


def value_table(result: FitResult, description: str, attributes: Mapping[str, object] | None = None) -> Table:
    """Return a table of name, value and error of every parameter of an answer."""
    columns = {"Value": result.values, "Error": result.errors}
    return parameter_table(result.layout, columns, description, attributes)


def covariance_table(covariance: NDArray[np.float64], layout: Layout, description: str) -> Table:
    """Return a covariance (P, P) of the parameters of a fit as a table."""
    axes = Axis("parameter", layout.names), Axis("parameter_2", layout.names)
    return Table(covariance, description, layout.units, axes)
