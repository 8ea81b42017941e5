from neurenix.wasm import export_to_wasm

# Export with advanced configuration
export_to_wasm(
    model,
    output_dir="webassembly_model",
    model_name="my_model",
    optimize=True,  # Enable optimization
    quantize=False,  # Disable quantization
    simd=True,      # Enable SIMD instructions
    threads=True    # Enable threading
)
