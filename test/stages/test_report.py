"""The report of both answers to the sample, as a reader opens it: one page, whole, readable on a narrow screen."""

import re
import shutil
from pathlib import Path

import h5py
import nbformat
import numpy as np
import pytest

from src import gen_spectrum, report
from support import ROOT
from support.answers import answer
from support.browser import opened
from support.documented_commands import FENCE, commands_in, spans_of
from support.param import PARAM
from support.scripts import call
from util.answer.final_h5 import read_answer
from util.report import network_report
from util.report.captions import CAPTIONS
from util.report.html import figures, spectrum
from util.report.training_curves import read_curves
from util.runtime.errors import InputError

NETWORK_PAGE = (ROOT / "doc" / "network.md").read_text(encoding="utf-8")
# Those of the answer, but for a frame, which the sample does not have, the spectrum's, and four of the network.
FIGURES = len(CAPTIONS) - 1 + 1 + 4

pytestmark = pytest.mark.filterwarnings("default")  # what Jupyter's own parts warn of is theirs


def set_folders(patch, *, data, param, answer):
    """Point the notebook at folders as the scripts do."""
    for name, value in {"DATA_DIR": data, "PARAM_DIR": param, "ANSWER": answer, "PYTHONPATH": ROOT}.items():
        patch.setenv(name, str(value))


@pytest.fixture(scope="module")
def answered(module_folder):
    """Return a copy of the sample that ships with the program, answered as the network's page says, and the lines."""
    here = module_folder("report")
    run = here / "data" / "sample"
    shutil.copytree(ROOT / "data" / "sample" / "finaltest_npy", run / "finaltest_npy")
    (block,) = [code for language, code in FENCE.findall(NETWORK_PAGE) if "ANSWER=data/sample_final.h5" in code]
    printed = []
    for settings, (_, script, *options) in commands_in(block):
        details = here / Path(settings["ANSWER"]).stem  # the second's figures would stand in place of the first's
        done = call(ROOT / script, *options, "--details", details, cwd=here, **settings)
        assert done.returncode == 0, done.stderr
        printed += done.stdout.splitlines()
    assert {path.name for path in (here / "data").glob("*.h5")} == {"sample_final.h5", "sample_resnet.h5"}
    (here / "data" / "sample_final.h5").rename(run / "final.h5")
    (here / "data" / "sample_resnet.h5").rename(run / "final_resnet.h5")
    (here / "sample_final").rename(run / "figures")
    of_spectrum = ("--shards", run / "finaltest_npy", "--output", run / "spectrum.h5", "--details", run / "figures")
    gen_spectrum.main([str(word) for word in (*of_spectrum, "--order", 2, "--resolution", 0.02)])
    return run, printed


@pytest.fixture(scope="module")
def sample_run(answered):
    """Return the folder of both answers; not to be changed."""
    return answered[0]


def test_the_sample_is_answered_as_the_network_page_says(answered):
    promised = [span for span in spans_of(NETWORK_PAGE) if re.search(r"[a-z] 0\.\d{4}$", span)]
    assert len(promised) == 2
    assert set(promised) <= set(answered[1])


def test_a_right_answer_leaves_the_mean_square_to_expect_and_a_wrong_one_more(sample_run):
    answer = sample_run / "final.h5"
    hits = network_report.read_electrons(sample_run / "finaltest_npy", answer)
    beta = read_answer(answer)["beta"]
    pulls, good = network_report.residuals(hits, answer, beta)
    assert good.found == pytest.approx(np.mean(pulls[pulls != 0] ** 2), rel=1e-3)
    assert abs(good.found - good.expected) < 3 * good.error
    wrong = beta.copy()
    wrong[0, 0] += 0.05
    bad = network_report.residuals(hits, answer, wrong)[1]
    assert bad.found - bad.expected > 5 * bad.error


def test_without_a_spectrum_the_report_says_nothing_of_one(tmp_path):
    assert spectrum(tmp_path) == ""


def test_curves_without_a_manifest_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"weights\.json: no such manifest"):
        read_curves(tmp_path, tmp_path)


@pytest.fixture(scope="module")
def page(sample_run, module_folder):
    """Return report.html of the sample."""
    path = module_folder("page") / "report.html"
    with pytest.MonkeyPatch.context() as patch:
        set_folders(patch, data=sample_run, param=PARAM, answer=sample_run / "final.h5")
        report.main(["--output", str(path)])
    return path


def test_the_page_holds_all_and_loads_nothing(page):
    text = page.read_text()
    text = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)  # what these load, the browser tells
    assert text.count("<img") == FIGURES and "distance between them" in text
    assert set(re.findall(r"(?:src|href)=\"([^\"]{1,5})", text)) == {"data:"}
    assert "url(" not in text and "@import" not in text
    for caption in (CAPTIONS[name] for name in set(CAPTIONS) - {"frame"}):
        assert caption in text
    assert "Traceback" not in text and "network_report" not in text
    # Its order is too low for these spheres, and the page says so.
    assert "What speaks against this spectrum" in text and "the fit does not describe the image" in text


@pytest.mark.parametrize("width", [1280, 375])
def test_a_browser_shows_every_figure_without_an_error_or_a_request(page, width):
    with opened(page.as_uri(), width) as browser:
        images = browser.value("Array.from(document.images).map(i => [i.complete, i.naturalWidth, i.clientWidth])")
        assert len(images) == FIGURES
        assert all(whole and natural > 300 and 200 < shown <= width for whole, natural, shown in images)
        requests = [event["request"]["url"] for event in browser.seen("Network.requestWillBeSent")]
        assert [url for url in requests if not url.startswith("data:")] == [page.as_uri()]
        assert browser.seen("Log.entryAdded") == browser.seen("Runtime.exceptionThrown") == []
        assert browser.seen("Runtime.consoleAPICalled") == []
        # Nothing is wider than the screen; what is wider scrolls in a box of its own.
        assert browser.value("document.documentElement.scrollWidth") <= width
        assert browser.value("document.querySelectorAll('table').length") == 4
        plots = browser.value(
            "Array.from(document.querySelectorAll('.plot')).map(p => [p.clientWidth, p.clientHeight])"
        )
        assert len(plots) == 2 and all(200 < wide <= width and high > 200 for wide, high in plots)
        every = "Array.from(document.querySelectorAll('.table, pre'))"
        boxes = browser.value(f"{every}.map(b => [b.clientWidth, getComputedStyle(b).overflowX])")
        assert all(shown <= width and (overflow == "auto" or width > 480) for shown, overflow in boxes)
        assert browser.value("document.querySelectorAll('.sphere').length") == 2
        assert re.search(r"R = 0\.\d+\(\d+\)", browser.value("document.body.innerText"))


# What the tooltip of a figure says, which stands in a tree of its own.
TOOLTIP = """(() => { const found = []; const walk = (root) => { for (const e of root.querySelectorAll("*")) {
  if (e.matches(".bk-tooltip-content")) found.push(e.textContent); if (e.shadowRoot) walk(e.shadowRoot); } };
  walk(document); return found.join(" "); })()"""


def test_a_browser_tells_the_electrons_under_the_pointer(page):
    with opened(page.as_uri(), 1280) as browser:
        browser.value("document.querySelector('.plots').scrollIntoView()")
        box = "document.querySelector('.plot').getBoundingClientRect()"
        x, y, width = (browser.value(f"{box}.{side}") for side in ("x", "y", "width"))
        for share in (0.5, 0.51):
            browser.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x + share * width, y=y + share * width)
        drawn = "new Promise(done => requestAnimationFrame(() => setTimeout(done, 300)))"
        browser.ask("Runtime.evaluate", expression=drawn, awaitPromise=True)
        found, expected = map(
            float, re.search(r"found:\s*([\d.]+)\s*expected:\s*([\d.]+)", browser.value(TOOLTIP)).groups()
        )
        assert expected > 10 and abs(found - expected) < 6 * expected**0.5


def test_a_browser_prints_all_but_what_one_can_only_point_at(page):
    with opened(page.as_uri(), 700) as browser:
        browser.ask("Emulation.setEmulatedMedia", media="print")
        assert browser.value("document.documentElement.scrollWidth") <= 700
        assert browser.value("document.querySelector('.plots').offsetParent") is None
        assert browser.value("Array.from(document.images).every(i => i.clientWidth <= 700)")


def test_a_browser_tells_of_a_page_that_is_broken(tmp_path):
    """The negative control of the test above."""
    broken = tmp_path / "broken.html"
    broken.write_text('<img src="none.png"><script>console.error("no"); nothing();</script><p style="width:900px">x')
    with opened(broken.as_uri(), 375) as browser:
        assert browser.value("document.images[0].naturalWidth") == 0
        assert browser.seen("Runtime.exceptionThrown") and browser.seen("Runtime.consoleAPICalled")
        assert any("none.png" in event["request"]["url"] for event in browser.seen("Network.requestWillBeSent"))
        assert browser.value("document.documentElement.scrollWidth") > 375


def test_without_a_browser_ci_fails_and_others_skip(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no browser: expected one of chromium"), opened("about:blank", 100):
        pass
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception), opened("about:blank", 100):
        pass


def test_no_answer_and_a_failing_cell_are_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("ANSWER", str(tmp_path / "final.h5"))
    with pytest.raises(InputError, match=r"final\.h5: no such file"):
        report.main(["--output", str(tmp_path / "report.html")])
    monkeypatch.delenv("ANSWER")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    nbformat.write(notebook, tmp_path / "bad.ipynb")
    with pytest.raises(InputError, match=r"bad\.ipynb: a cell failed: ZeroDivisionError"):
        report.main(["--output", str(tmp_path / "report.html"), "--notebook", str(tmp_path / "bad.ipynb")])
    whole = (tmp_path / "bad.ipynb").read_text()
    for text in (whole[: len(whole) // 2], "[]", "5"):
        (tmp_path / "bad.ipynb").write_text(text)
        with pytest.raises(InputError, match=r"bad\.ipynb: expected a notebook, found otherwise"):
            report.main(["--output", str(tmp_path / "report.html"), "--notebook", str(tmp_path / "bad.ipynb")])
    assert not (tmp_path / "report.html").exists()


def test_an_answer_without_hits_has_a_page_too_and_what_speaks_against_it_stands_on_top(
    sample_run, tmp_path, monkeypatch
):
    with h5py.File(sample_run / "final.h5") as file, h5py.File(tmp_path / "final.h5", "w") as copy:
        for name in ("Answer", "Parameters", "MadeBy"):
            file.copy(name, copy)
        copy["Warnings"] = np.array(["the spheres < overlap"], dtype=h5py.string_dtype())
    set_folders(monkeypatch, data=tmp_path, param=PARAM, answer=tmp_path / "final.h5")
    report.main(["--output", str(tmp_path / "report.html")])
    text = (tmp_path / "report.html").read_text()
    assert text.index("One finding speaks against this answer") < text.index("the spheres &lt; overlap")
    assert text.index("the spheres &lt; overlap") < text.index("Anisotropy parameters")
    assert "No checks were made" in text and "No figures here" in text
    assert "No second answer, of the network" in text
    assert "Look closer" not in text and "<script" not in text
    assert "script/" not in text and "bash" not in text


def test_figures_of_another_answer_are_not_shown_with_this_one(sample_run, tmp_path):
    assert "<img" in figures(sample_run / "figures", sample_run / "final.h5")
    answer(sample_run / "finaltest_npy", tmp_path / "other.h5", "--hit-weights", "unit", "--bias", 0)
    text = figures(sample_run / "figures", tmp_path / "other.h5")
    assert "<img" not in text
    assert "of another answer" in text
