"""What tests do with a generated page: give it a file, wait for its answer, and hold that against Python's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Page
from site_models import LONG

from neurenix import load_model

MODELS = ("digits", "flowers", "painter", LONG, "words", "loudness")
DONE = "html[data-state=done]"


def answers(page: Page, folder: Path, model: str, inputs: dict[str, Any]) -> None:
    """Wait until the page's raw result is Python's answer to the same inputs."""
    expected = load_model(folder / "models" / model / f"{model}.json", device="reference").forward(inputs)["output"]
    for attempt in range(20):
        result = raw_result(page)
        assert (model, "wasm") == (result["model"], result["device"])
        output = result["outputs"]["output"]
        found = np.array(output["values"])
        close = list(expected.shape) == output["shape"] and np.allclose(found, expected, rtol=1e-4, atol=1e-5)
        if close or attempt == 19:
            break
        page.wait_for_timeout(100)
    assert list(expected.shape) == output["shape"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def raw_result(page: Page) -> dict[str, Any]:
    with page.expect_download() as download:
        page.click("#download")
    found: dict[str, Any] = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    return found


def drop(page: Page, selector: str, name: str, content: bytes, mime: str) -> None:
    """Drop a file on an element, as a mouse does."""
    transfer = page.evaluate_handle(
        """([name, bytes, type]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([Uint8Array.from(bytes)], name, { type }));
            return transfer;
        }""",
        [name, list(content), mime],
    )
    page.dispatch_event(selector, "drop", {"dataTransfer": transfer})


def png(path: Path, pixels: np.ndarray[Any, Any]) -> bytes:
    Image.fromarray(pixels).save(path)
    return path.read_bytes()


def settle(page: Page, before: str) -> None:
    """Wait until the answer is no longer `before`."""
    for _ in range(200):
        if page.inner_text("#answers") != before:
            return
        page.wait_for_timeout(50)
    raise AssertionError("the answer stayed as it was")
