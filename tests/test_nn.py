"""Modules: names and their order, state, modes, devices, and the same weights from the same seed."""

from __future__ import annotations

import ast
import copy
from collections import OrderedDict
from pathlib import Path
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
    ModuleDict,
    ModuleList,
    Parameter,
    ParameterList,
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
    state = [*NAMES[:5], *BUFFERS, "head.weight"]  # module by module, as in PyTorch
    assert state == list(net.state_dict())
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
    assert ([], []) == second.load_state_dict(first.state_dict())
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
    keys = net.load_state_dict({"scale": [5.0], "extra": 1}, strict=False)
    assert [5.0] == net.scale.tolist()
    assert [n for n in state_names(net) if n != "scale"] == keys.missing_keys
    assert ["extra"] == keys.unexpected_keys


def state_names(net: Module) -> list[str]:
    return list(net.state_dict())


def test_a_shared_tensor_is_in_the_state_under_each_of_its_names_and_loads_by_any() -> None:
    a, b = Linear(2, 2), Linear(2, 2)
    b.weight = a.weight
    model = Sequential(a, b)
    state = model.state_dict()
    assert ["0.weight", "0.bias", "1.weight", "1.bias"] == list(state)
    del state["0.weight"]
    state["1.weight"] = np.eye(2)
    model.load_state_dict(state)
    np.testing.assert_array_equal(np.eye(2), a.weight.numpy())


def test_buffers_are_in_the_state_unless_they_are_transient() -> None:
    net = Module()
    net.register_buffer("kept", Tensor([1.0]))
    net.register_buffer("transient", Tensor([2.0]), persistent=False)
    net.register_buffer("absent", None)
    assert ["kept"] == list(net.state_dict())
    assert ["kept", "transient"] == [n for n, _ in net.named_buffers()]
    assert net.absent is None
    net.absent = Tensor([3.0])
    assert ["kept", "absent"] == list(net.state_dict())
    with pytest.raises(InputError, match="already has an attribute 'forward'"):
        net.register_buffer("forward", Tensor([1.0]))
    with pytest.raises(InputError, match=r"without dots.*'a\.b'"):
        net.register_buffer("a.b", Tensor([1.0]))
    del net.transient
    assert not hasattr(net, "transient")


def test_paths_find_modules_parameters_and_buffers() -> None:
    net = Net()
    assert net.features[1] is net.get_submodule("features.1")
    assert net is net.get_submodule("")
    assert net.head.weight is net.get_parameter("head.weight")
    assert net.features[1].running_var is net.get_buffer("features.1.running_var")
    with pytest.raises(InputError, match=r"'features\.7': Sequential has no module '7'; it has 0, 1, 2"):
        net.get_submodule("features.7")
    with pytest.raises(InputError, match="Linear has no parameter 'bias'; it has weight"):
        net.get_parameter("head.bias")
    assert {"scale", "features", "head"} <= set(dir(net))


def test_walks_can_be_shallow_prefixed_and_with_duplicates() -> None:
    net, shared = Net(), ReLU()
    assert ["scale"] == [n for n, _ in net.named_parameters(recurse=False)]
    assert "net.head.weight" in [n for n, _ in net.named_parameters("net")]
    assert ["features", "head"] == [n for n, _ in net.named_children()]
    twice = Sequential(shared, shared)
    assert ["", "0"] == [n for n, _ in twice.named_modules()]
    assert ["", "0", "1"] == [n for n, _ in twice.named_modules(remove_duplicate=False)]
    assert 0.0 == twice(Tensor([-1.0])).item()


def test_hooks_see_and_change_what_goes_in_and_out() -> None:
    layer, seen = ReLU(), []
    before = layer.register_forward_pre_hook(lambda module, inputs: (inputs[0] * 2,))
    after = layer.register_forward_hook(lambda module, inputs, output: seen.append((module, inputs, output)))
    changed = layer.register_forward_hook(lambda module, inputs, output: output + 1)
    assert [7.0] == layer([3.0]).tolist()
    assert seen[0][0] is layer
    assert ([6.0], [6.0]) == (seen[0][1][0].tolist(), seen[0][2].tolist())
    before.remove()
    before.remove()
    assert [4.0] == layer([3.0]).tolist()
    changed.remove()
    with after:
        assert [3.0] == layer([3.0]).tolist()
    layer([3.0])
    assert 3 == len(seen)


def test_a_forward_takes_any_arguments() -> None:
    class Chooser(Module):
        def forward(self, x: Tensor, names: tuple[str, ...], scale: float = 1.0, mask: Tensor | None = None) -> Tensor:
            assert isinstance(x, Tensor) and ("a", "b") == names
            return x * scale if mask is None else x * mask

    chooser = Chooser()
    assert [2.0, 4.0] == chooser([1.0, 2.0], ("a", "b"), scale=2.0).tolist()
    assert [1.0, 0.0] == chooser(np.ones(2, np.float32), ("a", "b"), mask=np.array([1.0, 0.0], np.float32)).tolist()
    with pytest.raises(NotImplementedError, match=r"Module must define forward\(\)"):
        Module()(1)


def test_apply_goes_children_first() -> None:
    net, visited = Net(), []
    assert net is net.apply(lambda module: visited.append(type(module).__name__))
    assert ["Conv2d", "BatchNorm2d", "ReLU", "Sequential", "Linear", "Net"] == visited


def test_frozen_parameters_get_no_gradients() -> None:
    model = Sequential(Linear(2, 3), Linear(3, 1))
    model[0].requires_grad_(False)
    model(Tensor([[1.0, 2.0]])).sum().backward()
    assert [None, None] == [p.grad for p in model[0].parameters()]
    assert all(p.grad is not None for p in model[1].parameters())
    model.zero_grad(set_to_none=False)
    assert [0.0] == model[1].bias.grad.tolist()
    assert 4 == model.summary().trainable


def test_a_copy_shares_nothing() -> None:
    net = Net()
    other = copy.deepcopy(net)
    other.head.weight.numpy()[...] = 7
    assert list(net.state_dict()) == list(other.state_dict())
    assert not (net.head.weight.numpy() == 7).any()


def test_a_model_turns_to_doubles_and_back() -> None:
    net = Net()
    assert {"float64", "int64"} == {t.dtype.name for t in (*net.double().parameters(), *net.buffers())}
    assert {"float32", "int64"} == {t.dtype.name for t in (*net.float().parameters(), *net.buffers())}


def test_the_summary_lists_layers_shapes_and_parameters() -> None:
    net = Net().train()
    net.head.requires_grad_(False)
    found = net.summary(("batch", 3, 6, 5))
    assert EXPECTED_SUMMARY == str(found)
    assert (129, 121, 516) == (found.parameters, found.trainable, found.size)
    assert all(m.training for m in net.modules())
    assert not any(layer.shapes for layer in net.summary().layers)


EXPECTED_SUMMARY = """\
Layer                   Output shape      Parameters
----------------------------------------------------
Net                     [batch, 2]                 1
  features: Sequential  [batch, 4, 4, 3]           -
    0: Conv2d           [batch, 4, 4, 3]         112
    1: BatchNorm2d      [batch, 4, 4, 3]           8
    2: ReLU             [batch, 4, 4, 3]           -
  head: Linear          [batch, 2]                 8
----------------------------------------------------
129 parameters, 121 of them trained, 516 B"""


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
    assert ["2.weight", "2.bias"] == [n for n, _ in model[2:].named_parameters()]  # a slice keeps the names
    with pytest.raises(IndexError):
        model[3]
    with pytest.raises(InputError, match="argument 1 is a function"):
        Sequential(ReLU(), lambda x: x)  # type: ignore[arg-type]
    assert "Sequential(\n  (0): Linear(in_features=2" in repr(model)
    model.append(ReLU()).insert(1, Linear(3, 3))
    assert ["0", "1", "2", "3", "4"] == [n for n, _ in model.named_children()]
    assert (layers[1], 5) == (model[2], len(model))
    del model[1]
    model[0] = Linear(2, 3, bias=False)
    assert ["0.weight", "2.weight", "2.bias"] == [n for n, _ in model.named_parameters()]


def test_sequential_takes_names() -> None:
    model = Sequential(OrderedDict(first=Linear(2, 3), act=ReLU(), last=Linear(3, 1)))
    assert ["first.weight", "first.bias", "last.weight", "last.bias"] == list(model.state_dict())
    assert model.first is model[0]
    assert ["act", "last"] == [n for n, _ in model[1:].named_children()]
    assert (5, 1) == model(np.ones((5, 2), np.float32)).shape


def test_lists_and_dicts_of_modules_own_their_members() -> None:
    class Net(Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = ModuleList([Linear(2, 2), Linear(2, 2)])
            self.heads = ModuleDict({"a": Linear(2, 1), "b": Linear(2, 3)})
            self.scales = ParameterList([np.ones(2, np.float32)])

    net = Net()
    net.blocks.append(Linear(2, 2)).extend([ReLU()])
    net.scales.append(Tensor([2.0, 3.0]))
    net.heads["c"] = Linear(2, 4)
    names = [f"blocks.{i}.{n}" for i in range(3) for n in ("weight", "bias")]
    names += [f"heads.{h}.{n}" for h in "abc" for n in ("weight", "bias")]
    assert [*names, "scales.0", "scales.1"] == list(net.state_dict())
    assert (4, 3, 2) == (len(net.blocks), len(net.heads), len(net.scales))
    assert ["a", "b", "c"] == list(net.heads) == list(net.heads.keys())
    assert net.heads["c"] is net.heads.pop("c")
    assert "c" not in net.heads and net.heads["a"] in list(net.heads.values())
    assert [2.0, 3.0] == net.scales[-1].tolist()
    assert all(isinstance(p, Parameter) for p in net.scales)
    assert list(net.blocks)[1:3] == list(net.blocks[1:3])
    net.blocks.insert(0, ReLU())
    assert isinstance(net.blocks[0], ReLU) and "blocks.1.weight" in net.state_dict()
    with pytest.raises(InputError, match="'keys'"):
        net.heads["keys"] = ReLU()
    with pytest.raises(InputError, match="a child must be a module"):
        net.blocks.append(3)


def test_models_move_where_something_is_and_nowhere_else() -> None:
    net = Net()
    assert net.to("cpu") is net
    assert net.to(Device(DeviceType.CPU)).to(DeviceType.CPU).device == Device()
    with pytest.raises(DeviceError, match="'webgpu:99' is not available"):
        net.to(Device(DeviceType.WEBGPU, 99))
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


def test_layers_and_optimisers_import_nothing_below_the_tensor() -> None:
    # Sizes are named everywhere, as errors are; a model on another device is compiled.
    allowed = ("nn", "optim", "tensor", "errors", "device", "dims", "compiled")
    root = Path(neurenix.__file__).parent
    for path in (*(root / "nn").glob("*.py"), *(root / "optim").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("neurenix"):
                package, _, module = str(node.module).partition(".")
                names = [module.partition(".")[0]] if module else [alias.name for alias in node.names]
                assert set(names) <= set(allowed), f"{path.name} imports {', '.join(names)} from {package}"
