"""Hashes what a build depends on: watched files, the training function's package, and our own code."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurenix.cache import cache_key, file_digest
from neurenix.errors import ConfigError
from neurenix.resources import resource

if TYPE_CHECKING:
    # Only the type: what asks for a digest of an unchanged project must not wait for the configuration's rules.
    from neurenix.config import ModelConfig

STAGED = "_neurenix"
"""The folder in a package that holds its bundles: made from the sources, and none of them."""

# What a package is made of, as far as a model of it goes: its modules, and kernels of its own for them to register.
_SOURCES = (".py", ".c", ".h", ".zig", ".wgsl")

# The keys of a custom op's table that name a function.
_OP_FUNCTIONS = ("oracle", "shape", "dtype", "sizes", "covers", "gradient")

_LFS_POINTER = b"version https://git-lfs.github.com/spec/v1"

# No number that training gives depends on these parts of the package.
_AFTER_TRAINING = (
    "bundle/", "cache/", "cli/", "compiler/", "config/", "project/build_record.py", "project/fanout.py",
    "project/fingerprint.py", "project/jobs.py", "project/pipeline.py", "project/prebuilt.py", "project/stages.py",
    "project/staging.py", "project/standalone.py", "project/training_request.py", "project/training_run.py", "site/",
    "export.py", "file_lock.py", "server.py", "session.py", "toolchain.py", "verification.py", "wasm.py",
)  # fmt: skip


@dataclass(frozen=True)
class ModelSources:
    """Which files a model is made of: its source's file, the patterns that it watches, its functions' packages.

    A function is `module:function`: the one that makes the model, and those that declare the project's custom ops.
    """

    name: str
    source: str
    file: str | None
    watch: tuple[str, ...]
    functions: tuple[str, ...]

    @staticmethod
    def of(name: str, model: ModelConfig, ops: Mapping[str, Mapping[str, Any]]) -> ModelSources:
        maker = model.train or model.architecture
        declared = (op.get(key) or "" for op in ops.values() for key in _OP_FUNCTIONS)
        functions = dict.fromkeys((*([maker] if maker else ()), *(text for text in declared if ":" in text)))
        return ModelSources(name, model.source, model.file, model.watch, tuple(functions))

    @staticmethod
    def read(data: Mapping[str, Any]) -> ModelSources:
        """Return what `dataclasses.asdict` has made, by way of JSON."""
        values: dict[str, Any] = {k: tuple(value) if isinstance(value, list) else value for k, value in data.items()}
        return ModelSources(**values)


def source_digests(root: Path, sources: ModelSources) -> list[dict[str, str]]:
    """Return the SHA-256 of a model's files, and of its functions' packages. Raises ConfigError, as `source_files`."""
    return [digests(source_files(root, sources)), package_digests(root, sources.functions)]


def package_digests(root: Path, functions: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of all files of the packages of some functions, each `module:function` or a module alone."""
    return digests(_packages(root, functions))


def known_files(root: Path, sources: ModelSources) -> list[str]:
    """Return the files in `root` that `source_digests` reads, by their path relative to it."""
    found = (*source_files(root, sources).values(), *_packages(root, sources.functions).values())
    inside = root.resolve()
    paths = (path.resolve() for path in found)
    return sorted({path.relative_to(inside).as_posix() for path in paths if path.is_relative_to(inside)})


def _packages(root: Path, functions: Iterable[str]) -> dict[str, Path]:
    packages = (package_sources(root, function.partition(":")[0]) for function in functions)
    return {name: path for package in packages for name, path in package.items()}


def watched_files(root: Path, patterns: Sequence[str], key: str) -> Mapping[str, Path]:
    """Find the files that glob patterns name, by their path relative to `root`, in order.

    A folder stands for everything in it. Hidden files and bytecode are left out unless the pattern names
    them. Raises ConfigError, with `key` as the dotted path of the patterns, when a pattern finds nothing,
    or finds a file outside the project.
    """
    found: dict[str, Path] = {}
    problems: list[str] = []
    for index, pattern in enumerate(patterns):
        where = f"{key}[{index}]: {pattern!r}"
        try:
            files = [file for path in root.glob(pattern) for file in _files_of(path) if _is_wanted(file, root, pattern)]
        except (ValueError, NotImplementedError, IndexError) as error:  # IndexError: '.', in Python before 3.13
            problems.append(f"{where} is no pattern: {error}")
            continue
        if not files:
            problems.append(f"{where} finds no file in {root}{_sdist_hint(root)}")
        for file in files:
            name = file.relative_to(root).as_posix()
            if not file.resolve().is_relative_to(root.resolve()):
                problems.append(f"{where} finds {name}, a link that leaves the project -- copy the file instead")
            elif _is_lfs_pointer(file):
                problems.append(f"{where} finds {name}, which is a Git LFS pointer -- run 'git lfs pull'")
            else:
                found[name] = file
    if problems:
        raise ConfigError(problems)
    return dict(sorted(found.items()))


def source_files(root: Path, model: ModelSources) -> Mapping[str, Path]:
    """Find all files that a model is made of, by their path relative to `root`: its source's and those it watches.

    Raises ConfigError with everything that is wrong with them.
    """
    problems: list[str] = []
    found: dict[str, Path] = {}
    where = f"tool.neurenix.models.{model.name}"
    if model.file is not None:
        path = root / model.file
        problem = _source_problem(root, path)
        if problem is None:
            found[path.relative_to(root).as_posix()] = path
        else:
            problems.append(f"{where}.{model.source}: {model.file!r} {problem}")
    try:
        found.update(watched_files(root, model.watch, f"{where}.watch"))
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return dict(sorted(found.items()))


def _source_problem(root: Path, path: Path) -> str | None:
    if not path.is_file():
        kind = "is a folder, not a file" if path.is_dir() else f"is not there, in {root}"
        return kind + _sdist_hint(root)
    if not path.resolve().is_relative_to(root.resolve()):
        return "is a link that leaves the project -- copy the file instead"
    if path.stat().st_size == 0:
        return "is empty -- write or fetch it again"
    return "is a Git LFS pointer -- run 'git lfs pull'" if _is_lfs_pointer(path) else None


def _sdist_hint(root: Path) -> str:
    # PKG-INFO lies at the top of every unpacked sdist and of nothing else.
    return " -- it is not in the sdist: remove it from your excludes" if (root / "PKG-INFO").is_file() else ""


def digests(files: Mapping[str, Path]) -> dict[str, str]:
    """Return the SHA-256 of each file."""
    return {name: file_digest(path) for name, path in files.items()}


def package_sources(root: Path, module: str) -> Mapping[str, Path]:
    """Find all modules and kernels of the top-level package that `module` is in, in the project or installed."""
    top = module.partition(".")[0]
    for base in (root / "src", root):
        if (base / top).is_dir():
            return _python_files(base, [base / top], _SOURCES)
        if (base / f"{top}.py").is_file():
            return _python_files(base, [base / f"{top}.py"])
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return {}
    origin = Path(spec.origin)
    if spec.submodule_search_locations is None:
        return _python_files(origin.parent, [origin])
    return _python_files(origin.parent.parent, [origin.parent], _SOURCES)


@lru_cache(maxsize=1)
def all_code() -> str:
    """Return a hash of everything in this installation that can change a bundle."""
    return _code_digest(())


@lru_cache(maxsize=1)
def training_code() -> str:
    """Return a hash of the part of this installation that can change what training gives."""
    return _code_digest(_AFTER_TRAINING)


def _code_digest(without: tuple[str, ...]) -> str:
    package = Path(__file__).parent.parent
    parts = [path for path in sorted(package.iterdir()) if path.name != "_data"]
    files = _python_files(package, parts)
    hashed = digests({name: file for name, file in files.items() if not name.startswith(without)})
    if not without:
        for folder in ("kernels", "templates"):
            base = resource(folder)
            hashed.update({f"{folder}/{file.relative_to(base).as_posix()}": file_digest(file) for file in _data(base)})
    return cache_key(hashed)


def _data(folder: Path) -> Iterator[Path]:
    for path in _files_of(folder):
        if not any(part.startswith(".") or part == "node_modules" for part in path.relative_to(folder).parts):
            yield path


def _python_files(base: Path, parts: Iterable[Path], kinds: tuple[str, ...] = (".py",)) -> dict[str, Path]:
    files = (file for part in parts for file in _files_of(part) if file.suffix in kinds)
    own = (file for file in sorted(files) if STAGED not in file.relative_to(base).parts)
    return {file.relative_to(base).as_posix(): file for file in own}


def _files_of(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        for below in sorted(path.rglob("*")):
            if below.is_file() and "__pycache__" not in below.parts:
                yield below


def _is_wanted(file: Path, root: Path, pattern: str) -> bool:
    if file.suffix in (".pyc", ".pyo"):
        return False
    named = set(pattern.split("/"))
    return all(part in named or not part.startswith(".") for part in file.relative_to(root).parts)


def _is_lfs_pointer(file: Path) -> bool:
    if file.stat().st_size > 1024:
        return False
    return file.read_bytes().startswith(_LFS_POINTER)
