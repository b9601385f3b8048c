"""The web application of the page: its files, pictures in and out, and the actions of the tabs.

All addresses begin with a secret, which is drawn anew for each run and is part of the address that the command prints:
other users of the machine, and pages of the web, cannot reach it. The page may load nothing from anywhere else.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_type_hints
from urllib.parse import quote

import msgspec
from anyio import to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vaetool.errors import UsageError, VaetoolError
from vaetool.files.console import reason
from vaetool.files.records import plain
from vaetool.store.catalogue import names_of
from vaetool.store.kinds import kinds_with_codes, kinds_with_modalities, kinds_with_pictures
from vaetool.ui import compress, denoise, inpaint, morph, sample, score, views
from vaetool.ui.session import Session

PAGE = Path(__file__).parent / "page"

MAX_UPLOAD = 2**31
"""Maximum number of bytes of a file."""

HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}

Action = Callable[..., dict[str, Any]]

ACTIONS: dict[str, Action] = {
    "inpaint/fill": inpaint.fill,
    "inpaint/mask": inpaint.mask,
    "denoise/clean": denoise.clean,
    "compress/pack": compress.pack,
    "sample/samples": sample.samples,
    "sample/decode": sample.decode,
    "sample/axes": sample.axes,
    "morph/encode": morph.encode,
    "morph/frames": morph.frames,
    "score/clear": score.clear,
    "score/judge": score.judge,
}
"""Actions that the page can request; the request is the second parameter of each."""


mimetypes.add_type("text/javascript", ".js")  # or Windows may call it plain text, which browsers do not run


def application(session: Session, secret: str) -> ASGIApp:
    """Return the application of one session; its addresses begin with the secret."""

    async def take(request: Request) -> Response:
        return await _answer(request, lambda data, name: views.show(session, session.read(data, name)))

    async def add(request: Request, role: score.Role) -> Response:
        return await _answer(request, lambda data, name: score.add(session, data, name, role))

    async def act(request: Request, action: Action) -> Response:
        return await _answer(request, lambda data, name: action(session, _parsed(action, data)))

    async def picture(request: Request) -> Response:
        return await _file(lambda: ("", views.preview(session.find(request.path_params["key"]).picture)), "image/png")

    async def file(request: Request) -> Response:
        key, chosen = request.path_params["key"], request.query_params.get("format")
        return await _file(lambda: views.saved(session.find(key), chosen), "application/octet-stream")

    async def progress(request: Request) -> Response:
        task, done, total = session.progress or ("", 0, 0)
        return JSONResponse({"task": task, "done": done, "total": total})

    async def stop(request: Request) -> Response:
        session.stop()
        return JSONResponse({})

    async def choices(request: Request) -> Response:
        return JSONResponse(await _in_thread(_models))

    routes = [
        Route("/pictures", take, methods=["POST"]),
        Route("/pictures/{key}", picture),
        Route("/files/{key}", file),
        *(Route(f"/add/{role}", partial(add, role=role), methods=["POST"]) for role in get_args(score.Role)),
        *(Route(f"/do/{name}", partial(act, action=action), methods=["POST"]) for name, action in ACTIONS.items()),
        Route("/progress", progress),
        Route("/stop", stop, methods=["POST"]),
        Route("/models", choices),
        Mount("/", StaticFiles(directory=PAGE, html=True)),
    ]
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    return Starlette(routes=[Mount(f"/{secret}", routes=routes)], middleware=[Middleware(_Headers), hosts])


class _Headers:
    """Middleware that adds `HEADERS` to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            await send(message)

        await self.app(scope, receive, add)


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_UPLOAD:
            raise UsageError(f"larger than {MAX_UPLOAD >> 30} GiB: use the command")
        parts.append(part)
    return b"".join(parts)


def _parsed(action: Callable[..., Any], body: bytes) -> Any:
    wanted = get_type_hints(action)["request"]
    try:
        return msgspec.json.decode(body, type=wanted)
    except msgspec.DecodeError as error:
        raise UsageError(f"this request was not understood: {error}") from error


async def _answer(request: Request, work: Callable[[bytes, str], dict[str, Any]]) -> Response:
    """Return what work gives for a body and the name of its file as JSON, or the line that a command would print."""
    try:
        data = await _body(request)
        return JSONResponse(plain(await _in_thread(lambda: work(data, request.query_params.get("name", "picture")))))
    except Exception as error:
        return _failed(error)


async def _file(work: Callable[[], tuple[str, bytes]], kind: str) -> Response:
    """Return the bytes of a file, to be saved if it has a name."""
    try:
        name, data = await _in_thread(work)
    except Exception as error:
        return _failed(error)
    saving = {"content-disposition": f"attachment; filename*=UTF-8''{quote(name)}"} if name else {}
    return Response(data, media_type=kind, headers=saving)


def _failed(error: Exception) -> Response:
    return JSONResponse({"error": reason(error)}, 400 if isinstance(error, VaetoolError) else 500)


async def _in_thread(work: Callable[[], Any]) -> Any:
    return await to_thread.run_sync(work, abandon_on_cancel=True)


def _models() -> dict[str, Any]:
    """Return the names of the models for each tab."""
    return {
        "inpaint": names_of(("mae",)),
        "denoise": names_of(("dae",)),
        "compress": names_of(("codec",)),
        "sample": names_of(kinds_with_pictures() + kinds_with_modalities()),
        "codes": names_of(kinds_with_codes()),
    }
