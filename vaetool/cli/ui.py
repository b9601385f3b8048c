"""`vaetool ui`: the tasks on a page in the browser."""

from __future__ import annotations

import os
import sys
import time
from importlib.util import find_spec
from typing import Annotated, NoReturn

import typer

from vaetool.cli.groups import between, with_options
from vaetool.cli.options import ComputeOptions, MaxPixels
from vaetool.errors import UsageError
from vaetool.files.console import Console, guarded
from vaetool.files.signals import Terminated

NEEDED = ("starlette", "uvicorn")

Port = Annotated[
    int | None,
    typer.Option(
        "--port",
        metavar="N",
        parser=between(1, 65535, int),
        help="Port of the page.",
        show_default="8765, or a free one",
    ),
]
NoBrowser = Annotated[bool, typer.Option("--no-browser", help="Only print the address of the page.")]


@with_options
def ui(
    port: Port = None,
    no_browser: NoBrowser = False,
    max_pixels: MaxPixels = None,
    *,
    run: ComputeOptions,
) -> None:
    """Open a page with all tasks: paint out what disturbs, compare before and after, move sliders.

    vaetool ui                                    opens it in the browser
    vaetool ui --no-browser --port 8000           prints its address

    The page is served to this machine alone, and neither it nor the command uses the network. Its address contains a
    secret, which other users of the machine do not know. Only files saved from the page are written. Ctrl-C stops it.
    """
    if any(find_spec(name) is None for name in NEEDED):
        raise UsageError("the page needs a small web server: pip install 'vaetool[ui]'")

    from vaetool.images import MAX_PIXELS
    from vaetool.ui.server import serving
    from vaetool.ui.session import Session

    session = Session(run.device, max_pixels or MAX_PIXELS)
    try:
        with session, serving(session, port) as address:
            run.console.say(f"{address}  Ctrl-C stops it")
            if run.json:
                run.console.record({"address": address})
            if not no_browser and _has_screen():
                import webbrowser

                webbrowser.open(address)
            while True:
                time.sleep(0.5)
    except (KeyboardInterrupt, Terminated) as stop:
        if session.is_working():
            _leave_at_once(stop, run.console)
        raise


def _leave_at_once(stop: BaseException, console: Console) -> NoReturn:
    """End the process although a thread is computing: a normal exit of the interpreter could crash then."""

    def again() -> int:
        raise stop

    os._exit(guarded(again, console))


def _has_screen() -> bool:
    """Tell whether a browser would open a window; one in the terminal would hide the command's output."""
    return sys.platform in {"win32", "darwin"} or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
