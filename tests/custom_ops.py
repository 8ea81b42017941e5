"""Custom ops for the tests: sources that are right, wrong, or not allowed, and a place where none is left over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from neurenix.custom import registered_ops, unregister_op

CLIP_C = """\
#include "nx_host.h"

static float bent(float x) { return x < -NX_ATTR_LIMIT ? -NX_ATTR_LIMIT : x > NX_ATTR_LIMIT ? NX_ATTR_LIMIT : x; }

void NX_NAME(nx_part part, nx_int n, const float *x, float *y) {
  nx_int i, end;
  nx_share(part, n, 1, &i, &end);
  for (; i < end; i++) y[i] = bent(x[i]);
}
"""
CLIP_ZIG = """\
const nx = @import("nx");
const op = @import("op");

fn bent(x: f32) f32 {
    return if (x < -op.limit) -op.limit else if (x > op.limit) op.limit else x;
}

pub fn kernel(part: nx.Part, n: nx.Int, x: [*]const f32, y: [*]f32) void {
    const share = part.share(n, 1);
    for (share.begin..share.end) |i| y[i] = bent(x[i]);
}
"""
SOURCES: dict[str, dict[str, Any]] = {"c": {"c": CLIP_C}, "zig": {"zig": CLIP_ZIG}}


def clip(x: Any, *, limit: float = 1.0) -> Any:
    return np.clip(x, -limit, limit)


@pytest.fixture(autouse=True)
def no_custom_ops() -> Iterator[None]:
    """Take out what a test registers."""
    before = {op.name for op in registered_ops()}
    yield
    for op in registered_ops():
        if op.name not in before:
            unregister_op(op)
