// From a Gaussian's sums over its pixels back to its parameters, and to the camera's pose.
#pragma once
#include "depth_normals.h"

// The moments of LANES Gaussians, added over their tiles.
typedef struct {
    Vec one, across, y, across2, across_y, yy, color[3];
} MomentLanes;

// Gradient of the loss by a world-to-camera matrix, [rotation | translation].
typedef struct {
    Vec rotation[9], translation[3];
} PoseLanes;

// Gradient of sum_k q[k] basis_k with respect to the direction.
INLINE void sh_direction_gradient(int degree, const Vec* d, const Vec* q, Vec* out) {
    Vec x = d[0], y = d[1], z = d[2], gx = 0, gy = 0, gz = 0;
    if (degree >= 1) {
        gy += -0.48860251190292f * q[1];
        gz += 0.48860251190292f * q[2];
        gx += -0.48860251190292f * q[3];
    }
    if (degree >= 2) {
        const float a = 0.5462742152960395f, b = -1.092548430592079f;
        gx += 2.f * a * y * q[4] + b * z * q[7] + 2.f * a * x * q[8];
        gy += 2.f * a * x * q[4] + b * z * q[5] - 2.f * a * y * q[8];
        gz += b * y * q[5] + 2.f * 0.9461746957575601f * z * q[6] + b * x * q[7];
    }
    if (degree >= 3) {
        const float a = -0.5900435899266435f, c = 1.445305721320277f;
        Vec cos2 = x * x - y * y, sin2 = 2.f * x * y, z2 = z * z;
        Vec ring = -2.285228997322329f * z2 + 0.4570457994644658f, ring_slope = -2.f * 2.285228997322329f * z;
        gx += a * 3.f * sin2 * q[9] + c * z * 2.f * y * q[10] + ring * q[13] + c * z * 2.f * x * q[14] + a * 3.f * cos2 * q[15];
        gy += a * 3.f * cos2 * q[9] + c * z * 2.f * x * q[10] + ring * q[11] - c * z * 2.f * y * q[14] - a * 3.f * sin2 * q[15];
        gz += c * sin2 * q[10] + ring_slope * y * q[11] + q[12] * (3.f * 1.865881662950577f * z2 - 1.119528997770346f) +
              ring_slope * x * q[13] + c * cos2 * q[14];
    }
    out[0] = gx;
    out[1] = gy;
    out[2] = gz;
}

// A Gaussian's moments lie in as many slots as it touches tiles; adding them in that order needs no atomics and gives the
// same sum for any number of threads.
static void add_moments(const Frame* f, int first_row, MomentLanes* out, float (*absolute)[2]) {
    float* to = (float*)out;
    for (int lane = 0; lane < LANES; lane++) {
        int row = first_row + lane;
        Float8 sum = 0;
        float last = 0, absolute_x = 0, absolute_y = 0;
        for (int slot = f->slot_first[row]; slot < f->slot_first[row + 1]; slot++) {
            sum += *(const UnalignedFloat8*)&f->moments[slot];
            last += f->moments[slot].color[2];
            if (!absolute) continue;
            absolute_x += f->absolute[slot][0];
            absolute_y += f->absolute[slot][1];
        }
        for (int k = 0; k < 8; k++) to[k * LANES + lane] = sum[k];
        to[8 * LANES + lane] = last;
        if (!absolute || row >= f->scene->count) continue;
        absolute[row][0] = absolute_x;
        absolute[row][1] = absolute_y;
    }
}

// Through the conic, the covariance and the compensation; fills by_axes: gradients of the scaled axes on the image plane.
INLINE void covariance_back(const Scene* scene, const Shape* s, const MomentLanes* m, Vec by_axes[2][3]) {
    Vec inverse = 1.f / s->determinant, a = s->yy * inverse, b = -s->xy * inverse, c = s->xx * inverse, d = 1.f / s->yy, slope = s->xy * d;
    // d log alpha / d covariance = w wᵀ / 2 with w = conic (dx, dy) = (a across, d dy - slope a across), which cancels little
    // even for needles.
    Vec by_xx = 0.5f * a * a * m->across2, cross = 0.5f * a * d * m->across_y, by_xy = cross - slope * by_xx;
    Vec by_yy = 0.5f * d * d * m->yy - slope * (cross + by_xy);
    if (scene->blur > 0) {
        // compensation² = |covariance - blur| / |covariance|; m->one is the gradient of its logarithm.
        Vec square = s->compensation * s->compensation, half = 0.5f * m->one / square;
        by_xx += half * ((1.f - square) * a - scene->blur * inverse);
        by_xy += half * (1.f - square) * b;
        by_yy += half * ((1.f - square) * c - scene->blur * inverse);
    }
    for (int k = 0; k < 3; k++) {
        by_axes[0][k] = 2.f * (by_xx * s->axes[0][k] + by_xy * s->axes[1][k]);
        by_axes[1][k] = 2.f * (by_xy * s->axes[0][k] + by_yy * s->axes[1][k]);
    }
}

INLINE void quat_back(const Shape* s, const Vec* r, Vec* out) {
    Vec w = s->quat[0], x = s->quat[1], y = s->quat[2], z = s->quat[3];
    Vec g[4] = {
        2.f * (x * (r[7] - r[5]) + y * (r[2] - r[6]) + z * (r[3] - r[1])),
        2.f * (-2.f * x * (r[4] + r[8]) + y * (r[3] + r[1]) + z * (r[6] + r[2]) + w * (r[7] - r[5])),
        2.f * (x * (r[3] + r[1]) - 2.f * y * (r[0] + r[8]) + z * (r[7] + r[5]) + w * (r[2] - r[6])),
        2.f * (x * (r[6] + r[2]) + y * (r[7] + r[5]) - 2.f * z * (r[0] + r[4]) + w * (r[3] - r[1])),
    };
    Vec along = g[0] * w + g[1] * x + g[2] * y + g[3] * z;
    for (int i = 0; i < 4; i++) out[i] = (g[i] - along * s->quat[i]) * s->inverse_norm;
}

// Through the axes to scales and rotation; by_image: gradient of Jacobian times camera rotation.
// by_rotation: gradient of the rotation matrices.
INLINE void shape_back(const Shape* s, const Vec by_axes[2][3], Vec* gradient, Vec by_image[2][3], Vec* by_rotation) {
    for (int a = 0; a < 2; a++)
        for (int i = 0; i < 3; i++) by_image[a][i] = 0;
    for (int k = 0; k < 3; k++) {
        gradient[SCALE + k] = by_axes[0][k] * s->axes[0][k] + by_axes[1][k] * s->axes[1][k];
        Vec first = by_axes[0][k] * s->scale[k], second = by_axes[1][k] * s->scale[k];
        for (int i = 0; i < 3; i++) {
            by_rotation[3 * i + k] = s->to_image[0][i] * first + s->to_image[1][i] * second;
            by_image[0][i] += s->rotation[3 * i + k] * first;
            by_image[1][i] += s->rotation[3 * i + k] * second;
        }
    }
}

// Through the Jacobian, whose centre stops moving sideways outside the field of view, and the projected centre.
INLINE void center_back(const Lens* lens, const Shape* s, const MomentLanes* m, const Vec by_image[2][3], Vec* by_local) {
    const View* v = lens->view;
    const float* R = v->rotation;
    Vec jx = by_image[0][0] * R[0] + by_image[0][1] * R[1] + by_image[0][2] * R[2];
    Vec jxz = by_image[0][0] * R[6] + by_image[0][1] * R[7] + by_image[0][2] * R[8];
    Vec jy = by_image[1][0] * R[3] + by_image[1][1] * R[4] + by_image[1][2] * R[5];
    Vec jyz = by_image[1][0] * R[6] + by_image[1][1] * R[7] + by_image[1][2] * R[8];
    Vec iz = 1.f / s->local[2], iz2 = iz * iz, iz3 = iz2 * iz;
    Vec twice_x = choose(s->inside_x, (Vec)2.f, (Vec)1.f), twice_y = choose(s->inside_y, (Vec)2.f, (Vec)1.f);
    by_local[0] = keep(s->inside_x, -v->fl_x * iz2 * jxz);
    by_local[1] = keep(s->inside_y, -v->fl_y * iz2 * jyz);
    by_local[2] = -v->fl_x * iz2 * jx - v->fl_y * iz2 * jy + twice_x * v->fl_x * s->tx * iz3 * jxz + twice_y * v->fl_y * s->ty * iz3 * jyz;
    // d log alpha / d(x, y) = conic (dx, dy).
    Vec gx = s->yy / s->determinant * m->across, gy = (m->y - s->xy * gx) / s->yy;
    by_local[0] += v->fl_x * iz * gx;
    by_local[1] += v->fl_y * iz * gy;
    by_local[2] -= (v->fl_x * s->local[0] * gx + v->fl_y * s->local[1] * gy) * iz2;
}

// Colour to harmonics, and through the viewing direction to the mean: by_direction is that share of the mean's gradient.
INLINE void shade_back(const Scene* scene, const Lens* lens, const float* block, const Vec* color, Vec* gradient, Vec* by_direction) {
    Vec d[3], inverse_distance, basis[MAX_SH], q[MAX_SH], direction[3];
    view_direction(lens, block, d, &inverse_distance);
    sh_basis(scene->sh_degree, d, basis);
    for (int k = 0; k < active_sh(scene); k++) {
        q[k] = 0;
        for (int c = 0; c < 3; c++) {
            gradient[SH + 3 * k + c] = basis[k] * color[c];
            q[k] += component(block, SH + 3 * k + c) * color[c];
        }
    }
    sh_direction_gradient(scene->sh_degree, d, q, direction);
    Vec along = direction[0] * d[0] + direction[1] * d[1] + direction[2] * d[2];
    for (int i = 0; i < 3; i++) by_direction[i] = (direction[i] - along * d[i]) * inverse_distance;
}

// The camera turns and moves: centres, axes, and the place from which colours are seen, which is -rotationᵀ translation.
INLINE void pose_back(const Lens* lens, const float* block, const Shape* s, Mask seen, const Vec* by_local, const Vec by_image[2][3],
                      const Vec* by_direction, PoseLanes* pose) {
    const View* v = lens->view;
    Vec iz = 1.f / s->local[2], jx = v->fl_x * iz, jy = v->fl_y * iz, jxz = -jx * iz * s->tx, jyz = -jy * iz * s->ty;
    for (int i = 0; i < 3; i++) {
        Vec mean = component(block, MEAN + i);
        for (int j = 0; j < 3; j++) {
            Vec by_axes = j == 0 ? jx * by_image[0][i] : j == 1 ? jy * by_image[1][i] : jxz * by_image[0][i] + jyz * by_image[1][i];
            pose->rotation[3 * j + i] += keep(seen, by_local[j] * mean + by_axes + by_direction[i] * v->translation[j]);
            pose->translation[j] += keep(seen, by_direction[i] * v->rotation[3 * j + i]);
        }
        pose->translation[i] += keep(seen, by_local[i]);
    }
}

// Gradients of LANES Gaussians, [components] in `gradient`; coefficients beyond the active degree are left alone.
// by_feature [FEATURES] may be NULL.
INLINE void project_back_lanes(const Frame* f, const float* block, int row, const MomentLanes* m, const Vec* by_feature, Vec* gradient,
                               PoseLanes* pose) {
    const Scene* scene = f->scene;
    const float* R = f->lens.view->rotation;
    Shape s;
    find_shape(scene, &f->lens, block, &s);
    Mask seen;
    Vec by_axes[2][3], by_image[2][3], by_rotation[9], by_local[3], color[3], by_direction[3];
    for (int lane = 0; lane < LANES; lane++) {
        const Projected* g = &f->projected[row + lane];
        seen[lane] = g->tiles[1] ? -1 : 0;
        for (int c = 0; c < 3; c++) color[c][lane] = seen[lane] && g->color[c] > 0 ? m->color[c][lane] : 0;
    }
    covariance_back(scene, &s, m, by_axes);
    shape_back(&s, by_axes, gradient, by_image, by_rotation);
    center_back(&f->lens, &s, m, by_image, by_local);
    if (by_feature) {
        by_local[2] += depth_back(by_feature, s.local[2]);
        normal_back(&f->lens, block, s.rotation, by_feature, by_rotation);
    }
    quat_back(&s, by_rotation, gradient + QUAT);
    shade_back(scene, &f->lens, block, color, gradient, by_direction);
    gradient[OPACITY] = m->one * (1.f - s.opacity);
    for (int i = 0; i < 3; i++)
        gradient[MEAN + i] = R[i] * by_local[0] + R[3 + i] * by_local[1] + R[6 + i] * by_local[2] + by_direction[i];
    if (pose) pose_back(&f->lens, block, &s, seen, by_local, by_image, by_direction, pose);
    for (int i = 0; i < SH + 3 * active_sh(scene); i++) gradient[i] = keep(seen, gradient[i]);
}
