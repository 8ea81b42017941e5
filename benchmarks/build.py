"""What an unchanged project adds to `hatchling build`: python benchmarks/build.py [RUNS]

One scratch project is built with the hook and without it, in turns; the medians and their difference are printed.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from scratch_project import Project, make_project, make_shared


def seconds(project: Project, *arguments: str) -> float:
    start = time.perf_counter()
    project.build("-t", "wheel", *arguments)
    return time.perf_counter() - start


def main(runs: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project = make_project(folder / "project", make_shared(folder / "shared"), folder / "cache")
        print(f"first build, trained and compiled   {seconds(project):6.2f} s")
        pairs = [(seconds(project), seconds(project, "--no-hooks")) for _ in range(runs)]
        with_hook, without = (statistics.median(times) for times in zip(*pairs))
        print(f"unchanged, median of {runs:2}              {with_hook:6.3f} s")
        print(f"without the hook                    {without:6.3f} s")
        print(f"what an unchanged project adds      {with_hook - without:6.3f} s; the limit is 0.3")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
