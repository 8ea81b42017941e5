"""The bundle on disk: it is what FORMAT.md says, key by key, and the same bytes wherever it is made."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from manifest_checker import Checker

import neurenix
from neurenix.compiler.wasm_file import read_wasm
from neurenix.nn import BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential, Softmax
from neurenix.toolchain import WASM_VARIANTS, compile_c
from neurenix.wasm import export_to_wasm

pytest_plugins = ["browser"]
pytestmark = pytest.mark.zig

MODELS = ("mlp", "cnn")

PROGRAM = """
import neurenix
from neurenix.nn import Conv2d, Flatten, Linear, ReLU, Sequential
from neurenix.wasm import export_to_wasm

neurenix.manual_seed(3)
model = Sequential(Conv2d(1, 4, 3), ReLU(), Flatten(), Linear(4 * 16, 3))
export_to_wasm(model, "out", "model", inputs={"x": "float32[batch, 1, 6, 6]"}, native=True, demo=True)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models in one folder, with native libraries and the page of the second one."""
    out = tmp_path_factory.mktemp("bundle")
    neurenix.manual_seed(0)
    mlp = Sequential(Linear(10, 20), ReLU(), Linear(20, 5))
    export_to_wasm(mlp, out, "mlp", native=True, dims={"batch": (2, 9)})
    cnn = Sequential(
        Conv2d(1, 6, 3, padding=1), BatchNorm2d(6), ReLU(), MaxPool2d(2), Flatten(), Linear(150, 4), Softmax()
    )
    labels = ("north", "east", "south", "west")
    export_to_wasm(cnn, out, "cnn", inputs={"image": "float32[n, 1, 10, 10]"}, labels=labels, native=True, demo=True)
    return out


@pytest.fixture(params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def manifest(folder: Path, name: str) -> Any:
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def test_the_manifest_is_what_the_format_says(folder: Path, name: str) -> None:
    Checker(manifest(folder, name), folder).check()


def test_the_format_documents_every_key_that_is_written(folder: Path, name: str) -> None:
    text = (Path(neurenix.__file__).parent / "bundle" / "FORMAT.md").read_text(encoding="utf-8")

    def keys(value: Any) -> Iterator[str]:
        for key, inner in value.items() if isinstance(value, dict) else ():
            yield key
            # The keys inside some of these are names that the model, the op table or a kernel gives.
            if isinstance(inner, dict) and key in ("files", "inputs", "outputs", "regions"):
                yield from keys(list(inner.values()))
            elif not isinstance(inner, dict) or key not in ("config", "attrs", "sizes", "dims"):
                yield from keys(inner)
        for item in value if isinstance(value, list) else ():
            yield from keys(item)

    missing = {key for key in keys(manifest(folder, name)) if f"`{key}`" not in text and f'"{key}"' not in text}
    assert set() == missing


def test_the_entry_module_holds_the_size_and_hash_of_the_manifest(folder: Path, name: str) -> None:
    text = (folder / f"{name}.json").read_bytes()
    entry = (folder / f"{name}.js").read_text(encoding="utf-8")
    expected = {"file": f"{name}.json", "size": len(text), "sha256": hashlib.sha256(text).hexdigest()}
    found = re.search(r"manifest: (\{.*\}),", entry)
    assert found is not None
    assert expected == json.loads(found[1])


def test_every_file_of_the_table_is_there_and_no_other(folder: Path) -> None:
    found = {p.name for p in folder.iterdir()}
    expected = {"neurenix.runtime.js", "neurenix.runtime.d.ts", "neurenix.runtime"}
    expected |= {"index.html", "demo.js", "demo.css", "demo"}
    for name in MODELS:
        expected |= {f"{name}.{kind}" for kind in ("js", "d.ts", "json", "bin", "c", "wgsl")}
        expected |= {f"{name}.{variant}.wasm" for variant in WASM_VARIANTS}
        expected |= {library["file"] for library in manifest(folder, name)["native"]}
    assert expected == found


def test_nothing_refers_to_another_origin_or_to_this_machine(folder: Path) -> None:
    here = (str(folder), str(Path.home()), os.environ.get("NEURENIX_CACHE_DIR", str(folder)))
    for path in (p for p in folder.rglob("*") if p.is_file()):
        content = path.read_bytes().replace(b'xmlns="http://www.w3.org/2000/svg"', b"")  # a name, and no address
        assert b"://" not in content or path.suffix in (".ts",), path
        assert not any(place.encode() in content for place in here if len(place) > 1), path


def test_each_variant_imports_its_memory_alone_and_keeps_below_the_weights(folder: Path, name: str) -> None:
    base = manifest(folder, name)["memory"]["base"]
    for variant in manifest(folder, name)["variants"]:
        found = read_wasm((folder / variant["file"]).read_bytes())
        assert found.imports == ("env.memory",)
        expected = {"nx_abi": "function", "nx_run": "function", "__heap_base": "global"}
        assert expected == found.exports
        assert 65536 <= found.heap <= base


def test_the_printed_c_is_the_source_of_the_compiled_forms(folder: Path, name: str) -> None:
    source = (folder / f"{name}.c").read_text(encoding="utf-8")
    for variant in WASM_VARIANTS.values():
        assert (folder / f"{name}.{variant.name}.wasm").read_bytes() == compile_c(source, variant, "model.wasm")


def test_labels_and_dims_reach_the_manifest(folder: Path) -> None:
    assert manifest(folder, "cnn")["labels"] == ["north", "east", "south", "west"]
    assert manifest(folder, "mlp")["dims"] == [{"name": "batch", "min": 2, "max": 9}]
    assert "labels" not in manifest(folder, "mlp")


@pytest.mark.slow
def test_two_processes_in_two_places_write_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for number in ("1", "2"):
        place = tmp_path / ("a" * int(number) ** 4)
        place.mkdir()
        environment = {
            **os.environ,
            "NEURENIX_CACHE_DIR": str(place / "cache"),
            "PYTHONHASHSEED": number,
            "TZ": "UTC" + number,
        }
        subprocess.run([sys.executable, "-c", PROGRAM], cwd=place, env=environment, check=True, timeout=300)
        files = sorted(p for p in (place / "out").rglob("*") if p.is_file())
        written.append({p.relative_to(place).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files})
    assert written[0] == written[1]
    assert {"out/model.json", "out/model.simd.wasm", "out/index.html"} <= set(written[0])
