"""Damaged and incomplete bundles: each damage is a typed error, or a fall back that says so."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exported_model import NAME, answer, edit, images

from neurenix import load_model, toolchain
from neurenix.errors import (
    BundleError,
    DeviceError,
    IntegrityError,
    MissingFileError,
    ToolchainError,
)
from neurenix.nn import Linear, Sequential
from neurenix.wasm import export_to_wasm

pytest_plugins = ["exported_bundle"]
pytestmark = pytest.mark.zig

DEVICES = ["cpu", pytest.param("wasm", marks=pytest.mark.wasm)]


def file_for(bundle: Path, device: str) -> Path:
    data = json.loads((bundle / f"{NAME}.json").read_text(encoding="utf-8"))
    return bundle / (data["variants"][0]["file"] if device == "wasm" else data["native"][-1]["file"])


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES = [(truncated, IntegrityError), (flipped, IntegrityError), (Path.unlink, MissingFileError)]


@pytest.mark.parametrize("device", ["auto", "reference", *DEVICES])
@pytest.mark.parametrize(("damage", "kind"), DAMAGES, ids=["truncated", "flipped", "missing"])
def test_damaged_weights_are_refused(bundle: Path, device: str, damage: Any, kind: type[Exception]) -> None:
    damage(bundle / f"{NAME}.bin")
    with pytest.raises(kind, match=r"cnn\.bin .*cop(y the bundle again|y all of it)"):
        load_model(bundle, device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("damage", "kind"), DAMAGES, ids=["truncated", "flipped", "missing"])
def test_a_damaged_compiled_form_is_refused(bundle: Path, device: str, damage: Any, kind: type[Exception]) -> None:
    damage(file_for(bundle, device))
    with pytest.raises(kind, match=file_for(bundle, device).name):
        load_model(bundle, device)


def test_auto_falls_back_from_a_damaged_library_and_says_so(bundle: Path) -> None:
    flipped(file_for(bundle, "cpu"))
    with pytest.warns(RuntimeWarning, match="slow NumPy reference: .* is not the file"):
        model = load_model(bundle)
    assert model.device == "reference"
    np.testing.assert_allclose(model.forward(images(2))["output"], answer(images(2)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_a_file_that_is_no_code_is_refused_even_with_a_right_hash(bundle: Path, device: str) -> None:
    path = file_for(bundle, device)
    replace_file(bundle, path, b"<!doctype html>")
    with pytest.raises(BundleError, match=r"cannot be instantiated|no library that this system can load"):
        load_model(bundle, device)


@pytest.mark.wasm
def test_code_of_another_plan_is_refused(bundle: Path, tmp_path: Path) -> None:
    export_to_wasm(Sequential(Linear(3, 2)), tmp_path / "other", "other")
    other = (tmp_path / "other" / "other.relaxed.wasm").read_bytes()
    replace_file(bundle, file_for(bundle, "wasm"), other)
    with pytest.raises(BundleError, match="belongs to another build"):
        load_model(bundle, "wasm")


def replace_file(bundle: Path, path: Path, content: bytes) -> None:
    """Put other bytes into a file, and their size and hash into the manifest."""
    path.write_bytes(content)
    entry = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    edit(bundle, lambda m: m["files"].update({path.name: entry}))


def test_a_self_test_that_fails_names_the_device(bundle: Path) -> None:
    edit(bundle, lambda m: m["golden"][0].update(tolerance=0.0, inputs={"image": {"seed": 9, "low": 0, "high": 1}}))
    with pytest.raises(DeviceError, match=r"'cnn' is off by .* on cpu; use device='reference'"):
        load_model(bundle).self_test()


# ── a bundle without a library ──────────────────────────────────────────────────────────────────────────


def strip_native(bundle: Path) -> None:
    for library in json.loads((bundle / f"{NAME}.json").read_text(encoding="utf-8"))["native"]:
        (bundle / library["file"]).unlink()
    edit(bundle, lambda m: m.update(native=[]))


def test_a_library_that_is_not_shipped_is_compiled(bundle: Path) -> None:
    strip_native(bundle)
    model = load_model(bundle)
    assert model.device == "cpu"
    np.testing.assert_allclose(model.forward(images(2))["output"], answer(images(2)), rtol=0, atol=1e-6)


def test_without_library_and_zig_the_reference_answers_with_a_warning(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strip_native(bundle)
    monkeypatch.setenv("NEURENIX_ZIG", str(bundle / "no-zig-here"))
    for cached in (toolchain.find_zig, toolchain.zig_version):
        cached.cache_clear()
    try:
        with pytest.raises(ToolchainError, match=r"NEURENIX_ZIG names .*no-zig-here, which is not there"):
            load_model(bundle, "cpu")
        with pytest.warns(RuntimeWarning, match="runs on the slow NumPy reference: NEURENIX_ZIG names"):
            model = load_model(bundle)
    finally:
        for cached in (toolchain.find_zig, toolchain.zig_version):
            cached.cache_clear()
    assert model.device == "reference"
    np.testing.assert_allclose(model.forward(images(2))["output"], answer(images(2)), rtol=0, atol=1e-6)
