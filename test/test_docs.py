"""README.md and doc/ are true: the commands, options, settings, paths and links in them exist, and examples run."""

import re
import tomllib

import h5py
import numpy as np
import pytest

from support import ROOT
from support.answers import MADE_BY, result_of
from support.documented_commands import (
    FENCE,
    commands_in,
    commands_of,
    every_option,
    every_setting,
    faults_of,
    options_in,
    spans_of,
)
from util.answer.export import write_all
from util.answer.final_h5 import write_answer
from util.finder.finder import EVENT

PAGES = [ROOT / "README.md", ROOT / "data" / "README.md", *sorted((ROOT / "doc").glob("*.md"))]
TEXTS = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}
README = TEXTS["README.md"]

MOST_LINES = 150
LARGEST_PICTURE = 150_000
LANGUAGES = {"bash", "python", "text", "toml"}
REPOSITORY_PATH = re.compile(
    r"(?<![\w/.$-])(?:(?:benchmark|data/sample|doc|param|script|src|test|util)/[\w./*-]*[\w*]|[\w-]+\.(?:md|ipynb))"
)
PLACEHOLDER = re.compile(r"(?<![a-z])(?!README)[A-Z]+(?![a-z])")
# Words in capitals that are no settings of ours.
CAPITALS = {"PATH", "HOST", "FILE", "FOLDER", "STAGE", "START", "STOP"}

pages = pytest.mark.parametrize("name", TEXTS)


def blocks(text, language):
    return [code for found, code in FENCE.findall(text) if found == language]


def anchors(text):
    """Return the anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pages
def test_every_command_names_a_program_with_options_and_settings_that_it_knows(name):
    assert [fault for command in commands_of(TEXTS[name]) for fault in faults_of(command)] == []


def test_the_pages_hold_many_commands():
    assert sum(len(commands_of(text)) for text in TEXTS.values()) > 120


@pytest.mark.parametrize(
    "line",
    [
        "bash script/gen_events_h5.sh --partial",
        "DATA_DIR=data/quickstart WORKERS=2 bash script/gen_events_h5.sh --output FILE && git status",
        "export FINALTEST=/path/to/frames.h5",
        "gen_finaltest_npy.sh --range 0 5",
        "METHOD=resnet bash script/run_all.sh --spheres 1",
        "SCHEDULER=tcp://HOST:8786 exec bash script/start_workers.sh --death-timeout 60  # a comment",
        "nice .venv/bin/python -m benchmark.finder --frames 30",
        ".venv/bin/python -m torch.distributed.run --nproc-per-node 2 -m src run_model --epochs 60",
    ],
)
def test_a_sound_command_passes(line):
    (command, *_) = commands_in(line)
    assert faults_of(command) == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("bash script/gen_events_h5.sh --partly", "--partly: no option of src.gen_events_h5"),
        ("bash script/run_all.sh --range 0 5", "--range: no option of src.gen_finaltest_answer"),
        ("bash script/start_workers.sh --death 60", "--death: no option of dask worker"),
        ("bash script/setup.sh --fast", "--fast: no option of None"),
        ("bash script/gen_event_h5.sh", "script/gen_event_h5.sh: no such script"),
        ("bash gen_events_h5.sh", "gen_events_h5.sh: no such script"),
        ("gen_finaltest_npy.sh --range 0", "expected 2 arguments"),
        ("METHOD=guess bash script/gen_finaltest_answer.sh", "invalid choice: 'guess'"),
        ("bash script/gen_finaltest_answer.sh --spheres 99", "at most 20, found"),
        ("FINAL_TEST=a bash script/gen_events_h5.sh", "FINAL_TEST: no setting"),
        ("REPORT=a bash script/gen_events_h5.sh", "REPORT: no setting"),
        ("export FINAL_TEST=a", "FINAL_TEST: no such setting"),
        (".venv/bin/python -m benchmark.chain", "benchmark.chain: no such module"),
        (".venv/bin/python -m benchmark.finder --frame 5", "--frame: no option of benchmark.finder"),
        (".venv/bin/python -m benchmark.finder --frames few", "expected an integer of at least 2, found 'few'"),
        (".venv/bin/python -m torch.distributed.run -m src run_model --epoch 6", "--epoch: no option of src.run_model"),
        ("python -m benchmark.finder", "no program of this project"),
    ],
)
def test_a_command_that_cannot_run_is_found(line, fault):
    (command,) = commands_in(line)
    assert any(fault in found for found in faults_of(command))


@pages
def test_options_and_settings_named_in_a_sentence_exist(name):
    spans = spans_of(TEXTS[name])
    options = [option for span in spans if span.startswith("--") for option in options_in(span.split())]
    assert set(options) - every_option() == set()
    settings = [match[1] for span in spans if (match := re.match(r"\$?([A-Z]{2,}[A-Z_]*)(=|/|$)", span))]
    assert set(settings) - every_setting() - CAPITALS == set()


@pages
def test_every_path_of_the_repository_that_a_page_names_exists(name):
    text = re.sub(r"\]\([^)]*\)", "]", TEXTS[name])
    paths = [path for path in REPOSITORY_PATH.findall(text) if not PLACEHOLDER.search(path)]
    assert [path for path in paths if not any(ROOT.glob(path))] == []
    modules = re.findall(r"`((?:benchmark|src|util)(?:\.\w+)+)`", text)
    assert [module for module in modules if not (ROOT / f"{module.replace('.', '/')}.py").exists()] == []


@pages
def test_links_and_their_anchors_resolve(name):
    page = ROOT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[name]):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked.read_text(encoding="utf-8")), target


@pages
def test_code_stands_in_blocks_that_name_their_language(name):
    text = TEXTS[name]
    assert {language for language, _ in FENCE.findall(text)} <= LANGUAGES
    assert text.count("```") == 2 * len(FENCE.findall(text))
    outside = FENCE.sub("", text).splitlines()
    assert [line for line in outside if re.match(r" {4,}(bash|export|python|\.venv|git|[A-Z_]+=)", line)] == []


def test_the_readme_is_a_page_with_a_small_picture_and_leads_to_every_other():
    assert README.count("\n") <= MOST_LINES
    (picture,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert (ROOT / picture).stat().st_size <= LARGEST_PICTURE
    assert {name for name in TEXTS if name.startswith("doc/")} <= set(re.findall(r"\]\((doc/\w+\.md)\)", README))


def test_the_tree_of_the_readme_names_every_room_and_its_floor():
    (tree,) = [code for code in blocks(README, "text") if "\nutil/" in code]
    top, floors = "", {}
    for indent, folder, said in re.findall(r"^( *)(\S+) +(.*)$", tree, re.MULTILINE):
        top = top if indent else folder
        floors[top + folder if indent else folder] = re.match(r"floor (\d)", said)
    rooms = [path.parent for top in ("src", "util") for path in ROOT.glob(f"{top}/*/__init__.py")]
    assert {f"{room.relative_to(ROOT)}/" for room in rooms} <= set(floors)
    assert [path for path in floors if not (ROOT / path).is_dir()] == []
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract.get("containers") == ["util"])
    expected = {f"util/{room.strip()}/": n for n, layer in enumerate(layers[::-1], 1) for room in layer.split("|")}
    assert {path: int(floor[1]) for path, floor in floors.items() if floor} == expected


def test_python_examples_run(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "data" / "quickstart"
    folder.mkdir(parents=True)
    result = result_of()
    write_answer(folder / "final.h5", result, MADE_BY)
    write_all(folder / "figures", result)
    with h5py.File(folder / "events.h5", "w") as file:
        file["Events"] = np.ones(3, EVENT)
    monkeypatch.chdir(tmp_path)
    examples = [code for text in TEXTS.values() for code in blocks(text, "python")]
    for example in examples:
        exec(compile(example, "example", "exec"), {})
    printed = capsys.readouterr().out
    assert len(examples) == 4
    assert "\nR_1 0.4" in printed
    assert "3 3.0" in printed
    covariance = result.covariance[result.layout.R[0], result.layout.R[1]]
    assert f"from final.h5 {covariance}\nfrom covariance.csv {covariance}\n" in printed
