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
    kind = reader.byte()
    assert kind == 2, f"{name} is imported and is no memory"
    if reader.byte() & 1:
        reader.leb()
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
