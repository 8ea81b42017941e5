"""Builds a static site: the project's pages, a page for each model, and all that hosts and browsers ask for.

The same inputs give the same bytes in every file, in any directory.
"""

from neurenix.site.build import Site, SiteFile, SiteOptions, build_site
from neurenix.site.inputs import InputHints
from neurenix.site.provenance import Project

__all__ = ["InputHints", "Project", "Site", "SiteFile", "SiteOptions", "build_site"]
