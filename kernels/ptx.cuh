// Every instruction that CUDA C++ has no name for, each with its twin for the host, and what is made
// of them where a device lacks one. Nothing else in kernels/ holds inline PTX.
#pragma once
#include "values.cuh"

#ifdef CHUNKFLOW_HOST
#include "host_tensor.h"
#else

// d += a b on matrix units: a [16, 16] row-major, b [16, 8] column-major, in the fragment layout of
// PTX's mma.m16n8k16; sums in f32. From compute capability 8.0 on.
template <class T>
__device__ __forceinline__ void ptx_mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);

template <>
__device__ __forceinline__ void ptx_mma_m16n8k16<f16>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

template <>
__device__ __forceinline__ void ptx_mma_m16n8k16<bf16>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// The same in f16 of a [16, 8] and b [8, 8], which 7.5 has too.
__device__ __forceinline__ void ptx_mma_m16n8k8(float (&d)[4], const uint32_t (&a)[2], const uint32_t (&b)[1]) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(b[0]));
}

__device__ __forceinline__ void ptx_ldmatrix_x4(uint32_t (&r)[4], const void* row) {
    const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

__device__ __forceinline__ void ptx_ldmatrix_x4_trans(uint32_t (&r)[4], const void* row) {
    const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

// Asynchronous copies, from 8.0 on.
__device__ __forceinline__ void ptx_cp_async_16(void* to, const void* from, bool valid) {
    const uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(to));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(valid ? 16 : 0)
                 : "memory");
}

__device__ __forceinline__ void ptx_cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

template <int GROUPS>
__device__ __forceinline__ void ptx_cp_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(GROUPS) : "memory");
}
#endif

// What follows is one text for devices and for the host.

// d += a b on matrix units, as ptx_mma_m16n8k16. 7.5 has half of it at a time, in f16 alone.
template <class T>
__device__ __forceinline__ void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);

template <>
__device__ __forceinline__ void mma_m16n8k16<f16>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if __CUDA_ARCH__ >= 800
    ptx_mma_m16n8k16<f16>(d, a, b);
#else
#pragma unroll
    for (int half = 0; half < 2; half++) ptx_mma_m16n8k8(d, {a[2 * half], a[2 * half + 1]}, {b[half]});
#endif
}

template <>
__device__ __forceinline__ void mma_m16n8k16<bf16>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if __CUDA_ARCH__ >= 800
    ptx_mma_m16n8k16<bf16>(d, a, b);
#else
    __trap();  // The host never asks this device for bf16.
#endif
}

// Four 8 x 8 matrices of 16-bit values from shared memory; a lane gives the address of one row of
// 16 bytes, lanes 8 i..8 i + 7 those of matrix i.
__device__ __forceinline__ void load_matrices(uint32_t (&r)[4], const void* row) { ptx_ldmatrix_x4(r, row); }

__device__ __forceinline__ void load_matrices_transposed(uint32_t (&r)[4], const void* row) { ptx_ldmatrix_x4_trans(r, row); }

// 16 bytes from global to shared memory, zeros where not `valid`, past the registers where the
// device can; there once a wait of this thread says so.
__device__ __forceinline__ void copy_chunk(void* to, const void* from, bool valid) {
#if __CUDA_ARCH__ >= 800
    ptx_cp_async_16(to, from, valid);
#else
    *static_cast<uint4*>(to) = valid ? *static_cast<const uint4*>(from) : make_uint4(0, 0, 0, 0);
#endif
}

// Copies since the last commit become a group.
__device__ __forceinline__ void commit_copies() {
#if __CUDA_ARCH__ >= 800
    ptx_cp_async_commit();
#endif
}

// Waits until at most GROUPS of this thread's groups are under way.
template <int GROUPS>
__device__ __forceinline__ void wait_copies() {
#if __CUDA_ARCH__ >= 800
    ptx_cp_async_wait<GROUPS>();
#endif
}
