"""Holds NumPy's BLAS to one thread, in which the order of its sums, and so every last bit, is fixed."""

from __future__ import annotations

import ctypes
import importlib
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

# (setter, getter) as OpenBLAS spells them: plain, with 64-bit integers, and as NumPy's wheels rename them; then MKL
# and BLIS.
_NAMES = (
    *(
        (f"{prefix}openblas_set_num_threads{suffix}", f"{prefix}openblas_get_num_threads{suffix}")
        for prefix in ("scipy_", "")
        for suffix in ("64_", "", "_64")
    ),
    ("MKL_Set_Num_Threads", "MKL_Get_Max_Threads"),
    ("bli_thread_set_num_threads", "bli_thread_get_num_threads"),
)
_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True)
class BlasThreads:
    """The BLAS's own functions for its number of threads."""

    get: Callable[[], int]
    set: Callable[[int], None]


@contextmanager
def one_blas_thread() -> Iterator[bool]:
    """Let NumPy's matrix products run in one thread inside, and tell whether that is certain.

    The setting belongs to the process: other threads' products slow down too. Warns where the BLAS is not known.
    """
    if blas_threads() is not None:
        with held_blas():
            yield True
        return
    try:
        limits = importlib.import_module("threadpoolctl").threadpool_limits
    except ModuleNotFoundError:
        certain = any(os.environ.get(name) == "1" for name in _VARIABLES)
        if not certain:
            warnings.warn(
                "NumPy's BLAS offers no way to hold it to one thread, so the same seed may give other last bits: set "
                "OMP_NUM_THREADS=1 and VECLIB_MAXIMUM_THREADS=1 before Python starts, or install threadpoolctl",
                stacklevel=4,
            )
        yield certain
        return
    with limits(limits=1, user_api="blas"):
        yield True


class held_blas:
    """Hold a BLAS that is known to one thread inside, and do nothing about any other; may be nested and shared.

    A class and no generator, since operations enter it all the time.
    """

    _lock = threading.Lock()
    _holders = 0
    _before = 1

    def __enter__(self) -> None:
        control = blas_threads()
        if control is not None:
            with self._lock:
                if not held_blas._holders:
                    held_blas._before = control.get()
                    if held_blas._before != 1:
                        control.set(1)
                held_blas._holders += 1

    def __exit__(self, *_: object) -> None:
        control = blas_threads()
        if control is not None:
            with self._lock:
                held_blas._holders -= 1
                if not held_blas._holders and held_blas._before != 1:
                    control.set(held_blas._before)


@lru_cache(maxsize=1)
def blas_threads() -> BlasThreads | None:
    """Return the functions of the BLAS that NumPy has loaded, or None where it is none that is known."""
    for path in _libraries():
        try:
            library = ctypes.CDLL(str(path))
        except OSError:
            continue  # not loadable alone: it is not the one in use
        for setter, getter in _NAMES:
            try:
                set_threads, get_threads = getattr(library, setter), getattr(library, getter)
            except AttributeError:
                continue
            set_threads.argtypes, set_threads.restype = [ctypes.c_int], None
            get_threads.argtypes, get_threads.restype = [], ctypes.c_int
            return BlasThreads(get_threads, set_threads)
    return None


def _libraries() -> Iterator[Path]:
    # NumPy's own extension module first: a look-up there goes through all that it is linked to, except on Windows.
    for name in ("numpy._core._multiarray_umath", "numpy.core._multiarray_umath"):
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError:
            continue
        if module.__file__:
            yield Path(module.__file__)
            break
    package = Path(np.__file__).parent
    for folder in (package.parent / "numpy.libs", package / ".dylibs", package / ".libs"):
        if folder.is_dir():
            yield from sorted(p for p in folder.iterdir() if "openblas" in p.name)
