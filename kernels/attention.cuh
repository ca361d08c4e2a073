// What both forms of attention have in common: masks, biases, and the tiles of keys to visit.
#pragma once
#include "ptx.cuh"

enum Mask { MASK_FULL = 0, MASK_CAUSAL = 1, MASK_LOCAL = 2 };
enum Bias { BIAS_NONE = 0, BIAS_SLOPES = 1, BIAS_TABLE = 2 };

struct AttentionShape {
    unsigned heads;
    unsigned kv_heads;
    unsigned dim;
    unsigned mask;
    // Of a local mask.
    unsigned radius;
    unsigned bias;
    // Of a table of biases.
    unsigned bias_radius;
    float scale;
};

constexpr float LOG2_E = 1.4426950408889634f;

// A block's queries: those of one head and one sequence from `query` on.
struct Queries {
    // Row of the sequence's first token.
    size_t start;
    int len;
    int query;
    unsigned head;
    unsigned kv_head;
    // Columns of qkv.
    size_t stride;
};

__device__ __forceinline__ Queries block_queries(uint4 tile, const AttentionShape& shape) {
    const unsigned head = blockIdx.y;
    return {tile.x, int(tile.y), int(tile.z), head, head * shape.kv_heads / shape.heads,
            size_t(shape.heads + 2 * shape.kv_heads) * shape.dim};
}

// Keys that any of `count` queries sees: from a multiple of `step` to the end.
__device__ __forceinline__ int2 visible_keys(const Queries& at, int count, int step, const AttentionShape& shape) {
    int first = 0, end = at.len;
    if (shape.mask == MASK_CAUSAL) end = min(end, at.query + count);
    if (shape.mask == MASK_LOCAL) {
        first = max(0, at.query - int(shape.radius)) / step * step;
        end = min(end, at.query + count + int(shape.radius));
    }
    return make_int2(first, end);
}

__device__ __forceinline__ bool is_visible(int query, int key, int len, const AttentionShape& shape) {
    if (key >= len || query >= len) return false;
    if (shape.mask == MASK_CAUSAL) return key <= query;
    if (shape.mask == MASK_LOCAL) return abs(key - query) <= int(shape.radius);
    return true;
}

// The bias of a score, in units of log2.
__device__ __forceinline__ float score_bias(const float* bias, unsigned head, int distance, const AttentionShape& shape) {
    if (shape.bias == BIAS_SLOPES) return -bias[head] * float(abs(distance)) * LOG2_E;
    if (shape.bias == BIAS_TABLE) {
        const int radius = int(shape.bias_radius);
        const int at = min(max(distance, -radius), radius) + radius;
        return bias[size_t(head) * (2 * radius + 1) + at] * LOG2_E;
    }
    return 0.f;
}

// Whether queries see all of `count` keys from `key` on, without bias.
__device__ __forceinline__ bool sees_all(int key, int count, int len, const AttentionShape& shape) {
    return shape.mask == MASK_FULL && shape.bias == BIAS_NONE && key + count <= len;
}

// What overflowed must not pass for a key that is not seen.
__device__ __forceinline__ float checked_score(float score) { return score == -INFINITY ? NAN : score; }

// A score as exp2 takes it, minus infinity where the query does not see the key.
__device__ __forceinline__ float masked_score(float product, int query, int key, const Queries& at, const float* bias,
                                              const AttentionShape& shape) {
    if (!is_visible(query, key, at.len, shape)) return -INFINITY;
    return checked_score(product * (shape.scale * LOG2_E) + score_bias(bias, at.head, key - query, shape));
}

// What exp2 subtracts, so that a row that has seen no key yet gives zeros and not NaN.
__device__ __forceinline__ float finite_maximum(float maximum) { return maximum == -INFINITY ? 0.f : maximum; }
