// (1 - lambda) L1 + lambda (1 - SSIM) and its gradient, over planar images.
// SSIM: Wang et al. 2004, Gaussian window of 11 pixels and sigma 1.5, zeros beyond the border.
#pragma once
#include "threads.h"
#include "vectors.h"

// Blurred: image, target, the sum of their squares (SSIM needs no more than the sum of the variances), their product.
enum { RADIUS = 5, WINDOW = 2 * RADIUS + 1, BAND = 32, STATISTICS = 4, MAPS = 3 };

#define SSIM_C1 1e-4f
#define SSIM_C2 9e-4f

// One channel at a time, so that the maps of a third of the image are enough.
typedef struct {
    int width, height, bands, pitch;  // pitch: floats in a padded row
    const float *image, *target;      // [H, W]
    float* gradient;                  // [H, W]
    float* maps;                      // [MAPS, H, W]: derivatives of SSIM by mean, variance and covariance
    float* scratch;                   // per thread
    size_t scratch_size;              // floats of one thread
    double *ssim, *differences;       // [bands]: sums of SSIM, and of absolute or squared differences
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
    for (int x = 0; x < width; x += LANES) {
        Vec sum = load(row + x) * window[RADIUS];
        for (int k = 1; k <= RADIUS; k++) sum += (load(row + x - k) + load(row + x + k)) * window[RADIUS + k];
        store(out + x, sum);
    }
}

// A ring of the last WINDOW blurred rows; row r lies in slot r mod WINDOW.
INLINE float* ring_row(float* ring, int row, int rows_each, int pitch) { return ring + (size_t)((row + WINDOW) % WINDOW) * rows_each * pitch; }

// The rows of the window around row y.
INLINE void window_rows(float* ring, int y, int each, int pitch, const float** rows) {
    for (int k = 0; k < WINDOW; k++) rows[k] = ring_row(ring, y + k - RADIUS, each, pitch);
}

INLINE Vec blur_column(const float** rows, int offset, const float* window) {
    Vec sum = load(rows[RADIUS] + offset) * window[RADIUS];
    for (int k = 1; k <= RADIUS; k++) sum += (load(rows[RADIUS - k] + offset) + load(rows[RADIUS + k] + offset)) * window[RADIUS + k];
    return sum;
}

static void blur_statistics_row(const Loss* l, int row, float* rows, float* out) {
    int width = l->width, pitch = l->pitch;
    if (row < 0 || row >= l->height) {
        memset(out, 0, sizeof(float) * STATISTICS * pitch);
        return;
    }
    const float *a = l->image + (size_t)row * width, *b = l->target + (size_t)row * width;
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

INLINE void store_part(float* to, Vec v, int count) {
    if (count >= LANES) {
        store(to, v);
        return;
    }
    float parts[LANES];
    store(parts, v);
    for (int i = 0; i < count; i++) to[i] = parts[i];
}

INLINE Vec first_lanes(Vec v, int count) { return count >= LANES ? v : keep(lane_numbers() < (float)count, v); }

INLINE Vec load_part(const float* from, int count) {
    if (count >= LANES) return load(from);
    float parts[LANES] = {0};
    for (int i = 0; i < count; i++) parts[i] = from[i];
    return load(parts);
}

static void job_ssim(void* context, int thread, int first, int last) {
    Loss* l = context;
    int width = l->width, pitch = l->pitch;
    size_t plane = (size_t)width * l->height;
    float *rows = l->scratch + thread * l->scratch_size, *ring = rows + (size_t)STATISTICS * pitch;
    memset(rows, 0, sizeof(float) * STATISTICS * pitch);
    for (int band = first; band < last; band++) {
        int top = band * BAND, bottom = min_int(top + BAND, l->height);
        double sum = 0;
        for (int row = top - RADIUS; row < bottom + RADIUS; row++) {
            blur_statistics_row(l, row, rows, ring_row(ring, row, STATISTICS, pitch));
            int y = row - RADIUS;
            if (y < top) continue;
            Vec line = 0;
            const float* lines[WINDOW];
            window_rows(ring, y, STATISTICS, pitch, lines);
            for (int x = 0; x < width; x += LANES) {
                Vec s[STATISTICS];
                for (int i = 0; i < STATISTICS; i++) s[i] = blur_column(lines, i * pitch + x, l->window);
                Vec mean_a = s[0], mean_b = s[1];
                Vec means = mean_a * mean_a + mean_b * mean_b, variance = s[2] - means, covariance = s[3] - mean_a * mean_b;
                Vec n1 = 2 * mean_a * mean_b + SSIM_C1, n2 = 2 * covariance + SSIM_C2;
                Vec d1 = means + SSIM_C1, d2 = variance + SSIM_C2;
                Vec inverse = 1.f / (d1 * d2), value = n1 * n2 * inverse;
                size_t at = (size_t)y * width + x;
                int count = width - x;
                line += first_lanes(value, count);
                store_part(l->maps + at, 2 * mean_b * (n2 - n1) * inverse + 2 * mean_a * value * (d1 - d2) * inverse, count);
                store_part(l->maps + plane + at, -value / d2, count);
                store_part(l->maps + 2 * plane + at, 2 * n1 * inverse, count);
            }
            sum += sum_lanes(line);
        }
        l->ssim[band] = sum;
    }
}

static void blur_map_row(const Loss* l, int row, float* rows, float* out) {
    size_t plane = (size_t)l->width * l->height;
    if (row < 0 || row >= l->height) {
        memset(out, 0, sizeof(float) * MAPS * l->pitch);
        return;
    }
    for (int i = 0; i < MAPS; i++) {
        memcpy(rows + i * l->pitch + 8, l->maps + i * plane + (size_t)row * l->width, sizeof(float) * l->width);
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
        int top = band * BAND, bottom = min_int(top + BAND, l->height);
        double sum = 0;
        for (int row = top - RADIUS; row < bottom + RADIUS; row++) {
            blur_map_row(l, row, rows, ring_row(ring, row, MAPS, pitch));
            int y = row - RADIUS;
            if (y < top) continue;
            Vec line = 0;
            const float* lines[WINDOW];
            window_rows(ring, y, MAPS, pitch, lines);
            for (int x = 0; x < width; x += LANES) {
                Vec by_mean = blur_column(lines, x, l->window);
                Vec by_variance = blur_column(lines, pitch + x, l->window);
                Vec by_covariance = blur_column(lines, 2 * pitch + x, l->window);
                size_t at = (size_t)y * width + x;
                int count = width - x;
                Vec a = load_part(l->image + at, count), b = load_part(l->target + at, count), difference = a - b;
                line += vabs(difference);
                Vec sign = keep(difference > 0, (Vec)l1_share) - keep(difference < 0, (Vec)l1_share);
                store_part(l->gradient + at, (by_mean + 2 * a * by_variance + b * by_covariance) * ssim_share + sign, count);
            }
            sum += sum_lanes(line);
        }
        l->differences[band] = sum;
    }
}

// Sums of squared differences.
static void job_squares(void* context, int thread, int first, int last) {
    Loss* l = context;
    (void)thread;
    for (int band = first; band < last; band++) {
        size_t end = (size_t)min_int((band + 1) * BAND, l->height) * l->width;
        double sum = 0;
        for (size_t at = (size_t)band * BAND * l->width; at < end; at++) {
            double difference = l->image[at] - l->target[at];
            sum += difference * difference;
        }
        l->differences[band] = sum;
    }
}
