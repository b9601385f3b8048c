"""Reports of a training run: a live display, a CSV log, a picture of curves and examples, TensorBoard."""

from __future__ import annotations

import csv
import importlib.util
import io
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vaetool.errors import UsageError, one_line
from vaetool.files.writing import append, write_atomically
from vaetool.latents.plots import overview
from vaetool.latents.views import look
from vaetool.store.headers import with_article
from vaetool.training.checkpoints import latent_path, log_path, picture_path
from vaetool.training.curves import draw
from vaetool.training.words import change, clock, figure, sentence

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

    from vaetool.latents.autoencoder import Autoencoder
    from vaetool.training.checkpoints import Progress
    from vaetool.training.config import Recipe

LOG_EVERY_SECONDS = 10.0  # more often in the first minutes
SHOW_EVERY_SECONDS = 60.0  # a line, where there is no terminal to redraw
REDRAW_EVERY_SECONDS = 0.5
STALE_SHARE, STALE_VALIDATIONS = 1 / 3, 5  # of the whole time, in a row: then a run without gains is reported
SHOWN = ("loss", "discriminator")
"""Losses shown and logged; the others are parts of the first."""


@dataclass
class Reporter:
    """Reporter that shows and logs a run.

    console: for a live display on a terminal, else a line a minute; or None. files: whether to write
    `NAME.training.csv`, `NAME.training.png` and, for a model with codes, `NAME.latent.png` next to the model.
    tensorboard: a folder for its event files, or None.
    Raises UsageError if TensorBoard is wanted but not installed.
    """

    console: Console | None = None
    files: bool = True
    tensorboard: Path | None = None
    _output: Path = field(default=Path(), init=False)
    _rows: list[dict[str, Any]] = field(default_factory=list, init=False)
    _columns: list[str] = field(default_factory=list, init=False)  # of the log as it is on disk
    _live: Live | None = field(default=None, init=False)
    _writer: Any = field(default=None, init=False)
    _window: list[tuple[float, int, dict[str, Tensor]]] = field(default_factory=list, init=False)
    _doubts: bool = field(default=False, init=False)
    _fraction: float = field(default=0.0, init=False)  # of the budget
    _best: float | None = field(default=None, init=False)  # seconds, of the best figure; None: of no interest
    _last: dict[str, float] = field(default_factory=dict, init=False)  # when something was last done

    def __post_init__(self) -> None:
        if self.tensorboard is not None and importlib.util.find_spec("tensorboard") is None:
            raise UsageError("--tensorboard needs one more package: pip install tensorboard")

    def say(self, message: str) -> None:
        """Print one line."""
        if self.console is not None:
            self.console.print(one_line(message), markup=False, highlight=False, soft_wrap=True)

    def warn(self, message: str) -> None:
        """Print a warning."""
        self.say(f"warning: {message}")

    @contextmanager
    def open(self, recipe: Recipe, output: Path, images: int, progress: Progress) -> Iterator[None]:
        """Report one run; a resumed run continues its log."""
        self._output = output
        self._rows = _read_rows(log_path(output), progress.step) if self.files and progress.step else []
        self._window, self._last, self._columns = [], {}, []
        self._fraction, self._best = 0.0, None if recipe.training.patience else progress.seconds
        resumed = f", from step {progress.step} on" if progress.step else ""
        self.say(f"training {with_article(recipe.kind)} on {images} images{resumed} → {output}")
        with ExitStack() as stack:
            if self.tensorboard is not None:
                from torch.utils.tensorboard import SummaryWriter

                self._writer = stack.enter_context(SummaryWriter(str(self.tensorboard)))
            if self.console is not None and self.console.is_terminal:
                from rich.live import Live

                live = Live(console=self.console, refresh_per_second=2, redirect_stdout=False, redirect_stderr=False)
                self._live = stack.enter_context(live)
            try:
                yield
            finally:
                self._live = None

    def step(self, progress: Progress, fraction: float, losses: dict[str, Tensor], lr: float, crop: int) -> None:
        """Report a training step; called after every one, since it costs time only now and then."""
        now, self._fraction = time.monotonic(), fraction
        self._window = [
            *self._window[-49:],
            (now, progress.crops, {name: losses[name] for name in SHOWN if name in losses}),
        ]
        every = min(LOG_EVERY_SECONDS, max(1.0, progress.seconds / 50))
        logs = len(self._window) > 1 and self._is_time("logged", every, now)
        redraws = self._live is not None and self._is_time("redrawn", REDRAW_EVERY_SECONDS, now)
        if not logs and not redraws:
            return
        row = {
            "step": progress.step,
            "seconds": round(progress.seconds, 1),
            **{name: self._mean(name) for name in self._window[-1][2]},
            "lr": lr,
            "crop": crop,
            "images_per_second": self._speed(),
            "minutes_left": progress.seconds / 60 * (1 - fraction) / max(fraction, 1e-9),
        }
        if logs:
            self._add(row)
        if self._live is not None:
            self._live.update(_display(self._rows, row, fraction))
        elif logs and self._is_time("shown", SHOW_EVERY_SECONDS, now):
            self.say(sentence(row))

    def _is_time(self, what: str, every: float, now: float) -> bool:
        """Tell whether `what` was last done at least `every` seconds ago; if so, note it as done now."""
        if now - self._last.get(what, float("-inf")) < every:
            return False
        self._last[what] = now
        return True

    def _mean(self, name: str) -> float:
        """Return the mean of a loss over the latest steps."""
        return torch.stack([losses[name] for _, _, losses in self._window if name in losses]).mean().item()

    def _speed(self) -> float:
        """Return the crops per second."""
        (start, first, _), (end, last, _) = self._window[0], self._window[-1]
        return (last - first) / (end - start) if end > start else 0.0

    def validation(self, progress: Progress, figures: dict[str, float]) -> None:
        """Report a measurement on held-out images."""
        row = {"step": progress.step, "seconds": round(progress.seconds, 1), **figures}
        self._add(row)
        if self._live is None:
            self.say(sentence(row))
        if self._best is None:
            return
        self._best = self._best if progress.since_best else progress.seconds
        vain = (progress.seconds - self._best) / max(progress.seconds, 1e-9) * self._fraction
        if progress.since_best >= STALE_VALIDATIONS and vain > STALE_SHARE:
            self.say(
                f"no better since {clock(self._best)}: the best weights are kept. To finish, press Ctrl-C and repeat "
                "the command with --resume --set training.patience=1; with training.patience=N a run finishes by itself"
            )
            self._best = None

    def doubt(self, words: str | None) -> None:
        """Warn of a problem, once for as long as it lasts; None: no problem."""
        if words is not None and not self._doubts:
            self.warn(words)
        self._doubts = words is not None

    def _add(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        if self._writer is not None:
            for name in row.keys() - {"step"}:
                self._writer.add_scalar(name, row[name], row["step"])
        if self.files:
            self._log(row)

    def _log(self, row: dict[str, Any]) -> None:
        """Append a row to the log; rewrite the log if the row is the first or has a new column."""
        path = log_path(self._output)
        if row.keys() <= set(self._columns) and path.is_file():
            append(path, _csv([row], self._columns, header=False))
            return
        self._columns = list(dict.fromkeys(name for each in self._rows for name in each))
        write_atomically(path, _csv(self._rows, self._columns))

    def interrupted(self, progress: Progress) -> None:
        """Report that the run was stopped from outside and its state saved."""
        self.say(f"stopped at step {progress.step}, state saved: the same command with --resume continues from here")

    def finished(
        self, name: str, progress: Progress, images: int, examples: list[Tensor], names: Sequence[str] = ()
    ) -> None:
        """Report the end of a run: print the result, draw the curves and the held-out pictures, before and after.

        name: of the figure of merit. images: number of held-out ones. names: of the rows of examples.
        """
        self.say(change(name, progress.before.get(name), progress.figures[name], images))
        if self.files:
            try:
                picture = draw(self._rows, examples, names)
            except ImportError:  # Training works with only torch and a few others, straight from a checkout.
                self.warn("no picture of the curves: matplotlib is not installed")
                return
            write_atomically(picture_path(self._output), picture)

    def codes(self, model: Autoencoder, images: Sequence[Tensor], labels: Sequence[str]) -> None:
        """Draw the latent space with the codes of held-out pictures, at the end of a run."""
        if not self.files:
            return
        with suppress(ImportError):  # matplotlib is missing, as `finished` has said
            write_atomically(latent_path(self._output), overview(look(model, images, labels)))


def _display(rows: list[dict[str, Any]], now: dict[str, Any], fraction: float) -> RenderableType:
    """Return two lines for a terminal: the spent share of the budget, and the latest figures."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    held_out: dict[str, Any] = next((row for row in reversed(rows) if "loss" not in row), {})
    figures = {name: value for row in (held_out, now) for name, value in row.items()}
    shown = [name for name in figures if name not in ("step", "seconds", "crop", "minutes_left")]
    bar = Table.grid(padding=(0, 1))
    bar.add_row(
        ProgressBar(total=1.0, completed=fraction, width=30),
        f"{fraction:4.0%}",
        f"step {now['step']}",
        f"{clock(now['seconds'])} spent, {clock(60 * now['minutes_left'])} left",
    )
    return Group(bar, Text("   ".join(figure(name, figures[name]) for name in shown), overflow="ellipsis"))


def _read_rows(path: Path, last_step: int) -> list[dict[str, Any]]:
    """Read the log of a run that is resumed at `last_step`; empty if it is missing or unreadable."""
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
        return [{**row, "step": int(row["step"])} for row in rows if "seconds" in row and row["step"] <= last_step]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _csv(rows: list[dict[str, Any]], columns: list[str], *, header: bool = True) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
