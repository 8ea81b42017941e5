"""Builds several models at once: the executors that the configuration can name, and what one of their tasks does.

A task gets a job and gives back the keys of its results. A worker of this machine puts them into the same cache;
a worker of a cluster has a cache of its own, and sends them along.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from neurenix.cache import Cache
from neurenix.config import Config
from neurenix.errors import ConfigError, MissingExtraError
from neurenix.project.build_record import BuiltModel
from neurenix.project.jobs import Job

SCHEDULER_VARIABLE = "NEURENIX_DASK_SCHEDULER"
SCHEDULER_SECONDS = 20  # to wait for the scheduler's first answer

Say = Callable[[str], None]
Build = Callable[[Job, Say], BuiltModel]


@dataclass(frozen=True)
class Done:
    """What a task gives back: what it did, what it said unless that was heard at once, and results to adopt."""

    trained_now: bool
    compiled_now: bool
    seconds: float
    lines: tuple[str, ...] = ()
    archives: Mapping[str, bytes] = field(default_factory=dict)


def build_many(
    jobs: Sequence[Job], build: Build, executor: Executor, say: Say, *, send_back: bool
) -> dict[str, Done | Exception]:
    """Run every job by an executor; return what each came to, or what it raised, by the name of its model.

    `send_back` is for workers whose cache is not this machine's. Both they and the jobs must be able to
    travel: `build` is a function of a module.
    """
    task = _send_back if send_back else _do
    futures = {executor.submit(task, job, build): job for job in jobs}
    outcomes: dict[str, Done | Exception] = {}
    try:
        for future in as_completed(futures):
            job = futures[future]
            try:
                done = future.result()
                for line in done.lines:
                    say(line)
                _adopt(done, job)
                outcomes[job.name] = done
            except Exception as error:  # noqa: BLE001 - kept, and told with those of the other models
                outcomes[job.name] = error
    finally:
        for future in futures:
            future.cancel()
    return {job.name: outcomes[job.name] for job in jobs}


@contextmanager
def chosen_executor(config: Config, jobs: int, say: Say) -> Iterator[tuple[Executor, bool]]:
    """Yield the configured executor, and whether its workers must send back what they make."""
    if config.executor == "dask":
        with _dask_client(config) as client:
            say(f"building {jobs} models on the dask cluster {client.scheduler.address}")
            yield client.get_executor(pure=False, retries=0), True
        return
    with _processes(min(jobs, config.workers or os.cpu_count() or 1), say) as pool:
        yield pool, False


@contextmanager
def _processes(workers: int, say: Say) -> Iterator[Executor]:
    # Spawned: a fork of a process with threads may hang.
    context = multiprocessing.get_context("spawn")
    lines = context.Queue()

    def hear() -> None:
        while (line := lines.get()) is not None:
            say(line)

    listener = threading.Thread(target=hear, daemon=True)
    listener.start()
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(lines,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        lines.put(None)
        listener.join()
        lines.close()


@contextmanager
def _dask_client(config: Config) -> Iterator[Any]:
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise MissingExtraError("distributed", "dask", "executor = 'dask'") from None
    address = os.environ.get(SCHEDULER_VARIABLE) or config.dask_scheduler
    if not address:
        raise ConfigError(
            [
                "tool.neurenix.executor: 'dask' needs a cluster -- set dask-scheduler = 'tcp://…', or the environment "
                f"variable {SCHEDULER_VARIABLE}"
            ]
        )
    try:
        client = Client(address, timeout=SCHEDULER_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call,unused-ignore]
    except (OSError, ValueError) as error:  # A scheduler that does not answer, an address that is none.
        raise ConfigError([f"tool.neurenix.dask-scheduler: {address} does not answer: {error}"]) from error
    with client:
        yield client


# Where the lines of a worker process of this machine go.
_lines: Any = None


def _start_worker(lines: Any) -> None:
    global _lines
    _lines = lines
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _do(job: Job, build: Build) -> Done:
    lines: list[str] = []
    built = build(job, lines.append if _lines is None else _lines.put)
    return Done(built.trained_now, built.compiled_now, built.seconds, tuple(lines))


def _send_back(job: Job, build: Build) -> Done:
    """Build with this machine's own cache, and return what the cache of another needs."""
    if not job.root.is_dir():
        raise ConfigError([f"tool.neurenix.executor: this worker does not see {job.root} -- share the folder with it"])
    lines: list[str] = []
    here = replace(job, cache=None)
    built = build(here, lines.append)
    store = Cache(here.cache)
    archives = {}
    with tempfile.TemporaryDirectory(prefix="neurenix-") as scratch:
        for files in built.entries.values():
            if files.is_relative_to(store.directory):
                archive = Path(scratch) / "entry.zip"
                store.export(files.parent.name, archive)
                archives[files.parent.name] = archive.read_bytes()
    return Done(built.trained_now, built.compiled_now, built.seconds, tuple(lines), archives)


def _adopt(done: Done, job: Job) -> None:
    with tempfile.TemporaryDirectory(prefix="neurenix-") as scratch:
        for key, content in done.archives.items():
            archive = Path(scratch) / "entry.zip"
            archive.write_bytes(content)
            Cache(job.cache).adopt(key, archive)
