"""Claims about the example application: what its users get, by the ways they build and install it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from builds import ROOT, build
from PIL import Image

from neurenix import load_model

pytestmark = [pytest.mark.slow, pytest.mark.zig, pytest.mark.wasm]


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    with np.load(ROOT / "example-app" / "data" / "digits.npz") as data:
        return data["images"], data["labels"]


def copied(source: Path, target: Path) -> Path:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("dist", "__pycache__", "_neurenix"))
    return target


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def contents(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): digest(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def environment(cache: Path) -> dict[str, str]:
    return {**os.environ, "NEURENIX_CACHE_DIR": str(cache)}


def test_the_wheel_is_tagged_for_its_platform_and_holds_the_bundle(digits_wheel: Path) -> None:
    assert digits_wheel.name.startswith("digits_app-0.1.0-py3-none-")
    assert not digits_wheel.name.endswith("-any.whl")
    names = zipfile.ZipFile(digits_wheel).namelist()
    bundle = {n.rpartition("/")[2] for n in names if n.startswith("digits_app/_neurenix/digits/")}
    assert {"digits.json", "digits.bin", "digits.js", "digits.relaxed.wasm", "neurenix.runtime.js"} <= bundle
    assert [] == [n for n in names if n.startswith("/") or ".." in n.split("/")]


def test_the_wheel_passes_check_wheel_contents(digits_wheel: Path) -> None:
    tool = Path(sys.executable).with_name("check-wheel-contents")
    done = subprocess.run([tool, digits_wheel], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_shipped_model_reads_held_out_digits(
    digits_wheel: Path,
    digits: tuple[np.ndarray, np.ndarray],
    tmp_path: Path,  # type: ignore[type-arg]
) -> None:
    zipfile.ZipFile(digits_wheel).extractall(tmp_path)
    model = load_model(tmp_path / "digits_app" / "_neurenix" / "digits" / "digits.json", device="cpu")
    images, labels = (part[-500:] for part in digits)
    pixels = (images.reshape(-1, 1, 28, 28) / 255).astype(np.float32)
    answers = np.concatenate([model.forward(pixels[i : i + 25])["output"] for i in range(0, len(pixels), 25)])
    assert (answers.argmax(axis=1) == labels).mean() >= 0.97


def test_the_wheel_answers_natively_in_a_clean_environment(
    digits_wheel: Path,
    digits: tuple[np.ndarray, np.ndarray],
    tmp_path: Path,  # type: ignore[type-arg]
) -> None:
    images, labels = digits
    Image.fromarray(images[0].reshape(28, 28)).resize((140, 140)).save(tmp_path / "digit.png")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    wheels = tmp_path / "wheels"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, ROOT], check=True)
    project = next(wheels.glob("hatch_neurenix-*.whl"))
    subprocess.run([*pip, "--python", python, "install", project, digits_wheel], check=True)
    done = subprocess.run(
        [python, "-W", "error", "-m", "digits_app", tmp_path / "digit.png"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(labels[0]) in done.stdout.split(), done.stdout


def test_builds_in_two_folders_with_two_caches_are_byte_identical(tmp_path: Path) -> None:
    found = []
    for name in ("one", "deeper/down/two"):
        project = copied(ROOT / "example-app", tmp_path / name)
        text = (project / "pyproject.toml").read_text()
        (project / "pyproject.toml").write_text(text.replace("epochs = 10", "epochs = 1"))
        for target in ("wheel", "static-site"):
            subprocess.run(
                [sys.executable, "-m", "hatchling", "build", "-t", target], cwd=project, check=True,
                env={**environment(tmp_path / f"cache-{len(found)}"), "PYTHONHASHSEED": str(len(found) + 1)},
                capture_output=True,
            )  # fmt: skip
        wheel = next((project / "dist").glob("*.whl"))
        found.append((wheel.name, digest(wheel), contents(next((project / "dist").glob("*-site")))))
    assert found[0] == found[1]


def test_a_wheel_through_the_sdist_equals_the_direct_one(digits_wheel: Path, example_app: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path / "out", example_app],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert digest(digits_wheel) == digest(next((tmp_path / "out").glob("*.whl")))


def test_a_second_build_trains_and_compiles_nothing(example_app: Path) -> None:
    said = build(example_app, "-t", "wheel")
    assert "from the cache" in said
    assert "epoch" not in said
    assert "compiling" not in said


def test_cleaning_keeps_the_cache_and_hooks_only_makes_no_wheel(example_app: Path, tmp_path: Path) -> None:
    project = copied(example_app, tmp_path / "app")
    assert "from the cache" in build(project, "-t", "wheel", "-c")
    shutil.rmtree(project / "dist")
    assert "from the cache" in build(project, "-t", "wheel", "--hooks-only")
    assert [] == list(project.glob("dist/*.whl"))


def test_an_editable_install_reads_the_model_beside_its_sources(example_app: Path, tmp_path: Path) -> None:
    project = copied(example_app, tmp_path / "app")
    build(project, "-t", "wheel:editable")
    model = load_model(project / "src" / "digits_app" / "_neurenix" / "digits" / "digits.json")
    assert model.device == "cpu"
    assert model.self_test() < 1e-4
