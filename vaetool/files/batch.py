"""Batches: one model, threads that read and write around it; a bad file fails alone, no file is left half-written.

    report = Report(console)
    run(jobs, Steps(read=images.read, work=clean, write=to_bytes), report, threads=4)
    report.exit_code

Knows nothing of images: the steps are functions of the caller.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from vaetool.errors import AppearedError, FileError, StorageError, UsageError
from vaetool.files.console import Report
from vaetool.files.inputs import Stream
from vaetool.files.outputs import is_in_the_way
from vaetool.files.planning import Job, OnExisting
from vaetool.files.reading import in_order
from vaetool.files.remote import Place, Remote
from vaetool.files.signals import Terminated
from vaetool.files.streams import standard_input
from vaetool.files.writing import is_special, write_atomically

T = TypeVar("T")
U = TypeVar("U")

Facts = Mapping[str, Any]


@dataclass
class Read(Generic[T]):
    """A file in progress: `value` is the result of `read`, or `error` the reason why there is none.

    A skipped job has neither. seconds: time spent on it so far. in_bytes: size of the file, if known.
    """

    job: Job
    value: T | None = None
    error: Exception | None = None
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    in_bytes: int | None = None

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Time one step; record any exception in it as this file's error, unless the whole request is wrong."""
        start = time.perf_counter()
        try:
            yield
        except UsageError:
            raise
        except Exception as error:
            self.error = error
        finally:
            self.seconds += time.perf_counter() - start


@dataclass(frozen=True)
class SideBySide(Generic[T]):
    """Settings for processing files in parallel: how many, which, and what each thread calls first."""

    count: int
    suits: Callable[[T], bool]
    begin: Callable[[], None]


@dataclass(frozen=True)
class Steps(Generic[T, U]):
    """The steps of processing a file.

    read:  a path, or the bytes of standard input, a pipe or a URL -> whatever `work` takes; its `warnings`, if any, are
           shown.
    work:  the one model call, in the calling thread unless side by side -> its result, with `warnings` likewise, or
           None where there is to be no file; and facts for `--json`.
    write: the result, and the job for its output -> the bytes of the file; None when there is nothing to write.
    side_by_side: which files may be worked on at the same time, in threads of their own.
    """

    read: Callable[[Path | bytes], T]
    work: Callable[[T], tuple[U | None, Facts]]
    write: Callable[[U, Job], bytes | None]
    side_by_side: SideBySide[T] | None = None


@dataclass
class Result(Generic[T, U]):
    """The outcome for a file: `file` identifies it, and has the error if there is no result."""

    file: Read[T]
    value: U | None = None
    facts: Facts = field(default_factory=dict)
    out_bytes: int | None = None
    to_stdout: bytes | None = None


def run(jobs: Sequence[Job], steps: Steps[T, U], report: Report, *, threads: int = 1) -> None:
    """Process all jobs and report each, in order.

    `threads` files are read ahead and as many written behind, so memory does not grow with the number of files.
    An exception in a step fails that file only; UsageError, StorageError, Ctrl-C and SIGTERM end the run once the
    files being written are complete. Pending reads are abandoned, because a pipe or a network folder may block for
    ever.
    """
    with closing(results(jobs, steps, threads=threads)) as found:
        tell(found, report, len(jobs))


def tell(results: Iterable[Result[Any, Any]], report: Report, total: int) -> None:
    """Report results as they come, until one ends the run."""
    with report.over(total):
        for result in results:
            if ends_a_run(_tell(result, report)):
                return


def results(jobs: Sequence[Job], steps: Steps[T, U], *, threads: int = 1) -> Generator[Result[T, U], None, None]:
    """Yield the result of each job, in order, once its file is written: see `run`."""
    side_by_side = steps.side_by_side if len(jobs) > 1 else None
    at_once, begin = (0, None) if side_by_side is None else (side_by_side.count, side_by_side.begin)
    writing: deque[Future[Result[T, U]]] = deque()
    try:
        with _workers(threads) as writers, _workers(at_once or 1, begin) as workers:
            for item in read_all(jobs, steps.read, threads=threads, ahead=max(threads, at_once)):
                if side_by_side is not None and item.value is not None and side_by_side.suits(item.value):
                    writing.append(workers.submit(lambda item: _write(_work(item, steps.work), steps.write), item))
                else:
                    writing.append(writers.submit(_write, _work(item, steps.work), steps.write))
                while len(writing) >= threads + at_once:
                    writing[0].result()  # if Ctrl-C interrupts this, it stays in the list
                    yield writing.popleft().result()
            while writing:
                writing[0].result()
                yield writing.popleft().result()
    except (KeyboardInterrupt, Terminated):  # files being written are complete by now
        yield from (each.result() for each in writing if not each.cancelled() and each.exception() is None)
        raise


def read_all(
    jobs: Iterable[Job], read: Callable[[Path | bytes], T], *, threads: int = 1, ahead: int | None = None
) -> Iterator[Read[T]]:
    """Read the files of all jobs, in order, for work that needs several at once.

    ahead: how many are read before they are asked for; None: as many as there are threads.
    """

    def calls() -> Iterator[Callable[[], Read[T]]]:
        for job in jobs:
            # Standard input is read in this thread, where Ctrl-C can interrupt it.
            data = standard_input() if job.source is Stream.STANDARD else None
            yield partial(_read, job, read, data)

    return in_order(calls(), threads=threads, ahead=threads if ahead is None else ahead)


@contextmanager
def _workers(threads: int, begin: Callable[[], None] | None = None) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(threads, thread_name_prefix="files", initializer=begin)
    try:
        yield pool
    finally:
        # Whatever ended the run: finish the files being written, drop the others.
        pool.shutdown(wait=True, cancel_futures=True)


def _read(job: Job, read: Callable[[Path | bytes], T], data: bytes | None) -> Read[T]:
    item: Read[T] = Read(job)
    if job.skip:
        return item
    with item.attempt():
        if job.problem:
            raise FileError(job.problem)
        if isinstance(job.output, Place) and job.on_existing is not OnExisting.REPLACE and is_in_the_way(job.output):
            raise AppearedError(f"{job.output} was created during the run, so it was not replaced")
        if isinstance(job.source, Path) and is_special(job.source):
            data = job.source.read_bytes()  # a pipe, such as the shell's <(...), can be read only once
        elif isinstance(job.source, Remote):
            data = job.source.read_bytes()
        if data is not None:
            item.value, item.in_bytes = read(data), len(data)
        elif isinstance(job.source, Path):
            item.value = read(job.source)
            with suppress(OSError):
                item.in_bytes = job.source.stat().st_size
        item.warnings = tuple(getattr(item.value, "warnings", ()))
    return item


def _work(item: Read[T], work: Callable[[T], tuple[U | None, Facts]]) -> Result[T, U]:
    result: Result[T, U] = Result(item)
    if item.value is not None and item.error is None:
        with item.attempt():
            result.value, facts = work(item.value)
            if result.value is not None:  # an unchanged picture still knows its origin
                facts = {**facts, "changed": facts.get("changed", getattr(result.value, "origin", None) is None)}
            result.facts = facts
        item.warnings = tuple(dict.fromkeys((*item.warnings, *getattr(result.value, "warnings", ()))))
    item.value = None  # the picture is no longer needed, and may be large
    return result


def _write(result: Result[T, U], write: Callable[[U, Job], bytes | None]) -> Result[T, U]:
    item = result.file
    if result.value is not None and item.error is None:
        with item.attempt():
            data = write(result.value, item.job)
            result.out_bytes = None if data is None else len(data)
            if isinstance(item.job.output, Place) and data is not None:
                write_atomically(item.job.output, data, replace=item.job.on_existing is OnExisting.REPLACE)
            elif item.job.output is Stream.STANDARD:
                result.to_stdout = data
    result.value = None
    return result


def ends_a_run(item: Read[Any]) -> bool:
    """Tell whether a file's error would fail the others as well: no room for results."""
    return isinstance(item.error, StorageError)


def _tell(result: Result[T, U], report: Report) -> Read[T]:
    item, job = result.file, result.file.job
    appeared = isinstance(item.error, AppearedError) and job.on_existing is OnExisting.SKIP
    if job.skip or appeared:
        report.skipped(job.source, job.output)
        return item
    if item.error is not None:
        report.failed(job.source, item.error)
        return item
    if result.to_stdout is not None:
        report.console.binary(result.to_stdout)
    sizes = {} if result.out_bytes is None else {"in_bytes": item.in_bytes, "out_bytes": result.out_bytes}
    output = None if result.out_bytes is None else job.output
    report.done(job.source, output, {**result.facts, **sizes}, seconds=item.seconds, warnings=item.warnings)
    return item
