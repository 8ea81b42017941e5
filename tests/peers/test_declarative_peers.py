"""Claims about models without Python beside scikit-learn: the same features, and as many flowers told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from neurenix.declarative.modules import TableFeatures
from neurenix.declarative.table import read_samples
from neurenix.declarative.training import Declaration, make
from neurenix.tensor import Tensor

pytestmark = pytest.mark.peers

DATA = Path(__file__).parent.parent / "data"


def test_the_data_are_the_known_ones() -> None:
    samples = read_samples(DATA / "iris.csv", "iris.csv", "species", {}, 0.2, 0)
    known = load_iris()
    assert np.array_equal(known.data.astype(np.float32), samples.x)
    assert np.array_equal(known.target, samples.y)
    assert tuple(known.target_names) == samples.labels


def test_features_are_those_of_standard_scaler_and_one_hot_encoder() -> None:
    generator = np.random.default_rng(0)
    rows = np.c_[generator.normal(50, 7, 40), generator.integers(0, 3, 40), generator.normal(-1, 0.1, 40)]
    rows = rows.astype(np.float32)
    own = TableFeatures(["a", "word", "b"], {"word": ("x", "y", "z")}, rows)(Tensor(rows)).numpy()
    peer = ColumnTransformer(
        [("a", StandardScaler(), [0]), ("word", OneHotEncoder(sparse_output=False), [1]), ("b", StandardScaler(), [2])]
    )
    assert np.allclose(peer.fit_transform(rows.astype(np.float64)), own, atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_a_linear_classifier_is_as_good_as_logistic_regression(seed: int) -> None:
    declared = Declaration("iris.csv", "species", (("linear", {"out_features": 3}),), epochs=200, seed=seed)
    made = make(declared, DATA)
    samples = read_samples(DATA / "iris.csv", "iris.csv", "species", {}, declared.validation, seed)
    scaler = StandardScaler().fit(samples.x[samples.training])
    peer = LogisticRegression(max_iter=1000).fit(
        scaler.transform(samples.x[samples.training]), samples.y[samples.training]
    )
    score = peer.score(scaler.transform(samples.x[samples.validation]), samples.y[samples.validation])
    # One flower of the 30 may fall on the other side of a boundary.
    assert made.metrics["accuracy"] >= score - 1.01 / 30
