"""Finds zig and compiles the printed C for WebAssembly and for native hosts, through a content-hash cache.

The sources are freestanding, so any target is a tenth of a second away, and a library runs on any system of
its kind. Compiling happens in a folder of its own under relative names: the bytes do not depend on where it
is.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from neurenix.cache import Cache, cache_key, file_digest
from neurenix.errors import CompileError, ToolchainError, UnsupportedError
from neurenix.resources import resource

OLDEST_ZIG = (0, 17)


@dataclass(frozen=True)
class Variant:
    """A way to compile model.c: a target and an instruction level. `level` orders them, the more the better."""

    name: str
    level: int
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Target:
    """A native host: its name for the user, what its libraries are called, and the tag of wheels for it.

    Libraries for Linux need no libc, so that the same one serves glibc and musl: its wheels have both tags.
    """

    name: str
    suffix: str
    wheel_tag: str
    variants: tuple[Variant, ...]


@dataclass(frozen=True)
class Unit:
    """What is compiled by itself and linked with model.c: a C file, or a Zig file and the modules that it imports.

    `modules` has by its import's name the file and the text of each module; all of them may import each other.
    """

    file: str
    text: str
    modules: Mapping[str, tuple[str, str]] = field(default_factory=dict)


_WASM: tuple[str, ...] = ("-target", "wasm32-freestanding", "-Wl,--no-entry", "-Wl,--import-memory", "-Wl,--strip-all")
# zig puts the stack first, so that an overflow traps, and then the code's own data; both lie below the
# weights.
_WASM += ("-Wl,-z,stack-size=65536", "-Wl,--export=__heap_base")

WASM_VARIANTS = {
    v.name: v
    for v in (
        Variant("scalar", 0, (*_WASM, "-mcpu=mvp")),
        Variant("simd", 1, (*_WASM, "-mcpu=generic+simd128")),
        Variant("relaxed", 2, (*_WASM, "-mcpu=generic+simd128+relaxed_simd")),
    )
}

_LINUX = ("-shared", "-fPIC", "-Wl,-soname,model", "-Wl,--hash-style=gnu")
TARGETS = {
    t.name: t
    for t in (
        Target("x86_64-linux", ".so", "manylinux_2_17_x86_64.musllinux_1_2_x86_64", (
            Variant("x86_64_v3-linux", 3, ("-target", "x86_64-linux-none", "-mcpu=x86_64_v3", *_LINUX)),
            Variant("x86_64-linux", 0, ("-target", "x86_64-linux-none", "-mcpu=x86_64", *_LINUX)),
        )),
        Target("aarch64-linux", ".so", "manylinux_2_17_aarch64.musllinux_1_2_aarch64", (
            Variant("aarch64-linux", 0, ("-target", "aarch64-linux-none", *_LINUX)),
        )),
        Target("aarch64-macos", ".dylib", "macosx_11_0_arm64", (
            Variant("aarch64-macos", 0, ("-target", "aarch64-macos.11.0", "-shared")),
        )),
        Target("x86_64-macos", ".dylib", "macosx_10_13_x86_64", (
            Variant("x86_64-macos", 0, ("-target", "x86_64-macos.10.13", "-shared")),
        )),
        Target("x86_64-windows", ".dll", "win_amd64", (
            Variant("x86_64-windows", 0, ("-target", "x86_64-windows-none", "-shared", "-Wl,-e,nx_abi")),
        )),
    )
}  # fmt: skip

_COMMON = (
    "-std=c2x", "-O3", "-g0", "-s", "-nostdlib", "-ffreestanding", "-fno-builtin", "-fvisibility=hidden",
    "-ffp-contract=off", "-fwrapv", "-fno-stack-protector", "-fno-sanitize=all",
    "-Wall", "-Wno-pass-failed", "-Wno-unused-function",
)  # fmt: skip


def host_target() -> str | None:
    """Return the name of this machine's target, or None when there is none for it."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    system = {"darwin": "macos", "win32": "windows"}.get(sys.platform, sys.platform)
    name = f"{machine}-{system}"
    return name if name in TARGETS else None


def native_targets(names: tuple[str, ...]) -> tuple[Target, ...]:
    """Return the targets that names mean; "host" is this machine. Raises UnsupportedError for an unknown one."""
    found = []
    for name in names:
        resolved = host_target() if name == "host" else name
        if resolved is None or resolved not in TARGETS:
            machine = f" for this machine ({platform.machine()} {sys.platform})" if name == "host" else ""
            raise UnsupportedError(f"native target '{name}' is unknown{machine}; known are {', '.join(TARGETS)}")
        found.append(TARGETS[resolved])
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=1)
def find_zig() -> Path:
    """Return the zig to use: NEURENIX_ZIG, the ziglang package's, or one on PATH. Raises ToolchainError."""
    chosen = os.environ.get("NEURENIX_ZIG")
    spec = importlib.util.find_spec("ziglang")
    name = "zig.exe" if sys.platform == "win32" else "zig"
    packaged = Path(spec.origin).parent / name if spec and spec.origin else None
    path = Path(chosen) if chosen else packaged or Path(shutil.which("zig") or "zig")
    if not path.is_file():
        what = f"NEURENIX_ZIG names {path}, which is not there" if chosen else "zig is not installed"
        raise ToolchainError(f"{what}: pip install 'hatch-neurenix[compile]' brings it (the package ziglang)")
    return path


@lru_cache(maxsize=1)
def zig_version() -> str:
    """Return the version of the zig in use. Raises ToolchainError when it is too old or does not run."""
    zig = find_zig()
    try:
        version = subprocess.run(
            [zig, "version"], capture_output=True, text=True, check=True, timeout=60
        ).stdout.strip()
        numbers = tuple(int(n) for n in version.split("-")[0].split(".")[:2])
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise ToolchainError(
            f"{zig} does not run, or is no zig: {error} -- pip install 'hatch-neurenix[compile]' brings one"
        ) from error
    if numbers < OLDEST_ZIG:
        raise ToolchainError(f"found zig {version} at {zig}, need at least 0.17: pip install 'hatch-neurenix[compile]'")
    return version


# What users wrote must stand on its own: a library for Linux would else wait for symbols of whoever loads it.
_COMPLETE = ("-Wl,-z,defs", "-Wl,--gc-sections")


def compile_c(
    source: str, variant: Variant, output: str, headers: Mapping[str, str] | None = None, units: Sequence[Unit] = ()
) -> bytes:
    """Compile as `compiled_file` does, and return the library or module itself."""
    return compiled_file(source, variant, output, headers, units).read_bytes()


def compiled_file(
    source: str, variant: Variant, output: str, headers: Mapping[str, str] | None = None, units: Sequence[Unit] = ()
) -> Path:
    """Compile a C file that may include kernels/c, and return where in the cache the library or module lies.

    `output` names the file that is made; `headers` are further files beside the source and `units` what is compiled
    and linked with it. The same source, kernels, flags and zig are compiled once and then taken from the cache. Raises
    CompileError with zig's first messages.
    """
    kernels = resource("kernels", "c")
    exports = ["nx_abi", "nx_run"] if "wasm32-freestanding" in variant.flags else []
    flags = [*_COMMON, *variant.flags, *(f"-Wl,--export={name}" for name in exports)]
    if units and "linux" in variant.name:
        flags += _COMPLETE
    files = {"model.c": source, **(headers or {})}
    files |= {unit.file: unit.text for unit in units}
    files |= dict(module for unit in units for module in unit.modules.values())
    key = cache_key({
        "stage": "compiled", "files": files, "flags": flags, "zig": zig_version(), "output": output,
        "units": [[unit.file, {name: file for name, (file, _) in unit.modules.items()}] for unit in units],
        "kernels": {p.name: file_digest(p) for p in sorted(kernels.iterdir())},
    })  # fmt: skip
    cache = Cache()
    entry = cache.get(key) or cache.put(key, lambda folder: _compile(files, flags, folder / output, output, units))
    return entry / output


def _compile(files: Mapping[str, str], flags: list[str], target: Path, output: str, units: Sequence[Unit] = ()) -> None:
    with tempfile.TemporaryDirectory(prefix="neurenix-") as work:
        folder = Path(work)
        for path in sorted(resource("kernels", "c").iterdir()):
            shutil.copyfile(path, folder / path.name)
        for name, text in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
        made = [str(_zig_object(unit, flags, output)) if unit.modules else unit.file for unit in units]
        link = ["cc", *flags, "-I.", "-o", output, "model.c", *made]
        done = _zig(folder, link)
        if "undefined symbol" in done.stderr and any(u.modules for u in units):
            done = _zig(folder, [*link, str(_zig_library(flags))])
        if done.returncode or not (folder / output).is_file():
            raise _failed(folder, ["model.c", *(unit.file for unit in units)], output, done)
        target.write_bytes((folder / output).read_bytes())


def _zig_object(unit: Unit, flags: Sequence[str], output: str) -> Path:
    """Return a unit in Zig as an object: an entry of its own, for it takes seconds, and many a module may have it."""
    options = _zig_flags(unit, flags)
    files = {unit.file: unit.text, **dict(unit.modules.values())}

    def write(entry: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="neurenix-") as work:
            folder = Path(work)
            for name, text in files.items():
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_text(text, encoding="utf-8", newline="\n")
            done = _zig(folder, ["build-obj", *options])
            if done.returncode or not (folder / f"{unit.file}.o").is_file():
                raise _failed(folder, list(files), output, done)
            shutil.copyfile(folder / f"{unit.file}.o", entry / "unit.o")

    key = cache_key({"stage": "zig-object", "files": files, "options": options, "zig": zig_version()})
    cache = Cache()
    return (cache.get(key) or cache.put(key, write)) / "unit.o"


def _failed(folder: Path, files: Sequence[str], output: str, done: subprocess.CompletedProcess[str]) -> CompileError:
    """Keep the sources of what does not compile, and return the error with zig's first messages."""
    kept = Path(tempfile.mkdtemp(prefix="neurenix-failed-"))
    for name in files:
        (kept / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(folder / name, kept / name)
    first = "\n".join(done.stderr.strip().splitlines()[:12])
    return CompileError(f"zig could not compile {output} (the source is kept in {kept}):\n{first}")


def _zig(folder: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run zig in a folder, which keeps its caches too: they are not safe for several processes."""
    own = str(folder / ".zig")
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": own, "ZIG_LOCAL_CACHE_DIR": own}
    command = [str(find_zig()), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def _zig_flags(unit: Unit, flags: Sequence[str]) -> list[str]:
    """Return how a unit in Zig is compiled for the target that these flags of `zig cc` name."""
    shared = [part for name in unit.modules for part in ("--dep", name)]
    modules = [f"-Mroot={unit.file}"]
    for name, (file, _) in unit.modules.items():
        modules += [*shared, f"-M{name}={file}"]
    return [*_zig_target(flags), *shared, *modules, f"-femit-bin={unit.file}.o"]


def _zig_target(flags: Sequence[str]) -> list[str]:
    machine = [flag for flag in flags if flag.startswith("-mcpu=") or flag == "-fPIC"]
    return [
        "-target", flags[flags.index("-target") + 1], *machine, "-O", "ReleaseFast", "-fstrip", "-ffunction-sections",
        "-fno-stack-check", "-fno-unwind-tables",
    ]  # fmt: skip


def _zig_library(flags: Sequence[str]) -> Path:
    """Return Zig's own functions, such as @exp and @memset, for the target of these flags.

    It takes seconds to compile, so that it is an entry of its own, and only kernels that need it are linked with it.
    """
    options = [*_zig_target(flags), "-fcompiler-rt", "-femit-bin=library.o"]

    def write(entry: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="neurenix-") as work:
            folder = Path(work)
            # A panic would want a whole operating system.
            (folder / "root.zig").write_text('pub const panic = @import("std").debug.no_panic;\n', encoding="utf-8")
            done = _zig(folder, ["build-obj", *options, "root.zig"])
            if done.returncode:
                raise CompileError(f"zig could not compile its own library:\n{done.stderr[:2000]}")
            shutil.copyfile(folder / "library.o", entry / "library.o")

    key = cache_key({"stage": "zig-library", "options": options, "zig": zig_version()})
    cache = Cache()
    return (cache.get(key) or cache.put(key, write)) / "library.o"
