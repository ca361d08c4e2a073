#include "product.h"

#include <immintrin.h>

#include <algorithm>
#include <vector>

#include "include/host_half.h"

namespace host {

namespace {

constexpr size_t LANES = 8;
// Sums at once: as many as registers hold.
constexpr size_t TILE_ROWS = 3;
constexpr size_t TILE_COLUMNS = 4;
// Rows of the left operand that stay in the cache while columns pass by.
constexpr size_t PANEL_ROWS = 48;

float value_at(const void* values, size_t index, Type type) {
    if (type == Type::F32) return static_cast<const float*>(values)[index];
    const uint16_t bits = static_cast<const uint16_t*>(values)[index];
    return type == Type::F16 ? half_value(bits) : bfloat_value(bits);
}

void set_value(void* values, size_t index, Type type, float value) {
    if (type == Type::F32) static_cast<float*>(values)[index] = value;
    else static_cast<uint16_t*>(values)[index] = type == Type::F16 ? half_bits(value) : bfloat_bits(value);
}

// Vectors of an operand in f32, each padded by zeros to a multiple of the lanes: these add nothing
// to a sum, and every sum is one of whole registers.
struct Vectors {
    std::vector<float> storage;
    const float* first;
    size_t stride;
};

void widen_vector(float* to, const void* values, size_t start, size_t step, size_t depth, Type type) {
    if (step == 1 && type == Type::F16) {
        const auto* from = static_cast<const uint16_t*>(values) + start;
        size_t k = 0;
        for (; k + LANES <= depth; k += LANES) {
            _mm256_storeu_ps(to + k, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + k))));
        }
        for (; k < depth; k++) to[k] = half_value(from[k]);
    } else if (step == 1 && type == Type::BF16) {
        const auto* from = static_cast<const uint16_t*>(values) + start;
        for (size_t k = 0; k < depth; k++) to[k] = bfloat_value(from[k]);
    } else {
        for (size_t k = 0; k < depth; k++) to[k] = value_at(values, start + k * step, type);
    }
}

// Along the depth: rows of op(a), or columns of op(b).
Vectors widen(const Matrix& matrix, const void* values, size_t offset, size_t count, size_t depth, bool is_contiguous) {
    const size_t leading = size_t(matrix.leading);
    if (is_contiguous && matrix.type == Type::F32 && depth % LANES == 0) {
        return {{}, static_cast<const float*>(values) + offset, leading};
    }
    const size_t stride = (depth + LANES - 1) / LANES * LANES;
    Vectors vectors = {std::vector<float>(count * stride), nullptr, stride};
    for (size_t i = 0; i < count; i++) {
        const size_t start = offset + (is_contiguous ? i * leading : i);
        widen_vector(vectors.storage.data() + i * stride, values, start, is_contiguous ? 1 : leading, depth, matrix.type);
    }
    vectors.first = vectors.storage.data();
    return vectors;
}

float sum_of(__m256 lanes) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps(lanes, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

// sums[i][j] = a_i . b_j over `padded` values; how many there are at once changes none of them.
template <size_t ROWS, size_t COLUMNS>
void dot_products(const float* a, size_t a_stride, const float* b, size_t b_stride, size_t padded, float (&sums)[TILE_ROWS][TILE_COLUMNS]) {
    __m256 lanes[ROWS][COLUMNS];
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t j = 0; j < COLUMNS; j++) lanes[i][j] = _mm256_setzero_ps();
    }
    for (size_t k = 0; k < padded; k += LANES) {
        __m256 left[ROWS];
        for (size_t i = 0; i < ROWS; i++) left[i] = _mm256_loadu_ps(a + i * a_stride + k);
        for (size_t j = 0; j < COLUMNS; j++) {
            const __m256 right = _mm256_loadu_ps(b + j * b_stride + k);
            for (size_t i = 0; i < ROWS; i++) lanes[i][j] = _mm256_fmadd_ps(left[i], right, lanes[i][j]);
        }
    }
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t j = 0; j < COLUMNS; j++) sums[i][j] = sum_of(lanes[i][j]);
    }
}

using Dots = void (*)(const float*, size_t, const float*, size_t, size_t, float (&)[TILE_ROWS][TILE_COLUMNS]);
constexpr Dots DOTS[TILE_ROWS][TILE_COLUMNS] = {
    {dot_products<1, 1>, dot_products<1, 2>, dot_products<1, 3>, dot_products<1, 4>},
    {dot_products<2, 1>, dot_products<2, 2>, dot_products<2, 3>, dot_products<2, 4>},
    {dot_products<3, 1>, dot_products<3, 2>, dot_products<3, 3>, dot_products<3, 4>},
};

void store(const MatrixProduct& p, size_t batch, size_t row, size_t column, float sum) {
    float value = p.alpha * sum;
    if (p.beta != 0.f) {
        const size_t at = batch * size_t(p.c.stride) + column * size_t(p.c.leading) + row;
        value = fmaf(p.beta, value_at(p.c_values, at, p.c.type), value);
    }
    if (p.bias) value += value_at(p.bias, row, p.bias_type);
    set_value(p.d_values, batch * size_t(p.d.stride) + column * size_t(p.d.leading) + row, p.d.type, value);
}

void multiply_one(const MatrixProduct& p, size_t batch, bool splits_sums) {
    const size_t rows = p.d.rows, columns = p.d.columns, depth = p.depth();
    const size_t padded = (depth + LANES - 1) / LANES * LANES;
    const size_t half = splits_sums ? padded / 2 / LANES * LANES : 0;
    const Vectors a = widen(p.a, p.a_values, batch * size_t(p.a.stride), rows, depth, p.transpose_a);
    const Vectors b = widen(p.b, p.b_values, batch * size_t(p.b.stride), columns, depth, !p.transpose_b);
    for (size_t panel = 0; panel < rows; panel += PANEL_ROWS) {
        const size_t end = std::min(rows, panel + PANEL_ROWS);
        for (size_t column = 0; column < columns; column += TILE_COLUMNS) {
            const size_t wide = std::min(TILE_COLUMNS, columns - column);
            for (size_t row = panel; row < end; row += TILE_ROWS) {
                const size_t high = std::min(TILE_ROWS, end - row);
                float sums[TILE_ROWS][TILE_COLUMNS], first[TILE_ROWS][TILE_COLUMNS];
                const Dots dots = DOTS[high - 1][wide - 1];
                const float *left = a.first + row * a.stride, *right = b.first + column * b.stride;
                dots(left + half, a.stride, right + half, b.stride, padded - half, sums);
                if (half) dots(left, a.stride, right, b.stride, half, first);
                for (size_t j = 0; j < wide; j++) {
                    for (size_t i = 0; i < high; i++) {
                        store(p, batch, row + i, column + j, half ? first[i][j] + sums[i][j] : sums[i][j]);
                    }
                }
            }
        }
    }
}

}  // namespace

size_t Matrix::bytes() const {
    if (rows == 0 || columns == 0) return 0;
    const size_t one = (columns - 1) * size_t(leading) + rows;
    return (size_t(batch - 1) * size_t(stride) + one) * bytes_of(type);
}

void multiply(const MatrixProduct& product, bool splits_sums) {
    for (int batch = 0; batch < product.d.batch; batch++) multiply_one(product, size_t(batch), splits_sums);
}

}  // namespace host
