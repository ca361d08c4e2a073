// Operations of a warp. A lane leaves its operand where the others find it, and the last one to
// come does the work for all.
#pragma once

namespace host {

template <class T>
struct Shuffle {
    T value;
    int source;
    T result;
};

// A lane that asks for one that is not there gets 0xff everywhere, which is NaN in every format.
template <class T>
void shuffle_lanes(void* const* operands, unsigned lanes) {
    for (int lane = 0; lane < 32; lane++) {
        if (!(lanes >> lane & 1)) continue;
        auto* own = static_cast<Shuffle<T>*>(operands[lane]);
        const bool there = lanes >> own->source & 1;
        if (there) own->result = static_cast<const Shuffle<T>*>(operands[own->source])->value;
        else std::memset(static_cast<void*>(&own->result), 0xff, sizeof(T));
    }
}

template <class T>
inline T shuffle(unsigned mask, T value, int source) {
    static_assert(sizeof(T) <= 8, "a shuffle is of at most 8 bytes");
    Shuffle<T> operand;
    operand.value = value;
    operand.source = source;
    meet(mask, &operand, shuffle_lanes<T>);
    return operand.result;
}

struct Ballot {
    bool vote;
    unsigned votes;
};
inline void count_ballots(void* const* operands, unsigned lanes) {
    unsigned votes = 0;
    for (int lane = 0; lane < 32; lane++) {
        if (lanes >> lane & 1) votes |= unsigned(static_cast<Ballot*>(operands[lane])->vote) << lane;
    }
    for (int lane = 0; lane < 32; lane++) {
        if (lanes >> lane & 1) static_cast<Ballot*>(operands[lane])->votes = votes;
    }
}

inline void do_nothing(void* const*, unsigned) {}

struct Add { template <class T> T operator()(T a, T b) const { return a + b; } };
struct Max { template <class T> T operator()(T a, T b) const { return a < b ? b : a; } };
struct Min { template <class T> T operator()(T a, T b) const { return b < a ? b : a; } };
struct Or { template <class T> T operator()(T a, T b) const { return a | b; } };
struct And { template <class T> T operator()(T a, T b) const { return a & b; } };
struct Xor { template <class T> T operator()(T a, T b) const { return a ^ b; } };

template <class T, class Combine>
void reduce_lanes(void* const* operands, unsigned lanes) {
    const int first = __builtin_ctz(lanes);
    T total = *static_cast<T*>(operands[first]);
    for (int lane = first + 1; lane < 32; lane++) {
        if (lanes >> lane & 1) total = Combine()(total, *static_cast<T*>(operands[lane]));
    }
    for (int lane = first; lane < 32; lane++) {
        if (lanes >> lane & 1) *static_cast<T*>(operands[lane]) = total;
    }
}

template <class Combine, class T>
inline T reduce(unsigned mask, T value) {
    meet(mask, &value, reduce_lanes<T, Combine>);
    return value;
}

}  // namespace host

template <class T>
inline T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
    const int group = int(host::thread->lane) & ~(width - 1);
    return host::shuffle(mask, value, group | (source & (width - 1)));
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {
    const int lane = int(host::thread->lane), source = lane ^ bits;
    return host::shuffle(mask, value, source < (lane & ~(width - 1)) + width ? source : lane);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32) {
    const int lane = int(host::thread->lane), place = lane & (width - 1);
    return host::shuffle(mask, value, place + int(distance) < width ? lane + int(distance) : lane);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32) {
    const int lane = int(host::thread->lane), place = lane & (width - 1);
    return host::shuffle(mask, value, place >= int(distance) ? lane - int(distance) : lane);
}

inline unsigned __ballot_sync(unsigned mask, int vote) {
    host::Ballot operand = {vote != 0, 0};
    host::meet(mask, &operand, host::count_ballots);
    return operand.votes;
}
inline int __any_sync(unsigned mask, int vote) { return __ballot_sync(mask, vote) != 0; }
inline int __all_sync(unsigned mask, int vote) { return __ballot_sync(mask, !vote) == 0; }
inline unsigned __activemask() { return host::living_lanes(); }
inline void __syncwarp(unsigned mask = 0xffffffffu) { host::meet(mask, nullptr, host::do_nothing); }

inline unsigned __reduce_add_sync(unsigned mask, unsigned x) { return host::reduce<host::Add>(mask, x); }
inline int __reduce_add_sync(unsigned mask, int x) { return host::reduce<host::Add>(mask, x); }
inline unsigned __reduce_max_sync(unsigned mask, unsigned x) { return host::reduce<host::Max>(mask, x); }
inline int __reduce_max_sync(unsigned mask, int x) { return host::reduce<host::Max>(mask, x); }
inline unsigned __reduce_min_sync(unsigned mask, unsigned x) { return host::reduce<host::Min>(mask, x); }
inline int __reduce_min_sync(unsigned mask, int x) { return host::reduce<host::Min>(mask, x); }
inline unsigned __reduce_or_sync(unsigned mask, unsigned x) { return host::reduce<host::Or>(mask, x); }
inline unsigned __reduce_and_sync(unsigned mask, unsigned x) { return host::reduce<host::And>(mask, x); }
inline unsigned __reduce_xor_sync(unsigned mask, unsigned x) { return host::reduce<host::Xor>(mask, x); }
