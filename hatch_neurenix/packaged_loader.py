"""Loads the models in the folders beside this file. It needs the package `hatch-neurenix` where it runs.

    from your_package._neurenix import load_model
    model = load_model("digits")
    model.forward({"image": array})

A build puts this file beside native libraries; with `standalone = true` a small runtime takes its place.
"""

from __future__ import annotations

from pathlib import Path

from neurenix.session import LoadedModel
from neurenix.session import load_model as load_bundle


def load_model(name: str, device: str = "auto") -> LoadedModel:
    """Load the model called `name`, as `neurenix.load_model` does."""
    return load_bundle(Path(__file__).parent / name / f"{name}.json", device)
