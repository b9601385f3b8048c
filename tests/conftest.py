"""Shared fixtures: photos, and the command itself, in this process or as a real one. No heavy import at the top."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Ctrl-C is tested, and a test run in the background inherits that it is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

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
        process = python("-m", "vaetool", *arguments, **options)
        data, words = process.communicate(stdin, timeout=120)
        return Result(process.returncode, data, words.decode())

    return call


@pytest.fixture(scope="session")
def photographs() -> dict[str, object]:
    """Two real photographs as small Pillow images, `china` and `flower`: 160 x 107 pixels, RGB."""
    from PIL import Image

    spec = importlib.util.find_spec("sklearn")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "datasets" / "images"
    found: dict[str, object] = {}
    for name in ("china", "flower"):
        with Image.open(folder / f"{name}.jpg") as image:
            found[name] = image.convert("RGB").resize((160, 107), Image.Resampling.LANCZOS)
    return found


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
    return ROOT / "tests" / "models" / "tiny-dae.safetensors"


@pytest.fixture(scope="session")
def tiny_codec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small codec, alone in its folder. It is not trained: a plain transform codec, as every codec begins."""
    import torch

    from vaetool import weights
    from vaetool.models.codec import Codec, CodecConfig

    with torch.random.fork_rng():
        torch.manual_seed(0)
        codec = Codec(CodecConfig(latent=32, hyper=8, encoder_blocks=1, decoder_blocks=1, prior_width=16))
    path = tmp_path_factory.mktemp("codecs") / "tiny-codec.safetensors"
    weights.save(path, codec, {"data": []})
    return path
