"""Reads handwritten digits with a small convolutional network that the build trained and compiled."""

from __future__ import annotations

from pathlib import Path

MODEL = Path(__file__).parent / "_neurenix" / "digits" / "digits.json"
"""Where the build puts the model: its description; the compiled files lie beside it."""
