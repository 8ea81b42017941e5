"""The page to try a model on: a form for its inputs, and its answer. `demo=True` puts it beside the model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from neurenix.bundle.templates import render
from neurenix.resources import resource

if TYPE_CHECKING:
    from neurenix.graph.plan import Plan

_SHIPPED = (".js", ".css", ".svg")


def demo_files(plan: Plan) -> dict[str, bytes]:
    """Return index.html with its scripts and style, which read the model's signature when they run."""
    # Here: the pages of an unchanged site are made of a manifest that is there, and need no op table.
    from neurenix.bundle.description import describe

    return asset_files() | {"index.html": demo_page(describe(plan), title=plan.name)}


def asset_files() -> dict[str, bytes]:
    """Return the scripts, the style and the icon: the same for every model."""
    folder = resource("templates", "demo")
    found = (path for path in sorted(folder.rglob("*")) if path.suffix in _SHIPPED)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def demo_page(
    manifest: Mapping[str, Any],
    *,
    title: str,
    assets: str = "",
    home: str | None = None,
    webmanifest: str | None = None,
    worker: bool = False,
    hints: Mapping[str, Any] | None = None,
) -> bytes:
    """Return the page of a model that lies in the page's own folder.

    `assets` leads from there to the scripts, `home` to the list of models, `webmanifest` to what makes the site an
    application; `worker` is whether the site has a service worker; `hints` are what the signature does not tell of
    the inputs, as `types.d.ts` of the pages has it.
    """
    variables = {
        "name": manifest["name"],
        "title": title,
        "inputs": described_ports(manifest["inputs"]),
        "outputs": described_ports(manifest["outputs"]),
        "assets": assets,
        "home": home,
        "manifest": webmanifest,
        "worker": worker,
        "hints": json.dumps(hints, allow_nan=False) if hints else None,
    }
    return render("demo/index.html.jinja", variables)


def described_ports(ports: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the name and the type of each input or output, as people write it: `float32[batch, 10]`."""
    return [{"name": p["name"], "type": f"{p['dtype']}[{', '.join(map(_size, p['shape']))}]"} for p in ports]


def _size(size: Any) -> str:
    if not isinstance(size, list):
        return str(size)
    operator, a, b = size[0], _size(size[1]), _size(size[2])
    return f"{operator}({a}, {b})" if operator in ("max", "min") else f"({a} {operator} {b})"
