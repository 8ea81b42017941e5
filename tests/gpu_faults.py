"""Faults of a GPU, as scripts that patch what a page takes for WebGPU; `arm(name, strikes)` makes one strike."""

from __future__ import annotations

# Every fault is one line: where it strikes, with `@2` from the second call on, and what happens there.
FAULTS = {
    # What a browser without, or with a broken, GPU says.
    "no webgpu": ("Navigator.prototype.gpu", "return undefined;"),
    "no adapter": ("GPU.requestAdapter", "return null;"),
    "the adapter hangs": ("GPU.requestAdapter", "return hang();"),
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
        "return go([{ code: args[0].code.replace(/(fn value[^{]*\\{)/, '$1 if (v1 > 1.9) { return 0.0; }') }]);",
    ),
    "a workgroup too large": (
        "GPUDevice.createShaderModule",
        "return go([{ code: args[0].code.replace(/@workgroup_size\\([^)]*\\)/, '@workgroup_size(512)') }]);",
    ),
    "a second shader is bad": ("GPUDevice.createShaderModule@2", "return go([{ code: 'fn main( {' }]);"),
    "no pipeline": ("GPUDevice.createComputePipelineAsync", "throw new DOMException('no', 'OperationError');"),
    "pipelines hang": ("GPUDevice.createComputePipelineAsync", "return hang();"),
    # Work that is invalid, or never done.
    "too many workgroups": ("GPUComputePassEncoder.dispatchWorkgroups", "return go([100000]);"),
    "no bind group": ("GPUComputePassEncoder.setBindGroup", ""),
    "a buffer too large": ("GPUDevice.createBuffer", "return go([{ ...args[0], size: 2 ** 45 }]);"),
    "buffers throw": ("GPUDevice.createBuffer", "throw new RangeError('no');"),
    "weights are not written": ("GPUQueue.writeBuffer", ""),
    "nothing is submitted": ("GPUQueue.submit", ""),
    "the map is refused": ("GPUBuffer.mapAsync", "throw new DOMException('no', 'AbortError');"),
    "the map hangs": ("GPUBuffer.mapAsync", "return hang();"),
    "the range throws": ("GPUBuffer.getMappedRange", "throw new DOMException('no', 'OperationError');"),
    "scopes are refused": ("GPUDevice.popErrorScope", "throw new DOMException('no', 'OperationError');"),
    # The device is lost, at every stage.
    "lost when it is made": ("GPUAdapter.requestDevice", "const d = await go(args); d.destroy(); return d;"),
    "lost before shaders": ("GPUDevice.createShaderModule", "lose(); return go(args);"),
    "lost before pipelines": ("GPUDevice.createComputePipelineAsync", "lose(); return go(args);"),
    "lost between pipelines": ("GPUDevice.createComputePipelineAsync@2", "lose(); return go(args);"),
    "lost while compiling": (
        "GPUDevice.createComputePipelineAsync", "const r = go(args); setTimeout(lose); return r;",
    ),
    "lost before buffers": ("GPUDevice.createBuffer", "lose(); return go(args);"),
    "lost before bind groups": ("GPUDevice.createBindGroup", "lose(); return go(args);"),
    "lost before writing": ("GPUQueue.writeBuffer", "lose(); return go(args);"),
    "lost while uploading": ("GPUQueue.writeBuffer@2", "lose(); return go(args);"),
    "lost after writing": ("GPUQueue.writeBuffer", "const r = go(args); lose(); return r;"),
    "lost while encoding": ("GPUComputePassEncoder.dispatchWorkgroups", "lose(); return go(args);"),
    "lost between dispatches": ("GPUComputePassEncoder.dispatchWorkgroups@2", "lose(); return go(args);"),
    "lost before submitting": ("GPUQueue.submit", "lose(); return go(args);"),
    "lost after submitting": ("GPUQueue.submit", "const r = go(args); lose(); return r;"),
    "lost while computing": ("GPUQueue.submit", "const r = go(args); setTimeout(lose); return r;"),
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
    passed += 1;
    if (passed < %(first)s) return go(args);
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
window.passed = 0; // calls of what the armed fault strikes
window.struck = 0;
window.arm = (name, times) => Object.assign(window, { fault: name, strikes: times, passed: 0, struck: 0 });
window.devices = [];
window.lose = () => devices.forEach((device) => device.destroy());
// What never settles, and a deadline of a minute that passes at once: only then is it clear that it hangs.
const DEADLINE = 60_000;
const deadlines = new Map();
const { setTimeout: later, clearTimeout: never } = window;
window.setTimeout = (done, ms, ...rest) => {
  const timer = later(done, ms, ...rest);
  if (ms === DEADLINE) deadlines.set(timer, done);
  return timer;
};
window.clearTimeout = (timer) => {
  deadlines.delete(timer);
  never(timer);
};
window.hang = () => {
  later(() => deadlines.forEach((done, timer) => { clearTimeout(timer); done(); }), 100);
  return new Promise(() => {});
};
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
        method, _, first = where.partition("@")
        waits = method.endswith(("requestAdapter", "requestDevice", "mapAsync", "Async", "popErrorScope"))
        words = {"where": method, "first": first or "1", "name": repr(name), "body": body}
        hooks.append(_HOOK % {**words, "sort": "async" if waits else ""})
    return SCRIPT + "".join(hooks)
