"""`vaetool models`: list models, show one, and verify the bundled ones."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

from vaetool.cli import completion
from vaetool.cli.facts import show, size, table
from vaetool.cli.groups import MessageOptions, with_options
from vaetool.errors import UsageError, VaetoolError, WeightsError
from vaetool.files.console import Console, Report
from vaetool.store import catalogue


class Action(StrEnum):
    """Actions on the models."""

    LIST = "list"
    SHOW = "show"
    VERIFY = "verify"


What = Annotated[
    Action,
    typer.Argument(
        metavar="list|show|verify",
        help="List all models, show all about one, or verify that the bundled ones are intact.",
    ),
]
Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME",
        help="Names of models; for show, also model files.",
        autocompletion=completion.models,
        show_default=False,
    ),
]


@with_options
def models(what: What = Action.LIST, names: Names = None, *, options: MessageOptions) -> int:
    """List, show and verify models.

    vaetool models                              all models, and where they are
    vaetool models show photo-denoise-gaussian  everything known about one
    vaetool models show part.safetensors        the same for a file
    vaetool models verify                       are the bundled ones intact?

    Models are looked up by name in the folders of $VAETOOL_MODELS, then in the user's, then among the bundled ones.
    """
    names = names or []
    if what is Action.VERIFY:
        return _verify(names, options.console)
    if what is Action.SHOW:
        if not names:
            raise UsageError("show which model? `vaetool models` lists them")
        for number, name in enumerate(names):
            show(catalogue.describe(name), options.console, first=number == 0)
        return 0
    if names:
        raise UsageError("the list takes no names; `vaetool models show NAME` shows one model")
    return _list(options.console)


def _list(console: Console) -> int:
    report = Report(console)
    rows = [("name", "kind", "size", "where", "licence", "summary")]
    for path in catalogue.list_models().values():
        try:
            facts = catalogue.describe(path)
        except VaetoolError as error:
            report.failed(path, WeightsError(str(error).removeprefix(f"{path}: ")))
            continue
        facts.pop("card", None)
        if console.json:
            console.record(facts)
        cells = (facts["name"], facts["kind"], size(facts["bytes"]), facts["where"])
        rows.append((*cells, facts.get("licence", "-"), facts.get("summary", "-")))
    if not console.json:
        table(rows, console)
    return report.exit_code


def _verify(names: Sequence[str], console: Console) -> int:
    report = Report(console)
    for path, problem in catalogue.verify(names).items():
        if problem:
            report.failed(path, WeightsError(problem), {"verdict": "not intact"})
        else:
            report.done(path, facts={"verdict": "intact"})
    console.say(f"{report.done_count} files intact, {report.failed_count} not")
    return report.exit_code
