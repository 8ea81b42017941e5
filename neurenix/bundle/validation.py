"""Refuses a plan whose kernels could read or write outside their memory, or whose names could become code.

A manifest may come from anywhere, and a plan without a compiled form is printed as C and run. So nothing here
is taken from the manifest that the op table can tell: shapes and sizes are computed again and compared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from neurenix import ops
from neurenix.dims import Call, Dim, Shape, Size, bounds, loose, product, within
from neurenix.dtypes import DTYPES
from neurenix.errors import BundleError
from neurenix.expr import Expr, operands_of
from neurenix.graph.graph import check_lengths
from neurenix.graph.packing import ALIGNMENT, LAYOUTS, packed_size
from neurenix.graph.plan import Operand, Plan, Step
from neurenix.ops.op import Kernel, Op

NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,63}")
KERNEL = re.compile(r"nx_[a-z0-9_]{1,80}")
SHA256 = re.compile(r"[0-9a-f]{64}")
LARGEST_DIM = (1 << 31) - 1
LARGEST_MEMORY = 1 << 31

_INDICES = ("int64", "int32")

_MAP_SIZES = ["d0", "d1", "d2", "n"]
# What these attributes are at least, and how many numbers they are: padding's may be two or four.
_AT_LEAST = {"stride": (1, (2,)), "dilation": (1, (2,)), "kernel_size": (1, (2,)), "padding": (0, (2, 4))}


def validate(plan: Plan) -> Plan:
    """Return the plan if it is safe to print and to run, or raise BundleError naming what is not."""
    _need(NAME.fullmatch(plan.name), f"the model name {plan.name!r} does not match {NAME.pattern}")
    for name, (low, high) in plan.dims.items():
        _need(IDENTIFIER.fullmatch(name), f"the dim {name!r} does not match {IDENTIFIER.pattern}")
        _need(0 <= low <= high <= LARGEST_DIM and high >= 1, f"the dim '{name}' has the range {low} to {high}")
    for name, digest in plan.custom.items():
        _need(ops.custom.NAME.fullmatch(name) and len(name) <= 64, f"the custom op {name!r:.80} has no name of one")
        _need(name not in ops.OPS, f"'{name}' is no custom op but one of the table")
        _need(SHA256.fullmatch(digest), f"the custom op '{name}' has no SHA-256")
    _check_memory(plan)
    _need(plan.inputs and plan.outputs, "the model has no inputs or no outputs")
    for name in (*plan.inputs, *plan.outputs):
        _need(IDENTIFIER.fullmatch(name), f"the name {name!r} in the signature does not match {IDENTIFIER.pattern}")
    unknown = loose(plan.buffers[name].shape for name in plan.inputs)
    _need(not unknown, f"the dims {', '.join(sorted(unknown))} are part of an input's size and no axis by themselves")
    ready, kernels = {*plan.inputs}, dict[str, object]()
    for step in plan.steps:
        with within(plan.dims):
            _check_step(step, plan, ready)
        _need(
            kernels.setdefault(step.kernel, _function(step, plan)) == _function(step, plan),
            f"two steps call '{step.kernel}' and mean different functions",
        )
        ready.add(step.output)
    for name in plan.outputs:
        _need(name in ready and name in plan.buffers, f"no step makes the output '{name}'")
    check_lengths(plan.lengths, plan.outputs, plan.buffers, ready)
    return plan


def _check_memory(plan: Plan) -> None:
    _need(plan.weights_size < LARGEST_MEMORY and plan.arena_size < LARGEST_MEMORY, "the plan needs more than 2 GiB")
    for buffer in plan.buffers.values():
        where = f"the buffer '{buffer.name}'"
        _need(buffer.size >= _most(buffer.shape, plan) * buffer.dtype.size, f"{where} is smaller than its shape")
        _need(buffer.offset % ALIGNMENT == 0, f"{where} does not start at a multiple of {ALIGNMENT}")
        _need(buffer.offset + buffer.size <= plan.arena_size, f"{where} lies outside the arena")
    for tensor in plan.tensors.values():
        where = f"the parameter '{tensor.name}'"
        _need(tensor.layout in LAYOUTS, f"{where} has the unknown layout {tensor.layout!r}")
        expected = packed_size(tensor.shape, tensor.dtype.size, tensor.layout)
        _need(tensor.size == expected, f"{where} has {tensor.size} bytes, its shape {expected}")
        _need(tensor.offset % ALIGNMENT == 0, f"{where} does not start at a multiple of {ALIGNMENT}")
        _need(tensor.offset + tensor.size <= plan.weights_size, f"{where} lies outside the weights")
        _need(tensor.name not in plan.buffers, f"{where} has the name of a buffer")


def _check_step(step: Step, plan: Plan, ready: set[str]) -> None:
    where = f"step '{step.kernel}' of '{step.scope}'"
    _need(KERNEL.fullmatch(step.kernel), f"the kernel name {step.kernel!r} does not match {KERNEL.pattern}")
    row = _row(step, plan, where)
    _need(row is None or row.arity in (-1, len(step.inputs)), f"{where} has {len(step.inputs)} inputs")
    names = (*step.inputs, *(step.epilogue.inputs if step.epilogue else ()))
    _need(len(names) == len(step.shapes), f"{where} has {len(names)} operands and {len(step.shapes)} shapes")
    for name, shape in zip(names, step.shapes):
        _need(name in plan.tensors or name in ready, f"{where} reads '{name}' before anything makes it")
        held = plan.tensors.get(name) or plan.buffers[name]
        _most(shape, plan)
        _need(product(held.shape) == product(shape), f"{where} takes '{name}' for another size")
    _need(step.output in plan.buffers, f"{where} writes '{step.output}', which is no buffer")
    made = plan.buffers[step.output]
    _need(product(made.shape) == product(step.shape), f"{where} makes another size than '{step.output}' has")
    if row is None:
        _check_unregistered(step, plan, where)
        return
    attrs = row.bind(step.attrs)
    _need(attrs.keys() == step.attrs.keys(), f"{where} lacks attributes of '{step.op}'")
    if step.op not in plan.custom:  # whose row judges its attributes itself
        _check_attributes(attrs, row, where)
    shape = row.shape(step.shapes[: len(step.inputs)], attrs)
    _need(shape == step.shape, f"{where} gives the shape {shape}, not {step.shape}")
    _need(step.op == "map" or row.kernel is not None, f"{where}: op '{step.op}' has no kernel")
    _check_dtypes(step, row, plan, where)
    if step.op == "map":
        _check_map(step, plan, where)
    else:
        assert row.kernel is not None
        _check_structured(step, row.kernel, plan, where)


def _row(step: Step, plan: Plan, where: str) -> Op | None:
    """Return a step's row; None for a custom op that is not registered here, or from another source."""
    if step.op in plan.custom:
        return ops.custom.known(step.op, plan.custom[step.op])
    _need(step.op not in ops.custom.registered(), f"{where} is of a custom op that 'customOps' does not list")
    return ops.get(step.op)


def _check_unregistered(step: Step, plan: Plan, where: str) -> None:
    """Nobody here can say which shape such an op makes, nor print or compute it: only the bundle's own code runs it.

    That code is WebAssembly, which cannot leave its memory, or a library, which is trusted with all that it does.
    """
    _most(step.shape, plan)
    _need(not step.operands and step.epilogue is None and step.scratch is None, f"{where} is more than a custom op")
    for name in step.inputs:
        held = plan.tensors.get(name)
        _need(not held or held.layout == "rows", f"{where} reads '{name}', which is packed")


def _check_attributes(attrs: Mapping[str, Any], row: Op, where: str) -> None:
    for name, value in attrs.items():
        _need(_fits(value, row.attrs[name]), f"{where}: {name} is {value!r:.40}, which it cannot be")
    for name, (least, counts) in _AT_LEAST.items():
        found = attrs.get(name, (least, least))
        _need(len(found) in counts and all(type(v) is int and v >= least for v in found), f"{where}: {name} is {found}")
    for name, kind in (("groups", int), ("transposed", bool)):
        _need(type(attrs.get(name, kind())) is kind, f"{where}: {name} is {attrs.get(name)!r}")


def _check_dtypes(step: Step, row: Op, plan: Plan, where: str) -> None:
    """The C is printed for the dtypes that the op table gives: no step may read or write its memory as another."""
    inputs = [plan.dtype(name) for name in step.inputs]
    made = row.infer_dtype(inputs, step.attrs)
    written = plan.dtype(step.output)
    _need(made == written, f"{where} writes '{step.output}', which is {written}, and makes {made}")
    free = row.kernel is None or row.kernel.typed  # a map is printed for any
    others = step.epilogue.inputs if step.epilogue else ()
    _need(not step.epilogue or written.name == "float32", f"{where} has an epilogue on {written}; it takes float32")
    for position, name in enumerate((*step.inputs, *others, step.output)):
        of, counts = plan.dtype(name), row.kernel is not None and position == row.kernel.index
        taken = _INDICES if counts else tuple(DTYPES) if free and name not in others else ("float32",)
        _need(of.name in taken, f"{where} works on '{name}', which is {of}; it takes {', '.join(taken)}")


def _check_map(step: Step, plan: Plan, where: str) -> None:
    _need(list(step.sizes) == _MAP_SIZES, f"{where} has the sizes {list(step.sizes)}")
    _need(len(step.operands) == len(step.inputs), f"{where} has {len(step.operands)} ways to read its inputs")
    _need(step.epilogue is None and step.scratch is None, f"{where} is a map with an epilogue or scratch memory")
    extents = tuple(step.sizes.values())
    _most(extents, plan)
    _need(product(extents) == product(step.shape), f"{where} walks another size than it makes")
    _check_expression(step.attrs["expr"], len(step.inputs), where)
    for operand, name, shape in zip(step.operands, step.inputs, step.shapes):
        last, held = _last(operand, extents, plan), _most(shape, plan)
        _need(last < held or (last == held == 0), f"{where} reads '{name}' up to element {last}, beyond its end")
        layout = plan.tensors[name].layout if name in plan.tensors else "rows"
        _need(layout != "panel8", f"{where} reads '{name}', which is packed in panels")


def _check_structured(step: Step, kernel: Kernel, plan: Plan, where: str) -> None:
    count = len(step.inputs)
    sizes = kernel.sizes(step.shapes[:count], step.shape, step.attrs)
    _need(list(sizes.items()) == list(step.sizes.items()), f"{where} has other sizes than its shapes give")
    _need(not step.operands, f"{where} is no map and has strides")
    if kernel.channels_last:
        _need(step.attrs["layout"] == "NHWC", f"{where} is not channels-last")
    if kernel.in_place:
        _need(step.inputs[0] == step.output, f"{where} works in place and reads another buffer than it writes")
        _need(step.output not in step.inputs[1:], f"{where} reads what it writes twice")
    if step.op in ("softmax", "log_softmax"):
        _need(step.attrs["axis"] in (-1, len(step.shape) - 1), f"{where} is not along the last axis")
    if step.op == "matmul":
        _need(len(step.shapes[1]) == 2, f"{where} multiplies by more than a matrix")
    for name, layout, shape in zip(step.inputs, kernel.packing, step.shapes):
        held = plan.tensors.get(name)
        found = held.layout if held else "rows"
        _need(found == (layout or "rows"), f"{where} reads '{name}' as {layout or 'rows'}, it is written as {found}")
        _need(not held or held.shape == shape, f"{where} takes '{name}' for another shape")
    if step.epilogue:
        _need(kernel.epilogue, f"{where} cannot have an epilogue")
        _check_expression(step.epilogue.expr, len(step.epilogue.inputs) + 1, where)
        for name, shape in zip(step.epilogue.inputs, step.shapes[count:]):
            held = plan.tensors.get(name)
            by_channel = held is not None and held.layout == "pad8"
            reach: Sequence[Size] = step.shape[-1:] if by_channel else step.shape
            _need(not held or held.layout != "panel8", f"{where} adds '{name}', which is packed in panels")
            _need(product(shape) == product(tuple(reach)), f"{where}: '{name}' does not fit its epilogue")
    needed = kernel.scratch and kernel.scratch(sizes)
    _need((step.scratch is None) == (needed is None), f"{where} has scratch memory for no reason, or lacks it")
    if needed is not None:
        _need(step.scratch in plan.buffers, f"{where} has the scratch memory '{step.scratch}', which is no buffer")
        size = plan.buffers[str(step.scratch)].size
        _need(bounds(needed, plan.dims)[1] * 4 <= size, f"{where} has too little scratch memory")


def _function(step: Step, plan: Plan) -> object:
    """Return what decides the C function that a step calls: steps of one name must agree in it."""
    epilogue = step.epilogue
    read = epilogue.inputs if epilogue else ()
    layouts = tuple(plan.tensors[n].layout if n in plan.tensors else "rows" for n in read)
    walks = tuple(o.walks for o in step.operands)
    dtypes = tuple(plan.dtype(name).name for name in (*step.inputs, step.output))
    row = _row(step, plan, step.kernel)
    kernel = row.kernel if row else None
    defines = kernel.defines(step.attrs) if kernel and kernel.defines else None
    source = kernel.source if kernel else step.op
    return source, epilogue and epilogue.expr, step.attrs.get("expr"), layouts, walks, dtypes, defines


def _last(operand: Operand, extents: Sequence[Size], plan: Plan) -> int:
    """Return the index of the last element that a map reads of an operand, at the largest dims."""
    last = 0
    for extent, stride in zip(extents, (*operand.strides, 1 if operand.walks else 0)):
        # Apart, not as one product: bounds of (n - 1) * s are wider once it is written out.
        last += max(0, bounds(extent, plan.dims)[1] - 1) * _most((stride,), plan)
    return last


def _check_expression(expression: Any, operands: int, where: str) -> None:
    _need(isinstance(expression, Expr), f"{where} has no expression")
    _need(max(operands_of(expression), default=0) < max(operands, 1), f"{where} reads an operand that it has not")


def _most(shape: Shape, plan: Plan) -> int:
    """Return the largest number of elements that a shape can have, once all of its sizes are possible."""
    for size in shape:
        _check_size(size, plan)
    largest = bounds(product(shape), plan.dims)[1]
    _need(largest < LARGEST_MEMORY, f"the shape {shape} is too large")
    return largest


def check_divisions(size: Size, plan: Plan) -> None:
    """Refuse a size that has no value for some dims."""
    if isinstance(size, Dim):
        for atom in (a for monomial, _ in size.terms for a in monomial if isinstance(a, Call)):
            check_divisions(atom.left, plan)
            check_divisions(atom.right, plan)
            _need(atom.function != "//" or bounds(atom.right, plan.dims)[0] >= 1, f"the size {size} divides by zero")


def _check_size(size: Size, plan: Plan) -> None:
    check_divisions(size, plan)
    _need(bounds(size, plan.dims)[0] >= 0, f"the size {size} can be negative")


def _fits(value: Any, default: Any) -> bool:
    """Whether an attribute is of the kind that its default in the op table is: True would pass for the axis 1."""
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, float):
        return type(value) in (float, int)
    if isinstance(default, (int, str)):
        return type(value) is type(default)
    return _plain(value)


def _plain(value: Any) -> bool:
    """Whether an attribute without a telling default is of a kind that ops have: no float, no bool."""
    if isinstance(value, tuple):
        return all(map(_plain, value))
    return value is None or (isinstance(value, (int, str, Dim, Expr)) and not isinstance(value, bool))


def _need(condition: object, problem: str) -> None:
    if not condition:
        raise BundleError(problem)
