// Residual and norm, row by row, in one pass:
//   v = x, or inner(x) where inner.weight is set; v += residual where that is set;
//   sum = v where that is set (may be residual itself); out = wide = norm(v)
//
// x, out: [rows, cols]; residual, sum, wide: [rows, cols] f32, the residual stream, each may be null
// weights and biases of both norms: [cols] f32; a bias may be null
//
// The bias of the product that gave x is already in it: cuBLASLt adds it in f32, before rounding.
// Grid: (rows / ROWS) blocks of ROWS warps, a warp a row. Shared: ROWS * cols f32,
// cols rounded up to whole blocks of SharedRow.
//
// @kernel norm_{f32,f16,bf16} load=16 store=16 unit=row bytes=2*H*S+8*H flops=9*H
#include "values.cuh"

template <class T>
__device__ __forceinline__ void norm_rows(const T* x, Norm inner, const float* residual, float* sum,
                                          Norm norm, T* out, float* wide, unsigned rows, unsigned cols) {
    extern __shared__ __align__(16) unsigned char shared[];
    const unsigned index = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (index >= rows) return;
    const size_t start = size_t(index) * cols;
    const SharedRow<T> row(shared, cols);
    const bool whole = has_whole_chunks<T>(cols);
    float v[CHUNK<T>], more[CHUNK<T>];
    for (unsigned first = row.first(); first < cols; first += row.BLOCK) {
        load_chunk(x + start, first, cols, whole, v);
        row.set(first, v);
    }
    if (inner.weight) normalise_row(row, inner);
    for (unsigned first = row.first(); residual && first < cols; first += row.BLOCK) {
        load_wide<T>(residual + start, first, cols, whole, more);
        row.get(first, v);
#pragma unroll
        for (unsigned i = 0; i < CHUNK<T>; i++) v[i] = first + i < cols ? v[i] + more[i] : 0.f;
        row.set(first, v);
        if (sum) store_wide<T>(sum + start, first, cols, whole, v);
    }
    normalise_row(row, norm);
    for (unsigned first = row.first(); first < cols; first += row.BLOCK) {
        row.get(first, v);
        store_chunk(out + start, first, cols, whole, v);
        if (wide) store_wide<T>(wide + start, first, cols, whole, v);
    }
}

#define NORM(T)                                                                                                    \
    extern "C" __global__ void __launch_bounds__(256, 2)                                                           \
        norm_##T(const T* x, Norm inner, const float* residual, float* sum, Norm norm, T* out, float* wide,        \
                 unsigned rows, unsigned cols) {                                                                   \
        norm_rows<T>(x, inner, residual, sum, norm, out, wide, rows, cols);                                        \
    }
NORM(f32)
NORM(f16)
NORM(bf16)
