// The built-in engine's kernels: a differentiable Gaussian rasterizer, its loss and its optimiser, for any CPU.
// Nothing here reads or writes outside the arrays it is given, allocates per step once sizes are settled, or depends on
// the number of threads. Compile without -ffast-math: rounding tricks and NaN tests rely on IEEE arithmetic.
#include "compose.h"
#include "contribution.h"
#include "exposure.h"
#include "loss.h"
#include "optimise.h"
#include "png.h"
#include "projection_back.h"
#include "raster_back.h"
#include "rows.h"
#include "sampling.h"
#include "terms.h"
#include "visibility_stats.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#ifdef _WIN32
#define API __declspec(dllexport)
#else
#define API __attribute__((visibility("default")))
#endif

enum { ABI = 7, OUT_OF_MEMORY = -1, TOO_MANY_PAIRS = -2, NOT_FINITE = -3 };
enum { CHUNK = 16 /* blocks that a thread takes at a time, whose share of the pose's gradient is added up together */ };

// Where the time of a step goes; library.py names them.
enum Stage { COMPOSE, PROJECT, SORT, BIN, RASTER, LOSS, RASTER_BACK, PROJECT_BACK, STAGES };

enum Memory {
    PROJECTED, KEYS, KEYS_OTHER, ORDER, ORDER_OTHER, DIGIT_PLACES, TILE_PLACES, TILE_FIRST, TILE_LAST, PAIRS, FOOTPRINTS, SLOT_FIRST, MOMENTS,
    ABSOLUTE, ABSOLUTE_SUMS, POSE_SUMS, RGB, TRANSMITTANCE, TARGET, MAPS_OF_LOSS, LOSS_SCRATCH, BAND_SUMS, NORMALS, FEATURE_SUMS,
    FEATURE_GRADIENT, FEATURE_MOMENTS, TRANSMITTANCE_GRADIENT, ROW_SUMS, EXPOSED, EXPOSURE_SUMS, SHARES, MEMORIES
};

typedef struct {
    Pool pool;
    Frame frame;
    View view;
    Scene scene;
    int64_t pairs, room;  // pairs of Gaussian and tile; for how many there is memory
    float window[WINDOW];
    Buffer memory[MEMORIES];
    double seconds[STAGES];  // since the last splat_take_seconds
} Splat;

// Where gradients go, which are overwritten. Each may be NULL.
typedef struct {
    float* values;       // laid out as Scene.values
    float (*absolute)[2];  // [count]: sum over pixels of the absolute gradient by the projected centre ("absgrad" of AbsGS, Ye et al. 2024)
    float* pose;         // [12]: by the world-to-camera rotation [3, 3] and translation [3]
} Gradients;

// What a step of training learns from, and how.
typedef struct {
    const uint8_t* image;  // [H, W, channels], straight alpha in the fourth
    int32_t channels;
    float ssim_lambda;
    int32_t ssim_stride;   // SSIM's windows stand on every so many rows, other ones at each step; 0 and 1: on all
    float rates[6];        // means, quats, scales, opacities, constant and other harmonics
    float opacity_regularisation, scale_regularisation, needle_weight, noise;
    TermWeights weights;   // of the terms beyond colour; 0: left out
    uint32_t seed;         // of the noise
    int64_t step;          // counts from 1
    float *first, *second; // Adam's moments, laid out as Scene.values, which are updated
    const uint8_t* mask;   // [H, W], 0 where nothing is to be learned; or NULL
    const float *depth, *normals;  // true ones [H, W], [H, W, 3], 0 where unknown; or NULL
    const float* exposure; // [EXPOSURE] of the photo; or NULL
    float *exposure_gradient, *pose_gradient;  // [EXPOSURE], [12], which are overwritten; or NULL
    VisibilityStats* visibility_stats;  // [count], which are updated; or NULL
} StepInput;

API int splat_abi(void) { return ABI; }

// The level of x86-64 that this processor and system run: 2, 3 (AVX2) or 4 (AVX-512); 0 elsewhere.
API int splat_x86_level(void) {
#if defined(__x86_64__)
    enum { AVX_STATE = 0x06, AVX512_STATE = 0xe6 };  // registers that the system saves
    const unsigned level4 = bit_AVX512F | bit_AVX512DQ | bit_AVX512CD | bit_AVX512BW | bit_AVX512VL;
    unsigned a, b, c, d, saved, saved_high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_FMA)) return 2;
    __asm__("xgetbv" : "=a"(saved), "=d"(saved_high) : "c"(0));
    if ((saved & AVX_STATE) != AVX_STATE || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX2)) return 2;
    return (saved & AVX512_STATE) == AVX512_STATE && (b & level4) == level4 ? 4 : 3;
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

API void splat_free(Splat* s) {
    pool_stop(&s->pool);
    for (int i = 0; i < MEMORIES; i++) buffer_free(&s->memory[i]);
    free(s);
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

// Bytes that the kernels hold beside the arrays they are given.
API int64_t splat_memory(const Splat* s) {
    int64_t bytes = 0;
    for (int i = 0; i < MEMORIES; i++) bytes += (int64_t)s->memory[i].size;
    return bytes;
}

#define RESERVE(pointer, name, count)                                                  \
    do {                                                                               \
        pointer = reserve(&s->memory[name], sizeof *(pointer) * (size_t)(count));      \
        if (!(pointer)) {                                                              \
            s->room = 0; /* the next frame may need less */                            \
            return OUT_OF_MEMORY;                                                      \
        }                                                                              \
    } while (0)

static int reserve_for_gaussians(Splat* s) {
    Frame* f = &s->frame;
    int64_t rows = (int64_t)block_count(&s->scene) * BLOCK;
    int tiles = f->lens.columns * f->lens.rows;
    RESERVE(f->projected, PROJECTED, rows);
    RESERVE(f->keys, KEYS, rows);
    RESERVE(f->keys_other, KEYS_OTHER, rows);
    RESERVE(f->order, ORDER, rows);
    RESERVE(f->order_other, ORDER_OTHER, rows);
    RESERVE(f->footprints, FOOTPRINTS, rows);
    RESERVE(f->slot_first, SLOT_FIRST, rows + 1);
    RESERVE(f->digit_places, DIGIT_PLACES, DIGITS * f->parts);
    RESERVE(f->tile_places, TILE_PLACES, (int64_t)tiles * f->parts);
    RESERVE(f->tile_first, TILE_FIRST, tiles + 1);
    RESERVE(f->tile_last, TILE_LAST, tiles);
    return 0;
}

static int reserve_for_pairs(Splat* s) {
    Frame* f = &s->frame;
    if (s->pairs > s->room) s->room = with_spare(s->pairs);
    RESERVE(f->pairs, PAIRS, s->room);
    return 0;
}

// Images that are drawn: rgb [3, H, W], transmittance [H, W], and sums [features, H, W] of none, the first or all features.
typedef struct {
    float *rgb, *transmittance, *feature_sums;
    int features;
} Drawing;

// Which Gaussians lie on which tiles. Returns the number of pairs of both, or a negative error. The arrays of `scene` must stay.
static int64_t list_pairs(Splat* s, const Scene* scene, const View* view, const Drawing* to) {
    Frame* f = &s->frame;
    s->scene = *scene;
    s->view = *view;
    *f = (Frame){.scene = &s->scene, .lens = make_lens(&s->view), .parts = s->pool.threads, .rgb = to->rgb, .transmittance = to->transmittance,
                 .feature_sums = to->feature_sums, .features = to->features};
    int error = reserve_for_gaussians(s);
    if (error) return error;
    if (f->features > NORMAL) RESERVE(f->normals, NORMALS, (int64_t)block_count(scene) * BLOCK);
    double start = now();
    parallel_for(&s->pool, job_project, f, block_count(scene), CHUNK);
    if (f->normals) parallel_for(&s->pool, job_normals, f, block_count(scene), CHUNK);
    start = note(s, PROJECT, start);
    sort_by_depth(&s->pool, f);
    start = note(s, SORT, start);
    parallel_for(&s->pool, job_count_pairs, f, f->parts, 1);
    s->pairs = place_pairs(f);
    if (s->pairs < 0) return TOO_MANY_PAIRS;
    error = reserve_for_pairs(s);
    if (error) return error;
    parallel_for(&s->pool, job_fill_pairs, f, f->parts, 1);
    note(s, BIN, start);
    return s->pairs;
}

// Returns as list_pairs(). The images must stay until the way back, too.
static int64_t draw(Splat* s, const Scene* scene, const View* view, const Drawing* to) {
    int64_t pairs = list_pairs(s, scene, view, to);
    double start = now();
    if (pairs >= 0) parallel_for(&s->pool, job_raster, &s->frame, s->frame.lens.columns * s->frame.lens.rows, 4);
    note(s, RASTER, start);
    return pairs;
}

// Draw. depth [H, W] (expected depth) may be NULL. Returns as draw(), for splat_backward.
API int64_t splat_forward(Splat* s, const Scene* scene, const View* view, float* rgb, float* transmittance, float* depth) {
    Drawing drawing = {rgb, transmittance, depth, depth ? ONLY_DEPTH : 0};
    int64_t pairs = draw(s, scene, view, &drawing);
    if (pairs >= 0 && depth) parallel_for(&s->pool, job_expected_depth, &s->frame, view->height, 16);
    return pairs;
}

// The way back from moments to parameters, and at once to their update when there is something to learn.
typedef struct {
    const Frame* frame;
    const Gradients* gradients;
    const Learning* learning;  // or NULL
    double (*pose_sums)[12];   // of each chunk, or NULL
} WayBack;

static void store_gradient(const Scene* scene, float* to, const Vec* gradient) {
    int active = SH + 3 * active_sh(scene);
    for (int i = 0; i < components(scene); i++) store(to + i * BLOCK, i < active ? gradient[i] : (Vec)0.f);
}

static int any_seen(const Projected* g) {
    int seen = 0;
    for (int lane = 0; lane < LANES; lane++) seen |= g[lane].tiles[1];
    return seen;
}

static void back_lanes(const WayBack* b, int row, size_t at, PoseLanes* pose) {
    const Scene* scene = b->frame->scene;
    Vec gradient[MAX_COMPONENTS], by_feature[FEATURES];
    MomentLanes moments;
    int features = b->frame->feature_gradient != NULL;
    add_moments(b->frame, row, &moments, b->gradients->absolute);
    if (features) add_feature_moments(b->frame, row, by_feature);
    if (any_seen(&b->frame->projected[row]))
        project_back_lanes(b->frame, scene->values + at, row, &moments, features ? by_feature : NULL, gradient, pose);
    else memset(gradient, 0, sizeof gradient);
    if (b->gradients->values) store_gradient(scene, b->gradients->values + at, gradient);
    if (b->learning) learn(b->learning, at, row, (int)scene->count, SH + 3 * active_sh(scene), gradient);
}

static void job_project_back(void* context, int thread, int first_chunk, int last_chunk) {
    WayBack* b = context;
    (void)thread;
    size_t stride = (size_t)components(b->frame->scene) * BLOCK;
    for (int chunk = first_chunk; chunk < last_chunk; chunk++) {
        PoseLanes pose = {0};
        int end = min_int((chunk + 1) * CHUNK, block_count(b->frame->scene));
        for (int block = chunk * CHUNK; block < end; block++)
            for (int lane = 0; lane < BLOCK; lane += LANES) back_lanes(b, block * BLOCK + lane, block * stride + lane, b->pose_sums ? &pose : NULL);
        for (int i = 0; b->pose_sums && i < 12; i++) b->pose_sums[chunk][i] = sum_lanes(((Vec*)&pose)[i]);
    }
}

static int way_back(Splat* s, const Gradients* gradients, const Learning* learning) {
    Frame* f = &s->frame;
    WayBack b = {f, gradients, learning, NULL};
    int chunks = (block_count(&s->scene) + CHUNK - 1) / CHUNK;
    RESERVE(f->moments, MOMENTS, s->room);
    if (gradients->absolute) RESERVE(f->absolute, ABSOLUTE, s->room);
    if (gradients->pose) RESERVE(b.pose_sums, POSE_SUMS, chunks);
    if (f->feature_gradient) RESERVE(f->feature_moments, FEATURE_MOMENTS, s->room);
    double start = now();
    parallel_for(&s->pool, job_raster_back, f, f->lens.columns * f->lens.rows, 4);
    start = note(s, RASTER_BACK, start);
    parallel_for(&s->pool, job_project_back, &b, chunks, 1);
    for (int i = 0; gradients->pose && i < 12; i++) {
        double total = 0;
        for (int chunk = 0; chunk < chunks; chunk++) total += b.pose_sums[chunk][i];
        gradients->pose[i] = (float)total;
    }
    note(s, PROJECT_BACK, start);
    return 0;
}

// Gradients of the last splat_forward. transmittance_gradient may be NULL.
API int splat_backward(Splat* s, const float* rgb_gradient, const float* transmittance_gradient, const Gradients* gradients) {
    s->frame.rgb_gradient = rgb_gradient;
    s->frame.transmittance_gradient = transmittance_gradient;
    return way_back(s, gradients, NULL);
}

// Reserve what a comparison of `rgb` [3, H, W] with an image needs, and lay the image over the background.
static int begin_comparison(Splat* s, const View* view, const uint8_t* image, int channels, const uint8_t* mask, const float* rgb, Loss* l, Compose* c) {
    int width = view->width, height = view->height;
    size_t plane = (size_t)width * height;
    *l = (Loss){.width = width, .height = height, .bands = (height + BAND - 1) / BAND, .pitch = padded(width), .stride = 1};
    *c = (Compose){.image = image, .mask = mask, .width = width, .channels = channels, .plane = plane, .background = view->background, .rgb = rgb};
    memcpy(l->window, s->window, sizeof l->window);
    l->scratch_size = loss_scratch_size(l->pitch);
    RESERVE(c->planar, TARGET, 3 * plane);
    RESERVE(l->maps, MAPS_OF_LOSS, (size_t)MAPS * l->pitch * height);
    RESERVE(l->scratch, LOSS_SCRATCH, l->scratch_size * s->pool.threads);
    RESERVE(l->ssim, BAND_SUMS, 2 * l->bands);
    l->differences = l->ssim + l->bands;
    double start = now();
    parallel_for(&s->pool, job_compose, c, height, 16);
    note(s, COMPOSE, start);
    return 0;
}

static double sum_of(const double* values, int count) {
    double sum = 0;
    for (int i = 0; i < count; i++) sum += values[i];
    return sum;
}

// How an image is compared with another: the share of SSIM in the loss, and the rows of its windows.
typedef struct {
    float lambda;
    int32_t stride, phase;
} Comparison;

static int masked_loss(Splat* s, const View* view, const uint8_t* image, int channels, const uint8_t* mask, const float* rgb,
                       const Comparison* how, float* gradient, double* loss) {
    Loss l;
    Compose c;
    int error = begin_comparison(s, view, image, channels, mask, rgb, &l, &c);
    if (error) return error;
    double start = now(), ssim = 0, l1 = 0;
    l.lambda = how->lambda;
    l.stride = min_int(how->stride, view->height);
    l.phase = how->phase % l.stride;
    c.gradient = gradient;
    for (int channel = 0; channel < 3; channel++) {
        l.image = rgb + channel * c.plane;
        l.target = c.planar + channel * c.plane;
        l.gradient = gradient + channel * c.plane;
        parallel_for(&s->pool, job_ssim, &l, l.bands, 1);
        parallel_for(&s->pool, job_loss_gradient, &l, l.bands, 1);
        ssim += sum_of(l.ssim, l.bands);
        l1 += sum_of(l.differences, l.bands);
    }
    if (mask) parallel_for(&s->pool, job_ignore, &c, view->height, 16);
    note(s, LOSS, start);
    double windows = 3.0 * view->width * window_row(&l, view->height);
    *loss = (1 - l.lambda) * l1 / (3.0 * c.plane) + l.lambda * (1 - ssim / windows);
    return 0;
}

// Loss of `rgb` [3, H, W] against an image over the view's background, and its gradient. SSIM's windows stand on every `stride`-th row.
API int splat_loss(Splat* s, const View* view, const uint8_t* image, int channels, const float* rgb, float lambda, int stride, int phase,
                   float* gradient, double* loss) {
    Comparison how = {lambda, stride, phase};
    return masked_loss(s, view, image, channels, NULL, rgb, &how, gradient, loss);
}

static Learning learning_of(const Scene* scene, const StepInput* step_input) {
    static const int groups[] = {MEAN, QUAT, SCALE, OPACITY, SH, SH + 3, MAX_COMPONENTS};
    Learning l = {.values = (float*)scene->values, .first = step_input->first, .second = step_input->second, .noise = step_input->noise, .seed = step_input->seed};
    for (int group = 0; group < 6; group++)
        for (int i = groups[group]; i < groups[group + 1]; i++) l.rates[i] = (float)(step_input->rates[group] / (1 - pow(BETA1, (double)step_input->step)));
    l.second_scale = (float)(1 / sqrt(1 - pow(BETA2, (double)step_input->step)));
    l.opacity_penalty = step_input->opacity_regularisation / scene->count;
    l.scale_penalty = step_input->scale_regularisation / (3 * scene->count);
    l.needle_penalty = step_input->needle_weight / scene->count;
    return l;
}

static int needs_features(const TermWeights* w) { return w->depth > 0 || w->distortion > 0 || w->normals > 0; }

static int needs_terms(const TermWeights* w) { return w->alpha > 0 || w->transmittance > 0 || needs_features(w); }

// Adds the terms beyond colour to the loss; their gradients go to the frame.
static int add_terms(Splat* s, const View* view, const StepInput* step_input, const Drawing* d, float* by_transmittance, double* loss) {
    size_t plane = (size_t)view->width * view->height;
    const TermWeights* w = &step_input->weights;
    float share = 1.f / plane;
    Terms t = {.transmittance = d->transmittance, .sums = d->feature_sums, .image = step_input->image, .mask = step_input->mask,
               .depth = step_input->depth, .normals = step_input->normals, .width = view->width, .channels = step_input->channels,
               .plane = plane, .by_transmittance = by_transmittance,
               .weights = {w->alpha * share, w->transmittance * share, w->depth * share, w->distortion * share, w->normals * share}};
    RESERVE(t.row_sums, ROW_SUMS, view->height);
    if (t.sums) RESERVE(t.by_sums, FEATURE_GRADIENT, FEATURES * plane);
    parallel_for(&s->pool, job_terms, &t, view->height, 16);
    *loss += sum_of(t.row_sums, view->height);
    s->frame.feature_gradient = t.by_sums;
    return 0;
}

// From the gradient by what the photo's exposure makes to that by what is drawn, and by the exposure.
static int exposure_back(Splat* s, Exposure* e, int height, float* gradient, float* by_transmittance, float* by_values) {
    e->gradient = gradient;
    e->by_transmittance = by_transmittance;
    RESERVE(e->row_sums, EXPOSURE_SUMS, height);
    parallel_for(&s->pool, job_exposure_back, e, height, 16);
    for (int k = 0; k < EXPOSURE; k++) {
        double sum = 0;
        for (int row = 0; row < height; row++) sum += e->row_sums[row][k];
        by_values[k] = (float)sum;
    }
    return 0;
}

// The loss of what is drawn against the photo, and its gradients: by the colours into `gradient`, all others into the frame.
static int view_loss(Splat* s, const View* view, const StepInput* step_input, const Drawing* d, float* gradient, double* loss) {
    size_t plane = (size_t)view->width * view->height;
    int exposed = step_input->exposure != NULL, terms = needs_terms(&step_input->weights), error = 0;
    float* by_transmittance = NULL;
    Exposure e = {.rgb = d->rgb, .transmittance = d->transmittance, .background = view->background, .values = step_input->exposure,
                  .width = view->width, .plane = plane};
    if (exposed) {
        RESERVE(e.exposed, EXPOSED, 3 * plane);
        parallel_for(&s->pool, job_expose, &e, view->height, 16);
    }
    int stride = step_input->ssim_stride > 1 ? step_input->ssim_stride : 1;
    Comparison how = {step_input->ssim_lambda, stride, (int32_t)(step_input->step % stride)};
    error = masked_loss(s, view, step_input->image, step_input->channels, step_input->mask, exposed ? e.exposed : d->rgb, &how, gradient,
                        loss);
    if (error) return error;
    double start = now();
    if (exposed || terms) RESERVE(by_transmittance, TRANSMITTANCE_GRADIENT, plane);
    if (terms) error = add_terms(s, view, step_input, d, by_transmittance, loss);
    else if (exposed) memset(by_transmittance, 0, sizeof(float) * plane);
    if (!error && exposed) error = exposure_back(s, &e, view->height, gradient, by_transmittance, step_input->exposure_gradient);
    s->frame.transmittance_gradient = by_transmittance;
    note(s, LOSS, start);
    return error;
}

// A whole step of training: draw, compare, go back, update. The loss before the update, or an error, in which case nothing changes.
API int splat_step(Splat* s, const Scene* scene, const View* view, const StepInput* step_input, double* loss) {
    size_t plane = (size_t)view->width * view->height;
    Drawing d = {.features = needs_features(&step_input->weights) ? FEATURES : 0};
    float* gradient;
    RESERVE(d.rgb, RGB, 3 * plane);
    RESERVE(d.transmittance, TRANSMITTANCE, plane);
    if (d.features) RESERVE(d.feature_sums, FEATURE_SUMS, FEATURES * plane);
    RESERVE(gradient, TARGET, 3 * plane);  // which the loss reads pixel by pixel before it writes
    int64_t pairs = draw(s, scene, view, &d);
    if (pairs < 0) return (int)pairs;
    int error = view_loss(s, view, step_input, &d, gradient, loss);
    if (error) return error;
    if (!isfinite(*loss)) return NOT_FINITE;
    Learning learning = learning_of(scene, step_input);
    Gradients gradients = {.pose = step_input->pose_gradient};
    s->frame.rgb_gradient = gradient;
    if (step_input->visibility_stats) RESERVE(gradients.absolute, ABSOLUTE_SUMS, scene->count);
    error = way_back(s, &gradients, &learning);
    Seeing seeing = {&s->frame, gradients.absolute, step_input->visibility_stats};
    if (!error && step_input->visibility_stats) parallel_for(&s->pool, job_see, &seeing, (int)scene->count, 4096);
    return error;
}

// Draw and compare with an image over the view's background, colours beyond white cut off: mean squared error and mean SSIM over all pixels,
// of which the image's stand in for those that `mask` [H, W] (or NULL) hides with 0. Returns the number of pairs, or a negative error.
API int64_t splat_score(Splat* s, const Scene* scene, const View* view, const uint8_t* image, int channels, const uint8_t* mask, double* squares,
                        double* similarity) {
    size_t plane = (size_t)view->width * view->height;
    float *rgb, *transmittance;
    RESERVE(rgb, RGB, 3 * plane);
    RESERVE(transmittance, TRANSMITTANCE, plane);
    int64_t pairs = splat_forward(s, scene, view, rgb, transmittance, NULL);
    if (pairs < 0) return pairs;
    Loss l;
    Compose c;
    int error = begin_comparison(s, view, image, channels, NULL, rgb, &l, &c);
    if (error) return error;
    Show shown = {rgb, c.planar, mask, view->width, plane};
    parallel_for(&s->pool, job_show, &shown, view->height, 16);
    double ssim = 0, sum = 0;
    for (int channel = 0; channel < 3; channel++) {
        l.image = rgb + channel * plane;
        l.target = c.planar + channel * plane;
        parallel_for(&s->pool, job_ssim, &l, l.bands, 1);
        parallel_for(&s->pool, job_squares, &l, l.bands, 1);
        ssim += sum_of(l.ssim, l.bands);
        sum += sum_of(l.differences, l.bands);
    }
    *squares = sum / (3.0 * plane);
    *similarity = ssim / (3.0 * plane);
    return pairs;
}

// What each Gaussian adds to an image: `sums` [count, 1 + channels] of its weights (alpha times transmittance) and of weights times the
// `buffers` [channels, H, W] are added to, `largest` [count] weights raised. Returns the number of pairs, or a negative error.
API int64_t splat_contribution(Splat* s, const Scene* scene, const View* view, const float* buffers, int channels, float* sums, float* largest) {
    int64_t pairs = list_pairs(s, scene, view, &(Drawing){0});
    if (pairs < 0) return pairs;
    Contribution c = {.frame = &s->frame, .buffers = buffers, .channels = channels, .sums = sums, .largest = largest};
    RESERVE(c.shares, SHARES, s->room);
    for (c.first = 0; c.first == 0 || c.first < channels; c.first += CHANNELS) {
        parallel_for(&s->pool, job_share, &c, s->frame.lens.columns * s->frame.lens.rows, 4);
        parallel_for(&s->pool, job_add_shares, &c, (int)scene->count, 4096);
    }
    return pairs;
}

// Returns -1, or the number of the first row with an unknown filter.
API int splat_png_unfilter(const uint8_t* raw, int height, int stride, int pixel, uint8_t* out) {
    return png_unfilter(raw, height, stride, pixel, out);
}

// The area average of a picture at another size, [height, width, channels]; `sums` has room for width * pixel + 4 numbers of `from`.
API void splat_area_average(const Picture* from, int height, int width, float* sums, float* out) { area_average(from, height, width, sums, out); }

// Averages of bilinear samples, [height, width, channels]. Returns 0, or -1 for pixels of another size than 1, 3 or 4 bytes or words.
API int splat_average_samples(const Picture* from, const Samples* samples, float* out) { return average_samples(from, samples, out); }

// Bytes of straight alpha [count, 4] -> words times alpha.
API void splat_premultiply(const uint8_t* straight, int64_t count, uint16_t* out) { premultiply(straight, count, out); }

// Rows of blocks to `out`, [count, width], and from `in`.
API void splat_gather_rows(const Rows* rows, float* out) { gather_rows(rows, out); }
API void splat_scatter_rows(const Rows* rows, const float* in) { scatter_rows(rows, in); }

// Rows of blocks to others, one after the other, of which there must be as many.
API void splat_move_rows(const Rows* from, const Rows* to) { move_rows(from, to); }

// 1 where all values are numbers, else 0.
API int splat_all_finite(const float* values, int64_t count) { return all_finite(values, count); }
