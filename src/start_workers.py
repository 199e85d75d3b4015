"""Start Dask workers of one thread each.

usage: python -m src start_workers SCHEDULER --nworkers N [option of `dask worker` ..]

Workers listen on the network by which this machine reaches the scheduler, which is this machine alone where that runs
here, unless --host names another; the pages of what they do are for this machine alone.
"""

import sys
from collections.abc import Sequence

from distributed.cli.dask_worker import main as dask_worker
from distributed.comm import get_address_host
from distributed.utils import get_ip

from util.runtime.dask_command import LOCAL, run_dask
from util.runtime.errors import InputError, run_program


def main(argv: Sequence[str] | None = None) -> None:
    """Run workers until they are ended."""
    scheduler, *words = argv = sys.argv[1:] if argv is None else argv
    if "--help" in argv:
        run_dask("start_workers.sh", dask_worker, ["--help"])
        return
    try:
        host = get_ip(get_address_host(scheduler))
    except (OSError, ValueError) as error:
        raise InputError(
            f"SCHEDULER: expected the address of a Dask scheduler, as tcp://HOST:8786, found {scheduler!r} ({error})"
        ) from None
    here = ["--nthreads", "1", "--host", host, "--dashboard-address", f"{LOCAL}:0"]
    run_dask("start_workers.sh", dask_worker, [scheduler, *here, *words])


if __name__ == "__main__":
    run_program(main)
