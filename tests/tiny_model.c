// output = input * w + b over (batch, 10): the smallest model that has weights, dims and three variants.

#ifdef __wasm_relaxed_simd__
typedef float f32x4 __attribute__((vector_size(16)));
static float multiply_add(float a, float b, float c) {
    f32x4 va = {a}, vb = {b}, vc = {c};
    return __builtin_wasm_relaxed_madd_f32x4(va, vb, vc)[0];
}
#else
static float multiply_add(float a, float b, float c) { return a * b + c; }
#endif

enum { WIDTH = 10, MAX_BATCH = 8, TENSOR = 16 };

static volatile int calls = 7;  // in the data segment: a new instance must find it at 7 again

unsigned nx_abi(void) { return NX_ABI; }

int nx_run(int thread, int threads, float *weights, float *arena, int batch) {
    const float *x = arena;
    float *y = arena + MAX_BATCH * WIDTH;
    calls += 1;
    if (x[0] == 911.0f) __builtin_trap();
    if (x[0] == 912.0f) {  // spoil everything that can be reached, and trap
        for (int i = 0; i < 2 * TENSOR + 2 * MAX_BATCH * WIDTH; i++) weights[i] = -5.0f;
        __builtin_trap();
    }
    if (x[0] == 913.0f) return 3;
    if (x[0] == 914.0f) {
        y[0] = (float)calls;
        return 0;
    }
    for (int n = 0; n < batch; n++)
        for (int i = 0; i < WIDTH; i++)
            y[n * WIDTH + i] = multiply_add(x[n * WIDTH + i], weights[i], weights[TENSOR + i]);
    return 0;
}
