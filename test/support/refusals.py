"""Files of frames that are refused in one line."""

import pytest

from util.frames.open import open_frames
from util.runtime.errors import InputError


def refused(path, *words, dataset=None):
    """Check that frames are refused in one line that names the file and holds the words."""
    with pytest.raises(InputError) as caught:
        open_frames(path, dataset).close()
    line = str(caught.value)
    assert "\n" not in line and str(path) in line
    for word in words:
        assert word in line, line
