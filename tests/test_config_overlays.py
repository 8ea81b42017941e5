"""Claims about profiles and build targets: what is laid over what, and where a mistake is said to be."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from neurenix import __version__
from neurenix.config import Config, parse_config
from neurenix.config.components import OptimizerConfig
from neurenix.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BASE = """
[tool.neurenix.models.m]
train = "app.training:train"
params = { epochs = 5, seed = 0 }
inputs = { x = "float32[batch, 4]" }
dims = { batch = { max = 8 } }
[tool.neurenix.native]
targets = ["host"]
"""
CI = "[tool.neurenix.profiles.ci.models.m]\n"


def read(text: str, **choice: Any) -> Config:
    return parse_config(tomllib.loads(BASE + text), **choice)


def problems(text: str, **choice: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text, **choice)
    return [line.removeprefix("tool.neurenix.") for line in caught.value.problems]


def test_a_profile_merges_tables_and_replaces_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    text = CI + "params = { epochs = 1 }\n[tool.neurenix.profiles.ci.native]\ntargets = []"
    assert ({"epochs": 5, "seed": 0}, ("host",)) == (read(text).models["m"].params, read(text).native.targets)
    monkeypatch.setenv("NEURENIX_PROFILE", "ci")
    config = read(text)
    assert ({"epochs": 1, "seed": 0}, ()) == (config.models["m"].params, config.native.targets)
    assert "app.training:train" == config.models["m"].train


def test_an_empty_variable_chooses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURENIX_PROFILE", "")
    assert {"epochs": 5, "seed": 0} == read(CI + "params = { epochs = 1 }").models["m"].params


def test_an_unknown_profile_is_named_with_a_suggestion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURENIX_PROFILE", "cii")
    assert [
        "NEURENIX_PROFILE: 'cii' is not declared in tool.neurenix.profiles -- did you mean 'ci'?"
    ] == problems(CI + "timeout = 5")  # fmt: skip


def test_a_target_is_laid_over_before_the_profile() -> None:
    text = (
        "[tool.neurenix.targets.static-site]\nnative = { targets = [] }\nmodels.m.max-error = 0.5\n"
        + CI
        + "max-error = 0.25\n"
    )
    assert ("host",) == read(text, target="wheel").native.targets
    site = read(text, target="static-site")
    assert ((), 0.5) == (site.native.targets, site.models["m"].max_error)
    assert 0.25 == read(text, target="static-site", profile="ci").models["m"].max_error


def test_a_profile_may_give_a_model_another_source() -> None:
    config = read(CI + "load = 'models/m.onnx'", profile="ci")
    model = config.models["m"]
    assert ("load", None, {}) == (model.source, model.train, model.params)
    assert {"x": "float32[batch, 4]"} == model.inputs


def test_a_profile_replaces_an_optimizer_as_a_whole() -> None:
    declared = "[tool.neurenix.models.n]\ndata = 'a.csv'\ntarget = 'y'\nlayers = ['relu']\noptimizer = { adam = 0.1 }\n"
    other = "[tool.neurenix.profiles.ci.models.n]\noptimizer = { sgd = 0.5 }\n"
    assert OptimizerConfig("sgd", {"lr": 0.5}) == read(declared + other, profile="ci").models["n"].optimizer


def test_a_profile_may_add_a_model() -> None:
    config = read("[tool.neurenix.profiles.ci.models.n]\ntrain = 'a:b'", profile="ci")
    assert ["m", "n"] == list(config.models)


@pytest.mark.parametrize("profile", [None, "ci", "other"])
def test_a_mistake_in_a_profile_is_reported_where_it_is_written_chosen_or_not(profile: str | None) -> None:
    text = CI + "timeout = 0\nlables = []\ndims = { batch = { min = 9 } }\n[tool.neurenix.profiles.other]\n"
    assert [
        "profiles.ci.models.m.lables: unknown key -- did you mean 'labels'?",
        "profiles.ci.models.m.dims.batch.min: 9 is more than max, 8",
        "profiles.ci.models.m.timeout: 0 is not 1 or more",
    ] == problems(text, profile=profile)


def test_a_mistake_beside_a_profile_is_reported_once() -> None:
    text = "[tool.neurenix.web]\nsmid = true\n" + CI + "timeout = 5"
    assert ["web.smid: unknown key -- did you mean 'simd'?"] == problems(text, profile="ci")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "[tool.neurenix.targets.whel]",
            "targets.whel: 'whel' is not one of 'wheel', 'editable', 'static-site' -- did you mean 'wheel'?",
        ),
        ("[tool.neurenix.profiles]\nci = 3", "profiles.ci: expected table, got integer 3"),
        ("[tool.neurenix]\nprofiles = 3", "profiles: expected table, got integer 3"),
        (
            "[tool.neurenix.profiles.ci.targets.wheel]",
            "profiles.ci.targets: a table that is laid over cannot hold this -- move it to [tool.neurenix]",
        ),
        (
            "[tool.neurenix.targets.wheel]\nminimum-version = '0.1'",
            "targets.wheel.minimum-version: a table that is laid over cannot hold this -- move it to [tool.neurenix]",
        ),
        ("[tool.neurenix.profiles.'A b']", "profiles.\"A b\": 'A b' must match [a-z][a-z0-9_-]{0,63}"),
    ],
)
def test_a_wrong_overlay_is_named(text: str, problem: str) -> None:
    assert problem in problems(text)


def test_a_newer_minimum_version_is_the_only_problem_that_is_told() -> None:
    text = "[tool.neurenix]\nminimum-version = '99.1'\nkey-of-the-future = 1"
    assert [
        f"minimum-version: needs hatch-neurenix >= 99.1, have {__version__} -- "
        "require 'hatch-neurenix>=99.1' in build-system.requires"
    ] == problems(text)


@pytest.mark.parametrize("version", ["0.1", "0", __version__, "0.0.9.9"])
def test_an_older_minimum_version_is_fine(version: str) -> None:
    assert version == read(f"[tool.neurenix]\nminimum-version = '{version}'").minimum_version


def test_a_minimum_version_that_is_none_is_named() -> None:
    assert ["minimum-version: 'new' is not a version such as '0.1'"] == problems(
        "[tool.neurenix]\nminimum-version = 'new'"
    )
