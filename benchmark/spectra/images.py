"""Real images of the field: positions and betas of their peaks by this project's fit, beside rbasex's.

Every image goes through the import, as its user would have it. rbasex inverts the same pixels about the centre that
PyAbel's own finder gives; it names no peaks, so its positions and betas are means over the fit's peaks, R +- 3 sigma,
weighted by its own intensity.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from tabulate import tabulate

from benchmark.spectra.figures import Shown, draw
from benchmark.spectra.inversions import by_rbasex, by_us
from benchmark.spectra.truth import DEGREES, NAMED, PIXELS_A_RADIUS, WINDOW, Curves, Line, mean_beta
from src import import_image
from src.answer_steps.detection import detection_of
from src.answer_steps.options import Model
from util.electrons.hits import read_hits
from util.entries.image_file import read_image
from util.fit import map_data
from util.runtime.errors import InputError
from util.spectrum.spectrum import Spectrum

IMAGES = ("VMI_art1.txt.bz2", "O2-ANU1024.txt.bz2")
STRENGTH = 100  # of PyAbel's regularisation, as usual
REGULARISATIONS = {"rbasex": None, "rbasex diff": ("diff", STRENGTH)}
TRUE = {IMAGES[0]: NAMED["eight"]}  # R in 256 pixels
_TRUE_UNIT = 256 / PIXELS_A_RADIUS


def in_pixels(spectrum: Spectrum, scale: float) -> Spectrum:
    """Return a spectrum of an image with `scale` pixels per detector unit in units of `PIXELS_A_RADIUS` pixels."""
    unit = scale / PIXELS_A_RADIUS
    peaks = spectrum.peaks
    peaks = peaks._replace(
        R=peaks.R * unit,
        R_error=peaks.R_error * unit,
        sigma_R=peaks.sigma_R * unit,
        sigma_R_error=peaks.sigma_R_error * unit,
    )
    return replace(
        spectrum,
        r=spectrum.r * unit,
        intensity=spectrum.intensity / unit,
        intensity_error=spectrum.intensity_error / unit,
        resolution=spectrum.resolution * unit,
        lines=spectrum.lines._replace(radii=spectrum.lines.radii * unit, widths=spectrum.lines.widths * unit),
        peaks=peaks,
    )


def centroid(curves: Curves, line: Line) -> float:
    """Return the mean radius over a peak, R +- 3 sigma, weighted by intensity; NaN where there is none."""
    r = line.R + line.sigma * np.linspace(-WINDOW, WINDOW, 121)
    intensity = curves.at(r).intensity
    return float(intensity @ r / intensity.sum()) if intensity.sum() > 0 else np.nan


def columns_of(name: str, spectrum: Spectrum, peers: dict[str, Curves]) -> dict[str, list[str]]:
    """Return columns of the table, one row a peak; radii in pixels."""
    peaks, px = spectrum.peaks, PIXELS_A_RADIUS
    columns = {
        "R [px]": [f"{value:.2f}" for value in px * peaks.R],
        "error": [f"{value:.3f}" for value in px * peaks.R_error],
        "sigma_R": [f"{value:.2f}" for value in px * peaks.sigma_R],
        "electrons": [f"{value:.0f}" for value in peaks.electrons],
    }
    for k, degree in enumerate(spectrum.degrees):
        columns[f"beta_{degree}"] = [f"{value:.3f}" for value in peaks.beta[k]]
        columns[f"error_{degree}"] = [f"{value:.3f}" for value in peaks.beta_error[k]]
    windows = [
        Line(float(R), max(float(np.nan_to_num(sigma)), 1 / px), 1.0, (0.0, 0.0))
        for R, sigma in zip(peaks.R, peaks.sigma_R, strict=True)
    ]
    for peer, curves in peers.items():
        betas = np.array([mean_beta(curves, line) for line in windows]).reshape(-1, 2)
        columns[f"{peer} R"] = [f"{px * centroid(curves, line):.2f}" for line in windows]
        for k, degree in enumerate(DEGREES):
            columns[f"{peer} {degree}"] = [f"{value:.3f}" for value in betas[:, k]]
    if lines := TRUE.get(name):
        away = np.abs(_TRUE_UNIT * np.array([line.R for line in lines])[:, None] - peaks.R)
        near = [lines[index] for index in away.argmin(axis=0)]
        columns["true R"] = [f"{px * line.R * _TRUE_UNIT:.0f}" for line in near]
        for k, degree in enumerate(DEGREES):
            columns[f"true {degree}"] = [f"{line.beta[k]:.3f}" for line in near]
    return columns


def measure(path: Path) -> tuple[dict[str, object], Shown]:
    """Fit and invert one image, print what was found, and return it for the JSON file and the figure."""
    from abel.tools.center import find_origin

    with tempfile.TemporaryDirectory() as folder:
        import_image.main([str(path), "--output", folder, "--axis", "0"])
        hits = read_hits(Path(folder), hit_weights="flux", partial=False)
    points = map_data.Hits(hits.x, hits.z, hits.weight, hits.variance)
    scale = max(hits.pixels or (2, 2)) / 2
    spectrum, _, seconds = by_us(points, detection_of(hits, Model())[0], 0, 1 / scale)
    spectrum = in_pixels(spectrum, scale)
    image = np.nan_to_num(read_image(path))
    row, column = (round(float(place)) for place in find_origin(image, "convolution"))
    per_electron = image.sum() / hits.weight.sum()
    peers = {}
    for name, reg in REGULARISATIONS.items():
        curves = by_rbasex(reg, image, (row, column))
        peers[name] = curves._replace(intensity=curves.intensity / per_electron)
    columns = columns_of(path.name, spectrum, peers)
    print(f"\n== {path.name}, {seconds:.1f} s; lines of {PIXELS_A_RADIUS * spectrum.lines.widths.min():.2f} px")
    print(tabulate(columns, headers="keys", tablefmt="plain", disable_numparse=True))
    name = list(REGULARISATIONS)[-1]
    shown = Shown(path.name.split(".")[0], spectrum, peers[name], f"{name} {STRENGTH}")
    return {"image": path.name, "seconds": seconds, "peaks": columns}, shown


def measure_images(folder: Path, figure: Path | None) -> list[dict[str, object]]:
    """Measure PyAbel's example images in a folder; draw both methods' curves where a figure is wanted."""
    missing = [name for name in IMAGES if not (folder / name).exists()]
    if missing:
        raise InputError(f"{folder}: expected PyAbel's examples, found no {', '.join(missing)}; name their folder")
    done = [measure(folder / name) for name in IMAGES]
    if figure:
        draw(figure, [shown for _, shown in done])
    return [row for row, _ in done]
