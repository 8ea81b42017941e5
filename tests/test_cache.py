"""Claims about the build cache: whole entries only, whatever is killed, damaged or run at the same time."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from neurenix.cache import Cache, cache_directory, cache_key
from neurenix.errors import CacheError
from neurenix.file_lock import locked, locked_if_free

KEY = cache_key({"stage": "test"})


def write_two(files: Path) -> None:
    (files / "a.bin").write_bytes(b"abc" * 1000)
    (files / "below").mkdir()
    (files / "below" / "b.txt").write_text("b", encoding="utf-8")


def never(files: Path) -> None:
    raise AssertionError("the entry is there: nothing may be made")


def test_the_key_does_not_depend_on_the_order_of_a_table() -> None:
    assert cache_key({"a": 1, "b": [1, 2]}) == cache_key({"b": [1, 2], "a": 1})


@pytest.mark.parametrize("other", [{"a": 2}, {"a": "1"}, {"a": 1, "b": None}, {"a": [1]}, {"a": 1.5}, {}])
def test_another_content_has_another_key(other: dict[str, object]) -> None:
    assert cache_key({"a": 1}) != cache_key(other)


def test_what_was_put_is_got(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert cache.get(KEY) is None
    folder = cache.put(KEY, write_two)
    assert folder == cache.get(KEY)
    assert b"abc" * 1000 == (folder / "a.bin").read_bytes()
    assert folder == cache.put(KEY, never)


def test_a_moved_cache_still_has_its_entries(tmp_path: Path) -> None:
    Cache(tmp_path / "old").put(KEY, write_two)
    (tmp_path / "old").rename(tmp_path / "new")
    assert Cache(tmp_path / "new").get(KEY) is not None


def test_a_writer_that_raises_leaves_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path)

    def fail(files: Path) -> None:
        write_two(files)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cache.put(KEY, fail)
    assert cache.get(KEY) is None
    assert [] == list((cache.directory / "making").iterdir())
    cache.put(KEY, write_two)


def flip(entry: Path) -> None:
    data = bytearray((entry / "a.bin").read_bytes())
    data[1500] ^= 1
    (entry / "a.bin").write_bytes(data)


def truncate(entry: Path) -> None:
    os.truncate(entry / "a.bin", 10)


def remove_one(entry: Path) -> None:
    (entry / "below" / "b.txt").unlink()


def add_one(entry: Path) -> None:
    (entry / "c").write_bytes(b"")


def remove_manifest(entry: Path) -> None:
    (entry.parent / "manifest.json").unlink()


def garble_manifest(entry: Path) -> None:
    (entry.parent / "manifest.json").write_bytes(b'[{"x')


def null_manifest(entry: Path) -> None:
    (entry.parent / "manifest.json").write_bytes(b"null")


def replace_by_link(entry: Path) -> None:
    (entry / "a.bin").rename(entry.parent / "elsewhere")
    (entry / "a.bin").symlink_to(entry.parent / "elsewhere")


def replace_entry_by_file(entry: Path) -> None:
    shutil.rmtree(entry.parent)
    entry.parent.write_bytes(b"")


@pytest.mark.parametrize(
    "damage",
    [
        flip,
        truncate,
        remove_one,
        add_one,
        remove_manifest,
        garble_manifest,
        null_manifest,
        replace_by_link,
        replace_entry_by_file,
    ],
)
def test_a_damaged_entry_is_no_hit_and_is_made_again(tmp_path: Path, damage) -> None:
    cache = Cache(tmp_path)
    damage(cache.put(KEY, write_two))
    assert cache.get(KEY) is None
    folder = cache.put(KEY, write_two)
    assert b"abc" * 1000 == (folder / "a.bin").read_bytes()
    assert folder == cache.get(KEY)


def slow_writer(files: Path) -> None:
    time.sleep(0.1)
    (files / str(os.getpid())).write_text("x", encoding="utf-8")


def put_and_list(directory: Path) -> list[str]:
    return [path.name for path in Cache(directory).put(KEY, slow_writer).iterdir()]


def test_of_racing_processes_one_writes_and_all_get_its_entry(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        results = pool.map(put_and_list, [tmp_path] * 8, chunksize=1)
    assert 1 == len(results[0])
    assert [results[0]] * 8 == results


def test_waiting_for_another_process_is_announced(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    waited = []
    (cache.directory / "locks").mkdir(parents=True)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pending = pool.apply_async(put_and_list, [tmp_path])
        lock = cache.directory / "locks" / f"{KEY}.lock"
        for _ in range(200):
            with locked_if_free(lock) as free:
                if not free:
                    break
            time.sleep(0.02)
        cache.put(KEY, slow_writer, lambda: waited.append(True))
        pending.get(30)
    assert [True] == waited


KILLED = """
import sys, time
from pathlib import Path
from neurenix.cache import Cache

def write(files):
    (files / "half").write_bytes(b"x")
    print("writing", flush=True)
    time.sleep(60)

Cache(Path(sys.argv[1])).put(sys.argv[2], write)
"""


def killed_writer(directory: Path) -> None:
    repository = Path(__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    command = [sys.executable, "-c", KILLED, str(directory), KEY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert b"writing" == process.stdout.readline().strip()
        process.send_signal(signal.SIGKILL)


def test_a_killed_writer_leaves_no_entry_and_no_lock(tmp_path: Path) -> None:
    killed_writer(tmp_path)
    cache = Cache(tmp_path)
    assert cache.get(KEY) is None
    folder = cache.put(KEY, write_two)
    assert ["a.bin", "below"] == sorted(path.name for path in folder.iterdir())


def test_what_a_killed_writer_left_is_swept(tmp_path: Path) -> None:
    killed_writer(tmp_path)
    making = tmp_path / "v1" / "making"
    assert 1 == len(list(making.iterdir()))
    Cache(tmp_path).sweep()
    assert [] == list(making.iterdir())


def test_what_a_living_writer_makes_is_not_swept(tmp_path: Path) -> None:
    cache = Cache(tmp_path)

    def write(files: Path) -> None:
        write_two(files)
        Cache(tmp_path).sweep()

    assert (cache.put(KEY, write) / "a.bin").is_file()


def test_a_lock_excludes_threads_of_the_same_process(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"), locked_if_free(tmp_path / "lock") as free:
        assert not free
    with locked_if_free(tmp_path / "lock") as free:
        assert free


def test_a_cache_that_is_a_file_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CacheError, match="set NEURENIX_CACHE_DIR to a folder that can be written"):
        Cache(tmp_path / "file").put(KEY, write_two)


def test_a_full_disk_is_explained(tmp_path: Path) -> None:
    def full(files: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(CacheError, match="No space left on device"):
        Cache(tmp_path).put(KEY, full)


def test_another_failure_of_a_writer_is_not_blamed_on_the_cache(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        Cache(tmp_path).put(KEY, lambda files: subprocess.run(["no-such-program"], check=True) and None)


def test_the_folder_is_chosen_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURENIX_CACHE_DIR", str(tmp_path / "c"))
    assert tmp_path / "c" == cache_directory()


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the XDG folders are Linux's")
def test_the_folder_is_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEURENIX_CACHE_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert tmp_path / ".cache" / "hatch-neurenix" == cache_directory()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert tmp_path / "xdg" / "hatch-neurenix" == cache_directory()
