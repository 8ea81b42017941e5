"""Kills builds of a scratch project at random moments, and then builds it: `python tests/kill_builds.py 50`.

Each time the process group gets SIGKILL, as by `kill -9` or when memory runs out. What is built afterwards, in
the cache that the killed ones have left, must be what a clean build gives, and nothing may be left half made.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from scratch_project import Project, make_project, make_shared, tree


@dataclass(frozen=True)
class Killed:
    """What became of a run: how many builds were killed in the middle, and how many had ended before that."""

    killed: int
    finished: int


def kill_builds(folder: Path, times: int, seed: int = 0) -> Killed:
    """Kill `times` builds, a clean build's duration at most after their start. Raises AssertionError.

    A build that has ended before is no kill: another takes its turn.
    """
    shared = make_shared(folder / "shared")
    clean = make_project(folder / "clean", shared, folder / "clean-cache")
    start = time.monotonic()
    clean.build("-t", "wheel")
    duration = time.monotonic() - start
    clean.build("-t", "static-site")
    project = make_project(folder / "project", shared, folder / "cache")
    generator = random.Random(seed)
    killed = finished = 0
    anew = True
    while killed < times:
        if anew:
            shutil.rmtree(folder / "cache", ignore_errors=True)
        target = generator.choice(["wheel", "static-site"])
        was_killed = _kill_one(project, target, generator.uniform(0.1, 0.7) * duration)
        killed, finished = killed + was_killed, finished + (not was_killed)
        assert finished <= 10 * times
        # Some start anew, the others go on from what is there; after one that has ended nothing is left to do.
        anew = not was_killed or generator.random() < 0.5
    project.build("-t", "static-site", "-t", "wheel")
    assert clean.dist == project.dist  # Not what a killed build has begun, either.
    assert clean.wheel.read_bytes() == project.wheel.read_bytes()
    assert tree(clean.site) == tree(project.site)
    assert [] == list((folder / "cache" / "v1" / "making").iterdir())
    return Killed(killed, finished)


def _kill_one(project: Project, target: str, after: float) -> bool:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target]
    environment = {**os.environ, **project.environment}
    with subprocess.Popen(
        command, cwd=project.root, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            process.wait(after)
            return False
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return True


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(kill_builds(Path(folder), int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
