"""One self-contained HTML page of an answer.

usage: python -m src.report --output report.html [--notebook final.ipynb]

reads   the notebook, which reads final.h5 ($ANSWER), $DATA_DIR, $FINALTEST and $PARAM_DIR
writes  report.html: images and scripts within, nothing loaded from anywhere
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter
from traitlets.config import Config

from util.answer.final_h5 import read_parameters
from util.report.interactive import look_closer
from util.report.network_report import read_electrons
from util.runtime import console
from util.runtime.atomic_file import replacing
from util.runtime.errors import InputError, run_program
from util.runtime.input_file import check_file
from util.runtime.options import Parser, as_options
from util.runtime.output_names import text_file

ROOT = Path(__file__).resolve().parents[1]
PLACE = re.compile(r'<div id="look-closer">.*?</div>', re.DOTALL)  # in the notebook
TIMEOUT_S = 600  # for one cell


def page_of(notebook: Path) -> str:
    """Run a notebook from top to bottom and return it as HTML, without its code.

    Raises
    ------
    InputError
        No notebook, or one of which a cell failed; the message says why.
    """
    try:
        cells = nbformat.read(notebook, as_version=4)
    except (ValueError, AttributeError, KeyError) as error:  # no JSON, or JSON of something else
        raise InputError(f"{notebook}: expected a notebook, found otherwise ({error}); restore it from git") from None
    try:
        where = {"metadata": {"path": str(ROOT)}}
        # Not TCP: what goes between notebook and kernel stays on this machine.
        local = Config({"KernelManager": {"transport": "ipc"}})
        NotebookClient(cells, timeout=TIMEOUT_S, resources=where, config=local).execute()
    except CellExecutionError as error:
        raise InputError(f"{notebook}: a cell failed: {error.ename}: {error.evalue}") from None
    exporter = HTMLExporter(extra_template_basedirs=[str(ROOT / "util/report")], template_name="notebook_template")
    exporter.exclude_anchor_links = True
    return exporter.from_notebook_node(cells)[0]


def with_interactive_figures(page: str, answer: Path, data: Path) -> str:
    """Put the figures that a reader can zoom into in their place on a page, or nothing where there are no electrons."""
    hits = read_electrons(data / "finaltest_npy", answer)
    if hits is None:
        return PLACE.sub("", page)
    layout, values, _ = read_parameters(answer)
    figures = look_closer(hits, layout, values)
    return PLACE.sub(lambda _: figures, page)


@dataclass(frozen=True)
class Options:
    """The page to write, and the notebook that it is made from."""

    output: Path
    notebook: Path


def parse_args(argv: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = Parser("report.sh", __doc__)
    parser.add_argument("--output", type=text_file("a page", "<!DOCTYPE html>"), required=True, help="report.html")
    parser.add_argument("--notebook", type=Path, default=ROOT / "final.ipynb", help="(default: final.ipynb)")
    return as_options(Options, parser, vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> None:
    """Write the page."""
    options = parse_args(argv)
    check_file(options.notebook, "no such notebook; name one with --notebook")
    if "ANSWER" in os.environ:
        read_parameters(Path(os.environ["ANSWER"]))  # before a kernel is started in vain
    data = ROOT / os.environ.get("DATA_DIR", "data/sample")
    page = with_interactive_figures(page_of(options.notebook), ROOT / os.environ.get("ANSWER", data / "final.h5"), data)
    with replacing(options.output) as temporary:
        temporary.write_text(page, encoding="utf-8")
    console.conclude(f"report {options.output}")


if __name__ == "__main__":
    run_program(main)
