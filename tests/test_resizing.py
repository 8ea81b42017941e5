"""Resizing: the numbers and the formulas of the ONNX standard; PyTorch's are in peers/."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neurenix import Tensor
from neurenix.tensor.interpolation import Rule

Array = np.ndarray[Any, Any]

RAMP = np.array([1, 2, 3, 4], np.float32)
# From the ONNX standard's own examples of Resize, each axis alone being a ramp of 4.
ONNX: dict[str, tuple[dict[str, Any], Rule, list[float]]] = {
    "linear half pixel": ({"scales": [2.0]}, Rule("linear"), [1, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75, 4]),
    "linear align corners": ({"scales": [2.0]}, Rule("linear", "align_corners"),
                             [1, 1.42857143, 1.85714286, 2.28571429, 2.71428571, 3.14285714, 3.57142857, 4]),
    "linear down align corners": ({"scales": [0.6]}, Rule("linear", "align_corners"), [1, 3.14285714]),
    "linear asymmetric": ({"scales": [2.0]}, Rule("linear", "asymmetric"), [1, 1.5, 2, 2.5, 3, 3.5, 4, 4]),
    "linear down": ({"scales": [0.6]}, Rule("linear"), [1.33333333, 3]),
    "linear pytorch": ({"sizes": [1]}, Rule("linear", "pytorch_half_pixel"), [1]),
    "linear symmetric": ({"scales": [0.6]}, Rule("linear", "half_pixel_symmetric"), [1.66666667, 3.33333333]),
    "nearest floor": ({"sizes": [3]}, Rule("nearest", "half_pixel", "floor"), [1, 2, 3]),
    "nearest ceil": ({"sizes": [3]}, Rule("nearest", "half_pixel", "ceil"), [2, 3, 4]),
    "nearest align": ({"sizes": [3]}, Rule("nearest", "align_corners", "round_prefer_ceil"), [1, 3, 4]),
    "nearest prefer floor": ({"sizes": [3]}, Rule("nearest", "align_corners", "round_prefer_floor"), [1, 2, 4]),
    "nearest up": ({"sizes": [8]}, Rule("nearest"), [1, 1, 2, 2, 3, 3, 4, 4]),
    "nothing": ({"sizes": [4]}, Rule("cubic"), [1, 2, 3, 4]),
}  # fmt: skip


def _resized_by_the_standard(x: Array, scale: float, count: int, rule: Rule) -> Array:
    """ONNX Resize of one axis, element by element, as its reference text has it."""
    n, out = len(x), []
    for i in range(count):
        whole = scale * n
        at = {
            "half_pixel": (i + 0.5) / scale - 0.5,
            "half_pixel_symmetric": n / 2 * (1 - count / whole) + (i + 0.5) / scale - 0.5,
            "pytorch_half_pixel": (i + 0.5) / scale - 0.5 if count > 1 else 0.0,
            "align_corners": i * (n - 1) / (whole - 1) if count > 1 else 0.0,
            "asymmetric": i / scale,
        }[rule.coordinates]
        low = int(np.floor(at))
        if rule.mode == "nearest":
            part, above = at - low, low + 1
            place = {"floor": low, "ceil": above if part else low, "round_prefer_floor": above if part > 0.5 else low,
                     "round_prefer_ceil": above if part >= 0.5 else low}[rule.nearest]  # fmt: skip
            out.append(x[min(max(place, 0), n - 1)])
            continue
        total = weight = 0.0
        for place in range(low - 20, low + 22):
            d = abs(at - place) * (min(scale, 1) if rule.antialias else 1)
            if rule.mode == "linear":
                w = max(0.0, 1 - d)
            else:
                a = rule.cubic_coeff
                near, far = ((a + 2) * d - (a + 3)) * d * d + 1, a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
                w = near if d <= 1 else far if d < 2 else 0.0
            if rule.exclude_outside and not 0 <= place < n:
                w = 0.0
            total += w * x[min(max(place, 0), n - 1)]
            weight += w
        out.append(total / weight)
    return np.asarray(out)


@pytest.mark.parametrize("name", ONNX)
def test_resize_gives_the_standards_numbers(name: str) -> None:
    how, rule, expected = ONNX[name]
    np.testing.assert_allclose(expected, Tensor(RAMP).resize(**how, rule=rule).numpy(), rtol=1e-6)


# The first rows of those whose example is an image: 1 to 16 in four rows.
IMAGES: dict[str, tuple[float, Rule, list[float]]] = {
    "cubic": (2.0, Rule("cubic"), [0.47265625, 0.76953125, 1.24609375, 1.875, 2.28125, 2.91015625, 3.38671875,
                                   3.68359375]),
    "cubic outside": (2.0, Rule("cubic", cubic_coeff=-0.5, exclude_outside=True),
                      [0.55882353, 0.81494204, 1.35698249, 1.89705882]),
    "linear antialias": (0.6, Rule("linear", antialias=True), [2.875, 4.5]),
}  # fmt: skip


@pytest.mark.parametrize("name", IMAGES)
def test_resize_of_an_image_gives_the_standards_numbers(name: str) -> None:
    scale, rule, expected = IMAGES[name]
    image = Tensor(np.arange(1, 17, dtype=np.float64).reshape(4, 4))
    found = image.resize(scales=[scale, scale], rule=rule).numpy()[0, : len(expected)]
    np.testing.assert_allclose(expected, found, rtol=1e-7)


WHERE = ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"]


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_resize_follows_the_standards_formulas(where: str, mode: str) -> None:
    x = np.random.default_rng(0).standard_normal(7)
    for scale in (0.3, 0.6, 1.7, 2.0, 3.0):
        count = int(np.floor(7 * scale))
        for nearest in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"):
            for outside in (False, True):
                for antialias in (False, True):
                    if (mode == "nearest") == (outside or antialias) or (mode != "nearest" and nearest != "floor"):
                        continue
                    rule = Rule(mode, where, nearest, -0.6, outside, antialias)
                    expected = _resized_by_the_standard(x, scale, count, rule)
                    found = Tensor(x).resize(scales=[scale], rule=rule).numpy()
                    np.testing.assert_allclose(expected, found, atol=1e-12, err_msg=str((scale, rule)))


def test_a_cropped_resize_is_filled_outside() -> None:
    x = Tensor(RAMP)
    rule = Rule("linear", "tf_crop_and_resize")
    inside = x.resize(sizes=[3], rule=rule, region=[(0.0, 1 / 3)])
    np.testing.assert_allclose([1, 1.5, 2], inside.numpy(), rtol=1e-6)
    beyond = x.resize(sizes=[3], rule=rule, region=[(0.0, 2.0)], extrapolation_value=10.0)
    np.testing.assert_allclose([1, 4, 10], beyond.numpy(), rtol=1e-6)


def test_depth_to_space_is_the_standards() -> None:
    x = np.arange(2 * 8 * 2 * 3).reshape(2, 8, 2, 3)
    expected = x.reshape(2, 2, 2, 2, 2, 3).transpose(0, 3, 4, 1, 5, 2).reshape(2, 2, 4, 6)
    np.testing.assert_array_equal(expected, Tensor(x).depth_to_space(2).numpy())
    np.testing.assert_array_equal(x, Tensor(x).depth_to_space(2).space_to_depth(2).numpy())
    np.testing.assert_array_equal(Tensor(x).pixel_shuffle(2).numpy(), Tensor(x).depth_to_space(2, "CRD").numpy())
