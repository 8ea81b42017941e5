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
# Sums of squares along the last axis, a workgroup for each row: barriers in a loop up to a size that may be a call's.
ENERGY_C = """\
#include "nx_host.h"

void NX_NAME(nx_part part, nx_int rows, nx_int columns, const float *x, float *y) {
  nx_int row, end;
  nx_share(part, rows, 1, &row, &end);
  for (; row < end; row++) {
    float sum = 0;
    for (nx_int i = 0; i < columns; i++) sum += x[row * columns + i] * x[row * columns + i];
    y[row] = sum;
  }
}
"""
ENERGY_WGSL = """\
override columns: u32;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
var<workgroup> part: array<f32, 16>;

@compute @workgroup_size(16)
fn main(@builtin(workgroup_id) row: vec3<u32>, @builtin(local_invocation_index) at: u32) {
  var sum = 0.0;
  for (var first = 0u; first < columns; first += 16u) {
    part[at] = 0.0;
    if (first + at < columns) { part[at] = x[row.x * columns + first + at] * x[row.x * columns + first + at]; }
    workgroupBarrier();
    if (at == 0u) { for (var i = 0u; i < 16u; i++) { sum += part[i]; } }
    workgroupBarrier();
  }
  if (at == 0u) { y[row.x] = sum; }
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
