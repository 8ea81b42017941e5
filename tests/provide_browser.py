"""Provides a Chromium for the browser tests: the distribution's package when root, else Playwright's own.

Run by `make test`. Exits with an instruction when neither way works.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

SYSTEM = Path("/usr/bin/chromium")


def main() -> int:
    named = os.environ.get("NEURENIX_CHROMIUM")
    if named:
        return 0 if Path(named).is_file() else fail(f"NEURENIX_CHROMIUM names {named}, which is not there.")
    if SYSTEM.is_file() or playwright_has_one():
        return 0
    print("Installing Chromium for the browser tests …", flush=True)
    if from_distribution() or from_playwright():
        return 0
    return fail("Chromium could not be installed.")


def playwright_has_one() -> bool:
    """Say whether Playwright's own Chromium is there already."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return Path(playwright.chromium.executable_path).is_file()


def from_distribution() -> bool:
    """Install the package where we may: Debian and its kin, as root."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium", "fonts-dejavu-core"]):
        if subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False).returncode:
            return False
    return SYSTEM.is_file()


def from_playwright() -> bool:
    """Let Playwright download its own build."""
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    return subprocess.run(command, check=False).returncode == 0 and playwright_has_one()


def fail(message: str) -> int:
    print(
        f"{message}\nInstall Chromium or Chrome yourself and say where it is:\n"
        "    make test NEURENIX_CHROMIUM=/path/to/chromium",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
