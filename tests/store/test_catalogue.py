"""Which models there are: names are found in order, and the bundled ones are complete, from any kind of install."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from vaetool.errors import ModelNotFoundError, WeightsError
from vaetool.store import catalogue, weights
from vaetool.store.kinds import KINDS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def original(tiny_dae, tmp_path_factory) -> Path:
    """A good model file, small.safetensors, in a folder of its own."""
    return Path(shutil.copy(tiny_dae, tmp_path_factory.mktemp("model") / "small.safetensors"))


@pytest.fixture
def folders(tmp_path, monkeypatch) -> dict[str, Path]:
    """The three kinds of search folders, empty, in place of the real ones."""
    found = {name: tmp_path / name for name in ("environment", "user", "bundled")}
    for folder in found.values():
        folder.mkdir()
    monkeypatch.setenv("VAETOOL_MODELS", str(found["environment"]))
    monkeypatch.setattr("vaetool.store.catalogue.user_folder", lambda: found["user"])
    monkeypatch.setattr("vaetool.store.catalogue.bundled_folder", lambda: found["bundled"])
    return found


def bundle(folder: Path, name: str, file: Path, *figures: str, flags: tuple[str, ...] = ()) -> None:
    """Runs the maintainers' script as they do, but for another folder. Raises SystemExit where it fails."""
    script = runpy.run_path(str(ROOT / "pretrained" / "bundle.py"))
    options = ["--summary", "a small one", "--licence", "CC0-1.0", "--data", "photos-a", "photos-b", "--folder", folder]
    figure_options = [word for figure in figures for word in ("--figure", figure)]
    script["main"]([str(word) for word in (name, file, *options, *figure_options, *flags)])


@pytest.fixture(scope="module")
def bundled_once(original, tmp_path_factory) -> Path:
    """A folder with one bundled model, `small`, complete with recipe and card."""
    folder = tmp_path_factory.mktemp("bundled")
    bundle(folder, "small", original, "CBSD68 PSNR, sigma 15=30.5", "PSNR at sigma=25=27")
    (folder / "small.toml").write_text('kind = "dae"\n')
    (folder / "small.md").write_text("# A small model\n")
    return folder


@pytest.fixture
def bundled(bundled_once, folders) -> Path:
    """The folder of bundled models, with `small` in it, to do with as one likes."""
    shutil.copytree(bundled_once, folders["bundled"], dirs_exist_ok=True)
    return folders["bundled"]


# Names


def test_names_are_found_in_the_environments_folder_then_the_users_then_the_bundled(folders, original):
    for folder in reversed(folders.values()):
        shutil.copy(original, folder / "small.safetensors")
        assert weights.find("small") == folder / "small.safetensors"
        assert weights.list_models() == {"small": folder / "small.safetensors"}


def test_a_path_wins_over_a_name(folders, original, tmp_path, monkeypatch):
    shutil.copy(original, folders["user"] / "small.safetensors")
    monkeypatch.chdir(tmp_path)
    Path("small").mkdir()
    assert weights.find("small") == folders["user"] / "small.safetensors"  # a folder of that name is no model
    Path("small").rmdir()
    shutil.copy(original, "small")
    assert weights.find("small") == Path("small")


def test_several_folders_can_be_named_in_the_environment(folders, original, tmp_path, monkeypatch):
    monkeypatch.setenv("VAETOOL_MODELS", os.pathsep.join([str(tmp_path / "none"), str(original.parent)]))
    assert weights.find("small") == original
    assert weights.search_folders()[:2] == [tmp_path / "none", original.parent]


def test_the_state_of_a_training_run_is_not_listed(folders, original):
    shutil.copy(original, folders["user"] / "small.state.safetensors")
    assert weights.list_models() == {}


def test_an_unknown_name_tells_close_ones(folders, original):
    shutil.copy(original, folders["user"] / "photo-denoise.safetensors")
    with pytest.raises(ModelNotFoundError, match=r"no model 'photo-denoize': did you mean photo-denoise\?"):
        weights.find("photo-denoize")
    with pytest.raises(ModelNotFoundError, match="`vaetool models` lists"):
        weights.find("xyz")


@pytest.mark.parametrize("name", ["gone.safetensors", "models/gone", "no\0name", ""])
def test_a_path_that_leads_nowhere_is_no_model(folders, name):
    with pytest.raises(ModelNotFoundError):
        weights.load(name)


# What is known of a model


def test_finding_and_describing_needs_nothing_heavy(python, original):
    code = (
        "import sys; from vaetool.store import catalogue; catalogue.describe(sys.argv[1]); catalogue.list_models(); "
        "sys.exit(str({'torch', 'numpy', 'sklearn', 'safetensors'} & set(sys.modules)))"
    )
    _, words = python("-c", code, original).communicate(timeout=60)
    assert words.decode().strip() == "set()"


def test_a_bundled_model_is_described_by_its_header_its_manifest_and_its_card(bundled):
    facts = catalogue.describe("small")
    assert facts.keys() >= {
        "kind",
        "config",
        "parameters",
        "training",
        "licence",
        "summary",
        "figures",
        "sha256",
        "data",
    }
    assert (facts["name"], facts["where"], facts["card"]) == ("small", "bundled", "# A small model\n")
    assert facts["figures"] == {"CBSD68 PSNR, sigma 15": 30.5, "PSNR at sigma=25": 27.0}
    assert json.dumps(facts)


def test_the_manifest_does_not_speak_of_a_users_model_of_the_same_name(bundled, folders, original):
    shutil.copy(original, folders["user"] / "small.safetensors")
    assert "figures" not in catalogue.describe("small")
    assert [catalogue.describe(path)["where"] for path in (original, weights.find("small"))] == ["file", "user folder"]


def test_a_damaged_manifest_is_one_error_that_names_it(bundled):
    for text in ("{", "[]", '{"small": 1}', "[" * 100_000):
        (bundled / "manifest.json").write_text(text)
        with pytest.raises(WeightsError, match=f"{bundled / 'manifest.json'}: "):
            catalogue.describe("small")


# Are the bundled ones intact?


def problems(*names: str) -> dict[str, str]:
    return {path.name: problem for path, problem in catalogue.verify(names).items() if problem}


def test_a_complete_model_has_no_problem(bundled):
    assert {path.name for path in catalogue.verify()} == {"small.safetensors", "small.toml", "small.md"}
    assert problems() == problems("small") == {}


@pytest.mark.parametrize("name", ["small.safetensors", "small.toml", "small.md"])
def test_a_missing_file_is_a_problem(bundled, name):
    (bundled / name).unlink()
    assert problems() == {name: "missing"}


def test_weights_that_were_changed_are_a_problem(bundled):
    path = bundled / "small.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert problems() == {"small.safetensors": "changed: its SHA-256 is not the one listed"}
    path.write_bytes(data[:-1])
    assert problems() == {"small.safetensors": f"has {len(data) - 1} bytes, {len(data)} are listed"}


@pytest.mark.parametrize(
    ("change", "problem"),
    [({"kind": "vae"}, "is a dae, listed as a vae"), ({"file": "a.safetensors"}, "listed in manifest.json as 'a.safe")],
)
def test_an_entry_that_says_something_else_is_a_problem(bundled, change, problem):
    entries = catalogue.manifest()
    (bundled / "manifest.json").write_text(json.dumps({"small": entries["small"] | change}))
    assert problems()["small.safetensors"].startswith(problem)


def test_files_that_are_not_listed_are_a_problem(bundled):
    (bundled / "LOG.md").touch()
    (bundled / "planned.toml").touch()  # a recipe can wait for its weights
    for name in ("more.safetensors", "more.md"):
        (bundled / name).touch()
    assert problems() == dict.fromkeys(("more.safetensors", "more.md"), "not listed in manifest.json")
    assert problems("small") == {}


def test_only_listed_models_can_be_verified_by_name(bundled):
    with pytest.raises(ModelNotFoundError, match="did you mean small"):
        catalogue.verify(["smal"])


def test_the_models_of_this_version_are_complete_and_as_listed():
    assert problems() == {}
    for name, entry in catalogue.manifest().items():
        keys = {"file", "kind", "sha256", "bytes", "licence", "summary", "data", "figures"}
        keys |= {"id"} if entry["kind"] == "codec" else set()
        assert (name, entry.keys()) == (name, keys)
        assert entry["kind"] in KINDS


# Bundling one


def test_a_codec_that_files_need_is_not_replaced(tmp_path, tiny_codec):
    bundle(tmp_path, "mine", tiny_codec)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["mine"]["id"] == weights.load(tmp_path / "mine.safetensors", device="cpu").identity.hex()
    with pytest.raises(SystemExit):
        bundle(tmp_path, "mine", tiny_codec)


def test_bundling_halves_the_precision_and_leaves_the_recipe_out(bundled, original):
    header = weights.read_header(bundled / "small.safetensors")
    assert set(header.dtypes.values()) == {"F16"}
    assert header.training["data"] == ["photos-a", "photos-b"]
    assert "recipe" not in header.training
    assert weights.load("small", device="cpu").config == weights.load(original, device="cpu").config


def test_bundling_in_eight_bits_leaves_half_of_that(bundled, original):
    half = weights.find("small").stat().st_size
    bundle(bundled, "small", original, flags=("--eight-bits",))
    assert set(weights.read_header(weights.find("small")).dtypes.values()) == {"I8"}
    assert weights.find("small").stat().st_size < half
    assert weights.load("small", device="cpu").kind == "dae"


def test_the_figures_of_replaced_weights_are_kept_in_the_log(bundled, original, tmp_path):
    old = catalogue.manifest()["small"]
    bundle(bundled, "small", bundled / "small.safetensors", "PSNR=30")  # other figures alone
    assert catalogue.manifest()["small"] == old | {"figures": {"PSNR": 30.0}}
    assert not (bundled / "LOG.md").exists()

    model = weights.load(original, device="cpu")
    other = tmp_path / "other.safetensors"
    weights.save(other, model, {}, {name: 2 * tensor for name, tensor in model.state_dict().items()})
    bundle(bundled, "small", other, "PSNR=31")
    assert (bundled / "LOG.md").read_text() == f"- small {old['sha256'][:12]}: PSNR 30\n"
    assert problems() == {}


@pytest.mark.parametrize(("name", "factor"), [("../small", 1.0), ("large", 1e30)])
def test_what_cannot_be_bundled_changes_nothing(bundled, original, tmp_path, capsys, name, factor):
    model = weights.load(original, device="cpu")
    path = tmp_path / "trained.safetensors"
    weights.save(path, model, {}, {key: factor * tensor for key, tensor in model.state_dict().items()})
    with pytest.raises(SystemExit):
        bundle(bundled, name, path)
    assert "error: " in capsys.readouterr().err
    assert problems() == {}


# Where the bundled models are


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """What a build needs, in a folder of its own, with one model among the bundled."""
    folder = tmp_path_factory.mktemp("project")
    leave_out = shutil.ignore_patterns("__pycache__", "*.safetensors")
    for name in ("vaetool", "pretrained"):
        shutil.copytree(ROOT / name, folder / name, ignore=leave_out)
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name in ("README.md", "LICENSE"):
        (folder / name).write_text("The real one says more.\n")
    (folder / "pretrained" / "LOG.md").touch()
    (folder / "pretrained" / "small.safetensors").write_bytes(b"weights")
    (folder / "tests").mkdir()
    (folder / "tests" / "test_nothing.py").touch()
    return folder


def build(project: Path, form: str, target: Path) -> Path:
    """A wheel by the build backend itself, without network, unpacked in `target`."""
    pytest.importorskip("hatchling")
    code = f"import sys, hatchling.build; print(hatchling.build.{form}(sys.argv[1]))"
    run = subprocess.run([sys.executable, "-c", code, target], cwd=project, check=True, capture_output=True, text=True)
    with zipfile.ZipFile(target / run.stdout.split()[-1]) as wheel:
        wheel.extractall(target / "site")
    return target / "site"


def bundled_as_seen_from(folder: Path, site: Path, *, processes_pth: bool = False) -> Path:
    """What a Python that has `site` on its path, started in `folder`, takes for the folder of bundled models."""
    code = (
        "import site, sys; before = sys.path[:]; "
        "site.addsitedir(sys.argv[1]) if sys.argv[2:] else sys.path.append(sys.argv[1]); "
        # First, since the package may be installed as well.
        "sys.path[:] = [entry for entry in sys.path if entry not in before] + before; "
        "import vaetool.store.weights; print(vaetool.store.weights.bundled_folder())"
    )
    arguments = [sys.executable, "-c", code, str(site), *(["pth"] if processes_pth else [])]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = subprocess.run(arguments, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return Path(run.stdout.strip())


def test_the_bundled_models_are_found_from_a_wheel(project, tmp_path):
    site = build(project, "build_wheel", tmp_path)
    assert bundled_as_seen_from(tmp_path, site) == site / "vaetool" / "pretrained"
    names = {path.name for path in (site / "vaetool" / "pretrained").iterdir()}
    assert names >= {"manifest.json", "small.safetensors"}
    assert {path.suffix for path in (project / "pretrained").iterdir()} >= {".toml"} <= {Path(n).suffix for n in names}
    assert not names & {"bundle.py", "LOG.md"}
    assert {path.name for path in site.iterdir() if not path.name.endswith(".dist-info")} == {"vaetool"}


def test_the_bundled_models_are_found_from_an_editable_install(project, tmp_path):
    site = build(project, "build_editable", tmp_path)
    assert bundled_as_seen_from(tmp_path, site, processes_pth=True) == project / "pretrained"
    assert not (site / "vaetool").exists()  # no second copy of the weights, which would grow old


def test_the_bundled_models_are_found_from_a_checkout(tmp_path):
    assert bundled_as_seen_from(tmp_path, ROOT) == ROOT / "pretrained"
