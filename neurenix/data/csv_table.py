"""Reads a CSV file as typed columns: numbers, and categories with the map from code to word kept."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurenix.data.dataset import Array, TensorDataset
from neurenix.errors import InputError

_LARGEST = float(np.finfo(np.float32).max)
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})


@dataclass(frozen=True)
class Table:
    """Columns by name, in the file's order: numbers as float32, categories as int64 codes into `categories[name]`."""

    columns: Mapping[str, Array]
    categories: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def features(self, names: Sequence[str]) -> Array:
        """Return float32 `(rows, features)`: a number is one feature, a category one per word, 1 where it is that."""
        parts = []
        for name in names:
            column = self._column(name)
            words = self.categories.get(name)
            one_hot = column[:, None] == np.arange(len(words)) if words is not None else column[:, None]
            parts.append(one_hot.astype(np.float32))
        return np.concatenate(parts, axis=1) if parts else np.empty((len(self), 0), np.float32)

    def dataset(self, target: str, inputs: Sequence[str] | None = None) -> TensorDataset:
        """Return (features, target): codes (N,) of a category, numbers (N, 1); inputs are all other columns."""
        wanted = self._column(target)
        names = [n for n in self.columns if n != target] if inputs is None else list(inputs)
        return TensorDataset(self.features(names), wanted if target in self.categories else wanted[:, None])

    def _column(self, name: str) -> Array:
        if name not in self.columns:
            raise InputError(f"there is no column '{name}'; the columns are {', '.join(self.columns)}")
        return self.columns[name]


def read_csv(
    path: str | os.PathLike[str],
    *,
    header: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    categories: Mapping[str, Sequence[str]] | None = None,
    ignore: Collection[str] = (),
    delimiter: str = ",",
) -> Table:
    """Read a CSV file in UTF-8.

    The first line names the columns unless `header` does. A column whose every value is a number holds numbers,
    one of words categories, in alphabetic order; `types` says "number" or "category" where that guess is wrong, and
    must where most values are numbers and some are not.
    `categories` gives the words and their order, such as those of the table that the model was trained on. Columns
    to `ignore` are left out, whatever they hold.
    Raises InputError, with the line and the column, for a missing value, a word that is no number, an unknown
    category or a line of the wrong length.
    """
    source = Path(path)
    names, lines, rows = _rows(source, header, delimiter)
    types, categories = types or {}, categories or {}
    for name in (*types, *categories, *ignore):
        if name not in names:
            raise InputError(f"{source} has no column '{name}'; its columns are {', '.join(names)}")
    columns: dict[str, Array] = {}
    words: dict[str, tuple[str, ...]] = {}
    for i, name in enumerate(names):
        if name in ignore:
            continue
        values = [row[i] for row in rows]
        kind = types.get(name, "category" if name in categories else None)
        if kind not in (None, "number", "category"):
            raise InputError(f"the type of column '{name}' is 'number' or 'category', got {kind!r}")
        known = tuple(categories[name]) if name in categories else None
        for line, value in zip(lines, values):
            if value.lower() in _MISSING and value not in (known or ()):
                raise InputError(f"{source}, line {line}: column '{name}' has no value ({value!r})")
        if kind == "number" or (kind is None and known is None and _are_numbers(values, lines, name, source)):
            columns[name] = _numbers(values, lines, name, source)
        else:
            words[name] = known if known is not None else tuple(sorted(set(values)))
            columns[name] = _codes(values, words[name], lines, name, source)
    return Table(columns, words)


def _rows(path: Path, header: Sequence[str] | None, delimiter: str) -> tuple[list[str], list[int], list[list[str]]]:
    lines, rows = [], []
    names = None if header is None else [str(name) for name in header]
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            for row in reader:
                if not row or row == [""]:
                    continue  # an empty line, such as the last
                stripped = [value.strip() for value in row]
                if names is None:
                    names = stripped
                    continue
                if len(stripped) != len(names):
                    wanted = f"{len(names)} values, as there are columns"
                    raise InputError(f"{path}, line {reader.line_num}: {len(stripped)} values instead of {wanted}")
                lines.append(reader.line_num)
                rows.append(stripped)
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read {path} as CSV: {error} -- save it as UTF-8") from error
    except (OSError, csv.Error) as error:
        raise InputError(f"cannot read {path} as CSV: {error}") from error
    if not names or not rows:
        raise InputError(f"{path} has no rows below its header")
    twice = sorted({name for name in names if names.count(name) > 1} | ({""} & set(names)))
    if twice:
        raise InputError(f"{path}: each column needs a name of its own; {twice[0]!r} is empty or used twice")
    return names, lines, rows


def _are_numbers(values: Sequence[str], lines: Sequence[int], name: str, path: Path) -> bool:
    """Guess the type of a column. Raises InputError for one of numbers with a few words among them: a slip."""
    words = [(line, text) for line, text in zip(lines, values) if _number(text) is None]
    if words and 2 * len(words) < len(values):
        line, text = words[0]
        count = len(values) - len(words)
        raise InputError(
            f"{path}, line {line}: column '{name}' has {text!r} among {count} numbers -- correct it, or give the "
            "column the type 'category'"
        )
    return not words


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    # float32 must hold it, and Python's 1_000 is nobody's number in a file.
    return value if math.isfinite(value) and abs(value) <= _LARGEST and "_" not in text else None


def _numbers(values: Sequence[str], lines: Sequence[int], name: str, path: Path) -> Array:
    found: list[Any] = []
    for line, text in zip(lines, values):
        value = _number(text)
        if value is None:
            raise InputError(f"{path}, line {line}: column '{name}' holds {text!r}, which is no number of float32")
        found.append(value)
    return np.array(found, dtype=np.float32)


def _codes(values: Sequence[str], words: Sequence[str], lines: Sequence[int], name: str, path: Path) -> Array:
    code = {word: i for i, word in enumerate(words)}
    for line, text in zip(lines, values):
        if text not in code:
            raise InputError(f"{path}, line {line}: column '{name}' holds {text!r}, which is not among its categories")
    return np.array([code[text] for text in values], dtype=np.int64)
