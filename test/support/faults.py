"""What a fault may lead to: a file that is read, or one line that names it; nothing else, and not for ever."""

import contextlib
import io
import signal
from collections.abc import Iterator

from util.runtime.errors import InputError

_PATIENCE_S = 60  # no measurement: what waits for ever must not keep the suite


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    def give_up(*_):
        raise AssertionError("waits for ever")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(_PATIENCE_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def refusal(read, path):
    """Read a file; return the line that refuses it, None where it was read. All else that is raised is a failure."""
    said = io.StringIO()
    with _patience(), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            read(path)
        except InputError as error:
            line = str(error)
        else:
            line = None
    assert said.getvalue() == ""
    assert line is None or (path.name in line and "\n" not in line), line
    return line
