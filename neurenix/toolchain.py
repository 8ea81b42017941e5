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
from collections.abc import Mapping
from dataclasses import dataclass
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
    """A native host: its name for the user, zig's name, what its libraries are called, and wheels for it."""

    name: str
    suffix: str
    wheel_tag: str
    variants: tuple[Variant, ...]


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
        Target("x86_64-linux", ".so", "manylinux_2_17_x86_64", (
            Variant("x86_64_v3-linux", 3, ("-target", "x86_64-linux-none", "-mcpu=x86_64_v3", *_LINUX)),
            Variant("x86_64-linux", 0, ("-target", "x86_64-linux-none", "-mcpu=x86_64", *_LINUX)),
        )),
        Target("aarch64-linux", ".so", "manylinux_2_17_aarch64", (
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
        raise ToolchainError(f"{zig} does not run: {error}") from error
    if numbers < OLDEST_ZIG:
        raise ToolchainError(f"found zig {version} at {zig}, need at least 0.17: pip install 'hatch-neurenix[compile]'")
    return version


def compile_c(source: str, variant: Variant, output: str, headers: Mapping[str, str] | None = None) -> bytes:
    """Compile as `compiled_file` does, and return the library or module itself."""
    return compiled_file(source, variant, output, headers).read_bytes()


def compiled_file(source: str, variant: Variant, output: str, headers: Mapping[str, str] | None = None) -> Path:
    """Compile a C file that may include kernels/c, and return where in the cache the library or module lies.

    `output` names the file that is made; `headers` are further files beside the source. The same source,
    kernels, flags and zig are compiled once and then taken from the cache. Raises CompileError with zig's
    first messages.
    """
    kernels = resource("kernels", "c")
    exports = ["nx_abi", "nx_run"] if "wasm32-freestanding" in variant.flags else []
    flags = [*_COMMON, *variant.flags, *(f"-Wl,--export={name}" for name in exports)]
    files = {"model.c": source, **(headers or {})}
    key = cache_key({
        "stage": "compiled", "files": files, "flags": flags, "zig": zig_version(), "output": output,
        "kernels": {p.name: file_digest(p) for p in sorted(kernels.iterdir())},
    })  # fmt: skip
    cache = Cache()
    entry = cache.get(key) or cache.put(key, lambda folder: _compile(files, flags, folder / output, output))
    return entry / output


def _compile(files: Mapping[str, str], flags: list[str], target: Path, output: str) -> None:
    with tempfile.TemporaryDirectory(prefix="neurenix-") as work:
        folder = Path(work)
        for path in sorted(resource("kernels", "c").iterdir()):
            shutil.copyfile(path, folder / path.name)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
        # zig's own caches are not safe for several processes: one each, and nothing of the user's is touched.
        environment = {
            **os.environ,
            "ZIG_GLOBAL_CACHE_DIR": str(folder / ".zig"),
            "ZIG_LOCAL_CACHE_DIR": str(folder / ".zig"),
        }
        command = [str(find_zig()), "cc", *flags, "-I.", "-o", output, "model.c"]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode or not (folder / output).is_file():
            kept = Path(tempfile.mkdtemp(prefix="neurenix-failed-"))
            shutil.copyfile(folder / "model.c", kept / "model.c")
            first = "\n".join(done.stderr.strip().splitlines()[:12])
            raise CompileError(f"zig could not compile {output} (the source is kept in {kept}):\n{first}")
        target.write_bytes((folder / output).read_bytes())
