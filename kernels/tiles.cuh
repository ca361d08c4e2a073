// Tiles of scores of rows `a` and `b`, held in registers: slices of columns pass by in shared
// memory, the next on its way while one is multiplied. A sum runs over the columns in order, so its
// bits depend on its two rows alone.
//
// A tile says where its threads' scores belong: value i of a thread is in its own row `own_row(i)`,
// which is row `row(own_row(i))` of the tile, and in column `column(i)`.
#pragma once
#include "ptx.cuh"

// [count, cols]: f32, f16, bf16; int8_t with a scale a row; bits, eight a uint8_t, the first column
// in the highest, which stand for 1 where they are set and else for -1.
template <class T>
struct Rows {
    const T* data;
    unsigned count;
    unsigned cols;
    const float* scales;
};

// What a tile holds of stored values, how two such words multiply, and what score a sum of them
// is: values of floating point are widened, one a word.
template <class T>
struct Words {
    typedef float Word;
    typedef float4 Four;
    typedef float Sum;
    // Words of a load of 16 bytes.
    static constexpr unsigned LOADED = CHUNK<T>;
    // Products of a sum that the compiler lays out in a row: of integers, more take more registers
    // than there are.
    static constexpr unsigned UNROLLED = 16;

    static __device__ __forceinline__ unsigned count(unsigned cols) { return cols; }
    static __device__ __forceinline__ bool whole(unsigned cols) { return has_whole_chunks<T>(cols); }
    // Words `first..first + LOADED` of a row, 0 past its end.
    static __device__ __forceinline__ void load(const Rows<T>& x, unsigned row, unsigned first, bool whole, Word (&words)[LOADED]) {
        load_chunk(x.data + size_t(row) * x.cols, first, x.cols, whole, words);
    }
    static __device__ __forceinline__ Sum add_product(Word x, Word y, Sum sum) { return fmaf(x, y, sum); }
    static __device__ __forceinline__ float score(Sum sum, const Rows<T>&, unsigned, const Rows<T>&, unsigned) { return sum; }
};

// Words `first..first + 4` of a row of bytes, 0 past its end; `whole` as of load_chunk.
__device__ __forceinline__ void load_bytes(const void* row, unsigned first, unsigned bytes, bool whole, uint32_t (&words)[4]) {
    const uint8_t* from = static_cast<const uint8_t*>(row);
    if (whole) {
        const uint4 loaded = *reinterpret_cast<const uint4*>(from + 4 * first);
        words[0] = loaded.x, words[1] = loaded.y, words[2] = loaded.z, words[3] = loaded.w;
        return;
    }
#pragma unroll
    for (unsigned word = 0; word < 4; word++) {
        words[word] = 0;
        const unsigned at = 4 * (first + word), end = min(bytes, at + 4);
#pragma unroll 1
        for (unsigned i = at; i < end; i++) words[word] |= uint32_t(from[i]) << i % 4 * 8;
    }
}

// Four values a word; sums are exact.
template <>
struct Words<int8_t> {
    typedef uint32_t Word;
    typedef uint4 Four;
    typedef int Sum;
    static constexpr unsigned LOADED = 4, UNROLLED = 2;

    static __device__ __forceinline__ unsigned count(unsigned cols) { return (cols + 3) / 4; }
    static __device__ __forceinline__ bool whole(unsigned cols) { return cols % 16 == 0; }
    static __device__ __forceinline__ void load(const Rows<int8_t>& x, unsigned row, unsigned first, bool whole, Word (&words)[LOADED]) {
        load_bytes(x.data + size_t(row) * x.cols, first, x.cols, whole, words);
    }
    static __device__ __forceinline__ Sum add_product(Word x, Word y, Sum sum) { return __dp4a(int(x), int(y), sum); }
    static __device__ __forceinline__ float scale(const Rows<int8_t>& x, unsigned row) { return row < x.count ? x.scales[row] : 0.f; }
    static __device__ __forceinline__ float score(Sum sum, const Rows<int8_t>& a, unsigned row, const Rows<int8_t>& b, unsigned column) {
        return float(sum) * (scale(a, row) * scale(b, column));
    }
};

// 32 values a word; a sum is of those that differ.
template <>
struct Words<uint8_t> {
    typedef uint32_t Word;
    typedef uint4 Four;
    typedef int Sum;
    static constexpr unsigned LOADED = 4, UNROLLED = 2;

    static __device__ __forceinline__ unsigned bytes(unsigned cols) { return (cols + 7) / 8; }
    static __device__ __forceinline__ unsigned count(unsigned cols) { return (cols + 31) / 32; }
    static __device__ __forceinline__ bool whole(unsigned cols) { return bytes(cols) % 16 == 0; }
    static __device__ __forceinline__ void load(const Rows<uint8_t>& x, unsigned row, unsigned first, bool whole, Word (&words)[LOADED]) {
        load_bytes(x.data + size_t(row) * bytes(x.cols), first, bytes(x.cols), whole, words);
#pragma unroll
        for (unsigned word = 0; word < LOADED; word++) {
            // Bits past the last column may be anything. The first column is the highest of the first byte.
            const unsigned valid = x.cols - min(x.cols, (first + word) * 32);
            if (valid > 0 && valid < 32) words[word] &= __byte_perm(~0u << (32 - valid), 0, 0x0123);
        }
    }
    static __device__ __forceinline__ Sum add_product(Word x, Word y, Sum sum) { return sum + __popc(x ^ y); }
    static __device__ __forceinline__ float score(Sum sum, const Rows<uint8_t>& a, unsigned, const Rows<uint8_t>&, unsigned) {
        return float(int(a.cols) - 2 * sum) / float(a.cols);
    }
};

// Products of words by ACROSS times DOWN threads, each R rows and C columns by groups of four.
template <class T, unsigned R, unsigned C, unsigned ACROSS, unsigned DOWN, unsigned SLICE>
struct WordTile {
    typedef T Value;
    typedef typename Words<T>::Word Word;
    typedef typename Words<T>::Four Four;
    typedef typename Words<T>::Sum Sum;
    static constexpr unsigned ROWS = R * DOWN, COLS = C * ACROSS, THREADS = ACROSS * DOWN;
    static constexpr unsigned VALUES = R * C, OWN_ROWS = R;
    // Values i..i + RUN are neighbours in a row, and every C-th of RUN_DOWN rows in a column.
    static constexpr unsigned RUN = 4, RUN_DOWN = 4, DOWN_STEP = C;
    // Words of a slice lie apart, the rows of `a` and then those of `b` side by side.
    static constexpr unsigned STRIDE = ROWS + COLS + 4;
    static constexpr unsigned BYTES = 2 * SLICE * STRIDE * sizeof(Word);
    static constexpr unsigned LOADED = Words<T>::LOADED, CHUNKS = SLICE / LOADED;

    static __device__ __forceinline__ unsigned own_row(unsigned i) { return i / C; }
    static __device__ __forceinline__ unsigned row(unsigned own) {
        return own / 4 * (4 * DOWN) + threadIdx.x / ACROSS * 4 + own % 4;
    }
    static __device__ __forceinline__ unsigned column(unsigned i) {
        return i % C / 4 * (4 * ACROSS) + threadIdx.x % ACROSS * 4 + i % 4;
    }

    // Words `first..first + SLICE` of rows `row..row + COUNT`, zeros where there are none.
    template <unsigned COUNT>
    struct Part {
        static constexpr unsigned LOADS = (COUNT * CHUNKS + THREADS - 1) / THREADS;
        Word words[LOADS][LOADED];

        static __device__ __forceinline__ bool exists(unsigned load) {
            return COUNT * CHUNKS % THREADS == 0 || threadIdx.x + load * THREADS < COUNT * CHUNKS;
        }

        __device__ __forceinline__ void fetch(const Rows<T>& x, unsigned row, unsigned first, bool whole) {
#pragma unroll
            for (unsigned load = 0; load < LOADS; load++) {
                const unsigned i = threadIdx.x + load * THREADS;
                const unsigned at = row + i / CHUNKS, word = first + i % CHUNKS * LOADED;
#pragma unroll
                for (unsigned w = 0; w < LOADED; w++) words[load][w] = 0;
                if (!exists(load) || at >= x.count || word >= Words<T>::count(x.cols)) continue;
                Words<T>::load(x, at, word, whole, words[load]);
            }
        }

        __device__ __forceinline__ void put(Word* slice) const {
#pragma unroll
            for (unsigned load = 0; load < LOADS; load++) {
                const unsigned i = threadIdx.x + load * THREADS;
                if (!exists(load)) continue;
#pragma unroll
                for (unsigned w = 0; w < LOADED; w++) slice[(i % CHUNKS * LOADED + w) * STRIDE + i / CHUNKS] = words[load][w];
            }
        }
    };

    static __device__ __forceinline__ void multiply(Sum (&sums)[VALUES / 4][4], const Word* slice) {
#pragma unroll(Words<T>::UNROLLED)
        for (unsigned k = 0; k < SLICE; k++) {
            __align__(16) Word x[R];
            __align__(16) Word y[C];
#pragma unroll
            for (unsigned r = 0; r < R; r += 4) {
                *reinterpret_cast<Four*>(&x[r]) = *reinterpret_cast<const Four*>(slice + k * STRIDE + row(r));
            }
#pragma unroll
            for (unsigned c = 0; c < C; c += 4) {
                *reinterpret_cast<Four*>(&y[c]) = *reinterpret_cast<const Four*>(slice + k * STRIDE + ROWS + column(c));
            }
#pragma unroll
            for (unsigned i = 0; i < VALUES; i++) {
                sums[i / 4][i % 4] = Words<T>::add_product(x[i / C], y[i % C], sums[i / 4][i % 4]);
            }
        }
    }

    // The scores of rows `row..` of `a` and `column..` of `b`. Threads must meet at a barrier before
    // shared memory is used again.
    static __device__ __forceinline__ void score(float (&scores)[VALUES / 4][4], const Rows<T>& a, unsigned row,
                                                 const Rows<T>& b, unsigned column, unsigned char* shared) {
        Word* slice = reinterpret_cast<Word*>(shared);
        Word* other = slice + SLICE * STRIDE;
        const bool whole = Words<T>::whole(a.cols);
        Sum sums[VALUES / 4][4] = {};
        Part<ROWS> left;
        Part<COLS> right;
        left.fetch(a, row, 0, whole);
        right.fetch(b, column, 0, whole);
        for (unsigned first = 0; first < Words<T>::count(a.cols); first += SLICE) {
            left.put(slice);
            right.put(slice + ROWS);
            __syncthreads();
            left.fetch(a, row, first + SLICE, whole);
            right.fetch(b, column, first + SLICE, whole);
            multiply(sums, slice);
            // The next goes where the last but one was, which all have read at the barrier.
            Word* read = slice;
            slice = other;
            other = read;
        }
#pragma unroll
        for (unsigned i = 0; i < VALUES; i++) {
            const unsigned at = row + WordTile::row(own_row(i)), other_at = column + WordTile::column(i);
            scores[i / 4][i % 4] = Words<T>::score(sums[i / 4][i % 4], a, at, b, other_at);
        }
    }
};

// Products of f16 or bf16 on matrix units with sums in f32: two by four warps of [64, 32].
template <class T>
struct MatrixTile {
    typedef T Value;
    static constexpr unsigned ROWS = 128, COLS = 128, THREADS = 256;
    static constexpr unsigned VALUES = 64, OWN_ROWS = 8;
    static constexpr unsigned RUN = 2, RUN_DOWN = 1, DOWN_STEP = 0;
    static constexpr unsigned SLICE = 32;
    // An odd number of 16-byte chunks: eight rows stand in all banks once.
    static constexpr unsigned STRIDE = SLICE + 8;
    static constexpr unsigned BYTES = 2 * (ROWS + COLS) * STRIDE * sizeof(T);

    static __device__ __forceinline__ unsigned own_row(unsigned i) { return i / 16 * 2 + i % 4 / 2; }
    static __device__ __forceinline__ unsigned row(unsigned own) {
        return threadIdx.x / 128 * 64 + own * 8 + threadIdx.x % WARP / 4;
    }
    static __device__ __forceinline__ unsigned column(unsigned i) {
        return threadIdx.x / WARP % 4 * 32 + i / 4 % 4 * 8 + threadIdx.x % 4 * 2 + i % 2;
    }

    // Starts to bring columns `first..first + SLICE`, zeros where there are none.
    static __device__ __forceinline__ void fetch(T* slice, const Rows<T>& a, unsigned row, const Rows<T>& b, unsigned column,
                                                 unsigned first, bool whole) {
        constexpr unsigned CHUNKS = SLICE / 8;
#pragma unroll 1
        for (unsigned i = threadIdx.x; i < (ROWS + COLS) * CHUNKS; i += THREADS) {
            const unsigned line = i / CHUNKS, at = first + i % CHUNKS * 8;
            const bool left = line < ROWS;
            const unsigned index = left ? row + line : column + (line - ROWS);
            const bool valid = index < (left ? a.count : b.count) && at < a.cols;
            const T* data = left ? a.data : b.data;
            const T* from = valid ? data + size_t(index) * a.cols + at : data;
            T* to = slice + line * STRIDE + i % CHUNKS * 8;
            if (whole) {
                copy_chunk(to, from, valid);
            } else {
#pragma unroll 1
                for (unsigned c = 0; c < 8; c++) to[c] = valid && at + c < a.cols ? from[c] : narrow<T>(0.f);
            }
        }
        commit_copies();
    }

    static __device__ __forceinline__ void multiply(float (&sums)[VALUES / 4][4], const T* slice) {
        const unsigned warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
        const T* left = slice + (warp / 4 * 64 + lane % 16) * STRIDE + lane / 16 * 8;
        const T* right = slice + (ROWS + warp % 4 * 32 + lane % 8 + lane / 16 * 8) * STRIDE + lane / 8 % 2 * 8;
#pragma unroll
        for (unsigned k = 0; k < SLICE; k += 16) {
            uint32_t b[2][4];
#pragma unroll
            for (unsigned n = 0; n < 2; n++) load_matrices(b[n], right + n * 16 * STRIDE + k);
#pragma unroll
            for (unsigned m = 0; m < 4; m++) {
                uint32_t x[4];
                load_matrices(x, left + m * 16 * STRIDE + k);
#pragma unroll
                for (unsigned n = 0; n < 4; n++) {
                    mma_m16n8k16<T>(sums[m * 4 + n], x, {b[n / 2][n % 2 * 2], b[n / 2][n % 2 * 2 + 1]});
                }
            }
        }
    }

    // As WordTile's.
    static __device__ __forceinline__ void score(float (&scores)[VALUES / 4][4], const Rows<T>& a, unsigned row,
                                                 const Rows<T>& b, unsigned column, unsigned char* shared) {
        T* slice = reinterpret_cast<T*>(shared);
        T* other = slice + (ROWS + COLS) * STRIDE;
        const bool whole = has_whole_chunks<T>(a.cols);
#pragma unroll
        for (unsigned i = 0; i < VALUES; i++) scores[i / 4][i % 4] = 0.f;
        fetch(slice, a, row, b, column, 0, whole);
        for (unsigned first = 0; first < a.cols; first += SLICE) {
            fetch(other, a, row, b, column, first + SLICE, whole);
            wait_copies<1>();
            __syncthreads();
            multiply(scores, slice);
            // All have read the slice, which takes the next but one.
            __syncthreads();
            T* read = slice;
            slice = other;
            other = read;
        }
        wait_copies<0>();
    }
};
