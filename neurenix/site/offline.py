"""The service worker: it is told which files make up this version, and keeps them for use without a network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from neurenix.bundle.templates import as_script
from neurenix.resources import resource
from neurenix.site.files import CHECKSUMS, fingerprints

WORKER = "neurenix-worker.js"

# Read by hosts and people, not by the pages; a host may not even serve them.
_NOT_FOR_BROWSERS = frozenset([CHECKSUMS, "_headers", "_redirects", "vercel.json", "netlify.toml", WORKER])
_SOURCES = (".c", ".d.ts")


def offline_files(files: Iterable[tuple[str, Path]]) -> list[dict[str, Any]]:
    """Return the files that a browser needs, each with its size and hash."""
    return fingerprints(
        (name, path)
        for name, path in files
        if name not in _NOT_FOR_BROWSERS
        and not name.endswith(_SOURCES)
        and not any(part.startswith(".") for part in name.split("/"))
    )


def worker_source(files: list[dict[str, Any]], *, isolate: bool) -> str:
    """Return the service worker for these files; without any it only lets go of an earlier version.

    The version names everything that makes a difference, so an unchanged site keeps its worker to the byte.
    """
    logic = resource("templates", "site", "worker.js").read_text(encoding="utf-8")
    told = {"offline": bool(files), "isolate": isolate, "files": files}
    text = json.dumps([told, logic], sort_keys=True)
    version = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"const SITE = {as_script({'version': version, **told})};\n\n{logic}"
