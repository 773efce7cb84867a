// The built-in engine's kernels: a differentiable Gaussian rasterizer, its loss and its optimiser, for any CPU.
// Nothing here reads or writes outside the arrays it is given, allocates per step once sizes are settled, or depends on
// the number of threads. Compile without -ffast-math: rounding tricks and NaN tests rely on IEEE arithmetic.
#include "loss.h"
#include "raster.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#ifdef _WIN32
#define API __declspec(dllexport)
#else
#define API __attribute__((visibility("default")))
#endif

enum { ABI = 1, OUT_OF_MEMORY = -1, TOO_MANY_PAIRS = -2 };

// Where the time of a step goes; library.py names them.
enum Stage { PROJECT, SORT, BIN, RASTER, LOSS, RASTER_BACK, PROJECT_BACK, ADAM, COMPOSE, STAGES };

typedef struct {
    double seconds[STAGES];  // since the last splat_take_seconds
    Pool pool;
    Frame frame;
    View view;
    Scene scene;
    int64_t pairs;
    float window[WINDOW];
    Buffer projected, bounds, sorted, rank, keys, keys_other, order, order_other, counts, tile_first, pair_gaussian, gaussian_first, slots, tile_last,
        moments, maps, loss_scratch, band_sums;
} Splat;

API int splat_abi(void) { return ABI; }

// Whether this processor runs the faster x86-64 build.
API int splat_has_avx2(void) {
#if defined(__x86_64__)
    unsigned a, b, c, d, saved_low, saved_high;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    if (!(c & bit_OSXSAVE) || !(c & bit_FMA)) return 0;
    __asm__("xgetbv" : "=a"(saved_low), "=d"(saved_high) : "c"(0));
    if ((saved_low & 6) != 6) return 0;  // the system does not save the wide registers
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX2);
#else
    return 0;
#endif
}

API Splat* splat_new(int threads) {
    Splat* s = calloc(1, sizeof(Splat));
    if (!s) return NULL;
    pool_start(&s->pool, threads);
    fill_window(s->window);
    return s;
}

static double note(Splat* s, enum Stage stage, double since) {
    double until = now();
    s->seconds[stage] += until - since;
    return until;
}

// Copies the seconds spent in each stage and starts counting anew.
API int splat_take_seconds(Splat* s, double* seconds) {
    memcpy(seconds, s->seconds, sizeof s->seconds);
    memset(s->seconds, 0, sizeof s->seconds);
    return STAGES;
}

API void splat_free(Splat* s) {
    pool_stop(&s->pool);
    Buffer* all[] = {&s->projected, &s->bounds, &s->sorted, &s->rank, &s->keys, &s->keys_other, &s->order, &s->order_other, &s->counts, &s->tile_first,
                     &s->pair_gaussian, &s->gaussian_first, &s->slots, &s->tile_last, &s->moments, &s->maps, &s->loss_scratch, &s->band_sums};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buffer_free(all[i]);
    free(s);
}

#define RESERVE(field, buffer, count)                                          \
    do {                                                                       \
        f->field = reserve(&s->buffer, sizeof *f->field * (size_t)(count));    \
        if (!f->field) return OUT_OF_MEMORY;                                   \
    } while (0)

static int reserve_for_gaussians(Splat* s) {
    Frame* f = &s->frame;
    int64_t count = s->scene.count;
    int tiles = f->lens.columns * f->lens.rows;
    RESERVE(projected, projected, count);
    RESERVE(bounds, bounds, count);
    RESERVE(sorted, sorted, count);
    RESERVE(rank, rank, count);
    RESERVE(keys, keys, count);
    RESERVE(keys_other, keys_other, count);
    RESERVE(order, order, count);
    RESERVE(order_other, order_other, count);
    RESERVE(gaussian_first, gaussian_first, count + 1);
    RESERVE(counts, counts, (int64_t)tiles * f->parts);
    RESERVE(tile_first, tile_first, tiles + 1);
    RESERVE(tile_last, tile_last, tiles);
    return 0;
}

static int reserve_for_pairs(Splat* s) {
    Frame* f = &s->frame;
    RESERVE(pair_gaussian, pair_gaussian, s->pairs);
    RESERVE(slots, slots, s->pairs);
    return 0;
}

// Draw. rgb [3, H, W], transmittance [H, W], depth [H, W] (expected depth) or NULL. Returns the number of pairs of Gaussian
// and tile, or a negative error. The arrays of `scene` and the images must stay until splat_backward.
API int64_t splat_forward(Splat* s, const Scene* scene, const View* view, float* rgb, float* transmittance, float* depth) {
    Frame* f = &s->frame;
    s->scene = *scene;
    s->view = *view;
    *f = (Frame){.scene = &s->scene, .lens = make_lens(&s->view), .parts = s->pool.threads, .rgb = rgb, .transmittance = transmittance, .depth = depth};
    int error = reserve_for_gaussians(s);
    if (error) return error;
    double start = now();
    parallel_for(&s->pool, job_project, f, (int)scene->count, 1024);
    start = note(s, PROJECT, start);
    sort_by_depth(f);
    parallel_for(&s->pool, job_reorder, f, f->seen, 4096);
    start = note(s, SORT, start);
    parallel_for(&s->pool, job_count, f, f->parts, 1);
    s->pairs = place_pairs(f);
    if (s->pairs < 0) return TOO_MANY_PAIRS;
    error = reserve_for_pairs(s);
    if (error) return error;
    parallel_for(&s->pool, job_fill, f, f->parts, 1);
    start = note(s, BIN, start);
    parallel_for(&s->pool, job_raster, f, f->lens.columns * f->lens.rows, 4);
    note(s, RASTER, start);
    return s->pairs;
}

// Gradients of the last splat_forward, which overwrite `gradients`. transmittance_gradient may be NULL.
API int splat_backward(Splat* s, const float* rgb_gradient, const float* transmittance_gradient, const Gradients* gradients) {
    Frame* f = &s->frame;
    RESERVE(moments, moments, s->pairs);
    f->rgb_gradient = rgb_gradient;
    f->transmittance_gradient = transmittance_gradient;
    f->gradients = gradients;
    double start = now();
    parallel_for(&s->pool, job_raster_back, f, f->lens.columns * f->lens.rows, 4);
    start = note(s, RASTER_BACK, start);
    parallel_for(&s->pool, job_project_back, f, (int)s->scene.count, 1024);
    note(s, PROJECT_BACK, start);
    return 0;
}

// Loss of planar images [3, H, W] into `loss`, its gradient with respect to `image` into `gradient`.
API int splat_loss(Splat* s, int width, int height, const float* image, const float* target, float lambda, float* gradient, double* loss) {
    size_t plane = (size_t)width * height;
    Loss l = {.width = width, .height = height, .bands = (height + BAND - 1) / BAND, .pitch = ((width + 7) & ~7) + 16, .image = image,
              .target = target, .gradient = gradient, .lambda = lambda};
    int bands = 3 * l.bands;
    memcpy(l.window, s->window, sizeof l.window);
    l.scratch_size = loss_scratch_size(l.pitch);
    l.maps = reserve(&s->maps, sizeof(float) * 3 * MAPS * plane);
    l.scratch = reserve(&s->loss_scratch, sizeof(float) * l.scratch_size * s->pool.threads);
    l.ssim = reserve(&s->band_sums, sizeof(double) * 2 * bands);
    if (!l.maps || !l.scratch || !l.ssim) return OUT_OF_MEMORY;
    l.l1 = l.ssim + bands;
    double start = now();
    parallel_for(&s->pool, job_ssim, &l, bands, 1);
    parallel_for(&s->pool, job_loss_gradient, &l, bands, 1);
    double ssim = 0, l1 = 0;
    for (int i = 0; i < bands; i++) {
        ssim += l.ssim[i];
        l1 += l.l1[i];
    }
    note(s, LOSS, start);
    *loss = (1 - lambda) * l1 / (3.0 * plane) + lambda * (1 - ssim / (3.0 * plane));
    return 0;
}

typedef struct {
    float *values, *first, *second;
    const float* gradient;
    float rate, beta1, beta2, epsilon, second_scale;
    int64_t count;
} Adam;

enum { ADAM_BLOCK = 4096 };

static void job_adam(void* context, int thread, int first_block, int last_block) {
    Adam* a = context;
    (void)thread;
    int64_t end = (int64_t)last_block * ADAM_BLOCK;
    if (end > a->count) end = a->count;
    float *restrict values = a->values, *restrict first = a->first, *restrict second = a->second;
    const float* restrict gradient = a->gradient;
    for (int64_t i = (int64_t)first_block * ADAM_BLOCK; i < end; i++) {
        float g = gradient[i];
        first[i] += (1 - a->beta1) * (g - first[i]);
        second[i] = a->beta2 * second[i] + (1 - a->beta2) * g * g;
        values[i] -= a->rate * first[i] / (sqrtf(second[i]) * a->second_scale + a->epsilon);
    }
}

// One step of Adam (Kingma and Ba 2015); `step` counts from 1.
API void splat_adam(Splat* s, int64_t count, float* values, const float* gradient, float* first, float* second, float rate, float beta1,
                    float beta2, float epsilon, int64_t step) {
    Adam a = {values, first, second, gradient, (float)(rate / (1 - pow(beta1, (double)step))), beta1, beta2, epsilon,
              (float)(1 / sqrt(1 - pow(beta2, (double)step))), count};
    double start = now();
    parallel_for(&s->pool, job_adam, &a, (int)((count + ADAM_BLOCK - 1) / ADAM_BLOCK), 4);
    note(s, ADAM, start);
}

typedef struct {
    const uint8_t* image;
    int width, height, channels;
    float background[3];
    float* planar;
} Compose;

static void job_compose(void* context, int thread, int first, int last) {
    Compose* c = context;
    (void)thread;
    size_t plane = (size_t)c->width * c->height;
    for (size_t i = (size_t)first * c->width; i < (size_t)last * c->width; i++) {
        const uint8_t* pixel = c->image + i * c->channels;
        float alpha = c->channels == 4 ? pixel[3] * (1 / 255.f) : 1.f;
        for (int k = 0; k < 3; k++) c->planar[k * plane + i] = pixel[k] * (1 / 255.f) * alpha + c->background[k] * (1 - alpha);
    }
}

// uint8 [H, W, 3 or 4], straight alpha, over a background -> planar floats [3, H, W] in [0, 1].
API void splat_compose(Splat* s, const uint8_t* image, int width, int height, int channels, const float* background, float* planar) {
    Compose c = {image, width, height, channels, {background[0], background[1], background[2]}, planar};
    double start = now();
    parallel_for(&s->pool, job_compose, &c, height, 16);
    note(s, COMPOSE, start);
}

static int paeth(int left, int up, int corner) {
    int guess = left + up - corner, a = abs(guess - left), b = abs(guess - up), c = abs(guess - corner);
    return a <= b && a <= c ? left : b <= c ? up : corner;
}

// Undo the filters of PNG rows (PNG specification, section 9): height rows of a filter byte and `stride` bytes.
// Returns -1, or the number of the first row with an unknown filter.
API int splat_png_unfilter(const uint8_t* raw, int height, int stride, int pixel, uint8_t* out) {
    for (int y = 0; y < height; y++) {
        const uint8_t* from = raw + (size_t)y * (stride + 1) + 1;
        uint8_t* to = out + (size_t)y * stride;
        const uint8_t* above = y ? to - stride : NULL;
        int filter = from[-1];
        if (filter > 4) return y;
        for (int i = 0; i < stride; i++) {
            int left = i >= pixel ? to[i - pixel] : 0, up = above ? above[i] : 0, corner = above && i >= pixel ? above[i - pixel] : 0;
            int guess = filter == 0 ? 0 : filter == 1 ? left : filter == 2 ? up : filter == 3 ? (left + up) / 2 : paeth(left, up, corner);
            to[i] = (uint8_t)(from[i] + guess);
        }
    }
    return -1;
}
