"""Option groups: a dataclass whose fields are flags, so that a command takes all of them as one parameter.

    @with_options
    def denoise(inputs: Inputs = None, *, run: RunOptions) -> int: ...

Every field of the group becomes a flag.
"""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, get_type_hints

import typer

from vaetool.errors import UsageError
from vaetool.files.console import Console
from vaetool.training.flags import Flag


def between(low: float, high: float, kind: type[float] = float, *, auto: bool = False) -> Callable[[str], Any]:
    """Return a parser for a number in low..high, both included; with `auto`, that word gives None."""
    expected = f"{'auto or ' if auto else ''}a {'whole ' if kind is int else ''}number from {low:g} to {high:g}"

    def parse(text: str) -> float | None:
        if auto and text == "auto":
            return None
        try:
            number = kind(text)
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            raise typer.BadParameter(f"expected {expected}, not '{text}'")
        return number

    return parse


def box(text: str) -> tuple[int, ...]:
    """Return a box, (left, top, width, height), of a picture.

    >>> box("40,60,200,100")
    (40, 60, 200, 100)
    """
    try:
        left, top, width, height = map(int, text.split(","))
    except ValueError:
        width = height = 0
    if min(width, height) < 1:
        raise typer.BadParameter(f"expected left, top, width and height in pixels, such as 40,60,200,100, not '{text}'")
    return left, top, width, height


UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "kib": 2**10, "mib": 2**20}


def byte_count(text: str) -> int:
    """Return the number of bytes in a size as people write it.

    >>> byte_count("60KB"), byte_count("1.5 MiB"), byte_count("800")
    (60000, 1572864, 800)
    """
    number, unit = re.match(r"([\d.]*) *(.*)", text.lower()).groups()  # type: ignore[union-attr]  # always matches
    try:
        return int(float(number) * UNITS[unit])
    except (KeyError, ValueError, OverflowError):
        raise typer.BadParameter(f"expected a size such as 60KB, 60KiB, 1.5MB or 60000, not '{text}'") from None


@dataclass(frozen=True)
class MessageOptions:
    """Options that every command has: how much it prints, and in which form.

    takes_urls: inputs and outputs can be URLs.
    """

    takes_urls: ClassVar[bool] = False

    quiet: Annotated[bool, typer.Option("--quiet", help="Print only errors on stderr.", rich_help_panel="Messages")] = (
        False
    )
    verbose: Annotated[
        int,
        typer.Option(
            "-v",
            "--verbose",
            count=True,
            metavar="",
            help="Print more; -vv adds tracebacks to errors.",
            show_default=False,
            rich_help_panel="Messages",
        ),
    ] = 0
    json: Annotated[
        bool,
        typer.Option("--json", help="One JSON object per file on stdout, errors included.", rich_help_panel="Messages"),
    ] = False

    @functools.cached_property
    def console(self) -> Console:
        """The console that speaks for this run of the command."""
        return Console(quiet=self.quiet, verbose=self.verbose, json=self.json)


def with_options(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """Replace the parameter that is annotated with an option group by one flag per field, for typer to read."""
    signature = inspect.signature(command, eval_str=True)
    group_name, group = next(
        (name, parameter.annotation)
        for name, parameter in signature.parameters.items()
        if isinstance(parameter.annotation, type) and issubclass(parameter.annotation, MessageOptions)
    )
    own = [parameter for name, parameter in signature.parameters.items() if name != group_name]
    hints = get_type_hints(group, include_extras=True)
    names = [field.name for field in fields(group)]
    shared = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]
    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)

    @functools.wraps(command)
    def expanded(context: typer.Context, **values: Any) -> int | None:
        options = group(**{name: values.pop(name) for name in names})
        _refuse_urls(values.values(), only_paths=options.takes_urls)
        if isinstance(context.obj, Console):
            # One console for all: this one also reports how the command ends. It takes the place of the cached one.
            context.obj.configure(quiet=options.quiet, verbose=options.verbose, json=options.json)
            vars(options)["console"] = context.obj
        return command(**values, **{group_name: options})

    parameters = [
        *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own),
        *shared,
        context,
    ]
    expanded.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    expanded.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del expanded.__wrapped__
    return expanded


def _refuse_urls(values: Iterable[Any], *, only_paths: bool) -> None:
    """Raise UsageError for a URL where a file has to be on the local disk.

    only_paths: texts may be URLs, unlike paths, which would garble them.
    """
    for value in values:
        for place in value if isinstance(value, list) else [value]:
            if isinstance(place, Path) or (isinstance(place, str) and not only_paths):
                slashes = r"[/\\]" if isinstance(place, Path) else "//"
                if found := re.match(rf"([a-z][a-z0-9+.-]+):{slashes}", str(place), re.IGNORECASE):
                    commands = "denoise, compress, decompress, inpaint and score"
                    raise UsageError(f"{found[1]}://...: URLs are for inputs and results of {commands}")


def with_flags(flags: Mapping[str, Flag], panel: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Replace the parameter `flags` of a command, a dict of values by name, by one flag for each of a table."""

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        signature = inspect.signature(command, eval_str=True)

        @functools.wraps(command)
        def expanded(**values: Any) -> int:
            return command(flags={name: values.pop(name) for name in flags}, **values)

        own = [parameter for name, parameter in signature.parameters.items() if name != "flags"]
        added = [_parameter(name, flag, panel) for name, flag in flags.items()]
        expanded.__signature__ = signature.replace(parameters=[*own[:-1], *added, own[-1]])  # type: ignore[attr-defined]
        return expanded

    return decorate


def _parameter(name: str, flag: Flag, panel: str) -> inspect.Parameter:
    switch = flag.type is bool
    option = typer.Option(
        f"--{name.replace('_', '-')}",
        metavar=None if switch else flag.metavar,
        help=flag.help,
        show_default=flag.default,
        rich_help_panel=panel,
    )
    annotation = Annotated[bool if switch else flag.type | None, option]  # type: ignore[valid-type]
    default = False if switch else None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
