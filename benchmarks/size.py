"""What a visitor downloads of a model: each file raw, gzip and brotli, and what matters for a first visit together."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import brotli


def main(folder: Path, name: str) -> None:
    variant = f"{name}.relaxed.wasm"
    fetched = [folder / f"{name}.js", folder / f"{name}.json", folder / variant, folder / "neurenix.runtime.js"]
    # Those for WebGPU are fetched when a GPU is wanted, and then the shaders as well.
    fetched += [p for p in sorted((folder / "neurenix.runtime").glob("*.js")) if not p.name.startswith("webgpu")]
    print(f"{'file':<40} {'raw':>9} {'gzip':>9} {'brotli':>9}")
    totals = [0, 0, 0]
    for path in [*fetched, folder / f"{name}.bin"]:
        content = path.read_bytes()
        sizes = [len(content), len(gzip.compress(content, 9)), len(brotli.compress(content))]
        print(f"{path.relative_to(folder).as_posix():<40} {sizes[0]:>9,} {sizes[1]:>9,} {sizes[2]:>9,}")
        if path in fetched:
            totals = [t + s for t, s in zip(totals, sizes)]
    print(f"{'together, the weights aside':<40} {totals[0]:>9,} {totals[1]:>9,} {totals[2]:>9,}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
