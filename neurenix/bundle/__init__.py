"""Writes and reads bundles: the folder that ships. FORMAT.md is the specification."""
