"""Every example that a reader could copy is run: those of the README, of guides, tutorials and help pages.

An example is run in a new folder that holds the files it names, made here: whatever ends like a picture is a
photograph, whatever ends in a slash a folder of them, and so on. Blocks fenced as `text` are not run.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaetool import load
from vaetool.cli import app
from vaetool.compression.encode import compress

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8") if README.is_file() else ""
GUIDES = [
    README,
    *(path for folder in ("guide", "tutorials") for path in sorted((ROOT / "docs" / folder).glob("*.md"))),
]

INSTALLATION = ("pip install . && vaetool demo", "pip install '.[test]' && pytest")

# What makes an example short enough for a test, by command.
SHORTER = {"train": ["--set", "training.steps=2", "--set", "training.batch=2", "--set", "training.crops=[64]"]}

# Until it is interrupted; with a state saved at every step.
ENDLESS = ["--set", "training.steps=1000000", "--set", "training.save_minutes=0"]

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff")
PEOPLE = {"anna", "ben"}
DIGITS = {"bad/": "0", "without/": "1"}
"""Of the folders of digits, which each name stands for where they are no photographs; by default all, or 1."""

KINDS = {"a Pillow image": Image.Image, "the bytes": bytes, "an array": np.ndarray}
"""What a comment in a block of Python calls a result, and what that is."""

RESULTS = {"-o", "--output", "--save", "--difference", "--heatmap", "--roc", ">"}
"""What comes after one of these is made by the example."""


@dataclass(frozen=True)
class Example:
    """A command line, and where it is from."""

    source: str
    line: str

    def __str__(self) -> str:
        return f"{self.source}: {self.line}"


@dataclass(frozen=True)
class Block:
    """What stands between two fences; `line` is the number of its first line."""

    language: str
    text: str
    line: int


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a Markdown text, also of indented ones."""
    found = re.finditer(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", text, re.MULTILINE | re.DOTALL)
    return [
        Block(match[2], inspect.cleandoc("\n" + match[3]), text.count("\n", 0, match.start(3)) + 1) for match in found
    ]


def command_lines(block: Block) -> list[str]:
    """What a reader would type: in a `console` block what follows a prompt, in an `sh` block every line."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.language == "console":
        return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return lines if block.language == "sh" else []


def words_of(line: str) -> list[str]:
    """The words of a shell's line, `|`, `<` and `>` among them, without its comment."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|<>")
    lexer.whitespace_split = True
    return list(lexer)


def examples_in_guides() -> list[Example]:
    """Lines, and parts of lines with `&&`, that call `vaetool`, alone or in a pipe."""
    return [
        Example(f"{page.stem} block at line {block.line}", " ".join(part.split()))
        for page in GUIDES
        for block in blocks(page.read_text(encoding="utf-8"))
        for line in command_lines(block)
        for part in line.split("&&")
        if re.search(r"(^|\|)\s*vaetool\s", part)
    ]


def examples_in_help() -> list[Example]:
    """Of every page the lines that begin with `vaetool`, up to the gap before the explanation."""
    pages = {command.callback.__name__: command.callback for command in app.registered_commands}
    pages["vaetool"] = app.registered_callback.callback
    return [
        Example(f"{name} --help", re.split(r"\s{2,}", line)[0])
        for name, page in pages.items()
        for line in inspect.cleandoc(page.__doc__ or "").splitlines()
        if line.startswith("vaetool ")
    ]


@pytest.fixture
def here(
    tmp_path,
    photographs,
    tiny_dae,
    tiny_codec,
    tiny_mae,
    tiny_vae,
    tiny_mmvaes,
    scorer,
    digit_folders,
    write_mnist,
    monkeypatch,
):
    """The current folder; `here(words)` puts the files there that these words name."""
    monkeypatch.chdir(tmp_path)
    folders = (tiny_codec.parent, tiny_mae.parent)  # of the codec of compressed pictures, and of a fast inpainter
    monkeypatch.setenv("VAETOOL_MODELS", os.pathsep.join(map(str, folders)))

    model = tiny_dae
    morphing = False

    def put(word: str) -> None:
        path = tmp_path / word.replace("*", "1")
        if not path.resolve().is_relative_to(tmp_path.resolve()):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / word).is_file():
            shutil.copy(ROOT / word, path)
        elif word.endswith("/") and model in (tiny_vae, scorer):
            shutil.copytree(
                digit_folders / DIGITS.get(word, "" if model is tiny_vae else "1"), path, dirs_exist_ok=True
            )
        elif word.endswith("/") or f"{word}/" in FOLDERS:
            for inside in ("china.jpg", "flower.png", "box/flower.jpg", "china.vae", "part.safetensors"):
                put(f"{word}/{inside}")
        elif path.suffix in PICTURES:
            pictured = (
                portrait()
                if morphing or path.stem in PEOPLE
                else photographs["flower" if "flower" in path.stem else "china"]
            )
            pictured.save(path)
        elif path.suffix == ".vae":
            path.write_bytes(compress(photographs["china"], load(tiny_codec)))
        elif path.suffix == ".zip":
            put("zipped/")
            with zipfile.ZipFile(path, "w") as archive:
                for file in Path("zipped").rglob("*.*"):
                    archive.write(file)
        elif path.suffix == ".csv":
            path.write_text("path,label\nchina.jpg,disc\nflower.png,square\nbox/flower.jpg,square\n")
        elif path.suffix == ".toml":
            path.write_text('kind = "dae"\n[training]\nlr = 1e-3\n')
        elif path.suffix == ".safetensors":
            shutil.copy(model, path)

    def put_all(words: list[str]) -> None:
        nonlocal model, morphing
        morphing = "morph" in words
        model = tiny_vae if {"latent", "morph", "sample"} & set(words) else tiny_dae
        model = scorer if "score" in words else model
        model = next((path for path in tiny_mmvaes.glob("*.safetensors") if path.name in words), model)
        if "torchvision:FashionMNIST" in words and "--root" in words:
            pictures = np.random.default_rng(0).integers(0, 256, (40, 28, 28), np.uint8)
            parts = dict.fromkeys(("train", "t10k"), (pictures, np.arange(40) % 10))
            write_mnist(tmp_path / words[words.index("--root") + 1], "FashionMNIST", parts)
        for before, word in zip(["", *words], words, strict=False):
            if before not in RESULTS and not word.startswith("-"):
                put(word)

    return put_all


def portrait() -> Image.Image:
    """A photo with a face, small."""
    from skimage.data import astronaut

    return Image.fromarray(astronaut()[40:250, 120:330])


def interrupted(words: list[str], python) -> None:
    """Begins the training run that an example goes on with, and stops it as Ctrl-C does."""
    state = Path(words[words.index("-o") + 1]).with_suffix(".state.safetensors")
    process = python("-m", "vaetool", *[word for word in words if word != "--resume"], *SHORTER["train"], *ENDLESS)
    deadline = time.monotonic() + 60
    while not state.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told.decode()


def stopped(words: list[str], python) -> None:
    """Runs what goes on until Ctrl-C, and stops it so, once it has said where its page is."""
    if sys.platform == "win32":
        pytest.skip("Ctrl-C cannot be sent to one process alone")
    process = python("-m", "vaetool", *dict.fromkeys([*words, "--no-browser"]))  # nobody is there to close one
    told = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert (process.returncode, told[:7]) == (130, b"http://"), (told + rest).decode()


def run_here(words: list[str], vaetool, python) -> None:
    """One call of `vaetool` in this process, its streams redirected as the words say."""
    name, *arguments = words
    assert name == "vaetool"
    if arguments[0] == "ui" and "--help" not in arguments:
        stopped(arguments, python)
        return
    stdin, into = b"", None
    for sign in ("<", ">"):
        if sign in arguments:
            at = arguments.index(sign)
            path = Path(arguments[at + 1])
            del arguments[at : at + 2]
            stdin, into = (path.read_bytes(), into) if sign == "<" else (stdin, path)
    if "--resume" in arguments:
        if sys.platform == "win32":
            pytest.skip("Ctrl-C cannot be sent to one process alone")
        interrupted(arguments, python)
    result = vaetool(*arguments, *([] if "--help" in arguments else SHORTER.get(arguments[0], [])), stdin=stdin)
    assert result.exit_code in ({0, 3} if "--fail-on-outlier" in arguments else {0}), result.stderr
    if into is not None:
        into.write_bytes(result.data)


def run_in_shell(line: str, folder: Path) -> None:
    """A pipe, as a shell runs it, with `vaetool` on its path."""
    if sys.platform == "win32":
        pytest.skip("needs a POSIX system")
    programs = folder / ".programs"
    programs.mkdir()
    (programs / "vaetool").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m vaetool "$@"\n')
    (programs / "vaetool").chmod(0o755)
    paths = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    shell = ["bash", "-o", "pipefail", "-c", line]
    done = subprocess.run(shell, cwd=folder, env={**os.environ, **paths}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


EXAMPLES = {example.line: example for example in [*examples_in_help(), *examples_in_guides()]}  # each line once
FOLDERS = {word for line in EXAMPLES for word in line.split() if word.endswith("/")}
"""Also where they are written without the slash, as for `find`."""

TAKE_LONG = {"vaetool export photo-denoise -o denoise.onnx"}


@pytest.mark.parametrize(
    "example",
    [pytest.param(each, marks=[pytest.mark.slow] * (line in TAKE_LONG)) for line, each in EXAMPLES.items()],
    ids=str,
)
def test_an_example_runs(example, here, vaetool, python, tmp_path):
    words = words_of(example.line)
    here(words)
    if "|" in words:
        run_in_shell(example.line, tmp_path)
    else:
        run_here(words, vaetool, python)


def result_is_as_its_comment_says(result: object, comment: str) -> bool:
    """Compares kind and shape, and tells whether the comment says anything of them."""
    kinds = [kind for words, kind in KINDS.items() if words in comment]
    shape = re.search(r"\(\d+(, \d+)*,?\)", comment)
    for kind in kinds:
        assert isinstance(result, kind), comment
    if shape:
        assert np.shape(result) == ast.literal_eval(shape[0]), comment
    return bool(kinds or shape)


@pytest.mark.parametrize("page", [README, ROOT / "docs/guide/python.md"], ids=lambda page: page.name)
def test_the_python_blocks_give_what_their_comments_say(page, here):
    """One after the other and with the same names, as a reader would type them."""
    names: dict[str, object] = {"__name__": "readme"}
    compared = 0
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language != "python":
            continue
        tree, lines = ast.parse(block.text, page.name), block.text.splitlines()
        literals = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        here([value for value in literals if isinstance(value, str)])
        for statement in tree.body:
            comment = lines[statement.end_lineno - 1].partition("  # ")[2]
            ast.increment_lineno(statement, block.line - 1)  # so that a traceback points into the README
            exec(compile(ast.Module([statement], []), str(page), "exec"), names)
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                compared += result_is_as_its_comment_says(names[statement.targets[0].id], comment)
    assert compared > 0


PAGES = [
    README,
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "pretrained").glob("*.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_files_that_are_there(page):
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`(?:[^`]* )?((?:tests|vaetool|benchmarks|pretrained|docs)/[\w./-]+)", text)
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_import_what_is_there(page):
    missing = []
    for block in blocks(page.read_text(encoding="utf-8")):
        for node in ast.walk(ast.parse(block.text if block.language == "python" else "")):
            if isinstance(node, ast.Import | ast.ImportFrom):
                try:
                    exec(ast.unparse(node), {})
                except ImportError as error:
                    missing.append(str(error))
    assert missing == []


@pytest.mark.parametrize("command", INSTALLATION)
def test_the_readme_says_how_to_install(command):
    assert command in [line for block in blocks(TEXT) for line in block.text.splitlines()]


def test_the_readme_fits_in_a_few_screens():
    assert len(TEXT.splitlines()) <= 150


@pytest.mark.parametrize("command", [command.callback.__name__ for command in app.registered_commands])
def test_the_readme_names_every_command(command):
    assert f"vaetool {command}" in TEXT
