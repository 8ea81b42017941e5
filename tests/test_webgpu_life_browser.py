"""The life of a model on a page's GPU: aborted loads and calls, and what disposing of it frees."""

from __future__ import annotations

import pytest
from gpu_page import LOAD, OpenModel

pytest_plugins = ["browser", "gpu_browser"]
pytestmark = [pytest.mark.browser, pytest.mark.zig]


def test_a_call_can_be_aborted_and_the_next_is_right(open_models: OpenModel) -> None:
    codes = open_models("mlp").evaluate(
        f"""async () => {{
            const model = {LOAD};
            const control = new AbortController();
            const calls = [undefined, control.signal, undefined].map(
                (signal) => attempt(() => model.forward(new Float32Array(10), {{ signal }})));
            control.abort();
            return (await Promise.all(calls)).map(({{ value, code }}) => code ?? value.output.shape.join('x'));
        }}"""
    )
    assert ["1x5", "aborted", "1x5"] == codes


def test_a_disposed_model_refuses_and_frees_its_buffers(open_models: OpenModel) -> None:
    freed = """
    window.destroyed = 0;
    const destroy = GPUBuffer.prototype.destroy;
    GPUBuffer.prototype.destroy = function () { destroyed += 1; return destroy.call(this); };
    """
    codes, buffers, gone, other = open_models("mlp", "after", scripts=freed).evaluate(
        """async () => {
            const model = await mlp(undefined, { device: 'webgpu' });
            const other = await after(undefined, { device: 'webgpu' });
            const { buffers } = model.gpu;
            const running = attempt(() => model.forward(new Float32Array(10)));
            const waiting = attempt(() => model.forward(new Float32Array(10)));
            await new Promise((resolve) => setTimeout(resolve));
            model.dispose();
            const later = attempt(() => model.forward(new Float32Array(10)));
            const codes = (await Promise.all([running, waiting, later])).map(({ code }) => code);
            return [codes, buffers, destroyed, (await other.selfTest()).passed];
        }"""
    )
    assert (["disposed"] * 3, True) == (codes, other)
    assert buffers == gone


def test_a_load_can_be_aborted(open_models: OpenModel) -> None:
    error = open_models("mlp").evaluate(
        """() => {
            const control = new AbortController();
            setTimeout(() => control.abort(), 5);
            return attempt(() => loadModel(undefined, { device: 'webgpu', signal: control.signal }));
        }"""
    )
    assert "aborted" == error["code"]
