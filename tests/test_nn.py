"""Modules: names and their order, state, modes, devices, and the same weights from the same seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Tensor
from neurenix.device import Device, DeviceType
from neurenix.errors import DeviceError, InputError
from neurenix.nn import (
    BatchNorm2d,
    Conv2d,
    Linear,
    Module,
    Parameter,
    ReLU,
    Sequential,
)

RNG = np.random.default_rng(1)


class Net(Module):
    """A model with every kind of attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = Parameter(np.ones(1, np.float32))
        self.features = Sequential(Conv2d(3, 4, 3), BatchNorm2d(4), ReLU())
        self.head = Linear(4, 2, bias=False)
        self.note = "not a parameter"

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.head(self.features(inputs[0]).mean((2, 3))) * self.scale


NAMES = ["scale", "features.0.weight", "features.0.bias", "features.1.weight", "features.1.bias", "head.weight"]
BUFFERS = ["features.1.running_mean", "features.1.running_var", "features.1.num_batches_tracked"]


def test_names_are_attribute_paths_in_the_order_of_assignment() -> None:
    net = Net()
    assert NAMES == [n for n, _ in net.named_parameters()]
    assert BUFFERS == [n for n, _ in net.named_buffers()]
    assert NAMES + BUFFERS == list(net.state_dict())
    modules = ["", "features", "features.0", "features.1", "features.2", "head"]
    assert modules == [n for n, _ in net.named_modules()]


def test_an_assigned_parameter_keeps_its_place() -> None:
    layer = Linear(2, 3)
    layer.weight = Parameter(np.zeros((3, 2), np.float32))
    assert ["weight", "bias"] == [n for n, _ in layer.named_parameters()]
    layer.bias = None
    assert ["weight"] == [n for n, _ in layer.named_parameters()]
    layer.bias = Parameter(np.full(3, 7, np.float32))
    assert [7.0] * 3 == layer(Tensor([[1.0, 2.0]])).tolist()[0]


def test_an_assigned_buffer_stays_a_buffer() -> None:
    norm = BatchNorm2d(2)
    before = list(norm.state_dict())
    norm.running_mean = Tensor([1.0, 2.0])
    assert before == list(norm.state_dict())


def test_a_forgotten_super_init_is_named() -> None:
    class Forgetful(Module):
        def __init__(self) -> None:
            self.layer = Linear(1, 1)

    with pytest.raises(AttributeError, match=r"Forgetful\.__init__ must call super\(\)\.__init__\(\)"):
        Forgetful()
    with pytest.raises(AttributeError, match="Linear has no attribute 'wieght'"):
        _ = Linear(1, 1).wieght


def test_shared_parameters_are_listed_once() -> None:
    a, b = Linear(2, 2), Linear(2, 2)
    b.weight = a.weight
    assert ["0.weight", "0.bias", "1.bias"] == [n for n, _ in Sequential(a, b).named_parameters()]


def test_state_goes_from_one_model_to_another() -> None:
    first, second = Net(), Net()
    x = RNG.standard_normal((2, 3, 6, 6)).astype(np.float32)
    first(x)  # moves the running statistics
    assert second.load_state_dict(first.state_dict()) is second
    for (name, a), b in zip(first.state_dict().items(), second.state_dict().values()):
        np.testing.assert_array_equal(a, b, err_msg=name)
    np.testing.assert_array_equal(first.eval()(x).numpy(), second.eval()(x).numpy())
    state = first.state_dict()
    state["scale"][0] = 99  # a copy: the model does not change
    assert [1.0] == first.scale.tolist()


def test_a_state_that_does_not_fit_changes_nothing_and_names_everything() -> None:
    net = Net()
    before = net.state_dict()
    state: dict[str, Any] = {name: array + 1 for name, array in before.items()}
    del state["head.weight"]
    state["extra"] = np.ones(1)
    state["features.0.bias"] = np.ones(9)
    state["features.1.bias"] = np.array(["a", "b", "c", "d"])
    with pytest.raises(InputError) as error:
        net.load_state_dict(state)
    for part in ("'head.weight' is missing", "'extra' is not in the model", "'features.0.bias' has shape [9]",
                 "'features.1.bias' holds <U1"):  # fmt: skip
        assert part in str(error.value)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(before[name], array)
    net.load_state_dict({"scale": [5.0], "extra": 1}, strict=False)
    assert [5.0] == net.scale.tolist()


def test_train_and_eval_reach_every_module() -> None:
    net = Net()
    assert all(m.training for _, m in net.named_modules())
    assert not any(m.training for _, m in net.eval().named_modules())
    assert all(m.training for _, m in net.train().named_modules())


def test_zero_grad_forgets() -> None:
    layer = Linear(2, 1)
    layer(Tensor([[1.0, 2.0]])).sum().backward()
    assert all(p.grad is not None for p in layer.parameters())
    layer.zero_grad()
    assert all(p.grad is None for p in layer.parameters())


def test_sequential_is_a_list_of_modules() -> None:
    layers = [Linear(2, 3), ReLU(), Linear(3, 1)]
    model = Sequential(*layers)
    assert (3, layers[1], layers[2]) == (len(model), model[1], model[-1])
    assert layers == list(model)
    assert [layers[0], layers[1]] == list(model[:2])
    assert ["0.weight", "0.bias"] == [n for n, _ in model[2:].named_parameters()]
    with pytest.raises(IndexError):
        model[3]
    with pytest.raises(InputError, match="argument 1 is a function"):
        Sequential(ReLU(), lambda x: x)  # type: ignore[arg-type]
    assert "Sequential(\n  (0): Linear(in_features=2" in repr(model)


def test_models_move_to_the_cpu_and_nowhere_else() -> None:
    net = Net()
    assert net.to("cpu") is net
    assert net.to(Device(DeviceType.CPU)).to("auto").device == Device()
    with pytest.raises(DeviceError, match="'webgpu' is not available"):
        net.to(Device(DeviceType.WEBGPU))
    with pytest.raises(DeviceError, match="no device 'gpu'"):
        net.to("gpu")
    assert net.head.device == Device()


def test_the_same_seed_gives_the_same_weights() -> None:
    states = []
    for seed in (4, 4, 5):
        neurenix.manual_seed(seed)
        states.append(Net().state_dict())
    for name in NAMES:
        np.testing.assert_array_equal(states[0][name], states[1][name])
    assert not np.array_equal(states[0]["head.weight"], states[2]["head.weight"])
