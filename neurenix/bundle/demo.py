"""The page that `demo=True` puts beside a model: a form for its inputs, and its answer."""

from __future__ import annotations

from neurenix.bundle.templates import render
from neurenix.graph.plan import Plan
from neurenix.resources import resource


def demo_files(plan: Plan) -> dict[str, bytes]:
    """Return index.html with its script and style, which read the model's signature when they run."""
    files = {f"demo.{kind}": resource("templates", "demo", f"demo.{kind}").read_bytes() for kind in ("js", "css")}
    return files | {"index.html": render("demo/index.html.jinja", {"name": plan.name})}
