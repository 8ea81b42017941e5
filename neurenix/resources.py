"""Finds kernels/ and templates/: inside the installed package, or beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource(*parts: str) -> Path:
    """Return the path of a data file or folder, such as `resource("kernels", "c")`."""
    installed = _PACKAGE / "_data"
    root = installed if installed.is_dir() else _PACKAGE.parent
    path = root.joinpath(*parts)
    assert path.exists(), f"{path} is missing from this installation"
    return path


def module_file(name: str) -> Path:
    """Return the file of a module of this installation, such as "neurenix.project.standalone", without importing it."""
    path = _PACKAGE.parent.joinpath(*name.split(".")).with_suffix(".py")
    assert path.is_file(), f"{path} is missing from this installation"
    return path
