"""Shares pieces of work out to threads: NumPy lets go of Python's lock while it computes.

What the pieces are must depend on shapes alone, never on the number of threads: then no answer depends on it either.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

import numpy as np

from neurenix.errors import InputError
from neurenix.threads.blas import held_blas

Item = TypeVar("Item")

# Beyond that many, threads mostly wait for Python's lock or for memory.
_MOST = 8

_NOTHING = object()


class _Share(threading.local):
    """Whether this thread is working on a piece already: pieces of pieces are not shared out again."""

    working = False


class _Pool:
    """The threads that help, made when they are first needed."""

    def __init__(self) -> None:
        self.count: int | None = None
        self.executor: ThreadPoolExecutor | None = None

    def helpers(self) -> ThreadPoolExecutor:
        if self.executor is None:
            self.executor = ThreadPoolExecutor(max(get_num_threads() - 1, 1), "neurenix")
        return self.executor


_pool, _share = _Pool(), _Share()
if hasattr(os, "register_at_fork"):  # a forked process has none of its parent's threads
    os.register_at_fork(after_in_child=lambda: setattr(_pool, "executor", None))


def get_num_threads() -> int:
    """Return how many threads an eager operation may use: OMP_NUM_THREADS, or the CPUs that there are, up to 8."""
    if _pool.count is None:
        given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        _pool.count = int(given) if given.isdecimal() and int(given) > 0 else min(cpus, _MOST)
    return _pool.count


def set_num_threads(count: int) -> None:
    """Let eager operations use so many threads. It changes no answer. Raises InputError below 1."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise InputError(f"the number of threads is a whole number from 1, got {count!r}")
    _pool.count, _pool.executor = count, None


def each(function: Callable[[Item], object], items: Sequence[Item]) -> None:
    """Call a function with every item, on as many threads as there are to help; an item's error is raised here.

    Calls must not depend on each other, and write to different places. They run without NumPy's warnings, and BLAS in
    one thread: its own would fight with these.
    """
    helpers = min(get_num_threads(), len(items)) - 1
    if helpers < 1 or _share.working:
        with held_blas():
            for item in items:
                function(item)
        return
    todo: deque[Any] = deque(items)

    def work() -> None:
        _share.working = True
        try:
            with np.errstate(all="ignore"):
                while (item := _taken(todo)) is not _NOTHING:
                    function(item)
        except BaseException:
            todo.clear()
            raise
        finally:
            _share.working = False

    with held_blas():
        others = [_pool.helpers().submit(work) for _ in range(helpers)]
        try:
            work()
        finally:
            begun = [other for other in others if not other.cancel()]
            wait(begun)
    for other in begun:
        other.result()


def _taken(todo: deque[Any]) -> Any:
    try:
        return todo.popleft()
    except IndexError:  # the other threads have taken the last
        return _NOTHING
