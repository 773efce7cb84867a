// (1 - lambda) L1 + lambda (1 - SSIM) and its gradient, over planar images.
// SSIM: Wang et al. 2004, Gaussian window of 11 pixels and sigma 1.5, zeros beyond the border.
// Windows may stand on every second row alone: a Gaussian of sigma 1.5 has so little weight at the frequency of 1/2 that together they see
// each pixel as all windows do, to 2e-4.
#pragma once
#include "threads.h"
#include "vectors.h"

// Blurred: image, target, the sum of their squares (SSIM needs no more than the sum of the variances), their product.
enum { RADIUS = 5, WINDOW = 2 * RADIUS + 1, BAND = 32, STATISTICS = 4, MAPS = 3, MARGIN = 8 /* zeros before a padded row */ };

#define SSIM_C1 1e-4f
#define SSIM_C2 9e-4f

// One channel at a time, so that the maps of a third of the image are enough.
typedef struct {
    int width, height, bands, pitch;  // pitch: floats in a padded row
    int stride, phase;                // the middles of SSIM's windows lie on every stride-th row, from row `phase` on
    const float *image, *target;      // [H, W]
    float* gradient;                  // [H, W]
    float* maps;                      // [rows of windows, MAPS, pitch], padded: derivatives of SSIM by mean, variance and covariance
    float* scratch;                   // per thread
    size_t scratch_size;              // floats of one thread
    double *ssim, *differences;       // [bands]: sums of SSIM, and of absolute or squared differences
    float lambda, window[WINDOW];
} Loss;

static int padded(int width) { return (width + LANES - 1) / LANES * LANES + 2 * MARGIN; }

static size_t loss_scratch_size(int pitch) { return (size_t)pitch * STATISTICS * (1 + WINDOW); }

static void fill_window(float* window) {
    double total = 0, weights[WINDOW];
    for (int i = 0; i < WINDOW; i++) total += weights[i] = exp(-(i - RADIUS) * (i - RADIUS) / (2 * 1.5 * 1.5));
    for (int i = 0; i < WINDOW; i++) window[i] = (float)(weights[i] / total);
}

// The number of the first row of windows at or below an image's row.
INLINE int window_row(const Loss* l, int row) { return row <= l->phase ? 0 : (row - l->phase + l->stride - 1) / l->stride; }

INLINE float* maps_of(const Loss* l, int number) { return l->maps + (size_t)number * MAPS * l->pitch; }

// A ring of the last WINDOW rows; row r lies in slot r mod WINDOW.
INLINE float* ring_row(float* ring, int row, int each, int pitch) { return ring + (size_t)(row % WINDOW) * each * pitch; }

// `row` has MARGIN floats of zeros before and after.
INLINE Vec blur_row(const float* row, const float* window) {
    Vec sum = load(row) * window[RADIUS];
    for (int k = 1; k <= RADIUS; k++) sum += (load(row - k) + load(row + k)) * window[RADIUS + k];
    return sum;
}

// The rows that a column of the window reaches, and their weights.
typedef struct {
    int count;
    const float* rows[WINDOW];
    float weights[WINDOW];
} Reach;

INLINE void reach_row(Reach* r, const float* row, float weight) {
    r->rows[r->count] = row;
    r->weights[r->count++] = weight;
}

// Blurs `maps` rows, that lie `pitch` apart, downwards at once.
INLINE void blur_columns(const Reach* r, int count, int maps, int pitch, int x, Vec* sums) {
    for (int i = 0; i < maps; i++) sums[i] = 0;
    for (int k = 0; k < count; k++)
        for (int i = 0; i < maps; i++) sums[i] += load(r->rows[k] + i * pitch + x) * r->weights[k];
}

static void statistics_row(const Loss* l, int row, float* out) {
    const float *a = l->image + (size_t)row * l->width, *b = l->target + (size_t)row * l->width;
    float *squares = out + 2 * l->pitch, *products = out + 3 * l->pitch;
    for (int x = 0; x < l->width; x++) {
        out[x] = a[x];
        out[l->pitch + x] = b[x];
        squares[x] = a[x] * a[x] + b[x] * b[x];
        products[x] = a[x] * b[x];
    }
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

// The statistics under the windows of row y, blurred downwards, into `lines`, padded.
static void blur_downwards(const Loss* l, float* ring, int y, float* lines) {
    Reach reach = {0};
    for (int row = y < RADIUS ? 0 : y - RADIUS; row <= y + RADIUS && row < l->height; row++)
        reach_row(&reach, ring_row(ring, row, STATISTICS, l->pitch), l->window[row - y + RADIUS]);
    for (int x = 0; x < l->width; x += LANES) {
        Vec sums[STATISTICS];
        if (reach.count == WINDOW) blur_columns(&reach, WINDOW, STATISTICS, l->pitch, x, sums);
        else blur_columns(&reach, reach.count, STATISTICS, l->pitch, x, sums);
        for (int i = 0; i < STATISTICS; i++) store(lines + i * l->pitch + MARGIN + x, first_lanes(sums[i], l->width - x));
    }
}

// SSIM of a row of windows, whose statistics are blurred downwards, and its derivatives into `maps`. Returns the sum.
static float compare_row(const Loss* l, const float* lines, float* maps) {
    int pitch = l->pitch;
    Vec total = 0;
    for (int x = 0; x < l->width; x += LANES) {
        Vec s[STATISTICS];
        for (int i = 0; i < STATISTICS; i++) s[i] = blur_row(lines + i * pitch + MARGIN + x, l->window);
        Vec mean_a = s[0], mean_b = s[1];
        Vec means = mean_a * mean_a + mean_b * mean_b, variance = s[2] - means, covariance = s[3] - mean_a * mean_b;
        Vec n1 = 2 * mean_a * mean_b + SSIM_C1, n2 = 2 * covariance + SSIM_C2;
        Vec d1 = means + SSIM_C1, d2 = variance + SSIM_C2;
        Vec inverse = 1.f / (d1 * d2), value = n1 * n2 * inverse, by_variance = -value * d1 * inverse;
        int count = l->width - x;
        float* to = maps + MARGIN + x;
        total += first_lanes(value, count);
        store(to, first_lanes(2 * mean_b * (n2 - n1) * inverse + 2 * mean_a * value * (d1 - d2) * inverse, count));
        store(to + pitch, first_lanes(by_variance, count));
        store(to + 2 * pitch, first_lanes(2 * n1 * inverse, count));
    }
    return sum_lanes(total);
}

static void clear_margins(float* rows, int count, int pitch) {
    for (int i = 0; i < count; i++) {
        memset(rows + i * pitch, 0, sizeof(float) * MARGIN);
        memset(rows + (i + 1) * pitch - MARGIN, 0, sizeof(float) * MARGIN);
    }
}

static void job_ssim(void* context, int thread, int first, int last) {
    Loss* l = context;
    float *lines = l->scratch + thread * l->scratch_size, *ring = lines + (size_t)STATISTICS * l->pitch;
    clear_margins(lines, STATISTICS, l->pitch);
    for (int band = first; band < last; band++) {
        int bottom = min_int((band + 1) * BAND, l->height), next = band * BAND < RADIUS ? 0 : band * BAND - RADIUS;
        double sum = 0;
        for (int number = window_row(l, band * BAND); number < window_row(l, bottom); number++) {
            int y = l->phase + number * l->stride;
            for (; next <= y + RADIUS && next < l->height; next++) statistics_row(l, next, ring_row(ring, next, STATISTICS, l->pitch));
            blur_downwards(l, ring, y, lines);
            clear_margins(maps_of(l, number), MAPS, l->pitch);
            sum += compare_row(l, lines, maps_of(l, number));
        }
        l->ssim[band] = sum;
    }
}

static void blur_maps(const Loss* l, int number, float* out) {
    const float* maps = maps_of(l, number) + MARGIN;
    for (int i = 0; i < MAPS; i++)
        for (int x = 0; x < l->width; x += LANES) store(out + i * l->pitch + x, blur_row(maps + i * l->pitch + x, l->window));
}

// The windows that see row y, by their rows that are blurred across.
static Reach windows_over(const Loss* l, float* ring, int y) {
    Reach reach = {0};
    for (int number = window_row(l, y - RADIUS), end = window_row(l, l->height); number < end; number++) {
        int row = l->phase + number * l->stride;
        if (row > y + RADIUS) break;
        reach_row(&reach, ring_row(ring, number, MAPS, l->pitch), l->window[row - y + RADIUS]);
    }
    return reach;
}

// The gradient of a row, where the windows over it are blurred across. Returns the sum of absolute differences.
static float gradient_row(const Loss* l, const Reach* reach, int y, float ssim_share, float l1_share) {
    Vec total = 0;
    for (int x = 0; x < l->width; x += LANES) {
        Vec by[MAPS];  // mean, variance, covariance
        size_t at = (size_t)y * l->width + x;
        int count = l->width - x;
        blur_columns(reach, reach->count, MAPS, l->pitch, x, by);
        Vec a = load_part(l->image + at, count), b = load_part(l->target + at, count), difference = a - b;
        Vec sign = keep(difference > 0, (Vec)l1_share) - keep(difference < 0, (Vec)l1_share);
        total += vabs(difference);
        store_part(l->gradient + at, (by[0] + 2 * a * by[1] + b * by[2]) * ssim_share + sign, count);
    }
    return sum_lanes(total);
}

static void job_loss_gradient(void* context, int thread, int first, int last) {
    Loss* l = context;
    float* ring = l->scratch + thread * l->scratch_size;
    int windows = window_row(l, l->height);
    float ssim_share = -l->lambda / (3.f * l->width * windows), l1_share = (1 - l->lambda) / (3.f * l->width * l->height);
    for (int band = first; band < last; band++) {
        int bottom = min_int((band + 1) * BAND, l->height), next = window_row(l, band * BAND - RADIUS);
        double sum = 0;
        for (int y = band * BAND; y < bottom; y++) {
            for (; next < windows && l->phase + next * l->stride <= y + RADIUS; next++) blur_maps(l, next, ring_row(ring, next, MAPS, l->pitch));
            Reach reach = windows_over(l, ring, y);
            sum += gradient_row(l, &reach, y, ssim_share, l1_share);
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
