"""Commands whose inputs and results are at URLs: in memory, and on a server that speaks S3 with real processes."""

from __future__ import annotations

import json
import uuid

import fsspec
import pytest

from vaetool.files.remote import Remote


@pytest.fixture
def memory(photos):
    """A file system in memory with china.jpg, flower.png and sub/grey.png in `memory://in`."""
    system = fsspec.filesystem("memory")
    china, flower, grey = photos
    for name, path in {"china.jpg": china, "flower.png": flower, "sub/grey.png": grey}.items():
        system.pipe_file(f"/in/{name}", path.read_bytes())
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


@pytest.fixture(scope="module")
def server():
    """The address of a server that speaks S3."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    pytest.importorskip("s3fs")
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def bucket(server, photos, monkeypatch):
    """The name of a new bucket, china.jpg and flower.png in its folder `in`."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    system, name = fsspec.filesystem("s3", use_listings_cache=False), f"pictures-{uuid.uuid4()}"
    system.mkdir(name)
    for path in photos[:2]:
        system.pipe_file(f"{name}/in/{path.name}", path.read_bytes())
    return name


def test_a_remote_folder_becomes_another_one_as_a_local_one_does(vaetool, memory, photos, tiny_dae, tmp_path):
    there = vaetool("denoise", "memory://in", "-r", "-o", "memory://out/", "-m", tiny_dae, "--sigma", 9)
    here = vaetool("denoise", *photos, "-o", tmp_path / "out", "-m", tiny_dae, "--sigma", 9)
    assert (there.exit_code, here.exit_code, there.stderr) == (0, 0, "3 done\n")
    for name, path in {"china.jpg": "china.jpg", "flower.png": "flower.png", "sub/grey.png": "grey.png"}.items():
        assert memory.cat_file(f"/out/{name}") == (tmp_path / "out" / path).read_bytes()


def test_a_remote_run_goes_on_where_it_was_stopped(vaetool, memory, tiny_dae):
    command = ["denoise", "memory://in", "-o", "memory://out/", "-m", tiny_dae]
    assert vaetool(*command).exit_code == 0
    again = vaetool(*command)
    assert (again.exit_code, again.stderr.count("exists (and 1 more): --force replaces")) == (2, 1)
    memory.rm_file("/out/china.jpg")
    assert vaetool(*command, "--skip-existing").stderr.endswith("1 done, 1 skipped\n")


def test_a_damaged_and_a_missing_remote_file_fail_alone(vaetool, memory, tiny_dae):
    memory.pipe_file("/in/broken.png", b"\x89PNG not really")
    result = vaetool("denoise", "memory://in", "memory://no.png", "-o", "memory://out/", "-m", tiny_dae, "--json")
    records = {record["path"]: record for record in map(json.loads, result.stdout.splitlines())}
    assert result.exit_code == 1
    assert records["memory://in/flower.png"]["output"] == "memory://out/flower.png"
    assert records["memory://in/broken.png"]["error"].startswith("not a readable image")
    assert records["memory://no.png"]["error"] == "no such file or folder"


def test_a_picture_is_compressed_and_decompressed_at_urls(vaetool, memory, tiny_codec, monkeypatch):
    monkeypatch.setenv("VAETOOL_MODELS", str(tiny_codec.parent))
    compressed = vaetool("compress", "memory://in/flower.png", "-m", tiny_codec)
    assert (compressed.exit_code, "flower.png → memory://in/flower.vae" in compressed.stderr) == (0, True)
    back = vaetool("decompress", "memory://in/*.vae", "-o", "memory://back/")
    assert (back.exit_code, memory.find("/back")) == (0, ["/back/flower.png"])


def test_masks_of_a_folder_are_found_for_remote_pictures(vaetool, memory, tiny_mae, photographs, tmp_path):
    (tmp_path / "masks").mkdir()
    photographs["flower"].convert("L").point(lambda value: 255 * (value > 200)).save(tmp_path / "masks/flower.png")
    command = ["inpaint", "memory://in", "--mask", tmp_path / "masks", "-o", "memory://out/", "-m", tiny_mae]
    result = vaetool(*command, "--no-texture")
    assert memory.find("/out") == ["/out/flower.png"]
    assert "memory://in/china.jpg: no mask in" in result.stderr


def test_remote_pictures_are_scored_with_heatmaps_at_urls(vaetool, memory, finder):
    result = vaetool("score", "memory://in", "-m", finder, "--heatmap", "memory://maps/", "--json")
    assert result.exit_code == 0
    assert [json.loads(line)["path"] for line in result.stdout.splitlines()] == [
        "memory://in/china.jpg",
        "memory://in/flower.png",
    ]
    assert memory.find("/maps") == ["/maps/china.png", "/maps/flower.png"]


def test_other_results_and_files_at_urls_are_refused(vaetool, memory, photos):
    for option in ("--report", "--save", "--labels"):
        result = vaetool("score", photos[0], "--good", photos[0].parent, option, "s3://bucket/file")
        assert (result.exit_code, result.stderr.count("s3://...: URLs are for inputs and results of denoise")) == (2, 1)
    assert not (photos[0].parent / "s3:").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["sample", "-o", "s3://bucket/x.png"],
        ["compare", "s3://bucket/a.png", "b.png"],
        ["info", "s3://bucket/a.vae"],
        ["train", "ae", "s3://bucket/in/", "-o", "x.safetensors"],
        ["morph", "a.png", "s3://bucket/b.png", "-o", "x.gif"],
    ],
)
def test_other_commands_refuse_urls(vaetool, arguments):
    result = vaetool(*arguments)
    assert (result.exit_code, result.stderr.count("s3://...: URLs are for inputs and results of denoise")) == (2, 1)


def test_neither_fsspec_nor_ray_is_imported_where_there_is_no_url(python, photos, tiny_dae, tmp_path):
    code = (
        "import sys; from vaetool.cli import main; code = main(sys.argv[1:]); "
        "sys.exit(code or sorted({'fsspec', 'ray', 's3fs', 'aiohttp'} & set(sys.modules)) or 0)"
    )
    process = python("-c", code, "compress", photos[0], "--dry-run")
    assert (process.communicate(timeout=60)[1], process.returncode) == (b"", 0)


def test_a_bucket_is_worked_through(bucket, vaetool, tiny_dae):
    system, url = fsspec.filesystem("s3", use_listings_cache=False), f"s3://{bucket}"
    command = ["denoise", f"{url}/in", "-m", tiny_dae, "-j", 2, "--skip-existing", "-o"]
    first = vaetool(*command, f"{url}/out/")
    assert (first.exit_code, first.stderr.splitlines()[-1]) == (0, "2 done")
    assert system.find(f"{bucket}/out") == [f"{bucket}/out/china.jpg", f"{bucket}/out/flower.png"]
    system.pipe_file(f"{bucket}/out/flower.png", b"kept")
    assert vaetool(*command, f"{url}/out/").stderr == "0 done, 2 skipped\n"
    assert system.cat_file(f"{bucket}/out/flower.png") == b"kept"


def test_without_a_bucket_for_results_a_run_ends_at_once(bucket, vaetool, tiny_dae):
    result = vaetool("denoise", f"s3://{bucket}/in", "-m", tiny_dae, "-o", "s3://no-such-bucket/out/")
    words = "cannot write s3://no-such-bucket/out/china.jpg: there is no such place"
    assert (result.exit_code, words in result.stderr, "1 not finished" in result.stderr) == (1, True, True)


def test_of_two_that_write_one_object_the_first_wins(bucket):
    target = Remote(f"s3://{bucket}/out/one.png")
    assert [target.publish(data, replace=False) for data in (b"first", b"second")] == [True, False]
    assert target.read_bytes() == b"first"


@pytest.mark.slow
def test_a_real_process_reads_and_writes_a_bucket(bucket, vaetool_process, tiny_dae):
    command = ["denoise", f"s3://{bucket}/in", "-m", tiny_dae, "-o", f"s3://{bucket}/out/"]
    result = vaetool_process(*command)
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (0, "2 done")
