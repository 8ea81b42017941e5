"""The `[tool.neurenix]` tables of pyproject.toml: what they may hold, and the one way to read them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurenix.config.load import load_config, parse_config
    from neurenix.config.model_table import DimConfig, ModelConfig
    from neurenix.config.tables import Config, NativeConfig, WebConfig

_MODULES = {
    "load_config": "load",
    "parse_config": "load",
    "DimConfig": "model_table",
    "ModelConfig": "model_table",
    "Config": "tables",
    "NativeConfig": "tables",
    "WebConfig": "tables",
}

__all__ = ["Config", "DimConfig", "ModelConfig", "NativeConfig", "WebConfig", "load_config", "parse_config"]


# Late: an unchanged static site reads one small table, and waits for none of the rules of the models.
def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
