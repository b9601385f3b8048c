"""`vaetool compress`, `decompress` and `info` of what they write, as a user meets them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from vaetool import images
from vaetool.images.metrics import psnr


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def records(result) -> list[dict]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def here(photos, tmp_path, tiny_codec, monkeypatch):
    """The current folder, with china.jpg, flower.png and grey.png in it; `-m tiny-codec` is found by its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAETOOL_MODELS", str(tiny_codec.parent))
    return tmp_path


@pytest.fixture
def compress(vaetool):
    """`vaetool compress` with the small codec."""
    return lambda *arguments, **options: vaetool("compress", *arguments, "-m", "tiny-codec", **options)


# There and back


def test_names_are_mirrored_there_and_back(here, vaetool, compress):
    result = compress("china.jpg")
    assert (result.exit_code, result.stdout) == (0, "")
    before, after = (f"{Path(name).stat().st_size:,}" for name in ("china.jpg", "china.vae"))
    assert re.fullmatch(
        rf"china\.jpg → china\.vae  {before} → {after} bytes  \d\.\d\d bpp  \d\d\.\d dB\n", result.stderr
    )
    result = vaetool("decompress", "china.vae")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "wrote china.png\n")
    before, after = images.read("china.jpg"), images.read("china.png")
    assert (after.format, after.pixels.shape) == ("PNG", before.pixels.shape)
    assert psnr(after.pixels, before.pixels, 255) > 18


def test_folders_are_mirrored_there_and_back(here, vaetool, compress):
    (here / "box").mkdir()
    (here / "flower.png").rename(here / "box" / "flower.png")
    said = compress(".", "-r", "-o", "small", "-j", "2").stderr
    before, after = (sum(path.stat().st_size for path in Path(place).rglob("*.*")) for place in (".", "small"))
    assert said.startswith(f"3 done: {before - after:,} → {after:,} bytes, ")
    assert names(here / "small") == ["box", "china.vae", "grey.vae"]
    result = vaetool("decompress", "small", "-r", "-o", "large", "-j", "2")
    assert (result.exit_code, result.stderr) == (0, "3 done\n")
    assert names(here / "large") == ["box", "china.png", "grey.png"]
    assert images.read("large/grey.png").pixels.shape == (107, 160, 1)


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell")
def test_both_work_in_a_pipe_without_a_word(here):
    call = f"'{sys.executable}' -m vaetool"
    line = f"cat flower.png | {call} compress -m tiny-codec - | {call} decompress - > y.png"
    root = str(Path(images.__file__).parents[1])
    shell = ["bash", "-o", "pipefail", "-c", line]
    done = subprocess.run(shell, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert images.read("y.png").pixels.shape == images.read("flower.png").pixels.shape


def test_the_format_of_results_is_a_choice(here, vaetool, compress):
    compress("flower.png")
    data = (here / "flower.vae").read_bytes()
    assert vaetool("decompress", "flower.vae", "-o", "a.jpg", "--quality", "90").exit_code == 0
    assert vaetool("decompress", "flower.vae", "--format", "webp").stderr == "wrote flower.webp\n"
    assert vaetool("decompress", "flower.vae", "-o", "out/", "--format", "JPG").exit_code == 0
    piped = vaetool("decompress", "-", "--format", "tiff", stdin=data)
    found = [images.read(source).format for source in ("a.jpg", "flower.webp", "out/flower.jpg", piped.data)]
    assert found == ["JPEG", "WEBP", "JPEG", "TIFF"]


def test_orientation_profile_exif_and_alpha_are_kept(here, vaetool, compress):
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a flower"
    profile = b"\0" * 16 + b"RGB " + b"\0" * 108
    image = Image.open("flower.png").convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save("all.png", exif=exif, icc_profile=profile)
    assert compress("all.png").exit_code == 0
    assert vaetool("decompress", "all.vae", "-o", "after.png").exit_code == 0
    before, after = images.read("all.png"), images.read("after.png")
    assert after.pixels.shape == (160, 107, 3)
    np.testing.assert_array_equal(after.alpha, before.alpha)
    assert (after.icc_profile, after.exif) == (profile, before.exif)
    assert compress("all.png", "--strip", "-o", "bare.vae").exit_code == 0
    assert vaetool("decompress", "bare.vae").exit_code == 0
    bare = images.read("bare.png")
    assert (bare.icc_profile, bare.exif) == (None, None)


def test_resolution_xmp_and_texts_are_kept(here, vaetool, compress, photographs):
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta/>")
    info.add_text("Author", "Łódź")
    photographs["flower"].save("all.png", pnginfo=info, dpi=(300, 150))
    assert compress("all.png").exit_code == 0
    told = json.loads(vaetool("info", "all.vae", "--json").stdout)
    assert (told["dpi"], told["xmp"], told["texts"]) == ([11811 * 0.0254, 5906 * 0.0254], True, True)
    assert vaetool("decompress", "all.vae", "-o", "after.png").stderr == "wrote after.png\n"
    after = images.read("after.png")
    assert (after.xmp, after.texts) == (b"<x:xmpmeta/>", (("Author", "Łódź"),))
    assert after.dpi == pytest.approx((300, 150), abs=0.1)
    result = vaetool("decompress", "all.vae", "-o", "after.jpg")
    assert result.stderr == "all.vae: JPEG does not keep its texts or comment\nwrote after.jpg\n"
    after = images.read("after.jpg")
    assert (after.xmp, after.dpi) == (b"<x:xmpmeta/>", (300, 150))
    assert compress("all.png", "--strip", "-o", "bare.vae").exit_code == 0
    assert vaetool("decompress", "bare.vae").exit_code == 0
    bare = images.read("bare.png")
    assert (bare.xmp, bare.texts) == (None, ())
    assert bare.dpi == pytest.approx((300, 150), abs=0.1)


def test_16_bit_grey_stays_16_bit(here, vaetool, compress):
    values = np.linspace(0, 65535, 200 * 150).reshape(150, 200).astype(np.uint16)
    values ^= np.random.default_rng(0).integers(0, 1000, values.shape).astype(np.uint16)
    Image.fromarray(values).save("deep.png")
    assert compress("deep.png").exit_code == 0
    assert vaetool("decompress", "deep.vae", "-o", "after.png").exit_code == 0
    after = images.read("after.png").pixels
    assert (after.dtype, after.shape) == (np.uint16, (150, 200, 1))
    assert psnr(after[..., 0], values, 65535) > 25


def test_a_stack_is_refused_and_a_smaller_copy_is_none(here, compress):
    page = np.linspace(0, 4095, 64 * 64).reshape(64, 64).astype(np.uint16)
    tifffile.imwrite("stack.tif", np.stack([page, page]))
    with tifffile.TiffWriter("scan.tif") as file:
        file.write(page)
        file.write(page[::4, ::4], subfiletype=1)
    result = compress("stack.tif")
    assert (result.exit_code, "stack.tif: has several pages" in result.stderr) == (1, True)
    assert compress("scan.tif").exit_code == 0


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "avif"])
def test_an_animation_is_refused_as_a_stack_is(here, compress, suffix):
    frames = [Image.new("RGB", (16, 16), (0, 0, 80 * number)) for number in range(3)]
    frames[0].save(f"moving.{suffix}", save_all=True, append_images=frames[1:])
    frames[0].save(f"still.{suffix}")
    result = compress(f"moving.{suffix}", f"still.{suffix}", "--lossless")
    assert result.exit_code == 1
    assert f"moving.{suffix}: is animated, with 3 frames: split it into files of one frame" in result.stderr
    assert [path.name for path in here.glob("*.vae")] == ["still.vae"]


def test_what_is_whole_is_salvaged_and_the_rest_is_said(here, vaetool, compress):
    Image.effect_noise((1300, 80), 40).save("wide.png")
    compress("wide.png", "-q", "90")
    data = Path("wide.vae").read_bytes()
    Path("wide.vae").write_bytes(data[:-10])
    assert vaetool("decompress", "wide.vae", "-o", "all.png").exit_code == 1
    result = vaetool("decompress", "wide.vae", "-o", "all.png", "--salvage", "--json")
    assert (result.exit_code, records(result)[0]["lost"]) == (0, [[1024, 0, 276, 80]])
    assert "wide.vae: damaged: 1 of 2 tiles are lost, and filled with grey squares" in result.stderr
    assert images.read("all.png").pixels.shape == (80, 1300, 1)


# What is said


def test_a_result_that_is_larger_is_said_or_not_written(here, compress):
    Image.effect_noise((64, 64), 90).save("noise.jpg", quality=5)
    said = compress("noise.jpg", "--lossless").stderr
    assert "larger than the input: --skip-larger" in said
    assert "1 larger than the input" in compress("noise.jpg", "flower.png", "-o", "small/", "--lossless").stderr
    before = names(here)
    result = compress("noise.jpg", "--lossless", "--skip-larger", "-o", "other.vae", "--json")
    assert (result.exit_code, names(here)) == (0, before)
    assert "unchanged: no smaller as a .vae file" in result.stderr
    [record] = records(result)
    assert (record["changed"], "output" in record) == (False, False)
    assert compress("china.jpg", "-o", "other.vae", "--skip-larger").exit_code == 0
    assert (here / "other.vae").exists()


def test_figures_are_in_json(here, compress):
    [record] = records(compress("china.jpg", "--json"))
    assert (record["in_bytes"], record["out_bytes"]) == tuple(
        Path(n).stat().st_size for n in ("china.jpg", "china.vae")
    )
    assert record["bpp"] == pytest.approx(8 * record["out_bytes"] / (107 * 160), abs=1e-3)
    assert 15 < record["psnr"] < 60


def test_lossless_and_bounded_errors_are_options(here, vaetool, compress):
    for option, bound in (("--lossless", 0), ("--max-error=3", 3), ("--near-lossless=3", 3)):
        assert compress("china.jpg", option, "--force").exit_code == 0
        assert vaetool("decompress", "china.vae", "--force").exit_code == 0
        errors = images.read("china.png").pixels.astype(int) - images.read("china.jpg").pixels
        assert np.abs(errors).max() <= bound


# Targets


def test_a_size_is_never_exceeded(here, compress):
    result = compress(".", "-o", "small", "--target-size", "3KiB", "--json")
    assert result.exit_code == 0
    assert len(records(result)) == 3
    for record in records(result):
        assert record["bytes"] == Path(record["output"]).stat().st_size <= 3072
        assert 1 <= record["quality"] <= 100


def test_bits_per_pixel_and_psnr_are_met(here, compress):
    [record] = records(compress("china.jpg", "--bpp", "1", "--json"))
    assert record["bpp"] <= 1
    [record] = records(compress("flower.png", "--target-psnr", "22", "--json"))
    assert record["psnr"] >= 22


def test_a_size_out_of_reach_fails_that_file_in_one_line(here, compress):
    Image.new("L", (4, 4)).save("dot.png")
    result = compress("china.jpg", "dot.png", "-o", "small/", "--target-size", "120")
    assert result.exit_code == 1
    assert result.stderr.startswith("china.jpg: cannot be made smaller than ")
    assert names(here / "small") == ["dot.vae"]


def test_a_quality_may_be_given_short_and_quiet_long(here, compress):
    result = compress("china.jpg", "-q", "10", "--quiet", "--json")
    assert (records(result)[0]["quality"], result.stderr) == (10, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compress", "china.jpg", "-q", "0"], "a whole number from 1 to 100"),
        (["compress", "china.jpg", "-q", "50", "--bpp", "1"], "one target at a time: --quality or --bpp?"),
        (["compress", "china.jpg", "--bpp", "-1"], "--bpp must be above 0"),
        (["compress", "china.jpg", "--target-size", "60 fish"], "a size such as 60KB"),
        (["compress", "china.jpg", "--target-size", "0"], "--target-size must be above 0"),
        (["compress", "china.jpg", "--target-psnr", "-3"], "--target-psnr must be above 0"),
        (["compress", "china.jpg", "--target-psnr", "30", "--target-size", "9"], "--target-size or --target-psnr?"),
        (["compress", "china.jpg", "--lossless", "--max-error", "3"], "--lossless or --max-error?"),
        (["compress", "china.jpg", "-o", "-", "--skip-larger"], "--skip-larger does not apply"),
        (["compress", "china.jpg", "-o", "china.png"], "china.png: the result is a .vae file"),
        (["compress", "china.jpg", "also/china.png", "-o", "out"], "would both become out/china.vae"),
        (["compress", "china.jpg", "-m", "tiny-code"], "did you mean tiny-codec"),
        (["compress", "china.jpg", "-m", "photo-denoise-gaussian"], "this is a dae; a codec is needed"),
        (["compress", "-", "--json", "-m", "tiny-codec"], "--json and the result"),
        (["decompress"], "nothing to read"),
        (["decompress", "."], "no compressed pictures in ."),
        (["decompress", "x.vae", "--format", "docx"], "error: no image format is called 'docx'; choose png"),
        (["decompress", "x.vae", "-o", "x.xyz"], "'.xyz'; choose .png"),
        (["decompress", "x.vae", "-o", "x.png", "--format", "webp"], "x.png is not a webp file"),
        (["decompress", "x.vae", "-m", "photo-denoise-gaussian"], "a codec is needed"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_usage_error_is_one_line_and_exit_code_two(here, vaetool, arguments, message):
    (here / "also").mkdir()
    (here / "flower.png").rename(here / "also" / "china.png")
    if "x.vae" in arguments:
        (here / "x.vae").write_bytes(b"not read")
    before = names(here)
    result = vaetool(*arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert message in result.stderr
    assert names(here) == before


# Many files


def test_results_that_exist_are_kept(here, vaetool, compress):
    compress("china.jpg")
    (here / "china.png").write_bytes(b"precious")
    assert vaetool("decompress", "china.vae").exit_code == 2
    assert compress("china.jpg").exit_code == 2
    assert (here / "china.png").read_bytes() == b"precious"
    assert compress("china.jpg", "flower.png", "--skip-existing").stderr.startswith("1 done, 1 skipped: ")
    assert vaetool("decompress", "china.vae", "--force").exit_code == 0


def test_one_broken_file_does_not_stop_the_others(here, vaetool, compress):
    (here / "broken.png").write_bytes(b"\x89PNG not really")
    result = compress(".", "-o", "small")
    assert result.exit_code == 1
    assert result.stderr.startswith("broken.png: not a readable image")
    data = (here / "small" / "china.vae").read_bytes()
    (here / "small" / "cut.vae").write_bytes(data[: len(data) // 2])
    (here / "small" / "empty.vae").touch()
    (here / "small" / "notes.txt").write_text("Dear diary")
    (here / "small" / "other").write_bytes(data)  # its content says what it is
    result = vaetool("decompress", "small", "-o", "large", "--json")
    assert result.exit_code == 1
    assert [Path(line["path"]).name for line in records(result) if "error" in line] == ["cut.vae", "empty.vae"]
    assert names(here / "large") == ["china.png", "flower.png", "grey.png", "other.png"]
    assert len(result.stderr.splitlines()) == 3


def test_a_shard_is_every_nth_file(here, vaetool, compress):
    assert compress(".", "-o", "small", "--shard", "1/3").exit_code == 0
    assert names(here / "small") == ["flower.vae"]


def test_a_file_of_a_codec_that_is_not_there_fails_alone(here, vaetool, compress, tmp_path, monkeypatch):
    Image.new("RGB", (20, 20), "red").save("icon.png")
    assert compress("china.jpg", "icon.png", "-o", "small").exit_code == 0
    monkeypatch.setenv("VAETOOL_MODELS", str(tmp_path))
    result = vaetool("decompress", "small", "-o", "large")
    assert result.exit_code == 1
    assert "china.vae: needs the codec " in result.stderr
    assert "-m FILE" in result.stderr
    assert names(here / "large") == ["icon.png"]


def test_a_codec_can_be_named_by_its_file(here, vaetool, compress, tiny_codec, tmp_path, monkeypatch):
    compress("china.jpg")
    monkeypatch.setenv("VAETOOL_MODELS", str(tmp_path))
    assert vaetool("decompress", "china.vae", "-m", tiny_codec).exit_code == 0


@pytest.mark.parametrize("name", ["china.jpg", "flower.png"])
def test_an_image_is_not_a_compressed_picture(here, vaetool, compress, name):
    result = vaetool("decompress", name)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert f"{name}: not a .vae file" in result.stderr
    assert not (here / "china.png").exists()
    compress("grey.png")
    beside = vaetool("decompress", name, "grey.vae", "-o", "out")
    assert (beside.exit_code, (here / "out" / "grey.png").exists()) == (1, True)


def test_too_many_pixels_are_refused_by_both(here, vaetool, compress):
    compress("china.jpg")
    for command, name in (("compress", "flower.png"), ("decompress", "china.vae")):
        result = vaetool(
            command, name, "--max-pixels", "1000", *(["-m", "tiny-codec"] if command == "compress" else [])
        )
        assert result.exit_code == 1
        assert "--max-pixels" in result.stderr


# What is told


def test_json_tells_where_the_bits_went(here, vaetool, compress):
    [told] = records(compress("china.jpg", "--json"))
    assert told.keys() >= {"path", "output", "form", "quality", "bytes", "bpp", "ratio", "bits", "seconds"}
    assert sum(told["bits"].values()) == 8 * told["bytes"]
    [told] = records(vaetool("decompress", "china.vae", "--json"))
    assert told.keys() >= {"path", "output", "form", "quality", "codec"}


def test_info_tells_what_is_in_a_file(here, vaetool, compress):
    compress("china.jpg", "-q", "30")
    text = vaetool("info", "china.vae").stdout
    for fact in ("path", "learned", "quality", "30", "width", "160", "bpp", "bits", "z", "y"):
        assert fact in text
    [told] = records(vaetool("info", "china.vae", "--json"))
    assert (told["path"], told["form"], told["quality"], told["icc_profile"]) == ("china.vae", "learned", 30, False)
    assert len(told["codec"]["id"]) == 16


def test_info_of_pictures_and_models_side_by_side(here, vaetool, compress, tiny_codec):
    compress("china.jpg")
    (here / "cut.vae").write_bytes((here / "china.vae").read_bytes()[:40])
    result = vaetool("info", ".", tiny_codec, "--json")
    assert result.exit_code == 1
    kinds = ["image", "picture", "error", "image", "image", "codec"]
    assert [line.get("kind", "error") for line in records(result)] == kinds
    assert result.stderr.startswith("cut.vae: ")


def test_info_of_floating_point(here, vaetool):
    tifffile.imwrite("raw.tif", np.ones((2, 16, 24), np.float32), photometric="minisblack")
    [told] = records(vaetool("info", "raw.tif", "--json"))
    assert (told["width"], told["height"], told["colours"], told["bits"]) == (24, 16, "grey", 32)


def test_info_of_a_picture_imports_no_torch(here, compress, python):
    compress("china.jpg")
    code = "import sys; from vaetool.cli import main; main(['info', 'china.vae']); sys.exit('torch' in sys.modules)"
    process = python("-c", code)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 0, words.decode()
