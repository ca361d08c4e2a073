// Arithmetic that CUDA C++ has names for: conversions of bits, fast forms (here as exact as the
// others), minima, bits, cached loads and atomics.
#pragma once

namespace host {
template <class To, class From>
inline To as_bits(From value) {
    static_assert(sizeof(To) == sizeof(From), "as many bits");
    To result;
    std::memcpy(&result, &value, sizeof result);
    return result;
}
}  // namespace host

using std::isfinite;
using std::isinf;
using std::isnan;
using std::signbit;

inline int __float_as_int(float x) { return host::as_bits<int>(x); }
inline unsigned __float_as_uint(float x) { return host::as_bits<unsigned>(x); }
inline float __int_as_float(int x) { return host::as_bits<float>(x); }
inline float __uint_as_float(unsigned x) { return host::as_bits<float>(x); }
inline long long __double_as_longlong(double x) { return host::as_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return host::as_bits<double>(x); }

inline float rsqrtf(float x) { return 1.f / sqrtf(x); }
inline double rsqrt(double x) { return 1. / sqrt(x); }
inline float __frsqrt_rn(float x) { return 1.f / sqrtf(x); }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __frcp_rn(float x) { return 1.f / x; }
inline float __fdividef(float x, float y) { return x / y; }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __expf(float x) { return expf(x); }
inline float __exp10f(float x) { return powf(10.f, x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __tanhf(float x) { return tanhf(x); }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline float __saturatef(float x) { return fminf(fmaxf(x, 0.f), 1.f); }
inline float normcdff(float x) { return 0.5f * erfcf(-x * 0.70710678118654752f); }
// The compiler must not contract these with a neighbour.
__attribute__((noinline)) inline float __fmul_rn(float x, float y) { return x * y; }
__attribute__((noinline)) inline float __fadd_rn(float x, float y) { return x + y; }
__attribute__((noinline)) inline float __fsub_rn(float x, float y) { return x - y; }

inline int __float2int_rn(float x) { return int(rintf(x)); }
inline int __float2int_rz(float x) { return int(x); }
inline int __float2int_rd(float x) { return int(floorf(x)); }
inline int __float2int_ru(float x) { return int(ceilf(x)); }
inline float __int2float_rn(int x) { return float(x); }
inline float __uint2float_rn(unsigned x) { return float(x); }

namespace host {
template <class A, class B>
using Common = std::enable_if_t<std::is_arithmetic<A>::value && std::is_arithmetic<B>::value, std::common_type_t<A, B>>;
}

// Like a device's, both give the number where one is NaN.
template <class A, class B>
inline host::Common<A, B> max(A a, B b) {
    using T = host::Common<A, B>;
    if constexpr (std::is_floating_point<T>::value) return std::fmax(T(a), T(b));
    else return T(a) < T(b) ? T(b) : T(a);
}
template <class A, class B>
inline host::Common<A, B> min(A a, B b) {
    using T = host::Common<A, B>;
    if constexpr (std::is_floating_point<T>::value) return std::fmin(T(a), T(b));
    else return T(b) < T(a) ? T(b) : T(a);
}

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline unsigned __brev(unsigned x) {
    unsigned reversed = 0;
    for (int bit = 0; bit < 32; bit++) reversed |= (x >> bit & 1u) << (31 - bit);
    return reversed;
}
inline int __mul24(int x, int y) { return x * y; }
inline unsigned __umulhi(unsigned x, unsigned y) { return unsigned(uint64_t(x) * y >> 32); }
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
    return unsigned((uint64_t(high) << 32 | low) << (shift & 31) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
    return unsigned((uint64_t(high) << 32 | low) >> (shift & 31));
}
// Bytes of y:x, one a nibble of the selector.
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
    const uint64_t bytes = uint64_t(y) << 32 | x;
    unsigned result = 0;
    for (int i = 0; i < 4; i++) result |= unsigned(bytes >> 8 * (selector >> 4 * i & 7) & 0xff) << 8 * i;
    return result;
}
inline int __dp4a(int a, int b, int sum) {
    for (int i = 0; i < 4; i++) sum += int(int8_t(a >> 8 * i)) * int(int8_t(b >> 8 * i));
    return sum;
}

template <class T> inline T __ldg(const T* from) { return *from; }
template <class T> inline T __ldcs(const T* from) { return *from; }
template <class T> inline T __ldcg(const T* from) { return *from; }
template <class T> inline void __stcs(T* to, T value) { *to = value; }
template <class T> inline void __stcg(T* to, T value) { *to = value; }

// Fibers change only at barriers and warp operations: an ordinary access is atomic.
namespace host {
template <class T> struct Plain { using type = T; };
template <class T> using Exactly = typename Plain<T>::type;
template <class T>
inline T exchange(T* at, T value) {
    const T old = *at;
    *at = value;
    return old;
}
}  // namespace host

template <class T> inline T atomicAdd(T* at, host::Exactly<T> x) { return host::exchange(at, T(*at + x)); }
template <class T> inline T atomicSub(T* at, host::Exactly<T> x) { return host::exchange(at, T(*at - x)); }
template <class T> inline T atomicMax(T* at, host::Exactly<T> x) { return host::exchange(at, *at < x ? x : *at); }
template <class T> inline T atomicMin(T* at, host::Exactly<T> x) { return host::exchange(at, x < *at ? x : *at); }
template <class T> inline T atomicExch(T* at, host::Exactly<T> x) { return host::exchange(at, x); }
template <class T> inline T atomicOr(T* at, host::Exactly<T> x) { return host::exchange(at, T(*at | x)); }
template <class T> inline T atomicAnd(T* at, host::Exactly<T> x) { return host::exchange(at, T(*at & x)); }
template <class T> inline T atomicXor(T* at, host::Exactly<T> x) { return host::exchange(at, T(*at ^ x)); }
template <class T> inline T atomicCAS(T* at, host::Exactly<T> expected, host::Exactly<T> x) {
    return host::exchange(at, *at == expected ? x : *at);
}
inline unsigned atomicInc(unsigned* at, unsigned limit) { return host::exchange(at, *at >= limit ? 0u : *at + 1); }
