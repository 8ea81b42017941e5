"""Claims about the Hatch plugin, by real builds of scratch projects in subprocesses."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from neurenix.server import CONTENT_SECURITY_POLICY

pytestmark = [pytest.mark.slow, pytest.mark.zig, pytest.mark.wasm]

REPOSITORY = Path(__file__).parent.parent

PYPROJECT = """
[build-system]
requires = ["hatchling", "hatch-neurenix"]
build-backend = "hatchling.build"

[project]
name = "scratch-app"
version = "1.0"
requires-python = ">=3.10"

[tool.hatch.build]
dev-mode-dirs = ["src"]

[tool.hatch.build.hooks.neurenix]

[tool.hatch.build.targets.static-site]
pages = "web"

[tool.neurenix.models.tiny]
train = "scratch_app.training:train"
inputs = { x = "float32[batch, 4]" }
dims = { batch = { min = 1, max = 8 } }
labels = ["a", "b", "c"]
watch = ["data/*.csv"]
"""

TRAINING = """
from pathlib import Path

import numpy as np
from neurenix.nn import Linear, Sequential, Softmax
from neurenix.training import Trained

def train(epochs=2):
    for epoch in range(epochs):
        print(f"epoch {epoch + 1} of {epochs}")
    seed = len(Path("data/samples.csv").read_text())
    model = Sequential(Linear(4, 3), Softmax(-1))
    for parameter in model.parameters():
        parameter.numpy()[...] = np.random.default_rng(seed).standard_normal(parameter.shape)
    return Trained(model, {"test accuracy": 0.9876})
"""


@dataclass
class Project:
    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, status: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **self.environment, **variables}
        command = [sys.executable, "-m", *arguments]
        done = subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert status == done.returncode, done.stdout + done.stderr
        return done

    def build(self, *arguments: str, status: int = 0, **variables: str) -> str:
        """Run `hatchling build` and return what it says on stderr."""
        return self.run("hatchling", "build", *arguments, status=status, **variables).stderr

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def configure(self, old: str, new: str) -> None:
        text = (self.root / "pyproject.toml").read_text(encoding="utf-8")
        assert old in text
        self.write("pyproject.toml", text.replace(old, new))

    @property
    def dist(self) -> list[str]:
        return sorted(path.name for path in (self.root / "dist").iterdir())

    @property
    def wheel(self) -> Path:
        (path,) = (self.root / "dist").glob("*.whl")
        return path

    @property
    def site(self) -> Path:
        return self.root / "dist" / "scratch_app-1.0-site"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the plugin's entry point, as an installation has it, and a cache for all tests."""
    folder = tmp_path_factory.mktemp("shared")
    info = folder / "site" / "hatch_neurenix-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hatch-neurenix\nVersion: 0.1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[hatch]\nneurenix = hatch_neurenix.hooks\n", encoding="utf-8")
    return folder


def make_project(root: Path, shared: Path, cache: Path) -> Project:
    path = os.pathsep.join(filter(None, [str(REPOSITORY), str(shared / "site"), os.environ.get("PYTHONPATH")]))
    project = Project(root, {"PYTHONPATH": path, "NEURENIX_CACHE_DIR": str(cache)})
    project.write("pyproject.toml", PYPROJECT)
    project.write("src/scratch_app/__init__.py", "")
    project.write("src/scratch_app/training.py", TRAINING)
    project.write("data/samples.csv", "1,2,3\n")
    project.write("web/index.html", "<!DOCTYPE html><title>mine</title>")
    project.write("web/app/main.js", "export {};\n")
    project.write(".gitignore", "data/\ndist/\n")
    (root / ".git").mkdir()
    return project


@pytest.fixture
def project(tmp_path: Path, shared: Path) -> Project:
    return make_project(tmp_path / "project", shared, shared / "cache")


@pytest.fixture
def fresh(tmp_path: Path, shared: Path) -> Iterator[Project]:
    """A project with a cache of its own, to count what is trained and compiled."""
    yield make_project(tmp_path / "project", shared, tmp_path / "cache")


def names_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def read_in(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(name).decode()


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def refuses(project: Project, *arguments: str) -> str:
    said = project.build(*arguments, status=1)
    assert said.startswith("hatch-neurenix: ") or "\nhatch-neurenix: " in said
    assert "Traceback" not in said
    return said


def test_a_wheel_carries_the_bundle_in_its_package(project: Project) -> None:
    project.build("-t", "wheel")
    assert ["scratch_app-1.0-py3-none-any.whl"] == project.dist
    names = names_in(project.wheel)
    for name in ("tiny.js", "tiny.json", "tiny.d.ts", "tiny.bin", "tiny.scalar.wasm", "neurenix.runtime.js"):
        assert f"scratch_app/_neurenix/tiny/{name}" in names
    assert len(set(names)) == len(names)
    assert not any("report" in name or name.startswith("data/") for name in names)
    manifest = json.loads(read_in(project.wheel, "scratch_app/_neurenix/tiny/tiny.json"))
    assert ("tiny", ["a", "b", "c"]) == (manifest["name"], manifest["labels"])


def test_every_file_of_the_wheel_is_in_its_record(project: Project) -> None:
    project.build("-t", "wheel")
    record = read_in(project.wheel, "scratch_app-1.0.dist-info/RECORD")
    assert sorted(names_in(project.wheel)) == sorted(line.split(",")[0] for line in record.splitlines())


def test_the_build_shows_its_epochs_sizes_metrics_and_agreement(fresh: Project) -> None:
    said = fresh.build("-t", "wheel")
    assert "epoch 1 of 2" in said
    assert "epoch 2 of 2" in said
    assert "test accuracy 0.9876" in said
    assert "tiny.json" in said
    assert "largest error: " in said


def test_a_native_library_gives_the_wheel_its_platform(project: Project) -> None:
    project.write("pyproject.toml", PYPROJECT + '[tool.neurenix.native]\ntargets = ["x86_64-linux"]\n')
    project.build("-t", "wheel")
    assert ["scratch_app-1.0-py3-none-manylinux_2_17_x86_64.whl"] == project.dist
    described = read_in(project.wheel, "scratch_app-1.0.dist-info/WHEEL")
    assert "Root-Is-Purelib: false\nTag: py3-none-manylinux_2_17_x86_64\n" in described
    assert "scratch_app/_neurenix/tiny/tiny.x86_64-linux.so" in names_in(project.wheel)


def test_libraries_for_two_platforms_give_the_wheel_both_tags(project: Project) -> None:
    targets = '[tool.neurenix.native]\ntargets = ["x86_64-linux", "aarch64-linux"]\n'
    project.write("pyproject.toml", PYPROJECT + targets)
    project.build("-t", "wheel")
    assert ["scratch_app-1.0-py3-none-manylinux_2_17_aarch64.manylinux_2_17_x86_64.whl"] == project.dist


def test_the_second_build_trains_and_compiles_nothing_and_is_identical(fresh: Project) -> None:
    assert "tiny: training" in fresh.build("-t", "wheel")
    first = fresh.wheel.read_bytes()
    said = fresh.build("-t", "wheel")
    assert "training" not in said
    assert "compiling" not in said
    assert "tiny: from the cache" in said
    assert first == fresh.wheel.read_bytes()


def test_two_directories_with_two_caches_give_identical_wheels_and_sites(
    fresh: Project, shared: Path, tmp_path: Path
) -> None:
    other = make_project(tmp_path / "elsewhere" / "deeper", shared, tmp_path / "other-cache")
    for project in (fresh, other):
        project.build("-t", "wheel", "-t", "static-site")
    assert fresh.wheel.read_bytes() == other.wheel.read_bytes()
    assert tree(fresh.site) == tree(other.site)


def test_an_sdist_carries_ignored_watched_files(project: Project) -> None:
    project.build("-t", "sdist")
    with tarfile.open(project.root / "dist" / "scratch_app-1.0.tar.gz") as archive:
        names = archive.getnames()
    assert 1 == names.count("scratch_app-1.0/data/samples.csv")


def test_a_wheel_through_the_sdist_is_the_same_and_trains_once(fresh: Project) -> None:
    done = fresh.run("build", "--no-isolation")
    assert 1 == (done.stdout + done.stderr).count("tiny: training")
    through_sdist = fresh.wheel.read_bytes()
    fresh.wheel.unlink()
    assert "training" not in fresh.build("-t", "wheel")
    assert through_sdist == fresh.wheel.read_bytes()


def test_an_editable_install_has_the_bundle_in_the_sources(project: Project) -> None:
    project.build("-t", "wheel:editable")
    package = project.root / "src" / "scratch_app" / "_neurenix"
    assert (package / "tiny" / "tiny.json").is_file()
    assert "*\n" == (package / ".gitignore").read_text(encoding="utf-8")
    assert not any("_neurenix" in name for name in names_in(project.wheel))


def test_what_an_editable_install_left_does_not_get_into_wheels_and_sdists(project: Project) -> None:
    project.build("-t", "wheel:editable")
    stale = project.root / "src" / "scratch_app" / "_neurenix" / "tiny"
    (stale / "tiny.json").write_bytes(b"stale")
    (stale / "stale.txt").write_bytes(b"stale")
    project.wheel.unlink()
    project.build("-t", "wheel", "-t", "sdist")
    assert "scratch_app/_neurenix/tiny/stale.txt" not in names_in(project.wheel)
    assert "stale" != read_in(project.wheel, "scratch_app/_neurenix/tiny/tiny.json")
    with tarfile.open(project.root / "dist" / "scratch_app-1.0.tar.gz") as archive:
        assert not any("_neurenix" in name for name in archive.getnames())


def test_an_editable_install_replaces_only_what_it_made(project: Project) -> None:
    project.write("src/scratch_app/_neurenix/mine.txt", "mine")
    assert "not made by hatch-neurenix; refusing to replace it" in refuses(project, "-t", "wheel:editable")
    assert {"mine.txt": b"mine"} == tree(project.root / "src" / "scratch_app" / "_neurenix")


def test_hooks_only_builds_the_models_and_no_wheel(fresh: Project) -> None:
    assert "tiny: training" in fresh.build("-t", "wheel", "--hooks-only")
    assert [] == fresh.dist
    assert "training" not in fresh.build("-t", "wheel")


def test_cleaning_removes_outputs_and_keeps_the_cache(fresh: Project) -> None:
    fresh.build("-t", "wheel:editable")
    fresh.build("-t", "static-site")
    said = fresh.build("-c", "-t", "wheel", "-t", "static-site")
    assert "training" not in said
    assert "compiling" not in said
    assert not (fresh.root / "src" / "scratch_app" / "_neurenix").exists()
    fresh.build("--clean-only", "-t", "wheel", "-t", "static-site")
    assert [] == fresh.dist


def test_cleaning_with_a_broken_configuration_says_nothing(project: Project) -> None:
    project.configure("[tool.hatch.build.hooks.neurenix]", "[tool.hatch.build.hooks.neurenix]\npackage = 'nowhere'")
    assert "Traceback" not in project.build("--clean-only", "-t", "wheel")


def test_without_hooks_the_wheel_has_no_models(project: Project) -> None:
    project.build("-t", "wheel", "--no-hooks")
    assert not any("_neurenix" in name for name in names_in(project.wheel))


def test_hatchlings_own_hook_keys_are_not_ours(project: Project) -> None:
    project.configure(
        "[tool.hatch.build.hooks.neurenix]",
        "[tool.hatch.build.hooks.neurenix]\nenable-by-default = true\ndependencies = []\n"
        "require-runtime-dependencies = false\nrequire-runtime-features = []",
    )
    project.build("-t", "wheel")


def test_all_configuration_problems_are_told_at_once_and_dist_stays(project: Project) -> None:
    project.build("-t", "wheel")
    before = project.wheel.read_bytes()
    project.configure("labels =", "lables =")
    project.configure("max = 8", "max = 'many'")
    said = refuses(project, "-t", "wheel")
    assert "2 problems in pyproject.toml:\n" in said
    assert "tool.neurenix.models.tiny.lables: unknown key -- did you mean 'labels'?" in said
    assert "tool.neurenix.models.tiny.dims.batch.max: expected integer, got string 'many'" in said
    assert before == project.wheel.read_bytes()


def test_a_training_that_raises_is_one_message_and_a_traceback_only_when_verbose(project: Project) -> None:
    project.write("src/scratch_app/training.py", "def train():\n    raise ValueError('no data')\n")
    said = refuses(project, "-t", "wheel")
    assert "tool.neurenix.models.tiny.train: train failed: ValueError: no data" in said
    assert "(src/scratch_app/training.py, line 2); log: " in said
    verbose = project.build("-t", "wheel", status=1, HATCH_VERBOSE="1")
    assert "Traceback" in verbose
    assert "in train" in verbose


def test_an_absent_zig_is_one_message(fresh: Project) -> None:
    said = fresh.build("-t", "wheel", status=1, NEURENIX_ZIG=str(fresh.root / "no-zig"))
    assert "no-zig, which is not there" in said
    assert "Traceback" not in said
    assert [] == fresh.dist


def test_a_build_asks_for_its_tools_only_while_there_is_work(fresh: Project) -> None:
    model = "[tool.neurenix.models.tiny]"
    fresh.configure(model, f'[tool.neurenix]\ntrain-dependencies = ["pyyaml"]\n{model}')

    def asked(target: str) -> list[str]:
        said = fresh.run("hatchling", "build", "-t", target, "--show-dynamic-deps").stdout
        found = ast.literal_eval(said)
        assert isinstance(found, list)
        return found

    assert ["ziglang>=0.17,<0.18", "wasmtime>=30", "pyyaml"] == asked("wheel")
    assert ["ziglang>=0.17,<0.18", "wasmtime>=30", "pyyaml"] == asked("static-site")
    assert [] == asked("sdist")
    fresh.build("-t", "wheel")
    assert [] == asked("wheel")
    assert [] == asked("static-site")
    fresh.configure("labels =", "max-error = 0.01\nlabels =")
    assert ["ziglang>=0.17,<0.18", "wasmtime>=30"] == asked("wheel")
    fresh.configure("labels =", "lables =")
    assert [] == asked("wheel")


def test_the_package_must_be_clear(project: Project) -> None:
    project.write("src/other/__init__.py", "")
    project.write("src/third/__init__.py", "")
    packages = '[tool.hatch.build.targets.wheel]\npackages = ["src/other", "src/third"]\n'
    project.write("pyproject.toml", PYPROJECT + packages)
    said = refuses(project, "-t", "wheel")
    assert "hooks.neurenix.package: the wheel has src/other, src/third -- set package = '...'" in said
    project.configure("[tool.hatch.build.hooks.neurenix]", "[tool.hatch.build.hooks.neurenix]\npackage = 'third'")
    project.build("-t", "wheel")
    assert "third/_neurenix/tiny/tiny.json" in names_in(project.wheel)


def test_the_package_called_like_the_project_carries_the_models(project: Project) -> None:
    project.write("src/other/__init__.py", "")
    packages = '[tool.hatch.build.targets.wheel]\npackages = ["src/other", "src/scratch_app"]\n'
    project.write("pyproject.toml", PYPROJECT + packages)
    project.build("-t", "wheel")
    assert "scratch_app/_neurenix/tiny/tiny.json" in names_in(project.wheel)


@pytest.mark.parametrize("package", ["../outside", "nowhere", "."])
def test_a_package_outside_the_project_is_refused(project: Project, package: str) -> None:
    (project.root.parent / "outside").mkdir()
    hook = f"[tool.hatch.build.hooks.neurenix]\npackage = '{package}'"
    project.configure("[tool.hatch.build.hooks.neurenix]", hook)
    assert f"hooks.neurenix.package: '{package}' is no package in " in refuses(project, "-t", "wheel")


def test_an_unknown_hook_option_is_named(project: Project) -> None:
    project.configure("[tool.hatch.build.hooks.neurenix]", "[tool.hatch.build.hooks.neurenix]\npackages = 'x'")
    assert "hooks.neurenix.packages: unknown key -- did you mean 'package'?" in refuses(project, "-t", "wheel")


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
    assert "./models/tiny/tiny.js" in page
    assert "[batch, 4]" in page
    assert "<style" not in page
    assert "<script" not in page
    assert (project.site / "neurenix-site.css").is_file()


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


@pytest.mark.parametrize("name", ["models/mine.js", "SHA256SUMS"])
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
        ("models = 'tiny'", "static-site.models: expected array, got string 'tiny' -- write ['tiny']"),
    ],
)
def test_a_mistake_in_the_sites_table_is_named(project: Project, option: str, problem: str) -> None:
    (project.root.parent / "out").mkdir(exist_ok=True)
    project.configure('pages = "web"', option)
    assert problem in refuses(project, "-t", "static-site")


def test_a_project_that_does_not_use_the_plugin_does_not_pay_for_it(project: Project) -> None:
    code = (
        "import sys; from hatch_neurenix import hooks; hooks.hatch_register_build_hook(); "
        "hooks.hatch_register_builder(); print('neurenix' in sys.modules, 'numpy' in sys.modules)"
    )
    environment = {**os.environ, **project.environment}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "False False\n" == done.stdout
