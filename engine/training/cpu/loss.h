// (1 - lambda) L1 + lambda (1 - SSIM) and its gradient, over planar images.
// SSIM: Wang et al. 2004, Gaussian window of 11 pixels and sigma 1.5, zeros beyond the border.
#pragma once
#include <string.h>

#include "threads.h"
#include "vectors.h"

// Blurred: image, target, the sum of their squares (SSIM needs no more than the sum of the variances), their product.
enum { RADIUS = 5, WINDOW = 2 * RADIUS + 1, BAND = 32, STATISTICS = 4, MAPS = 3 };

#define SSIM_C1 1e-4f
#define SSIM_C2 9e-4f

typedef struct {
    int width, height, bands, pitch;  // pitch: floats in a padded row
    const float *image, *target;      // [3, H, W]
    float* gradient;                  // [3, H, W]
    float* maps;                      // [3, MAPS, H, W]: derivatives of SSIM by mean, variance and covariance
    float* scratch;                   // per thread
    size_t scratch_size;              // floats of one thread
    double *ssim, *l1;                // sums of each band
    float lambda, window[WINDOW];
} Loss;

static size_t loss_scratch_size(int pitch) { return (size_t)pitch * STATISTICS * (1 + WINDOW); }

static void fill_window(float* window) {
    double total = 0, weights[WINDOW];
    for (int i = 0; i < WINDOW; i++) total += weights[i] = exp(-(i - RADIUS) * (i - RADIUS) / (2 * 1.5 * 1.5));
    for (int i = 0; i < WINDOW; i++) window[i] = (float)(weights[i] / total);
}

// `row` has eight floats of zeros before and after.
static void blur_row(const float* row, float* out, int width, const float* window) {
    for (int x = 0; x < width; x += 8) {
        Float8 sum = load8(row + x) * window[RADIUS];
        for (int k = 1; k <= RADIUS; k++) sum += (load8(row + x - k) + load8(row + x + k)) * window[RADIUS + k];
        store8(out + x, sum);
    }
}

// A ring of the last WINDOW blurred rows; row r lies in slot r mod WINDOW.
INLINE float* ring_row(float* ring, int row, int rows_each, int pitch) { return ring + (size_t)((row + WINDOW) % WINDOW) * rows_each * pitch; }

// The rows of the window around row y.
INLINE void window_rows(float* ring, int y, int each, int pitch, const float** rows) {
    for (int k = 0; k < WINDOW; k++) rows[k] = ring_row(ring, y + k - RADIUS, each, pitch);
}

INLINE Float8 blur_column(const float** rows, int offset, const float* window) {
    Float8 sum = load8(rows[RADIUS] + offset) * window[RADIUS];
    for (int k = 1; k <= RADIUS; k++) sum += (load8(rows[RADIUS - k] + offset) + load8(rows[RADIUS + k] + offset)) * window[RADIUS + k];
    return sum;
}

static void blur_statistics_row(const Loss* l, int channel, int row, float* rows, float* out) {
    int width = l->width, pitch = l->pitch;
    size_t plane = (size_t)width * l->height;
    if (row < 0 || row >= l->height) {
        memset(out, 0, sizeof(float) * STATISTICS * pitch);
        return;
    }
    const float *a = l->image + channel * plane + (size_t)row * width, *b = l->target + channel * plane + (size_t)row * width;
    float* r[STATISTICS];
    for (int i = 0; i < STATISTICS; i++) r[i] = rows + i * pitch + 8;
    for (int x = 0; x < width; x++) {
        r[0][x] = a[x];
        r[1][x] = b[x];
        r[2][x] = a[x] * a[x] + b[x] * b[x];
        r[3][x] = a[x] * b[x];
    }
    for (int i = 0; i < STATISTICS; i++) blur_row(r[i], out + i * pitch, width, l->window);
}

INLINE void store_part(float* to, Float8 v, int count) {
    if (count >= 8) {
        store8(to, v);
        return;
    }
    float parts[8];
    store8(parts, v);
    for (int i = 0; i < count; i++) to[i] = parts[i];
}

INLINE Float8 first_lanes(Float8 v, int count) { return count >= 8 ? v : keep8(load8(LANES) < (float)count, v); }

INLINE Float8 load_part(const float* from, int count) {
    if (count >= 8) return load8(from);
    float parts[8] = {0};
    for (int i = 0; i < count; i++) parts[i] = from[i];
    return load8(parts);
}

static void job_ssim(void* context, int thread, int first, int last) {
    Loss* l = context;
    int width = l->width, pitch = l->pitch;
    size_t plane = (size_t)width * l->height;
    float *rows = l->scratch + thread * l->scratch_size, *ring = rows + (size_t)STATISTICS * pitch;
    memset(rows, 0, sizeof(float) * STATISTICS * pitch);
    for (int band = first; band < last; band++) {
        int channel = band / l->bands, top = band % l->bands * BAND, bottom = min_int(top + BAND, l->height);
        float* maps = l->maps + (size_t)channel * MAPS * plane;
        double sum = 0;
        for (int row = top - RADIUS; row < bottom + RADIUS; row++) {
            blur_statistics_row(l, channel, row, rows, ring_row(ring, row, STATISTICS, pitch));
            int y = row - RADIUS;
            if (y < top) continue;
            Float8 line = 0;
            const float* lines[WINDOW];
            window_rows(ring, y, STATISTICS, pitch, lines);
            for (int x = 0; x < width; x += 8) {
                Float8 s[STATISTICS];
                for (int i = 0; i < STATISTICS; i++) s[i] = blur_column(lines, i * pitch + x, l->window);
                Float8 mean_a = s[0], mean_b = s[1];
                Float8 means = mean_a * mean_a + mean_b * mean_b, variance = s[2] - means, covariance = s[3] - mean_a * mean_b;
                Float8 n1 = 2 * mean_a * mean_b + SSIM_C1, n2 = 2 * covariance + SSIM_C2;
                Float8 d1 = means + SSIM_C1, d2 = variance + SSIM_C2;
                Float8 inverse = 1.f / (d1 * d2), value = n1 * n2 * inverse;
                size_t at = (size_t)y * width + x;
                int count = width - x;
                line += first_lanes(value, count);
                store_part(maps + at, 2 * mean_b * (n2 - n1) * inverse + 2 * mean_a * value * (d1 - d2) * inverse, count);
                store_part(maps + plane + at, -value / d2, count);
                store_part(maps + 2 * plane + at, 2 * n1 * inverse, count);
            }
            sum += sum8(line);
        }
        l->ssim[band] = sum;
    }
}

static void blur_map_row(const Loss* l, int channel, int row, float* rows, float* out) {
    size_t plane = (size_t)l->width * l->height;
    if (row < 0 || row >= l->height) {
        memset(out, 0, sizeof(float) * MAPS * l->pitch);
        return;
    }
    for (int i = 0; i < MAPS; i++) {
        memcpy(rows + i * l->pitch + 8, l->maps + ((size_t)channel * MAPS + i) * plane + (size_t)row * l->width, sizeof(float) * l->width);
        blur_row(rows + i * l->pitch + 8, out + i * l->pitch, l->width, l->window);
    }
}

static void job_loss_gradient(void* context, int thread, int first, int last) {
    Loss* l = context;
    int width = l->width, pitch = l->pitch;
    size_t plane = (size_t)width * l->height;
    float *rows = l->scratch + thread * l->scratch_size, *ring = rows + (size_t)STATISTICS * pitch;
    float ssim_share = -l->lambda / (3.f * plane), l1_share = (1 - l->lambda) / (3.f * plane);
    memset(rows, 0, sizeof(float) * STATISTICS * pitch);
    for (int band = first; band < last; band++) {
        int channel = band / l->bands, top = band % l->bands * BAND, bottom = min_int(top + BAND, l->height);
        double sum = 0;
        for (int row = top - RADIUS; row < bottom + RADIUS; row++) {
            blur_map_row(l, channel, row, rows, ring_row(ring, row, MAPS, pitch));
            int y = row - RADIUS;
            if (y < top) continue;
            Float8 line = 0;
            const float* lines[WINDOW];
            window_rows(ring, y, MAPS, pitch, lines);
            for (int x = 0; x < width; x += 8) {
                Float8 by_mean = blur_column(lines, x, l->window);
                Float8 by_variance = blur_column(lines, pitch + x, l->window);
                Float8 by_covariance = blur_column(lines, 2 * pitch + x, l->window);
                size_t at = channel * plane + (size_t)y * width + x;
                int count = width - x;
                Float8 a = load_part(l->image + at, count), b = load_part(l->target + at, count), difference = a - b;
                line += abs8(difference);
                Float8 sign = keep8(difference > 0, (Float8)l1_share) - keep8(difference < 0, (Float8)l1_share);
                store_part(l->gradient + at, (by_mean + 2 * a * by_variance + b * by_covariance) * ssim_share + sign, count);
            }
            sum += sum8(line);
        }
        l->l1[band] = sum;
    }
}
