"""What the report says of an answer, as HTML: headline, tables, checks, and the figures that the answer stage drew."""

import base64
import json
from pathlib import Path

import h5py
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray

from util.answer.final_h5 import read_made_by, read_parameters
from util.runtime.hdf5 import open_hdf5
from util.runtime.value_with_error import shorthand

# Figures of `util.report.diagnostic_figures.draw_all`, in the order of the report, and what they show.
CAPTIONS = {
    "pads": "Angular distribution of each sphere, I(c) = 1/2 + Σ β P(c); below, the bands of one and two standard "
    "deviations.",
    "betas": "The anisotropy parameters with their standard errors.",
    "distribution": "Electrons found, what the fit expects, and the difference in standard deviations.",
    "radial_spectrum": "Electrons by their distance from the centre, on the detector, and the share of each sphere.",
    "angular_pulls": "Electrons found against the model by angle, all radii together.",
    "frame": "One camera frame with the electrons found in it.",
    "correlations": "Correlations of the errors of all parameters.",
}

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Html(str):
    """Text that a notebook shows as HTML."""

    def _repr_html_(self) -> str:
        return str(self)


def read_tables(path: Path) -> dict[str, NDArray]:
    """Give the tables of final.h5 and `attributes` of those that have any.

    Raises
    ------
    InputError
        No answer with errors.
    """
    read_parameters(path)
    with open_hdf5(path) as file:
        found = {name: file[name][()] for name in file if isinstance(file[name], h5py.Dataset)}
        found["attributes"] = {name: dict(file[name].attrs) for name in found}
    return found


def headline(path: Path) -> Html:
    """Give the answer in a few words, radius, width and first anisotropy parameters, and what speaks against it."""
    found = read_tables(path)
    layout, values, errors = read_parameters(path)
    told = [shorthand(value, error) for value, error in zip(values, errors, strict=True)]
    spheres = [
        {
            "R": told[layout.R[s]],
            "sigma_R": told[layout.sigma_R[s]],
            "leading": [(degree, told[i]) for degree, i in zip(layout.degrees[:2], layout.beta[s, :2], strict=True)],
            "electrons": f"{values[layout.N[s]]:,.0f}",
        }
        for s in range(layout.spheres)
    ]
    warnings = [text.decode() for text in found.get("Warnings", ())]
    settings = read_made_by(path).settings
    return _render("headline", spheres=spheres, warnings=warnings, method=settings.method, order=settings.order)


def betas(path: Path) -> Html:
    """Table of all betas with their errors, in the project's normalisation and in the field's (twice that)."""
    layout, values, errors = read_parameters(path)
    spheres = range(1, layout.spheres + 1)
    head = ["degree", *(text for s in spheres for text in (f"β, sphere {s}", f"field, sphere {s}"))]
    rows = []
    for degree, index in zip(layout.degrees, layout.beta.T, strict=True):
        pairs = zip(values[index], errors[index], strict=True)
        rows.append([str(degree), *(shorthand(k * v, k * e) for v, e in pairs for k in (1, 2))])
    return _render("betas", head=head, rows=rows)


def checks(path: Path) -> Html:
    """Say what tells whether to trust the answer: goodness of fit, the finder's bias, the summed frames."""
    found = read_tables(path)
    attributes = found["attributes"]
    rows = []
    if "Tests" in found:
        rows += [[row["Name"].decode(), f"{row['P']:.3g}", row["Text"].decode()] for row in found["Tests"]]
    if "FinderBias" in found:
        bias, facts = found["FinderBias"], attributes["FinderBias"]
        known = bias["Error"] > 0
        errors = found["Parameters"]["Error"]
        worst = np.abs(bias["Bias"][known] / errors[known]).max()
        done = "subtracted" if facts["subtracted"] else "not subtracted"
        rows.append(["finder's bias", f"{facts['p']:.3g}", f"at most {worst:.2f} standard errors; {done}"])
    if "Integrated" in found:
        facts = attributes["Integrated"]
        rows.append(["summed frames, without hits", f"{facts['p']:.3g}", f"chi-square {facts['chi2']:.1f}"])
    return _render("checks", rows=rows)


def figures(folder: Path, answer: Path) -> Html:
    """Embed what the answer stage drew of this answer into a folder; figures that are not there are left out."""
    _, values, _ = read_parameters(answer)
    told = folder / "answer.json"
    of_another = told.exists() and json.loads(told.read_text())["project"]["value"] != values.tolist()
    there = [(caption, folder / f"{name}.png") for name, caption in CAPTIONS.items()]
    drawn = [(caption, base64.b64encode(path.read_bytes()).decode()) for caption, path in there if path.exists()]
    return _render("figures", folder=folder, answer=answer, of_another=of_another, drawn=drawn)


def _render(template: str, **content: object) -> Html:
    return Html(_TEMPLATES.get_template(f"{template}.html.j2").render(content))
