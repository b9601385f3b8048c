"""Files are written whole or not at all: `vaetool.files.writing`."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from tests.files.helpers import names, touch
from vaetool.errors import FileError
from vaetool.files.writing import write_atomically


def test_a_written_file_has_the_mode_of_the_umask_or_of_the_file_it_replaces(here):
    before = os.umask(0o027)
    try:
        write_atomically("new/folder/a.bin", b"1")
    finally:
        os.umask(before)
    touch("old.bin")
    Path("old.bin").chmod(0o604)
    write_atomically("old.bin", b"2")
    modes = [stat.S_IMODE(Path(name).stat().st_mode) for name in ("new/folder/a.bin", "old.bin")]
    assert modes == [0o640, 0o604]


def test_a_name_of_the_greatest_length_can_be_written(here):
    name = "n" * 255
    write_atomically(name, b"1")
    assert Path(name).read_bytes() == b"1"


def test_a_link_stays_a_link(here):
    touch("target.bin")
    Path("link.bin").symlink_to("target.bin")
    write_atomically("link.bin", b"new")
    assert Path("link.bin").is_symlink()
    assert Path("target.bin").read_bytes() == b"new"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_written_to_and_stays_a_pipe(here):
    os.mkfifo("pipe")
    received = []
    reader = threading.Thread(target=lambda: received.append(Path("pipe").read_bytes()))
    reader.start()
    write_atomically("pipe", b"through")
    reader.join()
    assert received == [b"through"]
    assert Path("pipe").is_fifo()


def test_a_failed_write_is_one_line_and_leaves_nothing(here):
    touch("file")
    with pytest.raises(
        FileError, match=r"cannot write file/a.png: Not a directory|cannot write file/a.png: File exists"
    ):
        write_atomically("file/a.png", b"1")
    assert names(here) == ["file"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_write_leaves_the_old_file_and_no_other(here, monkeypatch, stop):
    touch("a.png", data=b"old")

    def interrupted(self, target):
        raise stop

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises((KeyboardInterrupt, FileError)):
        write_atomically("a.png", b"new")
    assert names(here) == ["a.png"]
    assert Path("a.png").read_bytes() == b"old"
