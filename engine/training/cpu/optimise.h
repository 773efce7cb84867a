// One step of learning for a few Gaussians whose gradients are known: regularisation, Adam, exploration noise.
#pragma once
#include "projection.h"

#define BETA1 0.9f
#define BETA2 0.999f
#define EPSILON 1e-15f
#define PI 3.14159265f

typedef uint32_t Bits __attribute__((ext_vector_type(LANES)));

typedef struct {
    float *values, *first, *second;  // parameters and Adam's moments, laid out as Scene.values
    float rates[MAX_COMPONENTS];     // learning rate over 1 - beta1^step
    float second_scale;              // 1 / sqrt(1 - beta2^step)
    float opacity_penalty, scale_penalty, needle_penalty;  // regularisation, already divided by the number of values
    float noise;
    uint32_t seed;
} Learning;

// Adam (Kingma and Ba 2015).
INLINE void adam(const Learning* l, size_t at, Vec gradient, float rate) {
    Vec first = load(l->first + at), second = load(l->second + at);
    first += (1 - BETA1) * (gradient - first);
    second = BETA2 * second + (1 - BETA2) * gradient * gradient;
    store(l->first + at, first);
    store(l->second + at, second);
    store(l->values + at, load(l->values + at) - rate * first / (vsqrt(second) * l->second_scale + EPSILON));
}

// Pull opacities and scales down a little (3DGS-MCMC, Kheradmand et al. 2024, equation 10).
INLINE void regularise(const Learning* l, const float* block, Vec* gradient) {
    Vec opacity = sigmoid(component(block, OPACITY));
    gradient[OPACITY] += l->opacity_penalty * opacity * (1.f - opacity);
    for (int i = 0; i < 3; i++) gradient[SCALE + i] += l->scale_penalty * exp_vec(component(block, SCALE + i));
}

// Scrambles integers (lowbias32 of the hash prospector project).
INLINE Bits scramble(Bits x) {
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

// Uniform in (0, 1), by Gaussian and number.
INLINE Vec uniform(const Learning* l, Bits row, uint32_t number) {
    Bits bits = scramble(scramble(row * 4 + number) ^ l->seed);
    return (__builtin_convertvector(bits >> 8, Vec) + 0.5f) * 0x1p-24f;
}

// Two independent normal variables from two uniform ones (Box and Muller 1958); sine and cosine by half the angle, to 4e-6.
INLINE void normal_pair(Vec u, Vec v, Vec* a, Vec* b) {
    Vec radius = vsqrt(log2_vec(u) * (-2.f / LOG2_E)), w = (v - 0.5f) * PI, w2 = w * w;
    Vec s = w * (1.f + w2 * (-1.f / 6 + w2 * (1.f / 120 + w2 * (-1.f / 5040 + w2 * (1.f / 362880)))));
    Vec c = 1.f + w2 * (-1.f / 2 + w2 * (1.f / 24 + w2 * (-1.f / 720 + w2 * (1.f / 40320 - w2 * (1.f / 3628800)))));
    *a = radius * (c * c - s * s);
    *b = radius * 2.f * s * c;
}

// Shake nearly transparent Gaussians along their own covariance (3DGS-MCMC, equation 8).
INLINE void explore(const Learning* l, float* block, int first_row, int count) {
    Vec opacity = sigmoid(component(block, OPACITY)), gate = sigmoid(100.f * (0.005f - opacity));
    Bits row = __builtin_convertvector(lane_numbers(), Bits) + (uint32_t)first_row;
    Mask moved = (gate > 1e-4f) & (row < (uint32_t)count);
    if (!any(moved)) return;
    Vec normal[4], quat[4], rotation[9], shift[3] = {0, 0, 0};
    normal_pair(uniform(l, row, 0), uniform(l, row, 1), &normal[0], &normal[1]);
    normal_pair(uniform(l, row, 2), uniform(l, row, 3), &normal[2], &normal[3]);
    Vec norm2 = 0;
    for (int i = 0; i < 4; i++) norm2 += component(block, QUAT + i) * component(block, QUAT + i);
    for (int i = 0; i < 4; i++) quat[i] = component(block, QUAT + i) / vsqrt(norm2);
    unit_quat_matrix(quat, rotation);
    for (int k = 0; k < 3; k++) {
        Vec along = rotation[k] * normal[0] + rotation[3 + k] * normal[1] + rotation[6 + k] * normal[2];
        along *= exp_vec(2.f * component(block, SCALE + k));
        for (int i = 0; i < 3; i++) shift[i] += rotation[3 * i + k] * along;
    }
    for (int i = 0; i < 3; i++) store(block + i * BLOCK, component(block, MEAN + i) + keep(moved, shift[i] * gate * l->noise));
}

#define NEEDLE 2.30258509f /* log of how many times the middle axis the longest may be */

// Shorten the longest axis where it makes a needle (after the anisotropy term of PhysGaussian, Xie et al. 2024, equation 9); disks are free.
INLINE void shorten_needles(const Learning* l, const float* block, Vec* gradient) {
    Vec a = component(block, SCALE), b = component(block, SCALE + 1), c = component(block, SCALE + 2);
    Vec longest = vmax(vmax(a, b), c), middle = vmax(vmin(a, b), vmin(vmax(a, b), c));
    Vec pull = keep(longest - middle > NEEDLE, (Vec)l->needle_penalty);
    Mask found = 0;  // the middle axis, once
    for (int i = 0; i < 3; i++) {
        Vec axis = component(block, SCALE + i);
        Mask is_middle = (axis == middle) & ~found;
        gradient[SCALE + i] += keep(axis == longest, pull) - keep(is_middle, pull);
        found |= is_middle;
    }
}

// `at` leads to the first of LANES Gaussians, which is number `row`; the first `active` components have gradients.
INLINE void learn(const Learning* l, size_t at, int row, int count, int active, Vec* gradient) {
    regularise(l, l->values + at, gradient);
    if (l->needle_penalty > 0) shorten_needles(l, l->values + at, gradient);
    for (int i = 0; i < active; i++) adam(l, at + i * BLOCK, gradient[i], l->rates[i]);
    if (l->noise > 0) explore(l, l->values + at, row, count);
}
