"""Facts as text: nested values as indented lines, rows as a table. For people; programs read `--json`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from vaetool.errors import one_line
from vaetool.files.console import Console

if TYPE_CHECKING:
    from rich.console import Console as RichConsole


def show(facts: Mapping[str, Any], console: Console, *, first: bool = True) -> None:
    """Print one JSON object with --json, else a line per fact; `card`, a page of text, comes last and as it is.

    first: nothing was shown before; if something was, a blank line sets these facts apart.
    """
    if console.json:
        console.record(facts)
        return
    if not first:
        console.data("")
    for line in _lines({key: value for key, value in facts.items() if key != "card"}):
        console.data(one_line(line))
    for line in ["", *facts["card"].splitlines()] if "card" in facts else []:
        console.data(one_line(line))


def table(rows: Sequence[Sequence[str]], console: Console) -> None:
    """Print rows of the same length, the first being the headings, in columns as wide as they need to be."""
    plain = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*plain, strict=True)]
    for row in plain:
        console.data("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


class Lines:
    """Rows that are printed as they come: tab-separated, or on a terminal in columns with headings.

    headings: each with the format of the cells below it, such as `>8`. header: tab-separated rows have them as well.
    In tab-separated cells control characters are spelled out, as by `one_line`, and backslashes are doubled, so that
    the original text can be recovered.
    """

    def __init__(self, console: Console, headings: Mapping[str, str], *, header: bool = False) -> None:
        self._console, self._headings = console, headings
        if header and not console.is_read_on_terminal:
            console.data("\t".join(headings))

    def add(self, *cells: str, style: str | None = None) -> None:
        """Print a row; style: of rich, for a terminal."""
        if self._table is None:
            self._console.data("\t".join(one_line(cell.replace("\\", r"\\")) for cell in cells))
        else:
            self._table.print(self._row(map(one_line, cells)), style=style, soft_wrap=True)

    def _row(self, cells: Iterable[str]) -> str:
        return "  ".join(f"{cell:{form}}" for cell, form in zip(cells, self._headings.values(), strict=True))

    @cached_property
    def _table(self) -> RichConsole | None:
        """Standard output with the headings printed, or None where it is not a terminal."""
        if not self._console.is_read_on_terminal:
            return None
        from rich.console import Console as RichConsole

        table = RichConsole(file=sys.stdout, highlight=False, emoji=False, markup=False)
        table.print(self._row(self._headings), style="bold", soft_wrap=True)
        return table


def size(count: int) -> str:
    """Return a number of bytes in readable form.

    >>> size(823), size(6_410_000)
    ('0.8 kB', '6.4 MB')
    """
    return f"{count / 1e3:.1f} kB" if count < 1e6 else f"{count / 1e6:.1f} MB"


def _lines(facts: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    width = max((len(key) for key in facts), default=0)
    for key, value in facts.items():
        if isinstance(value, Mapping) and value:
            yield f"{indent}{key}"
            yield from _lines(value, indent + "  ")
        else:
            yield f"{indent}{key.ljust(width)}  {_words(value)}"


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_words, value))
    return "-" if value is None or value == {} else str(value)
