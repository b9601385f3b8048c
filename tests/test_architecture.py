"""The rules that keep the house in order: who imports whom, what starts fast, what is never used, what is documented.

Most of it is read off the sources, so that an import inside a function counts like one at the top.
"""

from __future__ import annotations

import ast
import graphlib
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import vaetool

ROOT = Path(vaetool.__file__).parent
LONGEST = 350

# From the top down: folders, and modules beside them. Imports point downwards or stay within a folder, and never in a
# circle; a job does not import another, but for `ALLOWED`.
LAYERS = [
    {"__main__"},
    {"cli"},
    {"ui"},
    {""},  # the public names, all of which are from further down
    {"demo", "estimator", "pillow", "public"},
    {"training", "exporting"},
    {"denoising", "inpainting", "compression", "latents", "scoring"},
    {"store"},
    {"nn"},
    {"images"},
    {"files"},
    {"errors", "progress"},
]
ALLOWED = {
    ("inpainting", "denoising"),  # a denoiser's weights are a good start
    ("latents", "scoring"),  # a VAE scores
    ("exporting", ""),  # the version, which a file names
}
WITHOUT_TORCH = ("files", "store.headers", "store.catalogue", "errors", "compression.container", "compression.encode")
WITHOUT_TORCH += ("compression.decode", "images.picture", "images.formats", "images.reading", "images.writing")
WITHOUT_TORCH += ("images.comparison", "cli.compare", "pillow")

LONG_FOR_A_REASON: dict[str, str] = {}

FORBIDDEN_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "torch.load", "torch.save", "torch.hub.load"}
FORBIDDEN_ARGUMENTS = {"allow_pickle", "weights_only"}


def name_of(path: Path) -> str:
    parts = ("vaetool", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in SOURCES.items()}

every_module = pytest.mark.parametrize("module", SOURCES)


def imported_names(module: str) -> Iterator[str]:
    """Full names, as in `torch.nn` or `vaetool.batch.run`."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} line {node.lineno}: imports are written out in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(module: str) -> Iterator[tuple[str, str]]:
    """Of this package: the full name, and the module that it is in."""
    for name in imported_names(module):
        if name.partition(".")[0] == "vaetool":
            yield name, name if name in SOURCES else name.rpartition(".")[0]


def room(module: str) -> str:
    """The folder of a module, or the module itself beside the folders: "" is `vaetool`."""
    return ".".join(module.split(".")[1:2])


def layer(name: str) -> int:
    """The place of a room in `LAYERS`."""
    found = [place for place, names in enumerate(LAYERS) if name in names]
    assert found, f"{name} has no place in LAYERS"
    return found[0]


# Who imports whom


@every_module
def test_imports_point_downwards(module):
    here = room(module)
    wrong = [
        name
        for name, source in own_imports(module)
        if (there := room(source)) != here and layer(there) <= layer(here) and (here, there) not in ALLOWED
    ]
    assert wrong == []


@pytest.mark.parametrize("key", [lambda module: module, room], ids=["modules", "rooms"])
def test_imports_make_no_circle(key):
    """Also under `TYPE_CHECKING`. `vaetool` itself is left out: it imports what it names when that is asked for."""
    graph: dict[str, set[str]] = {}
    for module in SOURCES:
        found = {key(source) for _, source in own_imports(module)} - {key(module), "vaetool", ""}
        graph.setdefault(key(module), set()).update(found)
    order = graphlib.TopologicalSorter(graph).static_order()  # raises CycleError, naming the circle
    assert set(order) >= set(graph)


def test_the_tables_of_this_test_name_what_exists():
    rooms = {room(module) for module in SOURCES}
    assert {name for names in LAYERS for name in names} == rooms
    assert LONG_FOR_A_REASON.keys() <= SOURCES.keys()


def test_the_page_for_contributors_shows_the_layers():
    page = (ROOT.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    shown = [set(re.findall(r"`([a-z_]+)/?`", cell)) for cell in table]
    assert shown == [names for names in LAYERS if names not in ({"__main__"}, {""})]


# What starts fast


def imported_by(python, code: str, *arguments: str) -> set[str]:
    """The top-level modules that are there after running `code` in a new process."""
    process = python("-c", f"{code}\nimport sys; print('\\n' + ' '.join(sys.modules))", *arguments)
    out, words = process.communicate(timeout=60)
    assert process.returncode == 0, words.decode()
    return {name.partition(".")[0] for name in out.decode().splitlines()[-1].split()}


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_what_handles_files_and_words_names_no_torch(name):
    heavy = {"torch", "torchvision"}
    assert not heavy & {imported.partition(".")[0] for imported in imported_names(f"vaetool.{name}")}


def test_what_handles_files_and_words_imports_no_torch(python):
    code = f"import {', '.join(f'vaetool.{name}' for name in WITHOUT_TORCH)}"
    assert not {"torch", "torchvision", "sklearn"} & imported_by(python, code)


def test_the_package_alone_imports_nothing_heavy(python):
    assert not {"torch", "numpy", "PIL", "sklearn", "typer", "rich"} & imported_by(python, "import vaetool")


@pytest.mark.parametrize(
    "line", ["--help", "--version", "denoise --help", "compress --help", "train --help", "ui --help", "models"]
)
def test_help_imports_nothing_heavy(python, line):
    code = "import sys; from vaetool.cli import main; assert main(sys.argv[1:]) == 0"
    found = imported_by(python, code, *line.split())
    assert not {"torch", "torchvision", "sklearn", "scipy", "numpy", "PIL", "matplotlib"} & found


# What is never used


# The weights of the backbone come as tensors in a pickle: the only file read so, after its checksum, with no objects.
CHECKED_PICKLES = {"vaetool.nn.backbone": {"torch.load()", "weights_only="}}


@every_module
def test_nothing_unpickles_or_runs_text(module):
    found = [name for name in imported_names(module) if FORBIDDEN_MODULES & set(name.split("."))]
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in FORBIDDEN_CALLS:
            found.append(f"line {node.lineno}: {ast.unparse(node.func)}()")
        if isinstance(node, ast.keyword) and node.arg in FORBIDDEN_ARGUMENTS:
            found.append(f"line {node.lineno}: {node.arg}=")
    found += FORBIDDEN_CALLS & set(imported_names(module))
    assert {each.rpartition(": ")[2] for each in found} == CHECKED_PICKLES.get(module, set())


# What is documented


@every_module
def test_every_module_says_what_it_is(module):
    assert ast.get_docstring(TREES[module])


@every_module
def test_public_functions_and_classes_have_docstrings(module):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    public = [node for node in TREES[module].body if isinstance(node, kinds) and not node.name.startswith("_")]
    own = [node for node in public if "overload" not in map(ast.unparse, node.decorator_list)]
    assert [node.name for node in own if not ast.get_docstring(node)] == []


@every_module
def test_public_methods_have_docstrings_of_their_own_or_inherited(module):
    if module == "vaetool.__main__":
        return  # importing it runs the command
    classes = [
        item
        for item in vars(importlib.import_module(module)).values()
        if inspect.isclass(item) and item.__module__ == module and not item.__name__.startswith("_")
    ]
    methods = {
        f"{item.__name__}.{name}": getattr(item, name)
        for item in classes
        for name, value in vars(item).items()
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, (property, classmethod)))
    }
    assert [name for name, method in methods.items() if not inspect.getdoc(method)] == []


# A docstring says what a thing does or is, in a sentence or a noun phrase: no fragment that only the code completes.
FRAGMENTS = ("Of ", "What ", "Such ", "Those ", "How ", "Which ")


@pytest.mark.parametrize("module", SOURCES)
def test_no_docstring_begins_with_a_fragment(module):
    texts = [
        node.value.value
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    assert [text for text in texts if text.startswith(FRAGMENTS)] == []


# The public names


def test_the_public_names_are_sorted_and_there():
    assert vaetool.__all__ == sorted(vaetool.__all__)
    assert [name for name in vaetool.__all__ if not hasattr(vaetool, name)] == []


def test_nothing_else_is_public():
    """What `import vaetool` alone gives, besides its own modules."""
    machinery = {"Any", "TYPE_CHECKING", "annotations", "importlib"}
    there = {name for name in vars(vaetool) if not name.startswith("_") and f"vaetool.{name}" not in SOURCES}
    assert there - machinery <= set(vaetool.__all__)
    assert dir(vaetool) == vaetool.__all__


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'inpant'"):
        vaetool.inpant  # noqa: B018


# Short enough to read in one sitting


@every_module
def test_a_module_is_short_or_has_a_reason(module):
    lines = len(SOURCES[module].read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST or module in LONG_FOR_A_REASON


@pytest.mark.parametrize("module", LONG_FOR_A_REASON)
def test_what_is_excused_for_its_length_is_long(module):
    assert len(SOURCES[module].read_text(encoding="utf-8").splitlines()) > LONGEST
