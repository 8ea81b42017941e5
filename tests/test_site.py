"""Claims about a static site's files: complete, listed by hash, the same anywhere, and no name becomes markup."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from site_models import HOSTILE_LABELS, MARKUP, PROJECT, export_models, make_site
from test_runtime_js import JS, node, run, tool

from hatch_neurenix.site_steps import read_site_table
from neurenix import load_model
from neurenix.bundle import writer
from neurenix.errors import ConfigError
from neurenix.nn import Linear
from neurenix.project.build_record import BuiltModel
from neurenix.site import Project, SiteOptions, build_site
from neurenix.site.files import copy_pages
from neurenix.site.hosting import HEADERS
from neurenix.tensor import Tensor
from neurenix.wasm import export_to_wasm


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[BuiltModel]:
    return export_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def flowers(models: list[BuiltModel]) -> list[BuiltModel]:
    return [model for model in models if model.name == "flowers"]


def listed(site: Path) -> dict[str, dict[str, object]]:
    return {file["name"]: file for file in json.loads((site / "files.json").read_text(encoding="utf-8"))["files"]}


def told(site: Path) -> dict[str, object]:
    """What the service worker was told."""
    first = (site / "neurenix-worker.js").read_text(encoding="utf-8").partition(";\n")[0]
    found: dict[str, object] = json.loads(first.removeprefix("const SITE = "))
    return found


class Seen(HTMLParser):
    """The elements and addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action")]
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name == "style"]


@pytest.mark.zig
def test_every_file_is_listed_with_its_size_and_hash(flowers: list[BuiltModel], tmp_path: Path) -> None:
    site = make_site(flowers, tmp_path).directory
    files = {p.relative_to(site).as_posix(): p.read_bytes() for p in site.rglob("*") if p.is_file()}
    expected = {name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in files.items()}
    for later in ("files.json", "SHA256SUMS"):
        del expected[later]
    assert expected == {name: (file["size"], file["sha256"]) for name, file in listed(site).items()}
    needed = ["index.html", "models/flowers/index.html", "neurenix-site/demo.js", "neurenix-worker.js", "LICENSES.txt"]
    assert set(needed) <= files.keys()


@pytest.mark.zig
def test_the_pages_have_relative_addresses_of_files_that_are_there(models: list[BuiltModel], tmp_path: Path) -> None:
    site = make_site(models, tmp_path).directory
    pages = sorted(site.rglob("index.html"))
    assert 1 + len(models) == len(pages)
    for page in pages:
        addresses = Seen(page.read_text(encoding="utf-8")).addresses
        assert len(addresses) > 5
        for address in addresses:
            assert not re.match(r"/|\w+:", address), f"{page}: {address}"
            assert (page.parent / address).is_file(), f"{page}: {address}"
    manifest = json.loads((site / "manifest.webmanifest").read_text(encoding="utf-8"))
    assert ("./", "./") == (manifest["start_url"], manifest["scope"])
    assert (site / manifest["icons"][0]["src"]).is_file()
    assert "http" not in (site / "neurenix-worker.js").read_text(encoding="utf-8").partition("\n")[2]


@pytest.mark.zig
def test_no_name_becomes_markup_or_script(flowers: list[BuiltModel], tmp_path: Path) -> None:
    pages = tmp_path / "web"
    (pages / MARKUP.replace("/", "")).mkdir(parents=True)
    (pages / MARKUP.replace("/", "") / "it's </script> \u2028.txt".replace("/", "")).write_text("x", encoding="utf-8")
    project = Project(HOSTILE_LABELS[1], HOSTILE_LABELS[2], MARKUP, MARKUP)
    site = build_site(flowers, pages, tmp_path, tmp_path / "site", project).directory
    for page in site.rglob("index.html"):
        text = page.read_text(encoding="utf-8")
        seen = Seen(text)
        assert "img" not in seen.tags
        assert not seen.handlers
        assert "alert(2)</script>" not in text
    worker = (site / "neurenix-worker.js").read_text(encoding="utf-8")
    assert "<" not in worker.partition("\n")[0]
    assert any(MARKUP in str(file["name"]) for file in told(site)["files"])  # type: ignore[attr-defined]


@pytest.mark.zig
def test_pages_of_ones_own_win_over_the_generated_ones(flowers: list[BuiltModel], tmp_path: Path) -> None:
    own = ("index.html", "models/flowers/index.html", "_headers", "manifest.webmanifest", "LICENSES.txt")
    for name in own:
        (tmp_path / "web" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "web" / name).write_text("mine", encoding="utf-8")
    site = make_site(flowers, tmp_path, tmp_path / "web").directory
    assert ["mine"] * len(own) == [(site / name).read_text(encoding="utf-8") for name in own]


@pytest.mark.zig
@pytest.mark.parametrize("name", ["models/other/index.html", "models/flowers/flowers.js", "neurenix-site/x.js",
                                  "neurenix-worker.js", "files.json", "provenance.json", "SHA256SUMS"])  # fmt: skip
def test_a_page_that_would_hide_a_needed_file_is_refused(flowers: list[BuiltModel], tmp_path: Path, name: str) -> None:
    (tmp_path / "web" / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "web" / name).write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="the site needs this name for its own files"):
        make_site(flowers, tmp_path, tmp_path / "web")
    assert not (tmp_path / "site").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_a_page_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "web") + b"/\xff.html")).write_text("x", encoding="utf-8")
    with pytest.raises(ConfigError, match="its name is not UTF-8, and no address can have it -- rename it"):
        copy_pages(tmp_path / "web", tmp_path, tmp_path / "site", [], print)


@pytest.mark.zig
def test_each_host_gets_its_headers_in_its_own_file(flowers: list[BuiltModel], tmp_path: Path) -> None:
    def site(headers: str) -> Path:
        return make_site(flowers, tmp_path, None, SiteOptions(headers)).directory  # type: ignore[arg-type]

    lines = (site("netlify") / "_headers").read_text(encoding="utf-8").splitlines()
    assert ["/*", *(f"  {name}: {value}" for name, value in HEADERS.items())] == lines
    (rule,) = json.loads((site("vercel") / "vercel.json").read_text(encoding="utf-8"))["headers"]
    assert "/(.*)" == rule["source"]
    assert dict(HEADERS) == {header["key"]: header["value"] for header in rule["headers"]}
    assert {"Cross-Origin-Opener-Policy", "Cross-Origin-Embedder-Policy"} < HEADERS.keys()
    for headers in ("service-worker", "none"):
        folder = site(headers)
        assert not (folder / "_headers").exists() and not (folder / "vercel.json").exists()
        assert (headers == "service-worker") == told(folder)["isolate"]


@pytest.mark.zig
def test_a_site_that_is_not_for_offline_use_lets_go_of_earlier_ones(flowers: list[BuiltModel], tmp_path: Path) -> None:
    site = make_site(flowers, tmp_path, None, SiteOptions(offline=False)).directory
    assert {"offline": False, "isolate": False, "files": []}.items() <= told(site).items()
    assert "offline.js" not in (site / "index.html").read_text(encoding="utf-8")


@pytest.mark.zig
def test_the_worker_keeps_what_browsers_need_and_its_version_follows_from_it(
    flowers: list[BuiltModel], tmp_path: Path
) -> None:
    web = tmp_path / "web"
    web.mkdir()
    (web / "about.html").write_text("one", encoding="utf-8")
    first = told(make_site(flowers, tmp_path, web).directory)
    names = {file["name"] for file in first["files"]}  # type: ignore[attr-defined]
    assert {"about.html", "index.html", "models/flowers/flowers.bin", "neurenix-site/demo.js"} <= names
    assert not {name for name in names if name.endswith((".c", ".d.ts")) or name.startswith((".", "_", "SHA"))}
    assert first == told(make_site(flowers, tmp_path, web).directory)
    (web / "about.html").write_text("two", encoding="utf-8")
    assert first["version"] != told(make_site(flowers, tmp_path, web).directory)["version"]


@pytest.mark.zig
def test_a_site_is_the_same_in_any_directory(flowers: list[BuiltModel], tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    sites = [make_site(flowers, folder).directory for folder in (tmp_path, tmp_path / "elsewhere" / "deep")]
    first, second = ({p.relative_to(s): p.read_bytes() for p in s.rglob("*") if p.is_file()} for s in sites)
    assert first == second


@pytest.mark.zig
def test_a_site_says_where_it_comes_from(flowers: list[BuiltModel], tmp_path: Path) -> None:
    site = make_site(flowers, tmp_path).directory
    found = json.loads((site / "provenance.json").read_text(encoding="utf-8"))
    assert {"name": PROJECT.name, "version": "1.0", "licence": "MIT"} == found["project"]
    (model,) = found["models"]
    assert hashlib.sha256((site / model["manifest"]).read_bytes()).hexdigest() == model["sha256"]
    licences = (site / "LICENSES.txt").read_text(encoding="utf-8")
    for text in ("Licence: MIT", "Do as you like.", "Apache License"):
        assert text in licences


@pytest.mark.zig
def test_a_first_visit_that_downloads_much_is_announced(
    flowers: list[BuiltModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("neurenix.site.build._MUCH", 1000)
    build_site(flowers, None, tmp_path, tmp_path / "site", PROJECT, say=said.append)
    assert ["offline = false leaves that out" in line for line in said] == [True]


@pytest.mark.zig
def test_large_parameters_are_cut_into_files_that_hosts_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert writer.SHARD < 25 << 20
    monkeypatch.setattr(writer, "SHARD", 1000)
    model = Linear(40, 30)
    export_to_wasm(model, tmp_path, "m", simd=False)
    shards = sorted(tmp_path.glob("*.bin"))
    assert [f"m.{i:02}.bin" for i in range(len(shards))] == [path.name for path in shards]
    assert len(shards) > 4 and all(path.stat().st_size <= 1000 for path in shards)
    x = np.random.default_rng(0).standard_normal((2, 40), dtype=np.float32)
    found = load_model(tmp_path / "m.json", device="reference").forward(x)["output"]
    np.testing.assert_allclose(found, model(Tensor(x)).numpy(), rtol=1e-5, atol=1e-6)


def test_the_names_of_many_shards_sort_as_they_count() -> None:
    names = list(writer.weight_files("m", bytes(101), 1))
    assert sorted(names) == names
    assert ["m.000.bin", "m.100.bin"] == names[::100]


@pytest.mark.node
@pytest.mark.parametrize("project", ["tsconfig.pages.json", "tsconfig.worker.json"])
def test_the_pages_scripts_type_check(project: str) -> None:
    run(node(), tool("typescript/bin/tsc"), "--project", str(JS / project))


@pytest.mark.node
def test_the_pages_scripts_are_lint_free() -> None:
    config = ["--config", "tests/js/eslint.config.js", "--max-warnings", "0"]
    run(node(), tool("eslint/bin/eslint.js"), *config, "templates/demo", "templates/site", cwd=JS.parent.parent)


@pytest.mark.zig
@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"flower": {"mean": [0.5]}}, "inputs.flower: the site has no model of this name -- did you mean 'flowers'?"),
        ({"flowers": {"men": [0.5]}}, "inputs.flowers.men: unknown key -- did you mean 'mean'?"),
        (
            {"flowers": {"mean": [0.5, 0.5]}},
            "inputs.flowers.mean: has 2 numbers -- give one, or one for each",
        ),
        ({"flowers": {"mean": [0.5], "std": [1, 1, 1]}}, "inputs.flowers.std: has 3 numbers, and mean has 1"),
        ({"flowers": {"std": [0]}}, "inputs.flowers.std: is not above 0"),
        ({"flowers": {"mean": [0.5] * 4}}, "inputs.flowers: has 4 numbers, and no input has 4 channels -- give one"),
        ({"flowers": {"sample-rate": 10}}, "inputs.flowers.sample-rate: "),
    ],
)
def test_hints_that_cannot_be_meant_are_refused(
    flowers: list[BuiltModel], tmp_path: Path, table: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        options = read_site_table({"inputs": table})
        make_site(flowers, tmp_path, options=SiteOptions(inputs=options.inputs))
    assert f"tool.hatch.build.targets.static-site.{said}" in str(raised.value)
    assert not (tmp_path / "site").exists()
