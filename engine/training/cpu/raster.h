// Tiles of 16 x 16 pixels: which Gaussians touch which, compositing front to back, and the way back.
#pragma once
#include "projection.h"

#define ALPHA_MIN (1.f / 255.f)
#define ALPHA_MAX 0.999f
#define TRANSMITTANCE_MIN 1e-4f
#define CHECK_EVERY 16 /* Gaussians between looks at which rows of a tile still let light through */

enum { PIXELS = TILE * TILE };

// Everything of one frame between projection and the image.
typedef struct {
    const Scene* scene;
    Lens lens;
    int seen;                   // number of Gaussians on the image
    Projected* projected;       // [count], in the scene's order
    Bounds* bounds;             // [count]
    Projected* sorted;          // [seen], by depth
    int32_t* rank;              // [count]: place in `sorted`
    uint32_t *keys, *keys_other;
    int32_t *order, *order_other;
    int parts;                  // `sorted` is binned in so many parts at once
    int32_t* counts;            // [parts, tiles]
    int32_t* tile_first;        // [tiles + 1]: where a tile's pairs begin
    int32_t* pair_gaussian;     // [pairs]: place in `sorted`
    int32_t* gaussian_first;    // [seen + 1]: where a Gaussian's slots begin
    int32_t* slots;             // [pairs]: a Gaussian's pairs
    int32_t* tile_last;         // [tiles]: pairs from here on were hidden
    Moments* moments;           // [pairs]
    float *rgb, *transmittance, *depth;  // planar [3, H, W], [H, W], [H, W] or NULL
    const float *rgb_gradient, *transmittance_gradient;
    const Gradients* gradients;
    int failed;
} Frame;

static void job_project(void* context, int thread, int first, int last) {
    Frame* f = context;
    (void)thread;
    for (int row = first; row < last; row++) project_one(f->scene, &f->lens, row, &f->projected[row], &f->bounds[row]);
}

// Stable radix sort by depth: positive floats sort like their bits. The result lands in `order_other`.
static void sort_by_depth(Frame* f) {
    f->seen = 0;
    for (int64_t row = 0; row < f->scene->count; row++) {
        if (!f->bounds[row].seen) continue;
        memcpy(&f->keys[f->seen], &f->projected[row].depth, 4);
        f->order[f->seen++] = (int32_t)row;
    }
    uint32_t *keys = f->keys, *keys_to = f->keys_other;
    int32_t *order = f->order, *order_to = f->order_other;
    for (int shift = 0; shift < 33; shift += 11) {
        uint32_t places[2048] = {0}, place = 0;
        for (int i = 0; i < f->seen; i++) places[keys[i] >> shift & 2047]++;
        for (int i = 0; i < 2048; i++) {
            uint32_t count = places[i];
            places[i] = place;
            place += count;
        }
        for (int i = 0; i < f->seen; i++) {
            uint32_t to = places[keys[i] >> shift & 2047]++;
            keys_to[to] = keys[i];
            order_to[to] = order[i];
        }
        uint32_t* k = keys;
        keys = keys_to;
        keys_to = k;
        int32_t* o = order;
        order = order_to;
        order_to = o;
    }
    f->order = order_to;
    f->order_other = order;
}

static void job_reorder(void* context, int thread, int first, int last) {
    Frame* f = context;
    (void)thread;
    for (int i = first; i < last; i++) {
        f->sorted[i] = f->projected[f->order_other[i]];
        f->rank[f->order_other[i]] = i;
    }
}

// Columns of tiles that the ellipse itself (not its box) touches in one row of tiles.
static void touched_columns(const Projected* g, const Bounds* bounds, int tile_row, int* first, int* last) {
    float top = tile_row * TILE + 0.5f - g->y, bottom = top + (TILE - 1);
    top = fmaxf(top, -g->extent_y);
    bottom = fminf(bottom, g->extent_y);
    float rightmost = g->slope * g->extent_y * g->extent_y / g->extent_x;  // dy of the rightmost point
    float reach[2];
    for (int side = 0; side < 2; side++) {
        float dy = fminf(fmaxf(side ? rightmost : -rightmost, top), bottom);
        float half2 = (g->reach2 - dy * dy * g->determinant) * g->inverse_a;
        float half = half2 > 0 ? sqrtf(half2) : 0;
        reach[side] = g->slope * dy + (side ? half : -half);
    }
    *first = clamped_int(floorf((g->x + reach[0] - 0.5f) / TILE - 1e-4f), bounds->tiles[0], bounds->tiles[1]);
    *last = clamped_int(floorf((g->x + reach[1] - 0.5f) / TILE + 1e-4f) + 1, bounds->tiles[0], bounds->tiles[1]);
}

static int is_thin(const Bounds* b) { return b->tiles[1] - b->tiles[0] == 1 || b->tiles[3] - b->tiles[2] == 1; }

INLINE void tile_span(const Projected* g, const Bounds* bounds, int thin, int tile_row, int* first, int* last) {
    *first = bounds->tiles[0];
    *last = bounds->tiles[1];
    if (!thin) touched_columns(g, bounds, tile_row, first, last);
}

static void part_range(const Frame* f, int part, int* first, int* last) {
    *first = (int)((int64_t)f->seen * part / f->parts);
    *last = (int)((int64_t)f->seen * (part + 1) / f->parts);
}

static void job_count(void* context, int thread, int first_part, int last_part) {
    Frame* f = context;
    (void)thread;
    int tiles = f->lens.columns * f->lens.rows;
    for (int part = first_part; part < last_part; part++) {
        int begin, end;
        part_range(f, part, &begin, &end);
        int32_t* counts = f->counts + (size_t)part * tiles;
        memset(counts, 0, tiles * sizeof *counts);
        for (int i = begin; i < end; i++) {
            const Bounds* bounds = &f->bounds[f->order_other[i]];
            int thin = is_thin(bounds), total = 0;
            for (int row = bounds->tiles[2]; row < bounds->tiles[3]; row++) {
                int first, last;
                tile_span(&f->sorted[i], bounds, thin, row, &first, &last);
                for (int column = first; column < last; column++) counts[row * f->lens.columns + column]++;
                total += last > first ? last - first : 0;
            }
            f->gaussian_first[i + 1] = total;
        }
    }
}

// Counts become places: tile by tile, and within a tile part by part, so that every list is in depth order.
// Returns the number of pairs, or -1 when there are more than an int can count.
static int64_t place_pairs(Frame* f) {
    int tiles = f->lens.columns * f->lens.rows;
    int64_t place = 0;
    for (int tile = 0; tile < tiles; tile++) {
        f->tile_first[tile] = (int32_t)place;
        for (int part = 0; part < f->parts; part++) {
            int32_t* entry = &f->counts[(size_t)part * tiles + tile];
            int32_t count = *entry;
            *entry = (int32_t)place;
            place += count;
        }
        if (place > INT32_MAX / 2) return -1;
    }
    f->tile_first[tiles] = (int32_t)place;
    f->gaussian_first[0] = 0;
    for (int i = 0; i < f->seen; i++) f->gaussian_first[i + 1] += f->gaussian_first[i];
    return place;
}

static void job_fill(void* context, int thread, int first_part, int last_part) {
    Frame* f = context;
    (void)thread;
    int tiles = f->lens.columns * f->lens.rows;
    for (int part = first_part; part < last_part; part++) {
        int begin, end;
        part_range(f, part, &begin, &end);
        int32_t* places = f->counts + (size_t)part * tiles;
        for (int i = begin; i < end; i++) {
            const Bounds* bounds = &f->bounds[f->order_other[i]];
            int thin = is_thin(bounds);
            int32_t* slot = f->slots + f->gaussian_first[i];
            for (int row = bounds->tiles[2]; row < bounds->tiles[3]; row++) {
                int first, last;
                tile_span(&f->sorted[i], bounds, thin, row, &first, &last);
                for (int column = first; column < last; column++) {
                    int32_t place = places[row * f->lens.columns + column]++;
                    f->pair_gaussian[place] = i;
                    *slot++ = place;
                }
            }
        }
    }
}

// The pixels of a tile while Gaussians are laid over each other. A negative transmittance marks a finished pixel.
typedef struct {
    float transmittance[PIXELS], red[PIXELS], green[PIXELS], blue[PIXELS], depth[PIXELS];
} Tile;

// The same on the way back: `rest` is what lies behind the current Gaussian, weighed by the gradient.
typedef struct {
    float transmittance[PIXELS], rest[PIXELS], red[PIXELS], green[PIXELS], blue[PIXELS];
} TileBack;

static int tile_extent(int pixels, int tile) { return min_int(TILE, pixels - tile * TILE); }

// Which rows of a tile still let light through.
static uint32_t open_rows(const float* transmittance, uint32_t rows) {
    uint32_t open = 0;
    for (int y = 0; y < TILE; y++) {
        if (!(rows >> y & 1)) continue;
        open |= (uint32_t)any_positive8(max8(load8(transmittance + y * TILE), load8(transmittance + y * TILE + 8))) << y;
    }
    return open;
}

// The Gaussian as a tile sees it: its rows, and either a window of eight pixels that moves with the row or fixed halves.
typedef struct {
    int first_row, last_row;
    float x, dy;            // centre from the tile's left pixel centre; of the first row from the centre
    int narrow, left, right;
} Footprint;

INLINE Footprint footprint(const Projected* g, int tile_x, int tile_y) {
    Footprint p;
    p.first_row = clamped_int(ceilf(g->y - g->extent_y - 0.5f) - tile_y, 0, TILE);
    p.last_row = clamped_int(floorf(g->y + g->extent_y - 0.5f) - tile_y, -1, TILE - 1);
    p.x = g->x - tile_x - 0.5f;
    p.dy = tile_y + p.first_row + 0.5f - g->y;
    p.narrow = g->half_width < 4.f;
    p.left = p.x - g->extent_x > 7.f ? 8 : 0;
    p.right = p.x + g->extent_x < 8.f ? 8 : 16;
    return p;
}

INLINE int window_start(float center, float half_width) { return clamped_int(ceilf(center - half_width), 0, TILE - 8); }

INLINE Float8 alpha_of(const Projected* g, Float8 dx, float log2_peak, Mask8* visible, Float8* unclamped) {
    *unclamped = exp2_8(log2_peak - g->half_a * dx * dx);
    *visible = *unclamped >= ALPHA_MIN;
    return keep8(*visible, min8(*unclamped, (Float8)ALPHA_MAX));
}

// How much of a Gaussian reaches the eye in eight pixels; the transmittance moves on.
INLINE Float8 light_through(float* transmittance, Float8 alpha, Float8* before, Mask8* open) {
    *before = load8(transmittance);
    Float8 after = *before - *before * alpha;
    *open = after > TRANSMITTANCE_MIN;
    store8(transmittance, select8(*open, after, (Float8)((Mask8)*before | (int32_t)0x80000000)));
    return keep8(*open, alpha * *before);
}

INLINE void blend8(Tile* tile, int at, const Projected* g, Float8 dx, float log2_peak, int with_depth) {
    Mask8 visible, open;
    Float8 unclamped, before;
    Float8 alpha = alpha_of(g, dx, log2_peak, &visible, &unclamped);
    Float8 weight = light_through(tile->transmittance + at, alpha, &before, &open);
    store8(tile->red + at, load8(tile->red + at) + weight * g->color[0]);
    store8(tile->green + at, load8(tile->green + at) + weight * g->color[1]);
    store8(tile->blue + at, load8(tile->blue + at) + weight * g->color[2]);
    if (with_depth) store8(tile->depth + at, load8(tile->depth + at) + weight * g->depth);
}

INLINE void blend(Tile* tile, const Projected* g, int tile_x, int tile_y, uint32_t open, int with_depth) {
    Footprint p = footprint(g, tile_x, tile_y);
    Float8 lanes = load8(LANES);
    float dy = p.dy;
    for (int y = p.first_row; y <= p.last_row; y++, dy += 1.f) {
        if (!(open >> y & 1)) continue;
        float center = p.x + g->slope * dy, log2_peak = g->log2_opacity - g->half_d * dy * dy;
        if (p.narrow) {
            int start = window_start(center, g->half_width);
            blend8(tile, y * TILE + start, g, lanes + (start - center), log2_peak, with_depth);
        } else if (p.right - p.left == 16) {  // both halves in one go: their chains of arithmetic overlap
            blend8(tile, y * TILE, g, lanes - center, log2_peak, with_depth);
            blend8(tile, y * TILE + 8, g, lanes + (8 - center), log2_peak, with_depth);
        } else {
            blend8(tile, y * TILE + p.left, g, lanes + (p.left - center), log2_peak, with_depth);
        }
    }
}

static void clear_tile(Tile* tile, int width, int height) {
    memset(tile, 0, sizeof *tile);
    for (int y = 0; y < TILE; y++)
        for (int x = 0; x < TILE; x++) tile->transmittance[y * TILE + x] = y < height && x < width ? 1.f : -1.f;
}

static void store_tile(const Frame* f, const Tile* tile, int tile_x, int tile_y, int width, int height) {
    const View* v = f->lens.view;
    size_t plane = (size_t)v->width * v->height;
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            size_t to = (size_t)(tile_y + y) * v->width + tile_x + x;
            int at = y * TILE + x;
            float rest = fabsf(tile->transmittance[at]), alpha = 1.f - rest;
            f->transmittance[to] = rest;
            f->rgb[to] = tile->red[at] + rest * v->background[0];
            f->rgb[plane + to] = tile->green[at] + rest * v->background[1];
            f->rgb[2 * plane + to] = tile->blue[at] + rest * v->background[2];
            if (f->depth) f->depth[to] = alpha > 0 ? tile->depth[at] / alpha : 0;
        }
    }
}

INLINE int blend_pairs(const Frame* f, Tile* tile, int number, int tile_x, int tile_y, int height, int with_depth) {
    int pair = f->tile_first[number], end = f->tile_first[number + 1], look = pair + CHECK_EVERY;
    uint32_t open = (1u << height) - 1;
    for (; pair < end; pair++) {
        if (pair == look) {
            look += CHECK_EVERY;
            open = open_rows(tile->transmittance, open);
            if (!open) break;
        }
        blend(tile, &f->sorted[f->pair_gaussian[pair]], tile_x, tile_y, open, with_depth);
    }
    return pair;
}

static void job_raster(void* context, int thread, int first, int last) {
    Frame* f = context;
    (void)thread;
    Tile tile __attribute__((aligned(32)));
    for (int number = first; number < last; number++) {
        int column = number % f->lens.columns, row = number / f->lens.columns;
        int tile_x = column * TILE, tile_y = row * TILE;
        int width = tile_extent(f->lens.view->width, column), height = tile_extent(f->lens.view->height, row);
        clear_tile(&tile, width, height);
        f->tile_last[number] = f->depth ? blend_pairs(f, &tile, number, tile_x, tile_y, height, 1)
                                        : blend_pairs(f, &tile, number, tile_x, tile_y, height, 0);
        store_tile(f, &tile, tile_x, tile_y, width, height);
    }
}

// Sums over the pixels of one tile; the row's dy is factored out of its lanes.
typedef struct {
    Float8 one, x, y, xx, xy, yy, red, green, blue;
} Sums;

INLINE void back8(TileBack* tile, int at, const Projected* g, Float8 dx_row, Float8 dx, float log2_peak, Sums* sums, Float8* one, Float8* x,
                  Float8* xx) {
    Mask8 visible, open;
    Float8 unclamped, before;
    Float8 alpha = alpha_of(g, dx_row, log2_peak, &visible, &unclamped);
    Float8 weight = light_through(tile->transmittance + at, alpha, &before, &open);
    Float8 red = load8(tile->red + at), green = load8(tile->green + at), blue = load8(tile->blue + at);
    Float8 own = g->color[0] * red + g->color[1] * green + g->color[2] * blue;
    Float8 rest = load8(tile->rest + at) - weight * own;
    store8(tile->rest + at, rest);
    // d loss / d alpha = T own - rest / (1 - alpha); times alpha: d loss / d log alpha. Clamped alphas do not move.
    Float8 gradient = keep8(open & visible & (unclamped <= ALPHA_MAX), alpha * (before * own - rest / (1.f - alpha)));
    sums->red += weight * red;
    sums->green += weight * green;
    sums->blue += weight * blue;
    Float8 moment = gradient * dx;
    *one += gradient;
    *x += moment;
    *xx += moment * dx;
}

INLINE Moments total(const Sums* s) {
    return (Moments){sum8(s->one), sum8(s->x), sum8(s->y), sum8(s->xx), sum8(s->xy), sum8(s->yy), {sum8(s->red), sum8(s->green), sum8(s->blue)}};
}

INLINE Moments back(TileBack* tile, const Projected* g, int tile_x, int tile_y, uint32_t open) {
    Footprint p = footprint(g, tile_x, tile_y);
    Float8 lanes = load8(LANES);
    Sums sums = {0};
    float dy = p.dy;
    for (int y = p.first_row; y <= p.last_row; y++, dy += 1.f) {
        if (!(open >> y & 1)) continue;
        float center = p.x + g->slope * dy, log2_peak = g->log2_opacity - g->half_d * dy * dy;
        Float8 one = 0, x = 0, xx = 0;
        if (p.narrow) {
            int start = window_start(center, g->half_width);
            back8(tile, y * TILE + start, g, lanes + (start - center), lanes + (start - p.x), log2_peak, &sums, &one, &x, &xx);
        } else if (p.right - p.left == 16) {
            back8(tile, y * TILE, g, lanes - center, lanes - p.x, log2_peak, &sums, &one, &x, &xx);
            back8(tile, y * TILE + 8, g, lanes + (8 - center), lanes + (8 - p.x), log2_peak, &sums, &one, &x, &xx);
        } else {
            back8(tile, y * TILE + p.left, g, lanes + (p.left - center), lanes + (p.left - p.x), log2_peak, &sums, &one, &x, &xx);
        }
        sums.one += one;
        sums.x += x;
        sums.xx += xx;
        sums.y += one * dy;
        sums.xy += x * dy;
        sums.yy += one * (dy * dy);
    }
    return total(&sums);
}

static void load_tile_back(const Frame* f, TileBack* tile, int tile_x, int tile_y, int width, int height) {
    const View* v = f->lens.view;
    size_t plane = (size_t)v->width * v->height;
    memset(tile, 0, sizeof *tile);
    for (int at = 0; at < PIXELS; at++) tile->transmittance[at] = -1.f;
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            size_t from = (size_t)(tile_y + y) * v->width + tile_x + x;
            int at = y * TILE + x;
            tile->transmittance[at] = 1.f;
            tile->red[at] = f->rgb_gradient[from];
            tile->green[at] = f->rgb_gradient[plane + from];
            tile->blue[at] = f->rgb_gradient[2 * plane + from];
            float rest = tile->red[at] * f->rgb[from] + tile->green[at] * f->rgb[plane + from] + tile->blue[at] * f->rgb[2 * plane + from];
            if (f->transmittance_gradient) rest += f->transmittance_gradient[from] * f->transmittance[from];
            tile->rest[at] = rest;
        }
    }
}

// Front to back again, so that the arithmetic of the way forth repeats and nothing has to be stored.
static void job_raster_back(void* context, int thread, int first, int last) {
    Frame* f = context;
    (void)thread;
    TileBack tile __attribute__((aligned(32)));
    for (int number = first; number < last; number++) {
        int column = number % f->lens.columns, row = number / f->lens.columns;
        int width = tile_extent(f->lens.view->width, column), height = tile_extent(f->lens.view->height, row);
        load_tile_back(f, &tile, column * TILE, row * TILE, width, height);
        int pair = f->tile_first[number], hidden = f->tile_last[number], end = f->tile_first[number + 1], look = pair + CHECK_EVERY;
        uint32_t open = (1u << height) - 1;
        for (; pair < hidden; pair++) {
            if (pair == look) {
                look += CHECK_EVERY;
                open = open_rows(tile.transmittance, open);
            }
            f->moments[pair] = back(&tile, &f->sorted[f->pair_gaussian[pair]], column * TILE, row * TILE, open);
        }
        memset(f->moments + hidden, 0, sizeof(Moments) * (end - hidden));
    }
}

// Memory that is needed a few Gaussians later: the slots lie scattered, and waiting for each would cost half of the time.
INLINE void fetch_ahead(const Frame* f, int row, int last) {
    if (row + 8 < last && f->bounds[row + 8].seen) __builtin_prefetch(f->slots + f->gaussian_first[f->rank[row + 8]]);
    if (row + 4 >= last || !f->bounds[row + 4].seen) return;
    int rank = f->rank[row + 4];
    for (int i = f->gaussian_first[rank]; i < f->gaussian_first[rank + 1]; i++) __builtin_prefetch(f->moments + f->slots[i]);
}

// A Gaussian's moments lie in as many slots as it touches tiles; adding them in that order needs no atomics and gives the
// same sum for any number of threads.
static void job_project_back(void* context, int thread, int first, int last) {
    Frame* f = context;
    (void)thread;
    for (int row = first; row < last; row++) {
        if (!f->bounds[row].seen) {
            zero_gradient(f->scene, row, f->gradients);
            continue;
        }
        fetch_ahead(f, row, last);
        Moments sum = {0};
        float* to = (float*)&sum;
        int rank = f->rank[row];
        for (int i = f->gaussian_first[rank]; i < f->gaussian_first[rank + 1]; i++) {
            const float* from = (const float*)&f->moments[f->slots[i]];
            for (int k = 0; k < MOMENTS; k++) to[k] += from[k];
        }
        project_backward_one(f->scene, &f->lens, row, &f->projected[row], f->bounds[row].clipped, &sum, f->gradients);
    }
}
