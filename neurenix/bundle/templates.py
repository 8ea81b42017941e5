"""Renders the templates that carry a model's data; escaping is on everywhere and a missing variable is an error."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jinja2
from jinja2.utils import htmlsafe_json_dumps

from neurenix.resources import resource


def render(template: str, variables: Mapping[str, Any]) -> bytes:
    """Render a file of templates/ as UTF-8."""
    return _environment().get_template(template).render(variables).encode()


def as_script(value: Any) -> str:
    """Return a value as JSON that is safe inside of a script, whatever texts it holds."""
    return str(htmlsafe_json_dumps(value))


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    # autoescape=True and not select_autoescape: the latter is off for names such as index.html.jinja.
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(resource("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
