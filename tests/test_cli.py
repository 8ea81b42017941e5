"""Claims about the command line as a whole: help, errors, exit codes, JSON, and what its users' terminals show."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from cli_calls import call

from neurenix.cli.command_line import COMMANDS
from neurenix.cli.reference import REPORTS, reference_page
from neurenix.cli.terminal import as_data, bar
from neurenix.cli.wording import plain, scaled, seconds_text, size_text

REPOSITORY = Path(__file__).parent.parent


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **variables}
    command = [sys.executable, "-m", "neurenix", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, encoding="utf-8")


def every_command() -> list[str]:
    names = []
    for name in COMMANDS:
        command = importlib.import_module(f"neurenix.cli.{name}").command
        names += [f"{name} {below}" for below in command.commands] if isinstance(command, click.Group) else [name]
    return names


def test_help_names_every_command_and_imports_none() -> None:
    code = (
        "import sys; from neurenix.cli import main; main(['--help']); "
        "print([m for m in sys.modules if m in ('numpy', 'rich') or m.startswith('neurenix.cli.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=REPOSITORY, text=True, check=True)
    listed = re.findall(r"^  (\w+)  +\S", done.stdout.partition("Commands:")[2], re.MULTILINE)
    assert list(COMMANDS) == listed
    imported = ["neurenix.cli.command_line", "neurenix.cli.options", "neurenix.cli.wording"]
    assert imported == sorted(eval(done.stdout.splitlines()[-1]))  # noqa: S307 - our own list


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_in_the_help_is_the_first_of_the_commands_own(name: str) -> None:
    command = importlib.import_module(f"neurenix.cli.{name}").command
    assert COMMANDS[name] == inspect.cleandoc(command.help).splitlines()[0]


@pytest.mark.parametrize("name", every_command())
def test_every_command_has_json_and_says_its_shape(name: str) -> None:
    assert "--json" in call(*name.split(), "--help").stdout
    assert name in REPORTS or name == "schema"


def test_the_page_about_the_command_line_is_up_to_date() -> None:
    committed = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")
    assert reference_page() == committed, "run python -m neurenix.cli.reference"


def test_no_arguments_show_the_help_and_are_wrong_usage() -> None:
    assert "Commands:" in call(status=2).output


def test_a_misspelt_command_is_wrong_usage_with_the_right_name() -> None:
    assert "There is no command 'buld'; did you mean 'build'?" in call("buld", status=2).stderr


def test_the_version_is_that_of_the_package() -> None:
    assert re.fullmatch(r"neurenix, version \d+\.\d+.*\n", call("--version").stdout)


def test_an_error_is_one_line_with_its_code(tmp_path: Path) -> None:
    result = call("verify", tmp_path / "none", status=1)
    assert "" == result.stdout
    text = (
        f"neurenix: missing_file: {tmp_path}/none is not there: build the bundle, or copy all of it\n"
        "More about it: docs/errors.md#missing_file\n"
    )
    assert text == result.stderr


def test_an_error_is_an_object_too_when_json_is_wanted(tmp_path: Path) -> None:
    result = call("verify", tmp_path / "none", "--json", status=1)
    error = json.loads(result.stdout)["error"]
    assert "missing_file" == error["code"]
    assert f"neurenix: missing_file: {error['message']}" == result.stderr.splitlines()[0]


def test_the_traceback_is_for_those_who_ask(tmp_path: Path) -> None:
    result = call("verify", tmp_path / "none", "-v", status=1)
    assert result.stderr.startswith("Traceback (most recent call last):")
    assert result.stderr.splitlines()[-2].startswith("neurenix: missing_file: ")


@pytest.mark.slow
def test_the_exit_codes_reach_the_shell(tmp_path: Path) -> None:
    statuses = [run("schema").returncode, run("verify", str(tmp_path)).returncode, run("verify").returncode]
    assert [0, 1, 2] == statuses


@pytest.mark.parametrize("package", ["click", "rich"])
def test_without_its_packages_the_command_names_the_extra(package: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; from neurenix.cli import main; sys.exit(main(['schema']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=REPOSITORY, text=True, check=False)
    assert 1 == done.returncode
    text = f"neurenix: missing_extra: the command line needs the package '{package}': pip install 'hatch-neurenix[cli]'"
    assert f"{text}\n" == done.stderr


@pytest.mark.slow
def test_a_reader_who_leaves_early_is_no_error() -> None:
    command = f"'{sys.executable}' -m neurenix schema | head -c 10"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, env=environment)
    assert (10, "") == (len(done.stdout), done.stderr)


@pytest.mark.slow
def test_a_name_that_the_encoding_lacks_is_written_out() -> None:
    done = run("verify", "日本語", PYTHONIOENCODING="iso-8859-1")
    assert 1 == done.returncode
    assert "neurenix: missing_file: \\u65e5\\u672c\\u8a9e is not there" in done.stderr


def test_names_cannot_steer_the_terminal(tmp_path: Path) -> None:
    result = call("verify", tmp_path / "\x1b[31mred\x07", status=1)
    assert "\x1b" not in result.output
    assert "\\x1b[31mred\\x07" in result.stderr
    assert "a\nb\\x9b" == plain("a\nb\x9b")


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from neurenix.cli import terminal

    class Screen:
        encoding = "utf-8"

        def __init__(self) -> None:
            self.text = ""

        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> None:
            self.text += text

        def flush(self) -> None:
            pass

    def shown() -> str:
        screen = Screen()
        monkeypatch.setattr(sys, "stdout", screen)
        terminal.show_line("text", style="red")
        return screen.text

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[31mtext\x1b[0m\n" == shown()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "text\n" == shown()


def test_numbers_read_well() -> None:
    assert ["0 B", "999 B", "1.0 kB", "12.3 kB", "1.0 MB", "150 MB", "2.0 GB"] == [
        size_text(n) for n in (0, 999, 1000, 12345, 999_950, 150e6, 2e9)
    ]
    assert ["0 ", "1.5 M", "3.0 T"] == [scaled(n) for n in (0, 1.5e6, 3e12)]
    assert ["1.5 s", "12.3 ms", "7 µs", "0.02 µs", "1234 s"] == [
        seconds_text(s) for s in (1.5, 0.0123, 7e-6, 2e-8, 1234.4)
    ]


def test_bars_stand_for_values() -> None:
    assert ["", "█", "██", "████"] == [bar(v, 4.0, 4) for v in (0.0, 0.01, 2.0, 4.0)]
    assert "" == bar(float("nan"), 4.0, 4) == bar(1.0, 0.0, 4)


def test_json_has_no_number_that_json_has_not() -> None:
    assert {"a": [None, None, 1.5], "b": "x/y"} == as_data({"a": (float("inf"), float("nan"), 1.5), "b": Path("x/y")})
    assert "1.5" == json.dumps(as_data(float(np.float32(1.5))))
