"""Writes docs/config.md and docs/neurenix.schema.json, below the folder given or here."""

from __future__ import annotations

import sys
from pathlib import Path

from neurenix.config.reference import reference_page
from neurenix.config.schema import schema_json


def main(folder: Path) -> None:
    """Write both into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.md").write_text(reference_page(), encoding="utf-8")
    (folder / "neurenix.schema.json").write_text(schema_json(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
