"""The command line: one short module per command, each parse → one library call → report.

Nothing heavy is imported before a command's body runs, so that `--help` answers at once.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from vaetool import __version__
from vaetool.cli import (
    compare,
    compress,
    decompress,
    demo,
    denoise,
    export,
    info,
    inpaint,
    latent,
    models,
    morph,
    sample,
    score,
    train,
    translate,
    ui,
)
from vaetool.cli.pages import Command, Group
from vaetool.errors import UsageError
from vaetool.files.console import Console, guarded
from vaetool.files.signals import INTERRUPTED

COMMANDS = (
    denoise.denoise,
    compress.compress,
    decompress.decompress,
    inpaint.inpaint,
    sample.sample,
    morph.morph,
    latent.latent,
    score.score,
    compare.compare,
    translate.translate,
    train.train,
    export.export,
    ui.ui,
    demo.demo,
    info.info,
    models.models,
)

ADDRESSES, ADDRESSES_PER_THREAD = 3 * 2**30, 2**28
"""Bytes of address space that torch and a model take, and that each thread reserves for its stack and memory pools."""

app = typer.Typer(
    name="vaetool",
    cls=Group,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in COMMANDS:
    app.command(cls=Command)(command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vaetool {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def vaetool(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Autoencoders that do real work on images, offline.

    vaetool denoise night.jpg                     writes night.denoised.jpg
    vaetool compress photo.jpg                    writes photo.vae
    vaetool denoise --help                        examples and options of a command
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(UsageError.exit_code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; `arguments` exclude the program's name."""
    arguments = sys.argv[1:] if arguments is None else [str(argument) for argument in arguments]
    # Torch then takes memory in large pages (Linux): a twentieth less time and less memory for 12 megapixels.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    logging.getLogger().addHandler(logging.NullHandler())  # or what libraries log would go to standard error
    _ask_for_fewer_threads()
    console = Console()
    return guarded(lambda: _invoke(arguments, console), console)


def _ask_for_fewer_threads() -> None:
    """Limit the threads that libraries start to what a limited address space (`ulimit -v`) has room for.

    Each thread reserves its share on starting, and OpenBLAS, which numpy loads, retries for ever if that fails.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        count = min(os.cpu_count() or 1, max(1, (limit - ADDRESSES) // ADDRESSES_PER_THREAD))
        for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
            os.environ.setdefault(name, str(count))


def _invoke(arguments: Sequence[str], console: Console) -> int:
    command = typer.main.get_command(app)
    if "_VAETOOL_COMPLETE" in os.environ:
        command.main(prog_name="vaetool")  # answers the shell and exits
    try:
        # Not `command.main`, which has its own idea of exit codes and of closed pipes.
        with command.make_context("vaetool", list(arguments), obj=console) as context:
            code = command.invoke(context)
    except typer.Exit as stop:
        return stop.exit_code
    except typer.Abort:
        return INTERRUPTED
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        raise _usage_error(error, arguments) from error
    return code if isinstance(code, int) else 0


def _usage_error(error: Exception, arguments: Sequence[str]) -> UsageError:
    """Return typer's complaint about the arguments as one line, with a pointer to the help page.

    A file that was taken for an option because its name begins with `-` is named as it has to be.
    """
    message = " ".join(error.format_message().split()).rstrip(".")  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    page = context.command_path if context is not None else "vaetool"
    taken = next((name for name in arguments if name.startswith("-") and Path(name).is_file()), None)
    return UsageError(f"{message} (see {page} --help)" + (f"; the file {taken} is named ./{taken}" if taken else ""))
