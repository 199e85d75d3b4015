"""Where a program of one process computes."""

from typing import Literal

import torch

from util.runtime.errors import InputError

DeviceChoice = Literal["auto", "cpu", "cuda"]


def choose_device(wanted: DeviceChoice) -> torch.device:
    """Take a GPU or the CPU.

    Raises
    ------
    InputError
        A GPU was asked for, and there is none.
    """
    found = torch.cuda.is_available()
    if wanted == "cuda" and not found:
        raise InputError("--device cuda: expected a GPU, found none; use --device cpu")
    return torch.device("cuda" if wanted == "cuda" or (wanted == "auto" and found) else "cpu")
