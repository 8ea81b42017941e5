"""Builds a project's static site for `neurenix serve`, just as `hatch build -t static-site` does."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

from neurenix.config import load_config
from neurenix.errors import MissingExtraError, SiteError


def is_project(folder: Path) -> bool:
    """Say whether a folder is a project, and no site."""
    return (folder / "pyproject.toml").is_file()


def build_site(project: Path, output: Path, quiet: bool) -> Path:
    """Build the site of a project below `output` and return its folder. What the build says goes to stderr.

    Raises SiteError; an earlier site stays then.
    """
    load_config(project, target="static-site")  # its problems are best told by us
    if importlib.util.find_spec("hatchling") is None:
        raise MissingExtraError("hatchling", "serve", "serving a project")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "static-site", "-d", str(output.resolve())]
    done = subprocess.run(
        command, cwd=project, check=False, text=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE if quiet else None,
    )  # fmt: skip
    if done.returncode:
        said = f":\n{done.stderr.strip()}" if quiet else ""
        raise SiteError(f"the site of {project.resolve()} could not be built{said}")
    return next(output.glob("*-site"))
