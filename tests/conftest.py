"""What all tests share: a build cache of their own, the example application, built once, and what `gpu` asks for."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from functools import cache
from pathlib import Path

import pytest
from builds import ROOT, build
from hypothesis import settings

from neurenix.file_lock import locked
from neurenix.phynexus.detect import usable_adapters
from neurenix.phynexus.detect.adapters import adapters

WORK = ROOT / ".make" / "test"

# The same examples in every run: a failure can be repeated, and nobody's build fails by another's luck.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

# A shell without job control starts what runs in the background deaf to SIGINT, and so would be every child of ours.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Python may be told to write no bytecode. That of what collecting imports is written all the same, or each of hundreds
# of processes would compile this package anew; not that of what tests write, and may change within a second.
_WRITES_NONE = sys.dont_write_bytecode
sys.dont_write_bytecode = False

# Entries are found by the content of everything they depend on, so the next run may use them again.
os.environ.setdefault("NEURENIX_CACHE_DIR", str(WORK / "cache"))


def pytest_collection_finish() -> None:
    sys.dont_write_bytecode = _WRITES_NONE


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is marked `gpu` where nothing runs shaders, or without the features that the marker names.

    That is the only thing of a machine that may be absent: whatever else a test needs is installed by `make`, and
    without it the test fails.
    """
    marks = [*item.iter_markers("gpu")]
    reason = _without_gpu(frozenset(feature for mark in marks for feature in mark.args)) if marks else None
    if reason is not None:
        pytest.skip(f"no WebGPU here: {reason}")


@cache
def _without_gpu(features: frozenset[str]) -> str | None:
    import wgpu  # noqa: F401 - the extra `dev` has it: its absence is a failure, not an absent adapter

    usable = usable_adapters()
    if not usable:
        others = (f"{a.name} through {a.backend}: {a.problem or 'not for models'}" for a in adapters().found)
        return adapters().problem or "; ".join(others) or "there is no adapter"
    absent = features.difference(usable[0].features)
    return f"{usable[0].name} has not {', '.join(sorted(absent))}" if absent else None


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
