// From a band of similarities, band[i, d] = <e_i, e_(i+d)>, to cuts between units:
//   block_steps     steps[a, l - 1] = W(a, a + l) - W(a, a + l - 1), W the sum over all ordered pairs
//                   of units a..a + l; without diagonal, over pairs of two units
//   block_sums      sums[a, l - 1] = W(a, a + l), in place of the steps; 0 where a + l > rows
//   boundary_curve  out[g] = cosine of the sums of up to `window` units on either side of gap g
//   segment_dp      costs[b] = min over a of costs[a] + cost of a segment a..b, starts[b] = that a
//
// band, steps, sums: [rows, width] f32
// tokens: [rows + 1] u32, tokens of all units before; bonuses: [rows] f32 or null
// documents: [documents] of (first unit, end, place of costs[first], 0) u32
// curve: [rows] f32, written at first + 1..end of each document: gap g lies before unit g
// costs: f64, starts: u32, end - first + 1 of a document
//
// Sums grow by additions alone, in the order of chunking::segment on the host. Of equal costs the
// smallest start wins.
// block_steps, block_sums: grid rows / 32 blocks of 256 threads, shared 32 * 33 f32.
// boundary_curve: grid (documents, any), 256 threads. segment_dp: grid documents, 256 threads,
// shared 12 * (width + 1) bytes.
//
// @kernel block_steps load=4 store=4 unit=value bytes=8 flops=2
// @kernel block_sums load=4 store=4 unit=value bytes=8 flops=1
// @kernel boundary_curve load=4 store=4 unit=gap bytes=16 flops=6
// @kernel segment_dp load=4 store=8 unit=segment bytes=4 flops=9
#include "values.cuh"

constexpr unsigned BOUNDARY_THREADS = 256;
constexpr unsigned BOUNDARY_WARPS = BOUNDARY_THREADS / WARP;
constexpr unsigned TILE_STRIDE = WARP + 1;

// Copies band[i, d] with d in `first..first + 32` and i + d in `last..last + 32` between global
// memory and a tile [i + d - last, d - first]; a warp a row of the band.
template <bool READ>
__device__ __forceinline__ void copy_diagonals(float* tile, float* band, unsigned last, unsigned first, unsigned rows,
                                               unsigned width) {
    const unsigned lane = threadIdx.x % WARP, d = first + lane;
    for (unsigned line = threadIdx.x / WARP; line < 2 * WARP - 1; line += BOUNDARY_WARPS) {
        const unsigned at = line + lane - (WARP - 1), unit = last + at;
        if (line + lane < WARP - 1 || at >= WARP || unit >= rows || d >= width || d > unit) continue;
        float* value = band + size_t(unit - d) * width + d;
        float* held = tile + at * TILE_STRIDE + lane;
        if (READ) *held = *value;
        else *value = *held;
    }
}

extern "C" __global__ void __launch_bounds__(BOUNDARY_THREADS)
    block_steps(float* band, float* steps, unsigned rows, unsigned width, unsigned diagonal) {
    extern __shared__ __align__(16) unsigned char shared[];
    float* tile = reinterpret_cast<float*>(shared);
    const unsigned last = blockIdx.x * WARP;
    // Of unit `last + thread`: similarities with all from some unit on, and with itself.
    float column = 0.f, own = 0.f;
    for (unsigned first = 0; first < width; first += WARP) {
        copy_diagonals<true>(tile, band, last, first, rows, width);
        __syncthreads();
        const unsigned unit = last + threadIdx.x;
        for (unsigned d = 0; threadIdx.x < WARP && d < WARP; d++) {
            if (unit >= rows || first + d >= width || first + d > unit) break;
            float* value = tile + threadIdx.x * TILE_STRIDE + d;
            const bool itself = first + d == 0;
            if (itself && diagonal) own = *value;
            if (!itself || diagonal) column += *value;
            *value = 2.f * column - own;
        }
        __syncthreads();
        // A thread copies the same places of the tile each time: no barrier before the next.
        copy_diagonals<false>(tile, steps, last, first, rows, width);
    }
}

extern "C" __global__ void __launch_bounds__(BOUNDARY_THREADS) block_sums(float* sums, unsigned rows, unsigned width) {
    extern __shared__ __align__(16) unsigned char shared[];
    float* tile = reinterpret_cast<float*>(shared);
    const unsigned base = blockIdx.x * WARP, lane = threadIdx.x % WARP;
    float sum = 0.f;
    for (unsigned first = 0; first < width; first += WARP) {
        const unsigned units = first + lane;
        for (unsigned line = threadIdx.x / WARP; line < WARP; line += BOUNDARY_WARPS) {
            const unsigned row = base + line;
            const bool there = units < width && row < rows && units < rows - row;
            tile[line * TILE_STRIDE + lane] = there ? sums[size_t(row) * width + units] : 0.f;
        }
        __syncthreads();
        for (unsigned d = 0; threadIdx.x < WARP && d < WARP; d++) {
            const unsigned row = base + threadIdx.x;
            if (row >= rows || first + d >= rows - row) break;
            float* value = tile + threadIdx.x * TILE_STRIDE + d;
            *value = sum += *value;
        }
        __syncthreads();
        // As above, no barrier before the next.
        for (unsigned line = threadIdx.x / WARP; line < WARP; line += BOUNDARY_WARPS) {
            const unsigned row = base + line;
            if (units < width && row < rows) sums[size_t(row) * width + units] = tile[line * TILE_STRIDE + lane];
        }
    }
}

// The cosine of the sums of `before` units before and `after` from gap `gap`, 0 where one is zero.
__device__ __forceinline__ float gap_cosine(const float* band, const float* sums, size_t gap, unsigned before, unsigned after,
                                            unsigned width) {
    const float* left_row = sums + (gap - before) * width;
    const float left = left_row[before - 1], right = sums[gap * width + after - 1];
    // One neighbour's similarity is in the band without a difference of sums.
    const bool neighbours = before + after == 2;
    const float cross = neighbours ? band[(gap - 1) * width + 1] : (left_row[before + after - 1] - left - right) / 2.f;
    const float norm = sqrtf(fmaxf(left * right, 0.f));
    return norm > 0.f ? fminf(fmaxf(cross / norm, -1.f), 1.f) : 0.f;
}

extern "C" __global__ void __launch_bounds__(BOUNDARY_THREADS)
    boundary_curve(const float* band, const float* sums, const uint4* documents, float* out, unsigned width, unsigned window) {
    const uint4 document = documents[blockIdx.x];
    const unsigned step = gridDim.y * blockDim.x;
    for (unsigned gap = document.x + 1 + blockIdx.y * blockDim.x + threadIdx.x; gap < document.y; gap += step) {
        const unsigned before = min(window, gap - document.x), after = min(window, document.y - gap);
        out[gap] = gap_cosine(band, sums, gap, before, after, width);
    }
}

enum Objective { OBJECTIVE_KCPD = 0, OBJECTIVE_CVS = 1, OBJECTIVE_CLUSTER = 2 };

struct SegmentRule {
    // Of every cut.
    double penalty;
    // Subtracted from every similarity, of OBJECTIVE_CLUSTER.
    double mean;
    double size_weight;
    double target_tokens;
    // Of a segment below min_tokens.
    double short_cost;
    unsigned objective;
    // On top of a segment's own tokens.
    unsigned special_tokens;
    unsigned min_tokens;
    unsigned max_tokens;
    unsigned width;
    unsigned unused;
};

// `before` plus the cost of a segment of `units` whose similarities sum to `sum`, in the order of
// the host's additions.
__device__ __forceinline__ double segment_cost(double before, float sum, unsigned units, unsigned tokens, const SegmentRule& rule) {
    double cost = before;
    switch (rule.objective) {
        case OBJECTIVE_KCPD: cost = cost + units - double(sum) / units; break;
        case OBJECTIVE_CVS: cost = cost + units - double(sqrtf(fmaxf(sum, 0.f))); break;
        default: cost = cost + fma(rule.mean, double(units) * (units - 1), 0.) - double(sum); break;
    }
    if (rule.size_weight != 0.) {
        const double deviation = double(tokens + rule.special_tokens) / rule.target_tokens - 1.;
        // A product that no compiler joins with the addition.
        cost += fma(rule.size_weight * deviation, deviation, 0.);
    }
    if (tokens + rule.special_tokens < rule.min_tokens) cost += rule.short_cost;
    return cost;
}

// A cost and a start for each of the next `width` ends, in a ring.
struct Ends {
    static constexpr unsigned NONE = 0xffffffffu;
    double* costs;
    unsigned* starts;
    unsigned size;
};

// Offers a segment from `start`, whose own cost is `before`, to the end in `slot`.
__device__ __forceinline__ void offer_segment(const Ends& ends, unsigned slot, bool fresh, bool allowed, double cost,
                                              unsigned start) {
    const unsigned known = fresh ? Ends::NONE : ends.starts[slot];
    if (allowed && (known == Ends::NONE || cost < ends.costs[slot])) {
        ends.costs[slot] = cost;
        ends.starts[slot] = start;
    } else if (fresh) {
        ends.starts[slot] = Ends::NONE;
    }
}

// A round a start, in order: its cost is final, and it offers a segment to every end within reach.
extern "C" __global__ void __launch_bounds__(BOUNDARY_THREADS)
    segment_dp(const float* sums, const unsigned* tokens, const float* bonuses, const uint4* documents, SegmentRule rule,
               double* costs, unsigned* starts) {
    extern __shared__ __align__(16) unsigned char shared[];
    const unsigned size = rule.width + 1;
    const Ends ends = {reinterpret_cast<double*>(shared), reinterpret_cast<unsigned*>(shared + size * sizeof(double)), size};
    const uint4 document = documents[blockIdx.x];
    costs += document.z;
    starts += document.z;
    if (threadIdx.x == 0) {
        ends.costs[0] = 0.;
        ends.starts[0] = document.x;
    }
    __syncthreads();
    unsigned own = 0;
    for (unsigned a = document.x; a <= document.y; a++) {
        const bool inner = a > document.x;
        double before = ends.costs[own];
        if (threadIdx.x == 0) {
            costs[a - document.x] = before;
            starts[a - document.x] = ends.starts[own];
        }
        if (inner && a < document.y) before = before + rule.penalty - (bonuses ? double(bonuses[a]) : 0.);
        const unsigned reach = min(rule.width, document.y - a);
        for (unsigned units = threadIdx.x + 1; units <= reach; units += blockDim.x) {
            const unsigned slot = own + units < size ? own + units : own + units - size;
            const unsigned length = tokens[a + units] - tokens[a];
            const bool allowed = units == 1 || length + rule.special_tokens <= rule.max_tokens;
            const float sum = sums[size_t(a) * rule.width + units - 1];
            const double cost = allowed ? segment_cost(before, sum, units, length, rule) : 0.;
            offer_segment(ends, slot, !inner || units == rule.width, allowed, cost, a);
        }
        __syncthreads();
        own = own + 1 < size ? own + 1 : 0;
    }
}
