"""The command's output: messages on stderr, data on stdout, and the exit code.

`Console` prints, `Report` counts files and owns the exit code of a batch, and `guarded` turns whatever
ends a command (an error, Ctrl-C, SIGTERM, a closed pipe) into one line and the exit code promised for it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from vaetool.errors import UsageError, VaetoolError, is_out_of_memory, one_line
from vaetool.files import signals
from vaetool.files.records import Named, plain, sentence
from vaetool.files.remote import Remote

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

    from vaetool.files.sizes import Sizes

OUT_OF_MEMORY = (
    "out of memory: smaller pictures, --tile 256, -j 1 or OMP_NUM_THREADS=1 need less; in training a smaller batch "
    "(--set training.batch=N)"
)
OUT_OF_ADDRESSES = "out of memory: torch takes more than the address space of this process (ulimit -v) has: allow 6 GB"


class Console:
    """The output of one run of the command.

    quiet: errors only; verbose: how many -v; json: `Report` writes one JSON object per file on stdout.
    """

    def __init__(self, *, quiet: bool = False, verbose: int = 0, json: bool = False) -> None:
        self.configure(quiet=quiet, verbose=verbose, json=json)

    def configure(self, *, quiet: bool, verbose: int, json: bool) -> None:
        """Take over the flags of a command once they are known."""
        self.quiet = quiet
        self.verbose = verbose
        self.json = json

    @cached_property
    def screen(self) -> RichConsole:
        """Rich's console on stderr, for output of more than a line."""
        from rich.console import Console as RichConsole

        class Words(RichConsole):
            def on_broken_pipe(self) -> None:
                raise  # the BrokenPipeError that rich is handling; `guarded` knows what it means

        # No escape codes in a file, whatever FORCE_COLOR and the like ask for.
        return Words(stderr=True, force_terminal=_is_terminal(sys.stderr), highlight=False, emoji=False, markup=False)

    def _print(self, text: str, style: str | None = None) -> None:
        line = one_line(text)
        try:
            self.screen.print(line, style=style, soft_wrap=True)
        except (MemoryError, OSError, ImportError) as error:
            if not is_out_of_memory(error):
                raise
            os.write(2, f"{line}\n".encode())  # rich does not fit into the remaining memory

    def error(self, text: str) -> None:
        """Print an error in one line, always."""
        self._print(text, "red")

    def warn(self, text: str) -> None:
        """Print a warning in one line, unless quiet."""
        if not self.quiet:
            self._print(text, "yellow")

    def say(self, text: str) -> None:
        """Print one line, unless quiet."""
        if not self.quiet:
            self._print(text)

    def note(self, text: str) -> None:
        """Print one line if -v was given."""
        if self.verbose and not self.quiet:
            self._print(text, "dim")

    def trace(self, error: BaseException) -> None:
        """Print the traceback if -vv was given."""
        if self.verbose >= 2:
            for line in "".join(traceback.format_exception(error)).splitlines():
                self._print(line)

    def data(self, line: str) -> None:
        """Write one line of text to stdout, at once, so that a reader in a pipe can follow."""
        self.binary(line.encode("utf-8", "surrogateescape") + b"\n")

    def record(self, record: Mapping[str, Any]) -> None:
        """Write one JSON object to stdout, at once. Numbers that JSON does not know (nan, inf) become null."""
        self.data(json.dumps(plain(record), allow_nan=False))

    def binary(self, data: bytes) -> None:
        """Write bytes to stdout, at once."""
        if sys.stdout is None:
            raise VaetoolError("standard output is closed")
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def check_result_to_stdout(self) -> None:
        """Raise UsageError if a result cannot go to stdout: with --json, or to a terminal, which it would garble."""
        if self.json:
            raise UsageError("--json and the result itself cannot both go to standard output: give -o FILE")
        if _is_terminal(sys.stdout):
            raise UsageError("refusing to write binary data to a terminal: give -o FILE, or use a pipe")

    @property
    def is_read_on_terminal(self) -> bool:
        """True if stdout is a terminal: data there may be laid out for the eye."""
        return _is_terminal(sys.stdout)

    @contextmanager
    def progress(self, total: int | None) -> Iterator[Callable[[], None]]:
        """Show progress on stderr, only where it is a terminal; yield the function that advances it by one file.

        There is a bar of the files, if they are not a single one, and one of the parts of a large picture.
        total: number of files; None if unknown, 0 for no bar: lines of data on a terminal would run into it.
        """
        lines_would_mix = self.json and _is_terminal(sys.stdout)
        if self.quiet or lines_would_mix or total == 0 or not self.screen.is_terminal:
            yield lambda: None
            return
        from vaetool.files.bars import show_bars

        with show_bars(self.screen, total) as advance:
            yield advance


class Report:
    """Reporter that counts files done, skipped and failed, reports each as asked, and owns the exit code.

    sizes: sums up the savings of a command that compresses. resumable: the command has --skip-existing.
    """

    def __init__(self, console: Console, *, sizes: Sizes | None = None, resumable: bool = True) -> None:
        self.console = console
        self.sizes = sizes
        self._resumable = resumable
        self.total = 0
        self.done_count = self.skipped_count = self.failed_count = 0
        self.code_when_done = 0  # a command with a finding sets another one: 3 for outliers
        self._last_line = ""
        self._unchanged: defaultdict[str, Named] = defaultdict(Named)  # by the reason
        self._advance: Callable[[], None] = lambda: None

    @property
    def exit_code(self) -> int:
        """1 when a file failed, else `code_when_done`."""
        return 1 if self.failed_count else self.code_when_done

    @contextmanager
    def over(self, total: int | None) -> Iterator[Report]:
        """Enclose the work on `total` files (None: unknown): show the bar during it, and the summary at its end."""
        self.total += total or 0
        try:
            with self.console.progress(total) as self._advance:
                yield self
        except (KeyboardInterrupt, signals.Terminated):
            self.summary()
            raise
        self.summary()

    def done(
        self,
        source: object,
        output: object = None,
        facts: Mapping[str, Any] | None = None,
        *,
        seconds: float | None = None,
        warnings: Sequence[str] = (),
    ) -> None:
        """Report a finished file. `output` is where it went (None: nowhere), `facts` go into JSON and the line of -v.

        For a file copied unchanged, facts include `changed`, false, and the `reason` that the summary gives.
        """
        self.done_count += 1
        facts = dict(facts or {})
        if seconds is not None:
            facts["seconds"] = round(seconds, 3)
        for warning in warnings:
            self.console.warn(f"{source}: {warning}")
        self._last_line = f"wrote {output}" if isinstance(output, os.PathLike | Remote) else ""
        if self.sizes is not None and output is not None:
            self.sizes.add(facts)
            self._last_line = self._last_line and self.sizes.sentence(source, output, facts)
        self.console.note(sentence(source, output, facts))
        if facts.get("changed") is False and "reason" in facts:
            self._unchanged[facts["reason"]].add(source)
        if self.console.json:
            place = {} if output is None else {"output": str(output)}
            noted = {"warnings": list(warnings)} if warnings else {}
            self.console.record({"path": str(source), **place, **facts, **noted})
        self._advance()

    def counted(self) -> None:
        """Count a finished file without reporting it."""
        self.done_count += 1
        self._advance()

    def skipped(self, source: object, output: object) -> None:
        """Report a file whose result exists already."""
        self.skipped_count += 1
        self.console.note(f"{source}: {output} exists, skipped")
        if self.console.json:
            self.console.record({"path": str(source), "output": str(output), "skipped": True})
        self._advance()

    def failed(self, source: object, error: Exception, facts: Mapping[str, Any] | None = None) -> None:
        """Report a file that failed; its path precedes the message. facts: further entries for JSON."""
        self.failed_count += 1
        message = reason(error, source)
        self.console.error(f"{source}: {message}")
        self.console.trace(error)
        if self.console.json:
            self.console.record({"path": str(source), **(facts or {}), "error": message})
        self._advance()

    def summary(self) -> None:
        """Print the last line of a batch: how many of each; for a single file, where its result is."""
        seen = self.done_count + self.skipped_count + self.failed_count
        missing = max(0, self.total - seen)
        for why, files in self._unchanged.items():
            self.console.say(f"unchanged: {why}" if seen == 1 else f"{files.count} unchanged ({files}): {why}")
        if seen == 1 and not missing:
            if self.done_count and self._last_line:
                self.console.say(self._last_line)
            elif self.skipped_count:
                self.console.say("the result exists already, skipped")
            return
        counts = {"done": self.done_count, "skipped": self.skipped_count, "failed": self.failed_count}
        line = ", ".join(f"{count} {word}" for word, count in counts.items() if count or word == "done")
        if missing:
            line += f", {missing} not finished"
            line += "; the same command with --skip-existing continues from here" if self._resumable else ""
        if self.sizes is not None and (total := self.sizes.total()):
            line += f": {total}"
        self.console.say(line)


def reason(error: Exception, source: object = None) -> str:
    """Return an error's reason in one line; unforeseen errors are named as such.

    source: the file reported on; the path is given only if the error is about another one.
    """
    if isinstance(error, VaetoolError):
        return one_line(error)
    if is_out_of_memory(error):
        return OUT_OF_ADDRESSES if _is_of_import(error) else OUT_OF_MEMORY
    if isinstance(error, OSError) and error.strerror:
        paths = [os.fsdecode(path) for path in (error.filename, error.filename2) if isinstance(path, str | bytes)]
        other = " -> ".join(path for path in paths if path != str(source))
        return one_line(f"{other}: {error.strerror}" if other else error.strerror)
    first_line = str(error).strip().partition("\n")[0]
    name = type(error).__name__
    return one_line(f"internal error: {name}: {first_line} (run with -vv for a traceback)")


def _is_of_import(error: Exception) -> bool:
    frames = traceback.walk_tb(error.__traceback__)
    return isinstance(error, ImportError) or any(frame.f_code.co_name == "<module>" for frame, _ in frames)


def guarded(command: Callable[[], int], console: Console) -> int:
    """Run a command and return its exit code; whatever stops it becomes one line and the appropriate code.

    A signal counts as the reason even if libraries swallowed or changed the exception that it raised.
    """
    with signals.raised() as came:
        try:
            code = command()
            if sys.stdout is not None:
                sys.stdout.flush()
        except (KeyboardInterrupt, signals.Terminated) as stop:
            return _stopped(stop.exit_code - 128 if isinstance(stop, signals.Terminated) else signal.SIGINT, console)
        except BrokenPipeError:
            return _pipe_closed()
        except SystemExit as stop:
            # The help pages are printed by rich, which answers a closed pipe with SystemExit(1).
            if isinstance(stop.__context__, BrokenPipeError):
                return _pipe_closed()
            raise
        except Exception as error:
            if came:
                return _stopped(came[0], console)
            return _failed(error, console)
        return _stopped(came[0], console) if came else code


def _stopped(number: int, console: Console) -> int:
    console.error(signals.words(number))
    return 128 + number


def _failed(error: Exception, console: Console) -> int:
    words = str(error) if isinstance(error, VaetoolError) else reason(error)
    has_no_name = isinstance(error, VaetoolError | OSError) and not is_out_of_memory(error)
    console.error(f"error: {words}" if has_no_name else words)
    console.trace(error)
    return error.exit_code if isinstance(error, VaetoolError) else 1


def _pipe_closed() -> int:
    """Redirect broken pipes to nowhere and return 0, so that not even the interpreter's last flush writes to them."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            try:
                if _pipe_is_broken(stream.fileno()):
                    os.dup2(nowhere, stream.fileno())
            finally:
                os.close(nowhere)
    return 0


def _pipe_is_broken(descriptor: int) -> bool:
    import select

    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _is_terminal(stream: Any) -> bool:
    return stream is not None and not stream.closed and stream.isatty()
