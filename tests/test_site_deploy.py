"""The recipes in docs/deploy.md: they are valid, and upload the folder that they have built."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from hatch_neurenix.site_steps import SiteTable, read_site_table
from neurenix.site.hosting import Headers

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TEXT = (Path(__file__).parents[1] / "docs" / "deploy.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.M | re.S)


def workflow(name: str) -> dict[str, Any]:
    (found,) = (w for w in map(yaml.safe_load, blocks("yaml")) if w["name"] == name)
    assert isinstance(found, dict)
    return found


def steps(name: str) -> list[dict[str, Any]]:
    (job,) = workflow(name)["jobs"].values()
    found: list[dict[str, Any]] = job["steps"]
    return found


def run_build(folder: Path, command: str) -> None:
    """Run a recipe's commands where `hatch build` makes a site of the right name, and pip nothing."""
    tools = folder / "tools"
    tools.mkdir()
    made = "dist/scratch_app-1.0-site"
    (tools / "pip").write_text("#!/bin/sh\n", encoding="utf-8")
    (tools / "hatch").write_text(
        f'#!/bin/sh\n[ "$*" = "build -t static-site" ] && mkdir -p {made} && echo site > {made}/index.html\n',
        encoding="utf-8",
    )
    for tool in tools.iterdir():
        tool.chmod(0o755)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["sh", "-e", "-c", command], cwd=folder, env={**os.environ, "PATH": path}, check=True, timeout=60)


def test_the_workflow_for_github_pages_uploads_what_it_has_built(tmp_path: Path) -> None:
    found = steps("Pages")
    run_build(tmp_path, "\n".join(step["run"] for step in found if "run" in step))
    (upload,) = (step for step in found if step.get("uses", "").startswith("actions/upload-pages-artifact@"))
    assert (tmp_path / upload["with"]["path"] / "index.html").is_file()
    assert {"contents": "read", "pages": "write", "id-token": "write"} == workflow("Pages")["permissions"]
    assert found[-1]["uses"].startswith("actions/deploy-pages@")
    assert 'headers = "service-worker"' in TEXT.partition("## GitHub Pages")[2].partition("```yaml")[0]


def test_the_workflow_for_cloudflare_uploads_what_it_has_built(tmp_path: Path) -> None:
    found = steps("Cloudflare Pages")
    run_build(tmp_path, "\n".join(step["run"] for step in found if "run" in step))
    command = found[-1]["with"]["command"].split()
    assert ["pages", "deploy"] == command[:2]
    assert (tmp_path / command[2] / "index.html").is_file()


def test_netlify_publishes_what_it_has_built_again_and_again(tmp_path: Path) -> None:
    (build,) = (found["build"] for found in map(tomllib.loads, blocks("toml")) if "build" in found)
    run_build(tmp_path, f"{build['command']}; {build['command']}")
    assert (tmp_path / build["publish"] / "index.html").is_file()


def test_the_options_are_all_there_and_their_defaults_right() -> None:
    (block,) = (b for b in blocks("toml") if "targets.static-site" in b)
    table = tomllib.loads(block)["tool"]["hatch"]["build"]["targets"]["static-site"]
    assert [field.name for field in dataclasses.fields(SiteTable)] == list(table)
    options = read_site_table(table)
    assert (SiteTable.headers, SiteTable.offline) == (options.headers, options.offline)
    for choice in get_args(Headers):
        assert f'"{choice}"' in block


@pytest.mark.parametrize("language", ["yaml", "toml"])
def test_every_recipe_is_valid(language: str) -> None:
    assert [bool(yaml.safe_load(b) if language == "yaml" else tomllib.loads(b)) for b in blocks(language)] == [True] * 2
