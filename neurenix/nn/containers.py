"""Modules that hold modules or parameters: in a row, in a list, by name."""

from __future__ import annotations

import operator
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import TYPE_CHECKING, Any

from neurenix.errors import InputError
from neurenix.nn.module import Module, Parameter

if TYPE_CHECKING:
    from typing_extensions import Self


class _Listed(Module):
    """Children named "0", "1", …, in that order."""

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __contains__(self, module: object) -> bool:
        return any(child is module for child in self)

    def __setitem__(self, index: int, module: Module) -> None:
        name = list(self._modules)[_position(index, len(self))]
        setattr(self, name, _checked(name, module))

    def __delitem__(self, index: int | slice) -> None:
        names = list(self._modules)
        gone = names[index] if isinstance(index, slice) else [names[_position(index, len(names))]]
        self._rename((n, m) for n, m in self._modules.items() if n not in gone)

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self.add_module(str(len(self)), _checked(str(len(self)), module))
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> None:
        """Add a module before the one at `index`; those after it move on."""
        children = list(self._modules.items())
        children.insert(index, (str(len(self)), _checked(str(index), module)))
        self._rename(children)

    def _rename(self, children: Iterable[tuple[str, Module]]) -> None:
        """Keep these children; numbers as names are counted afresh, other names stay."""
        kept = list(children)
        self._modules.clear()
        for i, (name, child) in enumerate(kept):
            self._modules[str(i) if name.isdigit() else name] = child

    def config(self) -> Mapping[str, Any]:
        return {}


class Sequential(_Listed):
    """Modules that run one after another, given as arguments or, with names, as one OrderedDict.

    Index, slice, append and iterate as with a list.
    """

    def __init__(self, *args: Module | Mapping[str, Module]) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.add_module(name, _checked(name, module))
            return
        for i, given in enumerate(args):
            if not isinstance(given, Module):
                raise InputError(f"Sequential takes modules; argument {i} is a {type(given).__name__}: {given!r}")
            self.append(given)

    def forward(self, input: Any) -> Any:
        for module in self:
            input = module(input)
        return input

    def __getitem__(self, index: int | slice) -> Any:
        names = list(self._modules)
        if isinstance(index, slice):
            return Sequential({name: self._modules[name] for name in names[index]})
        return self._modules[names[_position(index, len(names))]]


class ModuleList(_Listed):
    """A list of modules; whoever holds it decides how they run."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)

    def __getitem__(self, index: int | slice) -> Any:
        children = list(self)
        return ModuleList(children[index]) if isinstance(index, slice) else children[_position(index, len(children))]

    def __iadd__(self, modules: Iterable[Module]) -> Self:
        return self.extend(modules)


class ModuleDict(Module):
    """Modules by name; whoever holds it decides how they run."""

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        super().__init__()
        self.update(modules)

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        if key in self._modules:
            self._modules[key] = _checked(key, module)
        else:
            self.add_module(key, _checked(key, module))

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def keys(self) -> KeysView[str]:
        return self._modules.keys()

    def values(self) -> ValuesView[Any]:
        return self._modules.values()

    def items(self) -> ItemsView[str, Any]:
        return self._modules.items()

    def pop(self, key: str) -> Any:
        """Take a module out and return it."""
        return self._modules.pop(key)

    def clear(self) -> None:
        self._modules.clear()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add or replace modules, in the order given."""
        for key, module in modules.items() if isinstance(modules, Mapping) else modules:
            self[key] = module

    def config(self) -> Mapping[str, Any]:
        return {}


class ParameterList(Module):
    """A list of parameters named "0", "1", …; a tensor or an array that is put into it becomes a parameter."""

    def __init__(self, values: Iterable[Any] = ()) -> None:
        super().__init__()
        self.extend(values)

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Parameter]:
        return iter([parameter for parameter in self._parameters.values() if parameter is not None])

    def __getitem__(self, index: int | slice) -> Any:
        held = list(self)
        return ParameterList(held[index]) if isinstance(index, slice) else held[_position(index, len(held))]

    def __setitem__(self, index: int, value: Any) -> None:
        self._parameters[str(_position(index, len(self)))] = _parameter(value)

    def append(self, value: Any) -> Self:
        """Add a parameter at the end."""
        self.register_parameter(str(len(self)), _parameter(value))
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add parameters at the end."""
        for value in values:
            self.append(value)
        return self

    def config(self) -> Mapping[str, Any]:
        return {}


def _checked(name: str, module: Any) -> Module:
    if not isinstance(module, Module):
        raise InputError(f"a child must be a module; '{name}' is a {type(module).__name__}: {module!r}")
    return module


def _parameter(value: Any) -> Parameter:
    return value if isinstance(value, Parameter) else Parameter(value)


def _position(index: int, length: int) -> int:
    position = operator.index(index)
    if not -length <= position < length:
        raise IndexError(f"index {position} is out of range for {length} entries")
    return position % length
