"""Batches on many machines: the workers of a Ray cluster, each a process with its own model.

    for row in Cluster(address=None, device="auto", count=None).spread(jobs, start, lost): ...

A worker is given a few files at a time, and more when it is done with these. The files of a worker that died go to
another one. Rows come in the order of the files, and only a limited number wait for their turn.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Generic, TypeVar

from vaetool.errors import FileError, UsageError, VaetoolError
from vaetool.files.inputs import Stream
from vaetool.files.planning import Job, OnExisting

R = TypeVar("R")

Work = Callable[[Sequence[Job]], list[R]]
"""A worker's function: a row for each of some files, in order."""

AHEAD = 16
"""Shares per worker that may be finished ahead of the first unfinished one."""

DEATHS = 5
"""Deaths of workers after which a share is given up, and deaths per worker before any work that end the run."""

PATIENCE = 10
"""Seconds that a cluster may take to answer."""

STORE = 2**28
"""Bytes of shared memory of the processes in a local cluster."""


class Cluster:
    """A Ray cluster: the one at an address or in RAY_ADDRESS, or else one of this machine alone, for this run.

    device: of the workers: `cpu`, `cuda`, or `auto`, a GPU for each if the cluster has any. count: number of workers;
    None: one for each core or GPU. warn: is told of workers that died. Raises UsageError if the cluster cannot be
    reached, and without Ray.
    """

    def __init__(
        self, address: str | None, device: str, count: int | None, warn: Callable[[str], None] = lambda words: None
    ) -> None:
        if device not in {"auto", "cpu", "cuda"}:
            raise UsageError(f"--device {device}: the cluster chooses which one: give auto, cpu or cuda")
        self._warn = warn
        self._ray = _connected(address or os.environ.get("RAY_ADDRESS") or "local")
        found = self._ray.cluster_resources()
        cores, gpus = int(found.get("CPU", 0)), int(found.get("GPU", 0))
        if device == "cuda" and not gpus:
            raise UsageError("--device cuda: the cluster has no GPU")
        self.device = "cuda" if gpus and device != "cpu" else "cpu"
        self.count = count or max(1, gpus if self.device == "cuda" else cores)

    def spread(
        self,
        jobs: Iterable[Job],
        start: Callable[[], Work[R]],
        lost: Callable[[Job, FileError], R],
        *,
        at_once: int = 1,
    ) -> Iterator[R]:
        """Yield a row for each job, in their order.

        start: is called in each worker, loads the model, and returns the function that processes files; it and its rows
        are pickled. lost: returns the row of a file on which workers die again and again. at_once: files that a worker
        is given at a time. Exceptions of `start` and of the work are raised here.
        """
        shares = _shares(jobs, at_once)
        return _Spreading(self._ray, self._new_worker(start), lost, self._warn, shares, self.count).rows()

    def _new_worker(self, start: Callable[[], Work[Any]]) -> Callable[[], Any]:
        """Return the function that starts a worker."""
        ray, folder, gpus = self._ray, os.getcwd(), int(self.device == "cuda")  # noqa: PTH109
        stored = ray.put(start)  # once, however many workers there are
        worker = ray.remote(_Worker).options(num_cpus=1, num_gpus=gpus)
        return lambda: worker.remote(stored, folder)


class _Worker:
    """The worker in a process of the cluster."""

    def __init__(self, start: Callable[[], Work[Any]], folder: str) -> None:
        self._start = start
        self._work: Work[Any] | None = None
        with suppress(OSError):  # a machine on which there is no such folder has no files at relative paths
            os.chdir(folder)

    def prepare(self) -> None:
        """Load the model."""
        self._work = self._start()

    def work(self, jobs: list[Job]) -> list[Any]:
        """Return the rows of files."""
        assert self._work is not None
        return self._work(jobs)


@dataclass
class _Share:
    """Some of the files, and the number of workers that died on them."""

    number: int
    jobs: list[Job]
    deaths: int = 0


@dataclass
class _Spreading(Generic[R]):
    """One run: the distribution of shares among workers.

    working: worker and share by the awaited reference; the share is None while a worker is getting ready.
    again: shares of workers that died. done: rows by the number of their share, until it is their turn.
    """

    ray: Any
    new_worker: Callable[[], Any]
    lost: Callable[[Job, FileError], R]
    warn: Callable[[str], None]
    shares: Iterator[_Share]
    count: int
    working: dict[Any, tuple[Any, _Share | None]] = field(default_factory=dict)
    idle: list[Any] = field(default_factory=list)
    again: deque[_Share] = field(default_factory=deque)
    done: dict[int, list[R]] = field(default_factory=dict)
    turn: int = 0
    stillborn: int = 0

    def rows(self) -> Iterator[R]:
        """Yield the rows of all files in order."""
        for _ in range(self.count):
            self._begin()
        while True:
            while self.turn in self.done:
                yield from self.done.pop(self.turn)
                self.turn += 1
            while self.idle and (share := self._next()):
                worker = self.idle.pop()
                self.working[worker.work.remote(share.jobs)] = worker, share
            if self.idle and not any(share for _, share in self.working.values()):
                return
            self._await()

    def _begin(self) -> None:
        worker = self.new_worker()
        self.working[worker.prepare.remote()] = worker, None

    def _next(self) -> _Share | None:
        """Return the next share to process; None if there is none, or enough rows wait for their turn."""
        if self.again:
            return self.again.popleft()
        in_hand = len(self.done) + sum(share is not None for _, share in self.working.values())
        return next(self.shares, None) if in_hand < AHEAD * self.count else None

    def _await(self) -> None:
        """Wait until the next worker is ready, done with its share, or dead."""
        (ready,), _ = self.ray.wait(list(self.working))
        worker, share = self.working.pop(ready)
        try:
            found = self.ray.get(ready)
        except self.ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, VaetoolError) else error from None
        except self.ray.exceptions.RayError as error:
            self._replace(share, error)
            return
        self.idle.append(worker)
        if share is not None:
            self.done[share.number] = found

    def _replace(self, share: _Share | None, error: Exception) -> None:
        """Replace a worker that died, and requeue its share."""
        self._begin()
        if share is None:
            self.stillborn += 1
            if self.stillborn >= DEATHS * self.count:
                words = " ".join(str(error).split())
                raise VaetoolError(f"the workers of the cluster die before they start: {words}") from error
        elif share.deaths + 1 < DEATHS:
            self.warn(f"a worker died while processing {_names(share)}: another one tries again")
            # Its results so far are dropped: those of the next worker replace them.
            jobs = [replace(job, on_existing=OnExisting.REPLACE) for job in share.jobs]
            self.again.append(_Share(share.number, jobs, share.deaths + 1))
        else:
            problem = FileError(f"{DEATHS} workers died while processing it: out of memory?")
            self.done[share.number] = [self.lost(job, problem) for job in share.jobs]


def _shares(jobs: Iterable[Job], at_once: int) -> Iterator[_Share]:
    """Yield shares of `at_once` jobs. Raises UsageError for standard input and output, which workers do not have."""
    following, number = iter(jobs), 0
    while share := list(islice(following, at_once)):
        if any(isinstance(place, Stream) for job in share for place in (job.source, job.output)):
            raise UsageError("--engine ray works on files: - is for a single process")
        yield _Share(number, share)
        number += 1


def _names(share: _Share) -> str:
    more = f" and {len(share.jobs) - 1} more" if len(share.jobs) > 1 else ""
    return f"{share.jobs[0].source}{more}"


def _connected(address: str) -> Any:
    """Return the module ray, connected to a cluster; `local` starts one that ends with this process."""
    try:
        import ray
    except ImportError:
        raise UsageError("--engine ray needs the library Ray: pip install 'vaetool[ray]'") from None
    _check_answers(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no usage reports over the network
    with suppress(AttributeError):  # private: if it is gone, errors of workers are printed among results
        ray._private.worker.print_to_stdstream = lambda *_, **__: None
    own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": STORE} if address == "local" else {}
    try:
        with _signals_kept():
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, ignore_reinit_error=True, **own)
    except (ConnectionError, ValueError, RuntimeError) as error:
        words = " ".join(str(error).split())
        raise UsageError(f"--address {address}: no Ray cluster answers there: {words}") from error
    return ray


def _check_answers(address: str) -> None:
    """Raise UsageError if nothing answers at a host and port: Ray would wait for minutes, and print its own lines."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host, int(port)), PATIENCE).close()
        except OSError as error:
            raise UsageError(f"--address {address}: no Ray cluster answers there: {error.strerror or error}") from error


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Restore the handler of SIGTERM, which Ray replaces."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)
