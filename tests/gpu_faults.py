"""Faults of a GPU, as scripts that patch what a page takes for WebGPU; each is armed by `window.fault = 'name'`."""

from __future__ import annotations

# Every fault is one line: where it strikes, and what happens there. `strike` says once for how many calls.
FAULTS = {
    # What a browser without, or with a broken, GPU says.
    "no webgpu": ("Navigator.prototype.gpu", "return undefined;"),
    "no adapter": ("GPU.requestAdapter", "return null;"),
    "the adapter hangs": ("GPU.requestAdapter", "return new Promise(() => {});"),
    "the adapter throws": ("GPU.requestAdapter", "throw new TypeError('no');"),
    "no device": ("GPUAdapter.requestDevice", "throw new DOMException('no', 'OperationError');"),
    "a limit too high": (
        "GPUAdapter.requestDevice", "return go([{ requiredLimits: { maxBufferSize: 2 ** 53 } }]);",
    ),
    # Shaders that are none, or others.
    "bad wgsl": ("GPUDevice.createShaderModule", "return go([{ code: 'fn main( {' }]);"),
    "another wgsl": (
        "GPUDevice.createShaderModule",
        "return go([{ code: args[0].code.replace(/@compute[^]*/, '@compute @workgroup_size(1) fn main() {}') }]);",
    ),
    "slightly other wgsl": (
        "GPUDevice.createShaderModule",
        "return go([{ code: args[0].code.replace(/(fn epilogue[^{]*\\{)/, '$1 if (col == 1) { return 0.0; }') }]);",
    ),
    "a workgroup too large": (
        "GPUDevice.createShaderModule",
        "return go([{ code: args[0].code.replace(/@workgroup_size\\([^)]*\\)/, '@workgroup_size(512)') }]);",
    ),
    "no pipeline": ("GPUDevice.createComputePipelineAsync", "throw new DOMException('no', 'OperationError');"),
    "pipelines hang": ("GPUDevice.createComputePipelineAsync", "return new Promise(() => {});"),
    # Work that is invalid, or never done.
    "too many workgroups": ("GPUComputePassEncoder.dispatchWorkgroups", "return go([100000]);"),
    "no bind group": ("GPUComputePassEncoder.setBindGroup", ""),
    "a buffer too large": ("GPUDevice.createBuffer", "return go([{ ...args[0], size: 2 ** 45 }]);"),
    "buffers throw": ("GPUDevice.createBuffer", "throw new RangeError('no');"),
    "weights are not written": ("GPUQueue.writeBuffer", ""),
    "nothing is submitted": ("GPUQueue.submit", ""),
    "the map is refused": ("GPUBuffer.mapAsync", "throw new DOMException('no', 'AbortError');"),
    "the map hangs": ("GPUBuffer.mapAsync", "return new Promise(() => {});"),
    "the range throws": ("GPUBuffer.getMappedRange", "throw new DOMException('no', 'OperationError');"),
    "scopes are refused": ("GPUDevice.popErrorScope", "throw new DOMException('no', 'OperationError');"),
    # The device is lost, at every stage.
    "lost when it is made": ("GPUAdapter.requestDevice", "const d = await go(args); d.destroy(); return d;"),
    "lost before shaders": ("GPUDevice.createShaderModule", "lose(); return go(args);"),
    "lost before pipelines": ("GPUDevice.createComputePipelineAsync", "lose(); return go(args);"),
    "lost before buffers": ("GPUDevice.createBuffer", "lose(); return go(args);"),
    "lost before bind groups": ("GPUDevice.createBindGroup", "lose(); return go(args);"),
    "lost before writing": ("GPUQueue.writeBuffer", "lose(); return go(args);"),
    "lost after writing": ("GPUQueue.writeBuffer", "const r = go(args); lose(); return r;"),
    "lost while encoding": ("GPUComputePassEncoder.dispatchWorkgroups", "lose(); return go(args);"),
    "lost before submitting": ("GPUQueue.submit", "lose(); return go(args);"),
    "lost after submitting": ("GPUQueue.submit", "const r = go(args); lose(); return r;"),
    "lost before mapping": ("GPUBuffer.mapAsync", "lose(); return go(args);"),
    "lost while mapping": ("GPUBuffer.mapAsync", "const r = go(args); lose(); return r;"),
    "lost once mapped": ("GPUBuffer.mapAsync", "const r = await go(args); lose(); return r;"),
}  # fmt: skip
# Those that a fault of one call does not show: the work is done, or nobody asks.
HARMLESS = {"lost once mapped"}

_HOOK = """
{
  const [owner, method] = '%(where)s'.replace('.prototype', '').split('.');
  const prototype = globalThis[owner].prototype;
  const field = Object.getOwnPropertyDescriptor(prototype, method);
  const changed = %(sort)s function (...args) {
    const go = (given) => (field.value ?? field.get).apply(this, given);
    if (fault !== %(name)s || strikes === 0) return go(args);
    strikes -= 1;
    struck += 1;
    %(body)s
  };
  Object.defineProperty(prototype, method, field.get ? { ...field, get: changed } : { ...field, value: changed });
}
"""

SCRIPT = """
window.fault = '';
window.strikes = 0;
window.struck = 0;
window.devices = [];
window.lose = () => devices.forEach((device) => device.destroy());
const requestDevice = GPUAdapter.prototype.requestDevice;
GPUAdapter.prototype.requestDevice = async function (...args) {
  devices.push(await requestDevice.apply(this, args));
  return devices.at(-1);
};
"""


def fault_script() -> str:
    """Return the script that makes every fault ready to strike."""
    hooks = []
    for name, (where, body) in FAULTS.items():
        waits = where.endswith(("requestAdapter", "requestDevice", "mapAsync", "Async", "popErrorScope"))
        hooks.append(_HOOK % {"where": where, "name": repr(name), "sort": "async" if waits else "", "body": body})
    return SCRIPT + "".join(hooks)
