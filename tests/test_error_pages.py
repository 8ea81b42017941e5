"""Claims about the page that explains errors: it has a section for each code, and messages lead there."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest

from neurenix import error_pages
from neurenix.error_pages import explained_at
from neurenix.errors import BuildError, ConfigError, NeurenixError, TrainingError

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    error_pages._page.cache_clear()
    yield
    error_pages._page.cache_clear()


def published(monkeypatch: pytest.MonkeyPatch, *urls: str) -> None:
    metadata = Message()
    for url in urls:
        metadata["Project-URL"] = url
    monkeypatch.setattr(importlib.metadata, "metadata", lambda name: metadata)


def test_without_a_published_page_it_is_the_file_of_the_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    published(monkeypatch)
    place = explained_at(ConfigError(["x"]))
    assert "docs/errors.md#bad_config" == place
    file, _, anchor = place.partition("#")
    assert anchor in re.findall(r"^## (\w+)$", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)


def test_the_documentation_of_the_metadata_is_the_base(monkeypatch: pytest.MonkeyPatch) -> None:
    published(monkeypatch, "Source, https://code.example", "Documentation, https://docs.example/neurenix/")
    assert "https://docs.example/neurenix/errors.html#training_failed" == explained_at(TrainingError("x"))


def test_a_build_of_several_models_leads_to_each_reason_once(monkeypatch: pytest.MonkeyPatch) -> None:
    published(monkeypatch)
    failures = {"a": TrainingError("x"), "b": TrainingError("y"), "c": ConfigError(["z"]), "d": ValueError("w")}
    codes = ("training_failed", "bad_config", NeurenixError.code)
    assert " ".join(f"docs/errors.md#{code}" for code in codes) == explained_at(BuildError(failures, 4))
