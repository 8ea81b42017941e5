"""Says where a site comes from: the project, its licence, the generator, and each model by its hash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neurenix import __version__
from neurenix.cache import file_digest

if TYPE_CHECKING:
    from neurenix.project.build_record import BuiltModel

_RUNTIME = """\
The scripts in neurenix-site/, models/*/neurenix.runtime.js and models/*/neurenix.runtime/, neurenix-worker.js and
the code compiled into models/*/*.wasm come from Neurenix, which is licensed under the Apache License, version 2.0:
https://www.apache.org/licenses/LICENSE-2.0
"""


@dataclass(frozen=True)
class Project:
    """What a site says of the project that it was built from. `licence_texts` is each licence file by its name."""

    name: str
    version: str = ""
    description: str = ""
    licence: str = ""
    licence_texts: tuple[tuple[str, str], ...] = ()


def licences(project: Project) -> str:
    """Return the project's licence and Neurenix's, as a text."""
    title = " ".join(filter(None, [project.name, project.version]))
    told = f"Licence: {project.licence}" if project.licence else "The project names no licence."
    texts = [f"{name}\n{'-' * len(name)}\n\n{text.rstrip()}\n" for name, text in project.licence_texts]
    return "\n".join([f"{title}\n{told}\n", *texts, f"Neurenix\n--------\n\n{_RUNTIME}"])


def provenance(project: Project, models: Sequence[BuiltModel]) -> dict[str, Any]:
    """Return who made what with what. It names no time and no machine: the same inputs give the same file."""
    return {
        "project": {"name": project.name, "version": project.version, "licence": project.licence},
        "generator": f"neurenix {__version__}",
        "models": [
            {
                "name": model.name,
                "manifest": f"models/{model.name}/{model.name}.json",
                "sha256": file_digest(model.directory / f"{model.name}.json"),
                "metrics": dict(model.metrics),
                "largest-error": dict(model.report["agreement"]),
                "compiler": model.report.get("zig") and f"zig {model.report['zig']}",
            }
            for model in models
        ],
    }
