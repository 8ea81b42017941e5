"""Reads arrays from NumPy's .npz files; nothing is ever unpickled."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

from neurenix.data.dataset import TensorDataset
from neurenix.errors import InputError


def read_npz(path: str | os.PathLike[str], *names: str) -> TensorDataset:
    """Return the arrays of these names, or all in the file's order, as a data set.

    Raises InputError when the file is missing, damaged or holds pickled objects, or has no array of a name.
    """
    file_path = Path(path)
    try:
        with file_path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise InputError(f"{file_path} is a .npy file with one array, not a .npz")
            for name in names:
                if name not in file.files:
                    raise InputError(f"{file_path} has no array '{name}'; it has {', '.join(file.files)}")
            return TensorDataset(*(file[name] for name in names or file.files))
    except FileNotFoundError as error:
        raise InputError(f"there is no file {file_path}") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"cannot read arrays from {file_path}: {error}") from error
