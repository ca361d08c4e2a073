// Matrix products, loads of matrices and asynchronous copies, each for a whole warp at once.
#include "include/host_tensor.h"

#include <immintrin.h>

#include "memory.h"
#include "scheduler.h"

namespace host {

namespace {

constexpr int ROWS = 16;

template <Format FORMAT>
__m256 widen(__m128i values) {
    if constexpr (FORMAT == Format::F16) return _mm256_cvtph_ps(values);
    else return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(values), 16));
}

void require_whole_warp(unsigned lanes) {
    if (lanes != 0xffffffffu) fault("an operation of the whole warp by lanes %08x alone", lanes);
}

// Words 0..3 of each of the four vectors become vectors 0..3.
void transpose(__m128i (&v)[4]) {
    const __m128i low01 = _mm_unpacklo_epi32(v[0], v[1]), high01 = _mm_unpackhi_epi32(v[0], v[1]);
    const __m128i low23 = _mm_unpacklo_epi32(v[2], v[3]), high23 = _mm_unpackhi_epi32(v[2], v[3]);
    v[0] = _mm_unpacklo_epi64(low01, low23);
    v[1] = _mm_unpackhi_epi64(low01, low23);
    v[2] = _mm_unpacklo_epi64(high01, high23);
    v[3] = _mm_unpackhi_epi64(high01, high23);
}

// The same for eight vectors of eight 16-bit values.
void transpose(__m128i (&v)[8]) {
    __m128i pairs[8];
    for (int i = 0; i < 4; i++) {
        pairs[2 * i] = _mm_unpacklo_epi16(v[i], v[i + 4]);
        pairs[2 * i + 1] = _mm_unpackhi_epi16(v[i], v[i + 4]);
    }
    __m128i fours[8];
    for (int i = 0; i < 4; i++) {
        fours[2 * i] = _mm_unpacklo_epi16(pairs[i], pairs[i + 4]);
        fours[2 * i + 1] = _mm_unpackhi_epi16(pairs[i], pairs[i + 4]);
    }
    for (int i = 0; i < 4; i++) {
        v[2 * i] = _mm_unpacklo_epi16(fours[i], fours[i + 4]);
        v[2 * i + 1] = _mm_unpackhi_epi16(fours[i], fours[i + 4]);
    }
}

// The first WORDS words of a lane's registers.
template <int WORDS>
__m128i load_words(const uint32_t* from) {
    if constexpr (WORDS == 4) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    if constexpr (WORDS == 2) return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
    return _mm_cvtsi32_si128(int(*from));
}

// `a` of the warp: lane 4 g + t holds columns 2 t and 2 t + 1 of rows g and g + 8, for each 8 of
// the depth. What four lanes hold in the same register is half a row.
template <Format FORMAT, int DEPTH>
void gather_left(float (&a)[ROWS][DEPTH], void* const* operands) {
    for (int g = 0; g < 8; g++) {
        __m128i words[4];
        for (int t = 0; t < 4; t++) words[t] = load_words<DEPTH / 4>(static_cast<const Product*>(operands[4 * g + t])->a);
        transpose(words);
        for (int part = 0; part < DEPTH / 8; part++) {
            _mm256_storeu_ps(&a[g][8 * part], widen<FORMAT>(words[2 * part]));
            _mm256_storeu_ps(&a[g + 8][8 * part], widen<FORMAT>(words[2 * part + 1]));
        }
    }
}

// `b` of the warp: lane 4 g + t holds rows 2 t and 2 t + 1 of column g, for each 8 of the depth.
template <Format FORMAT, int DEPTH>
void gather_right(__m256 (&b)[DEPTH], void* const* operands) {
    __m128i columns[DEPTH / 8][8];
    for (int g = 0; g < 8; g++) {
        __m128i words[4];
        for (int t = 0; t < 4; t++) words[t] = load_words<DEPTH / 8>(static_cast<const Product*>(operands[4 * g + t])->b);
        transpose(words);
        for (int part = 0; part < DEPTH / 8; part++) columns[part][g] = words[part];
    }
    for (int part = 0; part < DEPTH / 8; part++) {
        transpose(columns[part]);
        for (int k = 0; k < 8; k++) b[8 * part + k] = widen<FORMAT>(columns[part][k]);
    }
}

// `d` of the warp: lane 4 g + t holds columns 2 t and 2 t + 1 of rows g and g + 8.
void gather_sums(__m256 (&d)[ROWS], void* const* operands) {
    for (int g = 0; g < 8; g++) {
        __m128 own[4];
        for (int t = 0; t < 4; t++) own[t] = _mm_loadu_ps(static_cast<const Product*>(operands[4 * g + t])->d);
        d[g] = _mm256_set_m128(_mm_movelh_ps(own[2], own[3]), _mm_movelh_ps(own[0], own[1]));
        d[g + 8] = _mm256_set_m128(_mm_movehl_ps(own[3], own[2]), _mm_movehl_ps(own[1], own[0]));
    }
}

void scatter_sums(const __m256 (&d)[ROWS], void* const* operands) {
    for (int g = 0; g < 8; g++) {
        for (int half = 0; half < 2; half++) {
            const __m128 top = half ? _mm256_extractf128_ps(d[g], 1) : _mm256_castps256_ps128(d[g]);
            const __m128 bottom = half ? _mm256_extractf128_ps(d[g + 8], 1) : _mm256_castps256_ps128(d[g + 8]);
            void* const* lanes = operands + 4 * g + 2 * half;
            _mm_storeu_ps(static_cast<const Product*>(lanes[0])->d, _mm_movelh_ps(top, bottom));
            _mm_storeu_ps(static_cast<const Product*>(lanes[1])->d, _mm_movehl_ps(bottom, top));
        }
    }
}

}  // namespace

template <Format FORMAT, int DEPTH>
void multiply(void* const* operands, unsigned lanes) {
    require_whole_warp(lanes);
    alignas(32) float a[ROWS][DEPTH];
    __m256 b[DEPTH], d[ROWS];
    gather_left<FORMAT, DEPTH>(a, operands);
    gather_right<FORMAT, DEPTH>(b, operands);
    gather_sums(d, operands);
    // Eight rows at once hide the latency of a sum; each keeps its order.
    for (int row = 0; row < ROWS; row += 8) {
        for (int k = 0; k < DEPTH; k++) {
            for (int i = 0; i < 8; i++) d[row + i] = _mm256_fmadd_ps(_mm256_broadcast_ss(&a[row + i][k]), b[k], d[row + i]);
        }
    }
    scatter_sums(d, operands);
}

template void multiply<Format::F16, 16>(void* const*, unsigned);
template void multiply<Format::BF16, 16>(void* const*, unsigned);
template void multiply<Format::F16, 8>(void* const*, unsigned);

namespace {

// `bytes` of shared memory at `address`, which must be all of the block's and aligned.
void check_shared(const void* address, const char* operation) {
    const auto* at = static_cast<const unsigned char*>(address);
    if (reinterpret_cast<uintptr_t>(at) % 16) fault("%s at shared address %td, no multiple of 16", operation, at - block.shared);
    if (at < block.shared || at + 16 > block.shared + block.shared_bytes) {
        fault("%s at offset %td of %u bytes of shared memory", operation, at - block.shared, block.shared_bytes);
    }
}

void gather_matrices(uint16_t (&values)[4][8][8], void* const* operands, unsigned lanes) {
    require_whole_warp(lanes);
    for (int lane = 0; lane < 32; lane++) {
        const void* row = static_cast<const Matrices*>(operands[lane])->row;
        check_shared(row, "ldmatrix");
        memcpy(values[lane / 8][lane % 8], row, 16);
    }
}

}  // namespace

void load_matrices(void* const* operands, unsigned lanes) {
    uint16_t values[4][8][8];
    gather_matrices(values, operands, lanes);
    for (int lane = 0; lane < 32; lane++) {
        uint32_t* own = static_cast<const Matrices*>(operands[lane])->registers;
        for (int i = 0; i < 4; i++) memcpy(&own[i], &values[i][lane / 4][lane % 4 * 2], 4);
    }
}

void load_matrices_transposed(void* const* operands, unsigned lanes) {
    uint16_t values[4][8][8];
    gather_matrices(values, operands, lanes);
    for (int lane = 0; lane < 32; lane++) {
        uint32_t* own = static_cast<const Matrices*>(operands[lane])->registers;
        for (int i = 0; i < 4; i++) {
            const uint32_t low = values[i][lane % 4 * 2][lane / 4], high = values[i][lane % 4 * 2 + 1][lane / 4];
            own[i] = low | high << 16;
        }
    }
}

void AsyncCopy::happen() const {
    if (valid) memcpy(to, from, 16);
    else memset(to, 0, 16);
}

void AsyncCopies::clear() {
    copies.clear();
    group_ends.clear();
    first_group = done = 0;
}

}  // namespace host

void ptx_cp_async_16(void* shared, const void* global, bool valid) {
    using namespace host;
    check_shared(shared, "cp.async");
    if (reinterpret_cast<uintptr_t>(global) % 16) fault("cp.async from global address %p, no multiple of 16", global);
    if (valid && !is_device_memory(global, 16)) fault("cp.async from global address %p, outside of any allocation", global);
    const AsyncCopy copy = {shared, global, valid};
    if (is_copied_early()) copy.happen();
    else copies_of_thread().copies.push_back(copy);
}

void ptx_cp_async_commit() {
    host::AsyncCopies& own = host::copies_of_thread();
    own.group_ends.push_back(own.copies.size());
}

void host_cp_async_wait(int groups_left) {
    host::AsyncCopies& own = host::copies_of_thread();
    for (; own.group_ends.size() - own.first_group > size_t(groups_left); own.first_group++) {
        for (; own.done < own.group_ends[own.first_group]; own.done++) {
            own.copies[own.done].happen();
        }
    }
    if (own.first_group == own.group_ends.size() && own.done == own.copies.size()) own.clear();
}
