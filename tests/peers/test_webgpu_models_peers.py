"""Claims about models that nobody here wrote: their bundles answer on a GPU in Chromium as onnxruntime does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_server import Running
from playwright.sync_api import Page
from real_models import MODELS
from runtime_page import PAGE, SCRIPT
from test_real_models_peers import LIMIT, largest_error, runtime

from neurenix.export import ExportOptions, export

pytest_plugins = ["browser", "gpu_browser"]
pytestmark = [
    pytest.mark.peers, pytest.mark.browser, pytest.mark.zig, pytest.mark.filterwarnings("ignore"),
]  # fmt: skip

# SwiftShader computes on this machine's cores, which others may want as well.
PATIENCE = 300_000
ANSWER = """async (feeds) => {
  const arrays = { float32: Float32Array, int32: Int32Array, int64: BigInt64Array };
  window.model ??= await loadModel(undefined, { device: 'webgpu', deadline: 300_000 });
  const inputs = Object.fromEntries(feeds.map(([name, shape, dtype, values]) => {
    const data = arrays[dtype].from(values, dtype === 'int64' ? BigInt : undefined);
    return [name, model.createTensor(shape, data, dtype)];
  }));
  const answers = Object.entries(await model.forward(inputs));
  const outputs = answers.map(([name, { shape, dtype, data }]) => [name, shape, dtype, Array.from(data, Number)]);
  return [model.device, outputs];
}"""


@pytest.mark.parametrize("name", MODELS)
def test_a_bundle_answers_on_the_gpu_as_onnxruntime_does_at_every_size(
    name: str, tmp_path: Path, open_gpu_tab: Callable[[], AbstractContextManager[Page]]
) -> None:
    model = MODELS[name]
    options = ExportOptions(webgpu=True, simd=False, threads=False, verify=False)  # the page proves the golden cases
    export(model.graph(), tmp_path / "webassembly_model", "my_model", options)
    (tmp_path / "index.html").write_text(PAGE, encoding="utf-8")
    (tmp_path / "page.js").write_text(SCRIPT, encoding="utf-8")
    answer, rng, running = runtime(model), np.random.default_rng(0), Running(tmp_path, {})
    with open_gpu_tab() as page:
        page.set_default_timeout(PATIENCE)
        page.goto(running.site.url)
        page.wait_for_selector("html[data-state]")
        for sizes in model.sizes:
            feeds = model.feeds(sizes, rng)
            rows: list[Any] = [[n, list(a.shape), a.dtype.name, a.ravel().tolist()] for n, a in feeds.items()]
            device, outputs = page.evaluate(ANSWER, rows)
            answers = {n: np.array(values, dtype).reshape(shape) for n, shape, dtype, values in outputs}
            assert "webgpu" == device
            assert largest_error(answers, answer(feeds, sizes)) < LIMIT, sizes
    running.stop()
