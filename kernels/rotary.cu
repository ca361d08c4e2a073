// Rotary position embedding (arXiv 2104.09864) of the query and key heads, in place, each head
// normalised first where there are norms:
//   x = norm(head); pair j of it, columns j and j + d/2, turns by the angle of its position
//
// qkv: [tokens, (heads + 2 kv_heads) * d]; values stay as they are
// positions: [tokens] u32; cos, sin: [positions, d / 2] f32
// query_norm, key_norm: weight [d] f32, null for none
//
// Grid: (tokens, heads + kv_heads) in groups of GROUP lanes, a group a head, GROUP a power of two
// of at most 32 lanes; a lane takes chunks of 16 bytes of each half where d / 2 has whole ones.
//
// @kernel rotary_{f32,f16,bf16} load=16 store=16 unit=head bytes=2*D*S+4*D flops=3*D
#include "values.cuh"

struct Heads {
    unsigned queries;
    unsigned keys;
    unsigned dim;
};

__device__ __forceinline__ float group_sum(float value, unsigned group) {
    for (unsigned distance = group / 2; distance > 0; distance /= 2) value += __shfl_xor_sync(ALL_LANES, value, distance);
    return value;
}

// Mean and scale of a head of `d` values, as a norm has them.
template <class T>
__device__ __forceinline__ float2 head_statistics(const T* head, unsigned d, bool whole, const Norm& norm,
                                                  unsigned lane, unsigned group, bool valid) {
    float sum = 0.f, squares = 0.f, x[CHUNK<T>];
    const float in_use = norm.kind == LAYER_NORM ? 1.f : 0.f;
    for (unsigned first = lane * CHUNK<T>; valid && first < d; first += group * CHUNK<T>) {
        load_chunk(head, first, d, whole, x);
#pragma unroll
        for (unsigned i = 0; i < CHUNK<T>; i++) sum += x[i];
    }
    const float mean = in_use * group_sum(sum, group) / d;
    for (unsigned first = lane * CHUNK<T>; valid && first < d; first += group * CHUNK<T>) {
        load_chunk(head, first, d, whole, x);
        for (unsigned i = 0; i < CHUNK<T> && first + i < d; i++) squares += (x[i] - mean) * (x[i] - mean);
    }
    return make_float2(mean, 1.f / sqrtf(group_sum(squares, group) / d + norm.eps));
}

template <class T>
__device__ __forceinline__ void rotate_heads(T* qkv, const unsigned* positions, const float* cos, const float* sin,
                                             Norm query_norm, Norm key_norm, Heads heads, unsigned tokens,
                                             unsigned group) {
    const unsigned per_token = heads.queries + heads.keys, d = heads.dim, half = d / 2;
    const size_t index = (size_t(blockIdx.x) * blockDim.x + threadIdx.x) / group;
    const unsigned lane = threadIdx.x % group;
    // Lanes past the end stay: the groups of a warp sum together.
    const bool valid = index < size_t(tokens) * per_token;
    const size_t token = valid ? index / per_token : 0;
    const unsigned which = valid ? unsigned(index % per_token) : 0;
    T* head = qkv + token * (per_token + heads.keys) * d + size_t(which) * d;
    const bool whole = has_whole_chunks<T>(half);
    const Norm norm = which < heads.queries ? query_norm : key_norm;
    float2 statistics = make_float2(0.f, 1.f);
    if (query_norm.weight) statistics = head_statistics(head, d, whole, norm, lane, group, valid);
    // Statistics of all lanes are read before any lane writes.
    __syncwarp();
    const float* at_cos = cos + size_t(valid ? positions[token] : 0) * half;
    const float* at_sin = sin + size_t(valid ? positions[token] : 0) * half;
    for (unsigned first = lane * CHUNK<T>; valid && first < half; first += group * CHUNK<T>) {
        float a[CHUNK<T>], b[CHUNK<T>];
        load_chunk(head, first, half, whole, a);
        load_chunk(head + half, first, half, whole, b);
        for (unsigned i = 0; i < CHUNK<T> && first + i < half; i++) {
            if (norm.weight) {
                const unsigned j = first + i;
                a[i] = (a[i] - statistics.x) * statistics.y * norm.weight[j] + (norm.bias ? norm.bias[j] : 0.f);
                b[i] = (b[i] - statistics.x) * statistics.y * norm.weight[half + j] + (norm.bias ? norm.bias[half + j] : 0.f);
            }
            const float c = at_cos[first + i], s = at_sin[first + i], low = a[i], high = b[i];
            a[i] = low * c - high * s;
            b[i] = high * c + low * s;
        }
        store_chunk(head, first, half, whole, a);
        store_chunk(head + half, first, half, whole, b);
    }
}

#define ROTARY(T)                                                                                                  \
    extern "C" __global__ void __launch_bounds__(256)                                                              \
        rotary_##T(T* qkv, const unsigned* positions, const float* cos, const float* sin, Norm query_norm,         \
                   Norm key_norm, Heads heads, unsigned tokens, unsigned group) {                                  \
        rotate_heads<T>(qkv, positions, cos, sin, query_norm, key_norm, heads, tokens, group);                     \
    }
ROTARY(f32)
ROTARY(f16)
ROTARY(bf16)
