"""Files of frames and options that are refused in one line."""

import pytest

from util.frames.open import open_frames
from util.runtime.errors import InputError, run_program


def refused(path, *words, dataset=None):
    """Check that frames are refused in one line that names the file and holds the words."""
    with pytest.raises(InputError) as caught:
        open_frames(path, dataset).close()
    line = str(caught.value)
    assert "\n" not in line and str(path) in line
    for word in words:
        assert word in line, line


def refusal_of(main, *options, capsys):
    """Run a stage that ends, in this process; return its status, and what it said on both streams."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        run_program(lambda: main([str(word) for word in options]))
    return ended.value.code, *capsys.readouterr()


def damage(path, places, rng):
    """Overwrite bytes of a file at random."""
    damaged = bytearray(path.read_bytes())
    for place in places:
        damaged[place] = rng.integers(256)
    path.write_bytes(damaged)


def refused_or_read(path):
    """Check that a damaged file is read, or refused in one line that names it: with nothing but an InputError."""
    message = str(path)
    try:
        with open_frames(path) as file:
            file.check_written()
            file.fingerprint()
    except InputError as error:
        message = str(error)
    assert str(path) in message and "\n" not in message
