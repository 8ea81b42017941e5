"""The table of a model: its layers, the shapes of what they return, and how many parameters they have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from neurenix.tensor import Tensor, no_grad
from neurenix.tensor.input_spec import InputSpec
from neurenix.tensor.tracing import symbols

Shape = tuple[Any, ...]  # sizes: numbers and symbols

HEADER = ("Layer", "Output shape", "Parameters")


@dataclass(frozen=True)
class LayerSummary:
    """One line: `shapes` are those of the layer's outputs, empty where it was not run."""

    name: str
    type: str
    depth: int
    shapes: tuple[Shape, ...]
    parameters: int


@dataclass(frozen=True)
class Summary:
    """The lines of the table and its totals; `str()` draws it. `size` is the parameters' size in bytes."""

    layers: tuple[LayerSummary, ...]
    parameters: int
    trainable: int
    size: int

    def __str__(self) -> str:
        rows = [(_label(x), " ".join(map(_shape, x.shapes)), _count(x)) for x in self.layers]
        widths = [max(len(row[i]) for row in (HEADER, *rows)) for i in range(3)]
        lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in (HEADER, *rows)]
        lines = [line.rstrip() for line in lines]
        rule = "-" * (sum(widths) + 4)
        total = f"{self.parameters:,} parameters, {self.trainable:,} of them trained, {_bytes(self.size)}"
        return "\n".join([lines[0], rule, *lines[1:], rule, total])

    __repr__ = __str__


def summarise(model: Any, inputs: Sequence[InputSpec]) -> Summary:
    """Describe a model; with `inputs` it is run once on symbols to find the shapes."""
    shapes = _run(model, inputs) if inputs else {}
    layers = tuple(
        LayerSummary(
            name,
            type(module).__name__,
            name.count(".") + bool(name),
            shapes.get(id(module), ()),
            sum(parameter.numpy().size for parameter in module.parameters(recurse=False)),
        )
        for name, module in model.named_modules()
    )
    parameters = list(model.parameters())
    return Summary(
        layers,
        sum(p.numpy().size for p in parameters),
        sum(p.numpy().size for p in parameters if p.requires_grad),
        sum(p.numpy().nbytes for p in parameters),
    )


def _run(model: Any, inputs: Sequence[InputSpec]) -> dict[int, tuple[Shape, ...]]:
    found: dict[int, tuple[Shape, ...]] = {}

    def note(module: Any, given: tuple[Any, ...], output: Any) -> None:
        found[id(module)] = tuple(tensor.shape for tensor in _tensors(output))

    modes = {module: module.training for module in model.modules()}
    handles = [module.register_forward_hook(note) for module in modes]
    model.eval()
    try:
        with no_grad(), symbols(inputs) as arguments:
            model(*arguments)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode
    return found


def _tensors(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, dict):
        return [tensor for value in output.values() for tensor in _tensors(value)]
    if isinstance(output, (tuple, list)):
        return [tensor for value in output for tensor in _tensors(value)]
    return []


def _label(layer: LayerSummary) -> str:
    name = layer.name.rpartition(".")[2]
    return "  " * layer.depth + (f"{name}: {layer.type}" if name else layer.type)


def _shape(shape: Shape) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _count(layer: LayerSummary) -> str:
    return f"{layer.parameters:,}" if layer.parameters else "-"


def _bytes(size: int) -> str:
    for unit, factor in (("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"
