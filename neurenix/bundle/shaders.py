"""The shaders of a bundle: NAME.wgsl, and the dispatch table that the manifest has beside the plan.

`graph/shaders.py` says what the table means. A manifest may come from anywhere: before a shader is compiled or a buffer
made, every region must lie inside its buffer and hold its tensor, every binding name a region, every byte range be the
file's, and every size be possible, whatever the dims are.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

from neurenix.bundle.fields import as_count, as_list, as_size, as_text
from neurenix.bundle.validation import check_divisions
from neurenix.dims import Size, bounds, product, within
from neurenix.errors import BundleError
from neurenix.graph.plan import Plan
from neurenix.graph.shaders import (
    BINDING_ALIGNMENT,
    DEFAULT_LIMITS,
    MOST_GROUPS,
    Dispatch,
    Grid,
    Region,
    Shader,
    ShaderPlan,
    describe,
)

# No device gives more, and a plan's memory is bounded alike.
LARGEST_BUFFER = 1 << 31
LARGEST_TEXT = 64 << 20
MOST_BUFFERS = 1024
MOST_PARAMS = 256
MOST_BINDINGS = 64
LARGEST_WORKGROUPS = MOST_GROUPS * MOST_GROUPS

_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
_ACCESS = {"read": False, "write": True}
_FLOATS = ("float32", "float16")
_WHOLE = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool")


def shader_file(name: str) -> str:
    """Return the name of the file that holds a model's shaders."""
    return f"{name}.wgsl"


def half_file(name: str) -> str:
    """Return the name of the file that holds a model's shaders for float16."""
    return f"{name}.f16.wgsl"


def describe_shaders(name: str, shaders: ShaderPlan) -> dict[str, Any]:
    """Return what the manifest says under `webgpu`."""
    table = {"file": shader_file(name), **describe(shaders)}
    if shaders.half is not None:
        table["half"] = {"file": half_file(name), **table["half"]}
    return table


def shader_texts(name: str, shaders: ShaderPlan) -> dict[str, bytes]:
    """Return the files of a model's shaders."""
    texts = {shader_file(name): shaders.text().encode()}
    if shaders.half is not None:
        texts[half_file(name)] = shaders.half.text().encode()
    return texts


def read_shaders(table: Mapping[str, Any], texts: Mapping[str, bytes]) -> ShaderPlan:
    """Return the ShaderPlan that a checked table describes, with its shaders cut from the files that it names."""
    text = texts[table["file"]]
    shaders = {}
    for row in table["shaders"]:
        source, wide = (
            text[at["from"] : at["to"]].decode("utf-8", "strict") if at else "" for at in (row, row.get("subgroups"))
        )
        writes = tuple(_ACCESS[b] for b in row["bindings"])
        shaders[row["name"]] = Shader(row["name"], source, writes, row["params"], wide)
    names = list(shaders)
    return ShaderPlan(
        shaders,
        tuple(b["size"] for b in table["buffers"]),
        {n: Region(r["buffer"], r["offset"], r["size"], r["type"]) for n, r in table["regions"].items()},
        tuple(_dispatch(row, names) for row in table["dispatches"]),
        table["paramsSize"],
        dict(table["limits"]),
        table["flops"],
        table.get("special", ""),
        read_shaders(table["half"], texts) if "half" in table else None,
        table.get("tolerance"),
        {name: (ends[0], ends[1]) for name, ends in table.get("inputs", {}).items()},
    )


def check_shaders(table: Any, plan: Plan, files: Mapping[str, Any], half: bool = False) -> None:
    """Raise BundleError, KeyError or TypeError unless a table, that for float16 or the other, fits plan and files."""
    file = as_text(table["file"])
    _need(file in files, f"it names '{file}' and does not list it in 'files'")
    _check_limits(table["limits"])
    sizes = [as_count(b["size"]) for b in as_list(table["buffers"])]
    _need(len(sizes) <= MOST_BUFFERS, f"it has {len(sizes)} buffers; {MOST_BUFFERS} are the most")
    for size in sizes:
        _need(0 < size < LARGEST_BUFFER and size % 4 == 0, f"a buffer has {size} bytes")
    regions = {as_text(n): _region(n, r, sizes) for n, r in table["regions"].items()}
    _check_tensors(regions, plan, half)
    _check_texts(as_list(table["shaders"]), files[file]["size"])
    params_size = as_count(table["paramsSize"])
    _need(0 < params_size < LARGEST_BUFFER and params_size % 4 == 0, f"its params have {params_size} bytes")
    at = 0
    names = [shader["name"] for shader in table["shaders"]]
    writes = [[_ACCESS[b] for b in shader["bindings"]] for shader in table["shaders"]]
    held = {regions[name].buffer: name for name in plan.tensors}
    with within(plan.dims):
        for row in as_list(table["dispatches"]):
            number = as_count(row["shader"])
            _need(number < len(names), f"a dispatch runs the shader {number} of {len(names)}")
            dispatch = _dispatch(row, names)
            where = f"a dispatch of '{dispatch.shader}'"
            at = _check_params(dispatch, table["shaders"][number]["params"], at, params_size, plan, where)
            _check_bindings(dispatch, writes[number], regions, held, where)
            _check_groups(dispatch, plan, where)
    for name, ends in table.get("inputs", {}).items():
        _check_ends(name, as_list(ends), plan)
    as_count(table["flops"])
    _need(isinstance(table["auto"], bool), "'auto' is no condition")
    as_text(table.get("special", ""))
    _need(("tolerance" in table) == half and not (half and "half" in table), "its float16 is not where it should be")
    if half:
        tolerance = table["tolerance"]
        _need(type(tolerance) in (int, float) and 0 <= tolerance <= 1, f"its tolerance is {str(tolerance)[:40]}")
    if "half" in table:
        check_shaders(table["half"], plan, files, half=True)


def _dispatch(row: Mapping[str, Any], names: list[str]) -> Dispatch:
    return Dispatch(
        names[row["shader"]],
        tuple(map(as_text, as_list(row["bindings"]))),
        tuple(map(as_size, as_list(row["params"]))),
        as_count(row["at"]),
        _groups(row["groups"]),
        as_text(row["op"]),
        as_text(row["scope"]),
    )


def _groups(data: Any) -> Size | Grid:
    if not isinstance(data, dict):
        return as_size(data)
    return as_size(data["x"]), as_size(data["y"]), as_size(data["z"])


def _check_groups(dispatch: Dispatch, plan: Plan, where: str) -> None:
    grid = isinstance(dispatch.groups, tuple)
    for size in dispatch.groups if isinstance(dispatch.groups, tuple) else (dispatch.groups,):
        check_divisions(size, plan)
        # Bounds of a product that is written out are wider than it is: those below 0 say little.
        least, most = bounds(size, plan.dims)
        limit = MOST_GROUPS if grid else LARGEST_WORKGROUPS
        _need(max(-least, most) <= limit, f"{where} takes {least} to {most} workgroups")


def _check_ends(name: str, ends: list[Any], plan: Plan) -> None:
    """An input's numbers are looked at before they are written: between ends that 32 bits hold, and that are some."""
    known = name in plan.inputs and plan.dtype(name).name in _WHOLE
    _need(known, f"'inputs' names '{str(name)[:80]}', which is no input of whole numbers")
    fit = len(ends) == 2 and all(type(end) is int and -(1 << 31) <= end < 1 << 31 for end in ends)
    _need(fit and ends[0] <= ends[1], f"the input '{name}' goes from and to {str(ends)[:80]}")


def _check_limits(limits: Mapping[str, Any]) -> None:
    for name, value in limits.items():
        _need(name in DEFAULT_LIMITS, f"'{str(name)[:80]}' is no limit that a plan may ask for")
        _need(DEFAULT_LIMITS[name] < as_count(value) <= LARGEST_BUFFER, f"it asks for {name} = {value}")


def _region(name: str, row: Mapping[str, Any], sizes: list[int]) -> Region:
    region = Region(as_count(row["buffer"]), as_count(row["offset"]), as_count(row["size"]), as_text(row["type"]))
    where = f"the region of '{name}'"
    _need(region.buffer < len(sizes), f"{where} lies in the buffer {region.buffer} of {len(sizes)}")
    _need(region.offset % BINDING_ALIGNMENT == 0, f"{where} does not start at a multiple of {BINDING_ALIGNMENT}")
    _need(region.size > 0 and region.size % 4 == 0, f"{where} has {region.size} bytes")
    _need(region.offset + region.size <= sizes[region.buffer], f"{where} ends outside its buffer")
    _need(region.type in ("f32", "i32", "f16"), f"{where} has elements of type {region.type!r:.40}")
    return region


def _check_tensors(regions: Mapping[str, Region], plan: Plan, half: bool) -> None:
    """Every tensor that a runtime writes or reads must fit its region, as elements that hold its dtype."""
    for name in (*plan.tensors, *plan.inputs, *plan.results):
        _need(name in regions, f"'{name}' has no region")
    for name, region in regions.items():
        if name in plan.tensors:
            count = plan.tensors[name].size // plan.tensors[name].dtype.size
        elif name in plan.buffers:
            count = bounds(product(plan.buffers[name].shape), plan.dims)[1]
        else:
            continue  # a shader's own scratch memory
        of = plan.dtype(name).name
        between = half and name not in plan.inputs and name not in plan.results
        fitting = ("f32", "f16")[: 2 if between else 1] if of in _FLOATS else ("i32",) if of in _WHOLE else ()
        _need(region.type in fitting, f"'{name}' is {of}, its region of type {region.type}")
        width = 2 if region.type == "f16" else 4
        _need(width * count <= region.size, f"'{name}' has {count} elements, its region {region.size} bytes")
    taken: dict[int, list[tuple[int, int, str]]] = {}
    for name in plan.tensors:
        region = regions[name]
        taken.setdefault(region.buffer, []).append((region.offset, region.offset + region.size, name))
    for rows in taken.values():
        rows.sort()
        for (_, end, one), (start, _, other) in itertools.pairwise(rows):
            _need(end <= start, f"the parameters '{one}' and '{other}' lie on each other")


def _check_texts(shaders: list[Any], size: int) -> None:
    _need(size <= LARGEST_TEXT, f"its shaders have {size} bytes; {LARGEST_TEXT} are the most")
    end, seen = 0, set[str]()
    for row in shaders:
        name, bindings = as_text(row["name"]), as_list(row["bindings"])
        _need(_NAME.fullmatch(name) and name not in seen, f"the name {name!r:.80} of a shader is none, or stands twice")
        seen.add(name)
        for text in (row, row["subgroups"]) if "subgroups" in row else (row,):
            _need(
                as_count(text["from"]) == end < as_count(text["to"]) <= size, f"the text of '{name}' is not in the file"
            )
            end = text["to"]
        _need(all(b in _ACCESS for b in map(as_text, bindings)), f"'{name}' binds as neither read nor write")
        _need(0 < len(bindings) <= MOST_BINDINGS and "write" in bindings, f"'{name}' writes nothing, or binds too much")
        _need(as_count(row["params"]) <= MOST_PARAMS, f"'{name}' has {row['params']} params")
    _need(end == size, f"the file of shaders has {size} bytes, the table {end}")


def _check_params(dispatch: Dispatch, count: int, at: int, size: int, plan: Plan, where: str) -> int:
    """Check a dispatch's params and that they lie behind those before; return where they end."""
    _need(len(dispatch.params) == count, f"{where} has {len(dispatch.params)} params, its shader {count}")
    _need(dispatch.at % BINDING_ALIGNMENT == 0, f"{where} has params that are not aligned")
    for param in dispatch.params:
        check_divisions(param, plan)
        low, high = bounds(param, plan.dims)
        _need(-(1 << 31) <= low <= high < 1 << 31, f"{where} has a param from {low} to {high}")
    if not count:
        return at
    end = dispatch.at + -(-4 * count // 16) * 16
    _need(at <= dispatch.at and end <= size, f"{where} has params that lie outside their buffer, or on others")
    return end


def _check_bindings(
    dispatch: Dispatch, writes: list[bool], regions: Mapping[str, Region], held: Mapping[int, str], where: str
) -> None:
    """WebGPU refuses a buffer that one dispatch both reads and writes; parameters are never written."""
    _need(len(dispatch.bindings) == len(writes), f"{where} binds {len(dispatch.bindings)} of {len(writes)}")
    for name in dispatch.bindings:
        _need(name in regions, f"{where} binds '{name[:80]}', which has no region")
    written = [regions[n].buffer for n, w in zip(dispatch.bindings, writes) if w]
    read = {regions[n].buffer for n, w in zip(dispatch.bindings, writes) if not w}
    _need(len(written) == len({*written}) and not read & {*written}, f"{where} reads or writes twice what it writes")
    _need(not {*written} & held.keys(), f"{where} writes where parameters lie")


def _need(condition: object, problem: str) -> None:
    if not condition:
        raise BundleError(problem)
