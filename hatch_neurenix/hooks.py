"""The entry point that hatchling loads in every project, even where it is not used: it imports late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatchling.plugin import hookimpl

if TYPE_CHECKING:
    from hatch_neurenix.build_hook import NeurenixBuildHook
    from hatch_neurenix.site_builder import StaticSiteBuilder


@hookimpl
def hatch_register_build_hook() -> type[NeurenixBuildHook]:
    from hatch_neurenix.build_hook import NeurenixBuildHook

    return NeurenixBuildHook


@hookimpl
def hatch_register_builder() -> type[StaticSiteBuilder]:
    from hatch_neurenix.site_builder import StaticSiteBuilder

    return StaticSiteBuilder
