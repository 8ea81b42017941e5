"""Claims about models without Python in the configuration: what is read, and what each mistake is called."""

from __future__ import annotations

import sys

import pytest

from neurenix.config import ModelConfig, parse_config
from neurenix.config.components import LayerConfig, LossConfig, OptimizerConfig
from neurenix.declarative.vocabulary import LAYERS, LOSSES, OPTIMIZERS, snake_case
from neurenix.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

IRIS = """
[tool.neurenix.models.iris]
data = "data/iris.csv"
target = "species"
"""
LAYERS_LINE = "layers = [{ linear = 16 }, 'relu', { linear = 3 }]\n"


def read(text: str) -> ModelConfig:
    return parse_config(tomllib.loads(IRIS + text)).models["iris"]


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return [line.removeprefix("tool.neurenix.models.iris") for line in caught.value.problems]


def test_a_model_needs_only_data_a_target_and_layers() -> None:
    model = read(LAYERS_LINE)
    assert ("data", "data/iris.csv", "species", None) == (model.source, model.file, model.target, model.loss)
    assert ("linear", "relu", "linear") == tuple(layer.name for layer in model.layers or ())
    assert (100, 32, 0.2, 0) == (model.epochs, model.batch_size, model.validation, model.seed)
    assert OptimizerConfig("adam", {"lr": 0.01}) == model.optimizer


def test_a_bare_value_sets_the_first_option_and_a_table_any() -> None:
    model = read(
        "layers = [{ unflatten = { dim = 1, unflattened-size = [1, 2, 2] } }, "
        "{ conv2d = { out-channels = 4, kernel-size = [2, 2], bias = false } }, 'flatten', { dropout = 0.5 }, "
        "{ linear = { out-features = 3 } }]\n"
        "loss = { cross_entropy = { label-smoothing = 0.1 } }\noptimizer = { sgd = { lr = 1, momentum = 0.9 } }\n"
    )
    assert (
        LayerConfig("unflatten", {"dim": 1, "unflattened_size": [1, 2, 2]}),
        LayerConfig("conv2d", {"out_channels": 4, "kernel_size": [2, 2], "bias": False}),
        LayerConfig("flatten", {}),
        LayerConfig("dropout", {"p": 0.5}),
        LayerConfig("linear", {"out_features": 3}),
    ) == model.layers
    assert LossConfig("cross_entropy", {"label_smoothing": 0.1}) == model.loss
    assert OptimizerConfig("sgd", {"lr": 1, "momentum": 0.9}) == model.optimizer


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ".layers: required key is missing -- add layers = [{ linear = 16 }, 'relu', { linear = 3 }]"),
        ("layers = []", ".layers: has no layer -- a classifier of 3 categories ends with { linear = 3 }"),
        ("layers = 'relu'", ".layers: expected array, got string 'relu' -- write ['relu']"),
        ("layers = ['rleu']", ".layers[0]: 'rleu' is no layer -- did you mean 'relu'?"),
        ("layers = [{ liner = 3 }]", ".layers[0]: 'liner' is no layer -- did you mean 'linear'?"),
        (
            "layers = [3]",
            ".layers[0]: expected a name or a table of one name, such as 'relu' or { linear = 16 }, got 3",
        ),
        (
            "layers = [{ linear = 3, relu = 1 }]",
            ".layers[0]: expected a name or a table of one name, such as 'relu' or { linear = 16 }, "
            "got a table of 2 names",
        ),
        ("layers = ['linear']", ".layers[0]: 'linear' needs 'out-features' -- write { linear = 16 }"),
        (
            "layers = [{ conv2d = 8 }]",
            ".layers[0].conv2d: 'conv2d' needs 'kernel-size' -- "
            "write { conv2d = { out-channels = 16, kernel-size = 3 } }",
        ),
        ("layers = [{ linear = '16' }]", ".layers[0].linear: expected integer, got '16'"),
        ("layers = [{ linear = true }]", ".layers[0].linear: expected integer, got true"),
        (
            "layers = [{ linear = { out-feature = 3 } }]",
            ".layers[0].linear.out-feature: unknown option of 'linear' -- did you mean 'out-features'?",
        ),
        ("layers = [{ tanh = 3 }]", ".layers[0].tanh: 'tanh' takes no value, got 3 -- write 'tanh'"),
        ("layers = [{ tanh = { x = 3 } }]", ".layers[0].tanh.x: unknown option of 'tanh' -- it has none"),
        (
            "layers = [{ linear = 3 }, 'softmax']",
            ".layers[1]: 'softmax': training wants plain scores, and the finished model gives probabilities by itself "
            "-- remove it",
        ),
        (LAYERS_LINE + "loss = 'cross-entropy'", ".loss: 'cross-entropy' is no loss -- did you mean 'cross_entropy'?"),
        (LAYERS_LINE + "optimizer = 'adma'", ".optimizer: 'adma' is no optimizer -- did you mean 'adam'?"),
        (
            LAYERS_LINE + "optimizer = { adam = { learning-rate = 1 } }",
            ".optimizer.adam.learning-rate: unknown option of 'adam' -- it has lr, betas, eps, weight-decay, amsgrad, "
            "maximize",
        ),
        (LAYERS_LINE + "epochs = 0", ".epochs: 0 is not between 1 and 1000000"),
        (LAYERS_LINE + "validation = 1.0", ".validation: 1.0 is not between 0 and 0.9"),
        (LAYERS_LINE + "validate = 0.2", ".validate: unknown key -- did you mean 'validation'?"),
        (LAYERS_LINE + "columns = { a = 'text' }", ".columns.a: 'text' is not one of 'number', 'category', 'ignore'"),
        (LAYERS_LINE + "min-metric = { 'top 1' = nan }", ".min-metric.\"top 1\": nan is not a finite number"),
        (LAYERS_LINE + "columns = { species = 'ignore' }", ".columns.species: 'ignore': this column is the target -- "
                                                           "remove it"),
        (
            LAYERS_LINE + "labels = ['a', 'b', 'c']",
            ".labels: goes with 'train' or 'load', and this model has 'data' -- remove it: the target's categories are "
            "the labels",
        ),
        (
            LAYERS_LINE + "inputs = { x = 'float32[2]' }",
            ".inputs: goes with 'train' or 'load', and this model has 'data' -- remove it: the columns of the data are "
            "the input",
        ),
        (LAYERS_LINE + "dims = { n = { max = 3 } }", ".dims.n: a model without Python has one symbol, 'batch' -- "
                                                     "remove it"),
        (LAYERS_LINE + "train = 'a:b'", ": set exactly one of 'train', 'load' or 'data'"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_path(text: str, problem: str) -> None:
    assert problem in problems(text)


def test_all_mistakes_of_a_network_are_reported_at_once() -> None:
    assert [
        ".layers[0].linear: expected integer, got 'x'",
        ".layers[1]: 'rleu' is no layer -- did you mean 'relu'?",
        ".layers[2].conv2d.kernel: unknown option of 'conv2d' -- did you mean 'kernel-size'?",
        ".layers[2].conv2d: 'conv2d' needs 'out-channels', 'kernel-size' -- "
        "write { conv2d = { out-channels = 16, kernel-size = 3 } }",
        ".loss: 'mes' is no loss -- did you mean 'mse'?",
    ] == problems("layers = [{ linear = 'x' }, 'rleu', { conv2d = { kernel = 3 } }]\nloss = 'mes'")


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("ReLU", "relu"), ("PReLU", "prelu"), ("ReLU6", "relu6"), ("LeakyReLU", "leaky_relu"), ("SiLU", "silu"),
        ("BatchNorm1d", "batch_norm1d"), ("RMSNorm", "rms_norm"), ("LPPool2d", "lp_pool2d"),
        ("LogSoftmax", "log_softmax"),
        ("AdaptiveAvgPool2d", "adaptive_avg_pool2d"), ("BCEWithLogits", "bce_with_logits"), ("SmoothL1", "smooth_l1"),
        ("ConvTranspose2d", "conv_transpose2d"), ("GRUCell", "gru_cell"), ("Linear", "linear"),
    ],
)  # fmt: skip
def test_a_word_is_the_classs_name_as_its_function_is_called(name: str, word: str) -> None:
    assert word == snake_case(name)


def test_the_vocabulary_has_the_layers_that_take_one_tensor() -> None:
    assert {"linear", "conv2d", "dropout", "batch_norm1d", "relu", "flatten", "max_pool2d"} <= set(LAYERS)
    assert not {"bilinear", "lstm", "embedding", "sequential", "transformer_encoder", "mse"} & set(LAYERS)
    assert {"cross_entropy", "mse", "huber"} <= set(LOSSES)
    assert {"adam", "adamw", "sgd", "rmsprop", "adagrad"} <= set(OPTIMIZERS)
