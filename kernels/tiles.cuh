// Tiles of a b^T for rows `a` and `b`, held in registers: slices of columns pass by in shared
// memory, the next on its way while one is multiplied. A sum runs over the columns in order, so its
// bits depend on its two rows alone.
//
// A tile says where its threads' sums belong: value i of a thread is in its own row `own_row(i)`,
// which is row `row(own_row(i))` of the tile, and in column `column(i)`.
#pragma once
#include "ptx.cuh"

// [count, cols]
template <class T>
struct Rows {
    const T* data;
    unsigned count;
    unsigned cols;
};

// Products in f32 by ACROSS times DOWN threads, each R rows and C columns by groups of four.
template <class T, unsigned R, unsigned C, unsigned ACROSS, unsigned DOWN, unsigned SLICE>
struct FmaTile {
    typedef T Value;
    static constexpr unsigned ROWS = R * DOWN, COLS = C * ACROSS, THREADS = ACROSS * DOWN;
    static constexpr unsigned VALUES = R * C, OWN_ROWS = R;
    // Columns of a slice lie apart, the rows of `a` and then those of `b` side by side.
    static constexpr unsigned STRIDE = ROWS + COLS + 4;
    static constexpr unsigned BYTES = 2 * SLICE * STRIDE * sizeof(float);
    static constexpr unsigned CHUNKS = SLICE / CHUNK<T>;

    static __device__ __forceinline__ unsigned own_row(unsigned i) { return i / C; }
    static __device__ __forceinline__ unsigned row(unsigned own) {
        return own / 4 * (4 * DOWN) + threadIdx.x / ACROSS * 4 + own % 4;
    }
    static __device__ __forceinline__ unsigned column(unsigned i) {
        return i % C / 4 * (4 * ACROSS) + threadIdx.x % ACROSS * 4 + i % 4;
    }

    // Columns `first..first + SLICE` of rows `row..row + COUNT`, zeros where there are none.
    template <unsigned COUNT>
    struct Part {
        static constexpr unsigned LOADS = (COUNT * CHUNKS + THREADS - 1) / THREADS;
        float values[LOADS][CHUNK<T>];

        static __device__ __forceinline__ bool exists(unsigned load) {
            return COUNT * CHUNKS % THREADS == 0 || threadIdx.x + load * THREADS < COUNT * CHUNKS;
        }

        __device__ __forceinline__ void fetch(const Rows<T>& x, unsigned row, unsigned first, bool whole) {
#pragma unroll
            for (unsigned load = 0; load < LOADS; load++) {
                const unsigned i = threadIdx.x + load * THREADS;
                const unsigned at = row + i / CHUNKS, column = first + i % CHUNKS * CHUNK<T>;
#pragma unroll
                for (unsigned c = 0; c < CHUNK<T>; c++) values[load][c] = 0.f;
                if (!exists(load) || at >= x.count || column >= x.cols) continue;
                load_chunk(x.data + size_t(at) * x.cols, column, x.cols, whole, values[load]);
            }
        }

        __device__ __forceinline__ void put(float* slice) const {
#pragma unroll
            for (unsigned load = 0; load < LOADS; load++) {
                const unsigned i = threadIdx.x + load * THREADS;
                if (!exists(load)) continue;
#pragma unroll
                for (unsigned c = 0; c < CHUNK<T>; c++) slice[(i % CHUNKS * CHUNK<T> + c) * STRIDE + i / CHUNKS] = values[load][c];
            }
        }
    };

    static __device__ __forceinline__ void multiply(float (&sums)[VALUES / 4][4], const float* slice) {
#pragma unroll
        for (unsigned k = 0; k < SLICE; k++) {
            __align__(16) float x[R];
            __align__(16) float y[C];
#pragma unroll
            for (unsigned r = 0; r < R; r += 4) {
                *reinterpret_cast<float4*>(&x[r]) = *reinterpret_cast<const float4*>(slice + k * STRIDE + row(r));
            }
#pragma unroll
            for (unsigned c = 0; c < C; c += 4) {
                *reinterpret_cast<float4*>(&y[c]) = *reinterpret_cast<const float4*>(slice + k * STRIDE + ROWS + column(c));
            }
#pragma unroll
            for (unsigned i = 0; i < VALUES; i++) sums[i / 4][i % 4] = fmaf(x[i / C], y[i % C], sums[i / 4][i % 4]);
        }
    }

    // The products of rows `row..` of `a` and `column..` of `b`. Threads must meet at a barrier
    // before shared memory is used again.
    static __device__ __forceinline__ void products(float (&sums)[VALUES / 4][4], const Rows<T>& a, unsigned row,
                                                    const Rows<T>& b, unsigned column, unsigned char* shared) {
        float* slice = reinterpret_cast<float*>(shared);
        float* other = slice + SLICE * STRIDE;
        const bool whole = has_whole_chunks<T>(a.cols);
        Part<ROWS> left;
        Part<COLS> right;
        left.fetch(a, row, 0, whole);
        right.fetch(b, column, 0, whole);
        for (unsigned first = 0; first < a.cols; first += SLICE) {
            left.put(slice);
            right.put(slice + ROWS);
            __syncthreads();
            left.fetch(a, row, first + SLICE, whole);
            right.fetch(b, column, first + SLICE, whole);
            multiply(sums, slice);
            // The next goes where the last but one was, which all have read at the barrier.
            float* read = slice;
            slice = other;
            other = read;
        }
    }
};

// Products of f16 or bf16 on matrix units with sums in f32: two by four warps of [64, 32].
template <class T>
struct MatrixTile {
    typedef T Value;
    static constexpr unsigned ROWS = 128, COLS = 128, THREADS = 256;
    static constexpr unsigned VALUES = 64, OWN_ROWS = 8;
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

    // As FmaTile's.
    static __device__ __forceinline__ void products(float (&sums)[VALUES / 4][4], const Rows<T>& a, unsigned row,
                                                    const Rows<T>& b, unsigned column, unsigned char* shared) {
        T* slice = reinterpret_cast<T*>(shared);
        T* other = slice + (ROWS + COLS) * STRIDE;
        const bool whole = has_whole_chunks<T>(a.cols);
        fetch(slice, a, row, b, column, 0, whole);
        for (unsigned first = 0; first < a.cols; first += SLICE) {
            fetch(other, a, row, b, column, first + SLICE, whole);
            wait_copies<1>();
            __syncthreads();
            multiply(sums, slice);
            // All have read the slice, which takes the next but one.
            __syncthreads();
            T* read = slice;
            slice = other;
            other = read;
        }
        wait_copies<0>();
    }
};
