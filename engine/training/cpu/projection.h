// Gaussians to the image plane: EWA splatting (Zwicker et al. 2002), with the conventions of gsplat's rasterization.
#pragma once
#include "threads.h"
#include "vectors.h"

enum { TILE = 16, BLOCK = 16, MAX_SH = 16 };
// Components of a Gaussian as the trainer stores them: scales as logarithms, opacity as logit, coefficient k of channel c at SH + 3k + c.
enum { MEAN = 0, QUAT = 3, SCALE = 7, OPACITY = 10, SH = 11, MAX_COMPONENTS = SH + 3 * MAX_SH };

#define FOV_MARGIN 0.3f /* the Jacobian is taken no farther outside the image than this share of its half */
#define LOG2_255 7.99435344f

// What to draw. values [blocks, components, BLOCK]: sixteen Gaussians lie side by side, so that a vector holds the same
// component of several. Rows from `count` to the end of the last block are invisible.
typedef struct {
    int64_t count;
    int32_t sh_count;   // coefficients a Gaussian has, the constant one included
    int32_t sh_degree;  // degree that is active
    float dilation, blur;  // px², added to the projected covariance: as if the Gaussian were larger; keeping its opacity's integral
    const float* values;
} Scene;

// A pinhole camera and what lies behind everything.
typedef struct {
    int32_t width, height;
    float fl_x, fl_y, cx, cy;
    float rotation[9], translation[3];  // world to OpenCV camera
    float background[3];
    float nearest;  // distance before which nothing is drawn
} View;

// A Gaussian on the image plane. With dx, dy from its centre and across = dx - slope dy: log2(alpha) = log2_opacity
// - half_a across² - half_d dy², so that a row of pixels costs one square. Extents reach to alpha = 1/255.
typedef struct {
    float x, y, half_a, slope, half_d, log2_opacity, color[3], depth, extent_x, extent_y, half_width;
    float decay;       // factor on the ratio of neighbouring rows' alphas from row to row
    int16_t tiles[4];  // bounding rectangle: first and last + 1 column, first and last + 1 row; all 0: not seen
} Projected;           // one cache line

enum { PROJECTED_FLOATS = 14 };
_Static_assert(sizeof(Projected) == 64, "a Projected is one cache line");

#define UNSEEN UINT32_MAX /* a sort key behind all depths */

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

static int components(const Scene* scene) { return SH + 3 * scene->sh_count; }
static int active_sh(const Scene* scene) { return (scene->sh_degree + 1) * (scene->sh_degree + 1); }
static int block_count(const Scene* scene) { return (int)((scene->count + BLOCK - 1) / BLOCK); }

// Component `number` of LANES Gaussians; `block` points to the first of them.
INLINE Vec component(const float* block, int number) { return load(block + number * BLOCK); }

// Real spherical harmonics (Sloan 2013) at unit directions.
INLINE void sh_basis(int degree, const Vec* d, Vec* b) {
    Vec x = d[0], y = d[1], z = d[2];
    b[0] = 0.2820947917738781f;
    if (degree < 1) return;
    b[1] = -0.48860251190292f * y;
    b[2] = 0.48860251190292f * z;
    b[3] = -0.48860251190292f * x;
    if (degree < 2) return;
    Vec cos2 = x * x - y * y, sin2 = 2.f * x * y, z2 = z * z;
    b[4] = 0.5462742152960395f * sin2;
    b[5] = -1.092548430592079f * z * y;
    b[6] = 0.9461746957575601f * z2 - 0.3153915652525201f;
    b[7] = -1.092548430592079f * z * x;
    b[8] = 0.5462742152960395f * cos2;
    if (degree < 3) return;
    Vec ring = -2.285228997322329f * z2 + 0.4570457994644658f;
    b[9] = -0.5900435899266435f * (x * sin2 + y * cos2);
    b[10] = 1.445305721320277f * z * sin2;
    b[11] = ring * y;
    b[12] = z * (1.865881662950577f * z2 - 1.119528997770346f);
    b[13] = ring * x;
    b[14] = 1.445305721320277f * z * cos2;
    b[15] = -0.5900435899266435f * (x * cos2 - y * sin2);
}

// What forward and backward both need of a few Gaussians' shapes in the camera.
typedef struct {
    Vec local[3];          // centre in the camera
    Vec quat[4], inverse_norm;
    Vec rotation[9];       // of the Gaussian
    Vec scale[3];
    Vec tx, ty;            // centre for the Jacobian, limited to the field of view
    Mask inside_x, inside_y;
    Vec to_image[2][3];    // Jacobian times world-to-camera rotation
    Vec axes[2][3];        // the Gaussian's scaled axes on the image plane
    Vec xx, xy, yy;        // covariance there, dilated and blurred
    Vec determinant, compensation;  // factor on the opacity that keeps its integral (Yu et al. 2024, Mip-Splatting)
    Vec opacity;           // before compensation
    Mask drawable;
} Shape;

INLINE void unit_quat_matrix(const Vec* q, Vec* m) {
    Vec w = q[0], x = q[1], y = q[2], z = q[3];
    m[0] = 1.f - 2.f * (y * y + z * z);
    m[1] = 2.f * (x * y - w * z);
    m[2] = 2.f * (x * z + w * y);
    m[3] = 2.f * (x * y + w * z);
    m[4] = 1.f - 2.f * (x * x + z * z);
    m[5] = 2.f * (y * z - w * x);
    m[6] = 2.f * (x * z - w * y);
    m[7] = 2.f * (y * z + w * x);
    m[8] = 1.f - 2.f * (x * x + y * y);
}

INLINE void jacobian(const Lens* lens, Shape* s) {
    const View* v = lens->view;
    const float* R = v->rotation;
    Vec z = s->local[2], iz = 1.f / z, xz = s->local[0] * iz, yz = s->local[1] * iz;
    s->inside_x = (xz >= lens->x_low) & (xz <= lens->x_high);
    s->inside_y = (yz >= lens->y_low) & (yz <= lens->y_high);
    s->tx = z * clamp(xz, lens->x_low, lens->x_high);
    s->ty = z * clamp(yz, lens->y_low, lens->y_high);
    Vec jx = v->fl_x * iz, jxz = -jx * iz * s->tx, jy = v->fl_y * iz, jyz = -jy * iz * s->ty;
    for (int i = 0; i < 3; i++) {
        s->to_image[0][i] = jx * R[i] + jxz * R[6 + i];
        s->to_image[1][i] = jy * R[3 + i] + jyz * R[6 + i];
    }
}

// The covariance, and its determinant as a sum of squares, which rounding cannot make negative (Cauchy-Binet).
INLINE void covariance(const Scene* scene, Shape* s) {
    const Vec *a = s->axes[0], *b = s->axes[1];
    Vec xx = a[0] * a[0] + a[1] * a[1] + a[2] * a[2], yy = b[0] * b[0] + b[1] * b[1] + b[2] * b[2];
    Vec c0 = a[1] * b[2] - a[2] * b[1], c1 = a[2] * b[0] - a[0] * b[2], c2 = a[0] * b[1] - a[1] * b[0];
    Vec sharp = c0 * c0 + c1 * c1 + c2 * c2;
    s->xy = a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    float dilation = scene->dilation, low_pass = dilation + scene->blur;
    Vec dilated = sharp + dilation * (xx + yy) + dilation * dilation;
    s->determinant = sharp + low_pass * (xx + yy) + low_pass * low_pass;
    s->compensation = scene->blur > 0 ? vsqrt(dilated / s->determinant) : 1.f;
    s->xx = xx + low_pass;
    s->yy = yy + low_pass;
}

// Comparisons are written so that a NaN cannot be drawn; exp_vec hides one, so what it reads is tested by itself.
INLINE void find_shape(const Scene* scene, const Lens* lens, const float* block, Shape* s) {
    const float *R = lens->view->rotation, *t = lens->view->translation;
    Vec mean[3] = {component(block, MEAN), component(block, MEAN + 1), component(block, MEAN + 2)};
    for (int i = 0; i < 3; i++) s->local[i] = R[3 * i] * mean[0] + R[3 * i + 1] * mean[1] + R[3 * i + 2] * mean[2] + t[i];
    Vec q[4], log_scale[3], logit = component(block, OPACITY);
    for (int i = 0; i < 4; i++) q[i] = component(block, QUAT + i);
    for (int i = 0; i < 3; i++) log_scale[i] = component(block, SCALE + i);
    s->inverse_norm = 1.f / vsqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
    for (int i = 0; i < 4; i++) s->quat[i] = q[i] * s->inverse_norm;
    unit_quat_matrix(s->quat, s->rotation);
    for (int i = 0; i < 3; i++) s->scale[i] = exp_vec(log_scale[i]);
    jacobian(lens, s);
    for (int a = 0; a < 2; a++)
        for (int k = 0; k < 3; k++) {
            const Vec* to = s->to_image[a];
            s->axes[a][k] = (to[0] * s->rotation[k] + to[1] * s->rotation[3 + k] + to[2] * s->rotation[6 + k]) * s->scale[k];
        }
    covariance(scene, s);
    s->opacity = sigmoid(logit);
    Mask numbers = (log_scale[0] + log_scale[1] + log_scale[2] + logit) * 0.f == 0.f;
    s->drawable = numbers & (s->local[2] > lens->view->nearest) & (s->determinant < 1e30f);
}

INLINE void view_direction(const Lens* lens, const float* block, Vec* d, Vec* inverse_distance) {
    for (int i = 0; i < 3; i++) d[i] = component(block, MEAN + i) - lens->position[i];
    *inverse_distance = 1.f / vsqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
    for (int i = 0; i < 3; i++) d[i] *= *inverse_distance;
}

// A channel that would be negative is exactly zero.
INLINE void shade(const Scene* scene, const Lens* lens, const float* block, Vec* color) {
    Vec d[3], inverse_distance, basis[MAX_SH];
    view_direction(lens, block, d, &inverse_distance);
    sh_basis(scene->sh_degree, d, basis);
    for (int c = 0; c < 3; c++) color[c] = 0.5f + basis[0] * component(block, SH + c);
    for (int k = 1; k < active_sh(scene); k++)
        for (int c = 0; c < 3; c++) color[c] += basis[k] * component(block, SH + 3 * k + c);
    for (int c = 0; c < 3; c++) color[c] = choose(color[c] < 0.f, (Vec)0.f, color[c]);
}

// LANES Gaussians before they are written out one by one; the order of the floats is Projected's.
typedef struct {
    Vec x, y, half_a, slope, half_d, log2_opacity, color[3], depth, extent_x, extent_y, half_width, decay;
    Vec tiles[4];
    Mask seen;
} ProjectedLanes;

// The tiles that the ellipse's bounding box touches.
INLINE void touched_tiles(const Lens* lens, ProjectedLanes* g) {
    Vec left = g->x - g->extent_x, right = g->x + g->extent_x, top = g->y - g->extent_y, bottom = g->y + g->extent_y;
    g->seen &= (right > 0.f) & (left < (float)lens->view->width) & (bottom > 0.f) & (top < (float)lens->view->height);
    g->tiles[0] = clamp(vfloor(left * (1.f / TILE)), 0, lens->columns - 1);
    g->tiles[1] = clamp(vfloor(right * (1.f / TILE)), 0, lens->columns - 1) + 1.f;
    g->tiles[2] = clamp(vfloor(top * (1.f / TILE)), 0, lens->rows - 1);
    g->tiles[3] = clamp(vfloor(bottom * (1.f / TILE)), 0, lens->rows - 1) + 1.f;
}

INLINE void project_lanes(const Scene* scene, const Lens* lens, const float* block, ProjectedLanes* g) {
    const View* v = lens->view;
    Shape s;
    find_shape(scene, lens, block, &s);
    g->log2_opacity = log2_vec(s.opacity * s.compensation);
    Vec reach = g->log2_opacity + LOG2_255;  // log2 of how far the peak lies over 1/255
    g->seen = s.drawable & (reach > 0.f) & (s.compensation > 0.f);
    if (!any(g->seen)) return;
    Vec iz = 1.f / s.local[2], a = s.yy / s.determinant, reach2 = reach * (2.f / LOG2_E);
    g->x = v->fl_x * s.local[0] * iz + v->cx;
    g->y = v->fl_y * s.local[1] * iz + v->cy;
    g->extent_x = vsqrt(reach2 * s.xx);
    g->extent_y = vsqrt(reach2 * s.yy);
    touched_tiles(lens, g);
    g->half_a = 0.5f * LOG2_E * a;
    g->slope = s.xy / s.yy;
    g->half_d = 0.5f * LOG2_E / s.yy;
    g->half_width = vsqrt(reach2 / a);
    g->decay = exp2_vec(-2.f * (g->half_a * g->slope * g->slope + g->half_d));
    g->depth = s.local[2];
    shade(scene, lens, block, g->color);
}

// Write lane by lane; keys get the bits of the depth, which sort like the depth itself.
static void store_projected(const ProjectedLanes* g, Projected* to, uint32_t* keys) {
    const float* from = (const float*)g;
    for (int lane = 0; lane < LANES; lane++) {
        if (!g->seen[lane]) {
            memset(to[lane].tiles, 0, sizeof to[lane].tiles);
            keys[lane] = UNSEEN;
            continue;
        }
        float* row = (float*)&to[lane];
        for (int i = 0; i < PROJECTED_FLOATS; i++) row[i] = from[i * LANES + lane];
        for (int i = 0; i < 4; i++) to[lane].tiles[i] = (int16_t)g->tiles[i][lane];
        memcpy(&keys[lane], &to[lane].depth, sizeof keys[lane]);
    }
}
