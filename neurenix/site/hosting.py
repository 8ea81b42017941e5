"""What each kind of host is told: the headers that a site runs under, in the host's own file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Literal

from neurenix.server import ISOLATION_HEADERS, SITE_HEADERS

Headers = Literal["netlify", "vercel", "service-worker", "none"]

HEADERS: Mapping[str, str] = {**SITE_HEADERS, **ISOLATION_HEADERS, "X-Content-Type-Options": "nosniff"}


def host_files(headers: Headers) -> dict[str, str]:
    """Return the files that carry the headers, by name: none where the service worker adds them, or nobody does."""
    return {name: write(HEADERS) for name, write in _WRITERS.get(headers, {}).items()}


def _netlify(headers: Mapping[str, str]) -> str:
    """Write `_headers`, which Netlify and Cloudflare Pages read."""
    return "/*\n" + "".join(f"  {name}: {value}\n" for name, value in headers.items())


def _vercel(headers: Mapping[str, str]) -> str:
    entries = [{"key": name, "value": value} for name, value in headers.items()]
    return json.dumps({"headers": [{"source": "/(.*)", "headers": entries}]}, indent=1) + "\n"


_WRITERS: Mapping[str, Mapping[str, Callable[[Mapping[str, str]], str]]] = {
    "netlify": {"_headers": _netlify},
    "vercel": {"vercel.json": _vercel},
}
