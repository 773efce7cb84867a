// Depth and normals of Gaussians, drawn like their colours, and the way back from their sums.
#pragma once
#include "tiles.h"

// The shortest axis of each Gaussian in the world, on the side that the camera sees. sign[k]: 1 or -1 where axis k is the shortest.
INLINE void facing_normal(const Lens* lens, const float* block, const Vec* rotation, Vec* normal, Vec* sign) {
    Vec a = component(block, SCALE), b = component(block, SCALE + 1), c = component(block, SCALE + 2), along = 0;
    Mask third = c < vmin(a, b), second = (b < a) & ~third;
    for (int i = 0; i < 3; i++) {
        normal[i] = choose(third, rotation[3 * i + 2], choose(second, rotation[3 * i + 1], rotation[3 * i]));
        along += normal[i] * (component(block, MEAN + i) - lens->position[i]);
    }
    Vec side = choose(along > 0.f, (Vec)-1.f, (Vec)1.f);
    for (int i = 0; i < 3; i++) normal[i] *= side;
    sign[0] = keep(~second & ~third, side);
    sign[1] = keep(second, side);
    sign[2] = keep(third, side);
}

static void job_normals(void* context, int thread, int first, int last) {
    Frame* f = context;
    (void)thread;
    size_t stride = (size_t)components(f->scene) * BLOCK;
    for (int row = first * BLOCK; row < last * BLOCK; row += LANES) {
        const float* block = f->scene->values + row / BLOCK * stride + row % BLOCK;
        Vec quat[4], squares = 0, rotation[9], normal[3], sign[3];
        for (int i = 0; i < 4; i++) squares += component(block, QUAT + i) * component(block, QUAT + i);
        for (int i = 0; i < 4; i++) quat[i] = component(block, QUAT + i) / vsqrt(squares);
        unit_quat_matrix(quat, rotation);
        facing_normal(&f->lens, block, rotation, normal, sign);
        for (int lane = 0; lane < LANES; lane++)
            for (int i = 0; i < 3; i++) f->normals[row + lane][i] = normal[i][lane];
    }
}

// The features [count] of a Gaussian that is seen.
INLINE void features_of(const Frame* f, const Projected* g, int count, float* values) {
    if (count > DEPTH) values[DEPTH] = g->depth;
    if (count <= SQUARED_DEPTH) return;
    values[SQUARED_DEPTH] = g->depth * g->depth;
    for (int i = 0; i < 3; i++) values[NORMAL + i] = f->normals ? f->normals[g - f->projected][i] : 0.f;
}

// Sums of depth become expected depth, in place; 0 where nothing is.
static void job_expected_depth(void* context, int thread, int first, int last) {
    Frame* f = context;
    (void)thread;
    for (size_t i = (size_t)first * f->lens.view->width; i < (size_t)last * f->lens.view->width; i++) {
        float alpha = 1.f - f->transmittance[i];
        f->feature_sums[i] = alpha > 0 ? f->feature_sums[i] / alpha : 0;
    }
}

// The gradients of LANES Gaussians' features, added over their tiles in order.
static void add_feature_moments(const Frame* f, int first_row, Vec* out) {
    float* to = (float*)out;
    for (int lane = 0; lane < LANES; lane++) {
        float sums[FEATURES] = {0};
        for (int i = f->slot_first[first_row + lane]; i < f->slot_first[first_row + lane + 1]; i++)
            for (int k = 0; k < FEATURES; k++) sums[k] += f->feature_moments[i][k];
        for (int k = 0; k < FEATURES; k++) to[k * LANES + lane] = sums[k];
    }
}

// Gradient by the depth of the centres.
INLINE Vec depth_back(const Vec* by_feature, Vec depth) { return by_feature[DEPTH] + 2.f * depth * by_feature[SQUARED_DEPTH]; }

// Adds the gradient of the normals to that of the rotation matrices; which axis is the shortest, and its side, do not move.
INLINE void normal_back(const Lens* lens, const float* block, const Vec* rotation, const Vec* by_feature, Vec* by_rotation) {
    Vec normal[3], sign[3];
    facing_normal(lens, block, rotation, normal, sign);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) by_rotation[3 * i + k] += sign[k] * by_feature[NORMAL + i];
}
