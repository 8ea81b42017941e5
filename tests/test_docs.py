"""Claims about docs/ as a whole: links lead somewhere, here and in the site; every error has its section."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from test_errors import browser_codes, kinds

from neurenix.errors import NeurenixError

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
READ_HERE = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "example-app" / "README.md"]
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CODES = {NeurenixError.code, *(kind.code for kind in kinds()), *browser_codes()}


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as code hosts and the site make them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[\s]", "-", re.sub(r"[^\w\s-]", "", heading.strip().lower())) for heading in headings}


def links(page: Path) -> list[str]:
    return re.findall(r"(?<!!)\[[^\]\n]+\]\(([^)\s]+)\)", prose(page))


@pytest.mark.parametrize("page", READ_HERE, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_between_files_leads_somewhere(page: Path) -> None:
    for link in links(page):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_stay_in_the_site(page: Path) -> None:
    outside = [link for link in links(page) if link.startswith(("..", "/"))]
    assert [] == outside, "the site has no such file: name its path as code"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_of_the_repository_that_a_page_names_are_there(page: Path) -> None:
    named = re.findall(
        r"`((?:neurenix|hatch_neurenix|kernels|templates|tests|benchmarks|example-app)/[^`\s*]+)`", prose(page)
    )
    for path in named:
        assert (ROOT / path).exists(), f"{page.name}: {path}"


def test_every_page_is_in_the_contents_and_linked_from_the_index() -> None:
    names = {page.name for page in PAGES}
    config = yaml.safe_load((ROOT / ".mkdocs.yml").read_text(encoding="utf-8"))
    in_contents = re.findall(r"[\w-]+\.md", str(config["nav"]))
    assert sorted(names) == sorted(in_contents)
    assert names - {"index.md"} == set(links(DOCS / "index.md"))


def test_every_error_has_a_section_and_no_section_is_of_another() -> None:
    headings = re.findall(r"^## (.+)$", prose(DOCS / "errors.md"), re.MULTILINE)
    assert len(headings) == len(set(headings))
    assert CODES == set(headings)


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_section_names_its_class_and_says_the_way_out(code: str) -> None:
    text = prose(DOCS / "errors.md")
    section = re.split(r"^## ", text.split(f"\n## {code}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]
    assert "**Way out.**" in section
    names = {kind.code: kind.__name__ for kind in (NeurenixError, *kinds())}
    assert section.strip().startswith(f"`{names[code]}`" if code in names else "Only in JavaScript")
    parents = {kind.code: kind.__mro__[1].code for kind in kinds() if kind.__mro__[1] is not NeurenixError}
    if code in parents:
        assert f"a `{parents[code]}` of its own code" in section
    if code != NeurenixError.code:
        assert f"[{code}](#{code})" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dead", "instead"), [("", ""), ("(config.md)", "(configuration.md)"), ("(config.md)", "(config.md#no)")]
)
def test_the_site_is_built_and_a_dead_link_is_an_error(tmp_path: Path, dead: str, instead: str) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for page in [*PAGES, DOCS / "neurenix.schema.json", DOCS / "site.css"]:
        (docs / page.name).write_bytes(page.read_bytes())
    index = (docs / "index.md").read_text(encoding="utf-8")
    assert dead in index
    (docs / "index.md").write_text(index.replace(dead, instead), encoding="utf-8")
    (tmp_path / ".mkdocs.yml").write_bytes((ROOT / ".mkdocs.yml").read_bytes())
    command = [sys.executable, "-W", "ignore", "-m", "mkdocs", "build", "--strict", "--config-file", ".mkdocs.yml"]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    said = done.stdout + done.stderr
    if instead:
        assert done.returncode != 0, said
        assert instead.strip("()").split("#")[0] in said
        return
    assert 0 == done.returncode, said
    made = tmp_path / ".make" / "docs"
    for page in PAGES:
        html = (made / page.with_suffix(".html").name).read_text(encoding="utf-8")
        fetched = re.findall(r'(?:src|<link[^>]* href)="(https?:[^"]*)"', html)
        assert [] == fetched, "the site fetches something from elsewhere"
    assert 'href="site.css"' in (made / "index.html").read_text(encoding="utf-8")
    assert 'id="bad_integrity"' in (made / "errors.html").read_text(encoding="utf-8")
