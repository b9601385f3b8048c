"""The options that say what works on files: this process, or a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from vaetool.cli.groups import MessageOptions, between

CLUSTER = "Many machines"


class Engine(StrEnum):
    """What works on files."""

    LOCAL = "local"
    RAY = "ray"


@dataclass(frozen=True)
class EngineOptions(MessageOptions):
    """Options that say what works on files."""

    engine: Annotated[
        Engine,
        typer.Option(
            "--engine",
            metavar="local|ray",
            help="Work in this process, or in a Ray cluster (pip install 'vaetool[ray]'): the results are the same.",
            rich_help_panel=CLUSTER,
        ),
    ] = Engine.LOCAL
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            metavar="auto|HOST:PORT",
            help="A Ray cluster that runs already.",
            show_default="RAY_ADDRESS, or one of this machine alone",
            rich_help_panel=CLUSTER,
        ),
    ] = None
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            parser=between(1, 10**6, int),
            help="Processes of the cluster that work at once, each with a model of its own and -j files in progress.",
            show_default="one for each core, or each GPU",
            rich_help_panel=CLUSTER,
        ),
    ] = None
