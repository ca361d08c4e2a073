// Weighted sums of runs of rows:  out[r] = (sum over i of first[r]..end[r] of weight[i] * rows[i]) / divisor[r]
//
// rows: [n, cols] f32; runs: [runs] of (first, end, bits of the divisor); weights: [n]
// out: [runs, cols] f32
//
// A product and a sum each are rounded, one row after the other: the bits are a processor's.
// Grid: (runs, (cols + 255) / 256) blocks of 256 threads, a thread a column.
//
// @kernel sum_runs load=4 store=4 unit=value bytes=4 flops=2
#include "values.cuh"

struct Run {
    unsigned first;
    unsigned end;
    float divisor;
};

extern "C" __global__ void __launch_bounds__(256)
    sum_runs(const float* rows, const Run* runs, const float* weights, float* out, unsigned cols) {
    const unsigned col = blockIdx.y * blockDim.x + threadIdx.x;
    if (col >= cols) return;
    const Run run = runs[blockIdx.x];
    float sum = 0.f;
    for (unsigned at = run.first; at < run.end; at++) {
        // A product that no compiler joins with the addition.
        sum += __fmul_rn(rows[size_t(at) * cols + col], weights[at]);
    }
    out[size_t(blockIdx.x) * cols + col] = sum / run.divisor;
}
