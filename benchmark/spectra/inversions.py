"""Spectra by this project's fit and by PyAbel's methods, as curves of benchmark/spectra/truth.py.

PyAbel's methods are called at every setting of a grid. Each gets the events about their true centre, in an image whose
middle pixel is that centre, the polarisation along axis 0: none has to find it, none meets half a pixel's offset. Units
of what comes out, from PyAbel 0.9.1:

rbasex      `Distributions.Results.rIbeta`: electrons per pixel of radius, and betas.
daun        The image, folded onto one quadrant, is inverted row by row to electrons per cubic pixel; the same
            `Distributions` gives electrons per pixel, and betas.
linbasex    `Beta[0]`: electrons of each sphere, divided by the largest; its sum is that of the electrons in the image,
            which gives the factor back. `Beta[1:]`: betas, with threshold=0 at all radii.
"""

import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.spectra.truth import DEGREES, PIXELS_A_RADIUS, Curves
from util.fit.detection import Detection
from util.fit.map_data import Hits
from util.spectrum.fit import fit_spectrum
from util.spectrum.spectrum import Spectrum

ORDER = 4
SIZE = 2 * PIXELS_A_RADIUS + 1  # of an image; linbasex wants an odd number
_STRENGTHS = tuple(float(f"{10**power:.1g}") for power in np.arange(1, 6.1, 0.5))
_ANGLES = tuple(math.pi * part / 4 for part in range(4))  # of linbasex's projections
_LEAST_SINGULAR_VALUES = (5e-4, 5e-3, 2e-2)
_SMOOTHINGS = (0.0, 2.0)

Inversion = Callable[[NDArray[np.float64]], Curves]


class Setting(NamedTuple):
    """One way to invert an image: the method's name in a table, its strength in words, and what to call."""

    method: str
    strength: str
    invert: Inversion


def judged(degrees: tuple[int, ...]) -> list[int]:
    """Return where the betas that are judged stand among those of a spectrum, of which there may be more."""
    return [degrees.index(degree) for degree in DEGREES]


def by_us(hits: Hits, detection: Detection, seed: int, pixel: float = 0.0) -> tuple[Spectrum, Curves, float]:
    """Fit a spectrum; also its curves, and the seconds that it took."""
    begin = time.perf_counter()
    spectrum = fit_spectrum(hits, detection, pixel=pixel, seed=seed)
    seconds = time.perf_counter() - begin
    return spectrum, Curves(spectrum.r, spectrum.intensity, spectrum.beta[judged(spectrum.degrees)]), seconds


def image_of(at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the image (`SIZE`, `SIZE`) of positions (2, n) about the centre, x and z: axis 0 is z, axis 1 is x."""
    place = np.floor(at[::-1] * PIXELS_A_RADIUS + SIZE / 2).astype(np.int64)
    row, column = place[:, ((place >= 0) & (place < SIZE)).all(axis=0)]
    return np.bincount(row * SIZE + column, minlength=SIZE**2).reshape(SIZE, SIZE).astype(float)


def _curves(r: NDArray[np.float64], intensity: NDArray[np.float64], beta: NDArray[np.float64]) -> Curves:
    """Return curves in detector units of what a method says in pixels."""
    return Curves(r / PIXELS_A_RADIUS, intensity * PIXELS_A_RADIUS, beta)


def by_rbasex(reg: Any, image: NDArray[np.float64], origin: tuple[int, int] | None = None) -> Curves:
    """Return what rbasex says of an image (H, W), about its middle pixel unless told."""
    from abel.rbasex import rbasex_transform

    origin = origin or (image.shape[0] // 2, image.shape[1] // 2)
    _, distribution = rbasex_transform(image, origin=origin, rmax="MIN", order=ORDER, reg=reg, out=None)
    r, intensity, *betas = distribution.rIbeta()
    return _curves(r, intensity, np.array(betas))


def by_daun(reg: Any, degree: int, image: NDArray[np.float64]) -> Curves:
    """Return what Daun's method, and a fit of the angles to its slice, say of an image about its middle pixel."""
    from abel.daun import daun_transform
    from abel.tools.vmi import Distributions

    folded = (image + image[::-1] + image[:, ::-1] + image[::-1, ::-1]) / 4
    quadrant = folded[SIZE // 2 :, SIZE // 2 :]
    slice_ = daun_transform(quadrant, reg=reg, degree=degree, verbose=False)
    r, intensity, *betas = Distributions(origin=(0, 0), rmax="MIN", order=ORDER)(slice_).rIbeta()
    return _curves(r, intensity, np.array(betas))


def by_linbasex(rcond: float, smoothing: float, image: NDArray[np.float64]) -> Curves:
    """Return what linbasex says of an image about its middle pixel."""
    from abel.linbasex import linbasex_transform_full

    _, r, found, _ = linbasex_transform_full(
        image,
        proj_angles=list(_ANGLES),
        legendre_orders=list(range(0, ORDER + 1, 2)),
        rcond=rcond,
        smoothing=smoothing,
        threshold=0,
    )
    return _curves(r, found[0] * image.sum() / found[0].sum(), found[1:])


def _rbasex() -> Iterator[Setting]:
    for kind, strengths in (("L2", _STRENGTHS), ("diff", _STRENGTHS), ("SVD", (0.02, 0.05, 0.1, 0.2, 0.4))):
        for strength in strengths:
            yield Setting(f"rbasex {kind}", f"{strength:g}", functools.partial(by_rbasex, (kind, strength)))
    yield Setting("rbasex none", "", functools.partial(by_rbasex, None))
    yield Setting("rbasex pos", "", functools.partial(by_rbasex, "pos"))


def _daun() -> Iterator[Setting]:
    for kind in ("L2", "diff"):
        for strength in _STRENGTHS:
            yield Setting(f"daun {kind}", f"{strength:g}", functools.partial(by_daun, (kind, strength), 1))
    yield Setting("daun none", "", functools.partial(by_daun, 0, 1))
    yield Setting("daun nonneg", "", functools.partial(by_daun, "nonneg", 1))


def _linbasex() -> Iterator[Setting]:
    for rcond in _LEAST_SINGULAR_VALUES:
        for smoothing in _SMOOTHINGS:
            invert = functools.partial(by_linbasex, rcond, smoothing)
            yield Setting("linbasex", f"rcond {rcond:g}, smoothing {smoothing:g}", invert)


SETTINGS = (*_rbasex(), *_daun(), *_linbasex())
METHODS = tuple(dict.fromkeys(setting.method for setting in SETTINGS))


def by_peers(image: NDArray[np.float64], methods: Sequence[str]) -> Iterator[tuple[Setting, Curves, float]]:
    """Invert an image at each setting of the named methods; also the seconds of each."""
    for setting in SETTINGS:
        if setting.method in methods:
            begin = time.perf_counter()
            curves = setting.invert(image)
            yield setting, curves, time.perf_counter() - begin
