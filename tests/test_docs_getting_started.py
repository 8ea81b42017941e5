"""Claim: docs/getting-started.md works as written. Its files and commands are taken from the page, in its order.

What differs from a reader's machine: `hatch build` is hatchling with the plugin of this checkout, so that nothing is
downloaded; pip gets the wheel without its dependencies into a folder of its own; the server takes a free port. But for
the port, `make getting-started` leaves none of this out: tests/fresh_machine.py.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from scratch_project import REPOSITORY, make_shared

pytestmark = [pytest.mark.slow, pytest.mark.zig, pytest.mark.wasm]

PAGE = (REPOSITORY / "docs" / "getting-started.md").read_text(encoding="utf-8")
# A block of code, with the line of text before it, which names its file.
BLOCK = re.compile(r"([^\n]*)\n\n```(\w+)\n(.*?)```", re.DOTALL)


@dataclass
class Reader:
    """Somebody who does what the page says, in an empty folder."""

    folder: Path
    installed: Path
    without: Path
    environment: dict[str, str]
    wrote: list[str] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)

    def write(self, path: str, text: str, mode: str = "w") -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open(mode, encoding="utf-8") as file:
            file.write(text)
        self.wrote.append(path)

    def run(self, command: str, said: list[str]) -> None:
        """Run a command of the page; what it says below it must be among what the command says, in its order."""
        self.ran.append(command)
        words = [*shlex.split(command)]
        if words[:2] == ["neurenix", "serve"]:
            self.serve(words[2], said)
            return
        if words == ["pip", "install", "hatch", "hatch-neurenix[cli]"]:
            return  # They are here: the hatchling of hatch, and this checkout.
        if words[0] == "python":
            # Nothing of this checkout: what was installed is said to need NumPy alone.
            environment = {**self.environment, "PYTHONPATH": os.pathsep.join(map(str, (self.installed, self.without)))}
            printed = self.call([sys.executable, *words[1:]], environment)
        else:
            printed = self.call(self.translated(words), self.environment)
        self.expect(command, printed, said)

    def expect(self, command: str, printed: str, said: list[str]) -> None:
        """Fail unless the lines are among what the command printed, in their order."""
        position = 0
        for line in said:
            found = printed.find(line, position)
            assert found >= 0, f"'{command}' does not say {line!r} any more:\n{printed}"
            position = found + len(line)

    def translated(self, words: list[str]) -> list[str]:
        if words[:2] == ["hatch", "build"]:
            return [sys.executable, "-m", "hatchling", *words[1:]]
        if words[:2] == ["pip", "install"] and words[-1] == "dist/*.whl":
            (wheel,) = (self.folder / "dist").glob("*.whl")
            place = ["--target", str(self.installed), "--upgrade"]
            return [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", *place, str(wheel)]
        raise AssertionError(f"nobody has said how to follow {words}")

    def call(self, command: list[str], environment: dict[str, str]) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert 0 == done.returncode, done.stdout + done.stderr
        return done.stderr + done.stdout

    def serve(self, directory: str, said: list[str]) -> None:
        """Serve on a free port; the pages of both the site and the model are there."""
        command = [sys.executable, "-m", "neurenix", "serve", directory, "--port", "0", "--quiet"]
        server = subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            assert server.stdout is not None
            line = server.stdout.readline().strip()
            url = line.split()[0]
            assert [re.sub(r":\d+/", ":8000/", line)] == said
            assert b"models/iris/" in urllib.request.urlopen(url, timeout=30).read()
            page = urllib.request.urlopen(f"{url}models/iris/", timeout=30).read()
            assert b"<title>" in page
        finally:
            server.terminate()
            server.communicate(timeout=30)


def commands(block: str) -> Iterator[tuple[str, list[str]]]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, *said = part.splitlines()
        yield command, [line.strip() for line in said if line.strip()]


def follow(reader: Reader) -> None:
    for before, language, text in BLOCK.findall(PAGE):
        if language == "console":
            for command, said in commands(text):
                reader.run(command, said)
            continue
        name = re.match(r"(Add to )?`([\w./-]+)`", before)
        assert name, f"the page does not say where this goes, but {before!r}:\n{text}"
        reader.write(name[2], ("\n" if name[1] else "") + text, "a" if name[1] else "w")


def make_reader(root: Path) -> Reader:
    """Return a reader with an empty folder, an empty cache and a place for what they install."""
    shared = make_shared(root / "shared")
    path = os.pathsep.join([str(REPOSITORY), str(shared / "site")])
    without = root / "without"
    for package in ("neurenix", "hatch_neurenix"):
        (without / package).mkdir(parents=True)
        (without / package / "__init__.py").write_text("raise ImportError('not installed')\n", encoding="utf-8")
    (root / "folder").mkdir()
    environment = {**os.environ, "PYTHONPATH": path, "NEURENIX_CACHE_DIR": str(root / "cache")}
    return Reader(root / "folder", root / "installed", without, environment)


def test_the_page_works_as_written(tmp_path: Path) -> None:
    reader = make_reader(tmp_path)
    started = time.monotonic()
    follow(reader)
    assert time.monotonic() - started < 300  # the five minutes that the page promises
    programs = ["ask.py", "src/flowers/training.py", "pyproject.toml", "ask_petals.py"]
    assert ["pyproject.toml", "src/flowers/__init__.py", "data/iris.csv", *programs] == reader.wrote
    assert 10 == len(reader.ran)


def test_the_flowers_are_fishers() -> None:
    rows = [row for row in PAGE.split("```text\n")[1].split("```")[0].splitlines() if row]
    real = (REPOSITORY / "tests" / "data" / "iris.csv").read_text(encoding="utf-8").splitlines()
    assert 31 == len(rows) == len(set(rows))
    assert set(rows) <= set(real)
