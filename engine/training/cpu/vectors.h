// As many floats at a time as the processor's registers hold, by clang's vector extensions.
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#ifdef __AVX512F__
#define LANES 16
#else
#define LANES 8 /* older processors and arm64 take two registers for it */
#endif

typedef float Vec __attribute__((ext_vector_type(LANES)));
typedef float UnalignedVec __attribute__((ext_vector_type(LANES), aligned(4)));
typedef int32_t Mask __attribute__((ext_vector_type(LANES)));  // a lane is 0 or -1
typedef float Float8 __attribute__((ext_vector_type(8)));
typedef float UnalignedFloat8 __attribute__((ext_vector_type(8), aligned(4)));
typedef int32_t Int8 __attribute__((ext_vector_type(8)));

#define LOG2_E 1.44269504f

static const float LANE_NUMBERS[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

INLINE Vec load(const float* p) { return *(const UnalignedVec*)p; }
INLINE void store(float* p, Vec v) { *(UnalignedVec*)p = v; }
INLINE Vec lane_numbers(void) { return load(LANE_NUMBERS); }
INLINE Vec keep(Mask mask, Vec v) { return (Vec)((Mask)v & mask); }
INLINE Vec choose(Mask mask, Vec yes, Vec no) { return (Vec)(((Mask)yes & mask) | ((Mask)no & ~mask)); }
INLINE Vec vmin(Vec a, Vec b) { return __builtin_elementwise_min(a, b); }
INLINE Vec vmax(Vec a, Vec b) { return __builtin_elementwise_max(a, b); }
INLINE Vec vabs(Vec a) { return __builtin_elementwise_abs(a); }
INLINE Vec vsqrt(Vec a) { return __builtin_elementwise_sqrt(a); }
INLINE Vec vfloor(Vec a) { return __builtin_elementwise_floor(a); }
INLINE Vec clamp(Vec v, float low, float high) { return vmin(vmax(v, (Vec)low), (Vec)high); }
INLINE int any(Mask mask) { return __builtin_reduce_or(mask) != 0; }

// By comparison, which costs one instruction: of a NaN they make the other number.
INLINE Float8 min8(Float8 a, Float8 b) { return a < b ? a : b; }
INLINE Float8 max8(Float8 a, Float8 b) { return a > b ? a : b; }
INLINE Float8 abs8(Float8 a) { return __builtin_elementwise_abs(a); }
INLINE Float8 sqrt8(Float8 a) { return __builtin_elementwise_sqrt(a); }

// Eight rows of eight numbers become eight columns.
INLINE void transpose8(Float8 r[8]) {
    Float8 pairs[8], quads[8];
    for (int i = 0; i < 4; i++) {
        pairs[2 * i] = __builtin_shufflevector(r[2 * i], r[2 * i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        pairs[2 * i + 1] = __builtin_shufflevector(r[2 * i], r[2 * i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (int half = 0; half < 8; half += 4)
        for (int i = 0; i < 2; i++) {
            quads[half + 2 * i] = __builtin_shufflevector(pairs[half + i], pairs[half + 2 + i], 0, 1, 8, 9, 4, 5, 12, 13);
            quads[half + 2 * i + 1] = __builtin_shufflevector(pairs[half + i], pairs[half + 2 + i], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    for (int i = 0; i < 4; i++) {
        r[i] = __builtin_shufflevector(quads[i], quads[4 + i], 0, 1, 2, 3, 8, 9, 10, 11);
        r[4 + i] = __builtin_shufflevector(quads[i], quads[4 + i], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

#if LANES == 16
INLINE Float8 fold(Vec v) { return v.lo + v.hi; }
#else
INLINE Float8 fold(Vec v) { return v; }
#endif

INLINE float sum8(Float8 v) {
    v.lo = v.lo + v.hi;
    v.lo.lo = v.lo.lo + v.lo.hi;
    return v[0] + v[1];
}

INLINE float sum_lanes(Vec v) { return sum8(fold(v)); }

// Neighbouring lanes of a and b added up, a's in the lower half of each quarter.
INLINE Float8 add_pairs(Float8 a, Float8 b) {
    return __builtin_shufflevector(a, b, 0, 2, 8, 10, 4, 6, 12, 14) + __builtin_shufflevector(a, b, 1, 3, 9, 11, 5, 7, 13, 15);
}

// The sums of eight vectors at once, in order.
INLINE Float8 sum_each(const Vec v[8]) {
    Float8 a = add_pairs(add_pairs(fold(v[0]), fold(v[1])), add_pairs(fold(v[2]), fold(v[3])));
    Float8 b = add_pairs(add_pairs(fold(v[4]), fold(v[5])), add_pairs(fold(v[6]), fold(v[7])));
    return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11) + __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
}

// 2^t for t in [-126, 127], relative error 2e-7; less than -126 counts as -126. The best polynomial of degree 5 on [-0.5, 0.5] that
// is 1 at 0, and the exponent's bits: adding 1.5 * 2^23 rounds to the nearest integer, and without the limit far lanes would wrap into large values.
INLINE Vec exp2_vec(Vec t) {
    const float round = 12582912.f;
    t = vmax(t, (Vec)-126.f);
    Vec shifted = t + round;
    Vec fraction = t - (shifted - round);
    Mask exponent = ((Mask)shifted) << 23;
    Vec p = 1.32646524e-3f;
    p = p * fraction + 9.67151132e-3f;
    p = p * fraction + 5.55073396e-2f;
    p = p * fraction + 2.40222421e-1f;
    p = p * fraction + 6.93146978e-1f;
    p = p * fraction + 1.0f;
    return (Vec)((Mask)p + exponent);
}

// e^x, within the range of float.
INLINE Vec exp_vec(Vec x) { return exp2_vec(vmin(x * LOG2_E, (Vec)126.f)); }

INLINE Vec sigmoid(Vec x) { return 1.f / (1.f + exp_vec(-x)); }

// log2 of positive numbers: the exponent, and 2 artanh((m - 1) / (m + 1)) of a mantissa m in [sqrt(1/2), sqrt(2)).
INLINE Vec log2_vec(Vec x) {
    Mask bits = (Mask)x, exponent = (bits - 0x3f3504f3) >> 23;
    Vec mantissa = (Vec)(bits - (exponent << 23));
    Vec t = (mantissa - 1.f) / (mantissa + 1.f), t2 = t * t;
    Vec series = t2 * (t2 * (t2 * (t2 * 0.32059889f + 0.41219858f) + 0.57707802f) + 0.96179669f) + 2.88539008f;
    return __builtin_convertvector(exponent, Vec) + t * series;
}

INLINE int min_int(int a, int b) { return a < b ? a : b; }
// Numbers of the lowest and the highest bit that is set; there must be one.
INLINE int first_bit(uint32_t bits) { return __builtin_ctz(bits); }
INLINE int last_bit(uint32_t bits) { return 31 - __builtin_clz(bits); }
// Float to int within [low, high]; a NaN becomes low.
INLINE int clamped_int(float x, int low, int high) { return (int)fminf(fmaxf(x, (float)low), (float)high); }
