"""A project's models, from `[tool.neurenix]` to finished bundles: made, compiled, cached, staged."""
