"""Python in the browser: the report on devices in Pyodide, in Node.js and in Chromium, and the framework there.

Pyodide comes from npm. Its NumPy does not: neither npm nor PyPI has it, and Pyodide fetches it from a network of its
own. So in Pyodide itself the package's parts that need no NumPy are run, with the package's `__init__`, which imports
it, left out; all of it is run where NEURENIX_PYODIDE_PACKAGES names a folder with Pyodide's wheels of NumPy, Jinja2 and
MarkupSafe; and always in an ordinary Python from which everything is taken that Pyodide's has not.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from test_runtime_js import JS, node

ROOT = Path(__file__).resolve().parent.parent
PYODIDE = JS / "node_modules/pyodide"
SWIFTSHADER = ("--no-sandbox", "--disable-quic", "--no-first-run", "--enable-unsafe-webgpu",
               "--use-webgpu-adapter=swiftshader")  # fmt: skip

# The package without its `__init__`.
BARE = """
import sys, types
sys.path.insert(0, "/repo")
package = types.ModuleType("neurenix")
package.__path__ = ["/repo/neurenix"]
sys.modules["neurenix"] = package
"""

REPORT = """
import dataclasses, json
from neurenix.device import Device, DeviceType, get_available_devices
report = Device.detect()
json.dumps({
    "browser": dataclasses.asdict(report.browser),
    "machine": report.processor.machine,
    "cores": report.processor.cores,
    "table": repr(report),
    "devices": [d.name for d in get_available_devices()],
    "auto": Device("auto").name,
    "problems": {t.value: Device(t).problem() for t in DeviceType},
})
"""

# What the engine itself says, asked in other ways than Device.detect() does.
ORACLE = """
const tried = (make) => { try { return make() instanceof WebAssembly.Memory; } catch { return false; } };
const oracle = {
  threads: tried(() => new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true })),
  memory64: tried(() => new WebAssembly.Memory({ initial: 1n, maximum: 1n, address: 'i64' })),
  webgpu: 'gpu' in navigator,
  cores: navigator.hardwareConcurrency,
  name: navigator.userAgent,
};
"""

IN_NODE = (
    ORACLE
    + """
import { readFileSync } from 'node:fs';
const { loadPyodide } = await import(process.argv[2]);
const { supports } = await import(process.argv[3]);
oracle.simd = supports('simd');
oracle['relaxed-simd'] = supports('relaxed');
const python = await loadPyodide();
python.mountNodeFS('/repo', process.argv[4]);
const answers = [];
for (const file of process.argv.slice(5)) answers.push(await python.runPythonAsync(readFileSync(file, 'utf-8')));
console.log(JSON.stringify({ oracle, answers }));
"""
)


@pytest.fixture(scope="module")
def pyodide() -> Path:
    if not PYODIDE.is_dir():
        pytest.fail("Pyodide is not installed: `make test` does it, or `npm ci` in tests/js.")
    return PYODIDE


def run_in_node(folder: Path, *programs: str) -> Any:
    """Run Python programs one after the other in one Pyodide; return what each ends with, and what Node.js says."""
    files = []
    for i, program in enumerate(programs):
        files.append(folder / f"program{i}.py")
        files[-1].write_text(program, encoding="utf-8")
    script = folder / "run.mjs"
    script.write_text(IN_NODE, encoding="utf-8")
    features = ROOT / "templates/runtime/neurenix.runtime/features.js"
    done = subprocess.run(
        [node(), script, (PYODIDE / "pyodide.mjs").as_uri(), features.as_uri(), ROOT, *files],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def used_modules() -> list[str]:
    """Every module of the standard library that a module of the package imports at its top."""
    found = set()
    for path in (ROOT / "neurenix").rglob("*.py"):
        for node_ in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node_, ast.Import):
                found |= {alias.name for alias in node_.names}
            elif isinstance(node_, ast.ImportFrom) and node_.module:
                found.add(node_.module)
    return sorted(name for name in found if name.partition(".")[0] in sys.stdlib_module_names)


@pytest.mark.node
@pytest.mark.slow
def test_in_node_pyodide_the_report_tells_what_the_engine_has(pyodide: Path, tmp_path: Path) -> None:
    imports = f"import importlib\nfor name in {used_modules()!r}:\n    importlib.import_module(name)\n'all'"
    found = run_in_node(tmp_path, BARE + REPORT, imports)
    report, oracle = json.loads(found["answers"][0]), found["oracle"]
    browser = report["browser"]
    assert (oracle["name"], oracle["cores"], oracle["webgpu"]) == (browser["name"], browser["cores"], browser["webgpu"])
    for feature in ("simd", "relaxed-simd", "threads", "memory64"):
        assert oracle[feature] == (feature in browser["wasm"]), feature
    assert ("wasm32", 1) == (report["machine"], report["cores"])
    assert (["cpu"], "cpu") == (report["devices"], report["auto"])
    assert None is report["problems"]["cpu"]
    assert "give the page the exported bundle" in report["problems"]["wasm"]
    assert "browser" in report["problems"]["webgpu"]
    assert "wasm      wasm simd" in report["table"]
    assert "all" == found["answers"][1]


IN_CHROMIUM = """
import json, sys
from playwright.sync_api import sync_playwright
url, executable, *flags = sys.argv[1:]
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(
        executable_path=executable or None, args=flags, ignore_default_args=["--disable-gpu"]
    )
    page = browser.new_page()
    page.goto(url)
    page.wait_for_function("window.answer !== undefined", timeout=120000)
    print(page.evaluate("window.answer"))
    browser.close()
"""

PAGE = """<!doctype html><title>Pyodide</title><script type="module">
%s
try {
  const { loadPyodide } = await import('./pyodide/pyodide.mjs');
  const python = await loadPyodide();
  const archive = await (await fetch('./neurenix.zip')).arrayBuffer();
  python.unpackArchive(archive, 'zip', { extractDir: '/repo' });
  const report = await python.runPythonAsync(await (await fetch('./program.txt')).text());
  window.answer = JSON.stringify({ oracle, answers: [report] });
} catch (error) {
  window.answer = JSON.stringify({ error: String(error) });
}
</script>"""


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.mark.browser
@pytest.mark.slow
def test_in_a_page_the_report_names_the_adapter(pyodide: Path, tmp_path: Path) -> None:
    shutil.copytree(pyodide, tmp_path / "pyodide")
    with zipfile.ZipFile(tmp_path / "neurenix.zip", "w") as archive:
        for path in (ROOT / "neurenix").rglob("*.py"):
            archive.write(path, path.relative_to(ROOT))
    (tmp_path / "program.txt").write_text(BARE + REPORT, encoding="utf-8")
    (tmp_path / "index.html").write_text(PAGE % ORACLE, encoding="utf-8")
    executable = os.environ.get("NEURENIX_CHROMIUM") or shutil.which("chromium") or ""
    handler = partial(QuietHandler, directory=str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/index.html"
    try:
        done = subprocess.run(
            [sys.executable, "-c", IN_CHROMIUM, url, executable, *SWIFTSHADER],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    finally:
        server.shutdown()
        server.server_close()
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert "error" not in found, found
    report, oracle = json.loads(found["answers"][0]), found["oracle"]
    browser = report["browser"]
    assert (True, True) == (oracle["webgpu"], browser["webgpu"])
    assert "Chrome" in browser["name"]
    assert "swiftshader" in browser["adapter"].lower()
    for feature in ("threads", "memory64"):
        assert oracle[feature] == (feature in browser["wasm"]), feature
    assert {"simd", "relaxed-simd"} <= set(browser["wasm"])
    assert ["cpu"] == report["devices"]


# ── the framework ───────────────────────────────────────────────────────────────────────────────────────

FRAMEWORK = """
import json, warnings
import numpy as np
import neurenix
from neurenix import nn, optim
from neurenix.device import Device
neurenix.manual_seed(0)
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
    "device": str(model.to("auto").device),
    "machine": Device.detect().processor.machine,
})
"""

MISSING = ("resource", "_multiprocessing")  # modules
NO_SUCH = ("posix_spawn", "sched_getaffinity")  # of os

# What Pyodide's Python has not: threads, processes, libraries of the system. Pyodide itself is asked below.
WITHOUT = f"""
import ctypes, os, subprocess, sys, threading, types
import numpy as np
def refuse(*args, **kwargs):
    raise OSError("Pyodide has no such thing")
def refuse_thread(*args, **kwargs):
    raise RuntimeError("can't start new thread")
threading.Thread.start = refuse_thread
subprocess.Popen.__init__ = ctypes.CDLL.__init__ = refuse
for name in {NO_SUCH!r}:
    if hasattr(os, name):
        delattr(os, name)
os.cpu_count = lambda: 1
sys.modules |= dict.fromkeys(("wgpu", "wasmtime", "ziglang", "torch", "onnx", *{MISSING!r}))
sys.modules["js"] = types.SimpleNamespace(
    WebAssembly=types.SimpleNamespace(validate=lambda module: True), navigator=None, crossOriginIsolated=False
)
sys.modules["pyodide"] = types.ModuleType("pyodide")
sys.modules["pyodide.ffi"] = types.SimpleNamespace(to_js=lambda content: content)
sys.platform = "emscripten"
"""

# What Pyodide does in the same places, by the same names.
ASKED = f"""
import ctypes, importlib.util, json, os, subprocess, threading
def raised(call):
    try:
        call()
    except Exception as error:
        return type(error).__name__
json.dumps({{
    "thread": raised(lambda: threading.Thread(target=print).start()),
    "process": raised(lambda: subprocess.Popen(["true"])),
    "library": raised(lambda: ctypes.CDLL("/libc.so.6")),
    "missing": [name for name in {MISSING!r} if importlib.util.find_spec(name) is None],
    "no such": [name for name in {NO_SUCH!r} if not hasattr(os, name)],
    "cores": os.cpu_count(),
}})
"""


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


def assert_same(expected: Any, actual: Any) -> None:
    assert expected["loss"] == pytest.approx(actual["loss"], rel=1e-5)
    for name in ("output", "reference"):
        for mine, theirs in zip(actual[name], expected["output"]):
            assert theirs == pytest.approx(mine, rel=1e-4, abs=1e-6)
    assert "cpu" == actual["device"]


@pytest.mark.slow
def test_the_framework_runs_without_what_pyodide_has_not() -> None:
    assert_same(run_here(FRAMEWORK), run_here(WITHOUT + FRAMEWORK))


@pytest.mark.node
@pytest.mark.slow
def test_pyodide_has_not_what_is_taken_away_above(pyodide: Path, tmp_path: Path) -> None:
    (answer,) = run_in_node(tmp_path, ASKED)["answers"]
    refused = {"thread": "RuntimeError", "process": "OSError", "library": "OSError"}
    assert {**refused, "missing": [*MISSING], "no such": [*NO_SUCH], "cores": 1} == json.loads(answer)


@pytest.mark.node
@pytest.mark.slow
def test_in_pyodide_the_framework_gives_the_same_answers(pyodide: Path, tmp_path: Path) -> None:
    given = os.environ.get("NEURENIX_PYODIDE_PACKAGES")
    if given is None:
        pytest.skip("NumPy for Pyodide is on neither npm nor PyPI: NEURENIX_PYODIDE_PACKAGES may name a folder with it")
    wheels = [str(path) for path in sorted(Path(given).glob("*.whl"))]
    assert any("numpy" in wheel for wheel in wheels), f"{given} has no wheel of NumPy"
    load = f"import pyodide_js\nfor wheel in {wheels!r}:\n    await pyodide_js.loadPackage('file://' + wheel)\n'loaded'"
    found = run_in_node(tmp_path, load, "import sys; sys.path.insert(0, '/repo')\n" + FRAMEWORK)
    actual = json.loads(found["answers"][1])
    assert "wasm32" == actual["machine"]
    assert_same(run_here(FRAMEWORK), actual)
