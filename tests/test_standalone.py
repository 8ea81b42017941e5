"""Claims about the standalone runtime: it answers and refuses as `load_model` does, and imports NumPy alone."""

from __future__ import annotations

import ast
import base64
import json
import pickle
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_nets import IMAGE, random_net
from test_bounded_outputs import INPUTS, Selecting, inputs

from neurenix import load_model
from neurenix.bundle.reader import read_bundle
from neurenix.errors import NeurenixError
from neurenix.project import standalone
from neurenix.project.standalone import ModelError
from neurenix.toolchain import host_target
from neurenix.wasm import export_to_wasm

pytestmark = [pytest.mark.zig, pytest.mark.wasm]


def test_it_imports_numpy_and_the_standard_library_alone() -> None:
    tree = ast.parse(Path(standalone.__file__).read_text(encoding="utf-8"))
    imported = {a.name.partition(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    imported |= {(n.module or "").partition(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert {"numpy"} == imported - sys.stdlib_module_names


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nets")
    for seed in range(3):
        shapes = {"image": ("batch", *IMAGE)}
        export_to_wasm(random_net(seed), folder / f"net{seed}", f"net{seed}", inputs=shapes, dims={"batch": (1, 4)},
                       native=True, simd=False)  # fmt: skip
    export_to_wasm(Selecting(), folder / "selecting", "selecting", inputs=INPUTS, dims={"n": (1, 6)}, native=True,
                   simd=False)  # fmt: skip
    return folder


@pytest.fixture
def net(nets: Path, tmp_path: Path) -> Path:
    """A copy of one bundle, to be damaged."""
    return Path(shutil.copytree(nets / "net0", tmp_path / "net0"))


@pytest.mark.parametrize("seed", range(3))
def test_it_gives_the_answers_of_load_model(nets: Path, seed: int) -> None:
    name = f"net{seed}"
    twin, model = load_model(nets / name, "cpu"), standalone.load_model(name, nets / name)
    for attribute in ("name", "inputs", "outputs", "labels", "device", "variant", "threads"):
        assert getattr(twin, attribute) == getattr(model, attribute), attribute
    generator = np.random.default_rng(seed)
    for batch in (1, 3, 4):
        image = generator.standard_normal((batch, *IMAGE)).astype(np.float32)
        for given in (image, {"image": image}, image.tolist(), image.astype(np.float64), image[:1][0]):
            expected, actual = twin.forward(given), model(given)
            assert expected.keys() == actual.keys()
            for output in expected:
                np.testing.assert_array_equal(actual[output], expected[output])
                assert expected[output].dtype == actual[output].dtype
    assert twin.self_test() == model.self_test()


def test_golden_inputs_that_carry_their_bytes_are_read_too(net: Path) -> None:
    expected = standalone.load_model("net0", net).self_test()
    cases = json.loads((net / "net0.json").read_text(encoding="utf-8"))["golden"]
    for case, read in zip(cases, read_bundle(net).golden):
        values = read.feeds(read_bundle(net).plan)["image"]
        case["inputs"]["image"] = {"data": base64.b64encode(values.tobytes()).decode()}
    edit(net, golden=cases)
    assert expected == standalone.load_model("net0", net).self_test()


def test_outputs_are_cut_to_what_counts_of_them(nets: Path) -> None:
    folder = nets / "selecting"
    twin, model = load_model(folder, "cpu"), standalone.load_model("selecting", folder)
    for seed, n in enumerate((1, 2, 5, 6)):
        expected, actual = twin.forward(inputs(seed, n, seed)), model.forward(inputs(seed, n, seed))
        for output in expected:
            np.testing.assert_array_equal(actual[output], expected[output])
    assert model.self_test() < 1e-6
    with pytest.raises(ModelError, match=r"'chosen' has -3 along axis 1"):
        model.forward(inputs(0, 2, -3))


def zeros(*shape: int) -> Any:
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"imag": zeros(1, *IMAGE)},
        {"image": zeros(1, *IMAGE), "more": 1},
        zeros(1, 3, 11, 12),
        zeros(11, 13),
        zeros(0, *IMAGE),
        zeros(5, *IMAGE),
        zeros(1, *IMAGE).astype(np.int64),
        zeros(1, *IMAGE).astype(np.complex64),
        [[1, 2], [3]],
        "text",
        None,
    ],
)
def test_it_refuses_what_load_model_refuses(nets: Path, given: Any) -> None:
    twin, model = load_model(nets / "net0", "cpu"), standalone.load_model("net0", nets / "net0")
    with pytest.raises(NeurenixError) as expected:
        twin.forward(given)
    with pytest.raises(ModelError) as actual:
        model.forward(given)
    assert expected.value.code == actual.value.code


def test_calls_from_several_threads_take_turns(nets: Path) -> None:
    model = standalone.load_model("net0", nets / "net0")
    images = [np.full((1, *IMAGE), value, np.float32) for value in range(8)]
    expected = [model(image)["output"] for image in images]
    with ThreadPoolExecutor(4) as pool:
        for wanted, actual in zip(expected * 4, pool.map(lambda image: model(image)["output"], images * 4)):
            np.testing.assert_array_equal(actual, wanted)


def flip_weights(folder: Path) -> None:
    data = bytearray((folder / "net0.bin").read_bytes())
    data[7] ^= 1
    (folder / "net0.bin").write_bytes(data)


def lose_weights(folder: Path) -> None:
    (folder / "net0.bin").unlink()


def garble_library(folder: Path) -> None:
    for library in folder.glob("*.so"):
        library.write_bytes(b"\x7fELF")


def other_format(folder: Path) -> None:
    edit(folder, format=2)


def other_plan(folder: Path) -> None:
    edit(folder, abi=1)


def no_library(folder: Path) -> None:
    edit(folder, native=[])


def a_path_for_a_name(folder: Path) -> None:
    edit(folder, weights=["../net0/net0.bin"])


def no_manifest(folder: Path) -> None:
    (folder / "net0.json").unlink()


def no_json(folder: Path) -> None:
    (folder / "net0.json").write_text("<!DOCTYPE html>", encoding="utf-8")


def edit(folder: Path, **keys: Any) -> None:
    path = folder / "net0.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **keys}), encoding="utf-8")


@pytest.mark.skipif(host_target() != "x86_64-linux", reason="the libraries of the damaged bundles are for Linux")
@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (flip_weights, "bad_integrity"),
        (lose_weights, "missing_file"),
        (garble_library, "bad_integrity"),
        (other_format, "bad_version"),
        (other_plan, "bad_bundle"),
        (no_library, "device_unavailable"),
        (a_path_for_a_name, "bad_bundle"),
        (no_manifest, "missing_file"),
        (no_json, "bad_bundle"),
    ],
)
def test_a_damaged_model_is_refused_with_its_code(net: Path, damage: Any, code: str) -> None:
    damage(net)
    with pytest.raises(ModelError) as caught:
        standalone.load_model("net0", net)
    assert code == caught.value.code


@pytest.mark.parametrize("name", ["../net0", "net0/net0", "NET", "", "a" * 80])
def test_a_name_is_a_name(name: str) -> None:
    with pytest.raises(ModelError, match="is no name of a model"):
        standalone.load_model(name)


def test_its_error_travels_between_processes() -> None:
    error = pickle.loads(pickle.dumps(ModelError("bad_input", "too many")))  # noqa: S301
    assert ("bad_input", "too many") == (error.code, str(error))
