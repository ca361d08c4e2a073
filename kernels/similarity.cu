// Scores of rows of `a` with rows of `b`, of which only what is asked for is written:
//   top_k       keys[i, p] = the k best of <a[i], b[j]> over part p of the rows of b
//   merge_best  out[i] = the k best of keys[i, 0..parts]
//   threshold   pairs = (i, j, <a[i], b[j]>) with a score of at least `least`, in any order
//   pairwise    scores[i, j] = mirror[j, i] = <a[i], b[j]>
//
// a: [a_rows, cols], b: [b_rows, cols] of one type, as Rows of tiles.cuh. <,> is the inner product
// in f32; of int8 an exact sum of products times both rows' scales; of bits 1 - 2 hamming / cols
// keys: [a_rows, parts, k] u64, k at most 128: a score in order-preserving bits over the complement
// of its index, 0 where there is none; from the best down, ties by smaller index
// pairs: [capacity, 3] u32, a score by its bits; count: u64, pairs found, also those beyond capacity
// pick: 0 all, 1 where i != j, 2 where i < j
// scores: [a_rows, b_rows] f32; mirror: [b_rows, a_rows] f32, or null, or `scores` itself where a and
// b are the same rows: half of the work then
// Indices of rows i and j count from origin.row and origin.column.
//
// A score's bits depend on its two rows alone; NaN is never picked. f16 and bf16 run on matrix
// units; top_k_few is for at most 32 rows of a.
// Tiles are of 128 rows of a and 128 of b in f16 and bf16, else 64, but of 32 and 128 in top_k_few.
// top_k: grid (a_rows / tile, parts) blocks of 256 threads, `step` tiles of b a part.
// merge_best: grid a_rows / 8 blocks of 8 warps. threshold, pairwise: grid of as many blocks of 256
// threads as there are tiles. All rounded up.
// Shared: threshold and pairwise: 40960 bytes f16 and bf16, else 25088; top_k: 41984 f16 and bf16,
// else 26112; 21248 top_k_few.
//
// Below, an operation on a word of four int8 or 32 bits counts as a product and a sum.
// @kernel top_k_f32 load=16 store=8 unit=pair bytes=3*4*H/128 flops=2*H
// @kernel top_k_few_f32 load=16 store=8 unit=pair bytes=5*4*H/128 flops=2*H
// @kernel top_k_{f16,bf16} load=16 store=8 mma=1 unit=pair bytes=2*H/64 flops=2*H
// @kernel top_k_int8 load=16 store=8 unit=pair bytes=3*H/128 flops=2*H/4
// @kernel top_k_few_int8 load=16 store=8 unit=pair bytes=5*H/128 flops=2*H/4
// @kernel top_k_bits load=16 store=8 unit=pair bytes=3*H/8/128 flops=2*H/32
// @kernel top_k_few_bits load=16 store=8 unit=pair bytes=5*H/8/128 flops=2*H/32
// @kernel merge_best load=8 store=8 unit=key bytes=8 flops=0
// @kernel threshold_f32 load=16 store=4 unit=pair bytes=3*4*H/128 flops=2*H
// @kernel threshold_{f16,bf16} load=16 store=4 mma=1 unit=pair bytes=2*H/64 flops=2*H
// @kernel threshold_int8 load=16 store=4 unit=pair bytes=3*H/128 flops=2*H/4
// @kernel threshold_bits load=16 store=4 unit=pair bytes=3*H/8/128 flops=2*H/32
// @kernel pairwise_f32 load=16 store=16 unit=pair bytes=3*4*H/128+4 flops=2*H
// @kernel pairwise_{f16,bf16} load=16 store=8 mma=1 unit=pair bytes=2*H/64+4 flops=2*H
// @kernel pairwise_int8 load=16 store=16 unit=pair bytes=3*H/128+4 flops=2*H/4
// @kernel pairwise_bits load=16 store=16 unit=pair bytes=3*H/8/128+4 flops=2*H/32
#include "best.cuh"
#include "tiles.cuh"

template <class T>
using PlainTile = WordTile<T, 8, 4, 16, 16, 16>;
template <class T>
using FewRowsTile = WordTile<T, 4, 4, 32, 8, 16>;

constexpr unsigned SIMILARITY_THREADS = 256;
constexpr unsigned SIMILARITY_WARPS = SIMILARITY_THREADS / WARP;

// Blocks that registers leave room for on a multiprocessor; 7.5 has shared memory for one alone.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
constexpr unsigned SIMILARITY_RESIDENT = 1;
#else
constexpr unsigned SIMILARITY_RESIDENT = 2;
#endif

enum Pick { PICK_ALL = 0, PICK_OTHERS = 1, PICK_LATER = 2 };

// Indices of the first rows of a and b.
struct Origin {
    unsigned row;
    unsigned column;
};

struct TopK {
    unsigned k;
    // Tiles of a part.
    unsigned step;
    unsigned exclude_self;
    Origin origin;
};

// What the blocks of top_k keep in shared memory.
template <class Tile>
struct Selection {
    static constexpr unsigned STRIDE = Tile::COLS + 4;
    static constexpr unsigned LINES = Tile::ROWS < 64 ? Tile::ROWS : 64;
    static constexpr unsigned STAGED = LINES * STRIDE * sizeof(float);
    // Scores take the place of the slices that they were made of.
    static constexpr unsigned AREA = Tile::BYTES < STAGED ? STAGED : Tile::BYTES;
    float* scores;
    // The score that a row's next must reach.
    float* least;
    // Rows that have a score which does.
    unsigned* open;

    __device__ __forceinline__ explicit Selection(unsigned char* shared)
        : scores(reinterpret_cast<float*>(shared)), least(reinterpret_cast<float*>(shared + AREA)),
          open(reinterpret_cast<unsigned*>(shared + AREA) + Tile::ROWS) {}
};

// Scores that nobody may pick become NaN: past the last of `columns` and, where `exclude_self`, of
// column row + i with row i of the tile.
template <class Tile>
__device__ __forceinline__ void drop_scores(float (&scores)[Tile::VALUES / 4][4], unsigned row, unsigned column,
                                            unsigned columns, bool exclude_self) {
#pragma unroll
    for (unsigned i = 0; i < Tile::VALUES; i++) {
        const unsigned at = column + Tile::column(i);
        const bool self = exclude_self && at == row + Tile::row(Tile::own_row(i));
        if (at >= columns || self) scores[i / 4][i % 4] = NAN;
    }
}

// Marks the rows that take in a score of this tile; whether there is one, for the whole block,
// which meets here.
template <class Tile>
__device__ __forceinline__ bool open_rows(const float (&scores)[Tile::VALUES / 4][4], const Selection<Tile>& selection) {
    float least[Tile::OWN_ROWS];
#pragma unroll
    for (unsigned own = 0; own < Tile::OWN_ROWS; own++) least[own] = selection.least[Tile::row(own)];
    unsigned reached = 0;
#pragma unroll
    for (unsigned i = 0; i < Tile::VALUES; i++) {
        reached |= unsigned(scores[i / 4][i % 4] >= least[Tile::own_row(i)]) << Tile::own_row(i);
    }
    for (unsigned own = 0; own < Tile::OWN_ROWS; own++) {
        if (reached >> own & 1) selection.open[Tile::row(own)] = 1;
    }
    return __syncthreads_or(reached != 0);
}

// This part's keys of a row.
__device__ __forceinline__ Key* part_list(Key* keys, unsigned row, unsigned k) {
    return keys + (size_t(row) * gridDim.y + blockIdx.y) * k;
}

// Takes a tile's scores into the lists of its rows, each of which belongs to one warp. `index` is
// that of the tile's first column.
template <class Tile>
__device__ __forceinline__ void take_scores(const float (&scores)[Tile::VALUES / 4][4], const Selection<Tile>& selection,
                                            unsigned row, unsigned index, Key* keys, unsigned k) {
    const unsigned warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    for (unsigned first = 0; first < Tile::ROWS; first += Selection<Tile>::LINES) {
#pragma unroll
        for (unsigned i = 0; i < Tile::VALUES; i++) {
            const unsigned line = Tile::row(Tile::own_row(i)) - first;
            if (line < Selection<Tile>::LINES) {
                selection.scores[line * Selection<Tile>::STRIDE + Tile::column(i)] = scores[i / 4][i % 4];
            }
        }
        __syncthreads();
        for (unsigned line = warp; line < Selection<Tile>::LINES; line += SIMILARITY_WARPS) {
            if (!selection.open[first + line]) continue;
            Key* list = part_list(keys, row + first + line, k);
            BestKeys best;
            best.load(list, k);
            for (unsigned c = lane; c < Tile::COLS; c += WARP) {
                best.offer(score_key(selection.scores[line * Selection<Tile>::STRIDE + c], index + c));
            }
            best.store(list, k);
            const float least = key_score(best.floor());
            if (lane == 0) {
                selection.least[first + line] = least;
                selection.open[first + line] = 0;
            }
        }
        __syncthreads();
    }
}

template <class Tile, class T = typename Tile::Value>
__device__ __forceinline__ void top_k_part(const Rows<T>& a, const Rows<T>& b, Key* keys, const TopK& top) {
    extern __shared__ __align__(16) unsigned char shared[];
    const Selection<Tile> selection(shared);
    const unsigned row = blockIdx.x * Tile::ROWS, warp = threadIdx.x / WARP;
    BestKeys none;
    none.clear(top.k);
    for (unsigned line = warp; line < Tile::ROWS; line += SIMILARITY_WARPS) {
        const bool valid = row + line < a.count;
        if (valid) none.store(part_list(keys, row + line, top.k), top.k);
        if (threadIdx.x % WARP == 0) {
            selection.least[line] = valid ? -INFINITY : INFINITY;
            selection.open[line] = 0;
        }
    }
    const unsigned tiles = (b.count + Tile::COLS - 1) / Tile::COLS;
    const unsigned end = min(tiles, (blockIdx.y + 1) * top.step);
    for (unsigned tile = blockIdx.y * top.step; tile < end; tile++) {
        const unsigned column = tile * Tile::COLS;
        float scores[Tile::VALUES / 4][4];
        Tile::score(scores, a, row, b, column, shared);
        // The column of the tile's first row itself, which may be before 0: differences say how far.
        const unsigned own = row + top.origin.row - top.origin.column;
        const bool self = top.exclude_self && (own - column < Tile::COLS || column - own < Tile::ROWS);
        if (self || column + Tile::COLS > b.count) drop_scores<Tile>(scores, own, column, b.count, self);
        if (open_rows<Tile>(scores, selection)) {
            take_scores<Tile>(scores, selection, row, top.origin.column + column, keys, top.k);
        }
    }
}

#define TOP_K(NAME, T, TILE)                                                              \
    extern "C" __global__ void __launch_bounds__(SIMILARITY_THREADS, SIMILARITY_RESIDENT) \
        NAME(Rows<T> a, Rows<T> b, Key* keys, TopK top) {                                 \
        top_k_part<TILE<T>>(a, b, keys, top);                                             \
    }
TOP_K(top_k_f32, f32, PlainTile)
TOP_K(top_k_few_f32, f32, FewRowsTile)
TOP_K(top_k_f16, f16, MatrixTile)
TOP_K(top_k_bf16, bf16, MatrixTile)
TOP_K(top_k_int8, int8_t, PlainTile)
TOP_K(top_k_few_int8, int8_t, FewRowsTile)
TOP_K(top_k_bits, uint8_t, PlainTile)
TOP_K(top_k_few_bits, uint8_t, FewRowsTile)

extern "C" __global__ void __launch_bounds__(SIMILARITY_THREADS)
    merge_best(const Key* keys, Key* out, unsigned rows, unsigned parts, unsigned k) {
    const unsigned row = blockIdx.x * SIMILARITY_WARPS + threadIdx.x / WARP, lane = threadIdx.x % WARP;
    if (row >= rows) return;
    const size_t candidates = size_t(parts) * k;
    const Key* from = keys + row * candidates;
    BestKeys best;
    best.clear(k);
    for (size_t first = 0; first < candidates; first += WARP) {
        best.offer(first + lane < candidates ? from[first + lane] : 0);
    }
    best.store(out + size_t(row) * k, k);
}

struct Threshold {
    float least;
    unsigned pick;
    unsigned long long capacity;
    Origin origin;
};

// The tile of this block: groups of eight rows of tiles go through `b` together, so that it comes
// from memory once a group.
__device__ __forceinline__ uint2 grouped_tile(unsigned rows, unsigned columns) {
    constexpr unsigned GROUP = 8;
    const unsigned first = blockIdx.x / (GROUP * columns) * GROUP, within = blockIdx.x % (GROUP * columns);
    const unsigned height = min(GROUP, rows - first);
    return make_uint2(first + within % height, within / height);
}

__device__ __forceinline__ bool is_picked(unsigned i, unsigned j, unsigned pick) {
    return pick == PICK_ALL || (pick == PICK_OTHERS ? i != j : i < j);
}

// Writes a thread's values, those whose bits are set in `kept`; one atomic addition a warp.
template <class Tile>
__device__ __forceinline__ void append_pairs(const float (&scores)[Tile::VALUES / 4][4], unsigned long long kept, unsigned row,
                                             unsigned column, const Threshold& threshold, unsigned long long* count,
                                             unsigned* pairs) {
    const unsigned lane = threadIdx.x % WARP, own = __popcll(kept);
    unsigned before = own;
#pragma unroll
    for (unsigned distance = 1; distance < WARP; distance *= 2) {
        const unsigned earlier = __shfl_up_sync(ALL_LANES, before, distance);
        if (lane >= distance) before += earlier;
    }
    unsigned long long at = 0;
    if (lane == WARP - 1) at = atomicAdd(count, (unsigned long long)before);
    at = __shfl_sync(ALL_LANES, at, WARP - 1) + (before - own);
#pragma unroll
    for (unsigned i = 0; i < Tile::VALUES; i++) {
        if (!(kept >> i & 1)) continue;
        if (at < threshold.capacity) {
            pairs[3 * at] = threshold.origin.row + row + Tile::row(Tile::own_row(i));
            pairs[3 * at + 1] = threshold.origin.column + column + Tile::column(i);
            pairs[3 * at + 2] = __float_as_uint(scores[i / 4][i % 4]);
        }
        at++;
    }
}

template <class Tile, class T = typename Tile::Value>
__device__ __forceinline__ void threshold_tile(const Rows<T>& a, const Rows<T>& b, const Threshold& threshold,
                                               unsigned long long* count, unsigned* pairs) {
    extern __shared__ __align__(16) unsigned char shared[];
    const uint2 tile = grouped_tile((a.count + Tile::ROWS - 1) / Tile::ROWS, (b.count + Tile::COLS - 1) / Tile::COLS);
    const unsigned row = tile.x * Tile::ROWS, column = tile.y * Tile::COLS;
    const unsigned own = threshold.origin.row + row, index = threshold.origin.column + column;
    if (threshold.pick == PICK_LATER && index <= own && own - index >= Tile::COLS - 1) return;
    float scores[Tile::VALUES / 4][4];
    Tile::score(scores, a, row, b, column, shared);
    unsigned long long kept = 0;
#pragma unroll
    for (unsigned i = 0; i < Tile::VALUES; i++) {
        const unsigned at = Tile::row(Tile::own_row(i)), other = Tile::column(i);
        const bool valid = row + at < a.count && column + other < b.count && is_picked(own + at, index + other, threshold.pick);
        kept |= (unsigned long long)(valid && scores[i / 4][i % 4] >= threshold.least) << i;
    }
    if (__any_sync(ALL_LANES, kept != 0)) append_pairs<Tile>(scores, kept, row, column, threshold, count, pairs);
}

#define THRESHOLD(NAME, T, TILE)                                                                           \
    extern "C" __global__ void __launch_bounds__(SIMILARITY_THREADS, SIMILARITY_RESIDENT)                  \
        threshold_##NAME(Rows<T> a, Rows<T> b, Threshold threshold, unsigned long long* count, unsigned* pairs) { \
        threshold_tile<TILE<T>>(a, b, threshold, count, pairs);                                            \
    }
THRESHOLD(f32, f32, PlainTile)
THRESHOLD(f16, f16, MatrixTile)
THRESHOLD(bf16, bf16, MatrixTile)
THRESHOLD(int8, int8_t, PlainTile)
THRESHOLD(bits, uint8_t, PlainTile)

// Writes N neighbours, those before `end` alone: by one store where that is all of them and `to` is
// `aligned` to them.
template <unsigned N>
__device__ __forceinline__ void store_run(float* to, const float (&x)[N], unsigned end, bool aligned) {
    if (N > 1 && aligned && end >= N) {
        if constexpr (N == 4) *reinterpret_cast<float4*>(to) = make_float4(x[0], x[1], x[2], x[3]);
        if constexpr (N == 2) *reinterpret_cast<float2*>(to) = make_float2(x[0], x[1]);
        return;
    }
#pragma unroll
    for (unsigned i = 0; i < N; i++) {
        if (i < end) to[i] = x[i];
    }
}

// Writes a tile's scores, and their transpose where there is a `mirror`.
template <class Tile>
__device__ __forceinline__ void write_scores(const float (&scores)[Tile::VALUES / 4][4], unsigned row, unsigned column,
                                             unsigned rows, unsigned columns, float* out, float* mirror) {
    constexpr unsigned RUN = Tile::RUN, DOWN = Tile::RUN_DOWN;
#pragma unroll
    for (unsigned i = 0; i < Tile::VALUES; i += RUN) {
        const unsigned at = row + Tile::row(Tile::own_row(i)), other = column + Tile::column(i);
        if (at >= rows || other >= columns) continue;
        float x[RUN];
#pragma unroll
        for (unsigned c = 0; c < RUN; c++) x[c] = scores[(i + c) / 4][(i + c) % 4];
        store_run(out + size_t(at) * columns + other, x, columns - other, columns % RUN == 0);
    }
    if (!mirror) return;
#pragma unroll
    for (unsigned i = 0; i < Tile::VALUES; i++) {
        if (Tile::own_row(i) % DOWN) continue;
        const unsigned at = row + Tile::row(Tile::own_row(i)), other = column + Tile::column(i);
        if (at >= rows || other >= columns) continue;
        float x[DOWN];
#pragma unroll
        for (unsigned r = 0; r < DOWN; r++) {
            const unsigned value = i + r * Tile::DOWN_STEP;
            x[r] = scores[value / 4][value % 4];
        }
        store_run(mirror + size_t(other) * rows + at, x, rows - at, rows % DOWN == 0);
    }
}

template <class Tile, class T = typename Tile::Value>
__device__ __forceinline__ void pairwise_tile(const Rows<T>& a, const Rows<T>& b, float* out, float* mirror) {
    extern __shared__ __align__(16) unsigned char shared[];
    const uint2 tile = grouped_tile((a.count + Tile::ROWS - 1) / Tile::ROWS, (b.count + Tile::COLS - 1) / Tile::COLS);
    const unsigned row = tile.x * Tile::ROWS, column = tile.y * Tile::COLS;
    // A tile below the diagonal comes from above it; one that crosses it writes the same bits twice.
    if (mirror == out && column + Tile::COLS <= row) return;
    float scores[Tile::VALUES / 4][4];
    Tile::score(scores, a, row, b, column, shared);
    write_scores<Tile>(scores, row, column, a.count, b.count, out, mirror);
}

// The scores' way to the host takes longer than they do: one block a multiprocessor is enough.
#define PAIRWISE(NAME, T, TILE)                                               \
    extern "C" __global__ void __launch_bounds__(SIMILARITY_THREADS, 1)       \
        pairwise_##NAME(Rows<T> a, Rows<T> b, float* scores, float* mirror) { \
        pairwise_tile<TILE<T>>(a, b, scores, mirror);                         \
    }
PAIRWISE(f32, f32, PlainTile)
PAIRWISE(f16, f16, MatrixTile)
PAIRWISE(bf16, bf16, MatrixTile)
PAIRWISE(int8, int8_t, PlainTile)
PAIRWISE(bits, uint8_t, PlainTile)
