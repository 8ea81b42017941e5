"""Claims about custom ops: what may be registered, and that a kernel computes what its oracle does, or is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from custom_ops import CLIP_C, CLIP_ZIG, SOURCES, clip, no_custom_ops

from neurenix import Tensor, load_model, ops, toolchain
from neurenix.custom import check_op, register_op, registered_ops
from neurenix.errors import CompileError, GraphError, InputError, ModelError, UnsupportedError, VerificationError
from neurenix.nn import Custom, Linear, Module, Sequential
from neurenix.trace import trace
from neurenix.wasm import export_to_wasm

__all__ = ["no_custom_ops"]

X = np.array([[-3.0, -0.4, 0.0, 7.0]], np.float32)


def body(text: str) -> str:
    """Return a C kernel of one input with a body of its own."""
    return f'#include "nx_math.h"\nvoid NX_NAME(nx_part part, nx_int n, const float *x, float *y) {{\n  {text}\n}}\n'


# ── registration ────────────────────────────────────────────────────────────────────────────────────


def test_an_op_answers_eagerly_with_its_oracle() -> None:
    op = register_op("acme.clip", clip, c=CLIP_C)
    assert [[-0.5, -0.4000000059604645, 0.0, 0.5]] == op(Tensor(X), limit=0.5).tolist()


def test_the_decorator_registers_under_the_name() -> None:
    op = register_op("acme.clip", c=CLIP_C)(clip)
    assert ("acme.clip", clip) == (op.name, op.oracle)
    assert op in registered_ops()
    assert ops.get("acme.clip").attrs == {"limit": 1.0}


@pytest.mark.parametrize("name", ["Clip", "acme.", "a.b.c", "acme clip", "1st", "", "acme.ümlaut", "a" * 65])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="must be letters, digits"):
        register_op(name, clip, c=CLIP_C)


def test_a_name_of_the_table_is_refused() -> None:
    with pytest.raises(InputError, match=r"'relu' is an op of Neurenix: .*'acme.relu'"):
        register_op("relu", clip, c=CLIP_C)


def test_a_name_that_another_module_has_is_refused() -> None:
    register_op("acme.clip", clip, c=CLIP_C)
    with pytest.raises(InputError, match=r"'acme.clip' is registered already, by custom_ops.clip"):
        register_op("acme.clip", lambda x: x, c=CLIP_C)


def test_the_same_function_replaces_its_registration() -> None:
    register_op("acme.clip", clip, c=CLIP_C)
    register_op("acme.clip", clip, zig=CLIP_ZIG)
    assert "zig" == ops.custom.source_of(ops.get("acme.clip")).language


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "one kernel, c=… or zig=…, and got 0"),
        ({"c": CLIP_C, "zig": CLIP_ZIG}, "got 2"),
        ({"c": "nowhere.c"}, "cannot be read"),
        ({"c": "kernel.cpp"}, r"must end in \.c"),
        ({"c": CLIP_C, "attrs": {"edge": 1}}, "'edge', which the oracle has not; it has limit"),
        ({"c": CLIP_C, "attrs": {"limit": float("nan")}}, "an attribute is a number"),
        ({"c": CLIP_C, "attrs": {"limit": "high"}}, "an attribute is a number"),
        ({"c": CLIP_C, "takes": ["float32", "float32"]}, "takes 2 dtypes, and its oracle 1 inputs"),
        ({"c": CLIP_C, "takes": ["float16"]}, "cannot take 'float16'"),
        ({"c": CLIP_C, "dtype": "float33"}, "'float33'"),
        ({"c": CLIP_C, "shape": "wide"}, "it is 'same' or a function"),
        ({"c": CLIP_C, "wgsl": "fn main() {}"}, "shader of 'acme.clip' must have one entry point"),
        ({"c": CLIP_C, "onnx": "Clip"}, "must be 'domain::Operator'"),
        ({"c": CLIP_C, "onnx": "ai.onnx::Clip"}, "ONNX's own"),
    ],
)
def test_a_declaration_that_does_not_hold_together_is_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        register_op("acme.clip", clip, **options)
    assert () == tuple(op for op in registered_ops() if op.name == "acme.clip")


def test_an_oracle_with_a_default_for_an_input_is_refused() -> None:
    with pytest.raises(InputError, match=r"attributes stand behind a '\*'"):
        register_op("acme.clip", lambda x, limit=1.0: x, c=CLIP_C)


def test_what_an_op_does_not_take_is_refused() -> None:
    op = register_op("acme.clip", clip, c=CLIP_C)
    with pytest.raises(GraphError, match="no attribute 'edge'; it has limit"):
        op(Tensor(X), edge=1)
    with pytest.raises(GraphError, match="the attribute 'limit' is 'high'"):
        op(Tensor(X), limit="high")
    with pytest.raises(GraphError, match="takes 1 inputs, got 2"):
        op(Tensor(X), Tensor(X))
    with pytest.raises(GraphError, match="input 0 must be float32, got int64"):
        op(Tensor(np.array([1, 2])))
    with pytest.raises(GraphError, match=r"there is no op 'acme.clop'; did you mean 'acme.clip'"):
        Custom("acme.clop")


def test_a_rule_that_raises_is_named() -> None:
    op = register_op("acme.clip", clip, c=CLIP_C, shape=lambda x, limit: {}[x])
    with pytest.raises(GraphError, match=r"'acme.clip': .*shape rule raised KeyError for \[1, 4\]"):
        op(Tensor(X))


def test_an_op_without_a_gradient_says_so_and_one_with_trains() -> None:
    x = Tensor(X, requires_grad=True)
    with pytest.raises(GraphError, match=r"op 'acme.clip' has no gradient"):
        register_op("acme.clip", clip, c=CLIP_C)(x).sum().backward()

    def gradient(g: Tensor, y: Tensor, inputs: Any, attrs: Any) -> list[Tensor]:
        return [g * (inputs[0].abs() < attrs["limit"]).to("float32")]

    register_op("acme.clip", clip, c=CLIP_C, gradient=gradient)(x).sum().backward()
    assert x.grad is not None
    assert [[0.0, 1.0, 1.0, 0.0]] == x.grad.tolist()


# ── kernels ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("language", list(SOURCES))
@pytest.mark.zig
def test_a_right_kernel_agrees_with_its_oracle(language: str) -> None:
    op = register_op("acme.clip", clip, **SOURCES[language])
    assert check_op(op) < 1e-6
    assert check_op(op, samples=[[(5,), {"limit": 0.25}], [X]]) < 1e-6


@pytest.mark.zig
def test_a_kernel_in_zig_is_compiled_once_for_whatever_calls_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[str] = []
    run = toolchain._zig

    def counted(folder: Path, arguments: Sequence[str]) -> Any:
        made.append(arguments[0])
        return run(folder, arguments)

    monkeypatch.setattr(toolchain, "_zig", counted)
    monkeypatch.setenv("NEURENIX_CACHE_DIR", str(tmp_path))
    check_op(register_op("acme.clip", clip, c=None, zig=CLIP_ZIG), samples=[[(3,)], [(4,)], [(2, 5)]])
    assert {"build-obj": 1, "cc": 3} == Counter(made)


@pytest.mark.parametrize("language", list(SOURCES))
@pytest.mark.zig
def test_a_model_gives_the_same_in_every_form(language: str, tmp_path: Path) -> None:
    register_op("acme.clip", clip, **SOURCES[language])
    model = Sequential(Linear(4, 8), Custom("acme.clip", limit=0.5), Linear(8, 3), Custom("acme.clip"))
    export_to_wasm(model, tmp_path, "clipped", native=True, simd=language == "c")
    x = np.random.default_rng(3).normal(size=(5, 4)).astype(np.float32)
    for device in ("reference", "cpu", "wasm"):
        loaded = load_model(tmp_path / "clipped.json", device)
        np.testing.assert_allclose(model(Tensor(x)).numpy(), loaded.forward(x)["output"], atol=1e-6)
        assert loaded.self_test() < 1e-5


@pytest.mark.zig
def test_inputs_sizes_dtypes_and_attributes_reach_a_kernel(tmp_path: Path) -> None:
    source = """
    #include "nx_host.h"
    static const nx_int steps[] = NX_ATTR_STEPS;
    void NX_NAME(nx_part part, nx_int rows, nx_int k, const NX_TYPE_0 *x, const int64_t *at, NX_TYPE *y) {
      nx_int row, end;
      nx_share(part, rows, 1, &row, &end);
      for (; row < end; row++) {
        y[row] = NX_ATTR_FLIP ? 100 : 0;
        for (int s = 0; s < NX_ATTR_STEPS_COUNT; s++) y[row] += steps[s] * x[row * k + at[row]];
      }
    }
    """

    def picked(x: Any, at: Any, *, steps: tuple[int, ...] = (1, 2), flip: bool = False) -> Any:
        return 100 * flip + sum(steps) * np.take_along_axis(x, at[:, None], 1)[:, 0]

    op = register_op(
        "acme.picked", picked, c=source, takes=["any", "int64"], attrs={"flip": True},
        shape=lambda x, at, **attrs: x[:1], sizes=lambda x, at, **attrs: {"rows": x[0], "k": x[1]},
        samples=[[np.arange(6, dtype=of).reshape(2, 3), np.array([2, 0])] for of in ("int32", "float32", "float64")],
    )  # fmt: skip
    assert 0 == check_op(op)

    class Picks(Module):
        def forward(self, x: Tensor, at: Tensor) -> Tensor:
            return op(x, at, steps=(3,)) + 1

    inputs = {"x": "float32[batch, 8]", "at": "int64[batch]"}
    export_to_wasm(Picks(), tmp_path, "picks", inputs=inputs)
    x, at = np.arange(24, dtype=np.float32).reshape(3, 8), np.array([0, 5, 7])
    answer = load_model(tmp_path / "picks.json", "wasm").forward({"x": x, "at": at})["output"]
    assert [101 + 0, 101 + 3 * 13, 101 + 3 * 23] == answer.tolist()


@pytest.mark.zig
def test_two_ops_with_the_same_names_inside_do_not_clash(tmp_path: Path) -> None:
    register_op("acme.clip", clip, c=CLIP_C)
    register_op("acme_clip", clip, c=CLIP_C.replace("? -NX", "? -2 * NX").replace("? NX", "? 2 * NX"))
    with pytest.raises(VerificationError, match="'acme_clip'"):
        check_op("acme_clip", samples=[[X]])
    register_op("acme_clip", clip, c=CLIP_C + "// another")
    model = Sequential(Custom("acme.clip", limit=2.0), Custom("acme_clip"))
    export_to_wasm(model, tmp_path, "clipped", inputs={"x": "float32[4]"})
    assert [-1, -0.4000000059604645, 0, 1] == load_model(tmp_path / "clipped.json", "wasm").forward(X[0])[
        "output"
    ].tolist()


@pytest.mark.parametrize("language", list(SOURCES))
@pytest.mark.zig
def test_a_wrong_body_fails_with_the_numbers_that_differ(language: str, tmp_path: Path) -> None:
    wrong = {key: text.replace("[i] = bent(x[i])", "[i] = bent(x[i]) + 0.5") for key, text in SOURCES[language].items()}
    register_op("acme.clip", clip, **wrong)
    with pytest.raises(VerificationError, match=r"differs .* 4 of 4 numbers .* at \[0\] it gives -0.5, the oracle -1"):
        check_op("acme.clip", samples=[[X[0]]])
    with pytest.raises(VerificationError, match=r"kernel of 'acme.clip' .*\[1, 4\], limit=1.0 differs from its oracle"):
        export_to_wasm(Sequential(Linear(4, 4), Custom("acme.clip")), tmp_path, "clipped")
    assert [] == list(tmp_path.iterdir())


EACH = "for (nx_int i = 0; i < n; i++) { y[i] = x[i]; % }"
BREACHES = {
    "outside of all memory": ("y[n + (1 << 28)] = x[0];", "it reads or writes outside of all memory"),
    "behind the output": (EACH.replace("%", "y[i + 1] = 0;"), r"it writes outside of its output, \d+ bytes from"),
    "copies behind both ends": ("for (nx_int i = 0; i <= n; i++) y[i] = x[i];", "it writes outside of its output, 28"),
    "before the output": ("y[-1] = 0;" + EACH.replace("%", ""), "it writes outside of its output, -4 bytes from"),
    "to an input": (EACH.replace("%", "((float *)x)[i] += 1;"), "it writes to its input 0"),
    "reads behind an input": (EACH.replace("%", "y[i] += 0 * x[i + 1];"), "it gives nan, the oracle"),
    "leaves a part out": (EACH.replace("i = 0", "i = 1").replace("%", ""), "it gives nan, the oracle"),
    "counts what was there": (EACH.replace("] =", "] = 0 * y[i] +").replace("%", ""), "it gives nan, the oracle"),
    "half for the other": ("n /= part.threads;" + EACH.replace("%", ""), r"by 2 workers differs from its oracle"),
    "remembers": ("static nx_int calls; calls++;" + EACH.replace("] =", "] = calls +").replace("%", ""), "of its own"),
    "has no end": ("for (volatile int k = 0; k < 1;) {}", "it was still running after 1 seconds"),
}  # fmt: skip


@pytest.mark.parametrize("name", BREACHES)
@pytest.mark.zig
def test_a_kernel_that_does_more_or_less_than_its_share_fails_the_check(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neurenix.phynexus.guarded_wasm.SECONDS", 1.0)
    statements, problem = BREACHES[name]
    op = register_op("acme.same", lambda x: 1 * x, c=body(statements))
    with pytest.raises(VerificationError, match=rf"kernel of 'acme.same' .*{problem}"):
        check_op(op, samples=[[(7,)]])


def test_an_oracle_that_raises_is_named_with_what_it_was_given() -> None:
    op = register_op("acme.clip", lambda x: x / None, c=CLIP_C)
    with pytest.raises(
        GraphError, match=r"op 'acme.clip': its oracle raised TypeError for float32\[1, 4\]: unsupported"
    ):
        op(Tensor(X))


def test_an_oracle_cannot_write_to_its_inputs() -> None:
    x = Tensor(X)
    with pytest.raises(GraphError, match=r"op 'acme.clip': its oracle raised ValueError .* read-only"):
        register_op("acme.clip", lambda x: np.clip(x, -1, 1, out=x), c=CLIP_C)(x)
    np.testing.assert_array_equal(X, x.numpy())


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"c": body("y[0] = x[0] +;")}, r"acme\.clip/acme_clip\.c:3:\d+: error: expected expression"),
        ({"c": '#include <math.h>\n' + CLIP_C}, r"acme_clip\.c:1:10: fatal error: 'math\.h' file not found"),
        ({"c": body("y[0] = expf(x[0]);")}, r"acme_clip\.c:3:\d+: error: use of undeclared identifier 'expf'"),
        ({"c": "float expf(float);\n" + body("y[0] = expf(x[0]);")}, "undefined symbol: expf"),
        (
            {"c": '__attribute__((import_module("env"), import_name("now"))) float now(void);\n'
                  + body("for (nx_int i = 0; i < n; i++) y[i] = now();")},
            "env.now",
        ),
        ({"c": "float helper(float x) { return x; }\n" + CLIP_C}, r"acme_clip\.c:1:7: error: no previous prototype"),
        ({"c": "int calls;\n" + CLIP_C}, r"acme_clip\.c:1:5: error: no previous extern declaration"),
        ({"c": CLIP_C.replace("nx_int n, ", "nx_int n, nx_int m, ")}, "conflicting types for 'nx_custom_acme_clip'"),
        ({"c": "static int x(void) { return 0; }\n"}, "undefined symbol: nx_custom_acme_clip"),
        ({"zig": CLIP_ZIG.replace("bent(x[i])", "bend(x[i])")}, r"acme\.clip/acme_clip\.zig:10:\d+: error: use of"),
        ({"zig": CLIP_ZIG.replace("pub fn kernel", "fn kernel")}, "acme_clip.zig must have a 'pub fn kernel'"),
        ({"zig": CLIP_ZIG.replace("y: [*]f32", "y: [*]f64")}, r"expected type '\[\*\]f64', found '\[\*\]f32'"),
    ],
)  # fmt: skip
@pytest.mark.zig
def test_a_source_that_does_not_compile_or_stand_alone_is_refused(source: dict[str, str], message: str) -> None:
    register_op("acme.clip", clip, **source)
    with pytest.raises(CompileError, match=message):
        check_op("acme.clip")


def test_a_dtype_that_a_kernel_does_not_take_is_refused_when_compiled() -> None:
    from neurenix.compiler import passes
    from neurenix.compiler.schedule import schedule

    register_op("acme.clip", clip, c=CLIP_C)
    graph = trace(Custom("acme.clip"), {"x": "float64[4]"})
    with pytest.raises(UnsupportedError, match="which is float64; its kernel takes float32"):
        schedule(passes.run(graph))


@pytest.mark.zig
def test_float16_reaches_a_kernel_as_float32(tmp_path: Path) -> None:
    register_op("acme.clip", clip, c=CLIP_C)
    export_to_wasm(Custom("acme.clip"), tmp_path, "half", inputs={"x": "float16[4]"})
    answer = load_model(tmp_path / "half.json", "wasm").forward(X[0].astype(np.float16))["output"]
    assert np.float16 == answer.dtype
    assert [-1.0, np.float16(-0.4), 0.0, 1.0] == answer.tolist()


@pytest.mark.zig
def test_attributes_of_hostile_onnx_nodes_are_refused(tmp_path: Path) -> None:
    register_op("acme.clip", clip, c=CLIP_C, onnx="my.domain::Clip")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(name, kind, [4]) for name in "xy"]
    for attributes, problem in (
        ({"limit": float("inf")}, "the attribute 'limit' is inf"),
        ({"limit": "1.0f; }"}, "not of the type"),
        ({"edge": 1}, "'edge' is not supported; it has limit"),
    ):
        node = helper.make_node("Clip", ["x"], ["y"], domain="my.domain", **attributes)
        versions = [helper.make_opsetid("", 18), helper.make_opsetid("my.domain", 1)]
        graph = helper.make_graph([node], "clip", ends[:1], ends[1:])
        onnx.save(helper.make_model(graph, opset_imports=versions), tmp_path / "clip.onnx")
        with pytest.raises((ModelError, UnsupportedError), match=problem):
            export_to_wasm(tmp_path / "clip.onnx", tmp_path / "out", "clip")
