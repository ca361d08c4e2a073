// CUDA C++ for a C++17 compiler of the host: qualifiers, vector types, the variables that a kernel
// finds itself by, and barriers. The rest of the language is in host_math.h and host_warp.h.
// `__CUDA_ARCH__` is what the build says: each kernel is compiled for every value that it asks for.
#pragma once
#include <climits>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <type_traits>

// The build lists a source's kernels by what the preprocessor leaves of these two.
#ifdef CHUNKFLOW_HOST_LIST
#define __global__ CHUNKFLOW_HOST_KERNEL
#define __launch_bounds__(...) CHUNKFLOW_HOST_BOUNDS(__VA_ARGS__)
#else
#define __global__
#define __launch_bounds__(...)
#endif
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline
#define __restrict__ __restrict
#define __grid_constant__
#define __align__(bytes) __attribute__((aligned(bytes)))

// --- Vector types. Their alignment makes the compiler use instructions that fault where a device
// would report a misaligned address.

#define HOST_VECTOR(NAME, T)                                                                       \
    struct NAME##1 { T x; };                                                                       \
    struct alignas(2 * sizeof(T)) NAME##2 { T x, y; };                                             \
    struct NAME##3 { T x, y, z; };                                                                 \
    struct alignas(4 * sizeof(T) > 16 ? 16 : 4 * sizeof(T)) NAME##4 { T x, y, z, w; };             \
    inline NAME##1 make_##NAME##1(T x) { return {x}; }                                             \
    inline NAME##2 make_##NAME##2(T x, T y) { return {x, y}; }                                     \
    inline NAME##3 make_##NAME##3(T x, T y, T z) { return {x, y, z}; }                             \
    inline NAME##4 make_##NAME##4(T x, T y, T z, T w) { return {x, y, z, w}; }

HOST_VECTOR(char, signed char)
HOST_VECTOR(uchar, unsigned char)
HOST_VECTOR(short, short)
HOST_VECTOR(ushort, unsigned short)
HOST_VECTOR(int, int)
HOST_VECTOR(uint, unsigned)
HOST_VECTOR(longlong, long long)
HOST_VECTOR(ulonglong, unsigned long long)
HOST_VECTOR(float, float)
HOST_VECTOR(double, double)
#undef HOST_VECTOR

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

// --- The thread that runs now, and its block: one at a time in the whole process.

namespace host {

struct Thread {
    uint3 index;
    unsigned lane;
    unsigned warp;
};

struct Block {
    uint3 index;
    dim3 size;
    dim3 grid;
    // Dynamic shared memory.
    unsigned char* shared;
    unsigned shared_bytes;
};

extern Thread* thread;
extern Block block;

// What all threads of a block said at a barrier.
struct Votes {
    unsigned threads;
    unsigned yes;
};
Votes synchronise_block(bool vote);

// Runs once, in the last lane that comes: the lanes' operands, null where `lanes` lacks a bit.
using WarpOperation = void (*)(void* const* operands, unsigned lanes);

// Waits until all living lanes of `mask` are here with the same operation and it has run. The
// operands lie on the lanes' own stacks: nothing is copied.
void meet(unsigned mask, void* operand, WarpOperation operation);

unsigned living_lanes();

// Ends the launch, as a device does: what the other threads still had to do is left undone.
[[noreturn]] void trap();

// Ends the process, naming kernel, block and thread: for what a device leaves undefined.
[[noreturn]] __attribute__((format(printf, 1, 2))) void fault(const char* format, ...);

}  // namespace host

#define threadIdx (::host::thread->index)
#define blockIdx (::host::block.index)
#define blockDim (::host::block.size)
#define gridDim (::host::block.grid)
constexpr int warpSize = 32;

inline void __syncthreads() { host::synchronise_block(false); }
inline int __syncthreads_or(int vote) { return host::synchronise_block(vote != 0).yes != 0; }
inline int __syncthreads_count(int vote) { return int(host::synchronise_block(vote != 0).yes); }
inline int __syncthreads_and(int vote) {
    const host::Votes votes = host::synchronise_block(vote != 0);
    return votes.yes == votes.threads;
}

// One operating system thread runs all threads of a device: memory is always in order.
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}

[[noreturn]] inline void __trap() { host::trap(); }

#include "host_math.h"
#include "host_warp.h"
