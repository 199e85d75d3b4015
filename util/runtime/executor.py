"""Processes that share a stage's work, here or on other machines, behind the standard `concurrent.futures.Executor`."""

import multiprocessing
import os
import signal
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from util.runtime.signals import Ended, heard

Item = TypeVar("Item")
Result = TypeVar("Result")

_OF_A_TERMINAL = {signal.SIGINT, signal.SIGHUP}
_HEARING_S = 0.1  # after which signals that came while a result is waited for are heard


class WorkerPool(Executor, ABC):
    """An executor that knows how many calls it runs at a time."""

    @property
    @abstractmethod
    def concurrency(self) -> int:
        """Calls that run at a time; those of a scheduler's workers change as these come and go."""


def available_cores() -> int:
    """Return how many cores this process may use; a shared machine may have more."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def open_executor(workers: int, scheduler: str = "", *, files: Sequence[Path] = ()) -> Iterator[WorkerPool]:
    """Start worker processes; on any failure, an interrupt too, stop their work at once and quietly.

    Parameters
    ----------
    workers : int
        Number of processes; with 1 the calls run in this very process, at the moment they are submitted.
    scheduler : str
        Address of a running Dask scheduler, whose workers are used instead; empty: this machine.
    files : sequence of Path
        What workers on other machines must see too.

    Yields
    ------
    WorkerPool
        Functions, arguments and results must pickle, and functions be importable by name.

    Raises
    ------
    InputError
        The scheduler cannot be used (`util.runtime.dask_executor` says why).
    """
    if scheduler:
        from util.runtime.dask_executor import dask_executor  # takes a third of a second, only where it is needed

        with dask_executor(scheduler, files) as cluster:
            yield cluster
        return
    if workers < 1:
        raise ValueError(f"workers must be at least 1, found {workers}")
    if workers == 1:
        yield _InProcess()
        return
    with _processes(workers) as executor:
        yield executor


@contextmanager
def open_helper() -> Iterator[WorkerPool]:
    """Start one process that works beside this one, on one call after another; otherwise as `open_executor`."""
    with _processes(1) as executor:
        yield executor


@contextmanager
def _processes(workers: int) -> Iterator[WorkerPool]:
    before = set(multiprocessing.active_children())
    with _interrupt_postponed():
        executor = _Pool(workers)
    try:
        executor.submit(os.getpid)
        yield executor
    except BaseException:
        # Not terminate(): a worker that dies half way through sending a result leaves the pool waiting for the rest.
        for process in set(multiprocessing.active_children()) - before:
            with suppress(ProcessLookupError):
                if process.pid is not None:
                    os.kill(process.pid, signal.SIGINT)
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def map_in_order(
    executor: Executor,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    in_flight: int | Callable[[], int],
) -> Iterator[Result]:
    """Yield the results of ``function(item)`` in the order of the items, with a bounded number of calls under way.

    Unlike `Executor.map` this neither submits everything at once nor piles up results that nobody has taken, so the
    memory it needs does not grow with the number of items.

    Parameters
    ----------
    executor : Executor
    function : callable
    items : iterable
        Drawn from only as calls are submitted.
    in_flight : int or callable
        Calls under way at a time; a callable is asked again before each one.
    """
    bound = in_flight if callable(in_flight) else lambda: in_flight
    pending: deque[Future[Result]] = deque()
    for item in items:
        while len(pending) >= max(bound(), 1):
            yield result_of(pending.popleft())
        pending.append(executor.submit(function, item))
    while pending:
        yield result_of(pending.popleft())


def result_of(future: Future[Result]) -> Result:
    """Wait for the result of a call.

    A signal that struck while a lock of the future is held would leave it locked, and the pool waiting for it for ever,
    so that signals are heard in between.
    """
    while True:
        with _interrupt_postponed():
            if wait([future], _HEARING_S).done:
                return future.result()


def prepare(executor: WorkerPool, load: Callable[[], None]) -> None:
    """Let all workers that are idle import the module of `load`, which does nothing, before they are needed."""
    for _ in range(executor.concurrency):
        executor.submit(load)


class _InProcess(WorkerPool):
    """Runs each call when it is submitted: no processes, plain tracebacks."""

    @property
    def concurrency(self) -> int:
        return 1

    def submit(self, fn: Callable[..., Result], /, *args: object, **kwargs: object) -> Future[Result]:
        future: Future[Result] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class _Pool(ProcessPoolExecutor, WorkerPool):
    """Processes that can be interrupted at work, but not while they talk to this one."""

    def __init__(self, workers: int) -> None:
        # Not fork: the threads of HDF5 and OpenMP do not survive it.
        super().__init__(workers, multiprocessing.get_context("forkserver"), initializer=_prepare_worker)
        self._workers = workers

    @property
    def concurrency(self) -> int:
        return self._workers

    def submit(self, fn: Callable[..., Result], /, *args: object, **kwargs: object) -> Future[Result]:
        try:
            with _interrupt_postponed():  # which would leave a lock that the pool waits for
                return super().submit(_work, fn, args, kwargs)
        except (EOFError, ConnectionError) as error:
            raise BrokenProcessPool("the process that starts the workers was killed") from error


@contextmanager
def _interrupt_postponed() -> Iterator[None]:
    """Be undisturbed by signals to end while processes start or locks are held; Ctrl-C reaches every process.

    Here they are raised at the end, when the pool is complete and can be closed, or in place of the error that they
    caused by ending the process that starts the others. Processes started meanwhile begin with
    those of a terminal blocked: no worker ends in a traceback before it is ready, and Python's tracker of semaphores,
    which knows nothing of a terminal that is closed, ends after all others.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    # Blocking alone is not enough: other threads of this process, such as those of BLAS, may still take the signal.
    usual = {number: signal.signal(number, lambda signum, _frame: came.append(signum)) for number in heard()}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_A_TERMINAL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in usual.items():
            signal.signal(number, handler)
        if came:
            raise Ended(came[0])


# State of a worker process.
_working = False
_stopped = False


def _work(fn: Callable[..., Result], args: tuple[object, ...], kwargs: dict[str, object]) -> Result:
    global _working
    if _stopped:
        raise KeyboardInterrupt
    _working = True
    try:
        return fn(*args, **kwargs)
    finally:
        _working = False


def _stop(_signum: int, _frame: object) -> None:
    global _stopped, _working
    _stopped = True
    if _working:
        _working = False  # once only: a second one might strike while the first is being reported
        raise KeyboardInterrupt


def _prepare_worker() -> None:
    signal.signal(signal.SIGINT, _stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _OF_A_TERMINAL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End a worker whose parent was killed outright; else it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
