"""The demonstration that the document links to, run as its reader would: a program with an exit status."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from neurenix import load_model

EXAMPLE = Path(__file__).resolve().parent.parent / "example-app" / "webassembly_integration.py"

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.zig]


def test_it_trains_exports_and_agrees_with_a_real_browser(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", EXAMPLE, tmp_path / "out"]
    quiet = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}  # without it Mesa's driver chatters
    done = subprocess.run(command, cwd=tmp_path, env=quiet, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    report = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert list(report) == ["trained", "exported", "serving", "browser", "result"]
    accuracy = re.search(r"([\d.]+)% of 500 others read right", report["trained"])
    assert accuracy is not None and float(accuracy[1]) > 85
    difference = re.search(r"32 answers by the \w+ variant, largest difference ([\d.e-]+)", report["browser"])
    assert difference is not None and float(difference[1]) <= 1e-5
    assert report["result"] == "Python and the browser agree"
    # What it leaves behind is a bundle that proves itself, with its page.
    model = load_model(tmp_path / "out" / "digit_reader.json")
    assert model.labels == tuple("0123456789")
    assert model.self_test() < 1e-5
    assert (tmp_path / "out" / "index.html").is_file()


def test_without_playwright_it_says_what_to_do(tmp_path: Path) -> None:
    blocked = "import runpy, sys; sys.modules['playwright'] = None; sys.argv = sys.argv[1:]; "
    program = blocked + "runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", program, EXAMPLE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Playwright is not installed; open http://127.0.0.1:" in done.stdout
    assert not list(tmp_path.iterdir())


def test_with_serve_it_keeps_serving_until_it_is_interrupted(tmp_path: Path) -> None:
    command = [sys.executable, EXAMPLE, tmp_path / "out", "--serve"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            line = next(line for line in process.stdout if line.startswith("try it at "))
            url = line.split()[3]
            with urlopen(url + "digit_reader.json", timeout=30) as answer:
                assert json.load(answer)["name"] == "digit_reader"
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        finally:
            process.kill()  # leaving the block waits for its end, however long that takes
