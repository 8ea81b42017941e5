"""Hostile manifests: whatever NAME.json says, load_model answers rightly or refuses it with a typed error."""

from __future__ import annotations

import copy
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exported_model import NAME, Edit, answer, edit, forged_number, images
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurenix import load_model
from neurenix.bundle.reader import LARGEST_MANIFEST
from neurenix.compiler.print_c import print_c
from neurenix.dims import evaluate
from neurenix.errors import (
    BundleError,
    MissingFileError,
    NeurenixError,
    VersionError,
)

pytest_plugins = ["exported_bundle"]
pytestmark = pytest.mark.zig


def raw(text: str | bytes) -> Callable[[Path], object]:
    content = text if isinstance(text, bytes) else text.encode()
    return lambda path: path.write_bytes(content)


def respelled(old: str, new: str) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


TEXTS = {
    "empty": (raw(""), BundleError, "is no JSON"),
    "html": (raw("<!doctype html><title>An app</title>"), BundleError, "begins like an HTML page"),
    "binary": (raw(b"\xff\xfe\x00"), BundleError, "is no JSON"),
    "a list": (raw("[]"), BundleError, "no manifest"),
    "another json": (raw('{"name": "package"}'), BundleError, "has no 'format'"),
    "deep": (raw("[" * 200_000), BundleError, "is no JSON"),
    "huge": (raw(" " * (LARGEST_MANIFEST + 1)), BundleError, "a manifest has at most"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-10]), BundleError, "is no JSON"),
    "other format": (respelled('"format":1', '"format":2'), VersionError, "has format 2, this release reads 1"),
    "format as text": (respelled('"format":1', '"format":"1"'), VersionError, "has format '1'"),
    "format as truth": (respelled('"format":1', '"format":true'), VersionError, "has format True"),
    "a key twice": (respelled('"format":1', '"format":1,"name":"a"'), BundleError, "a key stands twice"),
    "nan": (respelled('"tolerance":0.0001', '"tolerance":NaN'), BundleError, "NaN is not JSON"),
    "infinity": (respelled('"tolerance":0.0001', '"tolerance":1e999'), BundleError, "too large"),
    "many digits": (respelled('"abi":', '"abi":' + "9" * 5000), BundleError, "is no JSON"),
    "missing": (Path.unlink, MissingFileError, "should hold one manifest, found none"),
}


@pytest.mark.parametrize(("change", "kind", "text"), TEXTS.values(), ids=TEXTS)
def test_a_manifest_that_is_none_is_refused(bundle: Path, change: Any, kind: type[Exception], text: str) -> None:
    change(bundle / f"{NAME}.json")
    with pytest.raises(kind, match=text):
        load_model(bundle)


def step(m: Any, op: str = "conv2d") -> Any:
    return next(s for s in m["plan"]["steps"] if s["op"] == op)


def buffer(m: Any, name: str) -> Any:
    return next(b for b in m["plan"]["buffers"] if b["name"] == name)


def add_file(m: Any, name: str) -> None:
    m["files"][name] = m["files"]["cnn.bin"]
    m["weights"] = [name]


def rename_dim(m: Any, name: str) -> None:
    text = json.dumps({k: m[k] for k in ("inputs", "outputs", "plan", "dims")}).replace('"batch"', json.dumps(name))
    m.update(json.loads(text))


HOSTILE: dict[str, tuple[Edit, str]] = {
    "a file above the folder": (lambda m: add_file(m, "../cnn.bin"), "plain name"),
    "an absolute file": (lambda m: add_file(m, "/etc/passwd"), "plain name"),
    "a file on a drive": (lambda m: add_file(m, "C:cnn.bin"), "plain name"),
    "a file behind a backslash": (lambda m: add_file(m, "a\\b"), "plain name"),
    "an unlisted file": (lambda m: m.update(weights=["other.bin"]), "does not list it"),
    "a hash that is none": (lambda m: m["files"]["cnn.bin"].update(sha256="0"), "64 hex digits"),
    "a negative file": (lambda m: m["files"]["cnn.bin"].update(size=-1), "plain name with a size"),
    "code in a kernel": (lambda m: step(m).update(kernel="nx_a(); system"), "kernel name"),
    "a line break in a kernel": (lambda m: step(m).update(kernel="nx_a\n#include </etc/passwd>"), "kernel name"),
    "code in a dim": (lambda m: rename_dim(m, "batch; evil()"), "dim 'batch; evil"),
    "code in the name": (lambda m: m.update(name="x\n#include <a>"), "model name"),
    "an unknown op": (lambda m: step(m).update(op="system"), "no op 'system'"),
    "an op without a kernel": (lambda m: step(m, "max_pool2d").update(op="max_pool2d_indices"), "has no kernel"),
    "an unknown attribute": (lambda m: step(m)["attrs"].update(evil=1), "no attribute 'evil'"),
    "a missing attribute": (lambda m: step(m)["attrs"].pop("stride"), "lacks attributes of"),
    "a stride of zero": (lambda m: step(m)["attrs"].update(stride=[0, 1]), "stride is"),
    "a negative padding": (lambda m: step(m)["attrs"].update(padding=[-1, 1]), "padding is"),
    "a padding of three sides": (lambda m: step(m)["attrs"].update(padding=[1, 1, 1]), "padding is"),
    "a fraction": (lambda m: step(m)["attrs"].update(stride=[1.0, 1]), "which it cannot be"),
    "a wrong size": (lambda m: step(m)["sizes"].update(H=9), "other sizes than its shapes give"),
    "sizes in another order": (
        lambda m: step(m).update(sizes=dict(reversed(step(m)["sizes"].items()))),
        "other sizes than its shapes give",
    ),
    "a wrong shape": (lambda m: step(m).update(shape=["batch", 8, 8, 6]), "another size"),
    "an input taken for larger": (lambda m: step(m)["shapes"].__setitem__(0, ["batch", 9, 9, 1]), "another size"),
    "an undeclared dim": (lambda m: step(m)["shapes"].__setitem__(0, ["other", 8, 8, 1]), "no declared range"),
    "a division by zero": (lambda m: step(m)["shapes"].__setitem__(0, [["//", "batch", 0], 8, 8, 1]), "divides by 0"),
    "a size of many parts": (lambda m: step(m)["sizes"].update(N=_nested(40)), "parts"),
    "weights as output": (lambda m: step(m).update(output=m["tensors"][0]["name"]), "which is no buffer"),
    "an input before its time": (lambda m: step(m).update(inputs=["output", step(m)["inputs"][1]]), "before anything"),
    "an unknown name": (lambda m: step(m).update(inputs=["ghost", step(m)["inputs"][1]]), "before anything makes it"),
    "one input too few": (lambda m: step(m).update(inputs=step(m)["inputs"][:1]), "has 1 inputs"),
    "a buffer outside": (lambda m: buffer(m, "output").update(offset=m["memory"]["arena"]), "outside|signature"),
    "a negative offset": (lambda m: step_buffer(m).update(offset=-64), "is no size"),
    "a buffer off the grid": (lambda m: step_buffer(m).update(offset=4), "multiple of 64"),
    "a buffer too small": (lambda m: step_buffer(m).update(size=64), "smaller than its shape"),
    "a huge arena": (lambda m: m["memory"].update(arena=1 << 40), "2 GiB"),
    "a huge dim": (lambda m: m["dims"][0].update(max=1 << 30), "smaller than its shape|too large"),
    "an empty range": (lambda m: m["dims"][0].update(min=9, max=1), "range 9 to 1"),
    "a dim of nothing": (lambda m: m["dims"][0].update(min=0, max=0), "range 0 to 0"),
    "a parameter outside": (lambda m: m["tensors"][-1].update(offset=1 << 20), "outside the weights"),
    "a parameter of another layout": (lambda m: m["tensors"][0].update(layout="rows"), "bytes, its shape"),
    "an unknown layout": (lambda m: m["tensors"][0].update(layout="zip"), "unknown layout"),
    "too little scratch memory": (lambda m: scratch(m).update(size=64, shape=[16]), "too little scratch"),
    "no scratch memory": (lambda m: step(m).pop("scratch"), "scratch memory"),
    "an epilogue of operands it has not": (
        lambda m: step(m)["epilogue"].update(expr=["add", ["x", 0], ["x", 7]]), "operand that it has not",
    ),
    "an unknown primitive": (lambda m: step(m)["epilogue"].update(expr=["system", 1]), "scalar expression"),
    "two functions of one name": (
        lambda m: (step(m).update(kernel="nx_same"), step(m, "max_pool2d").update(kernel="nx_same")), "mean different",
    ),
    "a port that is not its buffer": (lambda m: m["inputs"][0].update(offset=64), "signature"),
    "an input twice": (lambda m: m["inputs"].append(m["inputs"][0]), "signature"),
    "no outputs": (lambda m: m.update(outputs=[]), "no inputs or no outputs"),
    "another base": (lambda m: m["memory"].update(base=0), "memory map"),
    "too few pages": (lambda m: m["memory"].update(pages=1), "memory map"),
    "golden dims out of range": (lambda m: m["golden"][0]["dims"].update(batch=10**6), "golden case"),
    "a native library without a level": (lambda m: m["native"][0].pop("level"), "malformed"),
}  # fmt: skip


def step_buffer(m: Any) -> Any:
    return buffer(m, step(m)["output"])


def scratch(m: Any) -> Any:
    return buffer(m, step(m)["scratch"])


def _nested(depth: int) -> Any:
    return ["*", "batch", _nested(depth - 1)] if depth else "batch"


@pytest.mark.parametrize(("change", "text"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_plan_is_refused(bundle: Path, change: Edit, text: str) -> None:
    edit(bundle, change)
    for device in ("auto", "reference"):
        with pytest.raises(BundleError, match=text):
            load_model(bundle, device)


def test_an_edited_plan_is_told_from_the_written_one(bundle: Path) -> None:
    edit(bundle, lambda m: m["layers"][0].update(name="other"), signed=False)
    with pytest.raises(BundleError, match="was changed after it was written"):
        load_model(bundle)


VALUES = [None, True, -1, 0, 1, 63, 64, 2**31, 2**53, 2**70, 1.5, "", "x", "batch", "output", "../x", "nx_run", "NHWC",
          [], {}, ["x", 0], ["//", "batch", 0], [1, 1]]  # fmt: skip


def nodes(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything in a JSON value, long texts and hashes included once."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from nodes(inner, (*path, key))


def mutate(manifest: Any, seed: int) -> Any:
    """Delete one to three things in a manifest, or put a value or another part of it in their place."""
    rng = random.Random(seed)
    data = copy.deepcopy(manifest)
    for _ in range(rng.choice((1, 1, 2, 3))):
        paths = list(nodes(data))
        *parents, last = rng.choice(paths)
        place = data
        for key in parents:
            place = place[key]
        choice = rng.random()
        if choice < 0.25:
            del place[last]
        elif choice < 0.65:
            place[last] = copy.deepcopy(rng.choice(VALUES))
        else:
            other: Any = data
            for key in rng.choice(paths):
                other = other[key]
            place[last] = copy.deepcopy(other)
        if not data:
            break
    return data


@pytest.fixture(scope="module")
def victim(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(exported, tmp_path_factory.mktemp("mutants") / "bundle"))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
@given(seed=st.integers(0, 2**32))
def test_a_mutated_manifest_is_refused_or_right(exported: Path, victim: Path, seed: int) -> None:
    manifest = json.loads((exported / f"{NAME}.json").read_text(encoding="utf-8"))
    (victim / f"{NAME}.json").write_text(json.dumps(mutate(manifest, seed)), encoding="utf-8")
    try:
        model = load_model(victim, "reference")
    except NeurenixError:
        return
    np.testing.assert_allclose(model.forward(images(2))["output"], answer(images(2)), rtol=0, atol=1e-6)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
@given(seed=st.integers(0, 2**32))
def test_a_forged_manifest_is_refused_or_harmless(exported: Path, victim: Path, seed: int) -> None:
    """A forger who gets the number right may describe another model, but only one whose code stays in its memory."""
    manifest = mutate(json.loads((exported / f"{NAME}.json").read_text(encoding="utf-8")), seed)
    if isinstance(manifest, dict):
        manifest["abi"] = forged_number(manifest)
        manifest["native"] = []  # so that the plan is printed and compiled
    (victim / f"{NAME}.json").write_text(json.dumps(manifest), encoding="utf-8")
    try:
        models = [load_model(victim, device) for device in ("reference", "cpu")]
    except NeurenixError:
        return
    plan = models[0]._bundle.plan
    smallest = {name: low for name, (low, _) in plan.dims.items()}
    inputs = {n: np.ones([evaluate(s, smallest) for s in plan.buffers[n].shape], np.float32) for n in plan.inputs}
    for model in models:
        try:
            assert set(plan.outputs) == set(model.forward(inputs))
        except NeurenixError:
            continue


def test_what_is_printed_holds_no_text_of_the_manifest_outside_of_comments(bundle: Path) -> None:
    evil = "*/ evil \\\n evil"

    def change(m: Any) -> None:
        m["layers"][0].update(name=evil, type=evil)
        for each in m["plan"]["steps"]:
            each["scope"] = evil

    edit(bundle, change)
    model = load_model(bundle, "reference")
    for line in print_c(model._bundle.plan, 1).splitlines():
        assert "evil" not in line or line.lstrip().startswith("// ")
