"""The program of docs/pages.md, in Chromium with WebGPU: it prints what its comments say, and complains of nothing."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from gpu_page import OpenModel
from runtime_page import complaints

pytest_plugins = ["browser", "gpu_browser"]
pytestmark = [pytest.mark.browser, pytest.mark.zig]

PAGE = Path(__file__).resolve().parent.parent / "docs" / "pages.md"
# The models of the page are two that tests have anyway.
MODELS = {"encoder": "mlp", "scorer": "after"}


def _program() -> str:
    return "\n".join(re.findall(r"^```js\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))


def test_the_program_of_the_page_prints_what_its_comments_say(open_models: OpenModel, tmp_path: Path) -> None:
    program = _program()
    page = open_models(*MODELS.values())
    for name, ours in MODELS.items():  # as builds lay them out, each with a copy of the runtime
        shutil.copytree(tmp_path / "site" / "webassembly_model", tmp_path / "site" / "models" / name)
        program = program.replace(f"./models/{name}/{name}.js", f"./models/{name}/{ours}.js")
    (tmp_path / "site" / "program.js").write_text(program, encoding="utf-8")
    page.evaluate("import('./program.js')")
    said = re.findall(r"^\s*console\.log\(.*\);  // (.*)$", program, re.MULTILINE)
    assert 8 <= len(said) == program.count("console.log(")
    assert said == page.complaints.notices  # type: ignore[attr-defined]
    assert [] == complaints(page)
