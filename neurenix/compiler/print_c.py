"""Prints a Plan as model.c: its kernels, each included once with its own epilogue, and nx_run that calls them.

The file is meant to be read: it is the network, layer by layer.
"""

from __future__ import annotations

from neurenix import expr as ex
from neurenix import ops
from neurenix.compiler.print_custom import signature, takes_numbers
from neurenix.compiler.print_map import include, print_map
from neurenix.dims import Size, to_c
from neurenix.expr.algebra import walk
from neurenix.graph.plan import Plan, Step

# The parts of an expression that are an instruction or two, and no function.
_SHORT = frozenset(
    ["x", "const", "add", "sub", "mul", "div", "neg", "abs", "max", "min", "sqrt"]
    + ["lt", "le", "eq", "and", "or", "xor", "not", "select"]
)


def print_c(plan: Plan, abi: int) -> str:
    """Return the C source of a plan. It includes files of kernels/c and nothing else.

    Kernels of custom ops are declared only: `print_custom` gives their units. Raises UnsupportedError for an op that
    is not registered here.
    """
    ops.custom.require(plan.custom)
    parts = [_head(plan)]
    printed: set[str] = set()
    for step in plan.steps:
        if step.kernel not in printed:
            printed.add(step.kernel)
            parts.append(_kernel(step, plan))
    parts += [_abi(abi), _run(plan)]
    return "\n\n".join(parts) + "\n"


def _head(plan: Plan) -> str:
    layers = ", ".join(layer.type for layer in plan.layers) or "no layers"
    dims = ", ".join(f"{name} {low}..{high}" for name, (low, high) in plan.dims.items()) or "none"
    lines = [
        f"// {_comment(plan.name)}: {_comment(layers)}.",
        f"// Printed by Neurenix; {len(plan.steps)} steps, {plan.weights_size} bytes of parameters, "
        f"{plan.arena_size} bytes of working memory. Dims: {dims}.",
        "",
        '#include "nx_math.h"',
        "#if !defined(__wasm__)",
        '#include "nx_level.h"',
        "#endif",
    ]
    return "\n".join(lines)


def _comment(text: str) -> str:
    """Keep a name inside its comment: printable ASCII, no line break, no trailing backslash."""
    return "".join(c if c.isascii() and c.isprintable() and c not in "\\?" else "_" for c in text)


def _kernel(step: Step, plan: Plan) -> str:
    if step.op == "map":
        return print_map(step, plan)
    kernel = ops.get(step.op).kernel
    assert kernel is not None
    if kernel.user is not None:
        return f"{signature(step, plan)};  // {step.op}"
    defines = {"NX_NAME": step.kernel}
    head: list[str] = []
    if kernel.epilogue:
        params, arguments, body = _epilogue(step, plan)
        function = f"{step.kernel}_epilogue"
        head = [f"NX_INLINE nx_f32 {function}(nx_f32 x0, nx_int at, nx_int col, nx_int count{params}) {{", *body, "}"]
        if step.epilogue and not all(e.op in _SHORT for e in walk(step.epilogue.expr)):
            defines["NX_EPILOGUE_APART"] = "1"
        defines |= {"NX_EPILOGUE": function, "NX_EPILOGUE_PARAMS": params, "NX_EPILOGUE_ARGS": arguments}
    if kernel.typed:
        defines["NX_TYPE"] = plan.dtype(step.output).c
        if step.inputs:
            defines["NX_IN"] = plan.dtype(step.inputs[0]).c
    if kernel.index is not None:
        defines["NX_INDEX"] = plan.dtype(step.inputs[kernel.index]).c
    if kernel.defines is not None:
        defines |= kernel.defines(step.attrs)
    return "\n".join([*head, include(kernel.source, defines)])


def _epilogue(step: Step, plan: Plan) -> tuple[str, str, list[str]]:
    """Return extra parameters, the arguments that pass them on, and the body that finishes one vector."""
    if step.epilogue is None:
        return "", "", ["  return x0;"]
    operands, lines = ["x0"], []
    for i, name in enumerate(step.epilogue.inputs, start=1):
        by_channel = name in plan.tensors and plan.tensors[name].layout == "pad8"
        # A channel's values are padded to a whole panel in the weights file: they need no count, unless a group of
        # channels ends inside a panel.
        whole = step.attrs.get("groups", 1) == 1
        channel = f"nx_load(e{i} + col)" if whole else f"nx_load_n(e{i} + col, count)"
        load = channel if by_channel else f"nx_load_n(e{i} + at, count)"
        lines.append(f"  const nx_f32 x{i} = {load};")
        operands.append(f"x{i}")
    statements, result = ex.print_c(step.epilogue.expr, operands)
    params = "".join(f", const float *e{i}" for i in range(1, len(operands)))
    arguments = "".join(f", e{i}" for i in range(1, len(operands)))
    return params, arguments, [*lines, *(f"  {s}" for s in statements), f"  return {result};"]


def _abi(abi: int) -> str:
    return f"// The plan that this code belongs to; the bundle's description carries the same number.\n" \
           f"NX_EXPORT unsigned nx_abi(void) {{ return {abi}u; }}"  # fmt: skip


def _run(plan: Plan) -> str:
    params = "".join(f", int given_{name}" for name in plan.dims)
    lines = [
        f"NX_EXPORT int nx_run(int thread, int threads, const unsigned char *weights, unsigned char *arena{params}) {{",
        "  const nx_part part = {thread, threads};",
        *(f"  const nx_int dim_{name} = given_{name};" for name in plan.dims),
    ]
    scope: str | None = None
    for step in plan.steps:
        if step.scope != scope:
            scope = step.scope
            lines += ["", f"  // {_comment(scope) or 'model'}"]
        lines.append(f"  {step.kernel}({', '.join(_arguments(step, plan))});")
        lines.append("  nx_barrier(part);")
    return "\n".join([*lines, "  return 0;", "}"])


def _arguments(step: Step, plan: Plan) -> list[str]:
    part = ["part.thread", "part.threads"] if takes_numbers(step) else ["part"]
    arguments = [*part, *(_size(s) for s in step.sizes.values())]
    for i, name in enumerate(step.inputs):
        arguments.append(_pointer(name, plan))
        if step.operands:
            arguments += [_size(s) for s in step.operands[i].strides]
    if step.scratch:
        arguments.append(_pointer(step.scratch, plan))
    arguments.append(_pointer(step.output, plan))
    return arguments + [_pointer(name, plan) for name in (step.epilogue.inputs if step.epilogue else ())]


def _size(size: Size) -> str:
    text = to_c(size)
    return text[1:-1] if text.startswith("(") and text.endswith(")") and text.count("(") == 1 else text


def _pointer(name: str, plan: Plan) -> str:
    of = plan.dtype(name).c
    if name in plan.tensors:
        return f"(const {of} *)(weights + {plan.tensors[name].offset})"
    return f"({of} *)(arena + {plan.buffers[name].offset})"
