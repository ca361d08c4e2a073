// Bias and activation, or the gated forms (arXiv 2002.05202):
//   out[r, c] = act(x[r, c] + bias[c])                                      gated = 0
//   out[r, c] = act(x[r, c] + bias[c]) * (x[r, n + c] + bias[n + c])        gated = 1
//
// x: [rows, n], or [rows, 2 n] where gated; bias: [n] or [2 n] f32, or null
// out: [rows, n]; may be x itself where not gated
// activation: see Activation in values.cuh
//
// Grid: a thread a chunk of 16 bytes of out, in a loop over the grid.
// n a multiple of 16 bytes is read by 16-byte loads, else by value.
//
// @kernel activate_{f32,f16,bf16} load=16 store=16 unit=value bytes=2*S flops=12
#include "values.cuh"

template <class T>
__device__ __forceinline__ void add_bias(float (&x)[CHUNK<T>], const float* bias, unsigned first, unsigned n) {
    if (!bias) return;
#pragma unroll
    for (unsigned i = 0; i < CHUNK<T>; i++) x[i] += first + i < n ? bias[first + i] : 0.f;
}

template <class T>
__device__ __forceinline__ void activate_rows(const T* x, const float* bias, T* out, unsigned rows, unsigned n,
                                              unsigned activation, unsigned gated) {
    const bool whole = has_whole_chunks<T>(n);
    const unsigned chunks = (n + CHUNK<T> - 1) / CHUNK<T>;
    const size_t total = size_t(rows) * chunks;
    for (size_t at = size_t(blockIdx.x) * blockDim.x + threadIdx.x; at < total; at += size_t(gridDim.x) * blockDim.x) {
        const size_t row = at / chunks;
        const unsigned first = unsigned(at % chunks) * CHUNK<T>;
        const T* from = x + row * n * (gated ? 2 : 1);
        float v[CHUNK<T>];
        load_chunk(from, first, n, whole, v);
        add_bias<T>(v, bias, first, n);
#pragma unroll
        for (unsigned i = 0; i < CHUNK<T>; i++) v[i] = activate(activation, v[i]);
        if (gated) {
            float linear[CHUNK<T>];
            load_chunk(from + n, first, n, whole, linear);
            add_bias<T>(linear, bias ? bias + n : nullptr, first, n);
#pragma unroll
            for (unsigned i = 0; i < CHUNK<T>; i++) v[i] *= linear[i];
        }
        store_chunk(out + row * n, first, n, whole, v);
    }
}

#define ACTIVATE(T)                                                                                                \
    extern "C" __global__ void __launch_bounds__(256) activate_##T(const T* x, const float* bias, T* out,          \
                                                                   unsigned rows, unsigned n, unsigned activation, \
                                                                   unsigned gated) {                               \
        activate_rows<T>(x, bias, out, rows, n, activation, gated);                                                \
    }
ACTIVATE(f32)
ACTIVATE(f16)
ACTIVATE(bf16)
