"""Models as files that other programs run: they compute what the models do."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

import vaetool
from vaetool.denoising.dae import DAE, DAEConfig
from vaetool.errors import UsageError, VaetoolError
from vaetool.exporting import export as task
from vaetool.exporting.formats import FACTS, OPSET
from vaetool.exporting.graphs import LEVELS, DefectFinder, Denoiser, Heat, Inpainter
from vaetool.images.filling import fill_hidden
from vaetool.inpainting.filling import push_pull
from vaetool.latents.ae import AE, AEConfig
from vaetool.scoring.calibration import Calibration
from vaetool.scoring.defect import SHARES, Defect, DefectConfig
from vaetool.scoring.features import Features, FeaturesConfig
from vaetool.scoring.heatmaps import STEPS, log_p
from vaetool.store import weights


def saved(folder: Path, model) -> Path:
    path = folder / f"{model.kind}.safetensors"
    weights.save(path, model, {"data": []})
    return path


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])


def photograph(photographs, height: int, width: int, name: str = "china") -> np.ndarray:
    """A photograph as float32, (height, width, 3) in 0..1."""
    return np.asarray(photographs[name].resize((width, height)), np.float32) / 255


def batch(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def small_dae(tmp_path) -> Path:
    """A denoiser that changes something, with few operations."""
    model = DAE(DAEConfig(widths=(4,), blocks=1, estimator_widths=(4,), pooling=1))
    for part in model.modules():
        if isinstance(part, torch.nn.Conv2d):
            torch.nn.init.normal_(part.weight, std=0.2)
    return saved(tmp_path, model)


@pytest.fixture
def ae(tmp_path) -> Path:
    return saved(tmp_path, AE(AEConfig(size=16, latent=3, channels=1)))


@pytest.fixture
def defect(tmp_path) -> Path:
    model = Defect(DefectConfig(channels=1, size=64, widths=(4, 4)))
    model.place_mean.normal_()
    model.good_levels = torch.linspace(-3, 3, STEPS)
    model.keep_calibration(Calibration(tuple(SHARES), np.random.default_rng(0).normal(size=(60, len(SHARES)))))
    return saved(tmp_path, model)


@pytest.fixture
def features(tmp_path) -> Path:
    model = Features(FeaturesConfig(size=64, places="alike"))
    for name, values in model.named_buffers():
        if "whitening" in name:
            values.normal_(std=0.1)
    model.good_levels = torch.linspace(0, 20, STEPS)
    table = np.random.default_rng(0).normal(size=(60, 5))
    model.keep_calibration(Calibration(("all", "small", "medium", "large", "whole"), table))
    return saved(tmp_path, model)


def noisy_photograph(photographs) -> np.ndarray:
    pixels = photograph(photographs, 60, 95)
    return (pixels + np.random.default_rng(0).normal(0, 0.1, pixels.shape).astype(np.float32)).clip(0, 1)


def test_the_graph_of_a_denoiser_finds_and_removes_the_noise_as_ours_does(small_dae, photographs):
    pixels = np.tile(noisy_photograph(photographs)[:, :92], (3, 2, 1))  # large enough to have no margins
    model = weights.load(small_dae, device="cpu")
    for picture in (pixels, np.repeat(pixels[:, :, :1], 3, axis=2)):  # of a grey one, colours limit nothing
        with torch.no_grad():
            clean, sigma = Denoiser(model)(torch.from_numpy(batch(picture)))
        assert np.abs(clean.numpy() - batch(picture)).max() > 1e-3
        assert np.allclose(clean.numpy(), batch(model.denoise(picture)), atol=1e-5)
        assert np.allclose(sigma[0, 0].numpy(), model.noise_map(picture), atol=1e-6)


def test_the_graph_of_a_defect_finder_scores_as_ours_does(defect):
    model = weights.load(defect, device="cpu")
    picture = torch.rand(1, 1, 32, 44)
    with torch.no_grad():
        score, heat = DefectFinder(model)(picture)
    components, maps = model.components_and_maps(picture)
    assert score.item() == pytest.approx(components["small"].item(), rel=1e-5)
    assert torch.allclose(heat, maps, atol=1e-5)


def runner() -> str:
    """The Python block of the documentation, as it stands there."""
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    return page.split("```python\n")[1].split("```")[0]


def run_here(folder: Path, pixels: np.ndarray, monkeypatch) -> np.ndarray:
    """Run it in a folder that holds denoise.onnx, and return the picture that it writes."""
    Image.fromarray(np.uint8(np.rint(pixels * 255))).save(folder / "night.png")
    monkeypatch.chdir(folder)
    exec(compile(runner(), "export.md", "exec"), {})
    with Image.open("clean.png") as image:
        return np.asarray(image)


def test_the_runner_of_the_documentation_pads_and_cuts(tmp_path, photographs, monkeypatch):
    """With a file that changes nothing, made in a moment."""
    names = [onnx.helper.make_tensor_value_info(name, 1, (1, 3, "h", "w")) for name in ("picture", "clean")]
    node = onnx.helper.make_node("Identity", ["picture"], ["clean"])
    graph = onnx.helper.make_graph([node], "same", names[:1], names[1:])
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=10)
    made.metadata_props.add(key="multiple", value="16")
    (tmp_path / "denoise.onnx").write_bytes(made.SerializeToString())
    pixels = noisy_photograph(photographs)
    assert np.array_equal(run_here(tmp_path, pixels, monkeypatch), np.rint(pixels * 255))


@pytest.mark.slow  # a denoiser has many operations: half a minute
def test_a_denoiser_as_onnx_does_what_ours_does_and_says_what_its_user_has_to_know(
    small_dae, tmp_path, photographs, monkeypatch
):
    path = tmp_path / "denoise.onnx"
    result = vaetool.export(small_dae, path)
    assert (result.kind, result.multiple, result.opset) == ("dae", 4, OPSET)
    facts = session(path).get_modelmeta().custom_metadata_map
    assert facts["producer"] == f"vaetool {vaetool.__version__}"
    assert (facts["name"], facts["kind"], facts["multiple"]) == ("dae", "dae", "4")
    assert json.loads(facts["config"])["pooling"] == 1
    assert str(Path(task.__file__).parent).encode() not in path.read_bytes()
    pixels = np.tile(np.rint(noisy_photograph(photographs)[:, :92] * 255) / 255, (3, 2, 1))  # without margins
    ours = weights.load(small_dae, device="cpu").denoise(np.float32(pixels))
    assert np.abs(run_here(tmp_path, pixels, monkeypatch) / 255 - ours.clip(0, 1)).max() < 0.51 / 255


@pytest.mark.slow  # half a minute
def test_a_pt2_file_computes_the_same_and_says_the_same(defect, tmp_path):
    path = tmp_path / "defect.pt2"
    assert vaetool.export(defect, path).difference < 1e-5
    extra = {FACTS: ""}
    network = torch.export.load(BytesIO(path.read_bytes()), extra_files=extra).module()
    facts = json.loads(extra[FACTS])
    assert (facts["kind"], facts["method"]) == ("defect", "small")
    picture = torch.rand(1, 1, 32, 44)
    components, maps = weights.load(defect, device="cpu").components_and_maps(picture)
    score, heat = network(picture)
    assert score.item() == pytest.approx(components["small"].item(), rel=1e-4)
    assert torch.allclose(heat, maps, atol=1e-4)


@pytest.mark.parametrize("kind", [pytest.param("defect", marks=pytest.mark.slow), "features"])
def test_scores_and_heatmaps_are_ours_and_the_threshold_goes_with_them(kind, tmp_path, request, photographs):
    source, path = request.getfixturevalue(kind), tmp_path / f"{kind}.onnx"
    vaetool.export(source, path)
    model, runner = weights.load(source, device="cpu"), session(path)
    x = model.prepare(photographs["flower"].resize((64, 48)))[None]
    score, heat = runner.run(None, {"picture": x.numpy()})
    components, maps = model.components_and_maps(x)
    assert score[0] == pytest.approx(components[model.default_method].item(), rel=1e-4)
    assert np.allclose(heat, maps.numpy(), atol=1e-4)
    facts = runner.get_modelmeta().custom_metadata_map
    calibration = model.calibration
    assert float(facts["threshold"]) == calibration.threshold(float(facts["alpha"]), facts["method"])
    assert np.array_equal(json.loads(facts["calibration"]), calibration.held_out_scores(facts["method"]))


@pytest.mark.slow  # fifteen seconds
def test_holes_are_filled_as_the_network_does(tiny_mae, tmp_path, photographs):
    path = tmp_path / "fill.onnx"
    assert vaetool.export(tiny_mae, path).multiple == 2**LEVELS
    pixels = photograph(photographs, 128, 192)
    hole = np.zeros((128, 192), bool)
    hole[40:60, 30:150] = hole[:, 100:104] = True
    (filled,) = session(path).run(None, {"picture": batch(pixels), "mask": hole[None, None].astype(np.float32)})
    model = weights.load(tiny_mae, device="cpu")
    smooth = torch.from_numpy(batch(fill_hidden(pixels, ~hole)))
    expected = model.fill(smooth, torch.from_numpy(hole[None, None]).float()).clamp(0, 1)
    assert np.allclose(filled, expected.numpy(), atol=1e-4)
    assert np.array_equal(filled[0][:, ~hole], pixels.transpose(2, 0, 1)[:, ~hole])


def test_a_hole_is_filled_smoothly_first_as_in_training(tiny_mae):
    model = weights.load(tiny_mae, device="cpu")
    torch.nn.init.zeros_(model.unet.tail.weight)
    torch.nn.init.zeros_(model.unet.tail.bias)
    picture, mask = torch.rand(1, 3, 128, 64), torch.zeros(1, 1, 128, 64)
    mask[:, :, 20:80, 5:50] = 1
    with torch.no_grad():
        assert torch.equal(Inpainter(model)(picture, mask), push_pull(picture, mask))


def test_flaws_are_as_likely_as_ours_are(tmp_path, photographs):
    path = tmp_path / "flaws.onnx"
    vaetool.export("scan-flaws", path)
    pixels = photograph(photographs, 72, 64)
    runner = session(path)
    (probabilities,) = runner.run(None, {"picture": batch(pixels)})
    assert np.allclose(
        probabilities[0].transpose(1, 2, 0), weights.load("scan-flaws", device="cpu").probabilities(pixels), atol=1e-4
    )
    assert json.loads(runner.get_modelmeta().custom_metadata_map["flaws"]) == ["scratches", "dust", "date"]


def test_the_halves_of_a_vae_are_ours(tiny_vae, tmp_path, digit_folders):
    picture = sorted(digit_folders.rglob("*.png"))[0]
    model = weights.load(tiny_vae, device="cpu")
    for part in ("encoder", "decoder"):
        vaetool.export(tiny_vae, tmp_path / f"{part}.onnx", part=part)
    x = model.prepare(picture)[None]
    code, log_var = session(tmp_path / "encoder.onnx").run(None, {"picture": x.numpy()})
    assert np.allclose(code, model.encode([picture]), atol=1e-4)
    assert np.allclose(log_var, model.posterior(x).log_var.numpy(), atol=1e-4)
    (back,) = session(tmp_path / "decoder.onnx").run(None, {"code": code})
    assert np.abs(back[0].transpose(1, 2, 0) * 255 - model.decode(code)[0]).max() < 0.51


def test_the_decoder_of_a_gan_and_the_encoder_of_an_ae(tiny_gan, ae, tmp_path):
    assert vaetool.export(tiny_gan, tmp_path / "gan.pt2").inputs == {"code": [1, 6]}
    with pytest.raises(UsageError, match="a gan has no encoder"):
        vaetool.export(tiny_gan, tmp_path / "encoder.pt2", part="encoder")
    assert vaetool.export(ae, tmp_path / "ae.pt2", part="encoder").outputs == ["code"]


def test_heat_is_that_of_heatmaps():
    levels = np.sort(np.random.default_rng(0).normal(size=STEPS)).astype(np.float32)
    levels[5:8] = levels[5]
    values = torch.linspace(-4, 4, 500)
    assert np.allclose(Heat(torch.from_numpy(levels))(values).numpy(), log_p(values.numpy(), levels), atol=1e-5)


@pytest.mark.parametrize(
    ("model", "name", "part", "words"),
    [
        ("photo-codec", "codec.onnx", None, "a codec cannot be exported: its entropy coder"),
        ("smiles", "smiles.onnx", None, "which part of the vae, encoder or decoder"),
        ("scan-flaws", "flaws.onnx", "encoder", "exported whole"),
        ("scan-flaws", "flaws.pt", None, r"ending in .onnx or .pt2, not '.pt'"),
        ("photo-denois", "clean.onnx", None, "did you mean photo-denoise"),
    ],
)
def test_what_cannot_be_exported_is_a_usage_error(tmp_path, model, name, part, words):
    with pytest.raises(UsageError, match=words):
        vaetool.export(model, tmp_path / name, part=part)
    assert list(tmp_path.iterdir()) == []


def test_scores_without_calibration_are_refused(tmp_path):
    path = saved(tmp_path, Defect(DefectConfig(channels=1, size=64, widths=(4, 4))))
    with pytest.raises(UsageError, match="was not calibrated"):
        vaetool.export(path, tmp_path / "defect.onnx")


def test_a_graph_that_computes_something_else_is_not_written(ae, tmp_path, monkeypatch):
    monkeypatch.setattr(task, "difference", lambda graph, run: 0.01)
    with pytest.raises(VaetoolError, match=r"differs from the model by 0\.01"):
        vaetool.export(ae, tmp_path / "ae.pt2", part="encoder")
    assert not (tmp_path / "ae.pt2").exists()


def test_the_command_says_what_it_wrote_and_replaces_nothing(vaetool, tmp_path):
    path = tmp_path / "flaws.pt2"
    done = vaetool("export", "scan-flaws", "-o", path)
    assert done.exit_code == 0
    assert "picture to probabilities" in done.stderr
    assert "multiples of 8" in done.stderr
    assert "differs from the model by" in done.stderr
    again = vaetool("export", "scan-flaws", "-o", path)
    assert (again.exit_code, "exists: --force replaces" in again.stderr) == (2, True)


def test_the_command_replaces_what_it_may_but_never_the_model(vaetool, ae, tmp_path):
    path = tmp_path / "ae.pt2"
    path.write_bytes(b"older")
    done = vaetool("export", ae, "--part", "decoder", "-o", path, "--force", "--json")
    record = json.loads(done.stdout)
    assert (record["kind"], record["part"], record["out_bytes"]) == ("ae", "decoder", path.stat().st_size)
    ae.rename(tmp_path / "model.onnx")
    onto_itself = vaetool(
        "export", tmp_path / "model.onnx", "--part", "decoder", "-o", tmp_path / "model.onnx", "--force"
    )
    assert (onto_itself.exit_code, "is an input" in onto_itself.stderr) == (2, True)


def test_without_the_packages_it_says_how_to_get_them(vaetool, ae, tmp_path, monkeypatch):
    words = ["export", ae, "--part", "decoder", "-o", tmp_path / "ae.onnx"]
    with monkeypatch.context() as patch:
        patch.setattr("vaetool.exporting.formats.find_spec", lambda name: None)
        result = vaetool(*words)
        assert (result.exit_code, "pip install 'vaetool[onnx]'" in result.stderr) == (2, True)
    monkeypatch.setattr("vaetool.exporting.export.find_spec", lambda name: None)
    result = vaetool(*words)
    assert (result.exit_code, "not compared with the model" in result.stderr) == (0, True)


@pytest.mark.slow  # half a minute for each
@pytest.mark.parametrize("suffix", ["onnx", "pt2"])
@pytest.mark.parametrize("name", ["photo-denoise", "photo-denoise-gaussian", "photo-inpaint"])
def test_bundled_models_of_pictures_are_exported(name, suffix, tmp_path):
    assert vaetool.export(name, tmp_path / f"{name}.{suffix}").difference < 1e-4


@pytest.mark.slow  # as others of their kinds
@pytest.mark.parametrize("part", ["encoder", "decoder"])
@pytest.mark.parametrize("name", ["faces", "fashion", "digits", "smiles"])
def test_bundled_models_with_codes_are_exported(name, part, tmp_path):
    assert vaetool.export(name, tmp_path / "half.onnx", part=part).difference < 1e-4


@pytest.mark.slow  # the denoiser takes half a minute
def test_the_exported_denoiser_cleans_a_photograph_as_ours_does(tmp_path, photographs):
    path = tmp_path / "clean.onnx"
    vaetool.export("photo-denoise", path)
    pixels = np.asarray(photographs["flower"].resize((160, 144)), np.float32) / 255
    pixels += np.random.default_rng(0).normal(0, 25 / 255, pixels.shape).astype(np.float32)
    (clean, _) = session(path).run(None, {"picture": batch(pixels)})
    assert np.allclose(
        clean[0].transpose(1, 2, 0), weights.load("photo-denoise", device="cpu").denoise(pixels), atol=1e-4
    )
