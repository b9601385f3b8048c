"""What one run of the page keeps."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from vaetool.errors import ImageError, UsageError
from vaetool.images import Picture
from vaetool.progress import tracked
from vaetool.ui import session as sessions
from vaetool.ui.session import Item, Session, StoppedError


def test_what_is_kept_is_found(session):
    key = session.keep(Item("a.vae", b"123"))
    assert session.find(key).content == b"123"
    with pytest.raises(UsageError, match=r"a\.vae is not a picture"):
        _ = session.find(key).picture
    with pytest.raises(UsageError, match="no longer kept"):
        session.find("another")


def test_what_was_not_used_for_longest_is_dropped(session, monkeypatch):
    monkeypatch.setattr(sessions, "KEPT_BYTES", 5 * 300)
    keys = [session.keep(Item(f"{k}.png", Picture(np.zeros((10, 10, 3), np.uint8)))) for k in range(5)]
    session.find(keys[0])
    session.keep(Item("6.png", Picture(np.zeros((10, 10, 3), np.uint8))))
    assert session.find(keys[0]).name == "0.png"
    with pytest.raises(UsageError):
        session.find(keys[1])


def test_the_last_ones_are_kept_however_large(session, monkeypatch):
    monkeypatch.setattr(sessions, "KEPT_BYTES", 1)
    keys = [session.keep(Item(f"{k}.png", Picture(np.zeros((10, 10, 3), np.uint8)))) for k in range(5)]
    assert [session.find(key).name for key in keys[1:]] == ["1.png", "2.png", "3.png", "4.png"]


def test_large_pictures_are_refused_by_name(photos):
    with Session("cpu", max_pixels=1000) as session, pytest.raises(ImageError, match=r"^flower\.png: .*1,?000"):
        session.read(photos[1].read_bytes(), "flower.png")


def test_progress_is_known_and_work_can_be_stopped(session):
    seen, begun, looked = [], threading.Event(), threading.Event()

    def work():
        with session.working():
            for _ in tracked(range(3), "counting"):
                begun.set()
                looked.wait(10)

    def work_that_stops():
        with pytest.raises(StoppedError, match="stopped"):
            work()
        seen.append("stopped")

    thread = threading.Thread(target=work_that_stops)
    thread.start()
    assert begun.wait(10)
    seen.append(session.progress)
    session.stop()
    looked.set()
    thread.join(10)
    assert seen == [("counting", 0, 3), "stopped"]
    assert session.progress is None
    with session.working():
        assert list(tracked(range(2), "after a stop")) == [0, 1]


def test_the_folder_is_removed_at_the_end():
    with Session("cpu") as session:
        assert session.folder.is_dir()
    assert not session.folder.exists()
