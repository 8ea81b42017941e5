"""Claims about every mistake a user can make: one message with its path and the way out, and no traceback."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from scratch_training import REPOSITORY, Project, make_project

from hatch_neurenix.display import readable_errors
from hatch_neurenix.placement import find_package, read_hook_table
from hatch_neurenix.site_steps import find_pages, read_site_table
from neurenix.config import parse_config
from neurenix.config.rules import MODEL_FILES
from neurenix.errors import NeurenixError, TrainingTimeoutError
from neurenix.export import ExportReport, export
from neurenix.graph.store import load_graph
from neurenix.project import pipeline, stages
from neurenix.project.jobs import check_model_names


class App:
    """hatchling's application, as far as an error meets it."""

    def __init__(self, verbosity: int = 0) -> None:
        self.verbosity, self.said, self.code = verbosity, "", 0

    def abort(self, message: str, code: int = 1) -> None:
        self.said, self.code = message, code


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    project = make_project(tmp_path, monkeypatch)
    (project.root / "models").mkdir()
    (project.root / "models" / "corrupt.onnx").write_bytes(b"no model")
    (project.root / "models" / "lfs.onnx").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    (project.root / "models" / "out.onnx").symlink_to(REPOSITORY / "LICENSE")
    (project.root / "models" / "weights.safetensors").write_bytes(bytes(8))
    (project.root / "models" / "empty.onnx").write_bytes(b"")
    write_onnx(project.root / "models" / "gemm.onnx", "Gemm", ["x", "w"])
    write_onnx(project.root / "models" / "unknown.onnx", "NoSuchOperator", ["x", "w"])
    shutil.copyfile(Path(__file__).parent / "data" / "iris.csv", project.root / "iris.csv")
    return project


def write_onnx(path: Path, op: str, inputs: list[str]) -> None:
    weights = np.arange(8, dtype=np.float32).reshape(4, 2)
    graph = helper.make_graph(
        [helper.make_node(op, inputs, ["y"], name="first")],
        "made",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    )


def model_from(project: Project, **keys: Any) -> None:
    """Give the project's model another source."""
    project.table["models"]["m"] = {key.replace("_", "-"): value for key, value in keys.items()}


def declared(**keys: Any) -> Callable[[Project], None]:
    table = {"data": "iris.csv", "target": "species", "layers": [{"linear": 3}], "epochs": 1, **keys}
    return lambda project: model_from(project, **table)


def trained(**keys: Any) -> Callable[[Project], None]:
    return lambda project: project.model(**keys)


def loaded(**keys: Any) -> Callable[[Project], None]:
    return lambda project: model_from(project, **keys)


def unpacked_sdist(project: Project) -> None:
    (project.root / "PKG-INFO").write_bytes(b"")
    model_from(project, load="models/none.onnx")


def installed_nowhere(project: Project) -> None:
    project.model(train="app.needy:train")
    project.table["train-dependencies"] = ["No-Such.package>=1"]


def installed_otherwise(project: Project) -> None:
    project.model(train="app.needy:train")
    project.table["train-dependencies"] = ["no-such"]


def two_bad_files(project: Project) -> None:
    model_from(project, load="models/none.onnx")
    project.table["models"]["n"] = {"train": "app.training:train", "watch": ["none.csv"]}


def over_the_size(project: Project) -> None:
    project.table["web"] = {"max-size": "10 B"}


def newer_version(project: Project) -> None:
    project.table["minimum-version"] = "99.0"


def no_models(project: Project) -> None:
    del project.table["models"]["m"]


def bad_name(project: Project) -> None:
    project.table["models"]["my model"] = project.table["models"].pop("m")


def unknown_target(project: Project) -> None:
    project.table["native"] = {"targets": ["x86_64-linus"]}


# The causes are those of the project's list; what belongs to the site and the hook follows below.
MISTAKES: dict[str, tuple[Callable[[Project], None], list[str]]] = {
    "unknown key": (trained(quantise=False), [".models.m.quantise: unknown key -- did you mean 'quantize'?"]),
    "wrong type": (trained(timeout="1"), [".models.m.timeout: expected number, got string '1'"]),
    "not one of": (trained(quantize="int9"), [".models.m.quantize: 'int9' is not one of false, 'float16', 'int8'"]),
    "quantize is to come": (trained(quantize="int8"), [".models.m.quantize: 'int8' arrives in a later version"]),
    "missing key": (trained(dims={"batch": {"min": 1}}), [".models.m.dims.batch.max: required key is missing"]),
    "no models": (no_models, [".models: declare at least one model"]),
    "bad name": (bad_name, [".models.\"my model\": 'my model' must match [a-z][a-z0-9_-]{0,63}"]),
    "no source": (loaded(), [".models.m: set exactly one of 'train', 'load' or 'data'"]),
    "both sources": (trained(load="a.onnx"), [".models.m: set exactly one of 'train', 'load' or 'data'"]),
    "bad reference": (trained(train="a.b"), [".models.m.train: 'a.b' is not 'module:function'"]),
    "module missing": (trained(train="app.needy:train"), ["-- add 'no_such_package' to train-dependencies; log: "]),
    "not installed": (
        installed_nowhere,
        [
            "-- it is in train-dependencies, but not in this environment: pip install 'no_such_package'; log: ",
        ],
    ),
    "installed under another name": (
        installed_otherwise,
        [
            "-- add the package with 'no_such_package' to train-dependencies, or, if one of those there (no-such) ",
        ],
    ),
    "attribute missing": (
        trained(train="app.training:trian"),
        [".models.m.train: 'app.training' has no 'trian' -- did you mean 'train'?; log: "],
    ),
    "train raised": (
        trained(train="app.training:fail"),
        [".models.m.train: train failed: ValueError: no data in the file (src/app/training.py, line 27); log: "],
    ),
    "bad return": (
        trained(train="app.training:nothing"),
        [".models.m.train: train must return a model (or a Trained), got NoneType; log: "],
    ),
    "timeout": (
        trained(train="app.training:sleep", params={"pid_file": "pid"}, timeout=2),
        [".models.m.train: exceeded 2 s -- raise 'timeout'; log: "],
    ),
    "below min-metric": (
        trained(min_metric={"accuracy": 0.9}),
        [".models.m.min-metric.accuracy: accuracy is 0.75, below 0.9 -- train longer, "],
    ),
    "above max-metric": (
        trained(max_metric={"accuracy": 0.5}),
        [".models.m.max-metric.accuracy: accuracy is 0.75, above 0.5 -- train longer, "],
    ),
    "unknown metric": (
        trained(min_metric={"acuracy": 0.9}),
        [
            ".models.m.min-metric.acuracy: the training returned no metric 'acuracy' -- did you mean 'accuracy'?",
        ],
    ),
    "no metrics": (
        trained(train="app.training:bare", min_metric={"accuracy": 0.9}),
        [".models.m.min-metric.accuracy: the training returned no metric 'accuracy' -- it returned none"],
    ),
    "file missing": (loaded(load="models/none.onnx"), [".models.m.load: 'models/none.onnx' is not there, in "]),
    "empty file": (
        loaded(load="models/empty.onnx"),
        [".models.m.load: 'models/empty.onnx' is empty -- write or fetch it again"],
    ),
    "a folder": (declared(data="src/app.csv"), [".models.m.data: 'src/app.csv' is not there, in "]),
    "not in the sdist": (
        unpacked_sdist,
        [
            ".models.m.load: 'models/none.onnx' is not there, in ",
            " -- it is not in the sdist: remove it from your excludes",
        ],
    ),
    "files of two models": (
        two_bad_files,
        [
            "2 problems in pyproject.toml",
            ".models.m.load: 'models/none.onnx' is not there",
            ".models.n.watch[0]: 'none.csv' ",
        ],
    ),
    "LFS pointer": (
        loaded(load="models/lfs.onnx"),
        [".models.m.load: 'models/lfs.onnx' is a Git LFS pointer -- run 'git lfs pull'"],
    ),
    "link out of the project": (
        loaded(load="models/out.onnx"),
        [".models.m.load: 'models/out.onnx' is a link that leaves the project -- copy the file instead"],
    ),
    "path out of the project": (
        loaded(load="../m.onnx"),
        [".models.m.load: '../m.onnx' leaves the project -- write it relative to pyproject.toml, without '..'"],
    ),
    "bad extension": (
        loaded(load="models/a.h5"),
        [".models.m.load: '.h5' is unsupported -- use one of .onnx, .pt2, .safetensors, .pt, .pth"],
    ),
    "corrupt": (loaded(load="models/corrupt.onnx"), [".models.m.load: ", "corrupt.onnx", "; log: "]),
    "sha256 mismatch": (
        loaded(load="models/corrupt.onnx", sha256="0" * 64),
        [
            f".models.m.sha256: 'models/corrupt.onnx' is {hashlib.sha256(b'no model').hexdigest()}, "
            f"expected {'0' * 64}",
            " -- fetch the file again, or write the new value if the change is meant",
        ],
    ),
    "pickle": (
        loaded(load="models/a.pkl"),
        [".models.m.load: 'models/a.pkl' needs pickle, which can run code -- convert it to .safetensors or .onnx"],
    ),
    "no architecture": (
        loaded(load="models/weights.safetensors"),
        [".models.m.load: 'models/weights.safetensors' holds weights only -- set architecture = 'module:function'"],
    ),
    "architecture missing": (
        loaded(load="models/weights.safetensors", architecture="app.training:bild"),
        [".models.m.load: 'app.training' has no 'bild'"],
    ),
    "unsupported operator": (loaded(load="models/unknown.onnx"), [".models.m.load: ", "NoSuchOperator", "; log: "]),
    "inputs do not fit": (trained(inputs={"x": "float32[batch, 5]"}), [".models.m.train: ", "; log: "]),
    "inputs cannot be inferred": (
        loaded(train="app.training:image"),
        [
            ".models.m.train: the input shape cannot be inferred from the first layer, Conv2d",
            "-- declare it: inputs = { input = 'float32[batch, 4]' }; log: ",
        ],
    ),
    "undeclared dim": (
        trained(dims={}),
        [".models.m.inputs.x: symbol 'batch' has no entry in 'dims' -- add dims = { batch = "],
    ),
    "wrong number of outputs": (
        trained(outputs=["a", "b"]),
        [".models.m.train: there are 2 names for the 1 outputs ['output']; log: "],
    ),
    "wrong column": (
        declared(target="specis"),
        [".models.m.target: iris.csv has no column 'specis'; its columns are sepal_length, "],
    ),
    "wrong width": (
        declared(layers=[{"linear": 4}]),
        [".models.m.layers: the last layer gives 4 values", "end with { linear = 3 }; log: "],
    ),
    "wrong layer": (declared(layers=["rleu"]), [".models.m.layers[0]: 'rleu' is no layer -- did you mean 'relu'?"]),
    "unknown native target": (unknown_target, [".native.targets[0]: 'x86_64-linus' is not one of host, "]),
    "too big": (over_the_size, [".web.max-size: model 'm' has 15 bytes of web files, more than 10 -- raise max-size"]),
    "version gate": (newer_version, [".minimum-version: needs hatch-neurenix >= 99.0, have 0.1"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("cause", MISTAKES)
def test_a_mistake_ends_the_build_with_its_path_and_no_traceback(project: Project, cause: str) -> None:
    make, expected = MISTAKES[cause]
    make(project)
    app = App()
    with readable_errors(app):
        build(project)
    assert app.said.startswith("hatch-neurenix: ")
    assert "Traceback" not in app.said
    assert re.search(r"\nMore about it: \S+#[a-z_]+$", app.said)
    for part in expected:
        assert part in app.said


def test_the_traceback_is_there_for_who_asks(project: Project) -> None:
    project.model(train="app.training:fail")
    with pytest.raises(NeurenixError) as caught, readable_errors(App(verbosity=1)):
        build(project)
    assert "in fail" in str(caught.value.__cause__)


def test_an_interruption_is_no_traceback() -> None:
    app = App()
    with readable_errors(app):
        raise KeyboardInterrupt
    assert (130, "hatch-neurenix: interrupted; what is done is in the cache") == (app.code, app.said)


def build(project: Project) -> Any:
    return pipeline.build_models(
        project.config(), project.root, None, project.lines.append, cache=project.cache, exporter=project.export
    )


@pytest.mark.slow
def test_a_timeout_has_a_code_of_its_own(project: Project) -> None:
    project.model(train="app.training:sleep", params={"pid_file": "pid"}, timeout=2)
    with pytest.raises(TrainingTimeoutError) as caught:
        build(project)
    assert "training_timeout" == caught.value.code


def test_a_file_that_changed_behind_its_sha256_is_refused_from_the_cache_too(project: Project) -> None:
    file = project.root / "models" / "gemm.onnx"
    wanted = hashlib.sha256(file.read_bytes()).hexdigest()
    model_from(project, load="models/gemm.onnx", sha256=wanted.upper())
    (built,) = build(project)
    assert built.trained_now
    (graph,) = project.cache.glob("v1/entries/*/files/graph.npz")
    assert ("x",) == load_graph(graph).inputs
    write_onnx(file, "MatMul", ["x", "w"])
    with pytest.raises(NeurenixError, match=rf"sha256: 'models/gemm.onnx' is [0-9a-f]{{64}}, expected {wanted}"):
        build(project)


def test_outputs_get_the_declared_names(project: Project) -> None:
    model_from(project, load="models/gemm.onnx", outputs=["scores"])
    build(project)
    (graph,) = project.cache.glob("v1/entries/*/files/graph.npz")
    assert ("scores",) == load_graph(graph).outputs


def test_what_reads_a_file_is_asked_for_and_training_packages_are_not(project: Project) -> None:
    project.table["train-dependencies"] = ["torch"]
    model_from(project, load="models/gemm.onnx")
    assert ("onnx>=1.17",) == project.missing().packages
    declared()(project)
    assert () == project.missing().packages
    model_from(project, load="models/weights.safetensors", architecture="app.training:train")
    assert ("torch", "safetensors>=0.4") == project.missing().packages
    assert set(MODEL_FILES) == set(stages.READERS)


@pytest.mark.zig
def test_a_drift_names_the_form_and_the_limit(project: Project) -> None:
    def drifting(*arguments: Any) -> ExportReport:
        graph, directory, name, options, say = arguments
        return export(graph, directory, name, replace_error(options), say)

    def replace_error(options: Any) -> Any:
        return type(options)(**{**vars(options), "max_error": 0.0, "simd": False})

    model_from(project, data="iris.csv", target="species", layers=[{"linear": 32}, "tanh", {"linear": 3}], epochs=1)
    with pytest.raises(NeurenixError, match=r"form of 'm' is off by .*, the limit is 0: raise max-error"):
        pipeline.build_models(project.config(), project.root, cache=project.cache, exporter=drifting)


def test_an_unknown_model_of_a_site_is_named() -> None:
    with pytest.raises(NeurenixError, match=r"models\[0\]: 'digit' is not declared .* -- did you mean 'digits'\?"):
        check_model_names(["digit"], ["digits"], "tool.hatch.build.targets.static-site.models")


def pages(root: Path, option: str) -> Any:
    (root / "dist").mkdir()
    return find_pages(root, option, root / "dist" / "site")


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda root: read_site_table({"page": "x"}), "static-site.page: unknown key -- did you mean 'pages'?"),
        (
            lambda root: read_hook_table({"packge": "x"}),
            "hooks.neurenix.packge: unknown key -- did you mean 'package'?",
        ),
        (lambda root: pages(root, "../web"), "static-site.pages: '../web' is no folder in "),
        (lambda root: pages(root, "/etc"), "static-site.pages: '/etc' leaves the project -- move the pages into it"),
        (lambda root: pages(root, "."), "static-site.pages: '.' has /"),
        (lambda root: pages(root, "dist"), "/dist/site in it, which would go on the web too -- move the pages into "),
        (lambda root: find_package(root, "..", [], "x"), "hooks.neurenix.package: '..' is no package in "),
        (lambda root: parse_config({}), "tool.neurenix: declare at least one model: [tool.neurenix.models.NAME]"),
    ],
)
def test_a_mistake_in_hatchs_own_tables_is_named(tmp_path: Path, read: Callable[[Path], Any], message: str) -> None:
    with pytest.raises(NeurenixError) as caught:
        read(tmp_path)
    assert message in str(caught.value)
