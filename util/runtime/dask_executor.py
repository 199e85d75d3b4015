"""A running Dask scheduler's workers behind the standard `concurrent.futures.Executor`.

Dask copes with lost workers by itself: what one was doing, or had done and not yet delivered, another does again. What
is checked here, before any work, is that the workers are fit for it: that they run the same code on the same versions
and see the same files, so that the result is that of this machine, byte for byte.
"""

import functools
import hashlib
import logging
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from distributed import Client
from distributed.client import VersionsDict
from distributed.comm import CommClosedError, parse_address, parse_host_port
from distributed.comm.registry import get_backend
from distributed.scheduler import KilledWorker
from distributed.security import Security
from distributed.versions import VersionMismatchWarning

from util.runtime.errors import InputError
from util.runtime.executor import WorkerPool

Result = TypeVar("Result")

ROOT = Path(__file__).resolve().parents[2]
CONNECT_SECONDS = 10.0  # to reach the scheduler, and for its first worker to come
WATCH_SECONDS = 0.5  # between looks at the connection
COUNTED_SECONDS = 5.0  # between counts of the workers
# What a result, or the way it travels, depends on.
PACKAGES = ("python", "dask", "distributed", "numpy", "numba", "h5py", "isal")
HOW_TO_START = "SCHEDULER={address} bash script/start_workers.sh"


@contextmanager
def dask_executor(address: str, files: Sequence[Path] = ()) -> Iterator["DaskExecutor"]:
    """Use the workers of a running scheduler; on any failure, an interrupt too, cancel what is under way.

    Parameters
    ----------
    address : str
        Of the scheduler, as ``tcp://host:port``.
    files : sequence of Path
        What every worker must see under the same absolute path.

    Yields
    ------
    DaskExecutor

    Raises
    ------
    InputError
        The scheduler cannot be reached, has no workers, or they are not fit for the work; or, in mid-run, the scheduler
        goes away or one call kills worker after worker.
    """
    _hush()
    client = _connect(address)
    try:
        _check_workers(client, address, files)
        executor = DaskExecutor(client)
        try:
            with executor.watched():
                yield executor
        except BaseException:
            with suppress(Exception):  # the scheduler may be what failed
                executor.shutdown(wait=False)
            raise
    except KilledWorker as error:
        raise InputError(
            f"{address}: one block of work ended every worker that took it, {error.last_worker.address} the last; "
            "look at that worker's log, and give workers more memory"
        ) from None
    except RuntimeError as error:
        if "deserialization" not in str(error):
            raise
        raise InputError(
            f"{address}: the scheduler, or a worker that came later, cannot import this project as it is here; "
            f"start workers from its folder: {HOW_TO_START.format(address=address)}"
        ) from None
    except (CancelledError, CommClosedError, TimeoutError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(
            f"{address}: the scheduler went away ({reason}); start it and its workers again, and run the same command"
        ) from None
    finally:
        with suppress(Exception):
            client.close(timeout=CONNECT_SECONDS)


class DaskExecutor(WorkerPool):
    """The client's own executor, which also counts the calls that its workers can run at a time."""

    def __init__(self, client: Client) -> None:
        self._client = client
        # Not pure: a call that looks the same as an earlier one may read a file that has changed since.
        self._executor = client.get_executor(pure=False)
        self._pending: set[Future[Any]] = set()
        self._counted_at = -COUNTED_SECONDS
        self._concurrency = 1

    @property
    def concurrency(self) -> int:
        """Threads of all workers, at least 1, as they come and go."""
        now = time.monotonic()
        if now - self._counted_at >= COUNTED_SECONDS:
            self._concurrency = max(1, sum(self._client.nthreads().values()))
            self._counted_at = now
        return self._concurrency

    def submit(self, fn: Callable[..., Result], /, *args: object, **kwargs: object) -> Future[Result]:
        """Run a call on any worker; see `concurrent.futures.Executor`."""
        future = self._executor.submit(fn, *args, **kwargs)
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        return future

    @contextmanager
    def watched(self) -> Iterator[None]:
        """End all calls under way with CommClosedError once the scheduler is gone.

        Distributed does so itself, except for a call whose result was on its way: that one would never end.
        """
        over = threading.Event()

        def watch() -> None:
            while not over.wait(WATCH_SECONDS):
                if self._client.status != "running":
                    for future in list(self._pending):
                        with suppress(InvalidStateError):  # done since
                            future.set_exception(CommClosedError("connection lost"))

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no further calls, and wait for those under way or cancel them."""
        self._executor.shutdown(wait=wait and not cancel_futures)


def _hush() -> None:
    """Keep Dask's own log of lost connections off standard error, where each failure is reported in one line."""
    for handler in logging.getLogger("distributed").handlers:
        handler.setLevel(logging.CRITICAL)


def _connect(address: str) -> Client:
    try:
        # Ahead of the client, which leaves threads behind when it stumbles over an address.
        scheme, place = parse_address(address, strict=True)
        get_backend(scheme)
        parse_host_port(place)
        if scheme == "tls" and Security().get_connection_args("client")["ssl_context"] is None:
            raise ValueError("it asks for keys, and Dask's settings name none: see doc/cluster.md")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", VersionMismatchWarning)  # _check_workers reports it in our own words
            return Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"SCHEDULER={address}: expected the address of a running Dask scheduler, as tcp://host:8786, found none "
            f"({reason}); start one with script/start_scheduler.sh, or leave it empty to use this machine"
        ) from None


class _Sight(NamedTuple):
    """What a worker, or the scheduler, reports of itself."""

    host: str
    code: str  # digest
    missing: list[str]  # files that it does not see


def _look(files: list[str]) -> _Sight:
    return _Sight(socket.gethostname(), _digest_of_code(), [file for file in files if not Path(file).exists()])


@functools.cache
def _digest_of_code() -> str:
    """Return the SHA-256 of this project's modules as this process first saw them, much as it runs them."""
    digest = hashlib.sha256()
    for path in sorted((*ROOT.glob("util/**/*.py"), *ROOT.glob("src/**/*.py"))):
        digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()


def _check_workers(client: Client, address: str, files: Sequence[Path]) -> None:
    """Raise InputError unless scheduler and workers are fit for the work."""
    # The scheduler too unpickles every call, and so must know the functions.
    try:
        sight = client.run_on_scheduler(_look, [])
    except Exception as error:
        sight = error
    _check_sight(address, "the scheduler", sight)
    try:
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except TimeoutError:
        how = HOW_TO_START.format(address=address)
        raise InputError(f"{address}: expected workers, found none; start some with {how}") from None
    versions = cast(VersionsDict, client.get_versions(packages=PACKAGES))  # the client is not asynchronous
    here = versions["client"]["packages"]
    others = {"the scheduler": versions["scheduler"]}
    others |= {f"worker {name}": found for name, found in versions["workers"].items()}
    for who, found in others.items():
        for package in PACKAGES:
            version = found["packages"].get(package)
            if version != here[package]:
                raise InputError(
                    f"{address}: {who}: expected {package} {here[package]} as here, found {version or 'none'}; "
                    "start scheduler and workers from this project's .venv"
                )
    asked = [str(path.resolve()) for path in files]
    for name, sight in client.run(_look, asked, on_error="return").items():
        _check_sight(address, f"worker {name}", sight)


def _check_sight(address: str, who: str, sight: _Sight | Exception) -> None:
    if "ModuleNotFoundError" in repr(sight):  # some arrive as a plain Exception with that text
        raise InputError(
            f"{address}: {who}: cannot import this project; start it from the project's folder, with "
            "script/start_scheduler.sh or script/start_workers.sh"
        )
    if isinstance(sight, Exception):
        raise InputError(f"{address}: {who}: does not answer ({sight!r}); restart it")
    if sight.code != _digest_of_code():
        raise InputError(
            f"{address}: {who} on {sight.host}: expected the same code as here, found another state of it; "
            "bring its folder up to date and restart it"
        )
    if sight.missing:
        raise InputError(
            f"{sight.missing[0]}: {who} on {sight.host} does not see it; "
            "put it on a disk that all machines have under the same path"
        )
