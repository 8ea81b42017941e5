"""Prints a Plan as a ShaderPlan: each step's shader once, its bindings, its params and its workgroups."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from neurenix import ops
from neurenix.compiler.wgsl import attention, boxes, contractions, moves, reductions
from neurenix.compiler.wgsl.custom import REPLACEABLE, CustomShader, launch_custom
from neurenix.compiler.wgsl.half import as_half, converted, half_tensors
from neurenix.compiler.wgsl.half_products import with_half_products
from neurenix.compiler.wgsl.input_ranges import input_ranges
from neurenix.compiler.wgsl.launch import Launch, most
from neurenix.compiler.wgsl.maps import launch_map
from neurenix.compiler.wgsl.memory import limits, place
from neurenix.compiler.wgsl.source import shader_text
from neurenix.compiler.wgsl.special import special_values
from neurenix.compiler.wgsl.types import storage
from neurenix.compiler.wgsl.user_ops import launch_user_op
from neurenix.dims import Dim, Size
from neurenix.errors import UnsupportedError
from neurenix.graph.cost import step_costs
from neurenix.graph.plan import Plan, Step
from neurenix.graph.shaders import BINDING_ALIGNMENT, ENABLE_SUBGROUPS, Dispatch, Shader, ShaderPlan

# For each file of kernels/c what its steps become on a GPU: rows that share a loop there share one here.
LAUNCHES: dict[str, Callable[[Step, Plan], Launch | Sequence[Launch]]] = {
    "matmul.c": contractions.launch_matmul,
    "batch_matmul.c": contractions.launch_batch_matmul,
    "attention.c": attention.launch_attention,
    "conv2d.c": contractions.launch_conv2d,
    "depthwise2d.c": contractions.launch_depthwise2d,
    "pool2d.c": contractions.launch_pool2d,
    "im2col.c": contractions.launch_im2col,
    "col2im.c": contractions.launch_col2im,
    "reduce.c": reductions.launch_reduce,
    "arg_reduce.c": reductions.launch_arg_reduce,
    "scan.c": reductions.launch_scan,
    "linear_scan.c": reductions.launch_linear_scan,
    "argsort.c": reductions.launch_argsort,
    "softmax.c": reductions.launch_softmax,
    "log_softmax.c": reductions.launch_softmax,
    "standardize.c": reductions.launch_standardize,
    "rnn.c": reductions.launch_recurrent,
    "lstm.c": reductions.launch_recurrent,
    "gru.c": reductions.launch_recurrent,
    "view.c": moves.launch_view,
    "pad.c": moves.launch_pad,
    "place.c": moves.launch_place,
    "iota.c": moves.launch_iota,
    "dimension.c": moves.launch_dimension,
    "nonzero.c": moves.launch_nonzero,
    "non_max_suppression.c": boxes.launch_non_max_suppression,
    "gather.c": moves.launch_gather,
    "gather_elements.c": moves.launch_gather,
    "gather_nd.c": moves.launch_gather,
    "scatter.c": moves.launch_scatter,
    "scatter_elements.c": moves.launch_scatter,
    "scatter_nd.c": moves.launch_scatter,
}


def print_wgsl(
    plan: Plan, weights: bytes, custom: Sequence[CustomShader] = (), half: bool = False, half_products: bool = True
) -> ShaderPlan:
    """Return the shaders and the dispatches of a plan. `weights` show which whole numbers its constants hold.

    `custom` shaders stand in for those of their ops. With `half` tensors between inputs and outputs are float16, and so
    are, with `half_products`, those products that are proved not to overflow: a device needs the feature "shader-f16".

    Raises UnsupportedError, naming the node, for what keeps the model on wasm: a kernel without a shader, a dtype that
    WGSL does not store, whole numbers that may not fit 32 bits, tensors that no device holds.
    """
    ops.custom.require(plan.custom)
    for step in plan.steps:
        _check_dtypes(step, plan)
    launches = [
        (at, step, launch)
        for at, step in enumerate(plan.steps)
        if 0 not in plan.buffers[step.output].shape  # whatever the dims there is nothing to do
        for launch in _launches(step, plan, custom)
    ]
    inputs = input_ranges(plan, weights, _where)
    halves = half_tensors(plan) if half else frozenset[str]()
    launches = [
        (at, step, with_half_products(launch, plan, weights, halves, half_products)) for at, step, launch in launches
    ]
    scratch = {
        f"{name}:{at}": (at, most(size, plan) * 4)
        for at, _, launch in launches
        for name, size in launch.scratch.items()
    }
    regions, buffers = place(plan, scratch, halves)
    shaders: dict[str, Shader] = {}
    texts: dict[str, str] = {}
    dispatches, at, bound = [], 0, 0
    for number, step, launch in launches:
        text = _text(launch, halves, step)
        if text not in texts:
            texts[text] = _name(step, shaders)
            writes = tuple(b.writes for b in launch.bindings)
            other = launch.with_subgroups()
            wide = "" if other is None else ENABLE_SUBGROUPS + _text(other, halves, step)
            shaders[texts[text]] = Shader(texts[text], text, writes, len(launch.params), wide)
        places = (f"{b.tensor}:{number}" for b in launch.bindings)
        bindings = tuple(p if p in scratch else b.tensor for p, b in zip(places, launch.bindings))
        params: tuple[Size, ...] = tuple(launch.params.values())
        dispatches.append(Dispatch(texts[text], bindings, params, at, launch.groups, step.op, step.scope))
        at += -(-4 * len(params) // BINDING_ALIGNMENT) * BINDING_ALIGNMENT
        bound = max(bound, len(bindings))
    found = limits(regions, buffers, bound)
    flops, special = _example_flops(plan), special_values(plan, weights, _where)
    return ShaderPlan(
        shaders, buffers, regions, tuple(dispatches), max(at, BINDING_ALIGNMENT), found, flops, special,
        inputs=inputs,
    )  # fmt: skip


def _text(launch: Launch, halves: frozenset[str], step: Step) -> str:
    if not halves:
        return launch.text or shader_text(
            launch.template, launch.words, launch.bindings, tuple(launch.params), launch.functions
        )
    try:
        stored, held = as_half(launch, halves)
    except UnsupportedError as error:
        remedy = "the model has no float16; use webgpu-precision = 'float32'"
        raise UnsupportedError(f"{_where(step)} {error}: {remedy}") from None
    names = tuple(stored.params)
    return converted(shader_text(stored.template, stored.words, stored.bindings, names, stored.functions), held)


def _example_flops(plan: Plan) -> int:
    """Return the arithmetic of one example at its largest: what counts examples, the first axes of inputs, is 1."""
    counts = {shape[0] for shape in (plan.buffers[name].shape for name in plan.inputs) if len(shape) > 1}
    dims = {
        name: max(1, low) if Dim.symbol(name) in counts else high for name, (low, high) in plan.dims.items()
    }  # fmt: skip
    return sum(cost.flops for cost in step_costs(plan, dims))


def _launches(step: Step, plan: Plan, custom: Sequence[CustomShader]) -> Sequence[Launch]:
    """Return what a step becomes: one launch, or what a registered shader needs around it."""
    found = [shader for shader in custom if step.op in REPLACEABLE[shader.op]]
    try:
        return (found and launch_custom(step, plan, found[0])) or _own_launches(step, plan)
    except UnsupportedError as error:
        raise UnsupportedError(f"{_where(step)} {error}: the model runs on wasm") from None


def _own_launches(step: Step, plan: Plan) -> Sequence[Launch]:
    if step.op == "map":
        return [launch_map(step, plan)]
    kernel = ops.get(step.op).kernel
    assert kernel is not None, step.op
    if kernel.user is not None:
        return [launch_user_op(step, plan)]
    if kernel.source not in LAUNCHES:
        raise UnsupportedError("has no shader in this version")
    made = LAUNCHES[kernel.source](step, plan)
    return [made] if isinstance(made, Launch) else made


def _check_dtypes(step: Step, plan: Plan) -> None:
    for name in (*step.inputs, *(step.epilogue.inputs if step.epilogue else ()), step.output):
        if storage(plan.dtype(name)) is None:
            raise UnsupportedError(
                f"{_where(step)} works on '{name}', which is {plan.dtype(name)}: no shader holds that"
            )


def _where(step: Step) -> str:
    return f"op '{step.op}' ('{step.output}'" + (f" in layer '{step.scope}')" if step.scope else ")")


def _name(step: Step, taken: dict[str, Shader]) -> str:
    """Return the kernel's name; where steps of one kernel need several shaders, with a number."""
    count = 1
    while (name := step.kernel if count == 1 else f"{step.kernel}_{count}") in taken:
        count += 1
    return name
