"""Reads a WebAssembly module: what it imports and exports, and where its own data ends. No more than that.

Sections and their encoding: WebAssembly Core Specification, chapter 5.
"""

from __future__ import annotations

from dataclasses import dataclass

from neurenix.errors import CompileError

_IMPORT, _GLOBAL, _EXPORT = 2, 6, 7
_KINDS = ("function", "table", "memory", "global")


@dataclass(frozen=True)
class WasmFile:
    """`imports` are "module.name" strings, `exports` maps names to kinds, `heap` is the value of `__heap_base`."""

    imports: tuple[str, ...]
    exports: dict[str, str]
    heap: int


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def leb(self) -> int:
        """An unsigned LEB128; for the small positive constants of an address the signed form is the same."""
        result = shift = 0
        while True:
            byte = self.byte()
            result |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return result

    def name(self) -> str:
        length = self.leb()
        self.at += length
        return self.data[self.at - length : self.at].decode()


def check_interface(module: bytes, file: str, base: int) -> None:
    """Raise CompileError unless a module imports memory alone, exports a plan's functions, and ends below `base`."""
    found = read_wasm(module)
    if found.imports != ("env.memory",) or not {"nx_run", "nx_abi"} <= found.exports.keys():
        raise CompileError(
            f"{file} imports {', '.join(found.imports)} and exports {', '.join(sorted(found.exports))}: it may import "
            "nothing but env.memory, and must export nx_run and nx_abi"
        )
    if not 0 < found.heap <= base:
        raise CompileError(f"{file}: its stack and data end at {found.heap}, above the weights at {base}")


def read_wasm(module: bytes) -> WasmFile:
    """Parse a module that zig made. Raises CompileError when it is not one."""
    if module[:8] != b"\0asm\1\0\0\0":
        raise CompileError(f"zig made something that is no WebAssembly module: it begins with {module[:8]!r}")
    reader = _Reader(module)
    reader.at = 8
    imports: list[str] = []
    exports: dict[str, tuple[str, int]] = {}
    values: list[int] = []
    while reader.at < len(module):
        section, size = reader.byte(), reader.leb()
        end = reader.at + size
        if section == _IMPORT:
            imports = [_read_import(reader) for _ in range(reader.leb())]
        elif section == _GLOBAL:
            values = [_read_global(reader) for _ in range(reader.leb())]
        elif section == _EXPORT:
            for _ in range(reader.leb()):
                name = reader.name()
                exports[name] = (_KINDS[reader.byte()], reader.leb())
        reader.at = end
    heap = values[exports["__heap_base"][1]] if "__heap_base" in exports else 0
    return WasmFile(tuple(imports), {name: kind for name, (kind, _) in exports.items()}, heap)


def _read_import(reader: _Reader) -> str:
    name = f"{reader.name()}.{reader.name()}"
    kind = _KINDS[reader.byte()]
    if kind == "function":
        reader.leb()  # its type
    elif kind == "global":
        reader.at += 2  # its type, and whether it changes
    else:
        reader.at += kind == "table"  # the type of its elements
        has_most = reader.byte() & 1
        for _ in range(1 + has_most):
            reader.leb()
    return name


def _read_global(reader: _Reader) -> int:
    reader.byte()  # its type
    reader.byte()  # whether it changes
    opcode = reader.byte()
    assert opcode == 0x41, "a global starts from something that is no i32.const"
    value = reader.leb()
    reader.byte()  # end
    return value
