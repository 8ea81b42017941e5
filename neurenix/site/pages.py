"""The generated pages: one for each model, an index, and what makes them an application that can be installed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurenix.bundle.demo import asset_files, demo_page, described_ports
from neurenix.bundle.templates import render
from neurenix.resources import resource
from neurenix.site.files import ASSETS, write_json
from neurenix.site.inputs import InputHints
from neurenix.site.provenance import Project

if TYPE_CHECKING:
    from neurenix.project.build_record import BuiltModel

_MANIFEST = "manifest.webmanifest"
_UNITS = ((1e6, "MB"), (1e3, "kB"))


def write_generated_pages(
    models: Sequence[BuiltModel], project: Project, staged: Path, hints: Mapping[str, InputHints], *, worker: bool
) -> None:
    """Write the pages that the project does not have itself, and what they share. `hints` are by a model's name."""
    for name, content in asset_files().items():
        target = staged / ASSETS / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    for name in ("offline.js", "changing.js"):
        shutil.copyfile(resource("templates", "site", name), staged / ASSETS / name)
    if not (staged / _MANIFEST).exists():
        write_json(staged / _MANIFEST, _webmanifest(project))
    manifests = [read_manifest(model) for model in models]
    for manifest in manifests:
        page = staged / "models" / manifest["name"] / "index.html"
        if not page.exists():
            name = manifest["name"]
            told = hints[name].for_page() if name in hints else {}
            page.write_bytes(
                demo_page(
                    manifest, title=f"{name} · {project.name}", hints=told, assets=f"../../{ASSETS}/",
                    home="../../index.html", webmanifest=f"../../{_MANIFEST}", worker=worker,
                )
            )  # fmt: skip
    index = staged / "index.html"
    if not index.exists():
        entries = [_entry(model, manifest) for model, manifest in zip(models, manifests)]
        variables = {
            "title": project.name,
            "description": project.description,
            "version": project.version,
            "models": entries,
            "manifest": _MANIFEST,
            "worker": worker,
        }
        index.write_bytes(render("site/index.html.jinja", variables))


def read_manifest(model: BuiltModel) -> dict[str, Any]:
    """Return the description of a built model."""
    text = (model.directory / f"{model.name}.json").read_text(encoding="utf-8")
    manifest: dict[str, Any] = json.loads(text)
    return manifest


def _entry(model: BuiltModel, manifest: Mapping[str, Any]) -> dict[str, Any]:
    # What a browser fetches of the model: its description, one variant, and the weights.
    variant = manifest["variants"][0]["file"] if manifest["variants"] else None
    names = [*manifest["weights"], *([variant] if variant else [])]
    size = sum(manifest["files"][name]["size"] for name in names)
    size += (model.directory / f"{model.name}.json").stat().st_size
    return {
        "name": model.name,
        "inputs": described_ports(manifest["inputs"]),
        "outputs": described_ports(manifest["outputs"]),
        "download": _bytes(size),
    }


def _bytes(size: int) -> str:
    for unit, name in _UNITS:
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} bytes"


def _webmanifest(project: Project) -> dict[str, Any]:
    described = {"description": project.description} if project.description else {}
    # Relative addresses, so that the site may lie in any folder of its host.
    return {
        "name": project.name,
        "short_name": project.name[:12],
        **described,
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "background_color": "#f4f2ec",
        "theme_color": "#2447c7",
        "icons": [{"src": f"{ASSETS}/demo/icon.svg", "sizes": "any", "type": "image/svg+xml"}],
    }
