// Compositing front to back within a tile.
#pragma once
#include "tiles.h"

#define ALPHA_MIN (1.f / 255.f)
#define ALPHA_MAX 0.999f
#define TRANSMITTANCE_MIN 1e-4f
#define NARROW 4.f    /* half width in pixels below which a window of LANES pixels follows a Gaussian's rows */
#define STEEPEST 6.f  /* largest log2 of the ratio of two rows' alphas that may be followed by multiplication */
#define FAINTEST 80.f /* largest -log2 of an alpha that may */

enum { PIXELS = TILE * TILE, VECTORS = TILE / LANES, CHECK_EVERY = 16 /* pairs between looks at which rows are still open */,
       RESTART = 8 /* rows that are followed by multiplication before the alpha is computed anew */ };

// The pixels of a tile while Gaussians are laid over each other. A negative transmittance marks a finished pixel.
typedef struct {
    float transmittance[PIXELS], red[PIXELS], green[PIXELS], blue[PIXELS], depth[PIXELS];
} Tile;

typedef struct {
    int number, x, y, width, height;  // x, y: its first pixel
} Place;

static Place place_of(const Frame* f, int number) {
    const View* v = f->lens.view;
    int x = number % f->lens.columns * TILE, y = number / f->lens.columns * TILE;
    return (Place){number, x, y, min_int(TILE, v->width - x), min_int(TILE, v->height - y)};
}

// Which rows of a tile still let light through.
static uint32_t open_rows(const float* transmittance, uint32_t rows) {
    uint32_t open = 0;
    for (int y = 0; y < TILE; y++) {
        if (!(rows >> y & 1)) continue;
        Vec most = load(transmittance + y * TILE);
        for (int i = 1; i < VECTORS; i++) most = vmax(most, load(transmittance + y * TILE + i * LANES));
        open |= (uint32_t)any(most > 0.f) << y;
    }
    return open;
}

// A Gaussian as a tile sees it: its rows, and which vectors of each.
typedef struct {
    int first_row, last_row, first_vector, vectors;
    float x, dy;  // centre from the tile's left pixel centre; of the first row from the centre
} Footprint;

INLINE Footprint footprint(const Projected* g, const Place* tile) {
    Footprint p;
    p.first_row = clamped_int(ceilf(g->y - g->extent_y - 0.5f) - tile->y, 0, TILE);
    p.last_row = clamped_int(floorf(g->y + g->extent_y - 0.5f) - tile->y, -1, TILE - 1);
    p.x = g->x - tile->x - 0.5f;
    p.dy = tile->y + p.first_row + 0.5f - g->y;
    int only_right = p.x - g->extent_x > LANES - 1, only_left = p.x + g->extent_x < LANES;
    p.first_vector = VECTORS == 2 && only_right ? 1 : 0;
    p.vectors = VECTORS == 2 && (only_right || only_left) ? 1 : VECTORS;
    return p;
}

// Whether rows may be followed by multiplication: an alpha is the one above it times a ratio, which itself changes by a constant
// factor. Errors grow with the ratio's exponent and with the number of rows, and an alpha that begins as zero stays zero.
INLINE int is_smooth(const Projected* g, const Footprint* p) {
    float slope = fabsf(g->slope), far_x = fmaxf(fabsf(p->x), fabsf(p->x - (TILE - 1)));
    float far_y = fmaxf(fabsf(p->dy), fabsf(p->dy + (p->last_row - p->first_row))), across = far_x + slope * far_y;
    float steepness = g->half_a * slope * (2 * far_x + slope * (2 * far_y + 1)) + g->half_d * (2 * far_y + 1);
    return steepness < STEEPEST && g->half_a * across * across + g->half_d * far_y * far_y < FAINTEST;
}

// Alphas of one vector of pixels, row after row.
typedef struct {
    Vec dx;            // from the centre, the same in all rows
    Vec alpha, ratio;  // of this row; of the next row to this one
} Column;

INLINE Vec row_alpha(const Projected* g, Vec across, float dy) {
    return exp2_vec(g->log2_opacity - g->half_d * dy * dy - g->half_a * across * across);
}

INLINE Vec offsets(const Footprint* p, int vector) { return lane_numbers() + ((p->first_vector + vector) * LANES - p->x); }

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

INLINE void blend_vector(Tile* tile, int at, const Projected* g, Vec alpha, int with_depth) {
    Mask open;
    Vec before, weight = light_through(tile->transmittance + at, visible(alpha), &before, &open);
    store(tile->red + at, load(tile->red + at) + weight * g->color[0]);
    store(tile->green + at, load(tile->green + at) + weight * g->color[1]);
    store(tile->blue + at, load(tile->blue + at) + weight * g->color[2]);
    if (with_depth) store(tile->depth + at, load(tile->depth + at) + weight * g->depth);
}

INLINE void blend_rows(Tile* tile, const Projected* g, const Footprint* p, uint32_t open, int with_depth, int smooth, int vectors) {
    Column columns[VECTORS];
    for (int i = 0; i < vectors; i++) columns[i].dx = offsets(p, i);
    float dy = p->dy;
    for (int y = p->first_row; y <= p->last_row; y++, dy += 1.f) {
        int at = y * TILE + p->first_vector * LANES;
        for (int i = 0; i < vectors && smooth && (y - p->first_row) % RESTART == 0; i++) begin_rows(&columns[i], g, dy);
        for (int i = 0; i < vectors && (open >> y & 1); i++)
            blend_vector(tile, at + i * LANES, g, smooth ? columns[i].alpha : row_alpha(g, columns[i].dx - g->slope * dy, dy), with_depth);
        for (int i = 0; i < vectors && smooth; i++) next_row(&columns[i], g);
    }
}

INLINE void blend_narrow(Tile* tile, const Projected* g, const Footprint* p, uint32_t open, int with_depth) {
    float dy = p->dy;
    for (int y = p->first_row; y <= p->last_row; y++, dy += 1.f) {
        if (!(open >> y & 1)) continue;
        float center = p->x + g->slope * dy;
        int start = window_start(center, g->half_width);
        blend_vector(tile, y * TILE + start, g, row_alpha(g, lane_numbers() + (start - center), dy), with_depth);
    }
}

INLINE void blend(Tile* tile, const Projected* g, const Place* place, uint32_t open, int with_depth) {
    Footprint p = footprint(g, place);
    if (VECTORS == 2 && g->half_width < NARROW) blend_narrow(tile, g, &p, open, with_depth);
    else if (is_smooth(g, &p)) p.vectors == 1 ? blend_rows(tile, g, &p, open, with_depth, 1, 1) : blend_rows(tile, g, &p, open, with_depth, 1, VECTORS);
    else p.vectors == 1 ? blend_rows(tile, g, &p, open, with_depth, 0, 1) : blend_rows(tile, g, &p, open, with_depth, 0, VECTORS);
}

static void clear_tile(Tile* tile, const Place* place) {
    memset(tile, 0, sizeof *tile);
    for (int y = 0; y < TILE; y++)
        for (int x = 0; x < TILE; x++) tile->transmittance[y * TILE + x] = y < place->height && x < place->width ? 1.f : -1.f;
}

static void store_tile(const Frame* f, const Tile* tile, const Place* place) {
    const View* v = f->lens.view;
    size_t plane = (size_t)v->width * v->height;
    for (int y = 0; y < place->height; y++) {
        for (int x = 0; x < place->width; x++) {
            size_t to = (size_t)(place->y + y) * v->width + place->x + x;
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

// The Gaussians of a tile lie scattered in memory: fetch those that come a little later.
INLINE const Projected* gaussian_of(const Frame* f, int pair, int last) {
    if (pair + 6 < last) __builtin_prefetch(&f->projected[f->pair_row[pair + 6]]);
    return &f->projected[f->pair_row[pair]];
}

// Returns the first pair that nothing of is seen any more.
INLINE int blend_pairs(const Frame* f, Tile* tile, const Place* place, int with_depth) {
    int pair = f->tile_first[place->number], end = f->tile_first[place->number + 1], look = pair + CHECK_EVERY;
    uint32_t open = (1u << place->height) - 1;
    for (; pair < end; pair++) {
        if (pair == look) {
            look += CHECK_EVERY;
            open = open_rows(tile->transmittance, open);
            if (!open) break;
        }
        blend(tile, gaussian_of(f, pair, end), place, open, with_depth);
    }
    return pair;
}

static void job_raster(void* context, int thread, int first, int last) {
    Frame* f = context;
    (void)thread;
    Tile tile __attribute__((aligned(64)));
    for (int number = first; number < last; number++) {
        Place place = place_of(f, number);
        clear_tile(&tile, &place);
        f->tile_last[number] = f->depth ? blend_pairs(f, &tile, &place, 1) : blend_pairs(f, &tile, &place, 0);
        store_tile(f, &tile, &place);
    }
}
