"""What all tests share: a build cache of their own, and the example application, built once for the session."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from builds import ROOT, build
from hypothesis import settings

from neurenix.file_lock import locked

WORK = ROOT / ".make" / "test"

# The same examples in every run: a failure can be repeated, and nobody's build fails by another's luck.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

# A shell without job control starts what runs in the background deaf to SIGINT, and so would be every child of ours.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Entries are found by the content of everything they depend on, so the next run may use them again.
os.environ.setdefault("NEURENIX_CACHE_DIR", str(WORK / "cache"))


@pytest.fixture(scope="session")
def example_app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of example-app whose wheel and static site hatchling has really built into dist/."""
    project = tmp_path_factory.mktemp("example") / "example-app"
    shutil.copytree(ROOT / "example-app", project, ignore=shutil.ignore_patterns("dist", "__pycache__", "_neurenix"))
    WORK.mkdir(parents=True, exist_ok=True)
    with locked(WORK / "example.lock"):  # so that parallel test processes train once
        for target in ("wheel", "static-site"):
            build(project, "-t", target)
    return project


@pytest.fixture(scope="session")
def digits_site(example_app: Path) -> Path:
    """The folder of the example's static site."""
    return next((example_app / "dist").glob("*-site"))


@pytest.fixture(scope="session")
def digits_wheel(example_app: Path) -> Path:
    """The example's wheel."""
    return next((example_app / "dist").glob("*.whl"))
