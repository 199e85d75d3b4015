"""What the report says of an answer, as HTML: headline, tables, checks, and the figures that the answer stage drew."""

import base64
import json
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from util.answer.final_h5 import read_made_by, read_parameters, read_tables
from util.runtime.value_with_error import shorthand

# What the figures of `util.report.diagnostic_figures.draw_all` show, in the order of the report.
CAPTIONS = {
    "pads": "Angular distribution of each sphere, I(c) = 1/2 + Σ β P(c); below, the bands of one and two standard "
    "deviations.",
    "betas": "The anisotropy parameters with their standard errors.",
    "distribution": "Electrons found, what the fit expects, and the difference in standard deviations.",
    "radial_spectrum": "Electrons by their distance from the centre, on the detector, and the share of each sphere.",
    "angular_pulls": "Electrons found against the model by angle, all radii together.",
    "frame": "One camera frame with the electrons found in it.",
    "correlations": "Correlations between the errors of all parameters.",
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


def headline(path: Path) -> Html:
    """Return radius, width and leading anisotropy parameters of each sphere, and what speaks against the answer."""
    layout, values, errors = read_parameters(path)
    texts = [shorthand(value, error) for value, error in zip(values, errors, strict=True)]
    spheres = [
        {
            "R": texts[layout.R[s]],
            "sigma_R": texts[layout.sigma_R[s]],
            "leading": [(degree, texts[i]) for degree, i in zip(layout.degrees[:2], layout.beta[s, :2], strict=True)],
            "electrons": f"{values[layout.N[s]]:,.0f}",
        }
        for s in range(layout.spheres)
    ]
    tables = read_tables(path)
    warnings = [text.decode() for text in tables["Warnings"].array] if "Warnings" in tables else []
    settings = read_made_by(path).settings
    return _render("headline", spheres=spheres, warnings=warnings, method=settings.method, order=settings.order)


def betas(path: Path) -> Html:
    """Return a table of all betas with their errors, in the project's normalisation and in the field's (twice that)."""
    layout, values, errors = read_parameters(path)
    spheres = range(1, layout.spheres + 1)
    head = ["degree", *(text for s in spheres for text in (f"β, sphere {s}", f"field, sphere {s}"))]
    rows = []
    for degree, index in zip(layout.degrees, layout.beta.T, strict=True):
        pairs = zip(values[index], errors[index], strict=True)
        rows.append([str(degree), *(shorthand(k * v, k * e) for v, e in pairs for k in (1, 2))])
    return _render("betas", head=head, rows=rows)


def checks(path: Path) -> Html:
    """Return what says whether to trust the answer: goodness of fit, the finder's bias, the summed frames."""
    tables = read_tables(path)
    rows = []
    if "Tests" in tables:
        rows += [[row["Name"].decode(), f"{row['P']:.3g}", row["Text"].decode()] for row in tables["Tests"].array]
    if "FinderBias" in tables:
        bias, facts = tables["FinderBias"].array, tables["FinderBias"].attributes
        known = bias["Error"] > 0
        _, _, errors = read_parameters(path)
        worst = np.abs(bias["Bias"][known] / errors[known]).max()
        done = "subtracted" if facts["subtracted"] else "not subtracted"
        rows.append(["finder's bias", f"{facts['p']:.3g}", f"at most {worst:.2f} standard errors; {done}"])
    if "Systematics" in tables:
        rows += [
            ["what no image tells", "", text] for text in str(tables["Systematics"].attributes["text"]).splitlines()
        ]
    if "Integrated" in tables:
        facts = tables["Integrated"].attributes
        rows.append(["summed frames, without hits", f"{facts['p']:.3g}", f"chi-square {facts['chi2']:.1f}"])
    return _render("checks", rows=rows)


def figures(folder: Path, answer: Path) -> Html:
    """Return the figures that the answer stage drew of this answer into a folder, as far as they are there."""
    _, values, _ = read_parameters(answer)
    drawn_of = folder / "answer.json"
    of_another = drawn_of.exists() and json.loads(drawn_of.read_text())["project"]["value"] != values.tolist()
    there = [(caption, folder / f"{name}.png") for name, caption in CAPTIONS.items()]
    drawn = [(caption, base64.b64encode(path.read_bytes()).decode()) for caption, path in there if path.is_file()]
    return _render("figures", folder=folder, answer=answer, of_another=of_another, drawn=drawn)


def spectrum(folder: Path) -> Html:
    """Return the peaks and the figure of the spectrum in a folder of data; nothing where none was made."""
    path, drawn = folder / "spectrum.h5", folder / "figures" / "spectrum.png"
    if not path.exists():
        return Html("")
    rows = read_tables(path)["Peaks"].array
    names = rows.dtype.names or ()
    told = [name for name in names if f"{name}_error" in names]
    table = [
        [str(number), *("" if np.isnan(row[name]) else shorthand(row[name], row[f"{name}_error"]) for name in told)]
        for number, row in enumerate(rows, 1)
    ]
    image = base64.b64encode(drawn.read_bytes()).decode() if drawn.is_file() else None
    return _render("spectrum", head=["peak", *told], rows=table, image=image)


def _render(template: str, **content: object) -> Html:
    return Html(_TEMPLATES.get_template(f"{template}.html.j2").render(content))
