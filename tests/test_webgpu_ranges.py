"""Claims about whole inputs for which a model may leave 32 bits: how far shaders take them, and what lies beyond."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gpu_cases import printed
from op_cases import reference
from tracing import traced

from neurenix import Tensor
from neurenix.errors import InputError, UnsupportedError
from neurenix.export import ExportOptions, export
from neurenix.graph.graph import Graph
from neurenix.nn import Module
from neurenix.phynexus.webgpu import WebGPUEngine

Body = Callable[..., Any]

# What a model does with int64 inputs of shape [3, 4], and the bits that each of them is left with.
NARROWED: Mapping[str, tuple[Body, Mapping[str, int]]] = {
    "a sum": (lambda x: x + 1, {"x": 30}),
    "a multiple": (lambda x: x * 100, {"x": 24}),
    "a product": (lambda x, y: x * y, {"x": 15, "y": 15}),
    "a power": (lambda x: x**3, {"x": 10}),
    "a sum along an axis": (lambda x: x.sum(0), {"x": 29}),
    "a product of matrices": (lambda x, y: x @ y.transpose(0, 1), {"x": 14, "y": 14}),
    "a condition": (lambda x, y: (x + 1 < y).apply("where", x, y), {"x": 30}),
    "one after the other": (lambda x, y: (x * 1000 + y) // 8, {"x": 21, "y": 25}),
}


def _graph(body: Body, of: str = "int64") -> Graph:
    names = body.__code__.co_varnames[: body.__code__.co_argcount]
    return traced(body, dict.fromkeys(names, f"{of}[3, 4]"))


@pytest.mark.parametrize(("body", "bits"), NARROWED.values(), ids=NARROWED)
def test_inputs_are_taken_as_far_as_32_bits_are_shown_to_do(body: Body, bits: Mapping[str, int]) -> None:
    _, _, shaders = printed(_graph(body))
    assert {name: (-(1 << n), (1 << n) - 1) for name, n in bits.items()} == shaders.inputs


def test_unsigned_inputs_begin_at_0() -> None:
    assert {"x": (0, (1 << 24) - 1)} == printed(_graph(lambda x: x * 100, "uint32"))[2].inputs


@pytest.mark.parametrize("body", [lambda x: x.clip(-9, 9) * 1000, lambda x: x.argmax(0), lambda x: x > 5])
def test_what_fits_for_every_number_asks_nothing_of_its_inputs(body: Body) -> None:
    assert {} == printed(_graph(body))[2].inputs


@pytest.mark.parametrize(
    "body", [lambda x: x + 2**40, lambda x: x**40, lambda x: x.float().round().long() * 2**20 * x.float().exp().long()]
)
def test_what_fits_for_next_to_no_number_is_refused(body: Body) -> None:
    with pytest.raises(UnsupportedError, match="32 bits"):
        printed(_graph(body))


def test_rounding_to_float16_widens_what_is_known() -> None:
    def scaled(most: float) -> Graph:  # 2047.6 becomes 2048, and 2^31 is one too many
        return traced(lambda x: x.clip(0, most).half().long() * 2**20, {"x": "float32[4]"})

    assert {} == printed(scaled(2047.4))[2].inputs
    with pytest.raises(UnsupportedError, match=r"from 0 to 2\.14748e\+09"):
        printed(scaled(2047.6))


_BINARY = ["add", "sub", "mul", "maximum", "minimum", "mod", "floor_divide", "bitwise_and", "bitwise_xor"]


def _random(seed: int, *values: Any) -> Any:
    """Return a few steps of arithmetic of whole numbers, one after the other, on these values and constants."""
    rng, made = np.random.default_rng(seed), list(values)
    for _ in range(int(rng.integers(2, 7))):
        a, b, c = (made[int(rng.integers(len(made)))] for _ in range(3))
        constant = Tensor(np.array(int(rng.integers(-50, 50)) * 10 ** int(rng.integers(0, 4))))
        match int(rng.integers(5)):
            case 0:
                made.append(a.apply("lt", b).apply("where", b, c))
            case 1:
                made.append(a.apply("neg" if rng.random() < 0.5 else "abs"))
            case 2:
                made.append(a.apply(str(rng.choice(_BINARY)), constant))
            case _:
                made.append(a.apply(str(rng.choice(_BINARY)), b))
    return {f"y{i}": value for i, value in enumerate(made[len(values) :])}


@pytest.mark.gpu
@pytest.mark.parametrize("seed", range(30))
def test_random_arithmetic_is_exact_wherever_inputs_are_taken(seed: int) -> None:
    graph = _graph(lambda x, y: _random(seed, x, y), "int32" if seed % 5 == 0 else "int64")
    try:
        made = printed(graph)
    except UnsupportedError as error:
        assert "32 bits" in str(error)
        return
    engine, rng = WebGPUEngine(*made), np.random.default_rng(seed)
    for _ in range(3):
        feeds = {}
        for name in graph.inputs:
            low, high = made[2].inputs.get(name, (-(2**31), 2**31 - 1))
            special = np.clip(rng.choice([low, low + 1, -1, 0, 1, high - 1, high], (3, 4)), low, high)
            drawn = rng.integers(low, high, (3, 4), endpoint=True)
            feeds[name] = np.where(rng.random((3, 4)) < 0.5, special, drawn).astype(graph.values[name].dtype.numpy)
        expected, answers = reference(graph, feeds), engine.run(feeds, {})
        for name, wanted in expected.items():
            np.testing.assert_array_equal(wanted, answers[name], f"{name} of {made[2].inputs}")


class Far(Module):
    """Rows of a table by their numbers, which are 0 to 999, and what takes numbers up to 511."""

    def forward(self, *inputs: Any) -> Any:
        rows = Tensor(np.arange(1000, dtype=np.float32))[inputs[0]]
        return {"rows": rows, "far": inputs[0] * 2**22}


def test_a_model_whose_usual_inputs_are_beyond_gets_no_shaders(tmp_path: Path) -> None:
    options = ExportOptions(inputs={"ids": "int64[64]"}, webgpu=True)
    with pytest.raises(UnsupportedError, match=r"'ids' reaches from \d+ to [6-9]\d\d, .* from -512 to 511"):
        export(Far(), tmp_path, "far", options)


@pytest.mark.gpu
@pytest.mark.parametrize(("body", "bits"), NARROWED.values(), ids=NARROWED)
def test_answers_at_the_ends_are_exact_and_what_is_beyond_is_refused(body: Body, bits: Mapping[str, int]) -> None:
    graph = _graph(body)
    made = printed(graph)
    engine = WebGPUEngine(*made)
    rng = np.random.default_rng(0)
    for _ in range(4):  # corners of the box
        feeds = {n: rng.choice(made[2].inputs.get(n, (-(2**31), 2**31 - 1)), (3, 4)) for n in graph.inputs}
        expected, answers = reference(graph, feeds), engine.run(feeds, {})
        for name, wanted in expected.items():
            np.testing.assert_array_equal(wanted, answers[name])
    for name, n in bits.items():
        for beyond in (1 << n, -(1 << n) - 1, 1 << 40):
            with pytest.raises(InputError, match=rf"'{name}' holds {beyond}, .*use device='cpu'"):
                engine.run({**feeds, name: np.full((3, 4), beyond)}, {})
    again = engine.run(feeds, {})  # a call that was refused leaves nothing behind
    for name, answer in answers.items():
        np.testing.assert_array_equal(answer, again[name])
