"""Reads digits from picture files: `python -m digits_app seven.png four.jpg`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

import neurenix
from digits_app import MODEL
from digits_app.preprocess import NoDigitError, prepare
from neurenix.errors import NeurenixError

BAR = 30  # characters for certainty


def main(arguments: list[str] | None = None) -> int:
    """Print what each picture shows. Returns 1 when one of them could not be read."""
    parser = argparse.ArgumentParser(prog="python -m digits_app", description="Read handwritten digits.")
    parser.add_argument("pictures", nargs="+", type=Path, metavar="picture", help="a picture of one digit")
    parser.add_argument("--device", default="auto", help="auto, cpu, wasm or reference (default: auto)")
    options = parser.parse_args(arguments)
    try:
        model = neurenix.load_model(MODEL, device=options.device)
    except NeurenixError as error:
        print(f"digits_app: the model cannot be loaded: {error}", file=sys.stderr)
        return 1
    failures = 0
    for path in options.pictures:
        try:
            with Image.open(path) as picture:
                image = prepare(picture)
        except (OSError, NoDigitError, Image.DecompressionBombError) as error:
            print(f"digits_app: {path}: {explain(error)}", file=sys.stderr)
            failures += 1
            continue
        print(describe(path, model.forward({"image": image})["output"][0]))
    return 1 if failures else 0


def describe(path: Path, probabilities: NDArray[np.float32]) -> str:
    """Return the answer in one line, and below it a bar for every digit that is worth one."""
    best = int(probabilities.argmax())
    lines = [f"{path}: {best}  ({probabilities[best]:.1%})"]
    for digit in np.argsort(-probabilities):
        if probabilities[digit] >= 0.005:
            bar = "#" * max(1, round(float(probabilities[digit]) * BAR))
            lines.append(f"  {digit}  {bar:<{BAR}} {probabilities[digit]:6.1%}")
    return "\n".join(lines)


def explain(error: Exception) -> str:
    """Return the error as a person would put it."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, UnidentifiedImageError):
        return "this is not a picture that Pillow can read"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
