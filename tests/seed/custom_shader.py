from neurenix.wasm import register_custom_shader

# Register a custom WebGPU compute shader
register_custom_shader(
    "matrix_multiply",
    """
    @group(0) @binding(0) var<storage, read> a: array<f32>;
    @group(0) @binding(1) var<storage, read> b: array<f32>;
    @group(0) @binding(2) var<storage, read_write> c: array<f32>;
    
    @compute @workgroup_size(8, 8)
    fn main(@builtin(global_invocation_id) global_id: vec3<u32>) {
        // Custom matrix multiplication implementation
        // ...
    }
    """
)
