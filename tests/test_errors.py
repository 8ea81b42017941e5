"""The errors: one code each, the same in Python, in the drawing of errors.py and in the JavaScript runtime."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurenix import errors
from neurenix.errors import ConfigError, MissingExtraError, NeurenixError

RUNTIME = Path(__file__).resolve().parent.parent / "templates" / "runtime" / "neurenix.runtime"


def kinds(root: type[NeurenixError] = NeurenixError) -> Iterator[type[NeurenixError]]:
    for kind in root.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield kind
            yield from kinds(kind)


def drawn() -> dict[str, tuple[str, int]]:
    """The drawing in the docstring: the code of each class and the depth that it is drawn at."""
    rows = re.findall(r"^ {4}([│├└─ ]*)(\w+Error) +(\w+) +\S", errors.__doc__ or "", re.MULTILINE)
    return {name: (code, len(indent) // 4) for indent, name, code in rows}


def browser_codes() -> set[str]:
    """The codes that the docstring says only a browser meets."""
    sentence = (errors.__doc__ or "").split("only a\nbrowser meets:")[1]
    return set(re.findall(r"`(\w+)`", sentence))


def runtime_codes() -> set[str]:
    """The codes that the JavaScript runtime declares."""
    declared = (RUNTIME / "types.d.ts").read_text(encoding="utf-8").split("export type ErrorCode =")[1].split(";")[0]
    return set(re.findall(r"'(\w+)'", declared))


def test_every_code_is_unique() -> None:
    codes = [kind.code for kind in kinds()]
    assert len(codes) == len(set(codes))
    assert NeurenixError.code not in codes


def test_every_class_is_drawn_where_it_stands() -> None:
    expected = {kind.__name__: (kind.code, len(kind.__mro__) - len(NeurenixError.__mro__)) for kind in kinds()}
    assert expected == drawn()


def test_every_class_says_when_it_is_raised() -> None:
    for kind in kinds():
        assert (kind.__doc__ or "").rstrip().endswith("."), kind


def test_javascript_knows_no_code_but_pythons_and_the_browsers_own() -> None:
    python = {kind.code for kind in kinds()}
    assert not browser_codes() & python
    assert browser_codes() == runtime_codes() - python


def test_every_code_that_javascript_throws_is_declared_and_every_declared_one_is_thrown() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in sorted(RUNTIME.glob("*.js")))
    thrown = set(re.findall(r"NeurenixError\(\s*'(\w+)'", sources))
    assert thrown <= runtime_codes()
    assert runtime_codes() == {code for code in runtime_codes() if f"'{code}'" in sources}


def test_a_config_error_lists_every_problem() -> None:
    error = ConfigError(["models.a: one", "models.b: two"])
    assert error.problems == ("models.a: one", "models.b: two")
    assert str(error) == "2 problems in pyproject.toml:\n  models.a: one\n  models.b: two"


def test_a_missing_extra_names_the_command_that_brings_it() -> None:
    assert "pip install 'hatch-neurenix[wasm]'" in str(MissingExtraError("wasmtime", "wasm", "running WebAssembly"))


def test_errors_are_caught_by_their_root() -> None:
    for kind in kinds():
        with pytest.raises(NeurenixError):
            raise kind.__new__(kind)
