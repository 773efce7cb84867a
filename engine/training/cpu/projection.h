// Gaussians to the image plane (EWA splatting, Zwicker et al. 2002; conventions of gsplat's classic rasterization) and back.
#pragma once
#include <string.h>

#include "threads.h"
#include "vectors.h"

enum { TILE = 16, MOMENTS = 9, MAX_SH = 16 };

#define NEAREST_DEPTH 0.01f
#define LOW_PASS 0.3f /* px², added to the projected covariance */
#define LOG2_E 1.44269504f
#define FOV_MARGIN 0.3f /* the Jacobian is taken no farther outside the image than this share of its half */

// What to draw, as the trainer stores it.
typedef struct {
    int64_t count;
    int32_t sh_count;   // coefficients a Gaussian has, the constant one included
    int32_t sh_degree;  // degree that is active
    const float *means, *quats, *scales, *opacities, *sh0, *shN;
} Scene;

// A pinhole camera and what lies behind everything.
typedef struct {
    int32_t width, height;
    float fl_x, fl_y, cx, cy;
    float rotation[9], translation[3];  // world to OpenCV camera
    float background[3];
} View;

// Where gradients go; the layout of Scene.
typedef struct {
    float *means, *quats, *scales, *opacities, *sh0, *shN;
} Gradients;

// A Gaussian on the image plane. With dx, dy from its centre: log2(alpha) = log2_opacity - half_a (dx - slope dy)² - half_d dy²,
// so that a row of pixels costs one square.
typedef struct {
    float x, y;
    float half_a, slope, half_d, log2_opacity;
    float color[3];
    float reach2, inverse_a, determinant;  // extent of alpha >= 1/255: reach2 = 2 ln(255 opacity)
    float extent_x, extent_y, half_width;
    float depth;
} Projected;  // one cache line

// What binning and the way back need to know besides.
typedef struct {
    int16_t tiles[4];  // bounding rectangle: first and last + 1 column, first and last + 1 row
    uint8_t seen;
    uint8_t clipped;  // bit c: colour channel c was negative and is drawn as zero
} Bounds;

// Camera constants that every Gaussian needs.
typedef struct {
    const View* view;
    float position[3];
    float x_low, x_high, y_low, y_high;  // limits of x/z and y/z in the Jacobian
    int columns, rows;                   // of tiles
} Lens;

static Lens make_lens(const View* v) {
    Lens lens = {.view = v, .columns = (v->width + TILE - 1) / TILE, .rows = (v->height + TILE - 1) / TILE};
    const float *R = v->rotation, *t = v->translation;
    for (int i = 0; i < 3; i++) lens.position[i] = -(R[i] * t[0] + R[3 + i] * t[1] + R[6 + i] * t[2]);
    float margin_x = FOV_MARGIN * 0.5f * v->width / v->fl_x, margin_y = FOV_MARGIN * 0.5f * v->height / v->fl_y;
    lens.x_high = (v->width - v->cx) / v->fl_x + margin_x;
    lens.x_low = -(v->cx / v->fl_x + margin_x);
    lens.y_high = (v->height - v->cy) / v->fl_y + margin_y;
    lens.y_low = -(v->cy / v->fl_y + margin_y);
    return lens;
}

// Real spherical harmonics (Sloan 2013) at a unit direction.
static void sh_basis(int degree, const float* d, float* b) {
    float x = d[0], y = d[1], z = d[2];
    b[0] = 0.2820947917738781f;
    if (degree < 1) return;
    b[1] = -0.48860251190292f * y;
    b[2] = 0.48860251190292f * z;
    b[3] = -0.48860251190292f * x;
    if (degree < 2) return;
    float cos2 = x * x - y * y, sin2 = 2 * x * y, z2 = z * z;
    b[4] = 0.5462742152960395f * sin2;
    b[5] = -1.092548430592079f * z * y;
    b[6] = 0.9461746957575601f * z2 - 0.3153915652525201f;
    b[7] = -1.092548430592079f * z * x;
    b[8] = 0.5462742152960395f * cos2;
    if (degree < 3) return;
    float ring = -2.285228997322329f * z2 + 0.4570457994644658f;
    b[9] = -0.5900435899266435f * (x * sin2 + y * cos2);
    b[10] = 1.445305721320277f * z * sin2;
    b[11] = ring * y;
    b[12] = z * (1.865881662950577f * z2 - 1.119528997770346f);
    b[13] = ring * x;
    b[14] = 1.445305721320277f * z * cos2;
    b[15] = -0.5900435899266435f * (x * cos2 - y * sin2);
}

// Gradient of sum_k q[k] basis_k with respect to the direction.
static void sh_direction_gradient(int degree, const float* d, const float* q, float* out) {
    float x = d[0], y = d[1], z = d[2], gx = 0, gy = 0, gz = 0;
    if (degree >= 1) {
        gy += -0.48860251190292f * q[1];
        gz += 0.48860251190292f * q[2];
        gx += -0.48860251190292f * q[3];
    }
    if (degree >= 2) {
        const float a = 0.5462742152960395f, b = -1.092548430592079f;
        gx += 2 * a * y * q[4] + b * z * q[7] + 2 * a * x * q[8];
        gy += 2 * a * x * q[4] + b * z * q[5] - 2 * a * y * q[8];
        gz += b * y * q[5] + 2 * 0.9461746957575601f * z * q[6] + b * x * q[7];
    }
    if (degree >= 3) {
        const float a = -0.5900435899266435f, c = 1.445305721320277f;
        float cos2 = x * x - y * y, sin2 = 2 * x * y, z2 = z * z;
        float ring = -2.285228997322329f * z2 + 0.4570457994644658f, ring_slope = -2 * 2.285228997322329f * z;
        gx += a * 3 * sin2 * q[9] + c * z * 2 * y * q[10] + ring * q[13] + c * z * 2 * x * q[14] + a * 3 * cos2 * q[15];
        gy += a * 3 * cos2 * q[9] + c * z * 2 * x * q[10] + ring * q[11] - c * z * 2 * y * q[14] - a * 3 * sin2 * q[15];
        gz += c * sin2 * q[10] + ring_slope * y * q[11] + q[12] * (3 * 1.865881662950577f * z2 - 1.119528997770346f) +
              ring_slope * x * q[13] + c * cos2 * q[14];
    }
    out[0] = gx;
    out[1] = gy;
    out[2] = gz;
}

INLINE float sigmoid(float x) { return 1.f / (1.f + expf(-x)); }

// What forward and backward both need of one Gaussian's shape in the camera.
typedef struct {
    float local[3];        // centre in the camera
    float rotation[9];     // of the Gaussian
    float quat[4], inverse_norm;
    float scale[3];
    float tx, ty;          // centre for the Jacobian, limited to the field of view
    int inside_x, inside_y;
    float to_image[2][3];  // Jacobian times world-to-camera rotation
    float axes[2][3];      // the Gaussian's axes on the image plane, before scaling
} Shape;

static void unit_quat_matrix(const float* q, float* m) {
    float w = q[0], x = q[1], y = q[2], z = q[3];
    m[0] = 1 - 2 * (y * y + z * z);
    m[1] = 2 * (x * y - w * z);
    m[2] = 2 * (x * z + w * y);
    m[3] = 2 * (x * y + w * z);
    m[4] = 1 - 2 * (x * x + z * z);
    m[5] = 2 * (y * z - w * x);
    m[6] = 2 * (x * z - w * y);
    m[7] = 2 * (y * z + w * x);
    m[8] = 1 - 2 * (x * x + y * y);
}

static void local_position(const View* v, const float* mean, float* out) {
    const float *R = v->rotation, *t = v->translation;
    for (int i = 0; i < 3; i++) out[i] = R[3 * i] * mean[0] + R[3 * i + 1] * mean[1] + R[3 * i + 2] * mean[2] + t[i];
}

// `shape->local` must be set.
static void project_shape(const Lens* lens, const float* quat, const float* log_scale, Shape* s) {
    const View* v = lens->view;
    const float* R = v->rotation;
    s->inverse_norm = 1.f / sqrtf(quat[0] * quat[0] + quat[1] * quat[1] + quat[2] * quat[2] + quat[3] * quat[3]);
    for (int i = 0; i < 4; i++) s->quat[i] = quat[i] * s->inverse_norm;
    unit_quat_matrix(s->quat, s->rotation);
    for (int i = 0; i < 3; i++) s->scale[i] = expf(log_scale[i]);
    float z = s->local[2], iz = 1.f / z, xz = s->local[0] * iz, yz = s->local[1] * iz;
    s->inside_x = xz >= lens->x_low && xz <= lens->x_high;
    s->inside_y = yz >= lens->y_low && yz <= lens->y_high;
    s->tx = z * fminf(lens->x_high, fmaxf(lens->x_low, xz));
    s->ty = z * fminf(lens->y_high, fmaxf(lens->y_low, yz));
    float jx = v->fl_x * iz, jxz = -v->fl_x * s->tx * iz * iz, jy = v->fl_y * iz, jyz = -v->fl_y * s->ty * iz * iz;
    for (int i = 0; i < 3; i++) {
        s->to_image[0][i] = jx * R[i] + jxz * R[6 + i];
        s->to_image[1][i] = jy * R[3 + i] + jyz * R[6 + i];
    }
    for (int a = 0; a < 2; a++)
        for (int k = 0; k < 3; k++)
            s->axes[a][k] = s->to_image[a][0] * s->rotation[k] + s->to_image[a][1] * s->rotation[3 + k] + s->to_image[a][2] * s->rotation[6 + k];
}

static void view_direction(const Lens* lens, const float* mean, float* d, float* inverse_distance) {
    for (int i = 0; i < 3; i++) d[i] = mean[i] - lens->position[i];
    *inverse_distance = 1.f / sqrtf(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
    for (int i = 0; i < 3; i++) d[i] *= *inverse_distance;
}

static void shade(const Scene* scene, const Lens* lens, int64_t row, Projected* g, Bounds* bounds) {
    float d[3], inverse_distance, basis[MAX_SH];
    view_direction(lens, scene->means + 3 * row, d, &inverse_distance);
    sh_basis(scene->sh_degree, d, basis);
    const float *sh0 = scene->sh0 + 3 * row, *shN = scene->shN + 3 * (scene->sh_count - 1) * row;
    int active = (scene->sh_degree + 1) * (scene->sh_degree + 1);
    bounds->clipped = 0;
    for (int c = 0; c < 3; c++) {
        float color = 0.5f + basis[0] * sh0[c];
        for (int k = 1; k < active; k++) color += basis[k] * shN[3 * (k - 1) + c];
        if (color < 0) {
            color = 0;
            bounds->clipped |= 1 << c;
        }
        g->color[c] = color;
    }
}

// The tiles that the ellipse's bounding box touches. Comparisons are written so that a NaN counts as unseen.
static int touched_tiles(const Lens* lens, const Projected* g, Bounds* bounds) {
    float left = g->x - g->extent_x, right = g->x + g->extent_x, top = g->y - g->extent_y, bottom = g->y + g->extent_y;
    if (!(right > 0 && left < lens->view->width && bottom > 0 && top < lens->view->height)) return 0;
    bounds->tiles[0] = clamped_int(floorf(left / TILE), 0, lens->columns - 1);
    bounds->tiles[1] = clamped_int(floorf(right / TILE), 0, lens->columns - 1) + 1;
    bounds->tiles[2] = clamped_int(floorf(top / TILE), 0, lens->rows - 1);
    bounds->tiles[3] = clamped_int(floorf(bottom / TILE), 0, lens->rows - 1) + 1;
    return 1;
}

static void project_one(const Scene* scene, const Lens* lens, int64_t row, Projected* g, Bounds* bounds) {
    const View* v = lens->view;
    bounds->seen = 0;
    Shape s;
    local_position(v, scene->means + 3 * row, s.local);
    float z = s.local[2];
    if (!(z > NEAREST_DEPTH)) return;
    float opacity = sigmoid(scene->opacities[row]), reach = logf(255.f * opacity);
    if (!(reach > 0)) return;
    project_shape(lens, scene->quats + 4 * row, scene->scales + 3 * row, &s);
    float xx = LOW_PASS, xy = 0, yy = LOW_PASS;
    for (int k = 0; k < 3; k++) {
        float a = s.axes[0][k] * s.scale[k], b = s.axes[1][k] * s.scale[k];
        xx += a * a;
        xy += a * b;
        yy += b * b;
    }
    float determinant = xx * yy - xy * xy;
    if (!(determinant > 0 && determinant < 1e30f)) return;
    float a = yy / determinant, b = -xy / determinant;
    g->x = v->fl_x * s.local[0] / z + v->cx;
    g->y = v->fl_y * s.local[1] / z + v->cy;
    g->reach2 = 2 * reach;
    g->extent_x = sqrtf(g->reach2 * xx);
    g->extent_y = sqrtf(g->reach2 * yy);
    if (!touched_tiles(lens, g, bounds)) return;
    g->half_a = 0.5f * LOG2_E * a;
    g->slope = -b / a;
    g->half_d = 0.5f * LOG2_E / yy;
    g->determinant = 1.f / yy;
    g->inverse_a = 1.f / a;
    g->half_width = sqrtf(g->reach2 / a);
    g->log2_opacity = log2f(opacity);
    g->depth = z;
    shade(scene, lens, row, g, bounds);
    bounds->seen = 1;
}

// Sums of the loss gradient over a Gaussian's pixels, from the rasterizer: of 1, dx, dy, dx², dx dy, dy² each times
// the gradient of log alpha, then the colour's gradient.
typedef struct {
    float one, x, y, xx, xy, yy, color[3];
} Moments;

// Chain rule through the covariance on the image plane; fills va, vb: gradients of the scaled axes.
static void covariance_backward(const Projected* g, const Moments* m, const Shape* s, float va[3], float vb[3]) {
    float a = 2 * g->half_a / LOG2_E, b = -g->slope * a, c = g->determinant + b * b / a;
    // Conic gradient: d log alpha / d(a, b, c) = -(dx² / 2, dx dy, dy² / 2).
    float ga = -0.5f * m->xx, gb = -0.5f * m->xy, gc = -0.5f * m->yy;
    float p00 = a * ga + b * gb, p01 = a * gb + b * gc, p10 = b * ga + c * gb, p11 = b * gb + c * gc;
    float gxx = -(p00 * a + p01 * b), gxy = -(p00 * b + p01 * c), gyy = -(p10 * b + p11 * c);
    for (int k = 0; k < 3; k++) {
        float ax = s->axes[0][k] * s->scale[k], ay = s->axes[1][k] * s->scale[k];
        va[k] = 2 * (gxx * ax + gxy * ay);
        vb[k] = 2 * (gxy * ax + gyy * ay);
    }
}

static void quat_backward(const Shape* s, const float* r, float* out) {
    float w = s->quat[0], x = s->quat[1], y = s->quat[2], z = s->quat[3];
    float g[4] = {
        2 * (x * (r[7] - r[5]) + y * (r[2] - r[6]) + z * (r[3] - r[1])),
        2 * (-2 * x * (r[4] + r[8]) + y * (r[3] + r[1]) + z * (r[6] + r[2]) + w * (r[7] - r[5])),
        2 * (x * (r[3] + r[1]) - 2 * y * (r[0] + r[8]) + z * (r[7] + r[5]) + w * (r[2] - r[6])),
        2 * (x * (r[6] + r[2]) + y * (r[7] + r[5]) - 2 * z * (r[0] + r[4]) + w * (r[3] - r[1])),
    };
    float along = g[0] * w + g[1] * x + g[2] * y + g[3] * z;
    for (int i = 0; i < 4; i++) out[i] = (g[i] - along * s->quat[i]) * s->inverse_norm;
}

// Colour to harmonics, and through the viewing direction to the mean.
static void shade_backward(const Scene* scene, const Lens* lens, int64_t row, int clipped, const Moments* m, const Gradients* out, float* mean) {
    int active = (scene->sh_degree + 1) * (scene->sh_degree + 1), extra = scene->sh_count - 1;
    float d[3], inverse_distance, basis[MAX_SH], q[MAX_SH], color[3];
    for (int c = 0; c < 3; c++) color[c] = clipped >> c & 1 ? 0 : m->color[c];
    view_direction(lens, scene->means + 3 * row, d, &inverse_distance);
    sh_basis(scene->sh_degree, d, basis);
    for (int c = 0; c < 3; c++) out->sh0[3 * row + c] = basis[0] * color[c];
    const float* sh = scene->shN + 3 * extra * row;
    float* gradient = out->shN + 3 * extra * row;
    for (int k = 1; k < active; k++) {
        const float* coefficient = sh + 3 * (k - 1);
        q[k] = coefficient[0] * color[0] + coefficient[1] * color[1] + coefficient[2] * color[2];
        for (int c = 0; c < 3; c++) gradient[3 * (k - 1) + c] = basis[k] * color[c];
    }
    memset(gradient + 3 * (active - 1), 0, sizeof(float) * 3 * (extra - (active - 1)));
    if (active == 1) return;
    float direction[3];
    sh_direction_gradient(scene->sh_degree, d, q, direction);
    float along = direction[0] * d[0] + direction[1] * d[1] + direction[2] * d[2];
    for (int i = 0; i < 3; i++) mean[i] += (direction[i] - along * d[i]) * inverse_distance;
}

static void project_backward_one(const Scene* scene, const Lens* lens, int64_t row, const Projected* g, int clipped, const Moments* m,
                                 const Gradients* out) {
    const View* v = lens->view;
    const float* R = v->rotation;
    Shape s;
    local_position(v, scene->means + 3 * row, s.local);
    project_shape(lens, scene->quats + 4 * row, scene->scales + 3 * row, &s);
    out->opacities[row] = m->one * (1 - sigmoid(scene->opacities[row]));
    float va[3], vb[3], rotation[9], t0[3] = {0}, t1[3] = {0};
    covariance_backward(g, m, &s, va, vb);
    for (int k = 0; k < 3; k++) {
        out->scales[3 * row + k] = (va[k] * s.axes[0][k] + vb[k] * s.axes[1][k]) * s.scale[k];
        float wa = va[k] * s.scale[k], wb = vb[k] * s.scale[k];
        for (int i = 0; i < 3; i++) {
            rotation[3 * i + k] = s.to_image[0][i] * wa + s.to_image[1][i] * wb;
            t0[i] += s.rotation[3 * i + k] * wa;
            t1[i] += s.rotation[3 * i + k] * wb;
        }
    }
    quat_backward(&s, rotation, out->quats + 4 * row);
    // Through the Jacobian, whose centre stops moving sideways outside the field of view.
    float jx = t0[0] * R[0] + t0[1] * R[1] + t0[2] * R[2], jxz = t0[0] * R[6] + t0[1] * R[7] + t0[2] * R[8];
    float jy = t1[0] * R[3] + t1[1] * R[4] + t1[2] * R[5], jyz = t1[0] * R[6] + t1[1] * R[7] + t1[2] * R[8];
    float iz = 1.f / s.local[2], iz2 = iz * iz, iz3 = iz2 * iz;
    float local[3] = {0, 0, -v->fl_x * iz2 * jx - v->fl_y * iz2 * jy};
    local[0] += s.inside_x ? -v->fl_x * iz2 * jxz : 0;
    local[1] += s.inside_y ? -v->fl_y * iz2 * jyz : 0;
    local[2] += (s.inside_x ? 2 : 1) * v->fl_x * s.tx * iz3 * jxz + (s.inside_y ? 2 : 1) * v->fl_y * s.ty * iz3 * jyz;
    // Through the centre on the image plane: d log alpha / d(x, y) = conic (dx, dy).
    float a = 2 * g->half_a / LOG2_E, b = -g->slope * a, c = g->determinant + b * b / a;
    float gx = a * m->x + b * m->y, gy = b * m->x + c * m->y;
    local[0] += v->fl_x * iz * gx;
    local[1] += v->fl_y * iz * gy;
    local[2] -= (v->fl_x * s.local[0] * gx + v->fl_y * s.local[1] * gy) * iz2;
    float mean[3];
    for (int i = 0; i < 3; i++) mean[i] = R[i] * local[0] + R[3 + i] * local[1] + R[6 + i] * local[2];
    shade_backward(scene, lens, row, clipped, m, out, mean);
    memcpy(out->means + 3 * row, mean, sizeof mean);
}

static void zero_gradient(const Scene* scene, int64_t row, const Gradients* out) {
    memset(out->means + 3 * row, 0, 3 * sizeof(float));
    memset(out->quats + 4 * row, 0, 4 * sizeof(float));
    memset(out->scales + 3 * row, 0, 3 * sizeof(float));
    memset(out->sh0 + 3 * row, 0, 3 * sizeof(float));
    memset(out->shN + 3 * (scene->sh_count - 1) * row, 0, sizeof(float) * 3 * (scene->sh_count - 1));
    out->opacities[row] = 0;
}
