"""Generates docs/ops.md and docs/ops-special.md from the op table: `python -m neurenix.opsdoc`."""
