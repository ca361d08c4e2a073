// f16 and bf16: stored as 16 bits, all arithmetic in f32, rounded to nearest even after every
// operation. NaN is the one that a device makes.
#pragma once
#include <immintrin.h>

#include "host_device.h"

namespace host {

inline uint16_t half_bits(float x) { return x != x ? 0x7fff : uint16_t(_cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT)); }
inline float half_value(uint16_t bits) { return _cvtsh_ss(bits); }

inline uint16_t bfloat_bits(float x) {
    if (x != x) return 0x7fff;
    const uint32_t bits = as_bits<uint32_t>(x);
    return uint16_t((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}
inline float bfloat_value(uint16_t bits) { return as_bits<float>(uint32_t(bits) << 16); }

}  // namespace host

#define HOST_HALF(T, TO_BITS, TO_VALUE)                                                            \
    struct T {                                                                                     \
        uint16_t bits;                                                                             \
        T() = default;                                                                             \
        template <class N, class = std::enable_if_t<std::is_arithmetic<N>::value>>                 \
        T(N x) : bits(host::TO_BITS(float(x))) {}                                                  \
        operator float() const { return host::TO_VALUE(bits); }                                    \
        T& operator+=(T x) { return *this = T(float(*this) + float(x)); }                          \
        T& operator-=(T x) { return *this = T(float(*this) - float(x)); }                          \
        T& operator*=(T x) { return *this = T(float(*this) * float(x)); }                          \
        T& operator/=(T x) { return *this = T(float(*this) / float(x)); }                          \
    };                                                                                             \
    struct alignas(4) T##2 { T x, y; };                                                            \
    inline T operator+(T a, T b) { return T(float(a) + float(b)); }                                \
    inline T operator-(T a, T b) { return T(float(a) - float(b)); }                                \
    inline T operator*(T a, T b) { return T(float(a) * float(b)); }                                \
    inline T operator/(T a, T b) { return T(float(a) / float(b)); }                                \
    inline T operator-(T a) { return T(-float(a)); }                                               \
    inline bool operator<(T a, T b) { return float(a) < float(b); }                                \
    inline bool operator>(T a, T b) { return float(a) > float(b); }                                \
    inline bool operator<=(T a, T b) { return float(a) <= float(b); }                              \
    inline bool operator>=(T a, T b) { return float(a) >= float(b); }                              \
    inline bool operator==(T a, T b) { return float(a) == float(b); }                              \
    inline bool operator!=(T a, T b) { return float(a) != float(b); }                              \
    inline T __hadd(T a, T b) { return a + b; }                                                    \
    inline T __hsub(T a, T b) { return a - b; }                                                    \
    inline T __hmul(T a, T b) { return a * b; }                                                    \
    inline T __hdiv(T a, T b) { return a / b; }                                                    \
    inline T __hneg(T a) { return -a; }                                                            \
    inline T __habs(T a) { return T(fabsf(a)); }                                                   \
    inline T __hfma(T a, T b, T c) { return T(fmaf(a, b, c)); }                                    \
    inline T __hmax(T a, T b) { return T(fmaxf(a, b)); }                                           \
    inline T __hmin(T a, T b) { return T(fminf(a, b)); }                                           \
    inline bool __hisnan(T a) { return isnan(float(a)); }                                          \
    inline bool __hlt(T a, T b) { return a < b; }                                                  \
    inline bool __hgt(T a, T b) { return a > b; }                                                  \
    inline T hexp(T a) { return T(expf(a)); }                                                      \
    inline T hlog(T a) { return T(logf(a)); }                                                      \
    inline T hsqrt(T a) { return T(sqrtf(a)); }                                                    \
    inline T hrsqrt(T a) { return T(rsqrtf(a)); }                                                  \
    inline T##2 __hadd2(T##2 a, T##2 b) { return {a.x + b.x, a.y + b.y}; }                         \
    inline T##2 __hsub2(T##2 a, T##2 b) { return {a.x - b.x, a.y - b.y}; }                         \
    inline T##2 __hmul2(T##2 a, T##2 b) { return {a.x * b.x, a.y * b.y}; }                         \
    inline T##2 __hmax2(T##2 a, T##2 b) { return {__hmax(a.x, b.x), __hmax(a.y, b.y)}; }           \
    inline T##2 __hmin2(T##2 a, T##2 b) { return {__hmin(a.x, b.x), __hmin(a.y, b.y)}; }           \
    inline T##2 __hfma2(T##2 a, T##2 b, T##2 c) { return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)}; } \
    inline float __low2float(T##2 a) { return a.x; }                                               \
    inline float __high2float(T##2 a) { return a.y; }

HOST_HALF(__half, half_bits, half_value)
HOST_HALF(__nv_bfloat16, bfloat_bits, bfloat_value)
#undef HOST_HALF

typedef __half half;
typedef __half2 half2;
typedef __nv_bfloat16 nv_bfloat16;
typedef __nv_bfloat162 nv_bfloat162;

inline float __half2float(__half x) { return x; }
inline __half __float2half(float x) { return x; }
inline __half __float2half_rn(float x) { return x; }
inline unsigned short __half_as_ushort(__half x) { return x.bits; }
inline __half __ushort_as_half(unsigned short bits) {
    __half x;
    x.bits = bits;
    return x;
}
inline float2 __half22float2(__half2 x) { return {x.x, x.y}; }
inline __half2 __float22half2_rn(float2 x) { return {x.x, x.y}; }
inline __half2 __floats2half2_rn(float low, float high) { return {low, high}; }
inline __half2 __float2half2_rn(float x) { return {x, x}; }
inline __half2 __halves2half2(__half low, __half high) { return {low, high}; }
inline __half2 __half2half2(__half x) { return {x, x}; }
inline __half __low2half(__half2 x) { return x.x; }
inline __half __high2half(__half2 x) { return x.y; }
inline __half2 make_half2(__half low, __half high) { return {low, high}; }

inline float __bfloat162float(__nv_bfloat16 x) { return x; }
inline __nv_bfloat16 __float2bfloat16(float x) { return x; }
inline __nv_bfloat16 __float2bfloat16_rn(float x) { return x; }
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 x) { return x.bits; }
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits) {
    __nv_bfloat16 x;
    x.bits = bits;
    return x;
}
inline float2 __bfloat1622float2(__nv_bfloat162 x) { return {x.x, x.y}; }
inline __nv_bfloat162 __float22bfloat162_rn(float2 x) { return {x.x, x.y}; }
inline __nv_bfloat162 __floats2bfloat162_rn(float low, float high) { return {low, high}; }
inline __nv_bfloat162 __float2bfloat162_rn(float x) { return {x, x}; }
inline __nv_bfloat162 __halves2bfloat162(__nv_bfloat16 low, __nv_bfloat16 high) { return {low, high}; }
inline __nv_bfloat162 __bfloat162bfloat162(__nv_bfloat16 x) { return {x, x}; }
inline __nv_bfloat16 __low2bfloat16(__nv_bfloat162 x) { return x.x; }
inline __nv_bfloat16 __high2bfloat16(__nv_bfloat162 x) { return x.y; }
inline __nv_bfloat162 make_bfloat162(__nv_bfloat16 low, __nv_bfloat16 high) { return {low, high}; }
