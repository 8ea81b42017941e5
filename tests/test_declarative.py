"""Claims about models without Python: what they learn, what goes in and comes out, and what each mistake is called."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.data import read_csv
from neurenix.declarative.modules import TableFeatures
from neurenix.declarative.training import Declaration, Made, make
from neurenix.errors import TrainingError
from neurenix.phynexus.reference import run_graph
from neurenix.tensor import Tensor
from neurenix.trace import trace

DATA = Path(__file__).parent / "data"
CLASSIFIER = Declaration(
    "iris.csv", "species", (("linear", {"out_features": 16}), ("relu", {}), ("linear", {"out_features": 3})), epochs=60
)
REGRESSOR = replace(
    CLASSIFIER,
    target="petal_width",
    layers=(("linear", {"out_features": 8}), ("tanh", {}), ("linear", {"out_features": 1})),
)


def run(made: Made, rows: Any) -> Any:
    return run_graph(trace(made.model, made.inputs), {"input": np.asarray(rows, np.float32)}, {"batch": len(rows)})[
        "output"
    ]


def raw_iris(*names: str) -> Any:
    table = read_csv(DATA / "iris.csv")
    return np.stack([table.columns[name].astype(np.float32) for name in names], axis=1)


MEASURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")


def test_iris_is_learnt_and_answers_are_probabilities_of_the_labels() -> None:
    made = make(CLASSIFIER, DATA)
    assert ("setosa", "versicolor", "virginica") == made.labels
    assert {"input": "float32[batch, 4]"} == made.inputs
    assert made.metrics["accuracy"] >= 0.9
    # Three flowers that Fisher measured, in centimetres, as they are.
    answers = run(made, [[5.1, 3.5, 1.4, 0.2], [5.7, 2.8, 4.1, 1.3], [7.2, 3.6, 6.1, 2.5]])
    assert [0, 1, 2] == answers.argmax(axis=1).tolist()
    assert np.allclose(1, answers.sum(axis=1), atol=1e-6)


def test_the_first_layer_tells_a_form_what_to_ask_for() -> None:
    made = make(replace(REGRESSOR, epochs=1), DATA)
    first = trace(made.model, made.inputs).layers[0]
    assert ("features", "TableFeatures") == (first.name, first.type)
    assert ["sepal_length", "sepal_width", "petal_length", "species"] == first.config["features"]
    assert [[], [], [], ["setosa", "versicolor", "virginica"]] == first.config["categories"]
    assert [0.0, 2.0] == first.config["ranges"][3]
    low, high = first.config["ranges"][2]
    assert (True, True) == (1.0 <= low <= 1.2, 6.4 <= high <= 6.9)


def test_a_regressor_takes_words_by_index_and_answers_in_the_targets_unit() -> None:
    made = make(REGRESSOR, DATA)
    assert ((), True) == (made.labels, made.metrics["r2"] > 0.85)
    rows = raw_iris("sepal_length", "sepal_width", "petal_length", "species")
    error = run(made, rows)[:, 0] - raw_iris("petal_width")[:, 0]
    assert np.abs(error).mean() < 0.2
    assert {"mae", "rmse", "r2"} == set(made.metrics)


def test_features_are_scaled_by_the_training_rows_and_words_become_one_hot() -> None:
    rows = np.array([[1, 0], [3, 1], [5, 2]], np.float32)
    features = TableFeatures(["size", "colour"], {"colour": ("blue", "green", "red")}, rows)
    answer = features(Tensor(np.array([[3, 2], [7, 0]], np.float32))).numpy()
    spread = np.std([1, 3, 5])
    assert np.allclose([[0, 0, 0, 1], [4 / spread, 1, 0, 0]], answer)


def test_a_constant_column_does_no_harm() -> None:
    features = TableFeatures(["size"], {}, np.full((4, 1), 7, np.float32))
    assert [[0.0]] == features(Tensor(np.array([[7]], np.float32))).numpy().tolist()


def test_two_classes_from_one_score_have_two_probabilities(tmp_path: Path) -> None:
    lines = (DATA / "iris.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "two.csv").write_text("\n".join(x for x in lines if "virginica" not in x), encoding="utf-8")
    declared = replace(
        CLASSIFIER, data="two.csv", layers=(("linear", {"out_features": 1}),), loss=("bce_with_logits", {})
    )
    made = make(declared, tmp_path)
    answers = run(made, [[5.1, 3.5, 1.4, 0.2], [5.7, 2.8, 4.1, 1.3]])
    assert ("setosa", "versicolor") == made.labels
    assert [0, 1] == answers.argmax(axis=1).tolist()
    assert np.allclose(1, answers.sum(axis=1))


def test_an_image_in_columns_goes_through_convolutions(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    lines = [",".join([*(f"p{i}" for i in range(16)), "digit"])]
    for row in range(60):
        image = generator.random((4, 4)) + (np.eye(4) if row % 2 else np.eye(4)[::-1]) * 2
        lines.append(",".join([*(f"{v:.3f}" for v in image.ravel()), str(row % 2)]))
    (tmp_path / "digits.csv").write_text("\n".join(lines), encoding="utf-8")
    layers = (
        ("unflatten", {"dim": 1, "unflattened_size": [1, 4, 4]}), ("conv2d", {"out_channels": 4, "kernel_size": 3}),
        ("batch_norm2d", {}), ("relu", {}), ("flatten", {}), ("dropout", {"p": 0.1}), ("linear", {"out_features": 2}),
    )  # fmt: skip
    declared = Declaration("digits.csv", "digit", layers, columns={"digit": "category"}, batch_size=47, epochs=40)
    made = make(declared, tmp_path)
    assert (("0", "1"), True) == (made.labels, made.metrics["accuracy"] > 0.9)


def test_a_declared_model_with_words_can_be_scheduled() -> None:
    made = make(replace(REGRESSOR, epochs=1), DATA)
    plan, _ = schedule(passes.run(trace(made.model, made.inputs)), made.labels)
    assert ("input",) == tuple(plan.inputs)


def test_the_same_declaration_gives_the_same_weights_and_another_seed_others() -> None:
    first, second = (make(replace(CLASSIFIER, epochs=2), DATA).model.state_dict() for _ in range(2))
    other = make(replace(CLASSIFIER, epochs=2, seed=1), DATA).model.state_dict()
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.array_equal(first["linear.weight"], other["linear.weight"])


def test_validation_takes_the_same_share_of_every_class(capsys: pytest.CaptureFixture[str]) -> None:
    make(replace(CLASSIFIER, epochs=1, validation=0.1), DATA)
    assert "on 15 rows of validation data" in capsys.readouterr().out
    make(replace(CLASSIFIER, epochs=1, validation=0), DATA)
    assert "on 150 rows of training data" in capsys.readouterr().out


def test_an_ignored_column_may_hold_anything(tmp_path: Path) -> None:
    lines = (DATA / "iris.csv").read_text(encoding="utf-8").splitlines()
    named = [f"{'id' if i == 0 else ''},{line}" for i, line in enumerate(lines)]
    (tmp_path / "iris.csv").write_text("\n".join(named), encoding="utf-8")
    made = make(replace(CLASSIFIER, columns={"id": "ignore"}, epochs=1), tmp_path)
    assert {"input": "float32[batch, 4]"} == made.inputs


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "specis"}, "target: iris.csv has no column 'specis'; its columns are sepal_length, "),
        ({"data": "none.csv"}, "data: there is no file "),
        ({"columns": {"colour": "number"}}, "data: "),
        ({"columns": {"species": "number"}}, "data: "),
        (
            {"layers": (("linear", {"out_features": 4}),)},
            "layers: the last layer gives 4 values for each row, but the target 'species' has 3 categories "
            "(setosa, versicolor, virginica) -- end with { linear = 3 }",
        ),
        (
            {"target": "petal_width"},
            "layers: the last layer gives 3 values for each row, but the target 'petal_width' is a number -- "
            "end with { linear = 1 }",
        ),
        (
            {"loss": ("mse", {})},
            "loss: 'mse' is for a number; the target 'species' is a category -- 'cross_entropy' fits",
        ),
        (
            {"loss": ("bce_with_logits", {})},
            "loss: 'bce_with_logits' is for 2 categories; 'species' has 3 -- 'cross_entropy' is for any number",
        ),
        (
            {"layers": (("relu", {}), ("conv2d", {"out_channels": 2, "kernel_size": 3}))},
            "layers[1].conv2d: ",
        ),
        ({"layers": (("dropout", {"p": 3}),)}, "layers[0].dropout: "),
        ({"optimizer": ("sgd", {"lr": -1.0})}, "optimizer: "),
        ({"optimizer": ("sgd", {"lr": 1e30})}, "optimizer: the loss is "),
    ],
)  # fmt: skip
def test_a_mistake_names_its_key_and_the_way_out(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError) as caught:
        make(replace(CLASSIFIER, **changes), DATA)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,y\n1,x\n2,x\n", "target: 'y' is 'x' in every row of t.csv: there is nothing to learn"),
        ("y\nx\nz\n", "data: t.csv has no column but the target 'y'"),
        ("a,y\n,x\n2,z\n", "data: "),
        (
            "a,y\n" + "".join(f"word{i},{'xz'[i % 2]}\n" for i in range(60)),
            "columns: 'a' of t.csv has 60 different words in 60 rows, too many for a category -- columns = { a = "
            "'ignore' } leaves it out",
        ),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_learnt_from_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    with pytest.raises(TrainingError) as caught:
        make(replace(CLASSIFIER, data="t.csv", target="y"), tmp_path)
    assert str(caught.value).startswith(message)
