"""Runs the same model code in PyTorch and in Neurenix, with the same weights, and compares what comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file

import neurenix
import neurenix.nn
import neurenix.nn.functional

Array = np.ndarray[Any, Any]
Make = Callable[[Any], Any]

# The bound: the largest error of a tensor over its largest element.
RELATIVE = 1e-5


@dataclass
class Pass:
    """What one forward and backward pass of one library gave."""

    outputs: list[Array]
    loss: Array
    gradients: dict[str, Array] = field(default_factory=dict)
    state: dict[str, Array] = field(default_factory=dict)


def twins(make: Make, folder: Path, seed: int = 0) -> tuple[Any, Any]:
    """Make a model in both libraries; Neurenix's gets PyTorch's weights from a safetensors file, by name."""
    torch.manual_seed(seed)
    theirs = make(torch)
    _stir(theirs)
    ours = make(neurenix)
    file = folder / "weights.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in theirs.state_dict().items()}, file)
    ours.load_state_dict(load_file(file))
    return theirs, ours


def _stir(model: Any) -> None:
    """Give buffers and parameters that start as constants other values, so that a mix-up cannot hide."""
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point() and tensor.numel() > 1 and bool((tensor == tensor.flatten()[0]).all()):
                tensor += torch.rand_like(tensor) * 0.5


def run(lib: ModuleType, model: Any, inputs: Sequence[Array], loss: Callable[..., Any], *targets: Array) -> Pass:
    """Run the model and its loss forwards and backwards; the gradients are those of parameters and float inputs."""
    given = [_tensor(lib, x, requires_grad=x.dtype.kind == "f") for x in inputs]
    result = model(*given)
    outputs = list(result) if isinstance(result, (tuple, list)) else [result]
    value = loss(lib, *outputs, *(_tensor(lib, t) for t in targets))
    model.zero_grad()
    value.backward()
    gradients = {name: array(p.grad) for name, p in model.named_parameters() if p.grad is not None}
    gradients |= {f"input {i}": array(x.grad) for i, x in enumerate(given) if x.grad is not None}
    state = {name: np.array(array(tensor)) for name, tensor in model.state_dict().items()}
    return Pass([array(o) for o in outputs], array(value), gradients, state)


def _tensor(lib: ModuleType, data: Array, requires_grad: bool = False) -> Any:
    if lib is torch:
        return torch.from_numpy(data.copy()).requires_grad_(requires_grad)
    return neurenix.Tensor(data.copy(), requires_grad=requires_grad)


def array(tensor: Any) -> Array:
    """Return a tensor of either library, or an array, as an array."""
    if isinstance(tensor, np.ndarray):
        return tensor
    found: Array = tensor.detach().numpy()
    return found


def agree(expected: Pass, actual: Pass, relative: float = RELATIVE) -> None:
    """Assert that two passes gave the same, every output, gradient and buffer."""
    assert len(expected.outputs) == len(actual.outputs)
    for i, (a, b) in enumerate(zip(expected.outputs, actual.outputs)):
        near(a, b, f"output {i}", relative)
    near(expected.loss, actual.loss, "loss", relative)
    assert sorted(expected.gradients) == sorted(actual.gradients)
    # A gradient that is zero but for rounding is compared with the largest of the model's.
    floor = 1e-3 * max((float(np.abs(g).max(initial=0)) for g in expected.gradients.values()), default=0.0)
    for name, gradient in expected.gradients.items():
        near(gradient, actual.gradients[name], f"gradient of {name}", relative, floor)
    assert list(expected.state) == list(actual.state)
    for name, tensor in expected.state.items():
        near(tensor, actual.state[name], name, relative)


def near(expected: Any, actual: Any, name: str, relative: float = RELATIVE, floor: float = 0.0) -> None:
    """Assert that the largest difference is at most `relative` times the largest element."""
    a, b = array(expected), array(actual)
    assert a.shape == b.shape, f"{name}: {a.shape} and {b.shape}"
    if a.dtype.kind != "f":
        np.testing.assert_array_equal(a, b, err_msg=name)
        return
    np.testing.assert_array_equal(np.isfinite(a), np.isfinite(b), err_msg=f"{name}: where it is finite")
    finite = np.isfinite(a)
    np.testing.assert_array_equal(a[~finite], b[~finite], err_msg=name)
    scale = max(float(np.abs(a[finite]).max(initial=0)), floor)
    error = float(np.abs(a[finite].astype(np.float64) - b[finite]).max(initial=0))
    assert error <= relative * scale, f"{name}: the error {error:.3g} is {error / (scale or 1):.3g} of {scale:.3g}"
