"""A page beside a small bundle that offers the JavaScript runtime to tests, and what they ask of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from local_server import Site
from playwright.sync_api import Page
from tiny_bundle import change_manifest, tiny_weights

Serve = Callable[..., Site]
OpenTab = Callable[[], AbstractContextManager[Page]]

# What every page of these tests offers: `attempt` turns an error into plain values that the test can compare.
SCRIPT = """
import { loadModel, NeurenixError } from './webassembly_model/my_model.js';
window.loadModel = loadModel;
window.detached = () => {
  const data = new Float32Array(10);
  structuredClone(data.buffer, { transfer: [data.buffer] });
  return data;
};
window.attempt = async (work) => {
  try {
    return { value: await work() };
  } catch (error) {
    const { name, code, message } = error;
    return { ours: error instanceof NeurenixError, name, code, message };
  }
};
document.documentElement.dataset.state = 'ready';
"""
PAGE = '<!doctype html><meta charset="utf-8"><title>Test</title><script type="module" src="page.js"></script>'


def open_page(page: Page, site: Site, *, url: str | None = None) -> Page:
    """Open a page beside the bundle that offers `loadModel` and `attempt`."""
    (site.folder / "index.html").write_text(PAGE, encoding="utf-8")
    (site.folder / "page.js").write_text(SCRIPT, encoding="utf-8")
    page.goto(url or site.url)
    page.wait_for_selector("html[data-state]")  # wait_for_function would need 'unsafe-eval'
    return page


def expected(x: np.ndarray[Any, Any], seed: int = 0) -> np.ndarray[Any, Any]:
    w, b = tiny_weights(seed)
    return x * w + b


def change(site: Site, **values: Any) -> None:
    """Give keys of the served manifest other values, under right hashes."""
    change_manifest(site.folder / "webassembly_model", "my_model", values)


def complaints(page: Page) -> list[str]:
    return page.complaints.errors  # type: ignore[attr-defined, no-any-return]


def load_error(page: Page, options: str = "{}", path: str = "undefined") -> dict[str, Any]:
    """The error of a load that must fail."""
    result: dict[str, Any] = page.evaluate(f"attempt(() => loadModel({path}, {options}))")
    assert result.get("ours"), result
    assert result["name"] == "NeurenixError"
    return result


def forward_error(page: Page, inputs: str) -> dict[str, Any]:
    """The error of a call that must fail, on a model that then still answers."""
    result: dict[str, Any] = page.evaluate(
        f"""(async () => {{
            const model = await loadModel();
            const result = await attempt(() => model.forward({inputs}));
            await model.forward(new Float32Array(10));
            return result;
        }})()"""
    )
    assert result.get("ours"), result
    return result
