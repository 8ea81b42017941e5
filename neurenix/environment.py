"""The environment variables that Neurenix reads, and what is said of those that it does not know."""

from __future__ import annotations

import os
from collections.abc import Mapping

from neurenix.errors import ConfigError

PREFIX = "NEURENIX_"

# What each means: the way to look for a variable that is misspelt, and the only list of them.
VARIABLES: Mapping[str, str] = {
    "NEURENIX_CACHE_DIR": "the folder of the build cache",
    "NEURENIX_DASK_SCHEDULER": "the address of the cluster that builds several models",
    "NEURENIX_DEVICE": "what a model runs on where nobody says it",
    "NEURENIX_PROFILE": "the profile of [tool.neurenix.profiles] to lay over the configuration",
    "NEURENIX_REMOTE_CACHE": "the URL of a build cache for several machines",
    "NEURENIX_REMOTE_CACHE_WRITE": "1 to put new results into that cache",
    "NEURENIX_TARGET": "the native targets, in place of those of the configuration",
    "NEURENIX_ZIG": "the zig to compile with",
}

_FLAGS = {"": False, "0": False, "false": False, "1": True, "true": True}


def flag(name: str) -> bool:
    """Return whether a variable is on. Raises ConfigError for a value that is neither on nor off."""
    value = os.environ.get(name, "")
    if value not in _FLAGS:
        raise ConfigError([f"{name}: {value!r} is not one of 1, true, 0, false"], "the environment")
    return _FLAGS[value]


def misspelt() -> tuple[str, ...]:
    """Return a warning for each variable that is set, means nothing, and is nearly the name of one that does."""
    unknown = [name for name in os.environ if name.startswith(PREFIX) and name not in VARIABLES]
    if not unknown:
        return ()
    import difflib  # seldom needed, and slow to import

    near = ((name, difflib.get_close_matches(name, VARIABLES, 1, 0.85)) for name in sorted(unknown))
    return tuple(
        f"{name} is set and means nothing -- did you mean {found[0]}, {VARIABLES[found[0]]}?"
        for name, found in near
        if found
    )
