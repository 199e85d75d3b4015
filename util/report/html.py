"""What the report says of an answer, as HTML: headline, tables, checks, and the figures that the answer stage drew."""

import base64
import html
import json
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from util.answer.final_h5 import read_made_by, read_parameters
from util.runtime.hdf5 import open_hdf5

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


def rounded(value: float, error: float) -> str:
    """Give value and error to the error's two leading digits, as 0.5002(12); a value without error as it is."""
    if not error > 0:
        return f"{value:.4g}"
    digits = max(0, 1 - int(np.floor(np.log10(error))))
    return f"{value:.{digits}f}({round(error * 10**digits)})"


def headline(path: Path) -> Html:
    """Give the answer in a few words, radius, width and first anisotropy parameters, and what speaks against it."""
    found = read_tables(path)
    layout, values, errors = read_parameters(path)
    told = [rounded(value, error) for value, error in zip(values, errors, strict=True)]
    boxes = []
    for s in range(layout.spheres):
        leading = " &nbsp; ".join(
            f"β<sub>{degree}</sub> = {told[i]}" for degree, i in zip(layout.degrees[:2], layout.beta[s], strict=False)
        )
        boxes.append(
            f'<div class="sphere"><h2>Sphere {s + 1}</h2><p class="radius">R = {told[layout.R[s]]}</p>'
            f"<p>σ<sub>R</sub> = {told[layout.sigma_R[s]]}<br>{leading}<br>"
            f"{values[layout.N[s]]:,.0f} electrons</p></div>"
        )
    settings = read_made_by(path).settings
    how = f"By {settings.method}, Legendre degrees up to {settings.order}."
    note = "In brackets: the standard error of the last digits. Lengths in units of half the screen."
    warnings = "".join(f"<li>{html.escape(text.decode())}</li>" for text in found.get("Warnings", ()))
    beware = f'<div class="beware"><p>Beware:</p><ul>{warnings}</ul></div>' if warnings else ""
    return Html(f'<div class="headline">{"".join(boxes)}</div>{beware}<p>{how} {note}</p>')


def betas(path: Path) -> Html:
    """Table of all betas with their errors, in the project's normalisation and in the field's (twice that)."""
    layout, values, errors = read_parameters(path)
    spheres = range(1, layout.spheres + 1)
    head = ["degree", *(text for s in spheres for text in (f"β, sphere {s}", f"field, sphere {s}"))]
    rows = []
    for degree, index in zip(layout.degrees, layout.beta.T, strict=True):
        pairs = zip(values[index], errors[index], strict=True)
        rows.append([str(degree), *(rounded(k * v, k * e) for v, e in pairs for k in (1, 2))])
    return _table(head, rows, "I(c) = 1/2 + Σ β P(c); the field's normalisation, 1 + Σ β P(c), has twice these.")


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
    if not rows:
        return Html("<p>No checks were made of this answer.</p>")
    return _table(
        ["check", "p", "found"],
        rows,
        "p: probability of as much where nothing is wrong; below 0.001, beware of what was not subtracted.",
    )


def figures(folder: Path, answer: Path) -> Html:
    """Embed what the answer stage drew of this answer into a folder; figures that are not there are left out."""
    drawn = folder / "answer.json"
    if drawn.exists() and json.loads(drawn.read_text())["project"]["value"] != read_parameters(answer)[1].tolist():
        text = f"The figures in {folder} are of another answer than {answer}; answer again to draw its own."
        return Html(f"<p>{html.escape(text)}</p>")
    parts = []
    for name, caption in CAPTIONS.items():
        path = folder / f"{name}.png"
        if path.exists():
            image = base64.b64encode(path.read_bytes()).decode()
            parts.append(
                f'<figure><div><img alt="{html.escape(caption)}" src="data:image/png;base64,{image}"></div>'
                f"<figcaption>{html.escape(caption)}</figcaption></figure>"
            )
    return Html("".join(parts) or "<p>No figures here; the answer stage draws them with --details.</p>")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> Html:
    top = "".join(f"<th>{html.escape(text)}</th>" for text in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return Html(
        f'<div class="table"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
        f"<p>{html.escape(caption)}</p>"
    )
