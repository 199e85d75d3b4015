"""What the report says of an answer, as HTML: headline, tables, checks, and the figures that the answer stage drew."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from util.answer.final_h5 import BETAS, read_answer, read_made_by, read_parameters, read_tables
from util.answer.tables import Table
from util.fit.agreement import DISAGREE
from util.fit.goodness import ALARM
from util.fit.parameters import Layout
from util.physics import pad
from util.report.captions import CAPTIONS, DETECTOR
from util.report.chance import told
from util.report.origin import origin_of
from util.runtime.value_with_error import shorthand

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


class Verdict(NamedTuple):
    """Whether nothing speaks against an answer, and what was found, in a sentence."""

    sound: bool
    text: str


def verdict_of(tables: Mapping[str, Table]) -> Verdict:
    """Return the verdict of the checks of an answer, read from its tables."""
    warnings = _warnings(tables)
    tests = tables["Tests"].array if "Tests" in tables else ()
    if warnings:
        number = "One finding speaks" if len(warnings) == 1 else f"{len(warnings)} findings speak"
        return Verdict(False, f"{number} against this answer:")
    if not len(tests):
        return Verdict(True, "Nothing is known to speak against this answer, but no tests of the fit were made.")
    least = min(tests, key=lambda row: row["P"])
    return Verdict(
        True,
        f"Nothing speaks against this answer: of {len(tests)} tests of the fit the smallest p is {told(least['P'])} "
        f"({least['Name'].decode()}), where chance alone makes about {told(1 / (len(tests) + 1))}.",
    )


def opening(answer: Path, data: Path, finaltest: Path) -> Html:
    """Return what was measured, and whether anything speaks against the answer; arguments as of `origin_of`."""
    tables = read_tables(answer)
    layout, values, _ = read_parameters(answer)
    origin = origin_of(answer, data, finaltest)
    electrons = ("electrons", f"{values[layout.N].sum():,.0f} in {layout.spheres} sphere{'s' * (layout.spheres > 1)}")
    warnings = _warnings(tables)
    runs = []
    if "Runs" in tables:
        rows = tables["Runs"].array
        of_both = (
            f"{len(rows)}, answered together: {rows['Electrons'].sum():,.0f} electrons, their answers agree with p = "
        )
        runs = [
            ("runs", f"{of_both}{told(_p_of(tables['Runs']))}; what follows of electrons and figures is of the first")
        ]
    return _render("opening", facts=[*origin, electrons, *runs], verdict=verdict_of(tables), warnings=warnings)


def headline(path: Path) -> Html:
    """Return radius, width and leading anisotropy parameters of each sphere."""
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
    settings = read_made_by(path).settings
    return _render("headline", spheres=spheres, method=settings.method, order=settings.order)


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


def comparison(likelihood: Path, network: Path) -> Html:
    """Return a table of both answers with the likelihood's errors, and their distance; or say that one is missing."""
    if not network.exists():
        return _render("comparison", rows=None)
    one, two = read_answer(likelihood), read_answer(network)
    fitted, _, errors = read_parameters(likelihood)
    known, shown = dict(zip(fitted.names, errors, strict=True)), Layout(len(one), 2 * BETAS)
    index = np.column_stack((shown.R, shown.beta)).ravel()
    values, others = (np.column_stack((rows["R"], rows["beta"])).ravel() for rows in (one, two))
    rows = []
    for name, value, other in zip((shown.names[i] for i in index), values, others, strict=True):
        error = known.get(name, 0.0)
        apart = f"{(other - value) / error:+.1f}" if error > 0 else ""
        rows.append([name, shorthand(value, error), f"{other:.5f}", apart])
    head = ("parameter", "likelihood", "network", "network - likelihood, in errors")
    distance = float(pad.distance(one["beta"], two["beta"]))
    return _render("comparison", head=head, rows=rows, distance=f"{distance:.4f}")


def checks(path: Path) -> Html:
    """Return what says whether to trust the answer: goodness of fit, the finder's bias, the summed frames."""
    tables = read_tables(path)
    rows = []
    if "Tests" in tables:
        rows += [
            [row["Name"].decode(), "passed" if row["P"] >= ALARM else "failed", told(row["P"]), row["Text"].decode()]
            for row in tables["Tests"].array
        ]
    if "FinderBias" in tables:
        bias, facts = tables["FinderBias"].array, tables["FinderBias"].attributes
        known = bias["Error"] > 0
        _, _, errors = read_parameters(path)
        worst = np.abs(bias["Bias"][known] / errors[known]).max()
        done = "subtracted" if facts["subtracted"] else "not subtracted"
        rows.append(["finder's bias", done, told(_p_of(tables["FinderBias"])), f"at most {worst:.2f} standard errors"])
    if "Systematics" in tables:
        rows += [
            ["what no image tells", "not in the errors", "", text.removeprefix("not in the errors: ")]
            for text in str(tables["Systematics"].attributes["text"]).splitlines()
        ]
    if "Integrated" in tables:
        facts = tables["Integrated"].attributes
        p = _p_of(tables["Integrated"])
        verdict = "agree" if p >= DISAGREE else "disagree"
        rows.append(["summed frames, without hits", verdict, told(p), f"chi-square {facts['chi2']:.1f}"])
    return _render("checks", rows=rows)


def _warnings(tables: Mapping[str, Table]) -> list[str]:
    return [text.decode() for text in tables["Warnings"].array] if "Warnings" in tables else []


def _p_of(table: Table) -> float:
    return float(str(table.attributes["p"]))


def figures(folder: Path, answer: Path) -> Html:
    """Return the figures of this answer and of its detector that were drawn into a folder, as far as they are there."""
    _, values, _ = read_parameters(answer)
    drawn_of = folder / "answer.json"
    of_another = drawn_of.exists() and json.loads(drawn_of.read_text())["project"]["value"] != values.tolist()
    there = [(caption, folder / f"{name}.png") for name, caption in (CAPTIONS | DETECTOR).items()]
    drawn = [(caption, base64.b64encode(path.read_bytes()).decode()) for caption, path in there if path.is_file()]
    return _render("figures", folder=folder, answer=answer, of_another=of_another, drawn=drawn)


def spectrum(folder: Path) -> Html:
    """Return the peaks and the figure of the spectrum in a folder of data; nothing where none was made."""
    path, drawn = folder / "spectrum.h5", folder / "figures" / "spectrum.png"
    if not path.exists():
        return Html("")
    tables = read_tables(path)
    rows = tables["Peaks"].array
    names = rows.dtype.names or ()
    shown = [name for name in names if f"{name}_error" in names]
    table = [
        [str(number), *("" if np.isnan(row[name]) else shorthand(row[name], row[f"{name}_error"]) for name in shown)]
        for number, row in enumerate(rows, 1)
    ]
    image = base64.b64encode(drawn.read_bytes()).decode() if drawn.is_file() else None
    return _render("spectrum", head=["peak", *shown], rows=table, image=image, warnings=_warnings(tables))


def _render(template: str, **content: object) -> Html:
    return Html(_TEMPLATES.get_template(f"{template}.html.j2").render(content))
