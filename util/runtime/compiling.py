"""A word on the first run of a stage, which compiles its functions, and takes 10 to 20 seconds more than any other."""

from numba.core import event

from util.runtime import console


class _Once(event.Listener):
    """Says that something is compiled, the first time that it is."""

    def __init__(self) -> None:
        self._told = False

    def on_start(self, event: event.Event) -> None:  # noqa: ARG002 - numba's interface
        if not self._told:
            self._told = True
            console.say("compiling the functions of this stage, once (10 to 20 seconds) ..")

    def on_end(self, event: event.Event) -> None:
        pass


def announce() -> None:
    """Say so where this process compiles what an earlier run did not leave compiled (Numba keeps it in its cache)."""
    event.register("numba:compile", _Once())
