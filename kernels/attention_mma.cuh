// Attention on matrix units: a warp holds 16 queries, keys and values pass by in shared memory.
// While scores of a tile are computed its values are on their way, and the next keys after them.
#pragma once
#include "attention.cuh"

template <unsigned D>
struct MmaTile {
    static constexpr unsigned WARPS = 4;
    static constexpr unsigned THREADS = WARPS * WARP;
    static constexpr unsigned QUERIES = WARPS * 16;
    // Fewer for large heads, so that two blocks, or one of 256, fit into a small multiprocessor.
    static constexpr unsigned KEYS = D <= 96 ? 64 : D <= 128 ? 32 : 16;
    // An odd number of 16-byte chunks: eight rows stand in all banks once.
    static constexpr unsigned STRIDE = D + 8;
    static constexpr unsigned BYTES = (QUERIES + 2 * KEYS) * STRIDE * 2;
};

// Brings rows `first..first + ROWS` of a head, of which `len` exist, into shared memory, zeros
// elsewhere; asynchronously where rows have whole chunks.
template <class T, unsigned D, unsigned ROWS>
__device__ __forceinline__ void copy_rows(T* tile, const T* head, size_t stride, int first, int len, unsigned dim, bool whole) {
    constexpr unsigned CHUNKS = D / 8, THREADS = MmaTile<D>::THREADS;
    if (whole) {
#pragma unroll
        for (unsigned i = threadIdx.x; i < ROWS * CHUNKS; i += THREADS) {
            const unsigned row = i / CHUNKS, column = i % CHUNKS * 8;
            const bool valid = first + int(row) < len && column < dim;
            const T* from = valid ? head + size_t(first + int(row)) * stride + column : head;
            copy_chunk(tile + row * MmaTile<D>::STRIDE + column, from, valid);
        }
    } else {
        for (unsigned i = threadIdx.x; i < ROWS * D; i += THREADS) {
            const unsigned row = i / D, column = i % D;
            const bool valid = first + int(row) < len && column < dim;
            const T* from = head + size_t(first + int(row)) * stride + column;
            tile[row * MmaTile<D>::STRIDE + column] = valid ? *from : narrow<T>(0.f);
        }
    }
    commit_copies();
}

// The fragment of rows 0..16 and columns `column..column + 16` as the left operand.
template <class T, unsigned D>
__device__ __forceinline__ void left_fragment(uint32_t (&a)[4], const T* rows, unsigned column) {
    const unsigned lane = threadIdx.x % WARP;
    load_matrices(a, rows + (lane % 16) * MmaTile<D>::STRIDE + column + lane / 16 * 8);
}

// scores[16, KEYS] = queries keys^T.
template <class T, unsigned D>
__device__ __forceinline__ void score_products(float (&scores)[MmaTile<D>::KEYS / 8][4], const T* queries, const T* keys) {
    const unsigned lane = threadIdx.x % WARP;
#pragma unroll
    for (unsigned n = 0; n < MmaTile<D>::KEYS / 8; n++) {
#pragma unroll
        for (unsigned i = 0; i < 4; i++) scores[n][i] = 0.f;
    }
#pragma unroll
    for (unsigned column = 0; column < D; column += 16) {
        uint32_t a[4];
        left_fragment<T, D>(a, queries, column);
#pragma unroll
        for (unsigned n = 0; n < MmaTile<D>::KEYS / 8; n += 2) {
            uint32_t b[4];
            const unsigned key = n * 8 + lane % 8 + lane / 16 * 8;
            load_matrices(b, keys + key * MmaTile<D>::STRIDE + column + lane / 8 % 2 * 8);
            mma_m16n8k16<T>(scores[n], a, {b[0], b[1]});
            mma_m16n8k16<T>(scores[n + 1], a, {b[2], b[3]});
        }
    }
}

// Rows of a warp: the running maximum and sum of two rows a lane, g and g + 8 of the 16.
struct Softmax {
    float maximum[2];
    float sum[2];
};

// Products become scores, masked and biased; most tiles need neither.
template <unsigned D>
__device__ __forceinline__ void scale_scores(float (&scores)[MmaTile<D>::KEYS / 8][4], int query, int key, const Queries& at,
                                             const float* bias, const AttentionShape& shape) {
    const unsigned lane = threadIdx.x % WARP;
    if (sees_all(key, MmaTile<D>::KEYS, at.len, shape)) {
#pragma unroll
        for (unsigned n = 0; n < MmaTile<D>::KEYS / 8; n++) {
#pragma unroll
            for (unsigned i = 0; i < 4; i++) scores[n][i] = checked_score(scores[n][i] * (shape.scale * LOG2_E));
        }
        return;
    }
#pragma unroll
    for (unsigned n = 0; n < MmaTile<D>::KEYS / 8; n++) {
#pragma unroll
        for (unsigned i = 0; i < 4; i++) {
            const int row = query + int(lane / 4 + i / 2 * 8), column = key + int(n * 8 + lane % 4 * 2 + i % 2);
            scores[n][i] = masked_score(scores[n][i], row, column, at, bias, shape);
        }
    }
}

// Scores become weights against the new maxima; `decay` is what earlier sums are worth now.
template <class T, unsigned D>
__device__ __forceinline__ void weigh(float (&scores)[MmaTile<D>::KEYS / 8][4], float (&decay)[2], Softmax& softmax,
                                      int query, int key, const Queries& at, const float* bias, const AttentionShape& shape) {
    constexpr unsigned TILES = MmaTile<D>::KEYS / 8;
    scale_scores<D>(scores, query, key, at, bias, shape);
#pragma unroll
    for (unsigned half = 0; half < 2; half++) {
        float maximum = softmax.maximum[half];
#pragma unroll
        for (unsigned n = 0; n < TILES; n++) maximum = fmaxf(maximum, fmaxf(scores[n][half * 2], scores[n][half * 2 + 1]));
        maximum = fmaxf(maximum, __shfl_xor_sync(ALL_LANES, maximum, 1));
        maximum = fmaxf(maximum, __shfl_xor_sync(ALL_LANES, maximum, 2));
        const float base = finite_maximum(maximum);
        decay[half] = exp2f(softmax.maximum[half] - base);
        softmax.maximum[half] = maximum;
        float sum = 0.f;
#pragma unroll
        for (unsigned n = 0; n < TILES; n++) {
#pragma unroll
            for (unsigned i = 0; i < 2; i++) sum += scores[n][half * 2 + i] = exp2f(scores[n][half * 2 + i] - base);
        }
        softmax.sum[half] = softmax.sum[half] * decay[half] + sum;
    }
}

// sums[16, D] = decay sums + weights values.
template <class T, unsigned D>
__device__ __forceinline__ void add_values(float (&sums)[D / 8][4], const float (&decay)[2],
                                           const float (&weights)[MmaTile<D>::KEYS / 8][4], const T* values) {
    const unsigned lane = threadIdx.x % WARP;
#pragma unroll
    for (unsigned n = 0; n < D / 8; n++) {
#pragma unroll
        for (unsigned i = 0; i < 4; i++) sums[n][i] *= decay[i / 2];
    }
#pragma unroll
    for (unsigned key = 0; key < MmaTile<D>::KEYS; key += 16) {
        const float(&low)[4] = weights[key / 8];
        const float(&high)[4] = weights[key / 8 + 1];
        // A result of one product is laid out as the left operand of the next.
        const uint32_t a[4] = {narrow_pair<T>(low[0], low[1]), narrow_pair<T>(low[2], low[3]),
                               narrow_pair<T>(high[0], high[1]), narrow_pair<T>(high[2], high[3])};
#pragma unroll
        for (unsigned n = 0; n < D / 8; n += 2) {
            uint32_t b[4];
            load_matrices_transposed(b, values + (key + lane % 16) * MmaTile<D>::STRIDE + n * 8 + lane / 16 * 8);
            mma_m16n8k16<T>(sums[n], a, {b[0], b[1]});
            mma_m16n8k16<T>(sums[n + 1], a, {b[2], b[3]});
        }
    }
}

// Writes a warp's rows through its part of shared memory, so that stores are of 16 bytes.
template <class T, unsigned D>
__device__ __forceinline__ void store_rows(const float (&sums)[D / 8][4], const Softmax& softmax, T* rows, T* out, int query,
                                           const Queries& at, const AttentionShape& shape, bool whole) {
    constexpr unsigned STRIDE = MmaTile<D>::STRIDE;
    const unsigned lane = threadIdx.x % WARP;
#pragma unroll
    for (unsigned half = 0; half < 2; half++) {
        float sum = softmax.sum[half];
        sum += __shfl_xor_sync(ALL_LANES, sum, 1);
        sum += __shfl_xor_sync(ALL_LANES, sum, 2);
        const float scale = 1.f / sum;
#pragma unroll
        for (unsigned n = 0; n < D / 8; n++) {
            uint32_t* to = reinterpret_cast<uint32_t*>(rows + (lane / 4 + half * 8) * STRIDE + n * 8 + lane % 4 * 2);
            *to = narrow_pair<T>(sums[n][half * 2] * scale, sums[n][half * 2 + 1] * scale);
        }
    }
    __syncwarp();
    for (unsigned i = lane; i < 16 * (D / 8); i += WARP) {
        const unsigned row = i / (D / 8), column = i % (D / 8) * 8;
        if (query + int(row) >= at.len || column >= shape.dim) continue;
        const T* from = rows + row * STRIDE + column;
        T* to = out + (at.start + query + row) * (size_t(shape.heads) * shape.dim) + size_t(at.head) * shape.dim + column;
        if (whole) {
            *reinterpret_cast<uint4*>(to) = *reinterpret_cast<const uint4*>(from);
        } else {
            for (unsigned c = 0; c < 8 && column + c < shape.dim; c++) to[c] = from[c];
        }
    }
}

template <class T, unsigned D>
__device__ __forceinline__ void attention_mma(const T* qkv, uint4 tile, const float* bias, T* out, const AttentionShape& shape) {
    extern __shared__ __align__(16) unsigned char shared[];
    constexpr unsigned KEYS = MmaTile<D>::KEYS, QUERIES = MmaTile<D>::QUERIES, STRIDE = MmaTile<D>::STRIDE;
    T* queries = reinterpret_cast<T*>(shared);
    T* keys = queries + QUERIES * STRIDE;
    T* values = keys + KEYS * STRIDE;
    const Queries at = block_queries(tile, shape);
    const unsigned dim = shape.dim, warp = threadIdx.x / WARP;
    const bool whole = has_whole_chunks<T>(dim);
    const T* base = qkv + at.start * at.stride;
    const T* key_head = base + size_t(shape.heads + at.kv_head) * dim;
    const T* value_head = base + size_t(shape.heads + shape.kv_heads + at.kv_head) * dim;
    const int2 range = visible_keys(at, QUERIES, KEYS, shape);
    copy_rows<T, D, QUERIES>(queries, base + size_t(at.head) * dim, at.stride, at.query, at.len, dim, whole);
    copy_rows<T, D, KEYS>(keys, key_head, at.stride, range.x, at.len, dim, whole);
    const int query = at.query + int(warp * 16);
    T* own_rows = queries + warp * 16 * STRIDE;
    Softmax softmax = {{-INFINITY, -INFINITY}, {0.f, 0.f}};
    float sums[D / 8][4] = {};
    for (int key = range.x; key < range.y; key += KEYS) {
        copy_rows<T, D, KEYS>(values, value_head, at.stride, key, at.len, dim, whole);
        wait_copies<1>();
        __syncthreads();
        // Warps past the sequence's end copy, and wait.
        const bool has_queries = query < at.len;
        float scores[KEYS / 8][4], decay[2];
        if (has_queries) score_products<T, D>(scores, own_rows, keys);
        wait_copies<0>();
        // All have read the keys, and all see the values.
        __syncthreads();
        if (key + int(KEYS) < range.y) copy_rows<T, D, KEYS>(keys, key_head, at.stride, key + KEYS, at.len, dim, whole);
        if (has_queries) {
            weigh<T, D>(scores, decay, softmax, query, key, at, bias, shape);
            add_values<T, D>(sums, decay, scores, values);
        }
        // All have read the values.
        __syncthreads();
    }
    store_rows<T, D>(sums, softmax, own_rows, out, query, at, shape, whole);
}
