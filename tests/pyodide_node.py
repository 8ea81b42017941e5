"""Programs for Python in WebAssembly: Pyodide in Node.js, as npm has it, with this package and others beside it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from test_runtime_js import JS, node

ROOT = Path(__file__).resolve().parent.parent
# Names in tests/js/package.json. The older one has the Python that the NumPy which npm has is made for.
NEWEST, WITH_NUMPY = "pyodide", "pyodide-python-3.12"

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
for (const [place, path] of Object.entries(JSON.parse(process.argv[4]))) python.mountNodeFS(place, path);
const answers = [];
for (const file of process.argv.slice(5)) {
  answers.push(await python.runPythonAsync(readFileSync(file, 'utf-8')).catch((error) => {
    console.error(error.message); // without Pyodide's own text, which Node.js would print
    process.exit(1);
  }));
}
console.log(JSON.stringify({ oracle, answers }));
"""
)


def installed(package: str) -> Path:
    """Return the folder of a package from npm."""
    if not (JS / "node_modules" / package).is_dir():
        pytest.fail(f"{package} is not installed: `make test` does it, or `npm ci` in tests/js.")
    return JS / "node_modules" / package


def run_in_node(
    folder: Path, *programs: str, package: str = NEWEST, beside: Mapping[str, Path] = MappingProxyType({})
) -> Any:
    """Run Python programs one after the other in one Pyodide; return what each ends with, and what Node.js says.

    The repository is /repo there; `beside` says what else lies where.
    """
    files = []
    for i, program in enumerate(programs):
        files.append(folder / f"program{i}.py")
        files[-1].write_text(program, encoding="utf-8")
    script = folder / "run.mjs"
    script.write_text(IN_NODE, encoding="utf-8")
    features = ROOT / "templates/runtime/neurenix.runtime/features.js"
    mounts = json.dumps({"/repo": str(ROOT), **{place: str(path) for place, path in beside.items()}})
    done = subprocess.run(
        [node(), script, (installed(package) / "pyodide.mjs").as_uri(), features.as_uri(), mounts, *files],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])
