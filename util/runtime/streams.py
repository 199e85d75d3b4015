"""Standard output and error: no fault of theirs stops or spoils any work."""

import errno
import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Stream(io.FileIO):
    """A standard stream that swallows what it cannot write, and remembers why."""

    fault: OSError | None = None

    def write(self, data: "ReadableBuffer", /) -> int:
        if self.fault is None:
            try:
                return super().write(data)
            except OSError as error:  # a full disk, a reader that has gone, a terminal that was closed
                self.fault = error
        return memoryview(data).nbytes


class Output:
    """What becomes of standard output, of which what waits to be written is written when it is asked.

    Parameters
    ----------
    raw : _Stream or None
        None: somebody else collects what is written.
    """

    def __init__(self, raw: _Stream | None) -> None:
        self._raw = raw

    @property
    def fault(self) -> str:
        """Why not all of it could be written; empty: all was, or whoever read it has seen enough."""
        error = self._error
        if error is None or error.errno == errno.EPIPE:
            return ""
        return f"standard output: cannot be written ({error.strerror}); the work itself is done"

    @property
    def left(self) -> bool:
        """Whether whoever read it closed the pipe."""
        error = self._error
        return error is not None and error.errno == errno.EPIPE

    @property
    def _error(self) -> OSError | None:
        sys.stdout.flush()
        return self._raw.fault if self._raw else None


@contextmanager
def lasting_streams() -> Iterator[Output]:
    """Have work outlast its streams: a full disk behind them, a reader that leaves, streams that were never open.

    Yields
    ------
    Output
    """
    _fill_closed()
    streams = {}
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is getattr(sys, f"__{name}__"):  # nobody collects what is written
            streams[name] = (stream, _Stream(number, "w", closefd=False))
    for name, (stream, raw) in streams.items():
        encoding = stream.encoding if stream else "utf-8"
        line_by_line = name == "stderr" or raw.isatty()
        # Of a text that the terminal has no letters for, something is shown.
        text = io.TextIOWrapper(io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=line_by_line)
        setattr(sys, name, text)
    try:
        yield Output(streams["stdout"][1] if "stdout" in streams else None)
    finally:
        for name, (stream, _) in streams.items():
            getattr(sys, name).flush()
            setattr(sys, name, stream)


def _fill_closed() -> None:
    # The number of a closed stream would be given to the next file that is opened, which would then be written into.
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


@contextmanager
def own_words_only() -> Iterator[None]:
    """Show what this project's modules log as warnings, and neither the log nor the warnings of libraries.

    Whoever asks Python for warnings, with -W or PYTHONWARNINGS, gets them.
    """
    handler = logging.lastResort  # of all records that nobody handles
    assert handler is not None
    logging.captureWarnings(not sys.warnoptions)
    handler.addFilter(_is_own)
    try:
        yield
    finally:
        handler.removeFilter(_is_own)
        logging.captureWarnings(False)


def _is_own(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in ("util", "src", "benchmark")
