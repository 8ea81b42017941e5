"""What axe-core, the accessibility checker that Lighthouse uses, has against a page in Chromium."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

_AXE = Path(__file__).parent / "js" / "node_modules" / "axe-core" / "axe.min.js"


def violations(page: Page) -> list[str]:
    """Return the rules that the page as it is now breaks, with the element: contrast, names, roles, landmarks."""
    if not _AXE.exists():
        pytest.fail("axe-core is not installed: `make test` does it, or `npm ci` in tests/js.")
    page.evaluate(_AXE.read_text(encoding="utf-8"))  # the pages' policy lets no script in otherwise
    found: list[str] = page.evaluate(
        """async () => (await axe.run()).violations.flatMap(({ id, nodes }) =>
            nodes.map(({ html, failureSummary }) => `${id}: ${html}: ${failureSummary}`))"""
    )
    return found
