"""Claims about custom ops with a WGSL source: it runs on every GPU as the oracle says, or it is in no bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from custom_ops import CLIP_C, ENERGY_C, ENERGY_WGSL, clip, no_custom_ops
from runtime_page import PAGE, SCRIPT

import neurenix
from neurenix import Tensor, load_model
from neurenix.bundle.reader import read_bundle
from neurenix.custom import check_op, register_op, unregister_op
from neurenix.errors import CompileError, DeviceError, InputError, UnsupportedError, VerificationError
from neurenix.nn import Custom, Linear, Module, Sequential
from neurenix.wasm import export_to_wasm

pytest_plugins = ["browser", "gpu_browser"]
__all__ = ["no_custom_ops"]


CLIP_WGSL = """\
override n: u32;
override limit: f32;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < n) { y[id.x] = clamp(x[id.x], -limit, limit); }
}
"""
# Whole numbers, a bool, a tuple, and the sizes from a uniform.
STEPS_C = """\
#include "nx_host.h"

void NX_NAME(nx_part part, nx_int n, const int32_t *x, const unsigned char *on, int32_t *y) {
  static const int steps[] = NX_ATTR_STEPS;
  nx_int i, end;
  nx_share(part, n, 1, &i, &end);
  for (; i < end; i++) y[i] = on[i] && NX_ATTR_UP ? x[i] + steps[i % NX_ATTR_STEPS_COUNT] : x[i];
}
"""
STEPS_WGSL = """\
override steps_0: i32;
override steps_1: i32;
override steps_2: i32 = 7;
override steps_count: u32;
override up: bool;

struct Sizes { n: u32 }
@group(0) @binding(0) var<storage, read> x: array<i32>;
@group(0) @binding(1) var<storage, read> on: array<i32>;
@group(0) @binding(2) var<storage, read_write> y: array<i32>;
@group(0) @binding(3) var<uniform> sizes: Sizes;

@compute @workgroup_size(8, 4)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let i = id.y * 64u + id.x;
  if (i >= sizes.n || id.x >= 64u) { return; }
  let steps = array(steps_0, steps_1, steps_2);
  y[i] = x[i] + select(0, steps[i % steps_count], on[i] != 0 && up);
}
"""


def energy(x: Any) -> Any:
    return (x * x).sum(1)


def steps(x: Any, on: Any, *, steps: tuple[int, ...] = (1, -2), up: bool = True) -> Any:
    added = np.resize(np.array(steps, x.dtype), x.shape)
    return x + np.where(np.asarray(on, bool) & up, added, np.array(0, x.dtype))


OPS: dict[str, tuple[Any, dict[str, Any]]] = {
    "clip": (clip, {"c": CLIP_C, "wgsl": CLIP_WGSL, "samples": [[(3, 5)], [(0, 4)], [(64,), {"limit": 2}]]}),
    "energy": (energy, {
        "c": ENERGY_C, "wgsl": ENERGY_WGSL, "shape": lambda x: x[:1], "covers": lambda x: (x[0] * 16,),
        "sizes": lambda x: {"rows": x[0], "columns": x[1]}, "samples": [[(3, 5)], [(1, 100)]],
    }),
    "steps": (steps, {
        "c": STEPS_C, "wgsl": STEPS_WGSL, "takes": ["int32", "bool"], "shape": lambda x, on, **_: x,
        "covers": lambda x, on, **_: (64, (x[0] + 63) // 64),
        "samples": [[(200,), (200,)], [(9,), (9,), {"steps": (1, 2, 3)}], [(9,), (9,), {"up": False}]],
    }),
}  # fmt: skip


def registered(name: str, **changed: Any) -> Any:
    oracle, options = OPS[name]
    return register_op(f"acme.{name}", oracle, **{**options, **changed})


@pytest.mark.parametrize("name", OPS)
@pytest.mark.gpu
@pytest.mark.zig
def test_a_shader_that_is_right_gives_the_oracles_numbers(name: str) -> None:
    assert check_op(registered(name)) < 1e-5


WRONG: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "another number": ("clip", [("-limit, limit", "0.0, limit")]),
    "one element short": ("clip", [("id.x < n", "id.x + 1u < n")]),
    "a row's end": ("energy", [("first + at < columns", "first + at + 1u < columns")]),
    "one invocation of sixteen": ("energy", [("i < 16u", "i < 1u")]),
    "another size": ("energy", [("columns", "rows")]),
    "one element too many": ("energy", [("first + at < columns", "first + at <= columns")]),
    "writes behind the end": ("clip", [("id.x < n", "id.x < n + 1u")]),
    "adds to what was there": ("clip", [("y[id.x] =", "y[id.x] +=")]),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.gpu
@pytest.mark.zig
def test_a_shader_that_is_wrong_is_told_with_its_numbers(name: str) -> None:
    op, edits = WRONG[name]
    text = OPS[op][1]["wgsl"]
    for old, new in edits:
        text = text.replace(old, new)
    told = r"it gives \S+, the oracle|it writes behind the end of its output, to 1 elements"
    with pytest.raises(VerificationError, match=rf"the shader of 'acme.{op}'.*({told})"):
        check_op(registered(op, wgsl=text, samples=[[(1, 40)]]))


@pytest.mark.gpu
@pytest.mark.zig
def test_a_shader_that_does_not_compile_is_told_with_the_compilers_words() -> None:
    with pytest.raises(CompileError, match=r"the shader of 'acme.clip'.*clampp"):
        check_op(registered("clip", wgsl=CLIP_WGSL.replace("clamp", "clampp")))


@pytest.mark.zig
def test_a_shader_that_cannot_be_run_is_not_shipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("neurenix.phynexus.availability.reason", lambda kind: "no adapter")
    model = Sequential(Custom(registered("clip"), limit=0.5), Linear(4, 3))
    with pytest.raises(
        DeviceError, match=r"the shader of 'acme.clip'.*cannot be proved here: no adapter.*runs on wasm"
    ):
        export_to_wasm(model, tmp_path / "out", "clipped", inputs={"x": "float32[batch, 4]"}, simd=False)
    assert not (tmp_path / "out").exists()
    export_to_wasm(model, tmp_path / "out", "clipped", inputs={"x": "float32[batch, 4]"}, simd=False, webgpu=False)


CONTRACT = {
    "another entry": (("fn main", "fn start"), "one entry point"),
    "a binding too few": (("@group(0) @binding(1)", "@id(1)"), r"@binding\(1\) var<storage, read_write> y"),
    "the output as an input": (("read_write", "read"), "needs .*read_write> y: array<f32>"),
    "the input as an output": (("storage, read>", "storage, read_write>"), "needs .*read> x0: array<f32>"),
    "another element": (("read> x: array<f32>", "read> x: array<i32>"), "array<f32>;`, it has"),
    "a binding too many": (("override n", "@group(0) @binding(3) var<storage> z: array<f32>;\noverride n"), "its last"),
    "no uniform of the sizes": (
        ("override n", "@group(0) @binding(2) var<uniform> s: vec2<u32>;\noverride n"), "a uniform of n, all u32",
    ),
    "an override of nothing": (("override n", "override m: u32;\noverride n"), "m, which nobody sets.* n, limit"),
    "a size as a float": (("n: u32", "n: f32"), "declares n as f32; it is u32 or i32"),
    "an attribute as a whole number": (("limit: f32", "limit: u32"), "declares limit as u32; it is f32"),
    "a large workgroup": (("(64)", "(512)"), "every GPU has 256"),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTRACT)
def test_what_breaks_the_contract_is_refused_when_it_is_registered(name: str) -> None:
    (old, new), words = CONTRACT[name]
    assert old in CLIP_WGSL
    with pytest.raises(InputError, match=f"the shader of 'acme.clip'.*{words}"):
        registered("clip", wgsl=CLIP_WGSL.replace(old, new))


def test_a_name_of_a_size_and_of_an_attribute_is_refused() -> None:
    with pytest.raises(InputError, match="the override n, which is both a size and an attribute: rename one"):
        register_op("acme.clip", lambda x, *, n=1, limit=1.0: x, c=CLIP_C, wgsl=CLIP_WGSL)


# ── in models ───────────────────────────────────────────────────────────────────────────────────────────


class Measured(Module):
    """A product, a clip and the energy of each row, whose length is a call's."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        bent = neurenix.nn.Custom("acme.clip", limit=0.5)(self.linear(x))
        return registered("energy")(bent.reshape(bent.shape[0], -1))  # type: ignore[no-any-return]


def exported(folder: Path) -> Path:
    registered("clip")
    neurenix.manual_seed(2)
    export_to_wasm(
        Measured().eval(), folder, "measured", inputs={"x": "float32[batch, steps, 4]"},
        dims={"batch": (1, 9), "steps": (1, 40)}, simd=False, webgpu=True,
    )  # fmt: skip
    return folder / "measured.json"


def _given(steps: int) -> Any:
    return np.random.default_rng(steps).standard_normal((2, steps, 4)).astype(np.float32)


@pytest.mark.gpu
@pytest.mark.zig
def test_a_bundle_answers_by_the_shader_where_the_op_is_not_registered(tmp_path: Path) -> None:
    path = exported(tmp_path)
    assert {"acme.clip", "acme.energy"} < {d.op for d in read_bundle(path).shaders().dispatches}
    oracle = load_model(path, "reference")
    wanted = {steps: oracle.forward({"x": _given(steps)})["output"] for steps in (1, 33)}
    for op in ("acme.clip", "acme.energy"):
        unregister_op(op)
    model = load_model(path, "webgpu")
    assert "webgpu" == model.device
    for steps, expected in wanted.items():
        np.testing.assert_allclose(expected, model.forward({"x": _given(steps)})["output"], rtol=1e-5)


@pytest.mark.browser
@pytest.mark.gpu
@pytest.mark.zig
def test_a_bundle_answers_by_the_shader_and_by_the_kernel_in_chromium(
    gpu_chromium: Any, serve: Any, tmp_path: Path
) -> None:
    path = exported(tmp_path / "webassembly_model")
    (tmp_path / "index.html").write_text(PAGE, encoding="utf-8")
    (tmp_path / "page.js").write_text(SCRIPT.replace("my_model", "measured"), encoding="utf-8")
    page = gpu_chromium.new_page()
    page.goto(serve(tmp_path).url)
    page.wait_for_selector("html[data-state]", timeout=60_000)
    answers = page.evaluate(
        """async (x) => {
            const answers = [];
            for (const device of ['webgpu', 'wasm']) {
                const model = await loadModel(undefined, { device });
                const answer = (await model.forward({ x })).output.toArray();
                answers.push([model.device, answer, (await model.selfTest()).passed]);
            }
            return answers;
        }""",
        _given(33).tolist(),
    )
    page.close()
    wanted = load_model(path, "reference").forward({"x": _given(33)})["output"]
    assert [("webgpu", True), ("wasm", True)] == [(device, passed) for device, _, passed in answers]
    for _, answer, _ in answers:
        np.testing.assert_allclose(wanted, answer, rtol=1e-5)


@pytest.mark.gpu
@pytest.mark.zig
def test_a_model_on_a_device_answers_by_the_shader() -> None:
    model = Sequential(Linear(4, 3), Custom(registered("clip"), limit=0.5)).eval()
    x = Tensor(_given(3)[0])
    expected = model(x).numpy()
    np.testing.assert_allclose(expected, model.to("webgpu")(x).numpy(), atol=1e-6)
    assert "webgpu" == str(model.device)


KEPT: dict[str, tuple[str, dict[str, Any], str]] = {
    "no shader": ("clip", {"wgsl": None}, r"op 'acme.clip' \('output'.*custom op without a WGSL source: the model"),
    "another dtype": ("clip", {"takes": ["any"]}, r"op 'acme.clip' .*which is int32, and its shader has array<f32>"),
    "too many workgroups": (
        "clip", {"covers": lambda x, **_: (1 << 23,), "takes": ["any"], "wgsl": CLIP_WGSL.replace("f32>;", "i32>;")},
        r"takes 131072 workgroups along x, where 65535 are the most: let 'covers'",
    ),
    "wide whole numbers": (
        "clip", {"takes": ["any"], "dtype": "int64", "wgsl": CLIP_WGSL.replace("f32>;", "i32>;")},
        r"op 'acme.clip' .* makes int64 from -inf to inf",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_what_keeps_a_model_on_wasm_is_named(name: str, tmp_path: Path) -> None:
    op, options, words = KEPT[name]
    model = Custom(registered(op, **options), limit=0.5)
    given = {"x": "int32[4]" if "takes" in options else "float32[4]"}
    with pytest.raises(UnsupportedError, match=words):
        export_to_wasm(model, tmp_path / "out", "kept", inputs=given, webgpu=True)
    assert not (tmp_path / "out").exists()


def test_a_rule_of_what_is_covered_must_give_sizes(tmp_path: Path) -> None:
    model = Custom(registered("clip", covers=lambda x, **_: x[0] / 2))
    with pytest.raises(
        neurenix.errors.GraphError, match=r"'acme.clip': its rule 'covers' must return one to three sizes"
    ):
        export_to_wasm(model, tmp_path, "kept", inputs={"x": "float32[4]"})
