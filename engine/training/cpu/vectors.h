// Eight floats at a time, by clang's vector extensions.
#pragma once
#include <math.h>
#include <stdint.h>

#define INLINE static inline __attribute__((always_inline))

typedef float Float8 __attribute__((ext_vector_type(8)));
typedef float Float8Unaligned __attribute__((ext_vector_type(8), aligned(4)));
typedef float Float4 __attribute__((ext_vector_type(4)));
typedef int32_t Mask8 __attribute__((ext_vector_type(8)));

static const float LANES[8] = {0, 1, 2, 3, 4, 5, 6, 7};

INLINE Float8 load8(const float* p) { return *(const Float8Unaligned*)p; }
INLINE void store8(float* p, Float8 v) { *(Float8Unaligned*)p = v; }
INLINE Float8 select8(Mask8 mask, Float8 yes, Float8 no) { return (Float8)(((Mask8)yes & mask) | ((Mask8)no & ~mask)); }
INLINE Float8 keep8(Mask8 mask, Float8 v) { return (Float8)((Mask8)v & mask); }
INLINE Float8 min8(Float8 a, Float8 b) { return __builtin_elementwise_min(a, b); }
INLINE Float8 max8(Float8 a, Float8 b) { return __builtin_elementwise_max(a, b); }
INLINE Float8 abs8(Float8 a) { return __builtin_elementwise_abs(a); }

INLINE float sum8(Float8 v) {
    Float4 a = v.lo + v.hi;
    a.lo = a.lo + a.hi;
    return a.x + a.y;
}

INLINE int any_positive8(Float8 v) {
    Float4 a = __builtin_elementwise_max(v.lo, v.hi);
    a.lo = __builtin_elementwise_max(a.lo, a.hi);
    return a.x > 0 || a.y > 0;
}

// 2^t for t in [-126, 127], relative error 2e-7: a degree-5 polynomial on [-0.5, 0.5] and the exponent's bits.
// Adding 1.5 * 2^23 rounds to the nearest integer; without the clamp far lanes would wrap into large values.
INLINE Float8 exp2_8(Float8 t) {
    const float round = 12582912.f;
    t = max8(t, (Float8)-126.f);
    Float8 shifted = t + round;
    Float8 fraction = t - (shifted - round);
    Mask8 exponent = ((Mask8)shifted) << 23;
    Float8 p = 1.3333558e-3f;
    p = p * fraction + 9.6181291e-3f;
    p = p * fraction + 5.5504109e-2f;
    p = p * fraction + 2.4022651e-1f;
    p = p * fraction + 6.9314718e-1f;
    p = p * fraction + 1.0f;
    return (Float8)((Mask8)p + exponent);
}

// Float to int within [low, high]; a NaN becomes low.
INLINE int clamped_int(float x, int low, int high) { return (int)fminf(fmaxf(x, (float)low), (float)high); }
INLINE int min_int(int a, int b) { return a < b ? a : b; }
