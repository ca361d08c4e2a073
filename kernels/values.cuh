// Stored values and the arithmetic that the kernels share: 16-byte loads and stores of rows held
// in f32, f16 or bf16, sums over a warp, norms and activations. All arithmetic is in f32.
//
// Rules that keep a kernel executable on a CPU (kernels/host): inline PTX in ptx.cuh alone,
// kernels are extern "C", shared memory is dynamic and declared by SHARED on a line of its own.
#pragma once
#include <cstdint>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

typedef float f32;
typedef __half f16;
typedef __nv_bfloat16 bf16;

constexpr unsigned WARP = 32;
constexpr unsigned ALL_LANES = 0xffffffffu;

__device__ __forceinline__ float widen(float value) { return value; }
__device__ __forceinline__ float widen(f16 value) { return __half2float(value); }
__device__ __forceinline__ float widen(bf16 value) { return __bfloat162float(value); }

template <class T>
__device__ __forceinline__ T narrow(float value);
template <>
__device__ __forceinline__ float narrow<float>(float value) { return value; }
template <>
__device__ __forceinline__ f16 narrow<f16>(float value) { return __float2half_rn(value); }
template <>
__device__ __forceinline__ bf16 narrow<bf16>(float value) { return __float2bfloat16_rn(value); }

// Two neighbouring values as one word, the first in the low half.
template <class T>
__device__ __forceinline__ uint32_t narrow_pair(float low, float high) {
    union { T values[2]; uint32_t word; } pair = {{narrow<T>(low), narrow<T>(high)}};
    return pair.word;
}

// Values of 16 bytes, the widest load of a thread.
template <class T>
constexpr unsigned CHUNK = 16 / sizeof(T);

// Whether rows of `cols` values, the first of them aligned to 16 bytes, may be read by chunks.
template <class T>
__device__ __forceinline__ bool has_whole_chunks(unsigned cols) { return cols % CHUNK<T> == 0; }

template <class T>
union Chunk {
    uint4 words;
    T values[CHUNK<T>];
};

// Columns `first..first + CHUNK` of a row of `cols`, 0 past its end. `whole` says that the row has
// whole chunks: one load of 16 bytes then, else one a value.
template <class T>
__device__ __forceinline__ void load_chunk(const T* row, unsigned first, unsigned cols, bool whole, float (&x)[CHUNK<T>]) {
    Chunk<T> chunk;
    if (whole) {
        chunk.words = *reinterpret_cast<const uint4*>(row + first);
    } else {
        for (unsigned i = 0; i < CHUNK<T>; i++) chunk.values[i] = first + i < cols ? row[first + i] : narrow<T>(0.f);
    }
#pragma unroll
    for (unsigned i = 0; i < CHUNK<T>; i++) x[i] = widen(chunk.values[i]);
}

template <class T>
__device__ __forceinline__ void store_chunk(T* row, unsigned first, unsigned cols, bool whole, const float (&x)[CHUNK<T>]) {
    Chunk<T> chunk;
#pragma unroll
    for (unsigned i = 0; i < CHUNK<T>; i++) chunk.values[i] = narrow<T>(x[i]);
    if (whole) {
        *reinterpret_cast<uint4*>(row + first) = chunk.words;
    } else {
        for (unsigned i = 0; i < CHUNK<T>; i++) {
            if (first + i < cols) row[first + i] = chunk.values[i];
        }
    }
}

// A chunk of `T`'s columns from or to a row of f32, which has whole chunks where one of `T` has.
template <class T>
__device__ __forceinline__ void load_wide(const float* row, unsigned first, unsigned cols, bool whole, float (&x)[CHUNK<T>]) {
#pragma unroll
    for (unsigned at = 0; at < CHUNK<T>; at += CHUNK<float>) {
        float part[CHUNK<float>];
        load_chunk(row, first + at, cols, whole, part);
#pragma unroll
        for (unsigned i = 0; i < CHUNK<float>; i++) x[at + i] = part[i];
    }
}

template <class T>
__device__ __forceinline__ void store_wide(float* row, unsigned first, unsigned cols, bool whole, const float (&x)[CHUNK<T>]) {
#pragma unroll
    for (unsigned at = 0; at < CHUNK<T>; at += CHUNK<float>) {
        const float part[CHUNK<float>] = {x[at], x[at + 1], x[at + 2], x[at + 3]};
        store_chunk(row, first + at, cols, whole, part);
    }
}

// The sum over a warp, in every lane; its order depends on nothing.
__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
    for (unsigned distance = WARP / 2; distance > 0; distance /= 2) value += __shfl_xor_sync(ALL_LANES, value, distance);
    return value;
}

// Statistics of a norm: (x - mean) / sqrt(variance + eps), or x / sqrt(mean(x^2) + eps).
enum NormKind { LAYER_NORM = 0, RMS_NORM = 1 };

// A norm over a row: `weight` is null where there is none, `bias` where it has none.
struct Norm {
    const float* weight;
    const float* bias;
    float eps;
    unsigned kind;
};

// A row of f32 in shared memory that belongs to one warp: of each block of WARP * CHUNK columns a
// lane holds CHUNK neighbours, which stand WARP apart, so that the lanes use all banks.
template <class T>
struct SharedRow {
    static constexpr unsigned BLOCK = WARP * CHUNK<T>;

    float* values;
    unsigned cols;

    // The row of this thread's warp; there is room for whole blocks.
    __device__ __forceinline__ SharedRow(unsigned char* shared, unsigned cols) : cols(cols) {
        const unsigned stride = (cols + BLOCK - 1) / BLOCK * BLOCK;
        values = reinterpret_cast<float*>(shared) + size_t(threadIdx.x / WARP) * stride;
    }
    // Where this lane's first block begins, in columns; further ones follow by BLOCK.
    __device__ __forceinline__ unsigned first() const { return threadIdx.x % WARP * CHUNK<T>; }
    // Column `first + i`.
    __device__ __forceinline__ float& at(unsigned first, unsigned i) const {
        const unsigned lane = threadIdx.x % WARP;
        return values[first - lane * CHUNK<T> + i * WARP + lane];
    }
    __device__ __forceinline__ void get(unsigned first, float (&x)[CHUNK<T>]) const {
#pragma unroll
        for (unsigned i = 0; i < CHUNK<T>; i++) x[i] = at(first, i);
    }
    __device__ __forceinline__ void set(unsigned first, const float (&x)[CHUNK<T>]) const {
#pragma unroll
        for (unsigned i = 0; i < CHUNK<T>; i++) at(first, i) = x[i];
    }
};

// Normalises a row in place. Columns past the end must be 0, and are nothing afterwards.
template <class T>
__device__ __forceinline__ void normalise_row(const SharedRow<T>& row, const Norm& norm) {
    constexpr unsigned STEP = SharedRow<T>::BLOCK;
    const unsigned cols = row.cols;
    const bool whole = has_whole_chunks<T>(cols);
    float mean = 0.f, x[CHUNK<T>];
    if (norm.kind == LAYER_NORM) {
        float sum = 0.f;
        for (unsigned first = row.first(); first < cols; first += STEP) {
            row.get(first, x);
#pragma unroll
            for (unsigned i = 0; i < CHUNK<T>; i++) sum += x[i];
        }
        mean = warp_sum(sum) / cols;
    }
    float squares = 0.f;
    for (unsigned first = row.first(); first < cols; first += STEP) {
        row.get(first, x);
#pragma unroll
        for (unsigned i = 0; i < CHUNK<T>; i++) squares += first + i < cols ? (x[i] - mean) * (x[i] - mean) : 0.f;
    }
    const float scale = 1.f / sqrtf(warp_sum(squares) / cols + norm.eps);
    for (unsigned first = row.first(); first < cols; first += STEP) {
        float weight[CHUNK<T>], bias[CHUNK<T>] = {};
        row.get(first, x);
        load_wide<T>(norm.weight, first, cols, whole, weight);
        if (norm.bias) load_wide<T>(norm.bias, first, cols, whole, bias);
#pragma unroll
        for (unsigned i = 0; i < CHUNK<T>; i++) x[i] = (x[i] - mean) * scale * weight[i] + bias[i];
        row.set(first, x);
    }
}

enum Activation { IDENTITY = 0, GELU = 1, GELU_TANH = 2, RELU = 3, SILU = 4, TANH = 5 };

__device__ __forceinline__ float activate(unsigned activation, float x) {
    switch (activation) {
        // arXiv 1606.08415: the exact form, and its approximation by tanh.
        case GELU: return 0.5f * x * (1.f + erff(x * 0.70710678118654752f));
        case GELU_TANH: return 0.5f * x * (1.f + tanhf(0.79788456080286536f * (x + 0.044715f * x * x * x)));
        case RELU: return x < 0.f ? 0.f : x;
        case SILU: return x / (1.f + expf(-x));
        case TANH: return tanhf(x);
        default: return x;
    }
}
