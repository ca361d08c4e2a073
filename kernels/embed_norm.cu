// Embedding, positions, types and norm:
//   out[t] = wide[t] = norm(word[ids[t]] + position[positions[t]] + type[types[t]])
//
// ids, types, positions: [tokens] u32, within their tables (the host checks)
// word: [vocabulary, cols], position: [positions, cols] or null, type: [types, cols] or null
// norm.weight: [cols] f32, null for no norm; norm.bias: [cols] f32 or null
// out: [tokens, cols], what products read
// wide: [tokens, cols] f32, where the residual stream begins; null where out is f32
//
// Grid: (tokens / ROWS) blocks of ROWS warps, a warp a token. Shared: ROWS * cols f32,
// cols rounded up to whole blocks of SharedRow.
// cols a multiple of 16 bytes is read by 16-byte loads, else by value.
//
// @kernel embed_norm_{f32,f16,bf16} load=16 store=16 unit=token bytes=4*H*S+4*H+12 flops=11*H
#include "values.cuh"

template <class T>
__device__ __forceinline__ void embed_norm(const unsigned* ids, const unsigned* types, const unsigned* positions,
                                           const T* word, const T* position, const T* type, Norm norm,
                                           T* out, float* wide, unsigned tokens, unsigned cols) {
    extern __shared__ __align__(16) unsigned char shared[];
    const unsigned token = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (token >= tokens) return;
    const SharedRow<T> row(shared, cols);
    const bool whole = has_whole_chunks<T>(cols);
    const T* from_word = word + size_t(ids[token]) * cols;
    const T* from_position = position ? position + size_t(positions[token]) * cols : nullptr;
    const T* from_type = type ? type + size_t(types[token]) * cols : nullptr;
    float x[CHUNK<T>], more[CHUNK<T>];
    for (unsigned first = row.first(); first < cols; first += row.BLOCK) {
        load_chunk(from_word, first, cols, whole, x);
        if (from_type) {
            load_chunk(from_type, first, cols, whole, more);
#pragma unroll
            for (unsigned i = 0; i < CHUNK<T>; i++) x[i] += more[i];
        }
        if (from_position) {
            load_chunk(from_position, first, cols, whole, more);
#pragma unroll
            for (unsigned i = 0; i < CHUNK<T>; i++) x[i] += more[i];
        }
        row.set(first, x);
    }
    if (norm.weight) normalise_row(row, norm);
    for (unsigned first = row.first(); first < cols; first += row.BLOCK) {
        row.get(first, x);
        store_chunk(out + size_t(token) * cols, first, cols, whole, x);
        if (wide) store_wide<T>(wide + size_t(token) * cols, first, cols, whole, x);
    }
}

#define EMBED_NORM(T)                                                                                              \
    extern "C" __global__ void __launch_bounds__(256, 2)                                                           \
        embed_norm_##T(const unsigned* ids, const unsigned* types, const unsigned* positions, const T* word,       \
                       const T* position, const T* type, Norm norm, T* out, float* wide, unsigned tokens,          \
                       unsigned cols) {                                                                            \
        embed_norm<T>(ids, types, positions, word, position, type, norm, out, wide, tokens, cols);                 \
    }
EMBED_NORM(f32)
EMBED_NORM(f16)
EMBED_NORM(bf16)
