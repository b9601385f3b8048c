"""Progress bars on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vaetool.progress import listening


@contextmanager
def show_bars(screen: Console, total: int | None) -> Iterator[Callable[[], None]]:
    """Show a bar of `total` files (None: unknown), unless there is only one, and one of the parts of a large picture.

    Yields the function that advances the first by one file.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bars = Progress(*columns, console=screen, transient=True, redirect_stdout=False, redirect_stderr=False)
    files = bars.add_task("files", total=total, visible=total != 1)
    parts = bars.add_task("parts", visible=False)

    def show(task: str, done: int, count: int) -> None:
        if done == 0:
            bars.reset(parts, description=task, total=count)
        bars.update(parts, completed=done, visible=done < count and count > 1)

    with bars, listening(show):
        yield lambda: bars.advance(files)
