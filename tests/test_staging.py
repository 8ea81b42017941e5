"""Claims about replacing a folder: whole or not at all, and never somebody else's."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from neurenix.errors import CacheError, ConfigError, OutputError
from neurenix.project.staging import MARKER, is_ours, remove_ours, replacing


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEURENIX_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "dist" / "site"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(folder: Path, name: str) -> None:
    with replacing(folder) as staged:
        (staged / name).write_text(name, encoding="utf-8")


def test_the_new_content_takes_the_place_of_the_old(folder: Path) -> None:
    write(folder, "a")
    write(folder, "b")
    assert [MARKER, "b"] == names(folder)
    assert ["site"] == names(folder.parent)


def test_a_block_that_raises_changes_nothing(folder: Path) -> None:
    write(folder, "a")
    with pytest.raises(ZeroDivisionError), replacing(folder) as staged:
        (staged / "b").write_bytes(b"")
        raise ZeroDivisionError
    assert [MARKER, "a"] == names(folder)
    assert ["site"] == names(folder.parent)


@pytest.mark.parametrize(
    ("code", "place"),
    [(errno.ENOSPC, None), (errno.ENOSPC, "source"), (errno.EFBIG, None), (errno.EACCES, "dist/site/x")],
)
def test_a_full_disk_is_a_typed_error_and_changes_nothing(
    folder: Path, tmp_path: Path, code: int, place: str | None
) -> None:
    write(folder, "a")
    message = r"site cannot be written \(.*\): make room, or choose another folder"
    with pytest.raises(OutputError, match=message), replacing(folder) as staged:
        (staged / "b").write_bytes(b"")
        raise OSError(code, os.strerror(code), place and str(tmp_path / place))
    assert [MARKER, "a"] == names(folder)
    assert ["site"] == names(folder.parent)


def test_a_source_that_cannot_be_read_is_not_blamed_on_the_folder(folder: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(folder):
        raise FileNotFoundError(errno.ENOENT, "No such file", "/nowhere")


def test_a_cache_that_cannot_be_written_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file")
    with pytest.raises(CacheError, match=r"cannot be used .* -- set NEURENIX_CACHE_DIR to a folder that can be"):
        write(folder, "a")


def test_what_a_killed_process_left_beside_it_is_removed(folder: Path) -> None:
    write(folder, "a")
    (folder.parent / ".site.new-01234567").mkdir()
    write(folder, "b")
    assert ["site"] == names(folder.parent)


def test_a_foreign_folder_file_or_link_is_refused_and_stays(folder: Path, tmp_path: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "precious").write_bytes(b"precious")
    with pytest.raises(ConfigError, match="not made by hatch-neurenix; refusing to replace it"):
        write(folder, "a")
    assert not remove_ours(folder)
    assert ["precious"] == names(folder)
    write(tmp_path / "ours", "a")
    (folder.parent / "link").symlink_to(tmp_path / "ours")
    (folder.parent / "file").write_bytes(b"")
    (folder.parent / "broken").symlink_to(tmp_path / "nowhere")
    for name in ("link", "file", "broken"):
        with pytest.raises(ConfigError, match="refusing to replace it"):
            write(folder.parent / name, "b")
        assert not is_ours(folder.parent / name)
    assert [MARKER, "a"] == names(tmp_path / "ours")


def test_racing_writers_leave_one_whole_folder(folder: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda index: write(folder, str(index)), range(8)))
    assert 2 == len(names(folder))
    assert ["site"] == names(folder.parent)
