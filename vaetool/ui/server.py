"""The web server of the page, for this machine alone, until the command is stopped."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from vaetool.errors import UsageError, VaetoolError
from vaetool.ui.app import application
from vaetool.ui.session import Session

HOST = "127.0.0.1"
PORT = 8765
"""Default port, used if it is free."""

LAST_ANSWERS = 1
"""Seconds for pending answers at the end."""


@contextmanager
def serving(session: Session, port: int | None = None) -> Iterator[str]:
    """Serve the page of a session, in a thread, as long as the context lasts; yield its address.

    Signals stay with the caller. Raises UsageError if the requested port is taken.
    """
    secret = secrets.token_urlsafe(12)
    settings = uvicorn.Config(
        application(session, secret),
        log_config=None,
        log_level="critical",  # the page shows errors; work abandoned at the end is not one
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=LAST_ANSWERS,
    )
    server = uvicorn.Server(settings)
    with _listener(port) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="server", daemon=True)
        thread.start()
        try:
            while not server.started and thread.is_alive():
                thread.join(0.01)
            if not server.started:
                raise VaetoolError("the server of the page did not start")
            yield f"http://{HOST}:{listener.getsockname()[1]}/{secret}/"
        finally:
            session.stop()
            server.should_exit = True
            thread.join(5 * LAST_ANSWERS)


def _listener(port: int | None) -> socket.socket:
    """Return a socket that listens at a port or, if None, at `PORT` or any free one."""
    for candidate in (PORT, 0) if port is None else (port,):
        listener = socket.socket()
        try:
            if os.name == "posix":  # on Windows it would let two programs share the port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((HOST, candidate))
            listener.listen(64)
        except OSError as error:
            listener.close()
            problem = error
        else:
            return listener
    raise UsageError(f"--port {port}: {problem.strerror or problem}; without --port a free one is taken") from problem
