"""Claims about data: orders repeat, threads change nothing, files are read as typed or refused with the place."""

from __future__ import annotations

import gc
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import neurenix
from neurenix import Tensor
from neurenix.data import (
    DataLoader,
    Dataset,
    ImageFolder,
    Subset,
    TensorDataset,
    collate,
    random_split,
    read_csv,
    read_npz,
)
from neurenix.errors import InputError

NUMBERS = np.arange(23)


def order(loader: DataLoader) -> list[int]:
    return [int(i) for (batch,) in loader for i in batch.numpy()]


class Squares(Dataset):
    """Samples one by one, with an error at one of them if asked."""

    def __init__(self, bad: int | None = None) -> None:
        self.bad = bad

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> Any:
        if index == self.bad:
            raise RuntimeError(f"sample {index} is bad")
        return np.full(2, index, np.float32), index * index


# ── loader ──────────────────────────────────────────────────────────────────────────────────────────────


def test_batches_hold_every_sample_once_and_in_order() -> None:
    loader = DataLoader(TensorDataset(NUMBERS), batch_size=5)
    assert NUMBERS.tolist() == order(loader)
    assert [5, 5, 5, 5, 3] == [len(batch) for (batch,) in loader]
    assert 5 == len(loader)


def test_the_incomplete_batch_can_be_dropped() -> None:
    loader = DataLoader(TensorDataset(NUMBERS), batch_size=5, drop_last=True)
    assert 4 == len(loader) == len(list(loader))


def test_a_seed_decides_the_orders_of_all_epochs() -> None:
    def epochs(seed: int) -> list[list[int]]:
        loader = DataLoader(TensorDataset(NUMBERS), batch_size=4, shuffle=True, generator=seed)
        return [order(loader) for _ in range(3)]

    first = epochs(3)
    assert first == epochs(3)
    assert first != epochs(4)
    assert first[0] != first[1]
    assert all(sorted(one) == NUMBERS.tolist() for one in first)


def test_without_a_generator_manual_seed_decides() -> None:
    loader = DataLoader(TensorDataset(NUMBERS), batch_size=4, shuffle=True)
    found = []
    for _ in range(2):
        neurenix.manual_seed(11)
        found.append([order(loader), order(loader)])
    assert found[0] == found[1]
    assert found[0][0] != found[0][1]


@pytest.mark.parametrize("prefetch", [0, 1, 7])
def test_a_thread_and_a_later_start_change_no_batch(prefetch: int) -> None:
    def noisy(batch: Any, random: np.random.Generator) -> Any:
        return batch[0] + random.normal(size=len(batch[0])), batch[1]

    def loader(ahead: int) -> DataLoader:
        return DataLoader(Squares(), batch_size=3, shuffle=True, transform=lambda b, r: noisy((b[0][:, 0], b[1]), r),
                          prefetch=ahead)  # fmt: skip

    expected = [(x.tolist(), y.tolist()) for x, y in loader(0).batches(seed=5)]
    assert expected == [(x.tolist(), y.tolist()) for x, y in loader(prefetch).batches(seed=5)]
    assert expected[4:] == [(x.tolist(), y.tolist()) for x, y in loader(prefetch).batches(seed=5, start=4)]


def test_a_stored_loader_draws_the_next_orders() -> None:
    loader = DataLoader(TensorDataset(NUMBERS), batch_size=4, shuffle=True, generator=3)
    order(loader)
    other = DataLoader(TensorDataset(NUMBERS), batch_size=4, shuffle=True, generator=99)
    other.load_state_dict(loader.state_dict())
    assert order(loader) == order(other)


def threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "neurenix-prefetch"]


def test_an_error_in_the_thread_is_raised_in_its_place() -> None:
    found = []
    with pytest.raises(RuntimeError, match="sample 13 is bad") as caught:
        for x, _ in DataLoader(Squares(bad=13), batch_size=2, prefetch=3):
            found.append(x.numpy()[0, 0])
    assert [0, 2, 4, 6, 8, 10] == found
    assert any("__getitem__" in str(entry) for entry in caught.traceback)
    assert [] == threads()


@pytest.mark.slow
def test_dropping_an_iterator_ends_its_thread() -> None:
    iterator = iter(DataLoader(Squares(), batch_size=1, prefetch=2))
    next(iterator)
    assert 1 == len(threads())
    del iterator
    gc.collect()
    assert [] == threads()
    for _ in DataLoader(Squares(), batch_size=1, prefetch=2):
        break
    gc.collect()
    assert [] == threads()


def test_a_thread_works_ahead() -> None:
    asked: list[int] = []

    class Watched(Squares):
        def __getitem__(self, index: int) -> Any:
            asked.append(index)
            return super().__getitem__(index)

    iterator = iter(DataLoader(Watched(), batch_size=1, prefetch=3))
    next(iterator)
    deadline = time.monotonic() + 10
    while len(asked) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert [0, 1, 2, 3, 4] == asked  # one is taken, three wait, one is in the thread's hand
    iterator.close()  # type: ignore[attr-defined]


def test_samples_are_stacked_by_kind() -> None:
    batch = collate([{"x": (np.ones(2), 1), "w": 0.5}, {"x": (np.zeros(2), 2), "w": 1.5}])
    assert [[1.0, 1.0], [0.0, 0.0]] == batch["x"][0].tolist()
    assert [1, 2] == batch["x"][1].tolist()
    assert np.float32 == batch["w"].dtype
    assert np.int64 == batch["x"][1].dtype


def test_samples_that_do_not_stack_are_refused() -> None:
    with pytest.raises(InputError, match=r"different shapes, such as \[2\] and \[3\]; pass a collate_fn"):
        collate([np.ones(2), np.ones(3)])
    with pytest.raises(InputError, match="tuples of different lengths"):
        collate([(1, 2), (1,)])
    ragged = DataLoader([np.ones(2), np.ones(3)], batch_size=2, collate_fn=lambda s: np.concatenate(s))
    assert [(5,)] == [batch.shape for batch in ragged]


def test_a_loader_refuses_senseless_sizes() -> None:
    with pytest.raises(InputError, match="batch_size must be at least 1, got 0"):
        DataLoader(Squares(), batch_size=0)
    with pytest.raises(InputError, match="prefetch is a number of batches, got -1"):
        DataLoader(Squares(), prefetch=-1)


# ── sets ────────────────────────────────────────────────────────────────────────────────────────────────


def test_arrays_of_different_lengths_are_no_data_set() -> None:
    with pytest.raises(InputError, match=r"one length, got the shapes \[3\], \[4, 2\]"):
        TensorDataset(np.ones(3), Tensor(np.ones((4, 2))))
    with pytest.raises(InputError, match="no arrays"):
        TensorDataset()


def test_a_subset_is_the_chosen_samples_in_batches_too() -> None:
    part = Subset(TensorDataset(NUMBERS * 10, NUMBERS), [4, 2, 9])
    assert [(40, 4), (20, 2), (90, 9)] == [part[i] for i in range(3)]
    ((x, y),) = DataLoader(Subset(part, [2, 0]), batch_size=2)
    assert ([90, 40], [9, 4]) == (x.tolist(), y.tolist())
    with pytest.raises(InputError, match="index 23 is outside the data set of 23 samples"):
        Subset(TensorDataset(NUMBERS), [23])


@pytest.mark.parametrize(("lengths", "sizes"), [([20, 3], [20, 3]), ([0.5, 0.3, 0.2], [12, 7, 4]), ([1.0], [23])])
def test_a_split_has_every_sample_once(lengths: list[float], sizes: list[int]) -> None:
    parts = random_split(TensorDataset(NUMBERS), lengths, generator=1)
    assert sizes == [len(p) for p in parts]
    assert NUMBERS.tolist() == sorted(i for p in parts for i in p.indices.tolist())
    again = random_split(TensorDataset(NUMBERS), lengths, generator=1)
    assert [p.indices.tolist() for p in parts] == [p.indices.tolist() for p in again]


def test_a_split_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match=r"\[20, 4\] have the sum 24; the data set has 23"):
        random_split(NUMBERS, [20, 4])
    with pytest.raises(InputError, match="fractions with the sum 1"):
        random_split(NUMBERS, [0.5, 0.6])
    with pytest.raises(InputError, match="negative"):
        random_split(NUMBERS, [24, -1])


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────


def test_npz_arrays_are_read_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.ones((4, 2), np.float32), y=np.arange(4))
    x, y = read_npz(tmp_path / "d.npz", "x", "y").arrays
    assert ((4, 2), [0, 1, 2, 3]) == (x.shape, y.tolist())
    assert 2 == len(read_npz(tmp_path / "d.npz").arrays)
    with pytest.raises(InputError, match=r"d\.npz has no array 'z'; it has x, y"):
        read_npz(tmp_path / "d.npz", "z")
    with pytest.raises(InputError, match="there is no file"):
        read_npz(tmp_path / "e.npz")


def test_npz_never_unpickles(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match="cannot read arrays"):
        read_npz(tmp_path / "d.npz")


@pytest.mark.parametrize("damage", ["cut", "text"])
def test_a_damaged_npz_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "d.npz"
    np.savez(path, x=np.ones(100))
    path.write_bytes(path.read_bytes()[:300] if damage == "cut" else b"no archive")
    with pytest.raises(InputError, match="cannot read arrays"):
        read_npz(path, "x")


IRIS = "sepal,species,petal\n5.1,setosa,1.4\n7.0,versicolor,4.7\n6.3,setosa,2.5\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_columns_are_numbers_or_categories(tmp_path: Path) -> None:
    table = read_csv(write(tmp_path / "t.csv", IRIS))
    assert ["sepal", "species", "petal"] == list(table.columns)
    assert [0, 1, 0] == table.columns["species"].tolist()
    assert {"species": ("setosa", "versicolor")} == table.categories
    assert (np.float32, np.int64) == (table.columns["sepal"].dtype, table.columns["species"].dtype)
    features, target = table.dataset("species").arrays
    np.testing.assert_allclose([[5.1, 1.4], [7.0, 4.7], [6.3, 2.5]], features, rtol=1e-6)
    assert [0, 1, 0] == target.tolist()
    features, target = table.dataset("petal").arrays
    np.testing.assert_allclose([[5.1, 1, 0], [7.0, 0, 1], [6.3, 1, 0]], features, rtol=1e-6)
    assert (3, 1) == target.shape
    with pytest.raises(InputError, match="there is no column 'leaf'; the columns are sepal, species, petal"):
        table.dataset("leaf")


def test_csv_keeps_the_categories_of_another_table(tmp_path: Path) -> None:
    first = read_csv(write(tmp_path / "t.csv", IRIS))
    second = read_csv(write(tmp_path / "u.csv", "sepal,species,petal\n1,versicolor,2\n"), categories=first.categories)
    assert [1] == second.columns["species"].tolist()
    with pytest.raises(InputError, match=r"v\.csv, line 3: column 'species' holds 'virginica', which is not among"):
        read_csv(write(tmp_path / "v.csv", "species\nsetosa\nvirginica\n"), categories=first.categories)


def test_csv_types_can_be_told(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "zip;n\n01234;1\n99999;x\n")
    table = read_csv(path, types={"zip": "category"}, delimiter=";")
    assert {"zip": ("01234", "99999"), "n": ("1", "x")} == table.categories
    with pytest.raises(InputError, match=r"t\.csv, line 3: column 'n' holds 'x', which is no number"):
        read_csv(path, types={"n": "number"}, delimiter=";")
    with pytest.raises(InputError, match="has no column 'm'"):
        read_csv(path, types={"m": "number"}, delimiter=";")


def test_csv_with_a_word_among_numbers_is_a_slip(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "a\n1\n2\n1e999\n")
    with pytest.raises(InputError, match=r"line 4: column 'a' has '1e999' among 2 numbers -- correct it, or give the"):
        read_csv(path)
    assert {"a": ("1", "1e999", "2")} == read_csv(path, types={"a": "category"}).categories
    assert {"a": ("1", "x", "y")} == read_csv(write(tmp_path / "u.csv", "a\n1\nx\ny\n")).categories


def test_csv_without_a_header_is_given_one(tmp_path: Path) -> None:
    table = read_csv(write(tmp_path / "t.csv", '\ufeff1,"a, b"\n2,c\n\n'), header=["n", "w"])
    assert [1.0, 2.0] == table.columns["n"].tolist()
    assert {"w": ("a, b", "c")} == table.categories


@pytest.mark.parametrize("text", ["", "nan", "NA", " ", "?", "null"])
def test_csv_refuses_a_missing_value_and_says_where(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"t\.csv, line 3: column 'b' has no value"):
        read_csv(write(tmp_path / "t.csv", f"a,b\n1,2\n3,{text}\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3\n", r"line 3: 1 values instead of 2 values, as there are columns"),
        ("a,a\n1,2\n", "'a' is empty or used twice"),
        ("a,\n1,2\n", "'' is empty or used twice"),
        ("a,b\n", "no rows below its header"),
        ("", "no rows below its header"),
        ('a\n"1\n', "as CSV"),
        ("a\n1e99\n2\n", "number"),
    ],
)
def test_csv_refuses_what_is_no_table(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "t.csv", text)
    with pytest.raises(InputError, match=message):
        read_csv(path, types={"a": "number"} if "1e99" in text else None)


def test_csv_of_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("a\nü\n".encode("latin-1"))
    with pytest.raises(InputError, match="as CSV"):
        read_csv(tmp_path / "t.csv")
    with pytest.raises(InputError, match="there is no file"):
        read_csv(tmp_path / "no.csv")


def images(root: Path) -> Path:
    for name, colour in (("zebra", (255, 0, 0)), ("ape", (0, 255, 0))):
        (root / name).mkdir()
        for i in range(2):
            Image.new("RGB", (4 + i, 3), colour).save(root / name / f"{i}.png")
    (root / "ape" / "notes.txt").write_text("no image", encoding="utf-8")
    return root


def test_image_folders_are_classes_in_order(tmp_path: Path) -> None:
    folder = ImageFolder(images(tmp_path), size=(3, 4))
    assert ("ape", "zebra") == folder.classes
    assert [0, 0, 1, 1] == [int(folder[i][1]) for i in range(4)]
    image, _ = folder[0]
    assert (3, 3, 4) == image.shape
    assert np.float32 == image.dtype
    assert [0.0, 1.0, 0.0] == image[:, 1, 1].tolist()
    ((batch, labels),) = DataLoader(folder, batch_size=4, prefetch=1)
    assert ((4, 3, 3, 4), [0, 0, 1, 1]) == (batch.shape, labels.tolist())


def test_images_keep_their_size_and_can_be_grey(tmp_path: Path) -> None:
    folder = ImageFolder(images(tmp_path), mode="L", transform=lambda a: a * 2)
    assert [(1, 3, 4), (1, 3, 5)] == [folder[i][0].shape for i in range(2)]
    np.testing.assert_allclose(2 * 76 / 255, folder[2][0].max(), rtol=1e-6)  # Rec. 601: 0.299 of red


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    images(tmp_path)
    path = tmp_path / "ape" / "1.png"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match=r"cannot read the image .*ape.1\.png"):
        ImageFolder(tmp_path)[1]


def test_a_huge_image_is_refused_before_it_is_unfolded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(InputError, match="cannot read the image"):
        ImageFolder(tmp_path)[0]


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no class folders"):
        ImageFolder(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(InputError, match="no image in the class folder 'cat'"):
        ImageFolder(tmp_path)
    with pytest.raises(InputError, match="there is no folder"):
        ImageFolder(tmp_path / "dog")
