"""Commands as typer makes them, with four differences.

Help pages do not name types: a flag takes no `<bool>`, and `IN` says more than `<list>`. Brackets are no markup.
`-h` shows a page that fits one screen. And an option without its value does not swallow the next option.
"""

from __future__ import annotations

from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from vaetool.cli.short import short_page
from vaetool.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

SHORT_HELP = "-h"


class Command(TyperCommand):
    """Command with the differences described above."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse arguments. Raises UsageError if another option stands in the place of an option's value."""
        if SHORT_HELP in list(takewhile("--".__ne__, args)):
            typer.echo(short_page(self, ctx.command_path))
            raise typer.Exit
        options: list[Any] = [option for option in self.params if option.param_type_name == "option"]
        flags = {flag: not (option.is_flag or option.count) for option in options for flag in option.opts}
        for flag, value in pairwise(args):
            if flag == "--":
                break
            if value in flags and flags.get(flag):
                raise UsageError(f"{flag} needs a value, and {value} is another option (see {ctx.command_path} --help)")
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help page, brackets as they are: rich would take those of `vaetool[ray]` for markup."""
        from rich.markup import escape

        described: Any
        for described in (self, *self.params):
            described.help = escape(described.help or "")
        super().format_help(ctx, formatter)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, those of the help page as well."""
        parameters = _without_types(super().get_params(ctx))
        for parameter in parameters:
            if SHORT_HELP in parameter.opts:
                parameter.help = "Show this page; -h shows the most used options."
        return parameters


class Group(TyperGroup):
    """Group of commands with the differences described above."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, those of the help page as well."""
        return _without_types(super().get_params(ctx))


def _without_types(parameters: Iterable[Any]) -> list[Any]:
    parameters = list(parameters)
    for parameter in parameters:
        if isinstance(parameter, TyperArgument):
            vars(parameter)["display_type_rich"] = lambda ctx: ""
        elif parameter.is_flag:
            parameter.metavar = ""
    return parameters
