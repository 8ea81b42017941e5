"""The tree of a model: what a module owns by name, and the ways to walk it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from neurenix.errors import InputError
from neurenix.tensor import Tensor

if TYPE_CHECKING:
    from typing_extensions import Self

TABLES = ("_parameters", "_buffers", "_modules")


class Parameter(Tensor):
    """A tensor that training changes."""

    def __init__(self, data: Any = (), requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad=requires_grad)


class Tree:
    """Parameters, buffers and child modules are attributes; names are the attribute paths.

    `model.features[0].weight` is "features.0.weight".
    """

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Any]
    _transient: set[str]

    def __init__(self) -> None:
        for table in TABLES:
            object.__setattr__(self, table, {})
        object.__setattr__(self, "_transient", set())

    # ── attributes ──────────────────────────────────────────────────────────────────────────────────

    def __setattr__(self, name: str, value: Any) -> None:
        if "_modules" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__}.__init__ must call super().__init__() before it sets '{name}'")
        home = self._home(name, value)
        for table in (self._parameters, self._buffers, self._modules):
            if table is not home:
                table.pop(name, None)
        if home is not self._buffers:
            self._transient.discard(name)
        if home is None:
            object.__setattr__(self, name, value)
        else:  # an assigned name keeps its place in the order
            self.__dict__.pop(name, None)
            home[name] = value

    def _home(self, name: str, value: Any) -> dict[str, Any] | None:
        """Return the table that an assigned value belongs to; None keeps the place of what was there."""
        if isinstance(value, Parameter):
            return self._parameters
        if isinstance(value, Tree):
            return self._modules
        if isinstance(value, Tensor) and name in self._buffers:
            return self._buffers
        if value is None:
            return next((t for t in (self._parameters, self._buffers, self._modules) if name in t), None)
        return None

    def __getattr__(self, name: str) -> Any:
        # Called only when the ordinary look-up fails.
        for table in TABLES:
            found = self.__dict__.get(table, {})
            if name in found:
                return found[name]
        raise AttributeError(f"{type(self).__name__} has no attribute '{name}'")

    def __delattr__(self, name: str) -> None:
        for table in (self._parameters, self._buffers, self._modules):
            if name in table:
                del table[name]
                self._transient.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._parameters, *self._buffers, *self._modules})

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Keep a tensor that is no parameter; `persistent` makes it part of the state."""
        _check_name(self, name, self._buffers)
        self._buffers[name] = tensor
        if persistent:
            self._transient.discard(name)
        else:
            self._transient.add(name)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Keep a parameter under a name; None keeps the name without one."""
        _check_name(self, name, self._parameters)
        self._parameters[name] = param

    def add_module(self, name: str, module: Tree | None) -> None:
        """Keep a child under a name; None keeps the name without one. Raises InputError for what is no module."""
        if not isinstance(module, Tree) and module is not None:
            raise InputError(f"a child must be a module; '{name}' is a {type(module).__name__}: {module!r}")
        _check_name(self, name, self._modules)
        self._modules[name] = module

    register_module = add_module

    # ── walking ─────────────────────────────────────────────────────────────────────────────────────

    def children(self) -> Iterator[Self]:
        """Yield the modules directly in this one."""
        yield from (child for _, child in self.named_children())

    def named_children(self) -> Iterator[tuple[str, Self]]:
        """Yield the modules directly in this one with their names, each once."""
        seen: set[int] = set()
        for name, child in self._modules.items():
            if child is not None and id(child) not in seen:
                seen.add(id(child))
                yield name, child

    def modules(self) -> Iterator[Self]:
        """Yield this module and everything in it."""
        yield from (module for _, module in self.named_modules())

    def named_modules(self, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, Self]]:
        """Yield this module under `prefix`, then everything in it, in the order of assignment.

        A module that is in several places is yielded at the first, or with `remove_duplicate=False` at each.
        """
        yield from _walk(self, prefix, set() if remove_duplicate else None)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield the parameters of this module and, with `recurse`, of everything in it."""
        yield from (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yield the buffers of this module and, with `recurse`, of everything in it."""
        yield from (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yield the parameters with their names; a shared one under its first name only, unless asked for."""
        yield from self._named("_parameters", prefix, recurse, remove_duplicate)

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield the buffers with their names; a shared one under its first name only, unless asked for."""
        yield from self._named("_buffers", prefix, recurse, remove_duplicate)

    def _named(self, table: str, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        walked = self.named_modules(prefix, remove_duplicate) if recurse else iter([(prefix, self)])
        for path, module in walked:
            for name, tensor in module.__dict__[table].items():
                if tensor is not None and not (remove_duplicate and id(tensor) in seen):
                    seen.add(id(tensor))
                    yield (f"{path}.{name}" if path else name), tensor

    def get_submodule(self, target: str) -> Any:
        """Return the module of a path such as "features.0"; "" is this one. Raises InputError when there is none."""
        module: Any = self
        for name in target.split(".") if target else ():
            child = module._modules.get(name)
            if child is None:
                known = ", ".join(n for n, _ in module.named_children()) or "none"
                raise InputError(f"'{target}': {type(module).__name__} has no module '{name}'; it has {known}")
            module = child
        return module

    def get_parameter(self, target: str) -> Parameter:
        """Return the parameter of a path such as "features.0.weight". Raises InputError when there is none."""
        found: Parameter = self._get(target, "_parameters", "parameter")
        return found

    def get_buffer(self, target: str) -> Tensor:
        """Return the buffer of a path such as "features.1.running_mean". Raises InputError when there is none."""
        found: Tensor = self._get(target, "_buffers", "buffer")
        return found

    def _get(self, target: str, table: str, kind: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        known = {n: t for n, t in module.__dict__[table].items() if t is not None}
        if name not in known:
            raise InputError(
                f"'{target}': {type(module).__name__} has no {kind} '{name}'; it has {', '.join(known) or 'none'}"
            )
        return known[name]


def _walk(module: Any, prefix: str, seen: set[int] | None) -> Iterator[tuple[str, Any]]:
    if seen is not None:
        if id(module) in seen:
            return
        seen.add(id(module))
    yield prefix, module
    for name, child in module._modules.items():
        if child is not None:
            yield from _walk(child, f"{prefix}.{name}" if prefix else name, seen)


def _check_name(tree: Tree, name: str, home: dict[str, Any]) -> None:
    if not isinstance(name, str) or not name or "." in name:
        raise InputError(f"a name must be a text without dots, since dots join names to paths; got {name!r}")
    if name not in home and hasattr(tree, name):
        raise InputError(f"{type(tree).__name__} already has an attribute '{name}'")
