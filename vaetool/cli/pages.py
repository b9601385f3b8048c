"""Help pages without the names of types that typer adds: a flag takes no `<bool>`, and `IN` says more than `<list>`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer.core import TyperArgument, TyperCommand, TyperGroup

if TYPE_CHECKING:
    from collections.abc import Iterable


class Command(TyperCommand):
    """A command with such a page."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, those of the help page as well."""
        return _without_types(super().get_params(ctx))


class Group(TyperGroup):
    """A group of commands with such a page."""

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
