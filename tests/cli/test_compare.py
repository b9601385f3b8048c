"""`vaetool compare` as a command: lines, means, difference pictures, what fails."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import vaetool as package
from vaetool import images
from vaetool.compression.encode import compress


@pytest.fixture
def here(tmp_path, photographs, tiny_codec, monkeypatch) -> Path:
    """The current folder: originals `ref/large.png`, `ref/small.png` and `ref/deep/grey.png`, and in `out` a JPEG, the
    same file, and a .vae file of them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAETOOL_MODELS", str(tiny_codec.parent))
    for folder in ("ref/deep", "out/deep"):
        Path(folder).mkdir(parents=True)
    china = photographs["china"]
    large, grey = china.resize((240, 200)), photographs["flower"].convert("L")
    large.save("ref/large.png")
    large.save("out/large.jpg", quality=50)
    china.save("ref/small.png")
    shutil.copy("ref/small.png", "out/small.png")
    grey.save("ref/deep/grey.png", icc_profile=None)
    Path("out/deep/grey.vae").write_bytes(compress(grey, package.load(tiny_codec, device="cpu"), quality=40))
    return tmp_path


def rows(result) -> list[list[str]]:
    return [line.split("\t") for line in result.stdout.splitlines()]


def records(result) -> list[dict]:
    return [json.loads(line) for line in result.stdout.splitlines()]


# Lines


def test_a_line_has_the_figures_of_the_library(here, vaetool):
    result = vaetool("compare", "out/large.jpg", "ref/large.png")
    assert (result.exit_code, result.stderr) == (0, "")
    found, size = package.compare("out/large.jpg", "ref/large.png"), Path("out/large.jpg").stat().st_size
    figures = [f"{found.psnr:.2f}", f"{found.ssim:.4f}", f"{found.ms_ssim:.4f}", str(found.max_difference)]
    assert rows(result) == [[*figures, str(size), f"{8 * size / (240 * 200):.3f}", "out/large.jpg"]]


def test_equal_pictures_are_said_to_be_identical(here, vaetool):
    [row] = rows(vaetool("compare", "out/small.png", "ref/small.png"))
    assert row[:4] == ["identical", "1.0000", "—", "0"]
    [told] = records(vaetool("compare", "out/small.png", "ref/small.png", "--json"))
    assert (told["psnr"], told["identical"], told["ms_ssim"]) == (None, True, None)


def test_json_has_all_figures(here, vaetool):
    [told] = records(vaetool("compare", "out/large.jpg", "ref/large.png", "--json"))
    found = package.compare("out/large.jpg", "ref/large.png")
    size = Path("out/large.jpg").stat().st_size
    assert told == {
        "path": "out/large.jpg",
        "reference": "ref/large.png",
        **vars(found),
        "in_bytes": size,
        "bpp": round(8 * size / 48000, 4),
    }


def test_a_compressed_picture_is_decoded_on_the_way(here, vaetool):
    [told] = records(vaetool("compare", "out/deep/grey.vae", "ref/deep/grey.png", "--json"))
    decoded = package.decompress("out/deep/grey.vae")
    assert told["psnr"] == package.compare(decoded, "ref/deep/grey.png").psnr
    assert told["in_bytes"] == Path("out/deep/grey.vae").stat().st_size
    assert vaetool("compare", "ref/deep/grey.png", "out/deep/grey.vae").exit_code == 0


def test_a_codec_can_be_named_by_its_file(here, vaetool, tiny_codec, monkeypatch):
    monkeypatch.setenv("VAETOOL_MODELS", str(here))
    result = vaetool("compare", "out/deep/grey.vae", "ref/deep/grey.png")
    assert result.exit_code == 1
    assert "-m FILE" in result.stderr
    assert vaetool("compare", "out/deep/grey.vae", "ref/deep/grey.png", "-m", tiny_codec).exit_code == 0


def test_the_result_can_come_from_standard_input(here, vaetool):
    data = Path("out/large.jpg").read_bytes()
    piped = rows(vaetool("compare", "-", "ref/large.png", stdin=data))
    assert [row[:-1] for row in piped] == [
        row[:-1] for row in rows(vaetool("compare", "out/large.jpg", "ref/large.png"))
    ]
    assert piped[0][-1] == "-"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
def test_both_can_be_pipes(here, vaetool_process):
    pipes = []
    for name in ("out/deep/grey.vae", "ref/deep/grey.png"):
        reader, writer = os.pipe()
        os.write(writer, Path(name).read_bytes())  # small enough to wait in the pipe
        os.close(writer)
        pipes.append(reader)
    result = vaetool_process("compare", *(f"/dev/fd/{pipe}" for pipe in pipes), pass_fds=pipes)
    for pipe in pipes:
        os.close(pipe)
    assert [row[:-1] for row in rows(result)] == [
        row[:-1] for row in rows(vaetool_process("compare", "out/deep/grey.vae", "ref/deep/grey.png"))
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX terminals")
def test_on_a_terminal_it_is_a_table(here, python):
    import pty

    ours, theirs = pty.openpty()
    with python("-m", "vaetool", "compare", "out", "ref", stdout=theirs) as process:
        process.communicate(timeout=120)
    os.close(theirs)
    lines = os.read(ours, 10_000).decode().splitlines()
    os.close(ours)
    assert lines[0].split("  ")[-1] == "file"
    assert [line.split()[-1] for line in lines[1:]] == ["out/large.jpg", "out/small.png", "2"]
    assert len({line.index(end) for line, end in zip(lines, ("file", "out/", "out/", "mean of"), strict=True)}) == 1


# Folders


def test_folders_are_paired_by_name_and_their_means_come_last(here, vaetool):
    result = vaetool("compare", "out", "ref", "-r", "-j", "2")
    assert result.exit_code == 0
    *lines, last = rows(result)
    assert [row[-1] for row in lines] == ["out/large.jpg", "out/small.png", "out/deep/grey.vae"]
    assert last[-1] == "mean of 3"
    assert result.stderr.splitlines() == [
        "the mean PSNR is over 2 of 3 pairs: the others do not differ",
        "the mean MS-SSIM is over 1 of 3 pairs: the others are too small",
        "3 done",
    ]


def test_means_are_of_what_is_known(here, vaetool):
    *told, last = records(vaetool("compare", "out", "ref", "-r", "--json"))
    means = last["mean"]
    assert (means["pairs"], means["identical"]) == (3, False)
    for name in ("psnr", "ssim", "ms_ssim", "max_difference", "in_bytes", "bpp"):
        known = [each[name] for each in told if each[name] is not None]
        assert means[name] == pytest.approx(np.mean(known))


def test_the_mean_of_identical_pictures_is_identical(here, vaetool):
    shutil.copytree("ref", "copy")
    result = vaetool("compare", "copy", "ref", "-r")
    assert [row[0] for row in rows(result)] == ["identical"] * 4
    assert result.stderr == "the mean MS-SSIM is over 1 of 3 pairs: the others are too small\n3 done\n"


def test_differences_of_8_and_of_16_bits_have_no_mean(here, vaetool):
    grey = np.asarray(Image.open("ref/deep/grey.png")).astype(np.uint16) * 257
    Image.fromarray(grey).save("ref/deep/grey.png")
    *told, last = records(vaetool("compare", "out", "ref", "-r", "--json"))
    assert [each["peak"] for each in told] == [255, 255, 65535]
    assert last["mean"]["max_difference"] is None


def test_what_has_no_partner_is_named_and_fails(here, vaetool):
    shutil.move("out/small.png", "out/other.png")
    result = vaetool("compare", "out", "ref", "-r", "--json")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "out/other.png: has no partner in ref",
        "ref/small.png: has no partner in out",
        "the mean MS-SSIM is over 1 of 2 pairs: the others are too small",
        "2 done, 2 failed",
    ]
    assert [each["path"] for each in records(result) if "error" in each] == ["out/other.png", "ref/small.png"]


# What fails


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["out/small.png", "ref/large.png"], "out/small.png: is 160 x 107 pixels but its reference is 240 x 200"),
        (["gone.png", "ref/large.png"], "gone.png: No such file"),
        (["out/large.jpg", "gone.png"], "out/large.jpg: its reference gone.png: No such file"),
        (["notes.txt", "ref/large.png"], "notes.txt: not a readable image"),
        (["out/large.jpg", "notes.txt"], "out/large.jpg: its reference notes.txt: not a readable image"),
        (["out/deep/cut.vae", "ref/deep/grey.png"], "out/deep/cut.vae: "),
        (["out/large.jpg", "ref/large.png", "--max-pixels", "1000"], "--max-pixels"),
        (["moving.png", "moving.png"], "moving.png: is animated, with 2 frames"),
        (["stack.tif", "ref/small.png"], "stack.tif: has 2 pages but its reference has 1"),
        (["stack.tif", "stack.tif", "--difference", "d.png"], "stack.tif: has 2 pages, and PNG holds one"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_file_that_fails_is_one_line_and_exit_code_one(here, vaetool, arguments, message):
    Path("notes.txt").write_text("Dear diary")
    for name in ("moving.png", "stack.tif"):
        Image.new("L", (9, 9)).save(name, save_all=True, append_images=[Image.new("L", (9, 9), 9)])
    Path("out/deep/cut.vae").write_bytes(Path("out/deep/grey.vae").read_bytes()[:60])
    result = vaetool("compare", *arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert message in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["out"], "Missing argument 'B'"),
        (["out", "ref/large.png"], "name two files or two folders"),
        (["out/large.jpg", "-"], "only the first of two files can be standard input"),
        (["out", "ref", "--difference", "-"], "give --difference a file or a folder"),
        (["out/large.jpg", "ref/large.png", "--difference", "d.jpg"], "d.jpg: the difference is a .png or .tif file"),
        (["out/large.jpg", "ref/large.png", "--difference", "out/small.png"], "out/small.png exists: --force replaces"),
        (["out/large.jpg", "ref/large.png", "--difference", "ref/large.png", "--force"], "ref/large.png is an input"),
        (["out/large.jpg", "ref/large.png", "--gain", "0"], "a number from 0.5 to 65535"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_usage_error_is_one_line_and_exit_code_two(here, vaetool, arguments, message):
    result = vaetool("compare", *arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert message in result.stderr


def test_one_pair_that_fails_does_not_stop_the_others(here, vaetool):
    shutil.copy("ref/small.png", "out/large.jpg")
    result = vaetool("compare", "out", "ref", "-r")
    assert result.exit_code == 1
    assert [row[-1] for row in rows(result)] == ["out/small.png", "out/deep/grey.vae", "mean of 2"]


def test_transparency_that_differs_is_said(here, vaetool):
    image = Image.open("ref/small.png")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save("out/small.png")
    result = vaetool("compare", "out/small.png", "ref/small.png", "--json")
    assert result.exit_code == 0
    assert result.stderr.startswith("out/small.png: its transparency differs from its reference's")
    [told] = records(result)
    assert (told["max_difference"], told["identical"], len(told["warnings"])) == (0, False, 1)
    assert rows(vaetool("compare", "out/small.png", "ref/small.png"))[0][0] == "inf"


# The difference


def test_a_difference_is_written_as_a_picture(here, vaetool):
    result = vaetool("compare", "out/large.jpg", "ref/large.png", "--difference", "d.png", "--gain", "4")
    assert (result.exit_code, result.stderr) == (0, "wrote d.png\n")
    decoded, original = (images.read(name).pixels.astype(int) for name in ("out/large.jpg", "ref/large.png"))
    assert np.array_equal(images.read("d.png").pixels, (128 + 4 * (decoded - original)).clip(0, 255))


def test_the_differences_of_a_folder_mirror_it(here, vaetool):
    result = vaetool("compare", "out", "ref", "-r", "--difference", "maps", "--json")
    assert [each.get("output") for each in records(result)[:-1]] == [
        str(Path(name)) for name in ("maps/large.png", "maps/small.png", "maps/deep/grey.png")
    ]
    assert (images.read("maps/small.png").pixels == 128).all()
    assert images.read("maps/deep/grey.png").pixels.shape[2] == 1
    assert vaetool("compare", "out", "ref", "-r", "--difference", "maps").exit_code == 2
    assert vaetool("compare", "out", "ref", "-r", "--difference", "maps", "--force").exit_code == 0


def test_differences_within_the_folder_of_results_are_not_results(here, vaetool):
    for options in ([], ["--force"]):
        result = vaetool("compare", "out", "ref", "-r", "--difference", "out/maps/", *options)
        assert (result.exit_code, result.stdout.count("\n")) == (0, 4)


# Stacks and floating point


def test_all_pages_of_a_stack_count_and_smaller_copies_are_none(here, vaetool):
    values = np.random.default_rng(0).normal(100, 10, (2, 40, 50)).astype(np.float32)
    tifffile.imwrite("raw.tif", values, photometric="minisblack")
    tifffile.imwrite("clean.tif", values + np.array([[[0]], [[5]]], np.float32), photometric="minisblack")
    [told] = records(vaetool("compare", "clean.tif", "raw.tif", "--difference", "d.tif", "--json"))
    assert (told["identical"], told["pages"]) == (False, 2)
    assert told["max_difference"] == pytest.approx(5, abs=1e-4)
    assert told["bpp"] == pytest.approx(8 * told["in_bytes"] / values.size, abs=1e-4)
    assert package.compare("clean.tif", "raw.tif").psnr == told["psnr"]
    assert [np.unique(page).tolist() for page in tifffile.imread("d.tif")] == [[128], [255]]
    page = np.asarray(Image.open("ref/small.png"))
    with tifffile.TiffWriter("scan.tif") as file:
        file.write(page)
        file.write(page[::4, ::4], subfiletype=1)
    assert rows(vaetool("compare", "scan.tif", "ref/small.png"))[0][0] == "identical"


def test_in_a_folder_the_differences_of_tiff_files_are_tiff_files(here, vaetool):
    for folder, level in (("a", 9), ("b", 10)):
        Path(folder).mkdir()
        tifffile.imwrite(f"{folder}/stack.tif", np.full((2, 9, 9), level, np.uint8), photometric="minisblack")
        Image.new("L", (9, 9), level).save(f"{folder}/one.png")
    result = vaetool("compare", "a", "b", "--difference", "maps")
    assert result.exit_code == 0
    assert sorted(path.name for path in Path("maps").iterdir()) == ["one.png", "stack.tif"]
    assert tifffile.imread("maps/stack.tif").shape == (2, 9, 9)
    refused = vaetool("compare", "a", "b", "--difference", "a/", "--force")
    assert (refused.exit_code, "is an input" in refused.stderr) == (2, True)


# Start-up


@pytest.mark.parametrize(
    ("name", "expected"), [("out/large.jpg", False), ("out/lossless.vae", False), ("out/coded.vae", True)]
)
def test_torch_is_imported_only_for_a_picture_that_a_codec_coded(here, python, photographs, tiny_codec, name, expected):
    codec = package.load(tiny_codec, device="cpu")
    large = Image.open("ref/large.png")
    Path("out/coded.vae").write_bytes(compress(large, codec, quality=30))
    Path("out/lossless.vae").write_bytes(compress(large, codec, target_psnr=1000))
    code = "import sys; from vaetool.cli import main; print(main(sys.argv[1:]), 'torch' in sys.modules)"
    process = python("-c", code, "compare", name, "ref/large.png")
    told, words = process.communicate(timeout=60)
    assert told.decode().splitlines()[-1] == f"0 {expected}", words.decode()


def test_nothing_that_is_read_is_replaced(here, vaetool, tiny_codec):
    shutil.copy("ref/small.png", "ref/alone.png")
    shutil.copytree("out", "copy")
    Path("model.png").symlink_to(tiny_codec)
    pictures = ["out/small.png", "ref/large.png"]
    for arguments in (
        [*pictures, "--difference", "ref/large.png"],
        [*pictures, "--difference", "./out/../out/small.png"],
        [*pictures, "-m", tiny_codec, "--difference", "model.png"],
        ["out", "ref", "-r", "--difference", "ref"],
    ):
        result = vaetool("compare", *arguments, "--force")
        assert (result.exit_code, "is an input: results never" in result.stderr) == (2, True)
