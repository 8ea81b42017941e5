"""A build cache that several machines share, at any URL that fsspec knows: one trains, the others download.

    URL/v1/KEY.zip      one entry: its manifest and its files

It helps and never hinders: a remote that cannot be reached, or whose entry is not what its manifest says, is a
warning, and the build goes on as if there were none. After the first failure it is left alone, so that a
build waits for it once. Who can write to it decides what everybody ships: that is for CI alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from neurenix.environment import flag

URL_VARIABLE = "NEURENIX_REMOTE_CACHE"
WRITE_VARIABLE = "NEURENIX_REMOTE_CACHE_WRITE"

# A user and a password in a URL, which no log should have.
_SECRET = re.compile(r"(?<=://)[^/@]*@")

# URLs that have failed in this process.
_failed: set[str] = set()


def remote_cache(url: str | None, say: Callable[[str], None]) -> RemoteCache | None:
    """Return the remote cache at the URL of the environment or else at `url`; `say` gets its warnings."""
    chosen = os.environ.get(URL_VARIABLE, url)
    return RemoteCache(chosen, flag(WRITE_VARIABLE), say) if chosen else None


class RemoteCache:
    """The cache at one URL."""

    def __init__(self, url: str, writes: bool, say: Callable[[str], None]) -> None:
        self._url, self._writes, self._say = url.rstrip("/"), writes, say
        self._refused: set[str] = set()

    @property
    def writes(self) -> bool:
        """Tell whether new entries are uploaded."""
        return self._writes

    def fetch(self, key: str, archive: Path) -> bool:
        """Download an entry's archive, if the remote has it and can be reached."""

        def download(files: Any, place: str) -> bool:
            try:
                files.get_file(place, str(archive))
            except FileNotFoundError:
                return False
            return archive.is_file()

        return self._reach("asked", key, download)

    def store(self, key: str, archive: Path) -> None:
        """Upload an entry's archive. A good one that is there already stays: it was made from the same."""

        def upload(files: Any, place: str) -> bool:
            if key in self._refused or not files.exists(place):
                files.makedirs(place.rpartition("/")[0], exist_ok=True)
                files.put_file(str(archive), place)
            return True

        self._reach("written", key, upload)

    def refuse(self, key: str, reason: str) -> None:
        """Say that what was downloaded cannot be used; the next upload replaces it."""
        self._refused.add(key)
        self._say(f"warning: {key[:12]}.zip of the remote cache {self._shown} is not used: {reason}")

    @property
    def _shown(self) -> str:
        return _SECRET.sub("", self._url)

    def _reach(self, what: str, key: str, do: Callable[[Any, str], bool]) -> bool:
        if self._url in _failed:
            return False
        try:
            files, root = _file_system(self._url)
            return do(files, f"{root}/v1/{key}.zip")
        except Exception as error:  # noqa: BLE001 - each of fsspec's many file systems raises its own
            _failed.add(self._url)
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            self._say(f"warning: the remote cache {self._shown} cannot be {what} ({reason}); building without it")
            return False


@lru_cache(maxsize=4)
def _file_system(url: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ModuleNotFoundError:
        raise ImportError(
            "it needs the package 'fsspec': add 'hatch-neurenix[remote]' to the build's 'requires'"
        ) from None
    files, root = fsspec.core.url_to_fs(url)
    return files, str(root).rstrip("/")
