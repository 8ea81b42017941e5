"""Runs the training process of one model: its environment, its live output, its time limit, its errors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, TextIO

from neurenix.config import ModelConfig
from neurenix.errors import NeurenixError, TrainingError, TrainingTimeoutError
from neurenix.project.fingerprint import ModelSources, known_files
from neurenix.project.training_request import RESULTS, training_request

# One thread and one hash seed: the order of floating-point sums decides the last bits of the weights.
_REPEATABLE = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}
# The project's folder comes on the path after start-up, where it cannot shadow what Python itself imports.
_ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8:replace", "PYTHONSAFEPATH": "1"}


class TrainingTraceback(Exception):
    """The traceback from the training process, as text: the cause of a TrainingError."""


def run_training(
    name: str,
    model: ModelConfig,
    root: Path,
    output: Path,
    log: Path,
    say: Callable[[str], None],
    installed: Sequence[str] = (),
    ops: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> None:
    """Make a model in a process of its own, into `output`: the files that RESULTS names.

    Every line that it prints goes to `say` at once and to the file `log`. `installed` are the requirements that
    the build was told to install for it, `ops` the custom ops that the project declares. Raises TrainingError.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="neurenix-") as scratch, log.open("w", encoding="utf-8") as lines:
        request = Path(scratch) / "request.json"
        error = Path(scratch) / "error.json"
        places = {"name": name, "root": str(root), "output": str(output), "error": str(error)}
        known = known_files(root, ModelSources.of(name, model, ops))
        more = {"installed": list(installed), "ops": dict(ops), "known": known}
        wanted = {**training_request(model), **places, **more}
        request.write_text(json.dumps(wanted), encoding="utf-8")
        command = [sys.executable, "-m", "neurenix.project.training_process", str(request)]
        status = _run(command, root, model.timeout, lines, say)
        where = f"tool.neurenix.models.{name}"
        if status is None:
            raise TrainingTimeoutError(
                f"{where}.{model.source}: exceeded {model.timeout:g} s -- raise 'timeout'; log: {log}"
            )
        if error.is_file():
            failure = json.loads(error.read_text(encoding="utf-8"))
            lines.write(failure["traceback"])
            raise _as_error(failure, where, log) from TrainingTraceback("\n" + failure["traceback"])
        absent = [name for name in RESULTS if not (output / name).is_file()]
        if status != 0 or absent:
            early = "" if status else ", before it gave a model"
            raise TrainingError(f"{where}.{model.source}: the process ended with {_status(status)}{early}; log: {log}")


def _run(command: list[str], root: Path, timeout: float, log: TextIO, say: Callable[[str], None]) -> int | None:
    """Return the exit status, or None when the time was over."""
    unheard: list[BaseException] = []
    with _started(command, root) as process:

        def forward() -> None:
            assert process.stdout is not None
            # Universal newlines: a progress bar's carriage returns end a line too.
            for line in process.stdout:
                log.write(line)
                log.flush()
                try:
                    if line.strip() and not unheard:
                        say(line.rstrip())
                except BaseException as error:  # noqa: BLE001 - raised again below, in the caller's thread
                    # Reading goes on: a full pipe would stop the process before it can be ended.
                    unheard.append(error)
                    _kill(process)

        reader = threading.Thread(target=forward, daemon=True)
        reader.start()
        try:
            status: int | None = process.wait(timeout)
        except subprocess.TimeoutExpired:
            status = None
            _kill(process)
        # A grandchild may still hold the pipe: what it prints after the end is of no use.
        reader.join(5)
        if reader.is_alive():
            _kill(process)
            reader.join()
    if unheard:
        raise unheard[0]
    return status


@contextmanager
def _started(command: list[str], root: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command,
        cwd=root,
        env={**os.environ, **_ENVIRONMENT, **_REPEATABLE},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    with process:
        try:
            yield process
        except BaseException:
            _kill(process)
            raise


def _kill(process: subprocess.Popen[str]) -> None:
    """Kill the process and all that it started."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True, check=False, timeout=30)
        process.kill()
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # All of them have ended.


def _as_error(failure: Mapping[str, str], where: str, log: Path) -> NeurenixError:
    # A declared model names the key itself, such as `layers[1].linear`.
    path = f"{where}.{failure['key']}:" if failure["key"] else f"{where}."
    message = f"{path}{' ' if failure['key'] else ''}{failure['message']}; log: {log}"
    for kind in NeurenixError.__subclasses__():
        # A class with a constructor of its own cannot be made from a message alone.
        if kind.code == failure["code"] and "__init__" not in vars(kind):
            return kind(message)
    return TrainingError(message)


def _status(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    name = signal.Signals(-status).name
    return f"{name} (out of memory?)" if name == "SIGKILL" else name
