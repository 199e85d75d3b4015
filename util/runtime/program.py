"""Which program this is: its version and, where it is known, its commit; and what its files say of themselves."""

import subprocess
import tomllib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


@cache
def version(root: Path = ROOT) -> str:
    """Return name and version of the program, as "sevi 0.1.0"."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return f"{project['name']} {project['version']}"


@cache
def commit(root: Path = ROOT) -> str:
    """Return the commit of the program, with "-changed" where its code was changed since; empty: not known."""
    try:
        head = _git(root, "rev-parse", "--verify", "HEAD")
        same = _git(root, "diff", "--quiet", "HEAD", "--", "src", "util")
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if head.returncode else head.stdout.strip() + "-changed" * (same.returncode != 0)


def _git(root: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    # Not the repository that some folder above may be.
    own = ["git", "--no-optional-locks", f"--git-dir={root / '.git'}", f"--work-tree={root}"]
    return subprocess.run([*own, *words], capture_output=True, text=True, timeout=10)


def told_of_file(description: str, script: str, **further: str) -> dict[str, str]:
    """Return attributes of a file as a whole: what it holds, and which program made it.

    No date is among them: the same input, options and program make the same bytes, whenever they are run.

    Parameters
    ----------
    description : str
    script : str
        Name of the stage in script/ that made it.
    further : str
        Whatever else is to be told.
    """
    made = {"made_by": f"script/{script}.sh", **further, "program": version(), "commit": commit()}
    told = {"description": description, **made, "documentation": "doc/formats.md"}
    return {name: text for name, text in told.items() if text}
