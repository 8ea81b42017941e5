"""Writes a small bundle by hand, so that the JavaScript runtime is tested without the compiler.

Its model is `output = input * w + b` over `["batch", 10]`, with `w` and `b` from the weights file. Three
first values of an input make its code misbehave; see `tiny_model.c`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

TESTS = Path(__file__).parent
TEMPLATES = TESTS.parent / "templates"

ABI = 2887493321
BASE = 65536
MAX_BATCH = 8
WIDTH = 10
VARIANTS = {"relaxed": ["-msimd128", "-mrelaxed-simd"], "simd": ["-msimd128"], "scalar": []}

Array = np.ndarray[Any, Any]


def tiny_weights(seed: int) -> tuple[Array, Array]:
    """The model's `w` and `b`, each of ten values."""
    random = np.random.default_rng(seed)
    return tuple(random.uniform(-1, 1, WIDTH).astype(np.float32) for _ in range(2))  # type: ignore[return-value]


def golden_input(shape: tuple[int, ...], seed: int, low: float, high: float) -> Array:
    """FORMAT.md's formula for the values of a golden input, written on its own."""
    values = []
    for i in range(int(np.prod(shape))):
        h = (i * 2654435761 + seed * 2246822519) % 2**32
        h = ((h ^ (h >> 15)) * 2246822519) % 2**32
        h = ((h ^ (h >> 13)) * 3266489917) % 2**32
        h ^= h >> 16
        values.append(low + (high - low) * ((h >> 8) / 2**24))
    return np.array(values, np.float64).astype(np.float32).reshape(shape)


def write_tiny_bundle(folder: Path, name: str, *, seed: int = 0, golden_shift: float = 0.0) -> None:
    """Write the bundle of the tiny model `name` into `folder`, with weights drawn from `seed`.

    A `golden_shift` other than 0 makes the golden answers wrong by that much.
    """
    folder.mkdir(parents=True, exist_ok=True)
    w, b = tiny_weights(seed)
    # Every packed tensor starts at a multiple of 64 bytes.
    packed = np.zeros(32, np.float32)
    packed[:WIDTH], packed[16 : 16 + WIDTH] = w, b
    (folder / f"{name}.00.bin").write_bytes(packed[:16].tobytes())
    (folder / f"{name}.01.bin").write_bytes(packed[16:].tobytes())
    for variant in VARIANTS:
        wasm = folder / f"{name}.{variant}.wasm"
        if not wasm.exists():
            compile_tiny_model(wasm, variant)

    x = golden_input((2, WIDTH), 1, -1.0, 1.0)
    y = (x * w + b + golden_shift).astype(np.float32)
    stored = [f"{name}.00.bin", f"{name}.01.bin"]
    files = stored + [f"{name}.{variant}.wasm" for variant in VARIANTS]
    arena = MAX_BATCH * WIDTH * 4 * 2
    manifest = {
        "format": 1,
        "generator": "tiny",
        "name": name,
        "abi": ABI,
        "device": "auto",
        "inputs": [{"name": "input", "dtype": "float32", "shape": ["batch", WIDTH], "offset": 0}],
        "outputs": [{"name": "output", "dtype": "float32", "shape": ["batch", WIDTH], "offset": MAX_BATCH * WIDTH * 4}],
        "dims": [{"name": "batch", "min": 1, "max": MAX_BATCH}],
        "layers": [{"name": "0", "type": "Scale", "config": {}, "parameters": ["0.weight", "0.bias"]}],
        "memory": {"base": BASE, "weights": packed.nbytes, "arena": arena, "pages": 2},
        "threads": {"requested": False},
        "weights": stored,
        "variants": [{"name": variant, "file": f"{name}.{variant}.wasm"} for variant in VARIANTS],
        "files": {file: fingerprint((folder / file).read_bytes()) for file in files},
        "golden": [
            {
                "dims": {"batch": 2},
                "inputs": {"input": {"seed": 1, "low": -1.0, "high": 1.0}},
                "outputs": {"output": base64.b64encode(y.tobytes()).decode()},
                "tolerance": 1e-4,
            }
        ],
    }
    write_manifest(folder, name, manifest)
    copy_runtime(folder)


def write_manifest(folder: Path, name: str, manifest: dict[str, Any]) -> None:
    """Write NAME.json, and the NAME.js and NAME.d.ts that belong to it."""
    text = json.dumps(manifest).encode()
    (folder / f"{name}.json").write_bytes(text)
    values = {
        "name": name,
        "format": 1,
        "generator": manifest["generator"],
        "manifest": {"file": f"{name}.json", **fingerprint(text)},
        "inputs": [{key: port[key] for key in ("name", "dtype", "shape")} for port in manifest["inputs"]],
        "outputs": [{key: port[key] for key in ("name", "dtype", "shape")} for port in manifest["outputs"]],
    }
    for suffix in ("js", "d.ts"):
        (folder / f"{name}.{suffix}").write_text(render(f"entry.{suffix}.jinja", values), encoding="utf-8")


def change_manifest(folder: Path, name: str, change: dict[str, Any]) -> None:
    """Give top-level keys of NAME.json other values, and keep the hashes right."""
    manifest = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    write_manifest(folder, name, {**manifest, **change})


def render(template: str, values: dict[str, Any]) -> str:
    """Fill a template as the exporter must: data only, escaped, and nothing undefined."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(values)


def copy_runtime(folder: Path) -> None:
    """Copy the loader beside the models, as it is."""
    shutil.copytree(TEMPLATES / "runtime", folder, dirs_exist_ok=True)


def fingerprint(data: bytes) -> dict[str, Any]:
    """The size and the SHA-256 of a file."""
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def compile_tiny_model(wasm: Path, variant: str) -> None:
    """Compile `tiny_model.c` with zig, as the compiler compiles a model."""
    command = [
        sys.executable,
        "-m",
        "ziglang",
        "cc",
        "-target",
        "wasm32-freestanding",
        "-O2",
        "-s",
        "-nostdlib",
    ]
    command += [*VARIANTS[variant], "-Wl,--no-entry", "-Wl,--import-memory"]
    command += ["-Wl,-z,stack-size=16384", "-Wl,--export=nx_run", "-Wl,--export=nx_abi", f"-DNX_ABI={ABI}u"]
    command += [str(TESTS / "tiny_model.c"), "-o", str(wasm)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"zig refused tiny_model.c:\n{done.stderr}")
