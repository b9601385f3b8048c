"""`vaetool ui` as a process: what it prints, and how it stops."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

from vaetool.cli import ui


def start(python, *arguments: object):
    """The process, and the address that it prints."""
    process = python("-m", "vaetool", "ui", "--no-browser", "--json", "--device", "cpu", *arguments)
    line = process.stdout.readline()
    assert line, process.communicate(timeout=60)[1].decode()
    return process, json.loads(line)["address"]


def post(address: str, data: bytes) -> dict:
    with urllib.request.urlopen(urllib.request.Request(address, data), timeout=60) as answer:
        return json.loads(answer.read())


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_prints_its_address_serves_and_stops(python, number, code):
    process, address = start(python)
    with urllib.request.urlopen(address, timeout=60) as answer:
        assert b"vaetool" in answer.read()
    process.send_signal(number)
    out, words = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, b"")
    first, last = words.decode().splitlines()
    assert first == f"{address}  Ctrl-C stops it"
    assert last == {130: "interrupted", 143: "stopped by SIGTERM"}[code]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_it_stops_in_the_middle_of_work(python, tmp_path):
    process, address = start(python)
    generator = np.random.default_rng(0)
    Image.fromarray(generator.integers(0, 256, (1500, 1500, 3), np.uint8)).save(tmp_path / "large.png")
    photo = post(f"{address}pictures?name=large.png", (tmp_path / "large.png").read_bytes())

    def work() -> None:
        with contextlib.suppress(OSError):  # it does not answer any more
            post(f"{address}do/denoise/clean", json.dumps({"picture": photo["id"]}).encode())

    asking = threading.Thread(target=work)
    asking.start()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{address}progress", timeout=60) as answer:
            if json.loads(answer.read())["total"]:
                break
        time.sleep(0.1)
    else:
        pytest.fail("the work did not begin")
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=60)
    asking.join(60)
    assert process.returncode == 130
    assert words.decode().splitlines()[-1] == "interrupted"
    assert "Traceback" not in words.decode()


def test_without_the_extra_it_says_what_to_install(vaetool, monkeypatch):
    monkeypatch.setattr(ui, "find_spec", lambda name: None)
    result = vaetool("ui")
    assert result.exit_code == 2
    assert result.stderr == "error: the page needs a small web server: pip install 'vaetool[ui]'\n"


def test_a_port_that_is_taken_is_a_usage_error(vaetool):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = vaetool("ui", "--no-browser", "--port", port)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: --port {port}: ")
    assert result.stderr.count("\n") == 1


def test_large_pictures_are_refused(python, photos):
    process, address = start(python, "--max-pixels", "100")
    with pytest.raises(urllib.error.HTTPError) as found:
        post(f"{address}pictures?name=flower.png", photos[1].read_bytes())
    with found.value as error:
        assert "flower.png: " in json.loads(error.read())["error"]
    process.terminate()
    process.communicate(timeout=60)
