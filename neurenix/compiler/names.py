"""Names the C functions: steps whose kernel, expression and operand layouts agree share one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from neurenix.expr import PRIMITIVES
from neurenix.graph.graph import Node


@dataclass
class KernelNames:
    """Hands out `nx_conv2d_add_relu` and the like; one name for one function."""

    _known: dict[tuple[object, ...], str] = field(default_factory=dict)

    def of(self, node: Node, source: str, layouts: tuple[object, ...]) -> str:
        """Return the function that can run `node`; `layouts` is what else tells functions apart."""
        expression = node.attrs.get("expr") if node.op == "map" else node.epilogue and node.epilogue.expr
        key = (source, expression, layouts)
        if key not in self._known:
            stem = source.removesuffix(".c")
            # `nx_max` and the like are taken: what expressions are printed with has these names.
            own = (stem,) if node.op in PRIMITIVES else (stem, node.op)
            label = node.label if node.label.startswith(own) else f"{stem}_{node.label}"
            name = "nx_" + re.sub(r"\W+", "_", label)[:48].rstrip("_")
            taken = sum(1 for other in self._known.values() if re.fullmatch(re.escape(name) + r"(_\d+)?", other))
            self._known[key] = f"{name}_{taken + 1}" if taken else name
        return self._known[key]
