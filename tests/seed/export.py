from neurenix.nn import Sequential, Linear, ReLU
from neurenix.wasm import export_to_wasm

# Create a model
model = Sequential(
    Linear(10, 20),
    ReLU(),
    Linear(20, 5)
)

# Train the model...

# Export the model for WebAssembly execution
output_dir = "webassembly_model"
export_path = export_to_wasm(model, output_dir, "my_model")
