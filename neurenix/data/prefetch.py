"""Runs an iterator ahead in a thread, so that the next batch is ready when it is wanted."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

_END = object()


def prefetched(source: Iterable[T], ahead: int) -> Iterator[T]:
    """Yield what `source` yields, made in a thread at most `ahead` items early.

    An exception there is raised here, in its place. The thread ends when the iterator is closed or dropped.
    """
    ready: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(maxsize=ahead)
    stop = threading.Event()
    # The thread must not hold the generator below alive, or dropping it would never end the thread.
    thread = threading.Thread(target=_fill, args=(source, ready, stop), name="neurenix-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stop.set()
        # It may be waiting for room. When Python is ending, it has been stopped already, and cannot say so.
        while thread.is_alive() and not sys.is_finalizing():
            try:
                ready.get(timeout=0.01)
            except queue.Empty:
                thread.join(0.01)


def _fill(source: Iterable[Any], ready: queue.Queue[tuple[Any, BaseException | None]], stop: threading.Event) -> None:
    try:
        for item in source:
            if stop.is_set():
                return
            ready.put((item, None))
            if stop.is_set():
                return
        ready.put((_END, None))
    except BaseException as error:  # noqa: BLE001 - raised again by the reader
        ready.put((None, error))
