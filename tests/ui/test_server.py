"""The server of the page, asked over a real connection."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import pytest

from vaetool.errors import UsageError
from vaetool.ui import app, server
from vaetool.ui.app import PAGE
from vaetool.ui.server import HOST, serving
from vaetool.ui.session import Session


@pytest.fixture
def address(session):
    with serving(session) as address:
        yield address


def ask(address: str, data: bytes | None = None, **headers: str) -> tuple[int, Any, bytes]:
    """Status, headers and body of an answer."""
    request = urllib.request.Request(address, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def asked(address: str, data: bytes | dict[str, Any]) -> dict[str, Any]:
    """The answer to an action or an upload that succeeds."""
    status, _, body = ask(address, data if isinstance(data, bytes) else json.dumps(data).encode())
    assert status == 200, body
    return json.loads(body)


def refused(address: str, data: bytes) -> str:
    """The line that says why it does not succeed."""
    status, _, body = ask(address, data)
    assert status == 400, body
    return json.loads(body)["error"]


# A picture in, its result out


def test_a_photo_is_opened_filled_shown_and_saved(address, photos):
    photo = asked(f"{address}pictures?name=f%C3%BCnf%20%26.png", photos[1].read_bytes())
    assert (photo["name"], photo["width"], photo["height"]) == ("fünf &.png", 160, 107)
    mark = {"points": [[10, 10], [30, 20]], "radius": 4}
    found = asked(f"{address}do/inpaint/fill", {"picture": photo["id"], "marks": [mark]})
    status, headers, shown = ask(f"{address}pictures/{found['id']}")
    assert (status, headers["content-type"], shown[:4]) == (200, "image/png", b"\x89PNG")
    status, headers, saved = ask(f"{address}files/{found['id']}?format=PNG")
    assert headers["content-disposition"] == "attachment; filename*=UTF-8''f%C3%BCnf%20%26.inpainted.png"
    assert saved[:4] == b"\x89PNG"
    assert json.loads(ask(f"{address}progress")[2]) == {"task": "", "done": 0, "total": 0}
    assert "photo-codec" in json.loads(ask(f"{address}models")[2])["compress"]


def test_errors_are_the_line_that_the_command_would_print(address, photos):
    assert refused(f"{address}pictures?name=notes.txt", b"no").startswith("notes.txt: not a readable image")
    assert "no longer kept" in refused(f"{address}do/denoise/clean", b'{"picture": "gone"}')
    assert "no longer kept" in json.loads(ask(f"{address}files/gone")[2])["error"]
    for body in (b"no json", b"{}", b'{"picture": 3}'):
        assert refused(f"{address}do/denoise/clean", body).startswith("this request was not understood")
    photo = asked(f"{address}pictures?name=a.png", photos[1].read_bytes())
    request = json.dumps({"picture": photo["id"], "model": "photo-denoiser"}).encode()
    assert "photo-denoise" in refused(f"{address}do/denoise/clean", request)


def test_what_nobody_foresaw_is_named_as_such(address, monkeypatch, session):
    monkeypatch.setattr(session, "find", lambda key: 1 / 0)
    status, _, body = ask(f"{address}do/denoise/clean", b'{"picture": "x"}')
    assert status == 500
    assert json.loads(body)["error"].startswith("internal error: ZeroDivisionError")


def test_a_file_that_is_too_large_is_refused(address, monkeypatch):
    monkeypatch.setattr(app, "MAX_UPLOAD", 100)
    assert "larger than" in refused(f"{address}pictures?name=a.png", bytes(101))


# Who can reach it


def test_nothing_is_there_without_the_secret(address):
    parts = urlsplit(address)
    assert len(parts.path) > 16
    for path in ("/", "/index.html", "/wrong/", f"{parts.path[:-2]}/"):
        assert ask(f"http://{parts.netloc}{path}")[0] == 404


def test_only_this_machine_is_served_by_its_own_name(address):
    parts = urlsplit(address)
    assert parts.hostname == HOST == "127.0.0.1"
    assert ask(address, Host="evil.example")[0] == 400


def test_the_page_may_load_nothing_from_elsewhere_and_names_nothing(address):
    status, headers, body = ask(address)
    assert status == 200
    assert headers["content-security-policy"].startswith("default-src 'self'; img-src 'self' data: blob:;")
    assert b"Inpaint" in body
    texts = [path.read_text(encoding="utf-8") for path in PAGE.iterdir()]
    addresses = {found for text in texts for found in re.findall(r"\w+://[^\s\"'<>]+", text)}
    assert addresses == {"http://www.w3.org/2000/svg"}


def test_it_ends_without_a_word_although_work_goes_on(session, monkeypatch, capfd):
    begun, ended = threading.Event(), threading.Event()

    def work(key: str) -> None:
        begun.set()
        ended.wait(60)
        raise UsageError("too late")

    monkeypatch.setattr(session, "find", work)

    def request(address: str) -> None:
        with contextlib.suppress(OSError):
            ask(f"{address}do/denoise/clean", b'{"picture": "x"}')

    with serving(session) as address:
        asking = threading.Thread(target=request, args=(address,))
        asking.start()
        assert begun.wait(60)
        since = time.monotonic()
    assert time.monotonic() - since < 20
    asking.join(60)
    ended.set()
    assert capfd.readouterr() == ("", "")


# Ports


def test_the_usual_port_is_used_or_a_free_one(session, monkeypatch):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        usual = taken.getsockname()[1]
        monkeypatch.setattr(server, "PORT", usual)
        taken.listen()
        with serving(session) as address:
            assert urlsplit(address).port != usual
            assert ask(address)[0] == 200
    with serving(session) as address:
        assert urlsplit(address).port == usual


def test_a_port_that_was_asked_for_and_is_taken_is_an_error(session):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"--port {port}: "), serving(session, port):
            pass


def test_the_port_is_free_again_at_the_end(session):
    with serving(session) as address:
        port = urlsplit(address).port
    with Session("cpu") as other, serving(other, port) as again:
        assert urlsplit(again).port == port
