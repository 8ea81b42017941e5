"""Hostile dispatch tables: whatever a manifest says under `webgpu`, it is refused, or its bytes stay its own."""

from __future__ import annotations

import copy
import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exported_model import NAME, Edit, answer, edit, forged_number, images
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_hostile_manifest import VALUES, _nested, nodes
from tracing import traced

from neurenix.bundle.reader import read_bundle
from neurenix.bundle.shaders import check_shaders, describe_shaders
from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.compiler.wgsl import print_wgsl
from neurenix.errors import BundleError, IntegrityError, NeurenixError, UnsupportedError
from neurenix.phynexus.webgpu import WebGPUEngine

pytest_plugins = ["exported_bundle"]
pytestmark = pytest.mark.zig


def table(m: Any) -> Any:
    return m["webgpu"]


def region(m: Any, name: str = "image") -> Any:
    return m["webgpu"]["regions"][name]


def dispatch(m: Any, at: int = 0) -> Any:
    return m["webgpu"]["dispatches"][at]


def weights(m: Any) -> str:
    return str(m["tensors"][0]["name"])


def widened(m: Any) -> Any:
    """The last shader, its text cut in two: a byte, and the rest for subgroups."""
    row = table(m)["shaders"][-1]
    row.update(to=row["from"] + 1, subgroups={"from": row["from"] + 1, "to": row["to"]})
    return row


def written(m: Any) -> int:
    """The place of the binding that the first dispatch writes."""
    return int(m["webgpu"]["shaders"][dispatch(m)["shader"]]["bindings"].index("write"))


HOSTILE: dict[str, tuple[Edit, str]] = {
    "an unlisted file": (lambda m: table(m).update(file="other.wgsl"), "does not list it"),
    "a file above the folder": (lambda m: table(m).update(file="../cnn.wgsl"), "does not list it"),
    "no table": (lambda m: m.update(webgpu=None), "malformed"),
    "a table without shaders": (lambda m: table(m).pop("shaders"), "lacks 'shaders'"),
    "an unknown limit": (lambda m: table(m)["limits"].update(maxEvil=1), "no limit that a plan may ask for"),
    "a limit beyond all": (lambda m: table(m)["limits"].update(maxBufferSize=1 << 40), "asks for maxBufferSize"),
    "a limit below the default": (lambda m: table(m)["limits"].update(maxBufferSize=1), "asks for maxBufferSize"),
    "a huge buffer": (lambda m: table(m)["buffers"][0].update(size=1 << 40), "a buffer has"),
    "an empty buffer": (lambda m: table(m)["buffers"][0].update(size=0), "a buffer has 0 bytes"),
    "many buffers": (lambda m: table(m).update(buffers=[{"size": 4}] * 2000), "1024 are the most"),
    "a region in no buffer": (lambda m: region(m).update(buffer=99), "lies in the buffer 99 of"),
    "a region off the grid": (lambda m: region(m).update(offset=4), "multiple of 256"),
    "a region outside": (lambda m: region(m).update(offset=1 << 20), "ends outside its buffer"),
    "a region too small": (lambda m: region(m).update(size=256), "elements, its region 256 bytes"),
    "a negative region": (lambda m: region(m).update(offset=-256), "is no size"),
    "a region of another type": (lambda m: region(m).update(type="i32"), "is float32, its region of type i32"),
    "a region of no type": (lambda m: region(m).update(type="f64"), "elements of type 'f64'"),
    "an input without a region": (lambda m: table(m)["regions"].pop("image"), "'image' has no region"),
    "an output without a region": (lambda m: table(m)["regions"].pop("output"), "'output' has no region"),
    "parameters on each other": (
        lambda m: region(m, m["tensors"][1]["name"]).update(offset=region(m, weights(m))["offset"]),
        "lie on each other",
    ),
    "a text that overlaps": (lambda m: table(m)["shaders"][1].update({"from": 0}), "is not in the file"),
    "a text outside": (lambda m: table(m)["shaders"][-1].update(to=1 << 30), "is not in the file"),
    "a text that is not all": (lambda m: table(m)["shaders"][-1].update(to=table(m)["shaders"][-1]["to"] - 1), "bytes"),
    "a text for subgroups that is none": (lambda m: widened(m).update(subgroups=None), "malformed"),
    "a text for subgroups without an end": (lambda m: widened(m)["subgroups"].pop("to"), "lacks 'to'"),
    "a text for subgroups on another": (lambda m: widened(m)["subgroups"].update({"from": 0}), "is not in the file"),
    "a text for subgroups outside": (lambda m: widened(m)["subgroups"].update(to=1 << 30), "is not in the file"),
    "an empty text for subgroups": (lambda m: widened(m)["subgroups"].update(to=1), "is not in the file"),
    "two shaders of one name": (
        lambda m: table(m)["shaders"][1].update(name=table(m)["shaders"][0]["name"]), "stands twice",
    ),
    "code in a shader's name": (lambda m: table(m)["shaders"][0].update(name="a();"), "is none"),
    "an access that is none": (lambda m: table(m)["shaders"][0].update(bindings=["all"]), "neither read nor write"),
    "a shader that writes nothing": (lambda m: table(m)["shaders"][0].update(bindings=["read"]), "writes nothing"),
    "many params": (lambda m: table(m)["shaders"][0].update(params=10**6), "params"),
    "params without a place": (lambda m: table(m).update(paramsSize=4), "outside their buffer"),
    "params off the grid": (lambda m: dispatch(m).update(at=4), "not aligned"),
    "params on others": (lambda m: dispatch(m, 1).update(at=dispatch(m)["at"]), "or on others"),
    "params far outside": (lambda m: dispatch(m).update(at=1 << 30), "outside their buffer"),
    "an unknown shader": (lambda m: dispatch(m).update(shader=99), "runs the shader 99 of"),
    "one binding too few": (lambda m: dispatch(m)["bindings"].pop(), "binds"),
    "an unknown binding": (lambda m: dispatch(m)["bindings"].__setitem__(0, "ghost"), "has no region"),
    "one param too many": (lambda m: dispatch(m)["params"].append(1), "params, its shader"),
    "a param beyond 32 bits": (lambda m: dispatch(m)["params"].__setitem__(0, 1 << 40), "a param from"),
    "a param of an undeclared dim": (lambda m: dispatch(m)["params"].__setitem__(0, "other"), "no declared range"),
    "a division by zero": (
        lambda m: dispatch(m)["params"].__setitem__(0, ["//", 8, ["+", "batch", -1]]), "divides by (0|zero)",
    ),
    "a param of many parts": (lambda m: dispatch(m)["params"].__setitem__(0, _nested(40)), "parts"),
    "too many workgroups": (lambda m: dispatch(m).update(groups=1 << 40), "workgroups"),
    "negative workgroups": (lambda m: dispatch(m).update(groups=-(1 << 40)), "workgroups"),
    "writing parameters": (
        lambda m: dispatch(m)["bindings"].__setitem__(written(m), weights(m)), "twice what it writes|parameters lie",
    ),
    "reading what it writes": (
        lambda m: dispatch(m)["bindings"].__setitem__(0, dispatch(m)["bindings"][written(m)]), "twice what it writes",
    ),
    "flops that are none": (lambda m: table(m).update(flops=-1), "is no size"),
    "auto that is none": (lambda m: table(m).update(auto="yes"), "no condition"),
    "a reason that is none": (lambda m: table(m).update(special=1), "should be a text"),
    "ends that are no table": (lambda m: table(m).update(inputs=7), "malformed"),
    "ends of no input": (lambda m: table(m).update(inputs={"ghost": [0, 1]}), "'ghost', which is no input of whole"),
    "ends of floats": (lambda m: table(m).update(inputs={"image": [0, 1]}), "'image', which is no input of whole"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "text"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_table_is_refused(bundle: Path, change: Edit, text: str) -> None:
    edit(bundle, change)
    with pytest.raises(BundleError, match=text):
        read_bundle(bundle)


ENDS = [7, [], [0], [0, 1, 2], [0.5, 1], ["0", 1], [False, 1], [0, 1 << 31], [-(1 << 31) - 1, 0], [1, 0]]


@pytest.mark.parametrize("ends", ENDS, ids=map(str, ENDS))
def test_ends_of_an_input_that_are_none_are_refused(ends: Any) -> None:
    plan, weights = schedule(passes.run(traced(lambda x: x + 1, {"x": "int64[3]"})))
    shaders = print_wgsl(plan, weights)
    described = describe_shaders("m", shaders)
    files = {"m.wgsl": {"size": len(shaders.text().encode())}}
    assert {"x": [-(1 << 30), (1 << 30) - 1]} == described["inputs"]
    check_shaders(described, plan, files)
    with pytest.raises(BundleError):
        check_shaders({**described, "inputs": {"x": ends}}, plan, files)


def test_a_table_is_part_of_the_plans_number(bundle: Path) -> None:
    edit(bundle, lambda m: table(m).update(flops=1), signed=False)
    with pytest.raises(BundleError, match="was changed after it was written"):
        read_bundle(bundle)


def test_shaders_of_another_bundle_are_refused(bundle: Path) -> None:
    path = bundle / f"{NAME}.wgsl"
    path.write_bytes(path.read_bytes().replace(b"fn main", b"fn mean"))
    with pytest.raises(IntegrityError, match=r"cnn\.wgsl"):
        read_bundle(bundle).shaders()


def test_a_bundle_without_shaders_says_so(bundle: Path) -> None:
    edit(bundle, lambda m: m.pop("webgpu"))
    assert not read_bundle(bundle).has_shaders
    with pytest.raises(UnsupportedError, match="'cnn' has no shaders"):
        read_bundle(bundle).shaders()


def _mutated(manifest: Any, seed: int) -> Any:
    """Change one to three things in the dispatch table."""
    rng = random.Random(seed)
    data = copy.deepcopy(manifest)
    for _ in range(rng.choice((1, 1, 2, 3))):
        *parents, last = rng.choice(list(nodes(data["webgpu"])))
        place = data["webgpu"]
        for key in parents:
            place = place[key]
        other: Any = data["webgpu"]
        for key in rng.choice(list(nodes(data["webgpu"]))):
            other = other[key]
        place[last] = copy.deepcopy(rng.choice((other, rng.choice(VALUES), rng.randrange(1 << 12))))
    data["abi"] = forged_number(data)
    return data


@pytest.fixture(scope="module")
def victim(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(exported, tmp_path_factory.mktemp("tables") / "bundle"))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
@given(seed=st.integers(0, 2**32))
def test_a_forged_table_is_refused_or_well_formed(exported: Path, victim: Path, seed: int) -> None:
    manifest = json.loads((exported / f"{NAME}.json").read_text(encoding="utf-8"))
    (victim / f"{NAME}.json").write_text(json.dumps(_mutated(manifest, seed)), encoding="utf-8")
    try:
        found = read_bundle(victim)
        shaders = found.shaders()
    except NeurenixError:
        return
    for each in shaders.dispatches:
        for name in each.bindings:
            place = shaders.regions[name]
            assert place.offset + place.size <= shaders.buffers[place.buffer]
        assert each.at + 4 * len(each.params) <= shaders.params_size


@pytest.mark.gpu
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
@given(seed=st.integers(0, 2**32))
def test_a_forged_table_that_is_run_is_a_typed_error_or_an_answer(exported: Path, victim: Path, seed: int) -> None:
    manifest = json.loads((exported / f"{NAME}.json").read_text(encoding="utf-8"))
    (victim / f"{NAME}.json").write_text(json.dumps(_mutated(manifest, seed)), encoding="utf-8")
    try:
        found = read_bundle(victim)
        engine = WebGPUEngine(found.plan, found.weights(), found.shaders())
        assert (2, 4) == engine.run({"image": images(2)}, {"batch": 2})["output"].shape
    except NeurenixError:
        return


@pytest.mark.gpu
def test_the_shaders_of_a_bundle_run_in_python(bundle: Path) -> None:
    found = read_bundle(bundle)
    engine = WebGPUEngine(found.plan, found.weights(), found.shaders())
    for count in (1, 9):
        x = images(count)
        np.testing.assert_allclose(engine.run({"image": x}, {"batch": count})["output"], answer(x), rtol=0, atol=1e-6)
