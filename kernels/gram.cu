// Banded Gram matrix:  out[i, d] = <x[i], x[i + d]>, 0 where i + d is past the last row
//
// x: [rows, cols] as Rows of tiles.cuh, of which <,> is the score; out: [rows, width] f32
//
// A block takes 32 rows and 32 of their neighbours; sums of floating point are in f32 over the
// columns in order.
// Grid: (rows / 32, (width + 31) / 32) blocks of 64 threads, both rounded up.
// Shared: 2 * 16 * 68 f32.
//
// @kernel gram_{f32,f16,bf16} load=16 store=4 unit=value bytes=S*H/16+4 flops=2*H
// @kernel gram_int8 load=16 store=4 unit=value bytes=H/16+4 flops=2*H/4
// @kernel gram_bits load=16 store=4 unit=value bytes=H/8/16+4 flops=2*H/32
#include "tiles.cuh"

template <class T>
using GramTile = WordTile<T, 4, 4, 8, 8, 16>;

template <class T>
__device__ __forceinline__ void gram_tile(const Rows<T>& x, float* out, unsigned width) {
    typedef GramTile<T> Tile;
    extern __shared__ __align__(16) unsigned char shared[];
    const unsigned row = blockIdx.x * Tile::ROWS, column = row + blockIdx.y * Tile::COLS;
    float scores[Tile::VALUES / 4][4] = {};
    // Neighbours past the last row are zeros.
    if (column < x.count) Tile::score(scores, x, row, x, column, shared);
#pragma unroll
    for (unsigned i = 0; i < Tile::VALUES; i++) {
        const unsigned at = row + Tile::row(Tile::own_row(i)), neighbour = column + Tile::column(i);
        if (at < x.count && neighbour >= at && neighbour - at < width) {
            out[size_t(at) * width + (neighbour - at)] = neighbour < x.count ? scores[i / 4][i % 4] : 0.f;
        }
    }
}

#define GRAM(NAME, T)                                                   \
    extern "C" __global__ void __launch_bounds__(GramTile<T>::THREADS)  \
        gram_##NAME(Rows<T> x, float* out, unsigned width) {            \
        gram_tile<T>(x, out, width);                                    \
    }
GRAM(f32, f32)
GRAM(f16, f16)
GRAM(bf16, bf16)
GRAM(int8, int8_t)
GRAM(bits, uint8_t)
