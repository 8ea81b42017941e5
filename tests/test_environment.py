"""Claims about the environment: a variable that is nearly ours is told, a value that means nothing is an error."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from neurenix.cache.remote import remote_cache
from neurenix.environment import VARIABLES, flag, misspelt
from neurenix.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent


def test_every_variable_that_the_code_reads_is_listed() -> None:
    sources = [path.read_text(encoding="utf-8") for folder in ("neurenix", "hatch_neurenix")
               for path in sorted((ROOT / folder).rglob("*.py"))]  # fmt: skip
    read = {name for text in sources for name in re.findall(r'"(NEURENIX_[A-Z_]*[A-Z])"', text)}
    assert set(VARIABLES) == read


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("NEURENIX_PROFIL", "NEURENIX_PROFILE"),
        ("NEURENIX_TARGETS", "NEURENIX_TARGET"),
        ("NEURENIX_CACHEDIR", "NEURENIX_CACHE_DIR"),
        ("NEURENIX_REMOTE_CACHE_WRITES", "NEURENIX_REMOTE_CACHE_WRITE"),
    ],
)
def test_a_misspelt_variable_is_told_with_the_one_that_is_meant(
    monkeypatch: pytest.MonkeyPatch, name: str, meant: str
) -> None:
    monkeypatch.setenv(name, "x")
    assert (f"{name} is set and means nothing -- did you mean {meant}, {VARIABLES[meant]}?",) == misspelt()


def test_variables_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURENIX_PAGES_OF_MY_OWN", "x")
    monkeypatch.setenv("MY_NEURENIX_PROFIL", "x")
    assert () == misspelt()


@pytest.mark.parametrize("value", ["yes", "TRUE", "2", " "])
def test_a_value_that_is_neither_on_nor_off_is_an_error(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("NEURENIX_REMOTE_CACHE_WRITE", value)
    expected = (
        f"1 problem in the environment:\n  NEURENIX_REMOTE_CACHE_WRITE: {value!r} is not one of 1, true, 0, false"
    )
    with pytest.raises(ConfigError) as caught:
        remote_cache("memory://cache", print)
    assert expected == str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"), [("1", True), ("true", True), ("0", False), ("false", False), ("", False)]
)
def test_a_flag_is_on_or_off(monkeypatch: pytest.MonkeyPatch, value: str, expected: bool) -> None:
    monkeypatch.setenv("NEURENIX_REMOTE_CACHE_WRITE", value)
    assert expected == flag("NEURENIX_REMOTE_CACHE_WRITE")
