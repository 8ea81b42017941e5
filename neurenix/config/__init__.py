"""The `[tool.neurenix]` tables of pyproject.toml: what they may hold, and the one way to read them."""

from neurenix.config.load import load_config, parse_config
from neurenix.config.model_table import DimConfig, ModelConfig
from neurenix.config.tables import Config, NativeConfig, WebConfig

__all__ = ["Config", "DimConfig", "ModelConfig", "NativeConfig", "WebConfig", "load_config", "parse_config"]
