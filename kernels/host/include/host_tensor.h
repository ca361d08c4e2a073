// The host's twins of the instructions of ptx.cuh, under its names: products on matrix units, loads
// of matrices from shared memory, asynchronous copies. Fragments are laid out as PTX says.
#pragma once
#include "host_half.h"

namespace host {

enum class Format { F16, BF16 };
template <class T>
constexpr Format FORMAT = std::is_same<T, __half>::value ? Format::F16 : Format::BF16;

// d += a b by the whole warp: `d` 4 values, `a` 2 words and `b` one for each 8 of `depth`.
struct Product {
    float* d;
    const uint32_t* a;
    const uint32_t* b;
};
template <Format FORMAT, int DEPTH>
void multiply(void* const* operands, unsigned lanes);
extern template void multiply<Format::F16, 16>(void* const*, unsigned);
extern template void multiply<Format::BF16, 16>(void* const*, unsigned);
extern template void multiply<Format::F16, 8>(void* const*, unsigned);

struct Matrices {
    uint32_t* registers;
    const void* row;
};
void load_matrices(void* const* operands, unsigned lanes);
void load_matrices_transposed(void* const* operands, unsigned lanes);

}  // namespace host

template <class T>
inline void ptx_mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    host::Product operand = {d, a, b};
    host::meet(0xffffffffu, &operand, host::multiply<host::FORMAT<T>, 16>);
}
inline void ptx_mma_m16n8k8(float (&d)[4], const uint32_t (&a)[2], const uint32_t (&b)[1]) {
    host::Product operand = {d, a, b};
    host::meet(0xffffffffu, &operand, host::multiply<host::Format::F16, 8>);
}

// Four matrices of 8 rows of 16 bytes: lanes 8 i..8 i + 7 give the rows of matrix i.
inline void ptx_ldmatrix_x4(uint32_t (&r)[4], const void* row) {
    host::Matrices operand = {r, row};
    host::meet(0xffffffffu, &operand, host::load_matrices);
}
inline void ptx_ldmatrix_x4_trans(uint32_t (&r)[4], const void* row) {
    host::Matrices operand = {r, row};
    host::meet(0xffffffffu, &operand, host::load_matrices_transposed);
}

// Copies of 16 bytes that are there after the wait; zeros where not `valid`. They happen at the
// wait and not before, but for some in a random order of threads.
void ptx_cp_async_16(void* shared, const void* global, bool valid);
void ptx_cp_async_commit();
void host_cp_async_wait(int groups_left);
template <int GROUPS>
inline void ptx_cp_async_wait() { host_cp_async_wait(GROUPS); }
