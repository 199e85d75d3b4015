"""What readers of files log, while the answer stage runs."""

import logging

import h5py
import numpy as np
import pytest

from src.answer_steps.logged_warnings import collect_warnings
from util.frames.open import open_frames


@pytest.fixture
def stack(tmp_path):
    """Return a file of plain frames, whose dataset no option named."""
    with h5py.File(tmp_path / "stack.h5", "w") as file:
        file["camera"] = np.zeros((3, 32, 32), np.uint16)
    return tmp_path / "stack.h5"


def test_a_readers_warning_is_printed_and_kept_once(stack, capsys):
    with collect_warnings() as said:
        assert said == []
        for _ in range(2):
            open_frames(stack).close()
        message = f"{stack}: no FinalImage there: taking the frames in camera"
        assert said == [message]
    assert capsys.readouterr().err == f"warning: {message}\n"


def test_what_is_no_warning_or_comes_of_another_library_or_later_is_not_kept(stack):
    with collect_warnings() as said:
        logging.getLogger("util.frames.open").info("opened")
        logging.getLogger("matplotlib").warning("no font")
    open_frames(stack).close()
    assert said == []
    assert not logging.getLogger("util").handlers
