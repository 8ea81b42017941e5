"""The same pipeline for projects that setuptools builds: `[tool.neurenix]` in pyproject.toml is all that they need.

setuptools calls `finalize` in every project where this is installed; without that table it does nothing. With it,
`build` gets the sub-command `build_neurenix`, which puts the models into `<package>/_neurenix`: of the wheel, or of
the sources in an editable install. The package is the one called like the project, or the only one.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def finalize(dist: Any) -> None:
    """Add the sub-command to a project that has a `[tool.neurenix]` table."""
    document = _document()
    if "neurenix" in document.get("tool", {}):
        dist.cmdclass.update(_commands(dist, document))


def _commands(dist: Any, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return our command, and setuptools' own that must know of it."""
    from setuptools import Command

    from hatch_neurenix.package_models import copy_package, models_for_package, models_for_sdist, stage_package
    from hatch_neurenix.placement import FOLDER, package_files, wheel_tag
    from neurenix.environment import misspelt

    class BuildNeurenix(Command):  # type: ignore[misc]
        """The sub-command: setuptools asks it for what it reads and what it writes, too."""

        description = "build the neural networks of [tool.neurenix]"
        user_options: list[Any] = []  # noqa: RUF012 - what setuptools reads of the class
        editable_mode = False

        def initialize_options(self) -> None:
            self.build_lib: str | None = None

        def finalize_options(self) -> None:
            self.set_undefined_options("build_py", ("build_lib", "build_lib"))

        def run(self) -> None:
            for warning in misspelt():
                _say(f"hatch-neurenix: warning: {warning}")
            with _readable():
                name, folder = _package(dist)
                models = models_for_package(document, Path(), _say, "editable" if self.editable_mode else "wheel")
                if self.editable_mode:
                    stage_package(folder / FOLDER, models)
                    return
                target = Path(self.build_lib or "") / name / FOLDER
                # What an editable install has staged in the sources may have been copied as if it were one of them.
                shutil.rmtree(target, ignore_errors=True)
                copy_package(target, models)

        def get_source_files(self) -> list[str]:
            with _readable():
                return sorted(models_for_sdist(document, Path(), _say, prebuilt=False)[0].values())

        def get_outputs(self) -> list[str]:
            if self.editable_mode:
                return []
            with _readable():
                files = package_files(models_for_package(document, Path(), _say, "wheel"))
                return [str(Path(self.build_lib or "") / _package(dist)[0] / FOLDER / file) for file in files]

        def get_output_mapping(self) -> dict[str, str]:
            return {}

    build = dist.get_command_class("build")
    sdist = dist.get_command_class("sdist")
    bdist_wheel = dist.get_command_class("bdist_wheel")

    class Build(build):  # type: ignore[misc, valid-type]
        sub_commands = (*build.sub_commands, ("build_neurenix", None))

    class SDist(sdist):  # type: ignore[misc, valid-type]
        def make_release_tree(self, base_dir: str, files: list[str]) -> None:
            super().make_release_tree(base_dir, files)
            with _readable():
                for path, name in models_for_sdist(document, Path(), _say)[0].items():
                    target = Path(base_dir) / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    if not target.exists():
                        shutil.copyfile(path, target)

    class BdistWheel(bdist_wheel):  # type: ignore[misc, valid-type]
        def finalize_options(self) -> None:
            super().finalize_options()
            # From the configuration: whoever asks for the metadata alone waits for no training.
            with _readable():
                # A package with an extension module has a tag of its own, which is narrower.
                self._neurenix_tag = None if dist.has_ext_modules() else wheel_tag(_targets(document))
            if self._neurenix_tag is not None:
                self.root_is_pure = False
                # Else all of the package would be installed as the part of it that no platform matters to.
                dist.has_ext_modules = lambda: True

        def get_tag(self) -> tuple[str, str, str]:
            if self._neurenix_tag is None:
                python, abi, platform = super().get_tag()
                return python, abi, platform
            python, abi, platform = self._neurenix_tag.split("-")
            return python, abi, platform

    return {"build_neurenix": BuildNeurenix, "build": Build, "sdist": SDist, "bdist_wheel": BdistWheel}


def _package(dist: Any) -> tuple[str, Path]:
    """Return the import name of the package that carries the models, and its folder."""
    from hatch_neurenix.placement import find_package

    build_py = dist.get_command_obj("build_py")
    build_py.ensure_finalized()
    folders = {Path(build_py.get_package_dir(name)): name for name in build_py.packages or () if "." not in name}
    chosen = Path(find_package(Path(), None, map(str, folders), dist.get_name(), where="the project"))
    return folders[chosen], chosen


def _targets(document: Mapping[str, Any]) -> list[str]:
    from neurenix.config import parse_config
    from neurenix.project.jobs import target_names
    from neurenix.toolchain import native_targets

    return [target.name for target in native_targets(target_names(parse_config(document, target="wheel")))]


@contextmanager
def _readable() -> Iterator[None]:
    """End the build with the message alone when it fails on purpose."""
    from setuptools.errors import SetupError

    from neurenix.cli.wording import plain
    from neurenix.error_pages import explained_at
    from neurenix.errors import NeurenixError

    try:
        yield
    except (NeurenixError, OSError) as error:
        more = f"More about it: {explained_at(error)}"
        raise SetupError(f"hatch-neurenix: {plain(str(error))}\n{more}") from None


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _document() -> dict[str, Any]:
    try:
        document: dict[str, Any] = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
        return document
    except (OSError, ValueError):
        return {}  # It is not there, or setuptools itself says what is wrong with it.
