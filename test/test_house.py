"""The house: rooms and their floors, small modules, and the two places that look through all rooms by themselves."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import ROOT

ROOMS = sorted(path.parent for top in ("util", "src") for path in ROOT.glob(f"{top}/*/__init__.py"))
MODULES = sorted(path for top in ("util", "src", "benchmark") for path in ROOT.glob(f"{top}/**/*.py"))
TESTS = sorted(ROOT.glob("test/**/*.py"))
MOST_LINES = 350
LONGEST_FUNCTION = 70
PARAMETER_PREFIXES = ("N", "R", "sigma_R", "beta", "centre", "background")


def named(path):
    return str(path.relative_to(ROOT))


def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def copy_of_the_house(folder):
    """Copy what the rooms and their contract consist of."""
    for top in ("util", "src", "benchmark"):
        shutil.copytree(ROOT / top, folder / top, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def lint_imports(folder):
    program = Path(sys.executable).parent / "lint-imports"
    return subprocess.run([program, "--no-cache", "--no-logo"], cwd=folder, capture_output=True, text=True)


def add_import(path, statement):
    path.write_text(f"{path.read_text()}\n{statement}\n")


def test_rooms_import_only_from_lower_floors():
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("util/physics/pad.py", "util.report.html"),  # upward
        ("util/fit/likelihood.py", "util.training.priors"),  # from a room of the same floor
        ("util/runtime/errors.py", "src.gen_events_h5"),
        ("src/gen_events_h5.py", "benchmark.finder"),
    ],
)
def test_an_import_from_above_or_aside_breaks_the_contract(tmp_path, module, imported):
    house = copy_of_the_house(tmp_path)
    add_import(house / module, f"import {imported}")
    done = lint_imports(house)
    assert done.returncode == 1, done.stderr
    assert f"{module.removesuffix('.py').replace('/', '.')} -> {imported}" in done.stdout


def test_util_holds_rooms_only_and_src_programs_and_rooms():
    assert [path.name for path in ROOT.glob("util/*.py")] == ["__init__.py"]
    commands = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "README.md", *ROOT.glob("doc/*.md")))
    scripts = {path.stem for path in ROOT.glob("script/*.sh")}
    programs = {path.stem for path in ROOT.glob("src/*.py") if not path.stem.startswith("__")}
    assert [name for name in sorted(programs - scripts) if f"-m src {name}" not in commands] == []


def test_every_room_says_what_it_is_for_and_is_tested_in_a_room_of_its_name():
    assert len(ROOMS) >= 15
    assert [named(room) for room in ROOMS if not ast.get_docstring(parsed(room / "__init__.py"))] == []
    assert [named(room) for room in ROOMS if not any((ROOT / "test" / room.name).glob("test_*.py"))] == []


def test_modules_and_functions_are_small():
    assert len(MODULES) > 100
    lines = {named(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    for path in MODULES:
        for function in functions(parsed(path)):
            where = f"{named(path)}:{function.lineno} {function.name}"
            lines[where] = function.end_lineno - function.lineno + 1 + MOST_LINES - LONGEST_FUNCTION
    assert {where: count - MOST_LINES for where, count in lines.items() if count > MOST_LINES} == {}


def found_in(paths, search):
    """Return what a search of a syntax tree finds in modules, by their names."""
    return {named(path): found for path in paths if (found := search(parsed(path)))}


def namespaces(tree):
    """List the lines that name argparse's Namespace, but for those in the body of a function `parse_args`."""
    body = {
        id(node)
        for function in functions(tree)
        if function.name == "parse_args"
        for statement in function.body
        for node in ast.walk(statement)
    }
    return sorted(
        node.lineno
        for node in ast.walk(tree)
        if id(node) not in body
        and "Namespace" in (getattr(node, "id", None), getattr(node, "attr", None), getattr(node, "name", None))
    )


def test_a_namespace_ends_in_parse_args():
    assert found_in(MODULES, namespaces) == {}


def test_a_namespace_that_travels_is_found():
    assert namespaces(ast.parse("def answer(args: argparse.Namespace): ...\nfrom argparse import Namespace")) == [1, 2]
    assert namespaces(ast.parse("def parse_args() -> argparse.Namespace: ...")) == [1]
    assert namespaces(ast.parse("def parse_args():\n    args: argparse.Namespace = parser.parse_args()")) == []


def prefix_tests(tree):
    """Lines that ask whether a text begins as a parameter's name does."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    asked = [(call.lineno, call.args[0]) for call in calls if getattr(call.func, "attr", None) == "startswith"]
    beginning = re.compile(rf"({'|'.join(PARAMETER_PREFIXES)})(_.*)?")
    return [
        line
        for line, argument in asked
        for node in ast.walk(argument)
        if isinstance(node, ast.Constant) and beginning.fullmatch(str(node.value))
    ]


def test_nobody_but_the_owner_of_the_parameters_reads_their_names():
    assert found_in(set(MODULES) - {ROOT / "util" / "fit" / "parameters.py"}, prefix_tests) == {}


def test_a_prefix_test_is_found():
    assert prefix_tests(ast.parse('name.startswith(("N_", "centre"))\nname.startswith("beta_2")')) == [1, 1, 2]
    assert prefix_tests(ast.parse('name.startswith("final_")\nname.startswith(prefix)')) == []


def conditional_checks(tree):
    """Lines of assertions, and of expected errors, that run only under a condition or after an error."""
    branches = [
        branch
        for node in ast.walk(tree)
        for branch in ([*node.body, *node.orelse] if isinstance(node, ast.If) else getattr(node, "handlers", []))
    ]
    return [
        node.lineno
        for branch in branches
        for node in ast.walk(branch)
        if isinstance(node, ast.Assert)
        or (isinstance(node, ast.With) and any("pytest.raises" in ast.unparse(item) for item in node.items))
    ]


def test_no_check_runs_only_under_a_condition():
    assert found_in(TESTS, conditional_checks) == {}


def test_a_check_under_a_condition_is_found():
    assert conditional_checks(ast.parse("if x:\n    assert y\nelse:\n    z()")) == [2]
    assert conditional_checks(ast.parse("try:\n    x()\nexcept Bad as e:\n    assert e")) == [4]
    assert conditional_checks(ast.parse("if x:\n    with pytest.raises(Bad):\n        y()")) == [2]
    assert conditional_checks(ast.parse("for x in y:\n    assert x\nif a:\n    b()")) == []


def imports_of_tests(tree):
    """List the tests and the conftests that a module imports."""
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return [name for name in names if re.search(r"(^|\.)(test_\w+|conftest)$", name)]


def test_no_test_imports_another():
    assert found_in(TESTS, imports_of_tests) == {}
    assert imports_of_tests(ast.parse("from test_priors import x\nimport test.conftest")) == [
        "test.conftest",
        "test_priors",
    ]


def numba_cache(house):
    """Source script/env.sh as a stage does."""
    script = 'set -euo pipefail; cd "$1"; source script/env.sh; echo "$NUMBA_CACHE_DIR"'
    return subprocess.run(
        ["bash", "-c", script, "stage", house], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}
    )


def test_the_cache_of_compiled_functions_follows_modules_in_every_room(tmp_path):
    house = copy_of_the_house(tmp_path)
    shutil.copytree(ROOT / "script", house / "script")
    compiled = [path for path in house.glob("util/**/*.py") if "njit" in path.read_text()]
    assert len({path.parent for path in compiled}) >= 3
    names = [numba_cache(house).stdout]
    for path in compiled:
        path.write_text(f"{path.read_text()}\n")
        names.append(numba_cache(house).stdout)
    assert len(set(names)) == len(compiled) + 1
    (house / "util" / "physics" / "pad.py").write_text("")  # holds none
    assert numba_cache(house).stdout == names[-1]
    assert Path(names[-1].strip()).parent == house / ".cache" / "numba"


def test_a_stage_that_finds_no_compiled_functions_says_so(tmp_path):
    shutil.copytree(ROOT / "script", tmp_path / "script")
    for top in ("util", "src"):
        (tmp_path / top).mkdir()
    done = numba_cache(tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path}: expected modules with compiled functions in util or src, found none; ")
