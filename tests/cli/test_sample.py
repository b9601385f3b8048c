"""`vaetool sample` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaetool import images


@pytest.fixture
def here(tmp_path, monkeypatch, tiny_autoencoders) -> Path:
    """The current folder; the models tiny-vae and tiny-ae are known by name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAETOOL_MODELS", str(tiny_autoencoders))
    return tmp_path


@pytest.fixture
def sample(vaetool, here):
    """`sample(...)` with the tiny VAE, on the CPU."""

    def call(*arguments: object, model: str = "tiny-vae", **options):
        return vaetool("sample", "-m", model, "--device", "cpu", *arguments, **options)

    return call


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_picture_is_a_grid(sample, here):
    result = sample("-o", "samples.png")
    assert result.exit_code == 0, result.stderr
    assert size(here / "samples.png") == (8 * 18 - 2, 8 * 18 - 2)
    assert result.stdout == ""
    prior, wrote = result.stderr.splitlines()
    assert prior.startswith("prior: ")
    assert prior.count("-") >= 2  # the figures of both
    assert wrote == "wrote samples.png"


@pytest.mark.parametrize("output", ["new", "new/", "new.d/"])
def test_a_folder_gets_a_file_for_each(sample, here, output):
    result = sample("-n", 3, "-o", output)
    assert result.exit_code == 0, result.stderr
    assert names(here / output) == ["sample-0001.png", "sample-0002.png", "sample-0003.png"]
    assert size(here / output / "sample-0001.png") == (16, 16)
    assert result.stderr.endswith(f"wrote 3 pictures to {output}\n")


def test_a_folder_gets_a_grid_if_asked_for(sample, here):
    assert sample("-n", 4, "--grid", "-o", "new/").exit_code == 0
    assert names(here / "new") == ["grid.png"]
    assert size(here / "new" / "grid.png") == (34, 34)


def test_files_and_grid_show_the_same_pictures(sample, here):
    sample("-n", 1, "-o", "one.png")
    sample("-n", 1, "-o", "new")
    assert (here / "one.png").read_bytes() == (here / "new" / "sample-0001.png").read_bytes()


def test_the_suffix_decides_the_format(sample, here):
    assert sample("-o", "samples.jpg").exit_code == 0
    assert images.read(here / "samples.jpg").format == "JPEG"


def test_standard_output_gets_a_png(sample):
    result = sample("-n", 4, "-o", "-")
    picture = images.read(result.data)
    assert (picture.format, picture.pixels.shape) == ("PNG", (34, 34, 1))
    assert "wrote" not in result.stderr


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(sample):
    one, same, other = (sample("-n", 4, "--seed", seed, "-o", "-").data for seed in (3, 3, 4))
    assert one == same != other


def test_temperature_and_prior_change_the_pictures(sample):
    kinds = [["--prior", "normal"], ["--prior", "gmm"], ["--prior", "gmm", "--temperature", "0.3"]]
    results = [sample("-n", 4, *options, "-o", "-") for options in kinds]
    assert len({result.data for result in results}) == 3
    assert "prior: N(0, I); held-out codes have" in results[0].stderr


def test_codes_from_a_file_are_all_decoded(sample, here):
    np.save("codes.npy", np.zeros((5, 6)))
    result = sample("--latents", "codes.npy", "-o", "new")
    assert result.exit_code == 0, result.stderr
    assert len(names(here / "new")) == 5
    assert result.stderr.splitlines()[0] == "5 codes from codes.npy"


def test_json_has_an_object_for_each_file(sample, here):
    result = sample("-n", 2, "--prior", "gmm", "--seed", 5, "-o", "new", "--json")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["path"] for row in rows] == [str(Path("new") / f"sample-000{k}.png") for k in (1, 2)]
    facts = {"prior": "gmm", "temperature": 1.0, "seed": 5, "pictures": 1}
    assert rows[0] == {"path": rows[0]["path"], **facts, "out_bytes": Path(rows[0]["path"]).stat().st_size}


def test_quiet_is_quiet(sample):
    assert sample("--quiet", "-o", "samples.png").stderr == ""


def test_a_plain_autoencoder_is_sampled_and_a_better_kind_is_named(sample, here):
    result = sample("-o", "samples.png", model="tiny-ae")
    assert result.exit_code == 0, result.stderr
    assert size(here / "samples.png") == (142, 142)
    assert "a vae (vaetool train vae)" in result.stderr


def test_without_a_name_the_grid_is_called_like_the_model(sample, here):
    assert sample("-n", 4).stderr.endswith("wrote tiny-vae.samples.png\n")
    assert size(here / "tiny-vae.samples.png") == (34, 34)
    assert "tiny-vae.samples.png exists: --force" in sample("-n", 4).stderr


def test_what_is_read_is_never_replaced(sample, here, tiny_autoencoders):
    np.save("codes.npy", np.zeros((5, 6)))
    (here / "codes.png").symlink_to("codes.npy")
    result = sample("--latents", "codes.npy", "-o", "codes.png", "--force")
    assert (result.exit_code, "codes.png is an input" in result.stderr) == (2, True)
    (here / "model.png").symlink_to(tiny_autoencoders / "tiny-vae.safetensors")
    assert "model.png is an input" in sample("-o", "model.png", "--force").stderr
    assert np.load("codes.npy").shape == (5, 6)


def test_what_exists_is_replaced_only_by_force(sample, here):
    (here / "new").mkdir()
    for name in ("samples.png", "new/sample-0001.png", "new/sample-0002.png"):
        (here / name).write_bytes(b"precious")
    for output, message in (
        ("samples.png", "samples.png exists: --force"),
        ("new", "sample-0001.png exists (and 1 more)"),
    ):
        refused = sample("-n", 2, "-o", output)
        assert refused.exit_code == 2
        assert message in refused.stderr
        assert refused.stderr.count("\n") == 1
    assert (here / "samples.png").read_bytes() == b"precious"
    assert sample("-n", 2, "-o", "new", "--force").exit_code == 0
    assert size(here / "new" / "sample-0002.png") == (16, 16)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", ""], "an empty name"),
        (["-o", "x.xyz"], "'.xyz'; choose .png"),
        (["-o", "-", "--json"], "--json"),
        (["-o", "x.png", "-n", "0"], "from 1 to"),
        (["-o", "x.png", "--temperature", "-1"], "from 0 to 10"),
        (["-o", "x.png", "--prior", "best"], "prior must be auto, normal, gmm, not 'best'"),
        (["-o", "x.png", "-m", "tiny-vea"], "tiny-vae"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_usage_error_is_one_line_and_exit_code_two(sample, here, arguments, message):
    result = sample(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert names(here) == []


def test_a_model_of_another_kind_is_refused(sample, tiny_dae, tiny_codec):
    for path, kind in ((tiny_dae, "a dae"), (tiny_codec, "a codec")):
        result = sample("-o", "x.png", model=str(path))
        assert result.exit_code == 2
        assert f"this is {kind}; an ae, a gan, a vae or an mmvae is needed" in result.stderr


def test_a_file_of_codes_that_is_missing_fails(sample):
    result = sample("--latents", "gone.npy", "-o", "x.png")
    assert result.exit_code == 1
    assert result.stderr == "error: gone.npy: cannot be read (No such file or directory)\n"
    assert result.stderr.count("\n") == 1


def test_a_device_is_written_to(vaetool, tiny_vae):
    assert vaetool("sample", "-m", tiny_vae, "-n", 2, "-o", "/dev/null").exit_code == 0
