"""Says where the documentation explains an error: a section for each code."""

from __future__ import annotations

import importlib.metadata
from functools import lru_cache

from neurenix.errors import BuildError, NeurenixError

_PAGE = "errors"


def explained_at(error: BaseException) -> str:
    """Return where to read about an error; of a build of several models, where to read about each reason."""
    failures = error.failures.values() if isinstance(error, BuildError) else (error,)
    codes = dict.fromkeys(each.code if isinstance(each, NeurenixError) else NeurenixError.code for each in failures)
    return " ".join(f"{_page()}#{code}" for code in codes)


@lru_cache(maxsize=1)
def _page() -> str:
    """Return the page of the documentation that the project's metadata names, or else its file in the sources."""
    try:
        urls = importlib.metadata.metadata("hatch-neurenix").get_all("Project-URL") or []
    except importlib.metadata.PackageNotFoundError:
        urls = []
    for url in urls:
        label, _, base = url.partition(", ")
        if label.lower() == "documentation":
            return f"{base.rstrip('/')}/{_PAGE}.html"
    return f"docs/{_PAGE}.md"
