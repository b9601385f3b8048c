"""Running a batch in this process or on the workers of a Ray cluster, with the same steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from vaetool import __version__
from vaetool.cli.engine_options import Engine
from vaetool.cli.options import BatchOptions, RunOptions
from vaetool.errors import FileError, UsageError, VaetoolError
from vaetool.files.console import Console, Report, reason

if TYPE_CHECKING:
    from vaetool.files.batch import Read, Result, Steps
    from vaetool.files.cluster import Work
    from vaetool.files.planning import Job
    from vaetool.files.sizes import Sizes


class Row(Protocol):
    """The outcome for one file."""

    file: Read[Any]


R = TypeVar("R", bound=Row)
Options = TypeVar("Options", bound=BatchOptions)


def process(
    run: RunOptions, jobs: Sequence[Job], begin: Callable[[RunOptions], Steps[Any, Any]], *, sizes: Sizes | None = None
) -> int:
    """Work through all jobs, report them, and return the exit code; sizes: see `Report`.

    begin: loads the model and returns the steps; called once in every process that works, with the options as they are
    there. Everything it refers to is pickled for other processes.
    """
    from vaetool.files import batch

    report = Report(run.console, sizes=sizes)
    if run.engine is Engine.LOCAL:
        batch.run(jobs, begin(run), report, threads=run.threads)
    else:
        batch.tell(_results_there(run, jobs, begin), report, len(jobs))
    return report.exit_code


def _results_there(
    run: RunOptions, jobs: Sequence[Job], begin: Callable[[RunOptions], Steps[Any, Any]]
) -> Iterator[Result[Any, Any]]:
    """Yield the results of all jobs from the workers of a cluster, in order."""
    from vaetool.files import batch

    def start(there: RunOptions) -> Work[Result[Any, Any]]:
        steps = begin(there)
        return lambda share: list(batch.results(share, steps, threads=there.threads))

    def lost(job: Job, error: FileError) -> Result[Any, Any]:
        return batch.Result(batch.Read(job, error=error))

    return spread(run, jobs, start, lost, at_once=run.threads)


def spread(
    run: Options,
    jobs: Iterable[Job],
    start: Callable[[Options], Work[R]],
    lost: Callable[[Job, FileError], R],
    *,
    at_once: int,
) -> Iterator[R]:
    """Yield a row for each job, from the workers of a cluster: see `Cluster.spread`.

    start: takes the options as they are in a worker. Warnings raised there are printed here.
    """
    from vaetool.files.cluster import Cluster

    cluster = Cluster(run.address, run.device, run.workers, run.console.warn)
    there = replace(run, device=cluster.device)

    version = __version__

    def begin() -> Work[tuple[R, list[str]]]:
        check_version(version)
        console = vars(there)["console"] = _Listener()
        work = start(there)

        def told(share: Sequence[Job]) -> list[tuple[R, list[str]]]:
            rows = work(share)
            for row in rows:
                _make_portable(row.file)
            return [(row, console.heard()) for row in rows]  # the first row takes all warnings

        return told

    for row, heard in cluster.spread(jobs, begin, lambda job, error: (lost(job, error), []), at_once=at_once):
        for words in heard:
            run.console.warn(words)
        yield row


def check_version(version: str) -> None:
    """Raise UsageError in a worker whose version of vaetool differs from that of the process that started it."""
    if version != __version__:
        raise UsageError(f"the cluster has vaetool {__version__}, and this is {version}: results could differ")


def _make_portable(item: Read[Any]) -> None:
    """Reduce a file in progress to what any process can unpickle: an unforeseen error becomes its message."""
    item.value = None
    if item.error is not None and not isinstance(item.error, VaetoolError):
        item.error = FileError(reason(item.error, item.job.source))


class _Listener(Console):
    """Collector of the warnings in a worker, until the process that has a terminal asks for them."""

    def __init__(self) -> None:
        super().__init__()
        self._heard: list[str] = []

    def warn(self, text: str) -> None:
        self._heard.append(text)

    def heard(self) -> list[str]:
        """Return the warnings since the last call."""
        heard, self._heard = self._heard, []
        return heard
