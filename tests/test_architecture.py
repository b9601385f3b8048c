"""The rules that keep the house in order: who imports whom, what starts fast, what is never used, what is documented.

Most of it is read off the sources, so that an import inside a function counts like one at the top.
"""

from __future__ import annotations

import ast
import graphlib
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import vaetool

ROOT = Path(vaetool.__file__).parent
LONGEST = 350

# From the top down. A name stands for a module, or for a package with all that is in it unless that has its own place.
# Imports point downwards or stay within a layer, and never in a circle.
LAYERS = [
    {"vaetool.__main__"},
    {"vaetool.cli"},
    {"vaetool"},  # the public names, all of which are from further down
    {"vaetool.batch", "vaetool.console", "vaetool.planning"},
    {"vaetool.demo"},  # every task once
    {
        "vaetool.decompression",
        "vaetool.denoising",
        "vaetool.detection",
        "vaetool.estimator",
        "vaetool.exploration",
        "vaetool.inpainting",
        "vaetool.morphing",
        "vaetool.sampling",
        "vaetool.training",
    },
    {"vaetool.weights"},
    {"vaetool.models"},
    {"vaetool.models.base", "vaetool.models.blocks"},
    {"vaetool.compression"},  # with whatever codec it is given, so that a codec can offer it
    {"vaetool.latent", "vaetool.scoring"},  # codes, and pictures, as numbers; with whatever model is given
    {
        "vaetool.animation",
        "vaetool.conversion",
        "vaetool.noise",
        "vaetool.defects",
        "vaetool.entropy",
        "vaetool.filling",
        "vaetool.holes",
        "vaetool.likelihoods",
        "vaetool.mask_folder",
        "vaetool.masks",
        "vaetool.metrics",
        "vaetool.shapes",
        "vaetool.tiling",
    },
    {"vaetool.images", "vaetool.inputs", "vaetool.catalogue", "vaetool.headers"},
    {"vaetool.files"},
    {"vaetool.errors"},
]

WITHOUT_TORCH = ("images", "batch", "console", "errors", "files", "inputs", "planning", "catalogue", "headers")
WITHOUT_TORCH += ("entropy.container", "compression", "decompression")

LONG_FOR_A_REASON = {
    "vaetool.images": "one place for all silent losses of file formats",
}

FORBIDDEN_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "torch.load", "torch.save", "torch.hub.load"}
FORBIDDEN_ARGUMENTS = {"allow_pickle", "weights_only"}


def name_of(path: Path) -> str:
    parts = ("vaetool", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in SOURCES.items()}

every_module = pytest.mark.parametrize("module", SOURCES)


def nodes_that_run(tree: ast.AST) -> Iterator[ast.AST]:
    """All of a module but what stands under `if TYPE_CHECKING`, which only type checkers read."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            continue
        yield node
        yield from nodes_that_run(node)


def imported_names(module: str) -> Iterator[str]:
    """Full names, as in `torch.nn` or `vaetool.batch.run`."""
    for node in nodes_that_run(TREES[module]):
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


def layer(module: str) -> int:
    """The place in `LAYERS` of the longest name there that the module's begins with."""
    # "vaetool" is the module alone: a new one at the top level has to be given a place.
    fitting = {
        name: place
        for place, names in enumerate(LAYERS)
        for name in names
        if module == name or (name != "vaetool" and module.startswith(f"{name}."))
    }
    assert fitting, f"{module} has no place in LAYERS"
    return fitting[max(fitting, key=len)]


# Who imports whom


@every_module
def test_imports_point_downwards(module):
    upwards = [name for name, source in own_imports(module) if layer(source) < layer(module)]
    assert upwards == []


def test_imports_make_no_circle():
    # `vaetool` itself is left out: importing any of its modules imports it, and it imports nothing but errors then.
    graph = {module: {source for _, source in own_imports(module)} - {module, "vaetool"} for module in SOURCES}
    order = graphlib.TopologicalSorter(graph).static_order()  # raises CycleError, naming the circle
    assert set(order) >= set(graph)


def test_the_tables_of_this_test_name_what_exists():
    names = {name for names in LAYERS for name in names} | LONG_FOR_A_REASON.keys()
    assert names <= SOURCES.keys()


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


@pytest.mark.parametrize("line", ["--help", "--version", "denoise --help", "compress --help", "train --help", "models"])
def test_help_imports_nothing_heavy(python, line):
    code = "import sys; from vaetool.cli import main; assert main(sys.argv[1:]) == 0"
    found = imported_by(python, code, *line.split())
    assert not {"torch", "torchvision", "sklearn", "scipy", "numpy", "PIL", "matplotlib"} & found


# What is never used


@every_module
def test_nothing_unpickles_or_runs_text(module):
    found = [name for name in imported_names(module) if FORBIDDEN_MODULES & set(name.split("."))]
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in FORBIDDEN_CALLS:
            found.append(f"line {node.lineno}: {ast.unparse(node.func)}()")
        if isinstance(node, ast.keyword) and node.arg in FORBIDDEN_ARGUMENTS:
            found.append(f"line {node.lineno}: {node.arg}=")
    found += FORBIDDEN_CALLS & set(imported_names(module))
    assert found == []


# What is documented


@every_module
def test_every_module_says_what_it_is(module):
    assert ast.get_docstring(TREES[module])


@every_module
def test_public_functions_and_classes_have_docstrings(module):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    public = [node for node in TREES[module].body if isinstance(node, kinds) and not node.name.startswith("_")]
    assert [node.name for node in public if not ast.get_docstring(node)] == []


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
