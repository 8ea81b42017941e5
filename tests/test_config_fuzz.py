"""Claims about whatever else a file may hold: the reader answers with a configuration or with its own error."""

from __future__ import annotations

import dataclasses
import string
from datetime import date
from typing import Any

import jsonschema
from hypothesis import example, given
from hypothesis import strategies as st

from neurenix.config import Config, DimConfig, ModelConfig, NativeConfig, WebConfig, parse_config
from neurenix.config.schema import tool_schema
from neurenix.config.validate import toml_key
from neurenix.declarative.vocabulary import LAYERS, LOSSES, OPTIMIZERS
from neurenix.errors import ConfigError

KEYS = [
    toml_key(f.name) for t in (Config, ModelConfig, DimConfig, WebConfig, NativeConfig) for f in dataclasses.fields(t)
]
WORDS = [*LAYERS, *LOSSES, *OPTIMIZERS, "lr", "out-features", "kernel-size", "wheel", "ci"]
TEXTS = st.one_of(
    st.sampled_from(["a:b", "m.onnx", "d.csv", "float32[batch, 4]", "host", "5 MB", "0.1", "category", "../x", ""]),
    st.sampled_from(WORDS),
    st.text(string.printable, max_size=6),
)
LEAVES = st.one_of(st.booleans(), st.integers(-2, 2**33), st.floats(), st.just(date(1979, 5, 27)), TEXTS)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from([*KEYS, *WORDS, "x", "batch"]), TEXTS), inner, max_size=4),
    ),
    max_leaves=8,
)
MODELS = st.dictionaries(
    st.sampled_from(["m", "n", "A b"]), st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6) | VALUES, max_size=2
)
SCHEMA = jsonschema.Draft7Validator(tool_schema())


@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4), MODELS, st.dictionaries(TEXTS, VALUES, max_size=2))
@example({}, {"m": {"data": "d.csv", "target": "y", "layers": [{"linear": {"out-features": []}}]}}, {})
@example({}, {"m": {"train": "a:b", "dims": {"x": {"max": True}}}}, {"ci": {"models": {"m": 3}}})
@example({"models": 3}, {}, {"ci": {"models": {"m": {"load": "m.onnx"}}}})
def test_any_table_is_read_or_refused_with_a_path(table: Any, models: Any, profiles: Any) -> None:
    whole = {"models": models, **table, **({"profiles": profiles} if profiles else {})}
    document = {"tool": {"neurenix": whole}}
    try:
        config = parse_config(document, target="wheel", profile="ci" if "ci" in profiles else None)
    except ConfigError as error:
        assert error.problems
        for problem in error.problems:
            path, separator, text = problem.partition(": ")
            assert path.startswith("tool.neurenix")
            assert separator
            assert text
        return
    assert config.models
    if not profiles:
        # What the reader takes, the schema takes; a profile may have put right what is wrong below it.
        assert [] == [e.message for e in SCHEMA.iter_errors(whole)]
