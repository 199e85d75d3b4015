"""Dask's own commands, as programs of this project: faults in one line, and no port open to strangers by itself."""

import signal
from collections.abc import Sequence

import click

from util.runtime.errors import InputError
from util.runtime.signals import heard

LOCAL = "127.0.0.1"


def run_dask(script: str, command: click.Command, words: Sequence[str]) -> None:
    """Run a command of Dask until it is ended.

    Raises
    ------
    InputError
        Options that it does not know, or cannot use, or a scheduler that is not there.
    """
    # Dask ends its processes well at SIGTERM and Ctrl-C, and knows no other signal.
    if signal.SIGHUP in heard():
        signal.signal(signal.SIGHUP, lambda _number, _frame: signal.raise_signal(signal.SIGTERM))
    try:
        command.main(list(words), script, standalone_mode=False)
    except click.ClickException as error:
        raise InputError(f"{error.format_message()} {script} --help tells all options") from None
    except (ValueError, RuntimeError) as error:
        # A scheduler that is not there, a port that is taken: told by what it stems from.
        raise InputError(f"{script}: cannot run ({error.__cause__ or error}); check options and addresses") from None
    except click.Abort:
        raise KeyboardInterrupt from None
