"""Files at URLs: how they are found, what results are called there, and how they are written."""

from __future__ import annotations

import sys
from pathlib import Path, PurePosixPath

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tests.files.helpers import DENOISED, PNG, planned, sources
from vaetool.errors import AppearedError, FileError, StorageError, UsageError
from vaetool.files.inputs import expand
from vaetool.files.planning import plan
from vaetool.files.remote import Download, Remote, location
from vaetool.files.writing import write_atomically


class Renaming(MemoryFileSystem):
    """A file system where a file is seen while it is written, as on a server of SFTP."""

    protocol = "renaming"
    store: dict = {}  # noqa: RUF012 - as in the class above
    pseudo_dirs = [""]  # noqa: RUF012
    broken = False

    def pipe_file(self, path, value, mode="overwrite", **options):
        if self.broken:
            super().pipe_file(path, value[:3], mode)
            raise ConnectionResetError("connection lost\nin the middle")
        super().pipe_file(path, value, mode)


class Locked(MemoryFileSystem):
    """A file system without any permission."""

    protocol = "locked"

    def ls(self, path, detail=True, **options):
        raise PermissionError(path)

    info = cat_file = pipe_file = ls


for _system in (Renaming, Locked):
    fsspec.register_implementation(_system.protocol, _system, clobber=True)


@pytest.fixture
def memory():
    """An empty file system in memory: `memory://`."""
    system = fsspec.filesystem("memory")
    for store in (MemoryFileSystem, Renaming):
        store.store.clear()
        store.pseudo_dirs[:] = [""]
    yield system
    system.store.clear()


def put(system, *names: str, data: bytes = PNG) -> None:
    for name in names:
        system.pipe_file(name, data)


# Names


def test_a_url_has_the_parts_of_a_path():
    url = Remote("s3://bucket/a/photo.night.jpg")
    assert (url.name, url.stem, url.suffix) == ("photo.night.jpg", "photo.night", ".jpg")
    assert url.parent == Remote("s3://bucket/a/")
    assert url.with_name("x.png") == url.parent / PurePosixPath("x.png") == Remote("s3://bucket/a/x.png")
    assert Remote("memory://x.png").parent == Remote("memory://")


@pytest.mark.parametrize("name", ["photo.png", "a/b.png", "c:/b.png", "c:\\b.png", "./x://y"])
def test_what_is_no_url_is_a_path(name):
    assert location(name) == Path(name)


@pytest.mark.parametrize("protocol", ["file", "FILE", "local"])
def test_a_url_of_the_local_disk_is_a_path(protocol, tmp_path):
    assert location(f"{protocol}://{tmp_path.as_posix()}/x.png") == tmp_path / "x.png"


# Inputs


def test_a_folder_gives_its_files_in_the_order_of_a_local_one(memory):
    put(memory, "/in/b.png", "/in/a.jpg", "/in/a/z.png", "/in/notes.txt", "/in/.hidden.png", "/in/.dir/x.png")
    assert sources("memory://in") == ["memory://in/a.jpg", "memory://in/b.png"]
    assert sources("memory://in/", recursive=True) == ["memory://in/a.jpg", "memory://in/b.png", "memory://in/a/z.png"]


def test_a_pattern_and_a_file_are_found(memory):
    put(memory, "/in/b.png", "/in/a.png", "/in/.c.png", "/in/what[1].png")
    assert sources("memory://in/?.png") == ["memory://in/a.png", "memory://in/b.png"]
    assert sources("memory://in/what[1].png") == ["memory://in/what[1].png"]


def test_a_pattern_can_match_folders(memory):
    put(memory, "/in/1/a.png", "/in/2/a.png")
    assert sources("memory://in/*") == ["memory://in/1/a.png", "memory://in/2/a.png"]


@pytest.mark.parametrize(
    ("url", "problem"),
    [("memory://in/no.png", "no such file or folder"), ("memory://in/no*.png", "no file matches this pattern")],
)
def test_what_is_missing_fails_alone(memory, url, problem):
    put(memory, "/in/a.png")
    entries = expand(["memory://in/a.png", url]).entries
    assert [entry.problem for entry in entries] == [None, problem]


def test_a_folder_without_pictures_is_an_error(memory):
    put(memory, "/in/a.txt", "/in/b.nef")
    with pytest.raises(UsageError, match=r"no images in memory://in; -r looks .* 1 camera raw \(memory://in/b.nef"):
        expand(["memory://in"])


def test_a_folder_of_results_is_not_searched(memory):
    put(memory, "/in/a.png", "/in/out/a.png", "/in/outer/a.png")
    found = expand(["memory://in"], recursive=True, leave_out=[location("memory://in/out/")])
    assert [str(entry.source) for entry in found.entries] == ["memory://in/a.png", "memory://in/outer/a.png"]


def test_files_of_a_list_are_not_looked_for_one_by_one(memory, here, monkeypatch):
    put(memory, "/list.txt", data=b"memory://in/a.png\nmemory://in/b.png\n")
    monkeypatch.setattr(MemoryFileSystem, "info", lambda *_: pytest.fail("asked"))
    assert sources(files_from="memory://list.txt") == ["memory://in/a.png", "memory://in/b.png"]


def test_a_file_is_read_with_its_name(memory):
    put(memory, "/in/a.png")
    download = Remote("memory://in/a.png").read_bytes()
    assert isinstance(download, Download)
    assert (download, download.source.stem) == (PNG, "a")


# Results


def test_results_lie_beside_urls_or_in_a_folder(memory):
    put(memory, "/in/a.png", "/in/b/c.jpg")
    assert planned("memory://in/a.png") == {"memory://in/a.png": "memory://in/a.denoised.png"}
    inputs = expand(["memory://in"], recursive=True)
    jobs = plan(inputs, "memory://out/", DENOISED)
    assert [str(job.output) for job in jobs] == ["memory://out/a.png", "memory://out/b/c.jpg"]
    assert [str(job.output) for job in plan(inputs, "local", DENOISED)] == [
        str(Path("local/a.png")),
        str(Path("local/b/c.jpg")),
    ]


def test_one_local_file_goes_to_a_url(memory, here):
    Path("a.png").write_bytes(PNG)
    assert planned("a.png", output="memory://out/x.png") == {"a.png": "memory://out/x.png"}
    assert planned("a.png", output="memory://out/") == {"a.png": "memory://out/a.png"}


def test_results_that_exist_are_an_error_kept_or_replaced(memory):
    put(memory, "/in/a.png", "/in/b.png", "/out/b.png")
    inputs = expand(["memory://in"])
    with pytest.raises(UsageError, match=r"memory://out/b.png exists: --force replaces, --skip-existing"):
        plan(inputs, "memory://out/", DENOISED)
    assert [job.skip for job in plan(inputs, "memory://out/", DENOISED, skip_existing=True)] == [False, True]
    assert [job.skip for job in plan(inputs, "memory://out/", DENOISED, force=True)] == [False, False]


def test_a_folder_of_results_is_listed_once(memory, monkeypatch):
    put(memory, *(f"/in/{k}.png" for k in range(9)), "/out/3.png")
    inputs = expand(["memory://in"])
    monkeypatch.setattr(MemoryFileSystem, "info", lambda *_: pytest.fail("asked"))
    jobs = plan(inputs, "memory://out/", DENOISED, skip_existing=True)
    assert [str(job.output) for job in jobs if job.skip] == ["memory://out/3.png"]


def test_a_result_never_replaces_an_input(memory):
    put(memory, "/in/a.png", "/in/b.png")
    with pytest.raises(UsageError, match=r"memory://in/a.png is an input"):
        plan(expand(["memory://in"]), "memory://in/", DENOISED, force=True)


@pytest.mark.parametrize("protocol", ["memory", "renaming"])
def test_a_result_is_written_whole_and_replaces_another_only_if_asked(memory, protocol):
    system, result = fsspec.filesystem(protocol), Remote(f"{protocol}://out/a.png")
    write_atomically(result, b"first", replace=False)
    with pytest.raises(AppearedError, match=r"a.png was created during the run"):
        write_atomically(result, b"second", replace=False)
    assert result.read_bytes() == b"first"
    write_atomically(result, b"third")
    assert result.read_bytes() == b"third"
    assert [Path(name).name for name in type(system).store] == ["a.png"]


def test_of_an_upload_that_is_cut_off_nothing_is_seen(memory, monkeypatch):
    monkeypatch.setattr(Renaming, "broken", True)
    with pytest.raises(FileError, match=r"^cannot write renaming://out/a.png: connection lost$"):
        write_atomically(Remote("renaming://out/a.png"), b"whole")
    assert not Renaming.store


def test_no_permission_is_said_in_a_line_and_ends_a_run_where_results_go():
    url = Remote("locked://bucket/a.png")
    assert expand(["locked://bucket/"]).entries[0].problem == "cannot be listed: permission denied"
    with pytest.raises(FileError, match=r"^cannot be read: permission denied$"):
        url.read_bytes()
    with pytest.raises(StorageError, match=r"^cannot write locked://bucket/a.png: permission denied$"):
        write_atomically(url, PNG)


def test_an_unknown_protocol_and_a_missing_package_are_named(monkeypatch):
    with pytest.raises(UsageError, match=r"^what://a.png: Protocol not known: what$"):
        expand(["what://a.png"])
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(UsageError, match=r"^gs://a/b.png: .*install gcsfs"):
        expand(["gs://a/b.png"])
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(UsageError, match=r"pip install 'vaetool\[remote\]'$"):
        expand(["s3://a/b.png"])
