from neurenix.device import Device, DeviceType

# Create a WebGPU device
# In a browser context, this will use WebGPU
# In a server context, this will fall back to CPU if WebGPU is not available
device = Device(DeviceType.WEBGPU)

# Check if the device is available
if device.is_available():
    # Use the device
    model.to(device)
