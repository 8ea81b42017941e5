"""What there is to know about an .onnx file: its operators, which of them are supported, and what becomes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurenix.cli.backends import chosen_dims
from neurenix.cli.plan_report import PlanReport, report_plan
from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.errors import NeurenixError
from neurenix.frontends.load import plain_model_name
from neurenix.frontends.onnx.load import import_onnx, read_model
from neurenix.frontends.onnx.operator import find_operator

SUPPORTED, EXPANDED, UNSUPPORTED = "supported", "expanded", "unsupported"


@dataclass(frozen=True)
class OnnxOperator:
    """An operator that the file uses. `status` is supported, expanded (by a function body) or unsupported."""

    name: str
    domain: str
    count: int
    status: str


@dataclass(frozen=True)
class OnnxReport:
    """An .onnx file. `compiled` is what would be compiled, null where `problem` says why it cannot be."""

    path: Path
    producer: str
    ir_version: int
    opsets: dict[str, int]
    nodes: int
    operators: tuple[OnnxOperator, ...]
    problem: str | None
    compiled: PlanReport | None


def report_onnx(path: Path, dims: Sequence[tuple[str, int]] = ()) -> OnnxReport:
    """Describe an .onnx file. Raises ModelError for one that cannot be read at all."""
    model = read_model(path)
    opsets = {("" if o.domain == "ai.onnx" else o.domain): o.version for o in model.opset_import}
    problem, compiled = None, None
    try:
        graph = import_onnx(model, name=plain_model_name(path.stem), folder=path.parent)
        plan, _ = schedule(passes.run(graph, True))
        compiled = report_plan(plan, chosen_dims(plan, dims))
    except NeurenixError as error:
        problem = f"{error.code}: {error}"
    nodes = list(_nodes(model.graph.node))
    operators = _operators(nodes, opsets, {(f.domain, f.name) for f in model.functions})
    producer = f"{model.producer_name} {model.producer_version}".strip()
    return OnnxReport(path, producer, model.ir_version, opsets, len(nodes), operators, problem, compiled)


def _nodes(nodes: Any) -> Iterator[Any]:
    """Yield every node, those of branches and loops included."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _nodes(graph.node)


def _operators(nodes: list[Any], opsets: dict[str, int], local: set[tuple[str, str]]) -> tuple[OnnxOperator, ...]:
    counts = Counter(("" if n.domain == "ai.onnx" else n.domain, n.op_type) for n in nodes)
    found = [
        OnnxOperator(name, domain, count, _status(name, domain, opsets.get(domain, 1), local))
        for (domain, name), count in counts.items()
    ]
    return tuple(sorted(found, key=lambda o: (o.status != UNSUPPORTED, -o.count, o.name)))


def _status(name: str, domain: str, opset: int, local: set[tuple[str, str]]) -> str:
    import onnx

    # The operators enter their table when the importer is imported, which `import_onnx` has done.
    if find_operator(name, domain, opset) is not None:
        return SUPPORTED
    if (domain, name) in local:
        return EXPANDED
    try:
        schema = onnx.defs.get_schema(name, opset, domain)
    except onnx.defs.SchemaError:
        return UNSUPPORTED
    return EXPANDED if schema.has_function or schema.has_context_dependent_function else UNSUPPORTED
