"""`vaetool demo`: every task once, on photographs that come with the installation."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from vaetool.cli.groups import with_options
from vaetool.cli.options import ComputeOptions
from vaetool.files.outputs import check_folder, check_results

Folder = Annotated[str, typer.Argument(metavar="FOLDER", help="Folder of the contact sheet; created if missing.")]
Force = Annotated[
    bool, typer.Option("--force", help="Replace an existing contact sheet; by default a new one is numbered.")
]


@with_options
def demo(folder: Folder = "vaetool-demo", force: Force = False, *, run: ComputeOptions) -> None:
    """Run every task once, write a contact sheet, print a table.

    vaetool demo                                  into ./vaetool-demo
    vaetool demo show/ --json                     one JSON object per row
    """
    from vaetool import demo as jobs

    check_folder(folder, "contact sheets")
    sheet = jobs.contact_sheet_path(folder, replace=force)
    check_results([sheet], force=force)
    header_shown = False
    for row in jobs.run(sheet, device=run.device):
        if run.json:
            run.console.record(row)
            continue
        if not header_shown:
            run.console.data(_line(dict(zip(row, row, strict=True))))
            header_shown = True
        run.console.data(_line(row))
    run.console.say(f"wrote {sheet}")


def _line(row: dict[str, Any]) -> str:
    return "".join(f"{value!s:<20}" for value in row.values()).rstrip()
