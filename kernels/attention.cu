// Softmax attention within each sequence of a packed batch, without padding and without a matrix
// of scores: keys pass by in tiles under an online softmax (arXiv 2205.14135), sums in f32.
//   out[q, h] = sum over visible k of softmax(scale <q_h, k_g> + bias(h, k - q)) v_g,  g = h kv / heads
//
// qkv: [tokens, (heads + 2 kv_heads) * d], queries, keys, values; d at most D
// tiles: [tiles] of (first row of the sequence, its length, first query, 0) u32
// mask: full, causal (k <= q) or local (|k - q| <= radius)
// bias: none; slopes [heads] f32 times -|k - q|; or a table [heads, 2 r + 1] f32 at clamp(k - q, -r, r)
// out: [tokens, heads * d]
//
// A row's sums run over tiles of keys counted from its sequence's start: its bits depend on its
// sequence alone. Grid: (tiles, heads). d a multiple of 16 bytes is read by 16-byte loads, else by
// value; columns d..D are zeros in shared memory. f16 and bf16 run on matrix units.
//
// @kernel attention_{f16,bf16}_{32,64,96,128,256} load=16 store=16 mma=1 unit=query.head bytes=2*D*S+2*D*S*N/64 flops=4*N*D
// @kernel attention_f32_{96,128} load=16 store=16 unit=query.head bytes=2*D*S+2*D*S*N/64 flops=4*N*D
// @kernel attention_f32_{32,64,256} load=16 store=16 unit=query.head bytes=2*D*S+2*D*S*N/32 flops=4*N*D
#include "attention_f32.cuh"
#include "attention_mma.cuh"

#define ATTENTION(T, D)                                                                                        \
    extern "C" __global__ void __launch_bounds__(MmaTile<D>::THREADS)                                          \
        attention_##T##_##D(const T* qkv, const uint4* tiles, const float* bias, T* out, AttentionShape shape) { \
        attention_mma<T, D>(qkv, tiles[blockIdx.x], bias, out, shape);                                         \
    }
#define ATTENTION_F32(D)                                                                                       \
    extern "C" __global__ void __launch_bounds__(F32Tile<D>::THREADS, 256 / F32Tile<D>::THREADS)                  \
        attention_f32_##D(const float* qkv, const uint4* tiles, const float* bias, float* out, AttentionShape shape) { \
        attention_f32<D>(qkv, tiles[blockIdx.x], bias, out, shape);                                            \
    }
#define ATTENTION_OF(D) \
    ATTENTION(f16, D)   \
    ATTENTION(bf16, D)  \
    ATTENTION_F32(D)

ATTENTION_OF(32)
ATTENTION_OF(64)
ATTENTION_OF(96)
ATTENTION_OF(128)
ATTENTION_OF(256)
