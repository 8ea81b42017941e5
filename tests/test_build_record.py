"""Claims about unchanged builds: they are answered from a record, without what computes, until something changes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from scratch_training import Project, made, made_before, make_project

from neurenix.cache import Cache
from neurenix.project.build_record import BuiltModel, asked_key, recall, remember
from neurenix.project.pipeline import model_sources

__all__ = ["made", "made_before"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return make_project(tmp_path, monkeypatch)


def asked(project: Project) -> str:
    return asked_key(table=project.table, target="wheel")


def recalled(project: Project) -> tuple[BuiltModel, ...] | None:
    found = recall(asked(project), project.root, Cache(project.cache))
    return None if found is None else found.models


def record(project: Project) -> BuiltModel:
    built = project.build()
    remember(asked(project), project.root, Cache(project.cache), model_sources(project.config()), (built,))
    return built


def test_nothing_is_recalled_at_first(project: Project) -> None:
    assert recalled(project) is None


def test_what_was_built_is_recalled(made: Project) -> None:
    built = record(made)
    found = recalled(made)
    assert found is not None
    (model,) = found
    assert (built.name, built.directory, built.metrics, built.report) == (
        model.name, model.directory, model.metrics, model.report)  # fmt: skip
    assert (False, False) == (model.trained_now, model.compiled_now)


def test_a_project_in_another_folder_is_the_same(made: Project) -> None:
    record(made)
    made.root = made.root.rename(made.root.with_name("moved"))
    assert recalled(made) is not None


def edit_watched(project: Project) -> None:
    (project.root / "data.csv").write_text("1,3\n", encoding="utf-8")


def lose_watched(project: Project) -> None:
    (project.root / "data.csv").unlink()


def edit_module(project: Project) -> None:
    (project.root / "src" / "app" / "layers.py").write_text("WIDTH = 5\n", encoding="utf-8")


def add_module(project: Project) -> None:
    (project.root / "src" / "app" / "more.py").write_bytes(b"")


def edit_kernel(project: Project) -> None:
    (project.root / "src" / "app" / "kernel.c").write_text("void edited(void);", encoding="utf-8")


def edit_table(project: Project) -> None:
    project.model(max_error=0.5)


def reorder_inputs(project: Project) -> None:
    project.table["models"]["m"] = dict(reversed(project.table["models"]["m"].items()))


def damage_bundle(project: Project) -> None:
    (path,) = project.cache.glob("v1/entries/*/files/bundle/m.json")
    path.write_bytes(b"[]")


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [edit_watched, lose_watched, edit_module, add_module, edit_kernel, edit_table, reorder_inputs, damage_bundle],
)
def test_any_change_is_a_question_for_the_build(made: Project, change: Callable[[Project], None]) -> None:
    record(made)
    change(made)
    assert recalled(made) is None


@pytest.mark.parametrize("name", ["NEURENIX_PROFILE", "NEURENIX_TARGET"])
def test_the_environment_is_part_of_the_question(made: Project, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    record(made)
    monkeypatch.setenv(name, "other")
    assert recalled(made) is None


def test_the_module_of_a_custom_op_is_a_part_of_the_record(made: Project) -> None:
    module = made.root / "soft.py"
    module.write_text("LIMIT = 1\n", encoding="utf-8")
    built = made.build()
    (trained,) = [files for files in built.entries.values() if (files / "graph.npz").is_file()]
    text = json.dumps({"soft_clip": {"sha256": "0", "module": "soft"}})
    (trained / "ops.json").write_text(text, encoding="utf-8")
    remember(asked(made), made.root, Cache(made.cache), model_sources(made.config()), (built,))
    assert recalled(made) is not None
    module.write_text("LIMIT = 2\n", encoding="utf-8")
    assert recalled(made) is None


def damage_graph(project: Project) -> None:
    (path,) = project.cache.glob("v1/entries/*/files/graph.npz")
    path.write_bytes(b"")


def test_the_entries_that_an_sdist_carries_are_recalled_only_whole(made: Project) -> None:
    built = record(made)
    found = recall(asked(made), made.root, Cache(made.cache), entries=True)
    assert found is not None
    assert built.entries == found.models[0].entries
    assert model_sources(made.config()) == found.sources
    damage_graph(made)
    assert recall(asked(made), made.root, Cache(made.cache), entries=True) is None


def test_what_answers_an_unchanged_build_imports_nothing_that_computes() -> None:
    code = (
        "import sys; import hatch_neurenix.hook_steps, hatch_neurenix.requirements; "
        "heavy = {'numpy', 'jinja2', 'neurenix.tensor', 'neurenix.config', 'neurenix.project.pipeline'}; "
        "print(sorted(heavy & set(sys.modules))); import hatch_neurenix.site_steps; "
        "heavy = {'neurenix.tensor', 'neurenix.ops', 'neurenix.config.tables', 'neurenix.project.pipeline'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]\n[]\n" == done.stdout
