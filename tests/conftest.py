"""Shared fixtures: photos, and the command itself, in this process or as a real one. No heavy import at the top."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Ctrl-C is tested, and a test run in the background inherits that it is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Test workers share the cores: threads that spin against each other's make everything many times slower.
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if _WORKERS > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // _WORKERS)))

# What the surroundings of a test run could change about the output.
_PLAIN = {"NO_COLOR": "1", "TERM": "dumb", "_TYPER_FORCE_DISABLE_TERMINAL": "1", "COLUMNS": "120"}
_UNWANTED = ("FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "VAETOOL_MODELS")
os.environ.update(_PLAIN)
for _name in [name for name in os.environ if name in _UNWANTED or name.startswith("SLURM_")]:
    del os.environ[_name]


@dataclass(frozen=True)
class Result:
    """How a run of the command ended and what it said; `stdout` is text, `data` the same as bytes."""

    exit_code: int
    data: bytes
    stderr: str

    @property
    def stdout(self) -> str:
        return self.data.decode()


Run = Callable[..., Result]


@pytest.fixture
def vaetool(monkeypatch: pytest.MonkeyPatch) -> Run:
    """`vaetool("denoise", path, ..., stdin=b"")` in this process: fast, and the same `main` as the command's."""
    from vaetool.cli import main

    def call(*arguments: object, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Result:
        out, words = io.BytesIO(), io.StringIO()
        stdout = io.TextIOWrapper(out, encoding="utf-8", write_through=True)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(words):
                code = main([str(argument) for argument in arguments])
        stdout.flush()
        return Result(code, out.getvalue(), words.getvalue())

    return call


@pytest.fixture(scope="session")
def python() -> Callable[..., subprocess.Popen[bytes]]:
    """Starts `python ARGUMENTS` from any folder with the package importable; stdin, stdout and stderr are pipes."""

    def start(*arguments: object, env: Mapping[str, str] | None = None, **options: object) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        settings: dict = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "env": {**os.environ, "PYTHONPATH": path, **(env or {})},
            **options,
        }
        return subprocess.Popen([sys.executable, *map(os.fspath, map(str, arguments))], **settings)

    return start


@pytest.fixture(scope="session")
def vaetool_process(python: Callable[..., subprocess.Popen[bytes]]) -> Run:
    """Like `vaetool`, as a real process: `python -m vaetool ...`."""

    def call(*arguments: object, stdin: bytes = b"", **options: object) -> Result:
        with python("-m", "vaetool", *arguments, **options) as process:
            try:
                data, words = process.communicate(stdin, timeout=120)
            except BaseException:
                process.kill()  # or it would run on beside the tests that follow
                raise
        return Result(process.returncode, data, words.decode())

    return call


@pytest.fixture(scope="session")
def photographs() -> dict[str, Any]:
    """Two real photographs as small Pillow images, `china` and `flower`: 160 x 107 pixels, RGB."""
    from tests.photographs import small_photographs

    return small_photographs()


@pytest.fixture
def photos(tmp_path: Path, photographs: dict[str, object]) -> list[Path]:
    """Three photos in `tmp_path`: china.jpg, flower.png, and grey.png without colours. Sorted by name."""
    from PIL import Image

    china, flower = photographs["china"], photographs["flower"]
    assert isinstance(china, Image.Image)
    assert isinstance(flower, Image.Image)
    china.save(tmp_path / "china.jpg", quality=95)
    flower.save(tmp_path / "flower.png")
    flower.convert("L").save(tmp_path / "grey.png", icc_profile=None)
    return [tmp_path / name for name in ("china.jpg", "flower.png", "grey.png")]


@pytest.fixture(scope="session")
def tiny_dae() -> Path:
    """A small but really trained denoiser, for tests in which it matters that one works, not how well."""
    return ROOT / "tests" / "denoising" / "tiny-dae.safetensors"


@pytest.fixture(scope="session")
def tiny_codec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small codec, alone in its folder. It is not trained: a plain transform codec, as every codec begins."""
    import torch

    from vaetool.compression.codec import Codec, CodecConfig
    from vaetool.store import weights

    with torch.random.fork_rng():
        torch.manual_seed(0)
        codec = Codec(CodecConfig(latent=32, hyper=8, encoder_blocks=1, decoder_blocks=1, prior_width=16))
    path = tmp_path_factory.mktemp("codecs") / "tiny-codec.safetensors"
    weights.save(path, codec, {"data": []})
    return path


@pytest.fixture(scope="session")
def tiny_mae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small inpainter. It is not trained, but adds something to the smooth filling of a hole."""
    import torch

    from vaetool.inpainting.mae import MAE, MAEConfig
    from vaetool.store import weights

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MAE(MAEConfig(widths=(8, 8, 8), blocks=1, dilations=(1, 2)))
        torch.nn.init.normal_(model.unet.tail.weight, std=0.01)
    path = tmp_path_factory.mktemp("inpainters") / "photo-inpaint.safetensors"
    weights.save(path, model, {"data": []})
    return path


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two sub-folders, `disc` and `square`, of sixty grey pictures of 16 x 16 pixels each."""
    import random

    from PIL import Image, ImageDraw

    folder = tmp_path_factory.mktemp("shapes")
    generator = random.Random(0)
    for label, method in (("disc", "ellipse"), ("square", "rectangle")):
        (folder / label).mkdir()
        for number in range(60):
            picture = Image.new("L", (16, 16), generator.randint(0, 60))
            left, top, side = generator.randint(1, 4), generator.randint(1, 4), generator.randint(8, 10)
            box = (left, top, left + side, top + side)
            getattr(ImageDraw.Draw(picture), method)(box, fill=generator.randint(150, 255))
            picture.save(folder / label / f"{number:02}.png")
    return folder


@pytest.fixture
def write_mnist() -> Callable[..., None]:
    """A function that writes a data set as torchvision looks for MNIST and FashionMNIST.

    It takes the root, the name, and for `train` and `t10k` the pictures, (count, 28, 28) uint8, and their labels.
    """
    import numpy as np

    def write_idx(path: Path, values: Any) -> None:
        sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
        path.write_bytes(bytes([0, 0, 8, values.ndim]) + sizes + values.astype(np.uint8).tobytes())

    def write(root: Path, name: str, parts: dict[str, tuple[Any, Any]]) -> None:
        raw = root / name / "raw"
        raw.mkdir(parents=True)
        for part, (pictures, labels) in parts.items():
            write_idx(raw / f"{part}-images-idx3-ubyte", np.asarray(pictures))
            write_idx(raw / f"{part}-labels-idx1-ubyte", np.asarray(labels))

    return write


@pytest.fixture(scope="session")
def tiny_autoencoders(tmp_path_factory: pytest.TempPathFactory, shapes: Path) -> Path:
    """A folder with `tiny-vae.safetensors` and `tiny-ae.safetensors`, trained on the shapes for a second or two."""
    import torch

    from vaetool import train

    folder = tmp_path_factory.mktemp("autoencoders")
    settings = ["model.channels=1", "model.size=16", "model.latent=6", "model.widths=[8, 16]", "model.blocks=[0, 0]"]
    settings += ["model.decoder_widths=[16, 8]", "training.steps=200", "training.batch=16", "training.lr=0.005"]
    settings += ["training.validations=2", "training.ema=0.9", "data.held_out=0.2", "data.calibration=0.0"]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # faster for networks this small
    for kind in ("vae", "ae"):
        train(kind, shapes, output=folder / f"tiny-{kind}.safetensors", settings=settings, device="cpu")
    torch.set_num_threads(threads)
    return folder


@pytest.fixture(scope="session")
def tiny_gan(tmp_path_factory: pytest.TempPathFactory, shapes: Path) -> Path:
    """A small GAN of the shapes, trained for some seconds."""
    import torch

    from vaetool import train

    path = tmp_path_factory.mktemp("gans") / "tiny-gan.safetensors"
    settings = ["model.channels=1", "model.size=16", "model.latent=6", "model.widths=[8, 16]", "model.blocks=[0, 0]"]
    settings += ["training.steps=300", "training.batch=16", "training.lr=0.003", "training.validations=2"]
    settings += ["training.ema=0.9", "training.warmup_steps=10", "training.bf16=false", "data.held_out=0.2"]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    train("gan", shapes, output=path, settings=settings, device="cpu")
    torch.set_num_threads(threads)
    return path


@pytest.fixture(scope="session")
def digit_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the folders `0`, `1` and `2`, of 24 grey pictures of handwritten digits each, 16 pixels a side."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    folder = tmp_path_factory.mktemp("digits")
    digits = load_digits()
    for label in (0, 1, 2):
        (folder / str(label)).mkdir()
        for number, values in enumerate(digits.images[digits.target == label][:24]):
            pixels = np.kron(values / 16 * 255, np.ones((2, 2))).astype(np.uint8)
            Image.fromarray(pixels).save(folder / str(label) / f"{number:02}.png")
    return folder


@pytest.fixture(scope="session")
def tiny_vae(tmp_path_factory: pytest.TempPathFactory, digit_folders: Path) -> Path:
    """A small VAE of those digits, trained for a second, that knows the directions `0`, `1` and `2`.

    It knows no usual error, so that it takes any picture.
    """
    import torch

    from vaetool.latents.directions import named_directions
    from vaetool.latents.vae import VAE, Binarisation, VAEConfig
    from vaetool.store import weights

    paths = sorted(digit_folders.rglob("*.png"))
    shape = {"widths": (8, 16), "blocks": (0, 0), "decoder_widths": (16, 8)}
    config = VAEConfig(channels=1, size=16, latent=4, likelihood="bernoulli", **shape)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = VAE(config)
    clean = torch.stack([model.prepare(path) for path in paths])
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    generator = torch.Generator().manual_seed(0)
    for _ in range(60):
        optimizer.zero_grad()
        model.loss(model.corrupt(clean, generator, Binarisation()))["loss"].backward()
        optimizer.step()
    codes = model.eval().encode(paths)
    model.keep_spread(codes)
    model.keep_directions(named_directions(codes, [path.parent.name for path in paths]))
    file = tmp_path_factory.mktemp("vaes") / "tiny-vae.safetensors"
    weights.save(file, model, {"data": []})
    return file


@pytest.fixture(scope="session")
def scorer(tmp_path_factory: pytest.TempPathFactory, tiny_vae: Path, digit_folders: Path) -> Path:
    """The small VAE of digits, calibrated with 72 pictures."""
    from vaetool import load
    from vaetool.scoring import detection
    from vaetool.store import weights

    model = load(tiny_vae, device="cpu")
    detection.calibrate(model, sorted(digit_folders.rglob("*.png")))
    path = tmp_path_factory.mktemp("scorers") / "scorer.safetensors"
    weights.save(path, model, {"data": []})
    return path


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `photos`, colour pictures of a disc or a square, `masks` of the same names, and `labels.csv`."""
    import random

    from PIL import Image, ImageDraw

    folder = tmp_path_factory.mktemp("pairs")
    generator = random.Random(0)
    rows = ["path,label"]
    for name in ("photos", "masks"):
        (folder / name).mkdir()
    for number in range(120):
        label, method = generator.choice([("disc", "ellipse"), ("square", "rectangle")])
        photo, mask = Image.new("RGB", (16, 16), (generator.randint(0, 60),) * 3), Image.new("L", (16, 16))
        left, top, side = generator.randint(1, 4), generator.randint(1, 4), generator.randint(7, 10)
        box = (left, top, left + side, top + side)
        colour = (generator.randint(150, 255), generator.randint(0, 255), 90 if label == "disc" else 220)
        getattr(ImageDraw.Draw(photo), method)(box, fill=colour)
        getattr(ImageDraw.Draw(mask), method)(box, fill=255)
        photo.save(folder / "photos" / f"{number:03}.png")
        mask.save(folder / "masks" / f"{number:03}.png")
        rows.append(f"{number:03}.png,{label}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="session")
def tiny_mmvaes(tmp_path_factory: pytest.TempPathFactory, pairs: Path) -> Path:
    """A folder with `pair`, a multimodal VAE of photos and masks, and `labelled`, one of photos and labels."""
    import torch

    from vaetool import train

    folder = tmp_path_factory.mktemp("mmvaes")
    settings = ["model.size=16", "model.latent=10", "model.private=3", "model.widths=[8, 16]", "model.blocks=[0, 0]"]
    settings += ["training.steps=200", "training.batch=16", "training.lr=0.01", "training.validations=1"]
    settings += ["training.ema=0.9", "training.warmup_steps=10", "data.held_out=0.1"]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # faster for networks this small
    for name, data, labels in (
        ("pair", [pairs / "photos", pairs / "masks"], None),
        ("labelled", [pairs / "photos"], str(pairs / "labels.csv")),
    ):
        output = folder / f"{name}.safetensors"
        train("mmvae", data, output=output, settings=settings, labels=labels, device="cpu")
    torch.set_num_threads(threads)
    return folder
