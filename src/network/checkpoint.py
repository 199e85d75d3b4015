"""Checkpoint files: tensors and, apart, the facts of their training; no code in them is run."""

import json
from pathlib import Path

import torch

from util.runtime.atomic_file import replacing
from util.runtime.errors import InputError


def write_checkpoint(path: Path, tensors: dict, facts: dict) -> None:
    """Write tensors (nested dicts and lists of them) and, apart, facts that must be JSON."""
    with replacing(path) as temporary:
        torch.save({"tensors": tensors, "facts": json.dumps(facts, sort_keys=True)}, temporary)


def read_checkpoint(path: Path, maker: str = "run_model.sh") -> tuple[dict, dict]:
    """Read tensors and facts, as script/`maker` wrote them; no code in the file is run.

    Raises
    ------
    InputError
        Missing, or not such a file.
    """
    if not path.exists():
        raise InputError(f"{path}: no such checkpoint; train one with script/{maker}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        return content["tensors"], json.loads(content["facts"])
    except Exception as error:  # torch raises whatever unzipping, unpickling and its own checks raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: expected a checkpoint of {maker}, found none ({reason[:120]})") from None
