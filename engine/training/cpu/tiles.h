// Which Gaussians touch which tiles of 16 x 16 pixels, in order of depth.
#pragma once
#include "projection.h"

enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS };

// Sums of the loss gradient over a Gaussian's pixels in one tile, from the rasterizer: of 1, across, dy, across², across dy, dy²
// each times the gradient of log alpha, then the colour's gradient. across = dx - slope dy, see Projected.
typedef struct {
    float one, across, y, across2, across_y, yy, color[3];
} Moments;

// What is drawn of a Gaussian beside its colour: sums over a ray, weighted like the colours.
enum { DEPTH, SQUARED_DEPTH, NORMAL, FEATURES = NORMAL + 3, ONLY_DEPTH = 1 /* of them */ };

// A Gaussian and a tile that it touches. What is summed over the tile's pixels lies at `slot`, where a Gaussian's tiles follow each other.
typedef struct {
    int32_t row, slot;
} Pair;

enum { SPANS = 5 };

// The tiles that a Gaussian touches: columns [begin, end) of each row of tiles, counted from `column`.
typedef struct {
    int16_t column, row;
    int16_t rows;  // 0: not seen; below 0: so many, with columns that touched_columns() knows
    uint8_t begin[SPANS], end[SPANS];
} Footprint;

_Static_assert(sizeof(Footprint) == 16, "four Footprints are a cache line");

// Everything of one frame between projection and the image.
typedef struct {
    const Scene* scene;
    Lens lens;
    int parts;                  // the work that must stay in order is split in so many parts
    int seen;                   // number of Gaussians on the image
    Projected* projected;       // [rows]
    uint32_t *keys, *keys_other;    // [rows]
    int32_t *order, *order_other;   // [rows]; `order` ends as [seen] rows by depth
    int32_t* digit_places;      // [parts, DIGITS]
    int32_t* tile_places;       // [parts, tiles]
    int32_t* tile_first;        // [tiles + 1]: where a tile's pairs begin
    int32_t* tile_last;         // [tiles]: pairs from here on were hidden
    Pair* pairs;                // tile by tile
    Footprint* footprints;      // [rows]
    int32_t* slot_first;        // [rows + 1]: where a Gaussian's slots begin
    Moments* moments;           // [slots]
    float (*absolute)[2];       // [slots]: sums of the absolute gradient of each pixel by the centre, or NULL
    float *rgb, *transmittance;  // planar [3, H, W], [H, W]
    const float *rgb_gradient, *transmittance_gradient;
    int features;               // that are drawn: none, ONLY_DEPTH or all
    float (*normals)[4];        // [rows]: unit, facing the camera; or NULL, which counts as 0
    float* feature_sums;        // [features, H, W]
    const float* feature_gradient;      // [features, H, W], or NULL
    float (*feature_moments)[FEATURES]; // [slots]: sums of feature_gradient over a Gaussian's pixels in one tile, or NULL
} Frame;

static void part_range(int count, int parts, int part, int* first, int* last) {
    *first = (int)((int64_t)count * part / parts);
    *last = (int)((int64_t)count * (part + 1) / parts);
}

// One pass of a stable radix sort: by one digit of the keys. The first pass starts from the order of the rows and drops the unseen.
typedef struct {
    Frame* frame;
    int shift, count;
} Pass;

static void job_count_digits(void* context, int thread, int first_part, int last_part) {
    Pass* p = context;
    Frame* f = p->frame;
    (void)thread;
    for (int part = first_part; part < last_part; part++) {
        int first, last;
        part_range(p->count, f->parts, part, &first, &last);
        int32_t* places = f->digit_places + (size_t)part * DIGITS;
        memset(places, 0, sizeof(int32_t) * DIGITS);
        for (int i = first; i < last; i++)
            if (f->keys[i] != UNSEEN) places[f->keys[i] >> p->shift & (DIGITS - 1)]++;
    }
}

static void job_move_digits(void* context, int thread, int first_part, int last_part) {
    Pass* p = context;
    Frame* f = p->frame;
    (void)thread;
    for (int part = first_part; part < last_part; part++) {
        int first, last;
        part_range(p->count, f->parts, part, &first, &last);
        int32_t* places = f->digit_places + (size_t)part * DIGITS;
        for (int i = first; i < last; i++) {
            if (f->keys[i] == UNSEEN) continue;
            int to = places[f->keys[i] >> p->shift & (DIGITS - 1)]++;
            f->keys_other[to] = f->keys[i];
            f->order_other[to] = p->shift ? f->order[i] : i;
        }
    }
}

// Counts [parts, columns] become places: column by column, and within a column part by part. Returns their sum.
// `column_first` [columns + 1] may be NULL.
static int64_t places_from_counts(int32_t* counts, int parts, int columns, int32_t* column_first) {
    int64_t place = 0;
    for (int column = 0; column < columns; column++) {
        if (column_first) column_first[column] = (int32_t)place;
        for (int part = 0; part < parts; part++) {
            int32_t* entry = &counts[(size_t)part * columns + column];
            int32_t count = *entry;
            *entry = (int32_t)place;
            place += count;
        }
        if (place > INT32_MAX / 2) return -1;
    }
    if (column_first) column_first[columns] = (int32_t)place;
    return place;
}

static void sort_by_depth(Pool* pool, Frame* f) {
    int count = block_count(f->scene) * BLOCK;
    for (int shift = 0; shift < 32; shift += DIGIT_BITS) {
        Pass pass = {f, shift, count};
        parallel_for(pool, job_count_digits, &pass, f->parts, 1);
        count = (int)places_from_counts(f->digit_places, f->parts, DIGITS, NULL);
        parallel_for(pool, job_move_digits, &pass, f->parts, 1);
        uint32_t* keys = f->keys;
        int32_t* order = f->order;
        f->keys = f->keys_other;
        f->order = f->order_other;
        f->keys_other = keys;
        f->order_other = order;
    }
    f->seen = count;
}

// Columns of tiles that the ellipse itself (not its box) touches in one row of tiles.
INLINE void touched_columns(const Projected* g, int tile_row, int* first, int* last) {
    *first = g->tiles[0];
    *last = g->tiles[1];
    if (*last - *first == 1 || g->tiles[3] - g->tiles[2] == 1) return;
    float top = tile_row * TILE + 0.5f - g->y, bottom = top + (TILE - 1);
    top = fmaxf(top, -g->extent_y);
    bottom = fminf(bottom, g->extent_y);
    float rightmost = g->slope * g->extent_y * g->extent_y / g->extent_x;  // dy of the rightmost point
    float reach[2];
    for (int side = 0; side < 2; side++) {
        float dy = fminf(fmaxf(side ? rightmost : -rightmost, top), bottom);
        float half2 = (g->log2_opacity + LOG2_255 - g->half_d * dy * dy) / g->half_a;
        float half = half2 > 0 ? sqrtf(half2) : 0;
        reach[side] = g->slope * dy + (side ? half : -half);
    }
    *first = clamped_int(floorf((g->x + reach[0] - 0.5f) / TILE - 1e-4f), g->tiles[0], g->tiles[1]);
    *last = clamped_int(floorf((g->x + reach[1] - 0.5f) / TILE + 1e-4f) + 1, *first, g->tiles[1]);
}

// As touched_columns(), of the n-th row of tiles of LANES Gaussians, counted from their first columns.
INLINE void touched_columns_lanes(const ProjectedLanes* g, int n, Vec* begin, Vec* end) {
    Vec columns = g->tiles[1] - g->tiles[0], top = (g->tiles[2] + (float)n) * TILE + 0.5f - g->y;
    Vec bottom = vmin(top + (TILE - 1), g->extent_y), rightmost = g->slope * g->extent_y * g->extent_y / g->extent_x;
    Vec inverse = 1.f / g->half_a, reach[2];
    top = vmax(top, -g->extent_y);
    for (int side = 0; side < 2; side++) {
        Vec dy = vmin(vmax(side ? rightmost : -rightmost, top), bottom);
        Vec half = vsqrt(vmax((g->log2_opacity + LOG2_255 - g->half_d * dy * dy) * inverse, (Vec)0.f));
        reach[side] = g->slope * dy + (side ? half : -half);
    }
    Vec from_first = g->x - 0.5f - g->tiles[0] * TILE;
    Vec first = vmin(vmax(vfloor((from_first + reach[0]) * (1.f / TILE) - 1e-4f), (Vec)0.f), columns);
    Vec last = vmin(vmax(vfloor((from_first + reach[1]) * (1.f / TILE) + 1e-4f) + 1.f, first), columns);
    Mask whole = (columns == 1.f) | (g->tiles[3] - g->tiles[2] == 1.f);
    *begin = choose(whole, (Vec)0.f, first);
    *end = choose(whole, columns, last);
}

// The tiles of one Gaussian whose rows or columns are too many for a Footprint. Returns their number.
static int mark_large(const Projected* g, Footprint* to) {
    int pairs = 0;
    for (int row = g->tiles[2]; row < g->tiles[3]; row++) {
        int first, last;
        touched_columns(g, row, &first, &last);
        pairs += last - first;
    }
    to->rows = (int16_t)(g->tiles[2] - g->tiles[3]);
    return pairs;
}

// Footprints of LANES Gaussians, which lie in `projected`, too, and how many tiles each touches.
static void store_footprints(const ProjectedLanes* g, const Projected* projected, Footprint* to, int32_t* pairs) {
    float begin[SPANS][LANES], end[SPANS][LANES];
    int rows = 0;
    for (int lane = 0; lane < LANES; lane++) {
        const int16_t* tiles = projected[lane].tiles;
        to[lane] = (Footprint){.column = tiles[0], .row = tiles[2], .rows = tiles[3] - tiles[2]};
        pairs[lane] = 0;
        if (to[lane].rows > rows) rows = to[lane].rows;
    }
    for (int n = 0; n < min_int(rows, SPANS); n++) {
        Vec first, last;
        touched_columns_lanes(g, n, &first, &last);
        store(begin[n], first);
        store(end[n], last);
    }
    for (int lane = 0; lane < LANES; lane++) {
        if (to[lane].rows > SPANS || projected[lane].tiles[1] - to[lane].column > UINT8_MAX) {
            pairs[lane] = mark_large(&projected[lane], &to[lane]);
            continue;
        }
        for (int n = 0; n < to[lane].rows; n++) {
            to[lane].begin[n] = (uint8_t)begin[n][lane];
            to[lane].end[n] = (uint8_t)end[n][lane];
            pairs[lane] += to[lane].end[n] - to[lane].begin[n];
        }
    }
}

static void job_project(void* context, int thread, int first, int last) {
    Frame* f = context;
    (void)thread;
    size_t stride = (size_t)components(f->scene) * BLOCK;
    for (int block = first; block < last; block++)
        for (int lane = 0; lane < BLOCK; lane += LANES) {
            ProjectedLanes lanes;
            int row = block * BLOCK + lane;
            project_lanes(f->scene, &f->lens, f->scene->values + block * stride + lane, &lanes);
            store_projected(&lanes, f->projected + row, f->keys + row);
            store_footprints(&lanes, f->projected + row, f->footprints + row, f->slot_first + row + 1);
        }
}

// The n-th row of tiles of a Gaussian: which it is, and its columns.
INLINE void tile_row(const Frame* f, int row, const Footprint* g, int n, int* tiles, int* first, int* last) {
    *tiles = (g->row + n) * f->lens.columns;
    if (g->rows < 0) {
        touched_columns(&f->projected[row], g->row + n, first, last);
        return;
    }
    *first = g->column + g->begin[n];
    *last = g->column + g->end[n];
}

// The Gaussians lie scattered: fetch those that come a little later.
INLINE const Footprint* in_order(const Frame* f, int i, int last) {
    if (i + 8 < last) __builtin_prefetch(&f->footprints[f->order[i + 8]]);
    return &f->footprints[f->order[i]];
}

static void job_count_pairs(void* context, int thread, int first_part, int last_part) {
    Frame* f = context;
    (void)thread;
    int tiles = f->lens.columns * f->lens.rows;
    for (int part = first_part; part < last_part; part++) {
        int begin, end;
        part_range(f->seen, f->parts, part, &begin, &end);
        int32_t* counts = f->tile_places + (size_t)part * tiles;
        memset(counts, 0, tiles * sizeof *counts);
        for (int i = begin; i < end; i++) {
            const Footprint* g = in_order(f, i, end);
            for (int n = 0; n < abs(g->rows); n++) {
                int row, first, last;
                tile_row(f, f->order[i], g, n, &row, &first, &last);
                for (int column = first; column < last; column++) counts[row + column]++;
            }
        }
    }
}

// Returns the number of pairs, or -1 when there are more than an int can count.
static int64_t place_pairs(Frame* f) {
    int rows = block_count(f->scene) * BLOCK;
    int64_t pairs = places_from_counts(f->tile_places, f->parts, f->lens.columns * f->lens.rows, f->tile_first);
    if (pairs < 0) return pairs;
    f->slot_first[0] = 0;
    for (int row = 0; row < rows; row++) f->slot_first[row + 1] += f->slot_first[row];
    return pairs;
}

static void job_fill_pairs(void* context, int thread, int first_part, int last_part) {
    Frame* f = context;
    (void)thread;
    int tiles = f->lens.columns * f->lens.rows;
    for (int part = first_part; part < last_part; part++) {
        int begin, end;
        part_range(f->seen, f->parts, part, &begin, &end);
        int32_t* places = f->tile_places + (size_t)part * tiles;
        for (int i = begin; i < end; i++) {
            const Footprint* g = in_order(f, i, end);
            int32_t gaussian = f->order[i], slot = f->slot_first[gaussian];
            for (int n = 0; n < abs(g->rows); n++) {
                int row, first, last;
                tile_row(f, gaussian, g, n, &row, &first, &last);
                for (int column = first; column < last; column++) f->pairs[places[row + column]++] = (Pair){gaussian, slot++};
            }
        }
    }
}
