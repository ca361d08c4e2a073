// Span pooling, one row a span, with everything that follows it where no head does:
//   v = mean of hidden[first..end]; v = v[..dims]; out = v / max(|v|, 1e-12) where asked, or v
//
// hidden: [tokens, cols]; rows: [spans] of (first, end) u32, first < end (the first or the last
// token alone is a mean over one row), or null where each row is a span
// out: [spans, dims] f32
//
// Sums are in f32 in an order that depends on the span alone. Grid: spans blocks of 8 warps, rows
// dealt to the warps. Shared: (cols + 8 * 32 * chunk + 8) f32.
//
// @kernel pool_{f32,f16,bf16} load=16 store=4 unit=value bytes=S flops=1
#include "values.cuh"

constexpr unsigned POOL_WARPS = 8;

struct Pool {
    unsigned cols;
    unsigned dims;
    unsigned normalize;
};

// row[c] = mean over the span, for all columns.
template <class T>
__device__ __forceinline__ void mean_row(const T* hidden, uint2 span, unsigned cols, float* row, float* partial) {
    constexpr unsigned WIDTH = WARP * CHUNK<T>;
    const unsigned warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const bool whole = has_whole_chunks<T>(cols);
    for (unsigned block = 0; block < cols; block += WIDTH) {
        const unsigned first = block + lane * CHUNK<T>;
        float sum[CHUNK<T>] = {};
        for (unsigned at = span.x + warp; at < span.y && first < cols; at += POOL_WARPS) {
            float x[CHUNK<T>];
            load_chunk(hidden + size_t(at) * cols, first, cols, whole, x);
#pragma unroll
            for (unsigned i = 0; i < CHUNK<T>; i++) sum[i] += x[i];
        }
#pragma unroll
        for (unsigned i = 0; i < CHUNK<T>; i++) partial[warp * WIDTH + i * WARP + lane] = sum[i];
        __syncthreads();
        for (unsigned i = threadIdx.x; i < WIDTH && block + i < cols; i += blockDim.x) {
            float total = 0.f;
            for (unsigned w = 0; w < POOL_WARPS; w++) total += partial[w * WIDTH + i % CHUNK<T> * WARP + i / CHUNK<T>];
            row[block + i] = total / (span.y - span.x);
        }
        __syncthreads();
    }
}

// The factor that makes row[..dims] of length one.
__device__ __forceinline__ float unit_scale(const float* row, unsigned dims, float* sums) {
    const unsigned warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    float squares = 0.f;
    for (unsigned c = threadIdx.x; c < dims; c += blockDim.x) squares += row[c] * row[c];
    squares = warp_sum(squares);
    if (lane == 0) sums[warp] = squares;
    __syncthreads();
    float total = 0.f;
    for (unsigned w = 0; w < POOL_WARPS; w++) total += sums[w];
    return 1.f / fmaxf(sqrtf(total), 1e-12f);
}

template <class T>
__device__ __forceinline__ void pool_span(const T* hidden, const uint2* rows, float* out, const Pool& pool) {
    extern __shared__ __align__(16) unsigned char shared[];
    float* row = reinterpret_cast<float*>(shared);
    float* partial = row + pool.cols;
    float* sums = partial + POOL_WARPS * WARP * CHUNK<T>;
    const uint2 span = rows ? rows[blockIdx.x] : make_uint2(blockIdx.x, blockIdx.x + 1);
    mean_row(hidden, span, pool.cols, row, partial);
    const float scale = pool.normalize ? unit_scale(row, pool.dims, sums) : 1.f;
    float* to = out + size_t(blockIdx.x) * pool.dims;
    for (unsigned c = threadIdx.x; c < pool.dims; c += blockDim.x) to[c] = row[c] * scale;
}

#define POOL(T)                                                                                             \
    extern "C" __global__ void __launch_bounds__(POOL_WARPS* WARP)                                          \
        pool_##T(const T* hidden, const uint2* rows, float* out, Pool pool) {                               \
        pool_span<T>(hidden, rows, out, pool);                                                              \
    }
POOL(f32)
POOL(f16)
POOL(bf16)
