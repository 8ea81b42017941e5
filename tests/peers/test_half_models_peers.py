"""Claims about models that nobody here wrote, in float16 on a GPU: as near as their tensors' storage allows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from real_models import MODELS

from neurenix.compiler import passes
from neurenix.compiler.schedule import schedule
from neurenix.compiler.wgsl import print_wgsl
from neurenix.graph.shaders import HALF_FEATURE, HALF_TOLERANCE
from neurenix.phynexus.reference import run_graph
from neurenix.phynexus.webgpu import WebGPUEngine

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]  # the exporter's own deprecations


@pytest.mark.gpu(HALF_FEATURE)
@pytest.mark.parametrize("name", ["silero_vad", "minilm", "unet", "tagger"])
def test_products_in_float16_err_little_more_than_its_storage_does(name: str) -> None:
    model = MODELS[name]
    graph, sizes = model.graph(), model.sizes[-1]
    feeds = model.feeds(sizes, np.random.default_rng(0))
    expected = run_graph(graph, feeds, sizes, precision="float64")
    plan, weights = schedule(passes.run(graph))
    shaders, found = print_wgsl(plan, weights), {}
    for computed in (False, True):
        half = print_wgsl(plan, weights, half=True, half_products=computed)
        products = sum("part0 = vec4<f16>" in half.shaders[d.shader].source for d in half.dispatches)
        assert (products > 4) == computed
        engine = WebGPUEngine(plan, weights, replace(shaders, half=replace(half, tolerance=HALF_TOLERANCE)))
        errors = [
            np.abs(a - expected[k]) / np.maximum(1, np.abs(expected[k])) for k, a in engine.run(feeds, sizes).items()
        ]
        found[computed] = max(float(np.sqrt((e**2).mean())) for e in errors)
        assert max(float(e.max()) for e in errors) < HALF_TOLERANCE
    assert found[True] < 2 * found[False]
