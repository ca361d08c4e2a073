// The arithmetic of a matrix product: sums in f32, each in an order that depends on its length and
// the algorithm alone.
#pragma once
#include <cstddef>
#include <cstdint>

namespace host {

// cudaDataType.
enum class Type : int { F32 = 0, F16 = 2, BF16 = 14 };
inline bool is_known(Type type) { return type == Type::F32 || type == Type::F16 || type == Type::BF16; }
inline size_t bytes_of(Type type) { return type == Type::F32 ? 4 : 2; }

// Column-major, `stride` values from one matrix of a batch to the next.
struct Matrix {
    Type type;
    uint64_t rows;
    uint64_t columns;
    int64_t leading;
    int batch;
    int64_t stride;
    // From the first value to the end of the last, over all the batch.
    size_t bytes() const;
};

// d = alpha op(a) op(b) + beta c + bias, a bias for each row of d.
struct MatrixProduct {
    Matrix a, b, c, d;
    bool transpose_a, transpose_b;
    const void* a_values;
    const void* b_values;
    const void* c_values;
    void* d_values;
    // Null for none.
    const void* bias;
    Type bias_type;
    float alpha, beta;
    uint64_t depth() const { return transpose_a ? a.rows : a.columns; }
};

// Where sums are split, each is that of its depth's two halves.
void multiply(const MatrixProduct& product, bool splits_sums);

}  // namespace host
