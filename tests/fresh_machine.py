"""Follows docs/getting-started.md word by word on what is nearest to a fresh machine: `make getting-started`.

A new home, a new environment with plain pip, and hatch's own isolated builds. What is missing comes from the package
index; hatch-neurenix alone, whose release this is to become, comes from a folder with its wheel.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from pathlib import Path

from test_docs_getting_started import Reader, follow


class Newcomer(Reader):
    """A reader whose shell runs every command as it is written."""

    def run(self, command: str, said: list[str]) -> None:
        started = time.monotonic()
        words = shlex.split(command)
        if words[:2] == ["neurenix", "serve"]:
            self.serve(words[2], said)
        else:
            self.expect(command, self.call(["sh", "-c", command], self.environment), said)
        self.ran.append(command)
        print(f"{time.monotonic() - started:7.1f} s  {command}", flush=True)

    def serve(self, directory: str, said: list[str]) -> None:
        server = subprocess.Popen(
            ["neurenix", "serve", directory, "--port", "0"], cwd=self.folder, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            assert server.stdout is not None
            line = server.stdout.readline().strip()
            self.expect("neurenix serve", line.replace(line.split("/")[2], "127.0.0.1:8000"), said)
            assert b"models/iris/" in urllib.request.urlopen(line.split()[0], timeout=30).read()
        finally:
            os.killpg(server.pid, signal.SIGINT)
            server.communicate(timeout=30)


def newcomer(root: Path, wheels: Path) -> Newcomer:
    """Return a reader with nothing but Python, and with this checkout's wheel where pip and uv look first."""
    for name in ("home", "folder"):
        (root / name).mkdir()
    venv.create(root / "venv", with_pip=True)
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HATCH", "NEURENIX"))
    }
    environment = {
        **inherited,
        "HOME": str(root / "home"),
        "XDG_CACHE_HOME": str(root / "home" / ".cache"),
        "VIRTUAL_ENV": str(root / "venv"),
        "PATH": os.pathsep.join([str(root / "venv" / "bin"), inherited["PATH"]]),
        "PIP_FIND_LINKS": str(wheels),
        "UV_FIND_LINKS": str(wheels),
    }
    return Newcomer(root / "folder", root, root, environment)


def main() -> None:
    wheels = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        follow(newcomer(Path(folder), wheels))
    # A figure and no verdict: most of it is downloads, and the page says five minutes.
    print(f"{time.monotonic() - started:7.1f} s  in all")


if __name__ == "__main__":
    main()
