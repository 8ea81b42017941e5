"""Python in the browser: the report on devices in the newest Pyodide, in Node.js and in Chromium.

Pyodide comes from npm, and no NumPy for it: the package's parts that need none are run here, with the package's
`__init__`, which imports it, left out. `test_pyodide.py` runs all of it in an older Pyodide.
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
from pyodide_node import NEWEST, ORACLE, ROOT, installed, run_in_node

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


@pytest.fixture(scope="module")
def pyodide() -> Path:
    return installed(NEWEST)


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
