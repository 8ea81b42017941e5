from neurenix.device import Device, DeviceType
from neurenix.wasm import run_in_browser

# Mark the model for browser execution
# This is a no-op in Python, but signals intent for WebAssembly compilation
result = run_in_browser(model, inputs, device=Device(DeviceType.WEBGPU))
