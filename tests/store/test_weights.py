"""Model files: a file alone rebuilds its model, and no file from a stranger does harm."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
import sys
import textwrap
import time
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save as to_bytes

from vaetool.denoising.dae import DAE
from vaetool.errors import DeviceError, VaetoolError, WeightsError, WrongKindError
from vaetool.store import catalogue, weights
from vaetool.store.kinds import KINDS, Kind

SMALL = {"widths": [4, 8], "blocks": 1, "estimator_widths": [4, 4]}


@pytest.fixture(scope="module")
def dae() -> DAE:
    torch.manual_seed(0)
    model = DAE.from_config(SMALL)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model.requires_grad_(False).eval().to(memory_format=torch.channels_last)


@pytest.fixture(scope="module")
def original(dae, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    weights.save(path, dae, {"data": ["photos"], "held_out": {"psnr": 30.0}})
    return path


@pytest.fixture(scope="module")
def parts(original) -> tuple[dict, bytes]:
    """The JSON of a good file's header, with the description of the model as JSON inside it, and its weights."""
    return parse(original.read_bytes())


def parse(data: bytes) -> tuple[dict, bytes]:
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def safetensors(header: object, tensors: bytes = b"", *, length: int | None = None) -> bytes:
    """A file with any header: an object that becomes JSON, or bytes as they are; `length` is what it says of itself."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + tensors


def described(parts: tuple[dict, bytes], **changes: object) -> bytes:
    """The good file with another description of the model."""
    header, tensors = parts
    about = json.loads(header["__metadata__"]["vaetool"]) | changes
    return safetensors({**header, "__metadata__": {"vaetool": json.dumps(about)}}, tensors)


def refused(path: Path, message: str) -> None:
    """Loading fails at once, with one line that begins with the path, and without a trace of another error's type."""
    start = time.process_time()
    with pytest.raises(WeightsError) as failure:
        weights.load(path, device="cpu")
    line = str(failure.value)
    assert time.process_time() - start < 2
    assert line.startswith(f"{path}: ")
    assert line.isprintable()
    assert len(line) < len(str(path)) + 300
    assert message in line


# There and back


def test_a_file_alone_rebuilds_its_model(dae, original):
    noisy = torch.rand(1, 3, 16, 24)
    sigma = torch.full((1, 1, 4, 6), 0.1)
    loaded = weights.load(original, device="cpu")
    assert loaded.config == dae.config
    assert torch.equal(loaded.estimate(noisy), dae.estimate(noisy))
    assert torch.equal(loaded.restore(noisy, sigma), dae.restore(noisy, sigma))
    assert all(torch.equal(a, b) for a, b in zip(loaded.state_dict().values(), dae.state_dict().values(), strict=True))


def test_a_loaded_model_does_not_train_and_does_not_depend_on_the_file(original, tmp_path):
    path = shutil.copy(original, tmp_path)
    loaded = weights.load(path, device="cpu")
    before = [tensor.clone() for tensor in loaded.parameters()]
    Path(path).write_bytes(b"gone")
    assert not loaded.training
    assert not any(tensor.requires_grad for tensor in loaded.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, loaded.parameters(), strict=True))


def test_half_precision_on_disk_is_single_precision_in_memory(dae, tmp_path):
    path = tmp_path / "half.safetensors"
    weights.save(path, dae, {}, {name: tensor.half() for name, tensor in dae.state_dict().items()})
    loaded = weights.load(path, device="cpu")
    assert {tensor.dtype for tensor in loaded.state_dict().values()} == {torch.float32}
    assert all(torch.equal(a, b.half()) for a, b in zip(loaded.parameters(), dae.parameters(), strict=True))


def saved_in_eight_bits(dae, path, **changes) -> None:
    small = {}
    for name, tensor in dae.state_dict().items():
        small[name], small[f"{name}.scale"] = weights.in_eight_bits(tensor)
    weights.save(path, dae, {}, small | changes)


def test_eight_bits_on_disk_are_about_the_same_weights_in_memory(dae, tmp_path):
    path = tmp_path / "small.safetensors"
    saved_in_eight_bits(dae, path)
    loaded = weights.load(path, device="cpu")
    for before, after in zip(dae.parameters(), loaded.parameters(), strict=True):
        assert after.dtype == torch.float32
        largest = before.abs().flatten(1).amax(dim=1)
        assert ((after - before).abs().flatten(1).amax(dim=1) <= largest / 254 + 1e-9).all()
    header = weights.read_header(path)
    assert set(header.shapes) == set(dae.state_dict())
    assert header.facts()["weights"] == ["I8"]


def test_eight_bits_whose_scale_does_not_fit_are_refused(dae, tmp_path):
    path = tmp_path / "small.safetensors"
    saved_in_eight_bits(dae, path, **{"unet.tail.weight.scale": torch.ones(1)})
    with pytest.raises(WeightsError, match=r"\('unet.tail.weight' and its scale do not fit\)"):
        weights.load(path)
    saved_in_eight_bits(dae, path, **{"unet.tail.weight.scale": torch.full((12,), torch.inf)})
    with pytest.raises(WeightsError, match="not numbers"):
        weights.load(path)


@pytest.mark.skipif(torch.__version__.startswith("2.10."), reason="this torch needs sympy for its device meta")
def test_loading_is_quick_to_start(python, original):
    code = (
        "import sys, torch, vaetool.denoising.dae, safetensors.torch, vaetool.store.weights; "
        "before = len(sys.modules); "
        "vaetool.store.weights.load(sys.argv[1], device='cpu'); sys.exit(f'{len(sys.modules) - before} more modules')"
    )
    _, words = python("-c", code, original).communicate(timeout=60)
    assert int(words.split()[0]) < 50


@pytest.mark.parametrize("name", sorted(catalogue.manifest()))
def test_no_bundled_model_needs_a_compiler_to_be_loaded(python, name):
    """Arithmetic on the device `meta`, where networks are built, would import nine hundred modules."""
    code = "import sys, vaetool; vaetool.load(sys.argv[1], device='cpu'); sys.exit('torch._dynamo' in sys.modules)"
    process = python("-c", code, name)
    assert (process.communicate(timeout=120)[1], process.returncode) == (b"", 0)


def test_the_header_tells_everything_but_the_weights(dae, original):
    header = weights.read_header(original)
    assert (header.kind, header.config["widths"]) == ("dae", [4, 8])
    assert header.training == {"data": ["photos"], "held_out": {"psnr": 30.0}}
    assert header.bytes == original.stat().st_size
    count = {part: sum(p.numel() for p in getattr(dae, part).parameters()) for part in ("estimator", "unet")}
    assert header.parts() == count
    assert header.parameters() == sum(count.values())


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_a_process_killed_while_it_saves_leaves_the_old_file_or_the_new_one(python, tmp_path):
    path = tmp_path / "model.safetensors"
    code = (
        "import itertools, sys, torch; from vaetool.store.weights import write_tensors\n"
        "for n in itertools.count():\n"
        "    write_tensors(sys.argv[1], {'x': torch.full((1 << 20,), n)}, {}); print(n, flush=True)"
    )
    with python("-c", code, path) as process:
        for _ in range(3):
            process.stdout.readline()
        time.sleep(0.01)
        process.kill()
    tensors, data = parse(path.read_bytes())
    values = struct.unpack(f"<{1 << 20}q", data)
    assert tensors["x"]["shape"] == [1 << 20]
    assert len(set(values)) == 1


def test_another_kind_than_needed_is_refused_before_the_weights_are_read(original, monkeypatch):
    monkeypatch.setitem(KINDS, "ae", Kind("vaetool.latents.ae"))
    with pytest.raises(WrongKindError, match="this is a dae; an ae is needed"):
        weights.load(original, kind="ae")


# Devices


@pytest.mark.parametrize("device", ["cuda:99", "mps", "cuda"])
def test_a_device_that_is_not_there_is_an_error_and_never_the_cpu(original, device):
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if there.get(device):
        pytest.skip(f"{device} is there")
    with pytest.raises(DeviceError, match=f"device '{device}' is not available: ") as failure:
        weights.load(original, device=device)
    assert str(failure.value).count("\n") == 0


@pytest.mark.parametrize("device", ["gpu", "meta", "cuda:one", "", "cpu "])
def test_an_unknown_device_is_an_error(device):
    with pytest.raises(DeviceError, match="there are auto, cpu, cuda"):
        weights.resolve_device(device)


def test_auto_is_a_gpu_where_there_is_one():
    assert weights.resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


# Files from strangers


class Attack:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("form", ["pickle", "torch", "inside"])
def test_a_pickle_is_refused_and_never_run(tmp_path, form):
    ran, path = tmp_path / "ran", tmp_path / "attack.safetensors"
    if form == "torch":
        torch.save({"weights": Attack(ran)}, path)
        assert zipfile.is_zipfile(path)
    else:
        attack = pickle.dumps(Attack(ran))
        path.write_bytes(attack if form == "pickle" else safetensors(attack))
    refused(path, "not a safetensors file")
    assert not ran.exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a safetensors file"),
        (b"\0", "not a safetensors file"),
        (bytes(8), "not a safetensors file"),
        (safetensors({}, length=0), "not a safetensors file"),
        (safetensors({}, length=3), "not a safetensors file"),
        (safetensors({}, length=2**63), "not a safetensors file"),
        (safetensors({}, length=2**64 - 1), "not a safetensors file"),
        (safetensors(b" " * (1 << 21) + b"{}"), "not a safetensors file"),
        (safetensors(b"hello, world"), "not a safetensors file"),
        (safetensors(b"{\xff\xfe}"), "not a safetensors file"),
        (safetensors('{"a": 1}'.encode("utf-16")), "not a safetensors file"),
        (safetensors(b"[" * 100_000 + b"]" * 100_000), "not a safetensors file"),
        (safetensors(b'{"a":' * 50_000 + b"1" + b"}" * 50_000), "not a safetensors file"),
        (safetensors(b'{"a": ' + b"9" * 10_000 + b"}"), "not a safetensors file"),
        (safetensors(b'{"a": 1, "a": 2}'), "not a safetensors file"),
        (safetensors([]), "not a safetensors file"),
        (safetensors({}), "not a vaetool model"),
        (to_bytes({"x": torch.zeros(3)}), "not a vaetool model"),
        (to_bytes({"x": torch.zeros(3)}, {"format": "pt"}), "not a vaetool model"),
        (safetensors({"__metadata__": 3}), "not a vaetool model"),
        (safetensors({"__metadata__": {"vaetool": 3}}), "not a vaetool model"),
        (safetensors({"__metadata__": {"vaetool": "3"}}), "not a vaetool model"),
        (safetensors({"__metadata__": {"vaetool": "{}"}}), "not a vaetool model"),
        (safetensors({"__metadata__": {"vaetool": "[" * 100_000}}), "not a vaetool model"),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else "",
)
def test_what_is_no_model_file_is_refused(tmp_path, data, message):
    path = tmp_path / "odd.safetensors"
    path.write_bytes(data)
    refused(path, message)


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.99])
def test_a_file_that_is_cut_off_is_refused(original, tmp_path, share):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(original.read_bytes()[: int(share * original.stat().st_size)])
    refused(path, "damaged")


def test_a_file_with_more_bytes_than_its_table_says_is_refused(original, tmp_path):
    path = tmp_path / "long.safetensors"
    path.write_bytes(original.read_bytes() + b"more")
    refused(path, "bytes of weights instead of")


@pytest.mark.parametrize(
    "changes",
    [
        {"data_offsets": [0, 4]},
        {"data_offsets": [4, 0]},
        {"data_offsets": [-4, 0]},
        {"data_offsets": [0]},
        {"data_offsets": 0},
        {"data_offsets": [0, 1e9]},
        {"data_offsets": [0, 2**62]},
        {"data_offsets": [[], []]},
        {"shape": [2**31, 2**31]},
        {"shape": [-1, -4]},
        {"shape": ["4"]},
        {"shape": [True]},
        {"shape": [float("inf")]},
        {"shape": [10**100] * 10_000},
        {"shape": "4"},
        {"shape": [0]},
        {"dtype": "F99"},
        {"dtype": ["F32"]},
        {"dtype": "F16"},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_a_table_of_tensors_that_lies_is_refused(parts, tmp_path, changes):
    header, tensors = parts
    first = next(name for name, entry in header.items() if entry.get("data_offsets", [1])[0] == 0)
    path = tmp_path / "lies.safetensors"
    path.write_bytes(safetensors({**header, first: header[first] | changes}, tensors))
    refused(path, "its table of tensors is wrong")


def test_tensors_that_overlap_are_refused(parts, tmp_path):
    header, tensors = parts
    path = tmp_path / "overlap.safetensors"
    names = [name for name in header if name != "__metadata__"]
    same = dict.fromkeys(names, header[names[0]])
    path.write_bytes(safetensors({"__metadata__": header["__metadata__"], **same}, tensors))
    refused(path, "its table of tensors is wrong")


def test_tensors_may_be_listed_in_any_order(parts, tmp_path):
    header, tensors = parts
    path = tmp_path / "reversed.safetensors"
    path.write_bytes(safetensors(dict(reversed(header.items())), tensors))
    assert weights.load(path, device="cpu").kind == "dae"


def test_metadata_that_only_one_reader_understands_is_refused(parts, tmp_path):
    header, tensors = parts
    path = tmp_path / "odd.safetensors"
    path.write_bytes(safetensors({**header, "__metadata__": {**header["__metadata__"], "more": [1]}}, tensors))
    refused(path, "a damaged model file")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "model format 2 is newer than this vaetool, which reads 1"),
        ({"format": 10**4000}, "is newer than this vaetool"),
        ({"format": True}, "unknown model format"),
        ({"format": "1"}, "unknown model format"),
        (
            {"kind": "van"},
            "unknown kind 'van'; this vaetool knows: ae, codec, dae, defect, features, flaws, gan",
        ),
        ({"kind": "gan\n" * 10_000}, "unknown kind"),
        ({"kind": ["dae"]}, "unknown kind"),
        ({"kind": "os"}, "unknown kind"),
        ({"config": [1]}, "its description is invalid"),
        ({"training": None}, "its description is invalid"),
        ({"training": json.loads('{"a":' * 100 + "1" + "}" * 100)}, "its description is invalid"),
        ({"config": {"width": 3}}, "unknown key 'width'"),
        ({"config": {"x\n" * 10_000: 3}}, "unknown key"),
        ({"config": {"pooling": "1"}}, "model.pooling must be a whole number, not '1'"),
        ({"config": {"pooling": 1.5}}, "model.pooling must be a whole number, not 1.5"),
        ({"config": {**SMALL, "widths": []}}, "its configuration is not valid"),
        ({"config": {**SMALL, "widths": [4, "8"]}}, "its configuration is not valid"),
        ({"config": {**SMALL, "widths": [4, -8]}}, "its configuration is not valid"),
        ({"config": {**SMALL, "channels": 0}}, "its configuration is not valid"),
        ({"config": {**SMALL, "widths": [4, 16]}}, "its weights do not fit its own configuration"),
        ({"config": {**SMALL, "channels": 1}}, "its weights do not fit its own configuration"),
        ({"config": {}}, "its weights do not fit its own configuration"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_description_that_is_not_of_these_weights_is_refused(parts, tmp_path, changes, message):
    path = tmp_path / "described.safetensors"
    path.write_bytes(described(parts, **changes))
    refused(path, message)


@pytest.mark.parametrize(
    "config",
    [
        {**SMALL, "widths": [1_000_000, 1_000_000]},
        {**SMALL, "widths": [2**40, 2**40]},
        {**SMALL, "widths": [10**30, 10**30]},
        {**SMALL, "widths": [4] * 50_000},
        {**SMALL, "blocks": 10**12},
        {**SMALL, "estimator_widths": [2**40]},
    ],
    ids=lambda config: str(config)[:40],
)
def test_a_configuration_that_asks_for_terabytes_is_refused_at_once(parts, tmp_path, config):
    path = tmp_path / "vast.safetensors"
    path.write_bytes(described(parts, config=config))
    refused(path, "configuration")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_numbers_are_refused(dae, tmp_path, value):
    state = {name: tensor.clone() for name, tensor in dae.state_dict().items()}
    state["unet.head.weight"][1, 2, 0, 0] = value
    path = tmp_path / "nan.safetensors"
    weights.save(path, dae, {}, state)
    refused(path, "some of its weights are not numbers (unet.head.weight)")


def test_whole_numbers_as_weights_are_refused(dae, tmp_path):
    path = tmp_path / "whole.safetensors"
    weights.save(path, dae, {}, {name: tensor.int() for name, tensor in dae.state_dict().items()})
    refused(path, "torch.int32")


def test_a_folder_is_refused(tmp_path):
    refused(tmp_path, "a folder, not a model file")
    with pytest.raises(WeightsError, match="a folder"):
        weights.read_header(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WeightsError, match="a device or pipe"):
        weights.read_header(tmp_path / "pipe")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_damage_never_leads_to_another_error_nor_takes_long(original, tmp_path, data):
    whole = bytearray(original.read_bytes())
    end_of_header = 8 + struct.unpack("<Q", whole[:8])[0]
    for _ in range(data.draw(st.integers(1, 4), label="flips")):
        # Most of the file is weights, most of what can go wrong is in the header.
        last = data.draw(st.sampled_from([16, end_of_header, len(whole)]), label="within")
        whole[data.draw(st.integers(0, last - 1), label="at")] ^= data.draw(st.integers(1, 255), label="by")
    length = data.draw(st.one_of(st.just(len(whole)), st.integers(0, len(whole))), label="length")
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(whole[:length])
    start = time.process_time()
    try:
        weights.load(path, device="cpu")
    except VaetoolError as error:
        assert str(error).startswith(f"{path}: ")  # noqa: PT017 - most damage is an error, some is not
    assert time.process_time() - start < 1


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space")
def test_a_model_for_which_there_is_no_memory_is_not_called_damaged(python):
    script = """
    import resource
    from pathlib import Path

    from vaetool.errors import is_out_of_memory
    from vaetool.store.catalogue import find
    from vaetool.store.weights import load

    kept = load(find("photo-codec-0"), device="cpu")  # so that all modules are there, and no memory that it had is free
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 12 * 2**20, resource.RLIM_INFINITY))
    try:
        load(find("photo-codec"), device="cpu")
        print("loaded")
    except Exception as error:
        print(is_out_of_memory(error))
    """
    # A thread that cannot be started ends the process: it is not what is asked here.
    with python("-c", textwrap.dedent(script), env={"OMP_NUM_THREADS": "1"}) as process:
        answer, words = process.communicate(timeout=60)
    assert answer == b"True\n", (process.returncode, words)
