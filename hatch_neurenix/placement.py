"""Decides where the models go in a wheel: the package that carries them, their paths, the wheel's tag."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurenix.config.validate import read_table
from neurenix.errors import ConfigError

if TYPE_CHECKING:
    from neurenix.pipeline import BuiltModel

FOLDER = "_neurenix"

# Keys that hatchling reads from a hook's or a target's table before the plugin sees it.
HATCHLING_HOOK_KEYS = frozenset(
    ["dependencies", "enable-by-default", "require-runtime-dependencies", "require-runtime-features"]
)

_HOOK = "tool.hatch.build.hooks.neurenix"


@dataclass(frozen=True)
class HookTable:
    """The table `[tool.hatch.build.hooks.neurenix]`."""

    package: str | None = field(
        default=None, metadata={"description": "The package that carries the models, such as 'src/app'."}
    )


def read_hook_table(table: Mapping[str, Any]) -> HookTable:
    """Read the hook's own options. Raises ConfigError."""
    problems: list[str] = []
    own = {key: value for key, value in table.items() if key not in HATCHLING_HOOK_KEYS}
    options = read_table(HookTable, own, _HOOK, problems)
    if options is None:
        raise ConfigError(problems)
    return options


def find_package(root: Path, option: str | None, included: Iterable[str], project: str) -> str:
    """Return the folder, relative to `root`, of the package that the models go into. Raises ConfigError.

    `option` decides when it is given: a folder, or an import name. Otherwise it is the only package among
    the `included` paths of the wheel, or the one of them that is called like the project.
    """
    if option is not None:
        for base in (root, root / "src"):
            folder = (base / option.replace(".", "/") if "/" not in option else base / option).resolve()
            if folder.is_dir() and folder.is_relative_to(root.resolve()) and folder != root.resolve():
                return folder.relative_to(root.resolve()).as_posix()
        raise ConfigError([f"{_HOOK}.package: {option!r} is no package in {root}"])
    packages = [path for path in included if (root / path / "__init__.py").is_file()]
    named = [path for path in packages if Path(path).name == project.replace("-", "_").replace(".", "_")]
    if len(packages) == 1 or len(named) == 1:
        return Path((named or packages)[0]).as_posix()
    found = ", ".join(packages) if packages else "no package"
    raise ConfigError([f"{_HOOK}.package: the wheel has {found} -- set package = '...' to the one for the models"])


def wheel_files(models: Sequence[BuiltModel], package: str) -> dict[str, str]:
    """Return what hatchling's `force_include` needs: each file of each bundle, and its place."""
    return {
        str(file): f"{package}/{FOLDER}/{model.name}/{file.relative_to(model.directory).as_posix()}"
        for model in models
        for file in sorted(model.directory.rglob("*"))
        if file.is_file()
    }


def wheel_tag(models: Sequence[BuiltModel], platform_tags: Mapping[str, str]) -> str | None:
    """Return the tag of a wheel with these models, or None when nothing in them depends on the platform.

    Libraries for several platforms in one wheel give it all their tags; installers accept any of them.
    """
    targets = {target for model in models for target in model.report["native_targets"]}
    tags = sorted({platform_tags[target] for target in targets})
    return f"py3-none-{'.'.join(tags)}" if tags else None
