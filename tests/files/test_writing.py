"""Files are written whole or not at all: `vaetool.files.writing`."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import stat
import textwrap
import threading
from pathlib import Path

import pytest

from tests.files.helpers import names, touch
from vaetool.errors import AppearedError, FileError, StorageError
from vaetool.files import writing
from vaetool.files.writing import check_writable, write_atomically


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


@pytest.fixture(params=["unnamed", "hidden", "without hard links"])
def file_system(request, monkeypatch):
    """The file systems there are: with files that have no name, without those, and without hard links either."""
    if request.param != "unnamed":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    if request.param == "without hard links":

        def refused(*arguments, **options):
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refused)


def test_what_appears_meanwhile_is_kept_unless_it_is_to_be_replaced(here, file_system):
    write_atomically("a.png", b"first", replace=False)
    with pytest.raises(AppearedError, match=r"a\.png was created during the run"):
        write_atomically("a.png", b"second", replace=False)
    assert Path("a.png").read_bytes() == b"first"
    write_atomically("a.png", b"third")
    assert Path("a.png").read_bytes() == b"third"
    assert names(here) == ["a.png"]


def test_of_many_who_write_one_name_one_succeeds(here, file_system, request):
    if "without hard links" in request.node.name:
        pytest.skip("there, only those that are a moment apart are told apart")
    won = []

    def write(data: bytes) -> None:
        with contextlib.suppress(AppearedError):
            write_atomically("a.png", data, replace=False)
            won.append(data)

    threads = [threading.Thread(target=write, args=[bytes([k]) * 1000]) for k in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert Path("a.png").read_bytes() == won[0]
    assert names(here) == ["a.png"]


def test_a_link_that_appears_meanwhile_is_not_followed(here):
    Path("a.png").symlink_to("elsewhere.png")
    with pytest.raises(AppearedError):
        write_atomically("a.png", b"1", replace=False)
    assert names(here) == ["a.png"]


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="Linux")
def test_a_process_killed_while_it_writes_leaves_nothing(here, python):
    script = """
    import os, signal
    from vaetool.files.writing import write_atomically
    os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
    write_atomically("a.png", bytes(1000))
    """
    with python("-c", textwrap.dedent(script)) as process:
        process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert names(here) == []


def test_a_folder_that_takes_no_files_is_noticed_before_the_work(here, monkeypatch):
    check_writable("new/folder/a.png")
    assert names(here) == []
    touch("file")
    with pytest.raises(FileError, match=r"cannot write file/a\.png"):
        check_writable("file/a.png")

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing, "_unnamed_in", full)
    with pytest.raises(StorageError, match=r"cannot write a\.png: No space left"):
        check_writable("a.png")
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
