"""Which program this is."""

import subprocess
import tomllib

from support import ROOT
from util.runtime.program import commit, told_of_file, version


def test_the_version_is_the_projects():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert version() == f"sevi {project['version']}"


def repository(folder):
    """Make a repository of one commit; return its name."""
    for words in (["init"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-m", "begin"]):
        subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)
    return subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True).stdout.strip()


def test_the_commit_is_told_and_whether_the_code_was_changed_since(tmp_path):
    (tmp_path / "util").mkdir()
    code, notes = tmp_path / "util" / "code.py", tmp_path / "notes.txt"
    code.write_text("1")
    notes.write_text("1")
    name = repository(tmp_path)
    assert commit.__wrapped__(tmp_path) == name
    notes.write_text("2")
    assert commit.__wrapped__(tmp_path) == name
    code.write_text("2")
    assert commit.__wrapped__(tmp_path) == f"{name}-changed"


def test_where_no_commit_is_known_none_is_told(tmp_path, monkeypatch):
    repository_above = tmp_path
    repository_above.joinpath("file").write_text("1")
    repository(repository_above)
    (tmp_path / "unpacked").mkdir()
    assert commit.__wrapped__(tmp_path / "unpacked") == ""
    monkeypatch.setenv("PATH", "")
    assert commit.__wrapped__(tmp_path) == ""


def test_a_file_tells_its_program_and_no_date():
    told = told_of_file("numbers", "gen_ranges", method="guess")
    expected = ["description", "made_by", "method", "program", "commit", "documentation"]
    assert [name for name in expected if name in told] == list(told)
    assert (told["made_by"], told["method"]) == ("script/gen_ranges.sh", "guess")
