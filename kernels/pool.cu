// Span pooling, one row a span, with everything that follows it where no head does:
//   v = mean of hidden[first..end]; v = v[..dims]; v = v / max(|v|, 1e-12) where asked
//   out = v as f32; or round(127 v) as int8; or the bits v > 0, eight a byte, first column highest
//
// hidden: [tokens, cols]; rows: [spans] of (first, end) u32, first < end (the first or the last
// token alone is a mean over one row)
// out: [spans, dims] f32 or int8, or [spans, (dims + 7) / 8] bytes
//
// Sums are in f32 in an order that depends on the span alone. Grid: spans blocks of 8 warps, rows
// dealt to the warps. Shared: (cols + 8 * 32 * chunk + 8) f32.
//
// @kernel pool_{f32,f16,bf16} load=16 store=4 unit=value bytes=S flops=1
#include "values.cuh"

constexpr unsigned POOL_WARPS = 8;
enum Format { FORMAT_F32 = 0, FORMAT_INT8 = 1, FORMAT_BINARY = 2 };

struct Pool {
    unsigned cols;
    unsigned dims;
    unsigned normalize;
    unsigned format;
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

__device__ __forceinline__ void write_row(const float* row, float scale, void* out, const Pool& pool) {
    const unsigned dims = pool.dims;
    if (pool.format == FORMAT_F32) {
        float* to = static_cast<float*>(out) + size_t(blockIdx.x) * dims;
        for (unsigned c = threadIdx.x; c < dims; c += blockDim.x) to[c] = row[c] * scale;
    } else if (pool.format == FORMAT_INT8) {
        int8_t* to = static_cast<int8_t*>(out) + size_t(blockIdx.x) * dims;
        for (unsigned c = threadIdx.x; c < dims; c += blockDim.x) {
            to[c] = int8_t(rintf(fminf(fmaxf(row[c] * scale * 127.f, -127.f), 127.f)));
        }
    } else {
        const unsigned bytes = (dims + 7) / 8;
        uint8_t* to = static_cast<uint8_t*>(out) + size_t(blockIdx.x) * bytes;
        for (unsigned b = threadIdx.x; b < bytes; b += blockDim.x) {
            unsigned bits = 0;
            for (unsigned i = 0; i < 8; i++) bits |= unsigned(8 * b + i < dims && row[8 * b + i] > 0.f) << (7 - i);
            to[b] = uint8_t(bits);
        }
    }
}

template <class T>
__device__ __forceinline__ void pool_span(const T* hidden, const uint2* rows, void* out, const Pool& pool) {
    extern __shared__ __align__(16) unsigned char shared[];
    float* row = reinterpret_cast<float*>(shared);
    float* partial = row + pool.cols;
    float* sums = partial + POOL_WARPS * WARP * CHUNK<T>;
    mean_row(hidden, rows[blockIdx.x], pool.cols, row, partial);
    const float scale = pool.normalize ? unit_scale(row, pool.dims, sums) : 1.f;
    write_row(row, scale, out, pool);
}

#define POOL(T)                                                                                             \
    extern "C" __global__ void __launch_bounds__(POOL_WARPS* WARP)                                          \
        pool_##T(const T* hidden, const uint2* rows, void* out, Pool pool) {                                \
        pool_span<T>(hidden, rows, out, pool);                                                              \
    }
POOL(f32)
POOL(f16)
POOL(bf16)
