"""Measures every row on this machine and writes docs/ops.md and docs/ops-special.md, below the folder given or here."""

from __future__ import annotations

import sys
from pathlib import Path

from neurenix.opsdoc.measure import measure, run
from neurenix.opsdoc.page import ops_page, special_cases, special_page


def main(folder: Path) -> None:
    """Write both pages into a folder."""
    cases = special_cases()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ops-special.md").write_text(special_page(cases, dict(run(cases))), encoding="utf-8")
    (folder / "ops.md").write_text(ops_page(measure()), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
