"""Measures every row on this machine and writes docs/ops.md and docs/ops-special.md, below the folder given or here."""

from __future__ import annotations

import sys
from pathlib import Path

from neurenix.opsdoc.committed import committed_adapter, committed_errors, committed_special
from neurenix.opsdoc.measure import adapter, measure, run
from neurenix.opsdoc.page import ops_page, special_cases, special_page


def main(folder: Path) -> None:
    """Write both pages into a folder. Without an adapter for WebGPU, what the pages there say of it stays."""
    folder.mkdir(parents=True, exist_ok=True)
    cases, errors, name = special_cases(), measure(), adapter()
    kept = None if name else committed_special(folder)
    for row, figures in ({} if name else committed_errors(folder)).items():
        if row in errors:
            errors[row] |= figures
    special = special_page(cases, dict(run(cases)), name or committed_adapter(folder), kept)
    (folder / "ops-special.md").write_text(special, encoding="utf-8")
    (folder / "ops.md").write_text(ops_page(errors), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
