// Attention in f32 without matrix units: a thread holds 4 queries by a few keys of the scores, and
// 4 queries by D / 8 columns of the sums. Eight lanes share their four queries.
#pragma once
#include "attention.cuh"

// Lanes that share queries.
constexpr unsigned F32_LANES = 8;

template <unsigned D>
struct F32Tile {
    // More warps share the keys of middling heads; 64 KiB of shared memory suffice for all.
    static constexpr unsigned THREADS = D == 96 || D == 128 ? 128 : 64;
    static constexpr unsigned QUERIES = THREADS / F32_LANES * 4;
    // Keys of a lane.
    static constexpr unsigned OWN = D <= 64 ? 4 : D <= 128 ? 2 : 1;
    static constexpr unsigned KEYS = F32_LANES * OWN;
    // Eight rows of four floats stand in all banks once.
    static constexpr unsigned STRIDE = D + 4;
    static constexpr unsigned WEIGHTS = KEYS + 4;
    static constexpr unsigned BYTES = ((QUERIES + 2 * KEYS) * STRIDE + QUERIES * WEIGHTS) * 4;
};

template <unsigned D, unsigned ROWS>
__device__ __forceinline__ void copy_rows_f32(float* tile, const float* head, size_t stride, int first, int len, unsigned dim, bool whole) {
    for (unsigned i = threadIdx.x; i < ROWS * (D / 4); i += F32Tile<D>::THREADS) {
        const unsigned row = i / (D / 4), column = i % (D / 4) * 4;
        float x[4] = {};
        if (first + int(row) < len && column < dim) load_chunk(head + size_t(first + int(row)) * stride, column, dim, whole, x);
        *reinterpret_cast<float4*>(tile + row * F32Tile<D>::STRIDE + column) = make_float4(x[0], x[1], x[2], x[3]);
    }
}

// scores[4, OWN]: queries 4 y + i by keys x + 8 j.
template <unsigned D>
__device__ __forceinline__ void score_products_f32(float (&scores)[4][F32Tile<D>::OWN], const float* queries, const float* keys, unsigned x, unsigned y) {
    constexpr unsigned STRIDE = F32Tile<D>::STRIDE, OWN = F32Tile<D>::OWN;
#pragma unroll
    for (unsigned i = 0; i < 4 * OWN; i++) scores[i / OWN][i % OWN] = 0.f;
#pragma unroll 4
    for (unsigned c = 0; c < D; c += 4) {
        float4 q[4], k[OWN];
#pragma unroll
        for (unsigned i = 0; i < 4; i++) q[i] = *reinterpret_cast<const float4*>(queries + (4 * y + i) * STRIDE + c);
#pragma unroll
        for (unsigned j = 0; j < OWN; j++) k[j] = *reinterpret_cast<const float4*>(keys + (x + F32_LANES * j) * STRIDE + c);
#pragma unroll
        for (unsigned i = 0; i < 4; i++) {
#pragma unroll
            for (unsigned j = 0; j < OWN; j++) {
                scores[i][j] = fmaf(q[i].x, k[j].x, fmaf(q[i].y, k[j].y, fmaf(q[i].z, k[j].z, fmaf(q[i].w, k[j].w, scores[i][j]))));
            }
        }
    }
}

// Scores become weights, in shared memory too; sums so far are scaled to the new maxima.
template <unsigned D>
__device__ __forceinline__ void weigh_f32(float (&scores)[4][F32Tile<D>::OWN], float (&sums)[4][D / F32_LANES], float (&maxima)[4], float (&totals)[4],
                                          float* weights, int query, int key, unsigned x, unsigned y, const Queries& at,
                                          const float* bias, const AttentionShape& shape) {
    const bool plain = sees_all(key, F32Tile<D>::KEYS, at.len, shape);
#pragma unroll
    for (unsigned i = 0; i < 4; i++) {
        float maximum = maxima[i], total = 0.f;
#pragma unroll
        for (unsigned j = 0; j < F32Tile<D>::OWN; j++) {
            scores[i][j] = plain ? checked_score(scores[i][j] * (shape.scale * LOG2_E))
                                 : masked_score(scores[i][j], query + int(i), key + int(x + F32_LANES * j), at, bias, shape);
            maximum = fmaxf(maximum, scores[i][j]);
        }
#pragma unroll
        for (unsigned distance = F32_LANES / 2; distance > 0; distance /= 2) {
            maximum = fmaxf(maximum, __shfl_xor_sync(ALL_LANES, maximum, distance));
        }
        const float base = finite_maximum(maximum), decay = exp2f(maxima[i] - base);
        maxima[i] = maximum;
#pragma unroll
        for (unsigned j = 0; j < F32Tile<D>::OWN; j++) {
            const float weight = exp2f(scores[i][j] - base);
            weights[(4 * y + i) * F32Tile<D>::WEIGHTS + x + F32_LANES * j] = weight;
            total += weight;
        }
        totals[i] = totals[i] * decay + total;
#pragma unroll
        for (unsigned c = 0; c < D / F32_LANES; c++) sums[i][c] *= decay;
    }
}

// sums[4, D / 8] += weights values: columns 4 x + 32 c + 0..4.
template <unsigned D>
__device__ __forceinline__ void add_values_f32(float (&sums)[4][D / F32_LANES], const float* weights, const float* values, unsigned x, unsigned y) {
#pragma unroll 2
    for (unsigned key = 0; key < F32Tile<D>::KEYS; key++) {
        float weight[4];
#pragma unroll
        for (unsigned i = 0; i < 4; i++) weight[i] = weights[(4 * y + i) * F32Tile<D>::WEIGHTS + key];
#pragma unroll
        for (unsigned c = 0; c < D / 32; c++) {
            const float4 v = *reinterpret_cast<const float4*>(values + key * F32Tile<D>::STRIDE + 32 * c + 4 * x);
#pragma unroll
            for (unsigned i = 0; i < 4; i++) {
                sums[i][4 * c] = fmaf(weight[i], v.x, sums[i][4 * c]);
                sums[i][4 * c + 1] = fmaf(weight[i], v.y, sums[i][4 * c + 1]);
                sums[i][4 * c + 2] = fmaf(weight[i], v.z, sums[i][4 * c + 2]);
                sums[i][4 * c + 3] = fmaf(weight[i], v.w, sums[i][4 * c + 3]);
            }
        }
    }
}

template <unsigned D>
__device__ __forceinline__ void store_rows_f32(const float (&sums)[4][D / F32_LANES], const float (&totals)[4], float* out, int query,
                                               unsigned x, const Queries& at, const AttentionShape& shape, bool whole) {
#pragma unroll
    for (unsigned i = 0; i < 4; i++) {
        float total = totals[i];
#pragma unroll
        for (unsigned distance = F32_LANES / 2; distance > 0; distance /= 2) total += __shfl_xor_sync(ALL_LANES, total, distance);
        if (query + int(i) >= at.len) continue;
        float* to = out + (at.start + query + i) * (size_t(shape.heads) * shape.dim) + size_t(at.head) * shape.dim;
#pragma unroll
        for (unsigned c = 0; c < D / 32; c++) {
            const float row[4] = {sums[i][4 * c] / total, sums[i][4 * c + 1] / total, sums[i][4 * c + 2] / total, sums[i][4 * c + 3] / total};
            const unsigned column = 32 * c + 4 * x;
            if (column < shape.dim) store_chunk(to, column, shape.dim, whole, row);
        }
    }
}

template <unsigned D>
__device__ __forceinline__ void attention_f32(const float* qkv, uint4 tile, const float* bias, float* out, const AttentionShape& shape) {
    extern __shared__ __align__(16) unsigned char shared[];
    constexpr unsigned STRIDE = F32Tile<D>::STRIDE, KEYS = F32Tile<D>::KEYS, QUERIES = F32Tile<D>::QUERIES;
    float* queries = reinterpret_cast<float*>(shared);
    float* keys = queries + QUERIES * STRIDE;
    float* values = keys + KEYS * STRIDE;
    float* weights = values + KEYS * STRIDE;
    const Queries at = block_queries(tile, shape);
    const unsigned dim = shape.dim, x = threadIdx.x % F32_LANES, y = threadIdx.x / F32_LANES;
    const bool whole = has_whole_chunks<float>(dim);
    const float* base = qkv + at.start * at.stride;
    const float* key_head = base + size_t(shape.heads + at.kv_head) * dim;
    const float* value_head = base + size_t(shape.heads + shape.kv_heads + at.kv_head) * dim;
    const int2 range = visible_keys(at, QUERIES, KEYS, shape);
    copy_rows_f32<D, QUERIES>(queries, base + size_t(at.head) * dim, at.stride, at.query, at.len, dim, whole);
    const int query = at.query + int(4 * y);
    float maxima[4] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY}, totals[4] = {}, sums[4][D / F32_LANES] = {};
    for (int key = range.x; key < range.y; key += KEYS) {
        copy_rows_f32<D, KEYS>(keys, key_head, at.stride, key, at.len, dim, whole);
        copy_rows_f32<D, KEYS>(values, value_head, at.stride, key, at.len, dim, whole);
        __syncthreads();
        float scores[4][F32Tile<D>::OWN];
        score_products_f32<D>(scores, queries, keys, x, y);
        weigh_f32<D>(scores, sums, maxima, totals, weights, query, key, x, y, at, bias, shape);
        // Weights pass between the lanes of a warp alone.
        __syncwarp();
        add_values_f32<D>(sums, weights, values, x, y);
        __syncthreads();
    }
    store_rows_f32<D>(sums, totals, out, query, x, at, shape, whole);
}
