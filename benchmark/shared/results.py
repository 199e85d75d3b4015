"""What a benchmark found as a JSON file, from which a later run may go on, and the machine that it is of."""

import json
import platform
from pathlib import Path
from typing import Any

from util.runtime.atomic_file import replacing
from util.runtime.errors import InputError
from util.runtime.facts import unstructure


def machine() -> dict[str, str]:
    """Say what a benchmark runs on."""
    return {"platform": platform.platform(), "processor": platform.processor(), "python": platform.python_version()}


def write_json(path: Path, found: object) -> None:
    """Write what was found, or any dataclasses, lists and dicts of it; an existing file is replaced in one step."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(unstructure(found), indent=1) + "\n", encoding="utf-8")


def read_rows(path: Path) -> list[Any]:
    """Return what an earlier run found and this one need not do again: nothing where there is no such file.

    Raises
    ------
    InputError
        It holds no list.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except ValueError:
        rows = None
    if not isinstance(rows, list):
        raise InputError(f"{path}: expected rows of an earlier run, found none; remove it, or name another --json")
    return rows
