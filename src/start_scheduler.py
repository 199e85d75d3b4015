"""Start a Dask scheduler, which hands the work of a stage to workers.

usage: python -m src start_scheduler [--host HOST] [--port 8786] [option of `dask scheduler` ..]

Whoever reaches a scheduler can have its workers run anything, so that it listens to this machine alone unless told
otherwise, and so does its page of what is being done, on port 8787.
"""

import sys
from collections.abc import Sequence

from distributed.cli.dask_scheduler import main as dask_scheduler

from util.runtime.dask_command import LOCAL, run_dask
from util.runtime.errors import run_program


def main(argv: Sequence[str] | None = None) -> None:
    """Run the scheduler until it is ended."""
    local = ["--host", LOCAL, "--dashboard-address", f"{LOCAL}:8787"]
    run_dask("start_scheduler.sh", dask_scheduler, [*local, *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    run_program(main)
