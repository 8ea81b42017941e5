"""Profiles and targets: tables that are laid over `[tool.neurenix]` before it is read.

Tables are merged key by key; everything else is replaced, and so are a loss and an optimiser. Every overlay is
checked, also those that this build does not use, and a problem is reported at the place where it was written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

PROFILE_VARIABLE = "NEURENIX_PROFILE"

# What a table of `targets` may be called: what a build can make with models in it.
TARGETS = ("wheel", "editable", "static-site")


Forget = Callable[[tuple[str, ...], str], frozenset[str]]


def lay_over(
    base: Mapping[str, Any], overlay: Mapping[str, Any], forget: Forget, path: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return `base` with the entries of `overlay` over it.

    `forget(path, key)` names the keys of the table at `path` that are dropped when the overlay sets `key`: such as
    'train' where it says 'load', or the key itself where its old value is to be replaced as a whole.
    """
    gone = {other for key in overlay for other in forget(path, key)}
    merged = {key: value for key, value in base.items() if key not in gone}
    for key, value in overlay.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = lay_over(below, value, forget, (*path, key))
        else:
            merged[key] = value
    return merged


def written_in(overlay: Mapping[str, Any], below: str = "") -> Iterator[str]:
    """Yield the dotted path of every entry that an overlay sets."""
    for key, value in overlay.items():
        path = f"{below}.{key}" if below else key
        if isinstance(value, Mapping) and value:
            yield from written_in(value, path)
        yield path


def relocate(problem: str, root: str, origins: Mapping[str, str]) -> str:
    """Return a problem with the path at which the value at fault was written.

    `origins` maps a dotted path below `root` to the table that it comes from, such as "profiles.ci".
    """
    path, separator, rest = problem.partition(": ")
    inside = path.removeprefix(f"{root}.")
    whole = max((p for p in origins if inside == p or inside.startswith((f"{p}.", f"{p}["))), key=len, default=None)
    return problem if whole is None else f"{root}.{origins[whole]}.{inside}{separator}{rest}"
