"""Claims about what the cache holds: its sizes and ages, what pruning removes, what other machines give it."""

from __future__ import annotations

import json
import os
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest

from neurenix.cache import Cache, cache_key
from neurenix.cache import remote as remote_cache
from neurenix.cache.remote import RemoteCache
from neurenix.file_lock import locked

HOUR = 3600.0


def key(name: str) -> str:
    return cache_key({"name": name})


def put(cache: Cache, name: str, size: int, age: float = 0.0) -> str:
    files = cache.put(key(name), lambda folder: (folder / "data").write_bytes(bytes(size)) and None, label=name)
    used = time.time() - age
    os.utime(files.parent / "manifest.json", (used, used))
    return key(name)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def labels(cache: Cache) -> list[str]:
    return [entry.label for entry in cache.entries()]


def test_an_empty_cache_has_no_entries(cache: Cache) -> None:
    assert () == cache.entries()
    assert () == cache.prune(max_bytes=0)


def test_entries_say_what_they_are_and_when_they_were_used(cache: Cache) -> None:
    put(cache, "old", 1000, 2 * HOUR)
    put(cache, "new", 2000, HOUR)
    new, old = cache.entries()
    assert ("new", "old") == (new.label, old.label)
    assert 2000 <= new.size < 2500
    assert HOUR <= time.time() - new.used < HOUR + 60


def test_a_hit_is_a_use(cache: Cache) -> None:
    put(cache, "old", 10, 2 * HOUR)
    put(cache, "new", 10, HOUR)
    assert cache.get(key("old")) is not None
    assert ["old", "new"] == labels(cache)


def test_what_was_long_not_used_is_pruned(cache: Cache) -> None:
    put(cache, "old", 10, 3 * HOUR)
    put(cache, "new", 10, HOUR)
    assert ["old"] == [entry.label for entry in cache.prune(older_than=2 * HOUR)]
    assert ["new"] == labels(cache)
    assert [] == list((cache.directory / "making").iterdir())


def test_the_oldest_go_until_there_is_room(cache: Cache) -> None:
    for index in range(4):
        put(cache, str(index), 10_000, (index + 1) * HOUR)
    assert ["3", "2"] == [entry.label for entry in cache.prune(max_bytes=25_000)]
    assert ["0", "1"] == labels(cache)


def test_what_was_used_just_now_is_spared(cache: Cache) -> None:
    put(cache, "now", 10)
    assert () == cache.prune(max_bytes=0)
    assert ["now"] == [entry.label for entry in cache.prune(max_bytes=0, spare=0)]


def test_what_is_being_made_is_spared(cache: Cache) -> None:
    put(cache, "busy", 10, HOUR)
    with locked(cache.directory / "locks" / f"{key('busy')}.lock"):
        assert () == cache.prune(max_bytes=0)
    assert ["busy"] == labels(cache)


def test_a_damaged_entry_is_listed_and_pruned(cache: Cache) -> None:
    put(cache, "bad", 10, HOUR)
    manifest = cache.directory / "entries" / key("bad") / "manifest.json"
    manifest.write_bytes(b"[")
    assert [""] == labels(cache)
    assert 1 == len(cache.prune(max_bytes=0, spare=0))


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A remote cache; its URL has failed in no earlier test."""
    remote_cache._failed.clear()
    yield f"file://{tmp_path / 'remote'}" if request.param == "file" else f"memory://{tmp_path.name}"
    fsspec.filesystem("memory").store.clear()


class Machine:
    """A machine with a cache of its own and the remote one behind it."""

    def __init__(self, folder: Path, url: str, writes: bool = False) -> None:
        self.said: list[str] = []
        self.cache = Cache(folder, RemoteCache(url, writes, self.said.append))


def test_one_machine_uploads_and_another_downloads(tmp_path: Path, url: str) -> None:
    ci, laptop = Machine(tmp_path / "ci", url, writes=True), Machine(tmp_path / "laptop", url)
    assert laptop.cache.get(key("model")) is None
    put(ci.cache, "model", 5000)
    files = laptop.cache.get(key("model"))
    assert files is not None
    assert bytes(5000) == (files / "data").read_bytes()
    assert ["model"] == labels(laptop.cache)
    assert [] == ci.said + laptop.said
    for machine in (ci, laptop):
        assert [] == list((machine.cache.directory / "making").iterdir())


def test_who_may_not_write_uploads_nothing(tmp_path: Path, url: str) -> None:
    laptop = Machine(tmp_path / "laptop", url)
    put(laptop.cache, "model", 10)
    assert Machine(tmp_path / "other", url).cache.get(key("model")) is None


def edited(url: str, change: Callable[[Path], None], scratch: Path) -> None:
    """Change the archive that the remote cache at `url` has."""
    files, root = fsspec.core.url_to_fs(url)
    place = f"{root}/v1/{key('model')}.zip"
    files.get_file(place, str(scratch))
    change(scratch)
    files.put_file(str(scratch), place)


def truncated(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-30])


def no_archive(archive: Path) -> None:
    archive.write_bytes(b"<html>404</html>")


def rewritten(archive: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    with zipfile.ZipFile(archive) as packed:
        content = {name: packed.read(name) for name in packed.namelist()}
    change(content)
    with zipfile.ZipFile(archive, "w") as packed:
        for name, data in content.items():
            packed.writestr(name, data)


def other_content(archive: Path) -> None:
    rewritten(archive, lambda content: content.update({"files/data": b"\1" * 10}))


def longer_content(archive: Path) -> None:
    rewritten(archive, lambda content: content.update({"files/data": bytes(11)}))


def no_manifest(archive: Path) -> None:
    rewritten(archive, lambda content: content.pop("manifest.json") and None)


def listed(archive: Path, *names: str) -> None:
    """List files under other names, with the content to match."""

    def change(content: dict[str, bytes]) -> None:
        manifest = json.loads(content["manifest.json"])
        for name in names:
            manifest["files"][name] = manifest["files"]["data"]
            content[f"files/{name}"] = content["files/data"]
        content["manifest.json"] = json.dumps(manifest).encode()

    rewritten(archive, change)


def escaping(archive: Path) -> None:
    listed(archive, "../../escaped")


def absolute(archive: Path) -> None:
    listed(archive, "/tmp/escaped")


def file_and_folder(archive: Path) -> None:
    listed(archive, "data/below")


def a_manifest_of_numbers(archive: Path) -> None:
    rewritten(archive, lambda content: content.update({"manifest.json": b"[1]"}))


@pytest.mark.parametrize(
    "change",
    [truncated, no_archive, other_content, longer_content, no_manifest, escaping, absolute, file_and_folder,
     a_manifest_of_numbers],
)  # fmt: skip
def test_a_download_that_is_not_what_its_manifest_says_is_not_used(
    tmp_path: Path, url: str, change: Callable[[Path], None]
) -> None:
    ci, laptop = Machine(tmp_path / "ci", url, writes=True), Machine(tmp_path / "laptop", url, writes=True)
    put(ci.cache, "model", 10)
    edited(url, change, tmp_path / "scratch.zip")
    assert laptop.cache.get(key("model")) is None
    (said,) = laptop.said
    assert said.startswith(f"warning: {key('model')[:12]}.zip of the remote cache {url} is not used: ")
    assert [] == list((laptop.cache.directory / "making").iterdir())
    assert not (tmp_path / "laptop" / "v1" / "escaped").exists()
    # What is made instead takes its place.
    put(laptop.cache, "model", 10)
    assert Machine(tmp_path / "third", url).cache.get(key("model")) is not None


@pytest.mark.parametrize("url", ["nosuch://bucket/x", "file:///dev/null/x", "https://user:secret@localhost:1/x"])
def test_a_remote_that_fails_is_one_warning_and_no_more_waiting(tmp_path: Path, url: str) -> None:
    remote_cache._failed.clear()
    machine = Machine(tmp_path / "cache", url, writes=True)
    assert machine.cache.get(key("model")) is None
    put(machine.cache, "model", 10)
    assert machine.cache.get(key("other")) is None
    (said,) = machine.said
    assert said.startswith("warning: the remote cache ")
    assert "secret" not in said
    assert machine.cache.get(key("model")) is not None


def test_the_environment_chooses_the_remote(monkeypatch: pytest.MonkeyPatch) -> None:
    def say(line: str) -> None:
        raise AssertionError(line)

    assert remote_cache.remote_cache(None, say) is None
    chosen = remote_cache.remote_cache("memory://config", say)
    assert chosen is not None
    assert not chosen.writes
    monkeypatch.setenv("NEURENIX_REMOTE_CACHE_WRITE", "1")
    monkeypatch.setenv("NEURENIX_REMOTE_CACHE", "")
    assert remote_cache.remote_cache("memory://config", say) is None
    monkeypatch.setenv("NEURENIX_REMOTE_CACHE", "memory://environment")
    chosen = remote_cache.remote_cache("memory://config", say)
    assert chosen is not None
    assert chosen.writes
