"""The package in Pyodide, with the NumPy that emscripten-forge makes for it: the framework, bundles, every op's oracle.

npm has that NumPy for Python 3.12, so Pyodide is the last with this Python. Its integers are those of 32-bit machines.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exported_model import cnn
from op_cases import Case, assert_close, graph_of, random_case, rows
from pyodide_node import WITH_NUMPY, installed, run_in_node

import neurenix
from neurenix.export import ExportOptions, export
from neurenix.phynexus.reference import run_graph
from neurenix.session import load_model

pytestmark = [pytest.mark.node, pytest.mark.slow]

NUMPY = "@emscripten-forge/numpy"
PATHS = 'import sys\nsys.path[:0] = ["/repo", "/site"]\n'

FRAMEWORK = """
import json
import numpy as np
import neurenix
from neurenix import nn, optim
from neurenix.device import Device
neurenix.manual_seed(0)
tokens = nn.Embedding(7, 4)(neurenix.Tensor([[1, 6, 2]], dtype="int64"))
model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 3))
x = np.linspace(-1, 1, 2 * 64, dtype=np.float32).reshape(2, 1, 8, 8)
optimiser = optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    optimiser.zero_grad()
    loss = (model(x) ** 2).mean()
    loss.backward()
    optimiser.step()
model.eval()
from neurenix.trace import trace
from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.engines import start_reference
plan, weights = schedule(passes.run(trace(model, {"x": "float32[n, 1, 8, 8]"})))
reference = start_reference(plan, weights).engine.run({"x": x}, {"n": 2})["output"]
json.dumps({
    "loss": float(loss.item()),
    "output": model(x).numpy().tolist(),
    "reference": reference.tolist(),
    "states": nn.LSTM(4, 5, batch_first=True)(tokens)[0].numpy().tolist(),
    "device": str(model.to("auto").device),
    "machine": Device.detect().processor.machine,
})
"""

BUNDLE = """
import json, warnings
import numpy as np
from neurenix.session import load_model
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    model = load_model("/data/cnn.json")
image = np.linspace(-1, 1, 3 * 64, dtype=np.float32).reshape(3, 1, 8, 8)
(output,) = model.forward({"image": image}).values()
json.dumps({"device": str(model.device), "error": float(model.self_test()), "output": output.tolist(),
            "said": [str(warning.message) for warning in said]})
"""

OPS = """
import ast, json
import numpy as np
from neurenix import ops
from neurenix.opsdoc.cases import Case, graph_of
from neurenix.phynexus.reference import run_graph
given = np.load("/data/cases.npz")
answers = {}
for at, (name, attrs, count) in enumerate(json.load(open("/data/cases.json"))):
    arrays = tuple(given[f"x{at}_{i}"] for i in range(count))
    graph, feeds = graph_of([Case(ops.get(name), arrays, ast.literal_eval(attrs))])
    answers[f"y{at}"] = run_graph(graph, feeds, {})["y0"]
np.savez("/data/answers.npz", **answers)
len(answers)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a Pyodide would have installed: NumPy from npm, Jinja2 and MarkupSafe as they are here."""
    folder = tmp_path_factory.mktemp("site")
    (archive,) = (installed(NUMPY) / "pkg").glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder / "numpy", filter="data")
    (packages,) = (folder / "numpy").glob("lib/python*/site-packages")
    for name in ("jinja2", "markupsafe"):
        found = importlib.util.find_spec(name)
        assert found is not None and found.origin is not None
        shutil.copytree(Path(found.origin).parent, packages / name)
    return packages


def in_pyodide(site: Path, folder: Path, program: str) -> Any:
    """Run a program in Pyodide, where `folder` is /data; return what its last expression is."""
    beside = {"/site": site, "/data": folder}
    (answer,) = run_in_node(folder, PATHS + program, package=WITH_NUMPY, beside=beside)["answers"]
    return answer


def run_here(program: str) -> Any:
    """Run a program in a Python of its own and return what its last expression is."""
    body, _, last = program.rstrip().rpartition("\njson.dumps(")
    done = subprocess.run(
        [sys.executable, "-c", f"{body}\nprint(json.dumps({last})"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_framework_trains_and_answers_as_anywhere(site: Path, tmp_path: Path) -> None:
    expected, actual = run_here(FRAMEWORK), json.loads(in_pyodide(site, tmp_path, FRAMEWORK))
    assert ("wasm32", "cpu") == (actual["machine"], actual["device"])
    assert expected["loss"] == pytest.approx(actual["loss"], rel=1e-5)
    for name in ("output", "reference", "states"):
        np.testing.assert_allclose(actual[name], expected[name], rtol=1e-4, atol=1e-6)


@pytest.mark.zig
def test_a_bundle_is_loaded_and_answers_by_the_reference(site: Path, tmp_path: Path) -> None:
    neurenix.manual_seed(2)
    options = ExportOptions(inputs={"image": "float32[n, 1, 8, 8]"}, simd=False, threads=False)
    export(cnn(), tmp_path, "cnn", options)
    actual = json.loads(in_pyodide(site, tmp_path, BUNDLE))
    image = np.linspace(-1, 1, 3 * 64, dtype=np.float32).reshape(3, 1, 8, 8)
    (expected,) = load_model(tmp_path / "cnn.json").forward({"image": image}).values()
    np.testing.assert_allclose(actual["output"], expected, rtol=1e-4, atol=1e-6)
    assert ("reference", True) == (actual["device"], actual["error"] < 1e-5)


def test_every_op_answers_as_on_64_bits(site: Path, tmp_path: Path) -> None:
    drawn = [random_case(row, seed) for row in rows() for seed in range(2)]
    cases = [case for case in drawn if _is_literal(case)]
    assert len({case.row.name for case in cases}) > 0.9 * len(rows())
    told = [(case.row.name, repr(dict(case.attrs)), len(case.arrays)) for case in cases]
    (tmp_path / "cases.json").write_text(json.dumps(told), encoding="utf-8")
    arrays: dict[str, Any] = {
        f"x{at}_{i}": array for at, case in enumerate(cases) for i, array in enumerate(case.arrays)
    }
    np.savez(tmp_path / "cases.npz", **arrays)
    assert len(cases) == in_pyodide(site, tmp_path, OPS)
    answers = np.load(tmp_path / "answers.npz")
    for at, case in enumerate(cases):
        graph, feeds = graph_of([case])
        expected, actual = run_graph(graph, feeds, {})["y0"], answers[f"y{at}"]
        assert expected.dtype == actual.dtype, case
        assert_close(expected, actual, case.row.tolerance, repr(case))


def _is_literal(case: Case) -> bool:
    """Say whether a case's attributes travel as text."""
    try:
        return bool(ast.literal_eval(repr(dict(case.attrs))) == dict(case.attrs))
    except (ValueError, SyntaxError):
        return False
