"""Neurenix: train, compile, prove and ship neural networks from pyproject.toml."""

__version__ = "0.1.0"
