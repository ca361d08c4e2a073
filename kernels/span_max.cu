// The largest value of each column over the rows of a span, NaN where one is, for sparse vectors:
//   out[s, c] = max over rows r of span s of x[r, c]
//
// x: [end - begin, cols] f32, rows begin..end of a batch; a span may reach beyond them, and then
// later or earlier launches see its other rows
// rows: [spans] of (first, end) u32; out: [spans, cols] f32, what a span's first rows begin
//
// Grid: (spans, cols / 1024); a thread takes 4 columns, by 16-byte loads where cols is a multiple.
//
// @kernel span_max load=16 store=16 unit=value bytes=4 flops=1
#include "values.cuh"

extern "C" __global__ void __launch_bounds__(256)
    span_max(const float* x, const uint2* rows, float* out, unsigned begin, unsigned end, unsigned cols) {
    const unsigned first = (blockIdx.y * blockDim.x + threadIdx.x) * 4;
    const uint2 span = rows[blockIdx.x];
    const unsigned from = max(span.x, begin), to = min(span.y, end);
    if (first >= cols || from >= to) return;
    const bool whole = has_whole_chunks<float>(cols);
    float* row = out + size_t(blockIdx.x) * cols;
    float best[4] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
    if (span.x < begin) load_chunk(row, first, cols, whole, best);
    for (unsigned at = from; at < to; at++) {
        float value[4];
        load_chunk(x + size_t(at - begin) * cols, first, cols, whole, value);
#pragma unroll
        for (unsigned i = 0; i < 4; i++) best[i] = best[i] >= value[i] || isnan(best[i]) ? best[i] : value[i];
    }
    store_chunk(row, first, cols, whole, best);
}
