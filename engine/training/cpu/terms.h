// Terms of the loss beyond colour: coverage, haze, depth, floaters and normals. Each is a mean over all pixels, so that a photo of which
// little is known weighs little; pixels that the mask hides count as 0.
#pragma once
#include "tiles.h"

#define NOTHING 1e-10f        /* alpha below which a pixel has no depth */
#define SMALLEST_DEPTH 1e-6f
#define KNOWN_NORMAL 0.25f    /* squared length that a true normal has where there is one */

typedef struct {
    float alpha, transmittance, depth, distortion, normals;
} TermWeights;

typedef struct {
    const float *transmittance, *sums;  // as drawn: [H, W], [FEATURES, H, W] or NULL
    const uint8_t *image, *mask;        // [H, W, channels], [H, W] or NULL
    const float *depth, *normals;       // true ones [H, W], [H, W, 3], 0 where unknown; or NULL
    int width, channels;
    size_t plane;
    TermWeights weights;                // over the number of pixels
    float *by_transmittance, *by_sums;  // gradients, which are written
    double* row_sums;                   // [H]
} Terms;

// A pixel as it is drawn, and the gradient of the terms by it.
typedef struct {
    float alpha, sums[FEATURES], by_alpha, by_sums[FEATURES];
} TermPixel;

INLINE float sign_of(float x) { return (float)((x > 0) - (x < 0)); }

INLINE float coverage_term(TermPixel* p, float weight, float truth) {
    p->by_alpha += weight * sign_of(p->alpha - truth);
    return weight * fabsf(p->alpha - truth);
}

// 4 alpha (1 - alpha): 0 for pixels that are covered or empty, 1 for those that are half of each.
INLINE float haze_term(TermPixel* p, float weight) {
    p->by_alpha += weight * 4 * (1 - 2 * p->alpha);
    return weight * 4 * p->alpha * (1 - p->alpha);
}

// Relative difference of expected depth, the same in every unit.
INLINE float depth_term(TermPixel* p, float weight, float truth) {
    float alpha = fmaxf(p->alpha, NOTHING), depth = p->sums[DEPTH] / alpha;
    if (!(truth > 0 && depth > 0)) return 0;
    float slope = weight / fmaxf(truth, SMALLEST_DEPTH), by_depth = slope * sign_of(depth - truth);
    p->by_sums[DEPTH] += by_depth / alpha;
    if (p->alpha > NOTHING) p->by_alpha -= by_depth * depth / alpha;
    return slope * fabsf(depth - truth);
}

// Variance of depth along the ray over squared depth, which does not move: large where something floats before or behind the surface (the
// quadratic kin of the distortion of Mip-NeRF 360, Barron et al. 2022, equation 15).
INLINE float distortion_term(TermPixel* p, float weight) {
    float depth = p->sums[DEPTH] / fmaxf(p->alpha, NOTHING), least = fmaxf(depth, SMALLEST_DEPTH);
    if (!(depth > 0)) return 0;
    float share = weight / (least * least);
    p->by_sums[DEPTH] -= 2 * share * p->sums[DEPTH];
    p->by_sums[SQUARED_DEPTH] += share * p->alpha;
    p->by_alpha += share * p->sums[SQUARED_DEPTH];
    return share * (p->alpha * p->sums[SQUARED_DEPTH] - p->sums[DEPTH] * p->sums[DEPTH]);
}

// One minus the cosine between drawn and true normals, weighted like the colours (equation 14 of 2D Gaussian Splatting, Huang et al. 2024,
// with the true normal for the depth's).
INLINE float normal_term(TermPixel* p, float weight, const float* truth) {
    float squares = 0, cosine = 0;
    for (int i = 0; i < 3; i++) squares += truth[i] * truth[i];
    if (!(squares > KNOWN_NORMAL)) return 0;
    for (int i = 0; i < 3; i++) {
        cosine += p->sums[NORMAL + i] * truth[i];
        p->by_sums[NORMAL + i] -= weight * truth[i];
    }
    p->by_alpha += weight;
    return weight * (p->alpha - cosine);
}

INLINE float pixel_terms(const Terms* t, size_t i, TermPixel* p) {
    const TermWeights* w = &t->weights;
    float loss = 0;
    if (w->alpha > 0 && t->channels == 4) loss += coverage_term(p, w->alpha, t->image[4 * i + 3] * (1 / 255.f));
    if (w->transmittance > 0) loss += haze_term(p, w->transmittance);
    if (!t->sums) return loss;
    if (w->depth > 0 && t->depth) loss += depth_term(p, w->depth, t->depth[i]);
    if (w->distortion > 0) loss += distortion_term(p, w->distortion);
    if (w->normals > 0 && t->normals) loss += normal_term(p, w->normals, t->normals + 3 * i);
    return loss;
}

static void job_terms(void* context, int thread, int first, int last) {
    Terms* t = context;
    int features = t->sums ? FEATURES : 0;
    (void)thread;
    for (int row = first; row < last; row++) {
        double sum = 0;
        for (size_t i = (size_t)row * t->width; i < (size_t)(row + 1) * t->width; i++) {
            TermPixel p = {.alpha = 1.f - t->transmittance[i]};
            for (int k = 0; k < features; k++) p.sums[k] = t->sums[k * t->plane + i];
            if (!t->mask || t->mask[i]) sum += pixel_terms(t, i, &p);
            t->by_transmittance[i] = -p.by_alpha;
            for (int k = 0; k < features; k++) t->by_sums[k * t->plane + i] = p.by_sums[k];
        }
        t->row_sums[row] = sum;
    }
}
