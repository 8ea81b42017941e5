"""The process that makes one model: calls the project's function, reads a file or trains what is declared.

    python -m neurenix.project.training_process REQUEST.json

REQUEST.json is a `training_request` with the folder for the results, which are the files of RESULTS. What goes wrong is
written to the request's `error` file as JSON. Whatever the project's code prints goes to the parent line by line.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import json
import math
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from neurenix.declarative.training import Declaration, make
from neurenix.errors import InputError, NeurenixError, TrainingError
from neurenix.graph.graph import Graph
from neurenix.graph.renaming import rename_outputs
from neurenix.graph.spread import FEWEST, Spread, spread_of
from neurenix.graph.store import save_graph
from neurenix.nn import Module
from neurenix.project.declared_ops import note_used, register_declared
from neurenix.project.files_read import FilesRead, tell_unknown
from neurenix.project.finite_weights import check_finite
from neurenix.tensor.input_spec import InputSpec
from neurenix.trace import infer_inputs, trace
from neurenix.training import Trained
from neurenix.wasm import custom_shaders


def main(arguments: list[str]) -> int:
    """Serve the request in the file `arguments[0]`. Returns the process's exit status."""
    request = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    threading.Thread(target=_end_with_parent, args=(_take_stdin(),), daemon=True).start()
    root, source = Path(request["root"]), request["source"]
    sys.path[:0] = [str(path) for path in (root / "src", root) if path.is_dir()]
    try:
        _serve(request)
    except NeurenixError as error:
        # What is declared names its own keys: there is no code of the project's that could have raised it.
        return _report(request, error.code, str(error), "" if source == "data" else source)
    except SystemExit as error:
        return _report(request, TrainingError.code, f"{source} failed: it called sys.exit({error.code!r})", source)
    except BaseException as error:  # noqa: BLE001 - the project's code may raise anything
        return _report(request, TrainingError.code, f"{source} failed: {_summary(error, root)}", source)
    return 0


@dataclass(frozen=True)
class Result:
    """What a source gives: a model or a graph, what was measured of it, and what it fixes by itself."""

    model: Module | Graph
    metrics: Mapping[str, float] = field(default_factory=dict)
    inputs: Mapping[str, str] | None = None
    labels: tuple[str, ...] = ()
    examples: Any = None


def _serve(request: Mapping[str, Any]) -> None:
    read = FilesRead(Path(request["root"]))
    register_declared(request["ops"], Path(request["root"]))
    result = _SOURCES[request["source"]](request)
    dims = {name: (low, high) for name, low, high in request["dims"]}
    graph = result.model
    if isinstance(graph, Module):
        graph.eval()
        graph = trace(graph, result.inputs or _inputs(request) or _inferred(graph), dims, request["name"])
    if result.examples is not None:
        graph = replace(graph, spreads={**graph.spreads, **spreads_of(result.examples, graph.inputs)})
    check_finite(graph)
    tell_unknown(read.unknown(request["known"]), request["name"])
    if request["outputs"] is not None:
        graph = rename_outputs(graph, request["outputs"])
    output = Path(request["output"])
    save_graph(graph, output / "graph.npz")
    note_used(graph, output)
    (output / "metrics.json").write_text(json.dumps(dict(result.metrics), allow_nan=False), encoding="utf-8")
    (output / "labels.json").write_text(json.dumps(result.labels), encoding="utf-8")
    (output / "shaders.json").write_text(json.dumps(custom_shaders()), encoding="utf-8")


def _inferred(model: Module) -> Mapping[str, InputSpec]:
    try:
        return {name: f"{of}[{', '.join(map(str, shape))}]" for name, (of, shape) in infer_inputs(model).items()}
    except InputError as error:
        raise TrainingError(f"{error} -- declare it: inputs = {{ input = 'float32[batch, 4]' }}") from error


def _trained(request: Mapping[str, Any]) -> Result:
    module, _, attribute = request["train"].partition(":")
    function = find_function(module, attribute, request["installed"])
    check_parameters(function, attribute, request["params"])
    made = function(**request["params"])
    model, metrics = unpack(made)
    examples = made.examples if isinstance(made, Trained) else None
    return Result(model if isinstance(model, Module) else _read_model(request, model, {}), metrics, examples=examples)


def _loaded(request: Mapping[str, Any]) -> Result:
    more: dict[str, Any] = {"constants": request["constants"] or None}
    if request["architecture"] is not None:
        module, _, attribute = request["architecture"].partition(":")
        more["architecture"] = find_function(module, attribute, request["installed"])
    return Result(_read_model(request, Path(request["root"]) / request["load"], more))


def _read_model(request: Mapping[str, Any], source: Any, more: Mapping[str, Any]) -> Graph:
    # THE call of the frontends. Imported here: a project that trains needs none of them.
    from neurenix import frontends

    dims = {name: (low, high) for name, low, high in request["dims"]}
    return frontends.load(source, inputs=_inputs(request), dims=dims, name=request["name"], **more)


def _declared(request: Mapping[str, Any]) -> Result:
    given = request["declaration"]
    pairs = {key: given[key] and tuple(given[key]) for key in ("loss", "optimizer")}
    layers = tuple((name, options) for name, options in given["layers"])
    made = make(Declaration(**{**given, **pairs, "layers": layers}), Path(request["root"]))
    return Result(made.model, made.metrics, made.inputs, made.labels)


_SOURCES: Mapping[str, Callable[[Mapping[str, Any]], Result]] = {
    "train": _trained,
    "load": _loaded,
    "data": _declared,
}


def _inputs(request: Mapping[str, Any]) -> dict[str, str] | None:
    return None if request["inputs"] is None else dict(request["inputs"])


def find_function(module: str, attribute: str, installed: Collection[str] = ()) -> Callable[..., Any]:
    """Import `module` and return its `attribute`, which may be dotted. Raises TrainingError.

    `installed` are the requirements in train-dependencies, for the hint when a package is missing.
    """
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        hint = "" if missing == module.partition(".")[0] else _package_hint(missing, installed)
        raise TrainingError(f"cannot import {module!r} (searched src and the project's root; {error}){hint}") from error
    except Exception as error:
        raise TrainingError(f"cannot import {module!r}: {_summary(error, Path.cwd())}") from error
    path = module
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise TrainingError(f"{path!r} has no {name!r}{_did_you_mean(name, dir(found))}")
        found, path = getattr(found, name), f"{path}.{name}"
    if not callable(found):
        raise TrainingError(f"{path!r} is a {type(found).__name__}, not a function")
    function: Callable[..., Any] = found
    return function


def _package_hint(missing: str, installed: Collection[str]) -> str:
    if any(_plain(missing) == _plain(name) for name in installed):
        # Without build isolation nobody has installed them.
        return f" -- it is in train-dependencies, but not in this environment: pip install {missing!r}"
    if installed:
        # A package may be called otherwise than its module: scikit-learn has sklearn.
        there = ", ".join(installed)
        return (
            f" -- add the package with {missing!r} to train-dependencies, or, if one of those there ({there}) has it "
            "and the build is not isolated, install that"
        )
    return f" -- add {missing!r} to train-dependencies"


def check_parameters(function: Callable[..., Any], name: str, params: Mapping[str, Any]) -> None:
    """Raise TrainingError when `function(**params)` would not even start, and name the parameters."""
    try:
        accepted = inspect.signature(function).parameters
    except ValueError:
        return  # A callable from C may not tell; the call itself will.
    keywords = {p.name: p for p in accepted.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    problems = []
    if not any(p.kind is p.VAR_KEYWORD for p in accepted.values()):
        for wrong in sorted(params.keys() - keywords.keys()):
            problems.append(f"params: {name!r} has no parameter {wrong!r}{_did_you_mean(wrong, keywords)}")
    for parameter in accepted.values():
        variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if parameter.default is parameter.empty and not variadic and parameter.name not in params:
            problems.append(f"params: {name!r} needs the parameter {parameter.name!r} -- add it to 'params'")
    if problems:
        raise TrainingError("; ".join(problems))


def unpack(result: object) -> tuple[Any, dict[str, float]]:
    """Return the model and the metrics that a training function gave. Raises TrainingError.

    A model is a Module, or what the frontends read: a Graph, a model of PyTorch, or the path of a file.
    """
    model, metrics = (result.model, result.metrics) if isinstance(result, Trained) else (result, {})
    if not isinstance(model, (Module, Graph, str, os.PathLike)) and not _is_of_torch(model):
        raise TrainingError(f"train must return a model (or a Trained), got {type(model).__name__}")
    if not isinstance(metrics, Mapping):
        raise TrainingError(f"train must return its metrics as a dict of numbers, got {type(metrics).__name__}")
    numbers: dict[str, float] = {}
    for name, value in metrics.items():
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise TrainingError(f"train returned the metric {name!r} as {type(value).__name__}, not a number") from None
        if not math.isfinite(number):
            raise TrainingError(f"train returned the metric {name!r} as {number}: the training has diverged")
        numbers[str(name)] = number
    return model, numbers


def spreads_of(examples: Any, inputs: Sequence[str]) -> dict[str, Spread]:
    """Return the spreads of a Trained's `examples`, by input. Raises TrainingError for what is no such thing."""
    if not isinstance(examples, Mapping):
        given = examples if isinstance(examples, (tuple, list)) else (examples,)
        if len(given) > len(inputs):
            raise TrainingError(f"train returned {len(given)} arrays of examples; the inputs are {', '.join(inputs)}")
        examples = dict(zip(inputs, given))
    found = {}
    for name, samples in examples.items():
        if name not in inputs:
            raise TrainingError(f"train returned examples of {name!r}; the inputs are {', '.join(inputs)}")
        spread = spread_of(samples.numpy() if hasattr(samples, "numpy") else samples)
        if spread is None:
            raise TrainingError(f"train returned examples of {name!r} that are not {FEWEST} or more of finite numbers")
        found[name] = spread
    return found


def _is_of_torch(model: object) -> bool:
    # Whoever has made one has imported it.
    return "torch" in sys.modules and any(kind.__module__.partition(".")[0] == "torch" for kind in type(model).__mro__)


def _report(request: Mapping[str, Any], code: str, message: str, key: str) -> int:
    error = {"code": code, "message": message, "key": key, "traceback": traceback.format_exc()}
    Path(request["error"]).write_text(json.dumps(error), encoding="utf-8")
    return 1


def _summary(error: BaseException, root: Path) -> str:
    """Say what was raised and the project's line that it came from."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(root) and not path.is_relative_to(Path(sys.prefix)):
            return f"{text} ({path.relative_to(root).as_posix()}, line {frame.lineno})"
    return text


def _did_you_mean(wrong: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(wrong, [name for name in known if not name.startswith("_")], n=1)
    return f" -- did you mean {close[0]!r}?" if close else ""


def _plain(requirement: str) -> str:
    """Return the name in a requirement, without its version, as Python would write a module."""
    return re.sub(r"[-_.]+", "_", re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0].lower())


def _take_stdin() -> int:
    """Return where the parent's end can be seen; what the project's code reads from stdin ends at once."""
    parent = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return parent


def _end_with_parent(pipe: int) -> None:
    # The parent holds the other end of the pipe; when it is killed, nobody wants the model any more.
    while os.read(pipe, 1):
        pass
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)  # with the processes that the project's code has started
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
