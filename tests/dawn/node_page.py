"""What stands for a browser's tab in Dawn's tests: a Node.js that has WebGPU and answers as a page would."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from test_runtime_js import node

HERE = Path(__file__).parent
# Dawn as npm has it. It takes any Vulkan driver of these years: Debian 12's lavapipe is too old, Debian 13's will do.
PACKAGE = HERE.parents[1] / ".make" / "dawn" / "node_modules" / "webgpu" / "index.js"
# Another Node.js than the one that tests have: in a container with a newer driver, say.
NODE = "NEURENIX_DAWN_NODE"
SECONDS = 120

_FEATURES = """async () => {
  const adapter = await navigator.gpu.requestAdapter();
  return adapter ? { description: adapter.info.description, features: [...adapter.features] } : null;
}"""


class NodePage:
    """A process that evaluates functions one after the other, with the part of a tab's methods that tests need."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.complaints = SimpleNamespace(errors=[])  # there is no console to complain on: errors come back

    def goto(self, url: str) -> None:
        """Go nowhere: the process lives in the folder that a tab would be shown."""

    def evaluate(self, source: str, argument: Any = None) -> Any:
        """Return what a JavaScript function resolves to. Raises AssertionError with the error's text."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([source, argument]) + "\n")
        self._process.stdin.flush()
        lines = (line for line in self._process.stdout if line.startswith(('{"value"', '{"error"')))
        found = json.loads(next(lines, '{"error": "Node.js ended"}'))
        assert "error" not in found, found["error"]
        return found["value"]


@contextmanager
def node_page(folder: Path) -> Iterator[NodePage]:
    """Start a page in a folder, for as long as one likes."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "page.js", folder)
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    command = [os.environ.get(NODE) or node(), str(folder / "page.js"), str(PACKAGE), "backend=vulkan"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield NodePage(process)
    finally:
        process.communicate(timeout=SECONDS)


@functools.cache
def adapter(folder: Path) -> dict[str, Any] | None:
    """Return what Dawn says of its adapter; None where it has none, or is not there."""
    if not PACKAGE.exists():
        return None
    with node_page(folder) as page:
        found: dict[str, Any] | None = page.evaluate(_FEATURES)
        return found
