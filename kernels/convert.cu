// Values of one dtype as another, rounded to nearest even:  out[i] = x[i]
//
// x, out: [n]; n past the last 16 bytes is read by value
// Grid: a thread 8 values, in a loop over the grid.
//
// @kernel convert_{f32_f16,f32_bf16,f16_f32,bf16_f32} load=16 store=16 unit=value bytes=6 flops=0
#include "values.cuh"

template <class From, class To>
__device__ __forceinline__ void convert(const From* x, To* out, size_t n) {
    constexpr unsigned VALUES = 8;
    const size_t step = size_t(gridDim.x) * blockDim.x * VALUES;
    for (size_t first = (size_t(blockIdx.x) * blockDim.x + threadIdx.x) * VALUES; first < n; first += step) {
        const unsigned left = unsigned(min(size_t(VALUES), n - first));
        float values[VALUES], part[CHUNK<From>], rounded[CHUNK<To>];
#pragma unroll
        for (unsigned at = 0; at < VALUES; at += CHUNK<From>) {
            load_chunk(x + first, at, left, left == VALUES, part);
#pragma unroll
            for (unsigned i = 0; i < CHUNK<From>; i++) values[at + i] = part[i];
        }
#pragma unroll
        for (unsigned at = 0; at < VALUES; at += CHUNK<To>) {
#pragma unroll
            for (unsigned i = 0; i < CHUNK<To>; i++) rounded[i] = values[at + i];
            store_chunk(out + first, at, left, left == VALUES, rounded);
        }
    }
}

#define CONVERT(FROM, TO)                                                                                        \
    extern "C" __global__ void __launch_bounds__(256) convert_##FROM##_##TO(const FROM* x, TO* out, size_t n) {  \
        convert<FROM, TO>(x, out, n);                                                                            \
    }
CONVERT(f32, f16)
CONVERT(f32, bf16)
CONVERT(f16, f32)
CONVERT(bf16, f32)
