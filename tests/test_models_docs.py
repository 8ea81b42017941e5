"""Claim: what docs/models.md shows works as written."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from onnx_models import model, node

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "models.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.S)


@pytest.mark.zig
def test_the_snippets_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    relu = model([node("Relu", "x", "y")], {"x": ["batch", 3]}, ["y"])
    reshaping = model([node("Reshape", "x shape", "y")], {"x": [24], "shape": [2]}, ["y"], dtypes={"shape": np.int64})
    Path("model.onnx").write_bytes(relu.SerializeToString())
    Path("reshaping.onnx").write_bytes(reshaping.SerializeToString())
    names: dict[str, object] = {}
    for snippet in SNIPPETS:
        exec(compile(snippet, "docs/models.md", "exec"), names)  # noqa: S102 - our own page
    assert (4, 6) == names["graph"].values["y"].shape  # type: ignore[attr-defined]
    assert Path("bundle/my_model.json").is_file()
