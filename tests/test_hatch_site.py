"""Claims about `hatch build -t static-site`, by real builds of scratch projects."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from scratch_project import PYPROJECT, Project, refuses, tree

from neurenix.server import CONTENT_SECURITY_POLICY

pytest_plugins = ["scratch_fixtures"]
pytestmark = [pytest.mark.slow, pytest.mark.zig, pytest.mark.wasm]


def test_a_static_site_is_complete_and_proves_itself(project: Project) -> None:
    said = project.build("-t", "static-site")
    assert ["scratch_app-1.0-site"] == project.dist
    files = tree(project.site)
    for name in ("index.html", "app/main.js", "_headers", ".nojekyll", "models/tiny/tiny.js", "models/tiny/tiny.json"):
        assert name in files
    assert not any(name.endswith((".so", ".dylib", ".dll")) for name in files)
    assert f"/*\n  Content-Security-Policy: {CONTENT_SECURITY_POLICY}\n" in files["_headers"].decode()
    listed = {line.split("  ", 1)[1]: line.split("  ", 1)[0] for line in files["SHA256SUMS"].decode().splitlines()}
    assert {name: hashlib.sha256(files[name]).hexdigest() for name in files if name != "SHA256SUMS"} == listed
    assert f"neurenix serve {Path('dist', 'scratch_app-1.0-site')}" in said


def test_a_site_without_a_native_library_shares_the_wheels_training(fresh: Project) -> None:
    fresh.write("pyproject.toml", PYPROJECT + '[tool.neurenix.native]\ntargets = ["x86_64-linux"]\n')
    fresh.build("-t", "wheel")
    assert "tiny: training" not in fresh.build("-t", "static-site")
    assert not any(name.endswith(".so") for name in tree(fresh.site))


def test_a_second_site_takes_the_place_of_the_first(project: Project) -> None:
    project.build("-t", "static-site")
    (project.root / "web" / "app" / "main.js").rename(project.root / "web" / "app" / "renamed.js")
    project.build("-t", "static-site")
    assert ["scratch_app-1.0-site"] == project.dist
    assert ["app/renamed.js"] == [name for name in tree(project.site) if name.startswith("app/")]


def test_a_folder_that_somebody_else_made_is_not_replaced(project: Project) -> None:
    project.write("dist/scratch_app-1.0-site/precious.txt", "precious")
    assert "not made by hatch-neurenix; refusing to replace it" in refuses(project, "-t", "static-site")
    assert {"precious.txt": b"precious"} == tree(project.site)


def test_a_site_without_pages_has_a_plain_index(project: Project) -> None:
    project.configure('pages = "web"', 'models = ["tiny"]')
    project.build("-t", "static-site")
    page = (project.site / "index.html").read_text(encoding="utf-8")
    assert 'href="models/tiny/index.html"' in page
    assert "float32[batch, 4]" in page
    assert "<style" not in page
    assert "<script>" not in page
    assert (project.site / "neurenix-site" / "demo.css").is_file()


def test_a_site_names_the_project_its_licence_and_its_host(project: Project) -> None:
    project.write("LICENSE", "Do as you <b>like</b>.")
    project.configure('version = "1.0"', 'version = "1.0"\nlicense = "MIT"\ndescription = "Tiny & <b>small</b>"')
    project.configure('pages = "web"', 'headers = "vercel"\noffline = false')
    project.build("-t", "static-site")
    files = tree(project.site)
    assert "Do as you <b>like</b>." in files["LICENSES.txt"].decode()
    assert {"name": "scratch-app", "version": "1.0", "licence": "MIT"} == json.loads(files["provenance.json"])[
        "project"
    ]
    assert "Tiny &amp; &lt;b&gt;small&lt;/b&gt;" in files["index.html"].decode()
    assert "Content-Security-Policy" in files["vercel.json"].decode() and "_headers" not in files
    assert b"offline.js" not in files["index.html"] + files["models/tiny/index.html"]


def test_hidden_files_stay_out_of_a_site(project: Project) -> None:
    project.write("web/.env", "TOKEN=secret")
    project.write("web/.git/config", "secret")
    assert "leaves out web/.env" in project.build("-t", "static-site")
    assert not any(b"secret" in content for content in tree(project.site).values())


def test_a_link_inside_the_project_is_copied_and_one_that_leaves_it_refused(project: Project) -> None:
    project.write("logo.svg", "<svg/>")
    (project.root / "web" / "logo.svg").symlink_to(project.root / "logo.svg")
    project.build("-t", "static-site")
    assert not (project.site / "logo.svg").is_symlink()
    before = tree(project.site)
    (project.root / "web" / "passwd").symlink_to("/etc/passwd")
    (project.root / "web" / "loop").symlink_to(project.root / "web")
    said = refuses(project, "-t", "static-site")
    assert "passwd: is a link that leaves the project -- copy the file instead" in said
    assert "loop: is a linked folder -- copy it instead" in said
    assert before == tree(project.site)


@pytest.mark.parametrize("name", ["models/mine.js", "SHA256SUMS", "neurenix-worker.js"])
def test_a_page_may_not_take_the_name_of_a_generated_file(project: Project, name: str) -> None:
    project.write(f"web/{name}", "mine")
    assert "the site needs this name for its own files -- rename it" in refuses(project, "-t", "static-site")


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ('pages = "wep"', "static-site.pages: 'wep' is no folder in "),
        ('pages = "../out"', "static-site.pages: '../out' leaves the project -- move the pages into it"),
        (
            'models = ["tny"]',
            "static-site.models[0]: 'tny' is not declared in tool.neurenix.models -- did you mean 'tiny'?",
        ),
        ('page = "web"', "static-site.page: unknown key -- did you mean 'pages'?"),
        ('headers = "nettify"', "static-site.headers: 'nettify' is not one of 'netlify', 'vercel', 'service-worker', "),
        ("offline = 1", "static-site.offline: expected boolean, got integer 1"),
        ("models = 'tiny'", "static-site.models: expected array, got string 'tiny' -- write ['tiny']"),
    ],
)
def test_a_mistake_in_the_sites_table_is_named(project: Project, option: str, problem: str) -> None:
    (project.root.parent / "out").mkdir(exist_ok=True)
    project.configure('pages = "web"', option)
    assert problem in refuses(project, "-t", "static-site")
