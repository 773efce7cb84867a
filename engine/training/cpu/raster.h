// Compositing front to back within a tile.
#pragma once
#include <stddef.h>

#include "depth_normals.h"

#define ALPHA_MIN (1.f / 255.f)
#define ALPHA_MAX 0.999f
#define TRANSMITTANCE_MIN 1e-4f
#define NARROW 4.f    /* half width in pixels below which a window of LANES pixels follows a Gaussian's rows */
#define STEEPEST 6.f  /* largest log2 of the ratio of two rows' alphas that may be followed by multiplication */
#define FAINTEST 80.f /* largest -log2 of an alpha that may */

enum { PIXELS = TILE * TILE, VECTORS = TILE / LANES, CHECK_EVERY = 16 /* pairs between looks at which rows are still open */,
       RESTART = 8 /* rows that are followed by multiplication before the alpha is computed anew */,
       BATCH = 8 /* pairs that are looked at at once */ };
_Static_assert(CHECK_EVERY % BATCH == 0, "rows are looked at between batches");

// The pixels of a tile while Gaussians are laid over each other. A negative transmittance marks a finished pixel.
typedef struct {
    float transmittance[PIXELS], red[PIXELS], green[PIXELS], blue[PIXELS], features[FEATURES][PIXELS];
} Tile;

typedef struct {
    int number, x, y, width, height;  // x, y: its first pixel
} Place;

static Place place_of(const Frame* f, int number) {
    const View* v = f->lens.view;
    int x = number % f->lens.columns * TILE, y = number / f->lens.columns * TILE;
    return (Place){number, x, y, min_int(TILE, v->width - x), min_int(TILE, v->height - y)};
}

// The rows of a tile that still let light through, in each strip of LANES columns: bit strip * TILE + row.
static uint32_t open_rows(const float* transmittance, uint32_t rows) {
    uint32_t open = 0;
    for (int y = 0; y < TILE; y++)
        for (int strip = 0; strip < VECTORS; strip++) {
            int bit = strip * TILE + y;
            if (rows >> bit & 1) open |= (uint32_t)any(load(transmittance + y * TILE + strip * LANES) > 0.f) << bit;
        }
    return open;
}

INLINE uint32_t all_rows(int height) {
    uint32_t rows = (1u << height) - 1;
    return VECTORS == 2 ? rows | rows << TILE : rows;
}

INLINE uint32_t rows_of_strip(uint32_t rows, int strip) { return rows >> strip * TILE & ((1u << TILE) - 1); }

// Eight Gaussians as a tile sees them.
typedef struct {
    float x[BATCH], y[BATCH];            // centres, from the middle of the tile's first pixel
    uint32_t rows[BATCH];                // that they touch, as in open_rows()
    int32_t smooth[VECTORS][BATCH];      // whether the rows of a strip may be followed by multiplication
    int32_t narrow[BATCH];               // whether a window of LANES pixels follows the rows
    const Projected* gaussians[BATCH];
} Batch;

// Rows of a strip between `left` and `right` of the centres in which the ellipses reach over ALPHA_MIN: where they do at the strip's edges,
// or at their own top and bottom where those lie in the strip. begin > end: none.
//   alpha >= ALPHA_MIN: half_a (dx - slope dy)² + half_d dy² <= reach, solved for dy.
typedef struct {
    Float8 y, half_a, slope, half_d, reach;
} Ellipses;

INLINE void touched_rows(const Ellipses* e, Float8 left, Float8 right, Float8* first, Float8* last) {
    const float margin = 1e-3f;
    Float8 lean = e->half_a * e->slope, a = lean * e->slope + e->half_d, inverse = 1.f / a, both = e->half_a * e->half_d;
    Float8 top = e->slope * sqrt8(e->reach / e->half_d);  // dx of the lowest point; of the topmost with the other sign
    Float8 x_first = min8(max8(-top, left), right), x_last = min8(max8(top, left), right);
    Float8 d_first = a * e->reach - both * x_first * x_first, d_last = a * e->reach - both * x_last * x_last;
    Float8 from = e->y + (lean * x_first - sqrt8(max8(d_first, 0.f))) * inverse - margin;
    Float8 to = e->y + (lean * x_last + sqrt8(max8(d_last, 0.f))) * inverse + margin;
    from = min8(max8(__builtin_elementwise_ceil(from), 0.f), (float)TILE);
    to = min8(max8(__builtin_elementwise_floor(to), -1.f), (float)(TILE - 1));
    *first = ((d_first >= 0.f) | (d_last >= 0.f)) ? from : (Float8)(float)TILE;
    *last = max8(to, *first - 1.f);
}

// Whether rows may be followed by multiplication: an alpha is the one above it times a ratio, which itself changes by a constant
// factor. Errors grow with the ratio's exponent and with the number of rows, and an alpha that begins as zero stays zero.
INLINE Int8 is_smooth(const Ellipses* e, Float8 left, Float8 right, Float8 first, Float8 last) {
    Float8 slope = abs8(e->slope), far_x = max8(abs8(left), abs8(right)), far_y = max8(abs8(first - e->y), abs8(last - e->y));
    Float8 across = far_x + slope * far_y, odd = 2.f * far_y + 1.f;
    Float8 steepness = e->half_a * slope * (2.f * far_x + slope * odd) + e->half_d * odd;
    return (steepness < STEEPEST) & (e->half_a * across * across + e->half_d * far_y * far_y < FAINTEST);
}

// Look at pairs from `pair` on, all at once; behind `end` at the last one again. The Gaussians lie scattered in memory, so that the next
// are fetched.
static __attribute__((noinline)) void prepare(const Frame* f, const Place* tile, int pair, int end, Batch* b) {
    Float8 parts[BATCH];
    for (int i = 0; i < BATCH; i++) {
        b->gaussians[i] = &f->projected[f->pairs[min_int(pair + i, end - 1)].row];
        parts[i] = *(const UnalignedFloat8*)b->gaussians[i];
        __builtin_prefetch(&f->projected[f->pairs[min_int(pair + BATCH + i, end - 1)].row]);
    }
    transpose8(parts);  // in the order of Projected
    Float8 x = parts[0] - (tile->x + 0.5f);
    Ellipses e = {parts[1] - (tile->y + 0.5f), parts[2], parts[3], parts[4], parts[5] + LOG2_255};
    Int8 rows = 0;
    for (int strip = 0; strip < VECTORS; strip++) {
        Float8 left = (float)(strip * LANES) - x, right = left + (float)(LANES - 1), first, last;
        touched_rows(&e, left, right, &first, &last);
        *(Int8*)b->smooth[strip] = is_smooth(&e, left, right, first, last);
        Int8 begin = __builtin_convertvector(first, Int8), end_row = __builtin_convertvector(last, Int8) + 1;
        rows |= (((Int8)1 << end_row) - ((Int8)1 << begin)) << (strip * TILE);
    }
    *(UnalignedFloat8*)b->x = x;
    *(UnalignedFloat8*)b->y = e.y;
    *(Int8*)b->rows = rows;
    *(Int8*)b->narrow = VECTORS == 2 ? e.reach < NARROW * NARROW * e.half_a : (Int8)0;  // half_width² = reach / half_a
}

// Alphas of one vector of pixels, row after row.
typedef struct {
    Vec dx;            // from the centre, the same in all rows
    Vec alpha, ratio;  // of this row; of the next row to this one
} Column;

INLINE Vec row_alpha(const Projected* g, Vec across, float dy) {
    return exp2_vec(g->log2_opacity - g->half_d * dy * dy - g->half_a * across * across);
}

INLINE void begin_rows(Column* c, const Projected* g, float dy) {
    float odd = 2 * dy + 1;  // (dy + 1)² - dy²
    c->alpha = row_alpha(g, c->dx - g->slope * dy, dy);
    c->ratio = exp2_vec(g->half_a * g->slope * (2.f * c->dx - g->slope * odd) - g->half_d * odd);
}

INLINE void next_row(Column* c, const Projected* g) {
    c->alpha *= c->ratio;
    c->ratio *= g->decay;
}

INLINE int window_start(float center, float half_width) { return clamped_int(ceilf(center - half_width), 0, TILE - LANES); }

INLINE Vec visible(Vec alpha) { return keep(alpha >= ALPHA_MIN, vmin(alpha, (Vec)ALPHA_MAX)); }

// How much of a Gaussian reaches the eye; the transmittance moves on.
INLINE Vec light_through(float* transmittance, Vec alpha, Vec* before, Mask* open) {
    *before = load(transmittance);
    Vec after = *before - *before * alpha;
    *open = after > TRANSMITTANCE_MIN;
    store(transmittance, choose(*open, after, -vabs(*before)));
    return keep(*open, alpha * *before);
}

INLINE void blend_vector(Tile* tile, int at, const Projected* g, Vec alpha, const float* values, int features) {
    Mask open;
    Vec before, weight = light_through(tile->transmittance + at, visible(alpha), &before, &open);
    store(tile->red + at, load(tile->red + at) + weight * g->color[0]);
    store(tile->green + at, load(tile->green + at) + weight * g->color[1]);
    store(tile->blue + at, load(tile->blue + at) + weight * g->color[2]);
    for (int k = 0; k < features; k++) store(tile->features[k] + at, load(tile->features[k] + at) + weight * values[k]);
}

INLINE void blend_strip(Tile* tile, const Projected* g, float x, float center_y, int strip, uint32_t rows, int smooth, const float* values,
                        int features) {
    if (!rows) return;
    int y = first_bit(rows), last = last_bit(rows), at = y * TILE + strip * LANES;
    float dy = y - center_y;
    Column c = {.dx = lane_numbers() + (strip * LANES - x)};
    while (smooth && y <= last) {
        begin_rows(&c, g, dy);
        for (int stop = min_int(last + 1, y + RESTART); y < stop; y++, at += TILE, dy += 1.f) {
            blend_vector(tile, at, g, c.alpha, values, features);
            next_row(&c, g);
        }
    }
    for (; y <= last; y++, at += TILE, dy += 1.f) blend_vector(tile, at, g, row_alpha(g, c.dx - g->slope * dy, dy), values, features);
}

INLINE void blend_narrow(Tile* tile, const Projected* g, float x, float center_y, uint32_t rows, const float* values, int features) {
    int last = last_bit(rows);
    for (int y = first_bit(rows); y <= last; y++) {
        float dy = y - center_y, center = x + g->slope * dy;
        int start = window_start(center, g->half_width);
        blend_vector(tile, y * TILE + start, g, row_alpha(g, lane_numbers() + (start - center), dy), values, features);
    }
}

INLINE void blend(const Frame* f, Tile* tile, const Batch* b, int i, uint32_t open, int features) {
    const Projected* g = b->gaussians[i];
    uint32_t rows = b->rows[i] & open;
    if (!rows) return;
    float values[FEATURES];
    features_of(f, g, features, values);
    if (b->narrow[i]) blend_narrow(tile, g, b->x[i], b->y[i], rows_of_strip(rows | rows >> TILE, 0), values, features);
    else
        for (int strip = 0; strip < VECTORS; strip++)
            blend_strip(tile, g, b->x[i], b->y[i], strip, rows_of_strip(rows, strip), b->smooth[strip][i], values, features);
}

static void clear_tile(Tile* tile, const Place* place, int features) {
    memset(tile, 0, offsetof(Tile, features) + features * sizeof *tile->features);
    if (place->width == TILE && place->height == TILE) {
        for (int at = 0; at < PIXELS; at += LANES) store(tile->transmittance + at, (Vec)1.f);
        return;
    }
    for (int y = 0; y < TILE; y++)
        for (int x = 0; x < TILE; x++) tile->transmittance[y * TILE + x] = y < place->height && x < place->width ? 1.f : -1.f;
}

static void store_tile(const Frame* f, const Tile* tile, const Place* place, int features) {
    const View* v = f->lens.view;
    size_t plane = (size_t)v->width * v->height;
    for (int y = 0; y < place->height; y++) {
        size_t to = (size_t)(place->y + y) * v->width + place->x;
        int at = y * TILE, x = 0;
        for (; x + LANES <= place->width; x += LANES, to += LANES, at += LANES) {
            Vec rest = vabs(load(tile->transmittance + at));
            store(f->transmittance + to, rest);
            store(f->rgb + to, load(tile->red + at) + rest * v->background[0]);
            store(f->rgb + plane + to, load(tile->green + at) + rest * v->background[1]);
            store(f->rgb + 2 * plane + to, load(tile->blue + at) + rest * v->background[2]);
            for (int k = 0; k < features; k++) store(f->feature_sums + k * plane + to, load(tile->features[k] + at));
        }
        for (; x < place->width; x++, to++, at++) {
            float rest = fabsf(tile->transmittance[at]);
            f->transmittance[to] = rest;
            f->rgb[to] = tile->red[at] + rest * v->background[0];
            f->rgb[plane + to] = tile->green[at] + rest * v->background[1];
            f->rgb[2 * plane + to] = tile->blue[at] + rest * v->background[2];
            for (int k = 0; k < features; k++) f->feature_sums[k * plane + to] = tile->features[k][at];
        }
    }
}

// Returns the first pair that nothing of is seen any more.
INLINE int blend_pairs(const Frame* f, Tile* tile, const Place* place, int features) {
    int pair = f->tile_first[place->number], end = f->tile_first[place->number + 1], look = pair + CHECK_EVERY;
    uint32_t open = all_rows(place->height);
    Batch batch __attribute__((aligned(64)));
    for (; pair < end; pair += BATCH) {
        if (pair == look) {
            look += CHECK_EVERY;
            open = open_rows(tile->transmittance, open);
            if (!open) break;
        }
        prepare(f, place, pair, end, &batch);
        for (int i = 0; i < BATCH && pair + i < end; i++) blend(f, tile, &batch, i, open, features);
    }
    return min_int(pair, end);
}

static void job_raster(void* context, int thread, int first, int last) {
    Frame* f = context;
    (void)thread;
    Tile tile __attribute__((aligned(64)));
    for (int number = first; number < last; number++) {
        Place place = place_of(f, number);
        clear_tile(&tile, &place, f->features);
        f->tile_last[number] = !f->features                ? blend_pairs(f, &tile, &place, 0)
                               : f->features == ONLY_DEPTH ? blend_pairs(f, &tile, &place, ONLY_DEPTH)
                                                           : blend_pairs(f, &tile, &place, FEATURES);
        store_tile(f, &tile, &place, f->features);
    }
}
