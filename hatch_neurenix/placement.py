"""Decides where the models go in a wheel: the package that carries them, their paths, the wheel's tag."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurenix.errors import ConfigError
from neurenix.project.build_record import BuiltModel
from neurenix.project.fingerprint import STAGED
from neurenix.resources import module_file
from neurenix.toolchain import TARGETS

FOLDER = STAGED

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
    own = {key: value for key, value in table.items() if key not in HATCHLING_HOOK_KEYS}
    if not own:
        return HookTable()
    # Here and not above: an unchanged project with nothing to read does not wait for the configuration's rules.
    from neurenix.config.validate import read_table

    problems: list[str] = []
    options = read_table(HookTable, own, _HOOK, problems)
    if options is None:
        raise ConfigError(problems)
    return options


def find_package(
    root: Path, option: str | None, included: Iterable[str], project: str, where: str = f"{_HOOK}.package"
) -> str:
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
    hint = "set package = '...' to the one for the models" if where.startswith(_HOOK) else "one must be called like it"
    raise ConfigError([f"{where}: the wheel has {found} -- {hint}"])


def package_files(models: Sequence[BuiltModel]) -> dict[str, Path]:
    """Return each file that a package carries of its models, by its name below the folder `_neurenix`.

    Beside native libraries there is a module that loads them, by this project or, standalone, by NumPy alone.
    """
    files = {
        f"{model.name}/{file.relative_to(model.directory).as_posix()}": file
        for model in models
        for file in sorted(model.directory.rglob("*"))
        if file.is_file()
    }
    if any(model.report["native_targets"] for model in models):
        standalone = any(model.standalone for model in models)
        files["__init__.py"] = (
            module_file("neurenix.project.standalone") if standalone else module_file("hatch_neurenix.packaged_loader")
        )
    return files


def wheel_tag(targets: Iterable[str]) -> str | None:
    """Return the tag of a wheel with libraries for these targets, or None when nothing in it depends on the platform.

    Libraries for several platforms in one wheel give it all their tags; installers accept any of them.
    """
    tags = sorted({tag for target in targets for tag in TARGETS[target].wheel_tag.split(".")})
    return f"py3-none-{'.'.join(tags)}" if tags else None
