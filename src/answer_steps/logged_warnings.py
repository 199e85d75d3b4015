"""Warnings that the readers of files log while the answer stage runs."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


class _Collector(logging.StreamHandler[TextIO]):
    """Prints warnings to standard error and keeps their messages, each once."""

    def __init__(self) -> None:
        super().__init__()
        self.setLevel(logging.WARNING)
        self.setFormatter(logging.Formatter("warning: %(message)s"))
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record and keep its message, unless it was there before."""
        if record.getMessage() not in self.messages:
            self.messages.append(record.getMessage())
            super().emit(record)


@contextmanager
def collect_warnings() -> Iterator[list[str]]:
    """Collect what any module of `util` logs as a warning, and print it as it comes.

    Yields
    ------
    list of str
        The messages so far; it grows.
    """
    collector, logger = _Collector(), logging.getLogger("util")
    logger.addHandler(collector)
    try:
        yield collector.messages
    finally:
        logger.removeHandler(collector)
