"""Claims about stored weights: what was saved comes back, whole or not at all, and nothing is ever unpickled."""

from __future__ import annotations

import json
import os
import pickle
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Tensor
from neurenix.errors import InputError, MissingExtraError, OutputError
from neurenix.nn import Linear, ReLU, Sequential
from neurenix.state import write_atomically

DTYPES = ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"]


def model() -> Sequential:
    return Sequential(Linear(3, 4), ReLU(), Linear(4, 2))


def test_a_model_comes_back(tmp_path: Path) -> None:
    first, second = model(), model()
    assert tmp_path / "m.safetensors" == neurenix.save(first, tmp_path / "m.safetensors")
    second.load_state_dict(neurenix.load(tmp_path / "m.safetensors"))
    for name, array in first.state_dict().items():
        np.testing.assert_array_equal(array, second.state_dict()[name])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 0, 3), (2, 3)])
def test_every_dtype_and_shape_comes_back(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    array = (np.random.default_rng(0).normal(size=shape) * 9).astype(dtype)
    neurenix.save({"a": array, "b": array.T, "c": Tensor(array)}, tmp_path / "a.safetensors")
    found = neurenix.load(tmp_path / "a.safetensors")
    assert ["a", "b", "c"] == sorted(found)
    for name, expected in (("a", array), ("b", array.T), ("c", array)):
        assert (dtype, expected.shape) == (str(found[name].dtype), found[name].shape)
        np.testing.assert_array_equal(expected, found[name])
        assert found[name].flags.writeable


def test_the_same_state_gives_the_same_bytes(tmp_path: Path) -> None:
    state = {f"layer.{i}": np.arange(i + 1.0) for i in range(12)}
    first = neurenix.save(state, tmp_path / "a.safetensors").read_bytes()
    second = neurenix.save(dict(reversed(state.items())), tmp_path / "b.safetensors").read_bytes()
    assert first == second


def test_bfloat16_is_read_as_float32(tmp_path: Path) -> None:
    expected = np.array([1.0, -2.5, 3.140625], np.float32)
    data = (expected.view(np.uint32) >> 16).astype("<u2").tobytes()
    header = json.dumps({"w": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}).encode()
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + data)
    np.testing.assert_array_equal(expected, neurenix.load(tmp_path / "w.safetensors")["w"])


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt", ".pkl", ".PT"])
def test_a_pickles_name_is_refused_both_ways(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    with pytest.raises(InputError, match=r"pickle, which can run code; .*safetensors\.torch\.save_file"):
        neurenix.load(path)
    with pytest.raises(InputError, match="will not write"):
        neurenix.save(model(), path)


class Bomb:
    def __reduce__(self) -> Any:
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_pickle_under_a_false_name_is_not_run(tmp_path: Path, protocol: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Bomb(), protocol=protocol))
    with pytest.raises(InputError, match="a zip or a pickle, which could run code"):
        neurenix.load(path)
    assert not (tmp_path / "exploded").exists()


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = neurenix.save({"a": np.arange(6.0)}, tmp_path / "a.safetensors")
    whole = path.read_bytes()
    for length in (*range(0, len(whole), 7), len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="no whole safetensors file"):
            neurenix.load(path)
    path.write_bytes(whole + b"x")
    with pytest.raises(InputError, match="no whole safetensors file"):
        neurenix.load(path)
    with pytest.raises(InputError, match=r"cannot read .*no\.safetensors: No such file"):
        neurenix.load(tmp_path / "no.safetensors")


def test_what_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'w' holds <U3, which safetensors cannot store"):
        neurenix.save({"w": np.array(["abc"])}, tmp_path / "w.safetensors")
    assert [] == list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "w.bin"
    write_atomically(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"cannot write .*w\.bin: No space left on device"):
        write_atomically(path, b"new")
    assert b"old" == path.read_bytes()
    assert [path] == list(path.parent.iterdir())


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hatch-neurenix\[state\]'"):
        neurenix.save(model(), tmp_path / "m.safetensors")
