"""Shares pieces of work out to threads: NumPy lets go of Python's lock while it computes.

What the pieces are must depend on shapes alone, never on the number of threads: then no answer depends on it either.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np

from neurenix.errors import InputError
from neurenix.threads.blas import held_blas

Item = TypeVar("Item")

# Beyond that many, threads mostly wait for Python's lock or for memory.
_MOST = 8

# Seconds for which the thread that shares work out asks again and again whether the others are done, before it sleeps:
# being woken takes about as long.
_PATIENCE = 1e-4


class _Share(threading.local):
    """Whether this thread is working on a piece already: pieces of pieces are not shared out again."""

    working = False


class _Pool:
    """The threads that help, made when they are first needed; they wait for jobs in a queue."""

    def __init__(self) -> None:
        self.count: int | None = None
        self.forget()

    def forget(self) -> None:
        self.helpers = 0
        self.jobs: SimpleQueue[_Job] = SimpleQueue()

    def offer(self, job: _Job, helpers: int) -> None:
        """Ask so many threads to help with a job."""
        while self.helpers < helpers:
            self.helpers += 1
            threading.Thread(target=_help, args=(self.jobs,), name=f"neurenix_{self.helpers}", daemon=True).start()
        for _ in range(helpers):
            self.jobs.put(job)


class _Job:
    """The items of one `each`: whoever comes in time takes one after the other."""

    def __init__(self, function: Callable[[Any], object], items: Sequence[Any]) -> None:
        self.function = function
        self.open = True
        self.todo: deque[Any] = deque(items)
        self.error: BaseException | None = None
        self.inside = 0  # threads that help, and may be at work
        self.gate = threading.Lock()
        self.last = threading.Lock()  # held until the last of them leaves
        self.last.acquire()

    def work(self) -> None:
        _share.working = True
        function, todo = self.function, self.todo
        try:
            with np.errstate(all="ignore"):
                while True:
                    try:
                        item = todo.popleft()
                    except IndexError:  # the other threads have taken the last
                        return
                    function(item)
        except BaseException as error:  # noqa: BLE001 - `each` raises it, in the thread that called
            todo.clear()
            self.error = error
        finally:
            _share.working = False

    def help(self) -> None:
        with self.gate:
            if not self.open:
                return
            self.inside += 1
        self.work()
        self._leave()

    def _leave(self) -> None:
        with self.gate:
            self.inside -= 1
            if not (self.open or self.inside):
                self.last.release()

    def close(self) -> None:
        """Let nobody in any more, and wait until all have left."""
        until = time.perf_counter() + _PATIENCE
        while self.inside and time.perf_counter() < until:
            time.sleep(0)  # lets go of Python's lock
        with self.gate:
            self.open, some = False, self.inside > 0
        if some:
            self.last.acquire()
        del self.function  # whoever comes too late holds on to none of the arrays


def _help(jobs: SimpleQueue[_Job]) -> None:
    while True:
        jobs.get().help()


_pool, _share = _Pool(), _Share()
if hasattr(os, "register_at_fork"):  # a forked process has none of its parent's threads
    os.register_at_fork(after_in_child=_pool.forget)


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
    _pool.count = count


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
    job = _Job(function, items)
    with held_blas():
        _pool.offer(job, helpers)
        job.work()
        job.close()
    if job.error is not None:
        raise job.error
