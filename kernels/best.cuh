// The best scores of a row, kept sorted by one warp.
//
// A score and its index are one key: of two keys the larger is the better, by score and then by
// smaller index. 0 is no score.
#pragma once
#include "values.cuh"

typedef unsigned long long Key;

constexpr unsigned KEYS_OF_LANE = 4;
constexpr unsigned MAX_BEST = KEYS_OF_LANE * WARP;

// NaN gives no key; -0 counts as 0.
__device__ __forceinline__ Key score_key(float score, unsigned index) {
    if (isnan(score)) return 0;
    const unsigned bits = __float_as_uint(score + 0.f);
    const unsigned order = bits >> 31 ? ~bits : bits | 0x80000000u;
    return Key(order) << 32 | (0xffffffffu - index);
}

// The score of a key, minus infinity for none.
__device__ __forceinline__ float key_score(Key key) {
    const unsigned order = unsigned(key >> 32);
    return key ? __uint_as_float(order >> 31 ? order & 0x7fffffffu : ~order) : -INFINITY;
}

// Keys from the largest down, four a lane in order. Fewer than all stand at the end, below keys
// that nothing beats. Every call is by a whole warp.
struct BestKeys {
    Key keys[KEYS_OF_LANE];

    // Which of `count` keys key i of this lane is; negative for none.
    static __device__ __forceinline__ int place(unsigned i, unsigned count) {
        return int(threadIdx.x % WARP * KEYS_OF_LANE + i + count) - int(MAX_BEST);
    }

    __device__ __forceinline__ void clear(unsigned count) {
#pragma unroll
        for (unsigned i = 0; i < KEYS_OF_LANE; i++) keys[i] = place(i, count) < 0 ? ~Key(0) : 0;
    }

    // A lane reads what it wrote itself.
    __device__ __forceinline__ void load(const Key* from, unsigned count) {
#pragma unroll
        for (unsigned i = 0; i < KEYS_OF_LANE; i++) keys[i] = place(i, count) < 0 ? ~Key(0) : from[place(i, count)];
    }

    __device__ __forceinline__ void store(Key* to, unsigned count) const {
#pragma unroll
        for (unsigned i = 0; i < KEYS_OF_LANE; i++) {
            if (place(i, count) >= 0) to[place(i, count)] = keys[i];
        }
    }

    // The least key, in every lane.
    __device__ __forceinline__ Key floor() const { return __shfl_sync(ALL_LANES, keys[KEYS_OF_LANE - 1], WARP - 1); }

    __device__ __forceinline__ void insert(Key key) {
        Key before = __shfl_up_sync(ALL_LANES, keys[KEYS_OF_LANE - 1], 1);
        if (threadIdx.x % WARP == 0) before = ~Key(0);
#pragma unroll
        for (unsigned i = 0; i < KEYS_OF_LANE; i++) {
            const Key own = keys[i];
            if (own <= key) keys[i] = before <= key ? before : key;
            before = own;
        }
    }

    // Takes in what is better than the floor of one key a lane.
    __device__ __forceinline__ void offer(Key key) {
        Key least = floor();
        for (unsigned better = __ballot_sync(ALL_LANES, key > least); better; better &= better - 1) {
            const Key next = __shfl_sync(ALL_LANES, key, __ffs(better) - 1);
            if (next <= least) continue;
            insert(next);
            least = floor();
        }
    }
};
