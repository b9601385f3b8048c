"""Options that select what processes the files: this process, or a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from vaetool.cli.groups import MessageOptions, between

CLUSTER = "Many machines"


class Engine(StrEnum):
    """The engines that process files."""

    LOCAL = "local"
    RAY = "ray"


@dataclass(frozen=True)
class EngineOptions(MessageOptions):
    """Options that select what processes the files."""

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
            help="A running Ray cluster.",
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
            help="Number of worker processes in the cluster, each with its own model and -j files in progress.",
            show_default="one for each core, or each GPU",
            rich_help_panel=CLUSTER,
        ),
    ] = None
