"""Claims about golden inputs: like the data, telling of nobody, and such that a small fault fails the proof."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix.bundle.golden import Formula, Stored, to_json
from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.data import read_csv
from neurenix.declarative.training import Declaration, make
from neurenix.errors import VerificationError
from neurenix.export import ExportOptions, export
from neurenix.golden_inputs import explained_error, golden_cases, visibility
from neurenix.graph.graph import Graph
from neurenix.graph.spread import Spread
from neurenix.graph.store import load_graph, save_graph
from neurenix.nn import Conv2d, CrossEntropyLoss, Embedding, Flatten, Linear, Module, ReLU, Sequential, Softmax, Tanh
from neurenix.optim import Adam
from neurenix.phynexus.reference import run_graph
from neurenix.tensor import Tensor
from neurenix.trace import trace
from neurenix.training import fit
from neurenix.verification import verify

DATA = Path(__file__).parent / "data"

# The mean and the deviation of measures as a laboratory writes them down: proline beside hue.
WINE = {"alcohol": (13.0, 0.8), "magnesium": (100.0, 14.0), "hue": (0.96, 0.23), "proline": (747.0, 315.0)}


def write_wine(path: Path, casks: bool) -> None:
    """Write 180 wines of three growers, whose measures lie about a deviation apart."""
    rng = np.random.default_rng(0)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow([*WINE, *["cask"] * casks, "grower"])
        for row in range(180):
            moved = rng.normal(0, 0.5, len(WINE)) + np.roll([1, -1, 0, 1], row % 3)
            measures = [f"{mean + deviation * m:.2f}" for (mean, deviation), m in zip(WINE.values(), moved)]
            cask = ("oak", "steel", "clay")[int(rng.integers(3))]
            table.writerow([*measures, *[cask] * casks, "abc"[row % 3]])


def declared(folder: Path, data: Path, target: str, layers: str, loss: Any = None) -> Graph:
    (folder / "table.csv").write_bytes(data.read_bytes())
    specs = tuple((w, {"out_features": int(n)} if n else {}) for w, _, n in (x.partition(":") for x in layers.split()))
    made = make(Declaration("table.csv", target, specs, loss=loss, epochs=60), folder)
    return trace(made.model, made.inputs)


def wine(folder: Path, casks: bool = True) -> Graph:
    write_wine(folder / "wine.csv", casks)
    return declared(folder, folder / "wine.csv", "grower", "linear:16 relu linear:3")


def fitted(folder: Path) -> Graph:
    """The model with Python of docs/getting-started.md, on raw measures: another Sequential than `fit` has seen."""
    neurenix.manual_seed(0)
    x, y = raw_iris()
    scores = Sequential(Linear(4, 16), Tanh(), Linear(16, 3))
    fit(scores, (x, y), CrossEntropyLoss(), Adam(scores.parameters(), 0.02), 40, seed=0, progress="none")
    return trace(Sequential(scores, Softmax(-1)), {"petal": "float32[batch, 4]"})


def pictures(folder: Path) -> Graph:
    """Bars that lie or stand, in bytes: what a picture is before anybody divides it by 255."""
    rng = np.random.default_rng(0)
    x = rng.normal(60, 20, (96, 1, 8, 8)).clip(0, 255)
    for i in range(96):
        x[i, 0].T[3 : 5 + i % 2] += 90 * (i % 2)
        x[i, 0][3 : 5 + i % 2] += 90 * (1 - i % 2)
    neurenix.manual_seed(0)
    model = Sequential(Conv2d(1, 4, 3), ReLU(), Flatten(), Linear(4 * 36, 2))
    data = (x.astype(np.float32), np.arange(96) % 2)
    fit(model, data, CrossEntropyLoss(), Adam(model.parameters(), 0.001), 10, seed=0, progress="none")
    return trace(Sequential(*model, Softmax(-1)), {"image": "float32[batch, 1, 8, 8]"})


def words(folder: Path) -> Graph:
    class Words(Module):
        def __init__(self) -> None:
            super().__init__()
            self.vectors, self.scores = Embedding(40, 8), Linear(8, 2)

        def forward(self, ids: Tensor) -> Any:
            return self.scores(self.vectors(ids).mean(1))

    neurenix.manual_seed(0)
    model = Words()
    ids = np.random.default_rng(0).integers(3, 37, (64, 6))
    fit(model, (ids, ids[:, 0] % 2), CrossEntropyLoss(), Adam(model.parameters(), 0.01), 5, seed=0, progress="none")
    return trace(model, {"ids": "int64[batch, 6]"})


MODELS: dict[str, Callable[[Path], Graph]] = {
    "wine": wine,
    "iris": lambda folder: declared(folder, DATA / "iris.csv", "species", "linear:16 relu linear:3"),
    "petal": lambda folder: declared(folder, DATA / "iris.csv", "petal_width", "linear:8 tanh linear:1"),
    "fitted": fitted,
    "pictures": pictures,
    "words": words,
}


@cache
def raw_iris() -> tuple[Any, Any]:
    table = read_csv(DATA / "iris.csv")
    names = [name for name in table.columns if name != "species"]
    return np.stack([table.columns[n].astype(np.float32) for n in names], axis=1), table.columns["species"]


@pytest.fixture(scope="module", params=MODELS)
def graph(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return MODELS[request.param](tmp_path_factory.mktemp(request.param))


def compiled(graph: Graph) -> tuple[Any, bytes]:
    return schedule(passes.run(graph))


def faulty(graph: Graph, names: Any, size: float) -> Graph:
    """The graph with these of its numbers off by `size` of each, up or down."""
    rng = np.random.default_rng(0)
    changed = {n: graph.constants[n] * (1 + size * rng.choice([-1, 1], graph.constants[n].shape)) for n in names}
    return replace(graph, constants={**graph.constants, **{n: a.astype(np.float32) for n, a in changed.items()}})


def test_a_perturbed_weight_fails_the_proof(graph: Graph) -> None:
    plan, weights = compiled(graph)
    cases = golden_cases(graph, plan, 1e-4)
    limit = min(1e-4, explained_error(graph, plan, cases))
    found = verify(plan, weights, [], cases, 0, None, limit)
    assert found["reference"] < limit / 8, "what is right is far from being refused"
    for layer in (layer for layer in graph.layers if any(n in graph.constants for n in layer.parameters)):
        wrong = compiled(faulty(graph, [n for n in layer.parameters if graph.constants[n].dtype.kind == "f"], 1e-4))[1]
        with pytest.raises(VerificationError, match="the reference form of 'model' is off by"):
            verify(plan, wrong, [], cases, 0, None, limit)
            pytest.fail(f"nobody has noticed the fault in {layer.name}")


@pytest.mark.parametrize("known", [True, False], ids=["data", "no data"])
def test_wine_is_proved_where_a_fault_shows_and_noise_would_show_none(known: bool, tmp_path: Path) -> None:
    graph = wine(tmp_path, casks=known)
    plan, _ = compiled(graph)
    # Without data the model's own scaling says what its measures are like.
    case = golden_cases(graph if known else replace(graph, spreads={}), plan, 1e-4)[-1]
    noise = replace(case, inputs={"input": Formula(100, 0.0, 1.0)})
    noise = replace(noise, outputs=run_graph(graph, noise.feeds(plan), noise.dims, precision="float64"))
    assert visibility(graph, plan, case) > 0.25
    assert visibility(graph, plan, noise) < 1e-4
    assert case.outputs["output"].max(axis=1).min() < 0.9 < noise.outputs["output"].max(axis=1).min()


def test_golden_inputs_lie_in_the_datas_ranges_and_are_none_of_its_rows(tmp_path: Path) -> None:
    graph = wine(tmp_path)
    plan, _ = compiled(graph)
    table = read_csv(tmp_path / "wine.csv")
    rows = np.stack([c.astype(np.float32) for name, c in table.columns.items() if name != "grower"], axis=1)
    for case in golden_cases(graph, plan, 1e-4):
        assert isinstance(case.inputs["input"], Stored)
        drawn = case.feeds(plan)["input"]
        assert (rows.min(axis=0) <= drawn).all() and (drawn <= rows.max(axis=0)).all()
        assert set(drawn[:, 4]) <= {0.0, 1.0, 2.0}, "a category is one of its words"
        assert not (rows[:, None, :4] == drawn[None, :, :4]).all(axis=2).any()


@pytest.mark.parametrize("name", ["wine", "pictures"])
def test_the_same_data_give_the_same_bytes(name: str, tmp_path: Path) -> None:
    made = []
    for _ in range(2):
        graph = MODELS[name](tmp_path)
        made.append([to_json(case) for case in golden_cases(graph, compiled(graph)[0], 1e-4)])
    assert made[0] == made[1]


def test_numbers_of_words_stay_those_that_were_seen(tmp_path: Path) -> None:
    graph = words(tmp_path)
    plan, _ = compiled(graph)
    for case in golden_cases(graph, plan, 1e-4):
        ids = case.feeds(plan)["ids"]
        assert np.dtype(np.int64) == ids.dtype
        assert (ids.min() >= 3, ids.max() < 37) == (True, True)


def test_an_index_beyond_the_table_is_never_drawn_whatever_the_data_said(tmp_path: Path) -> None:
    graph = words(tmp_path)
    (spread,) = graph.spreads.values()
    wide = replace(graph, spreads={"ids": replace(spread, high=(1e6,) * len(spread.high))})
    plan, _ = compiled(graph)
    assert all(case.feeds(plan)["ids"].max() < 40 for case in golden_cases(wide, plan, 1e-4))


@pytest.mark.zig
def test_data_beyond_a_gpus_whole_numbers_leaves_the_bundle_without_shaders(tmp_path: Path) -> None:
    class Cut(Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.clamp(0, 9)

    graph = trace(Cut(), {"x": "int64[batch, 2]"})
    options = ExportOptions(simd=False)
    assert "" == export(graph, tmp_path, "m", options).wasm_only
    times = replace(graph, spreads={"x": Spread((4e9,), (5e9,), (True,))})
    assert "'x' reaches from 4" in export(times, tmp_path, "m", options).wasm_only


def test_a_stored_graph_gives_the_same_golden_inputs(graph: Graph, tmp_path: Path) -> None:
    save_graph(graph, tmp_path / "graph.npz")
    back = load_graph(tmp_path / "graph.npz")
    assert graph.spreads == back.spreads
    assert len(graph.spreads) == 1
    plan, _ = compiled(graph)
    expected, actual = ([case.inputs for case in golden_cases(g, plan, 1e-4)] for g in (graph, back))
    assert expected == actual


def saturated() -> Module:
    """A classifier that is sure of everything but of small numbers."""
    model = Sequential(Linear(4, 8), Tanh(), Linear(8, 3), Softmax(-1))
    rng = np.random.default_rng(0)
    for parameter in model.parameters():
        parameter.numpy()[...] = rng.normal(0, 30, parameter.numpy().shape) if parameter.ndim == 2 else 0
    return model.eval()


def shifted() -> Module:
    """A network that is dead below 5: noise about zero tests nothing."""
    model = Sequential(Linear(4, 8), ReLU(), Linear(8, 3))
    rng = np.random.default_rng(0)
    for parameter in model.parameters():
        parameter.numpy()[...] = rng.uniform(0.5, 1, parameter.numpy().shape)
    model[0].bias.numpy()[...] = -15
    return model.eval()


@pytest.mark.parametrize("make_model", [saturated, shifted])
def test_without_data_inputs_are_sought_that_show_faults(make_model: Callable[[], Module]) -> None:
    graph = trace(make_model(), {"x": "float32[batch, 4]"})
    plan, weights = compiled(graph)
    cases = golden_cases(graph, plan, 1e-4)
    limit = explained_error(graph, plan, cases)
    verify(plan, weights, [], cases, 0, None, limit)
    for name in ("0.weight", "2.weight"):
        with pytest.raises(VerificationError):
            verify(plan, compiled(faulty(graph, [name], 1e-3))[1], [], cases, 0, None, limit)


def test_a_model_that_always_answers_the_same_is_as_visible_as_it_is() -> None:
    class Constant(Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * 0

    graph = trace(Constant(), {"x": "float32[batch, 4]"})
    plan, _ = compiled(graph)
    (case, _) = golden_cases(graph, plan, 1e-4)
    assert visibility(graph, plan, case) < 1e-9
