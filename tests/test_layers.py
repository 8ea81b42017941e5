"""Claims about the structure: imports go down only, files stay readable, places stay few."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# From the ground up. A module may import from its own layer and from those below; the siblings of one layer
# that must stay strangers are listed apart. A longer name wins over a shorter one.
LAYERS = (
    {
        "neurenix.errors",
        "neurenix.error_pages",
        "neurenix.environment",
        "neurenix.resources",
        "neurenix.dtypes",
        "neurenix.dims",
        "neurenix.expr",
        "neurenix.file_lock",
        "neurenix.threads",
    },
    {
        "neurenix.ops",
        "neurenix.cache",
        "neurenix.toolchain",
    },
    {"neurenix.graph"},
    {"neurenix.phynexus", "neurenix.compiler", "neurenix.bundle"},
    {"neurenix.device", "neurenix.engines", "neurenix.autograd", "neurenix.tensor"},
    {
        "neurenix.nn",
        "neurenix.optim",
        "neurenix.data",
        "neurenix.state",
        "neurenix.training",
        "neurenix.trace",
        "neurenix.compiled",
    },
    {"neurenix.frontends", "neurenix.declarative"},
    {
        "neurenix.opsdoc",
        "neurenix.custom",
        "neurenix.kernel_check",
        "neurenix.shader_check",
        "neurenix.golden_inputs",
        "neurenix.verification",
        "neurenix.export",
        "neurenix.session",
        "neurenix.wasm",
    },
    {"neurenix.config"},
    {"neurenix.project", "neurenix.server", "neurenix.site"},
    {"neurenix.cli", "neurenix.__main__"},
    {"hatch_neurenix"},
)
STRANGERS = (
    ("neurenix.compiler", "neurenix.phynexus"),
    ("neurenix.compiler", "neurenix.bundle"),
    ("neurenix.phynexus", "neurenix.compiler"),
    ("neurenix.phynexus", "neurenix.bundle"),
    ("neurenix.bundle", "neurenix.compiler"),
    ("neurenix.bundle", "neurenix.phynexus"),
)
# The package itself: it only re-exports, and its version is read everywhere.
TOP = "neurenix"


def modules() -> Iterator[tuple[str, Path]]:
    for package in ("neurenix", "hatch_neurenix"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Return every module that a file imports, lazily or not, but for those that only a type checker sees."""
    names: list[str] = []
    waiting: list[ast.AST] = [parsed(path)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} has a relative import"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)
    return tuple(names)


def unit(module: str) -> str | None:
    """Return the entry of LAYERS that a module or one of its names belongs to."""
    known = [name for layer in LAYERS for name in layer if module == name or module.startswith(f"{name}.")]
    return max(known, key=len, default=None)


def level(name: str) -> int:
    return next(i for i, layer in enumerate(LAYERS) if name in layer)


def test_every_module_has_a_layer() -> None:
    homeless = [name for name, _ in modules() if name != TOP and unit(name) is None]
    assert [] == homeless


def test_contributing_draws_the_layers_as_they_are() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Layers")[2]
    rows = [line.partition("  strangers")[0] for line in text.splitlines() if line.startswith("    ")]
    drawn = [{name.strip() for name in row.replace("|", ",").split(",")} for row in reversed(rows[: len(LAYERS)])]
    assert [{name.removeprefix("neurenix.") for name in layer} for layer in LAYERS] == drawn


def test_imports_go_down_only() -> None:
    guilty = []
    for name, path in modules():
        own = unit(name)
        for imported in imports(path):
            other = unit(imported)
            if own is None or other is None:
                continue
            if level(other) > level(own):
                guilty.append(f"{name} imports {imported} from a layer above")
            if (own, other) in STRANGERS:
                guilty.append(f"{name} and {imported} must not know each other")
    assert [] == guilty


def test_only_the_plugin_imports_hatchling() -> None:
    guilty = [
        n
        for n, p in modules()
        if not n.startswith("hatch_neurenix") and any(i.startswith("hatchling") for i in imports(p))
    ]
    assert [] == guilty


@pytest.mark.parametrize(
    "package", ["wgpu", "wasmtime", "onnx", "torch", "safetensors", "click", "rich", "fsspec", "distributed"]
)
def test_optional_packages_are_imported_lazily(package: str) -> None:
    for name, path in modules():
        if package in ("click", "rich") and name.startswith("neurenix.cli."):
            continue  # `neurenix.cli` imports them as a whole, once it has seen that both packages are there
        top = [n for n in parsed(path).body if isinstance(n, (ast.Import, ast.ImportFrom))]
        names = [a.name for n in top if isinstance(n, ast.Import) for a in n.names]
        names += [n.module or "" for n in top if isinstance(n, ast.ImportFrom)]
        assert package not in [n.partition(".")[0] for n in names], f"{name} imports {package} at its top"


def test_every_module_says_what_it_is() -> None:
    silent = [name for name, path in modules() if not ast.get_docstring(parsed(path))]
    assert [] == silent


def test_no_file_is_longer_than_a_reader_bears() -> None:
    folders = ("neurenix", "hatch_neurenix", "kernels", "templates")
    files = [p for f in folders for p in (ROOT / f).rglob("*") if p.suffix in (".py", ".c", ".h", ".js")]
    assert [] == [str(p.relative_to(ROOT)) for p in files if len(p.read_text(encoding="utf-8").splitlines()) > 400]


def test_comparisons_with_pytorch_lie_where_they_are_run() -> None:
    # `make test` leaves them out wherever they are, and `make test-peers` reads one folder.
    marker = ".".join(("pytest", "mark", "peers"))
    elsewhere = (ROOT / "tests").glob("test_*.py")
    assert [] == [path.name for path in elsewhere if marker in path.read_text(encoding="utf-8")]


def test_data_folders_hold_no_python() -> None:
    # hatchling maps these folders into the package; a module there would break editable installs.
    assert [] == [*(ROOT / "kernels").rglob("*.py"), *(ROOT / "templates").rglob("*.py")]
