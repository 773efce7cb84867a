// The way back through compositing: for each pair of Gaussian and tile, sums over the pixels.
#pragma once
#include "raster.h"

// The pixels of a tile on the way back: colours are the loss gradient, and `rest` is what lies behind the current Gaussian, weighed by it.
typedef struct {
    float transmittance[PIXELS], rest[PIXELS], red[PIXELS], green[PIXELS], blue[PIXELS], features[FEATURES][PIXELS];
} TileBack;

// What is summed beside the moments: absolute gradients, and those of so many features. A constant wherever it is used.
typedef struct {
    int absolute, features;
} Wanted;

// Sums over the pixels of one tile. x, y: from the Gaussian's centre.
typedef struct {
    Vec one, x, y, xx, xy, yy, red, green, blue, absolute_x, absolute_y, features[FEATURES];
} Sums;

// Of one strip, where dx is the same in all rows.
typedef struct {
    Vec one, y, yy, red, green, blue, absolute_x, absolute_y, features[FEATURES];
} StripSums;

INLINE void back_vector(TileBack* tile, int at, const Projected* g, const float* values, Vec dx, float dy, Vec alpha, StripSums* sums,
                        Wanted wanted) {
    Mask open;
    Vec opaque = visible(alpha), before, weight = light_through(tile->transmittance + at, opaque, &before, &open);
    Vec red = load(tile->red + at), green = load(tile->green + at), blue = load(tile->blue + at);
    Vec own = g->color[0] * red + g->color[1] * green + g->color[2] * blue;
    for (int k = 0; k < wanted.features; k++) {
        Vec feature = load(tile->features[k] + at);
        own += values[k] * feature;
        sums->features[k] += weight * feature;
    }
    Vec rest = load(tile->rest + at) - weight * own;
    store(tile->rest + at, rest);
    // d loss / d alpha = T own - rest / (1 - alpha); times alpha: d loss / d log alpha. Clamped alphas do not move.
    Vec gradient = keep(open & (alpha <= ALPHA_MAX), opaque * (before * own - rest / (1.f - opaque)));
    sums->red += weight * red;
    sums->green += weight * green;
    sums->blue += weight * blue;
    Vec moment = gradient * dy;
    sums->one += gradient;
    sums->y += moment;
    sums->yy += moment * dy;
    if (!wanted.absolute) return;
    Vec by_x = g->half_a * (dx - g->slope * dy), size = vabs(gradient);  // times 2 / log2(e): d log alpha / d x
    sums->absolute_x += size * vabs(by_x);
    sums->absolute_y += size * vabs(g->half_d * dy - g->slope * by_x);
}

INLINE void end_strip(Sums* sums, const StripSums* s, Vec dx, int features) {
    Vec x = s->one * dx;
    sums->one += s->one;
    sums->x += x;
    sums->xx += x * dx;
    sums->y += s->y;
    sums->xy += s->y * dx;
    sums->yy += s->yy;
    sums->red += s->red;
    sums->green += s->green;
    sums->blue += s->blue;
    sums->absolute_x += s->absolute_x;
    sums->absolute_y += s->absolute_y;
    for (int k = 0; k < features; k++) sums->features[k] += s->features[k];
}

INLINE void back_strip(TileBack* tile, const Projected* g, const float* values, float x, float center_y, int strip, uint32_t rows, int smooth,
                       Sums* sums, Wanted wanted) {
    if (!rows) return;
    int y = first_bit(rows), last = last_bit(rows), at = y * TILE + strip * LANES;
    float dy = y - center_y;
    Column c = {.dx = lane_numbers() + (strip * LANES - x)};
    StripSums s = {0};
    while (smooth && y <= last) {
        begin_rows(&c, g, dy);
        for (int stop = min_int(last + 1, y + RESTART); y < stop; y++, at += TILE, dy += 1.f) {
            back_vector(tile, at, g, values, c.dx, dy, c.alpha, &s, wanted);
            next_row(&c, g);
        }
    }
    for (; y <= last; y++, at += TILE, dy += 1.f)
        back_vector(tile, at, g, values, c.dx, dy, row_alpha(g, c.dx - g->slope * dy, dy), &s, wanted);
    end_strip(sums, &s, c.dx, wanted.features);
}

INLINE void back_narrow(TileBack* tile, const Projected* g, const float* values, float x, float center_y, uint32_t rows, Sums* sums,
                        Wanted wanted) {
    int last = last_bit(rows);
    for (int y = first_bit(rows); y <= last; y++) {
        StripSums s = {0};
        float dy = y - center_y, center = x + g->slope * dy;
        int start = window_start(center, g->half_width);
        Vec dx = lane_numbers() + (start - x);
        back_vector(tile, y * TILE + start, g, values, dx, dy, row_alpha(g, lane_numbers() + (start - center), dy), &s, wanted);
        end_strip(sums, &s, dx, wanted.features);
    }
}

// Sums by dx become sums by across = dx - slope dy, which Moments holds.
INLINE void store_moments(const Sums* s, const Projected* g, Moments* to) {
    Vec first[8] = {s->one, s->x, s->y, s->xx, s->xy, s->yy, s->red, s->green};
    Float8 m = sum_each(first);
    float slope = g->slope, x = m[1], y = m[2], xx = m[3], xy = m[4], yy = m[5];
    m[1] = x - slope * y;
    m[3] = xx - slope * (2 * xy - slope * yy);
    m[4] = xy - slope * yy;
    *(UnalignedFloat8*)to = m;
    to->color[2] = sum_lanes(s->blue);
}

// Nothing of a pair is seen.
INLINE void clear_pairs(const Frame* f, int first, int last, Wanted wanted) {
    for (int pair = first; pair < last; pair++) {
        int slot = f->pairs[pair].slot;
        memset(f->moments + slot, 0, sizeof *f->moments);
        if (wanted.absolute) memset(f->absolute + slot, 0, sizeof *f->absolute);
        if (wanted.features) memset(f->feature_moments + slot, 0, sizeof *f->feature_moments);
    }
}

INLINE void back(const Frame* f, TileBack* tile, const Batch* b, int i, uint32_t open, int pair, Wanted wanted) {
    const Projected* g = b->gaussians[i];
    uint32_t rows = b->rows[i] & open;
    int slot = f->pairs[pair].slot;
    if (!rows) {
        clear_pairs(f, pair, pair + 1, wanted);
        return;
    }
    Sums sums = {0};
    float values[FEATURES];
    features_of(f, g, wanted.features, values);
    if (b->narrow[i]) back_narrow(tile, g, values, b->x[i], b->y[i], rows_of_strip(rows | rows >> TILE, 0), &sums, wanted);
    else
        for (int strip = 0; strip < VECTORS; strip++)
            back_strip(tile, g, values, b->x[i], b->y[i], strip, rows_of_strip(rows, strip), b->smooth[strip][i], &sums, wanted);
    store_moments(&sums, g, &f->moments[slot]);
    for (int k = 0; k < wanted.features; k++) f->feature_moments[slot][k] = sum_lanes(sums.features[k]);
    if (!wanted.absolute) return;
    f->absolute[slot][0] = 2.f / LOG2_E * sum_lanes(sums.absolute_x);
    f->absolute[slot][1] = 2.f / LOG2_E * sum_lanes(sums.absolute_y);
}

static void load_tile_back(const Frame* f, TileBack* tile, const Place* place, int features) {
    const View* v = f->lens.view;
    size_t plane = (size_t)v->width * v->height;
    memset(tile, 0, offsetof(TileBack, features) + features * sizeof *tile->features);
    for (int at = 0; at < PIXELS; at += LANES) store(tile->transmittance + at, (Vec)-1.f);
    for (int y = 0; y < place->height; y++) {
        size_t from = (size_t)(place->y + y) * v->width + place->x;
        int at = y * TILE, x = 0;
        for (; x + LANES <= place->width; x += LANES, from += LANES, at += LANES) {
            Vec red = load(f->rgb_gradient + from), green = load(f->rgb_gradient + plane + from);
            Vec blue = load(f->rgb_gradient + 2 * plane + from);
            Vec rest = red * load(f->rgb + from) + green * load(f->rgb + plane + from) + blue * load(f->rgb + 2 * plane + from);
            if (f->transmittance_gradient) rest += load(f->transmittance_gradient + from) * load(f->transmittance + from);
            for (int k = 0; k < features; k++) {
                Vec feature = load(f->feature_gradient + k * plane + from);
                rest += feature * load(f->feature_sums + k * plane + from);
                store(tile->features[k] + at, feature);
            }
            store(tile->transmittance + at, (Vec)1.f);
            store(tile->red + at, red);
            store(tile->green + at, green);
            store(tile->blue + at, blue);
            store(tile->rest + at, rest);
        }
        for (; x < place->width; x++, from++, at++) {
            tile->transmittance[at] = 1.f;
            tile->red[at] = f->rgb_gradient[from];
            tile->green[at] = f->rgb_gradient[plane + from];
            tile->blue[at] = f->rgb_gradient[2 * plane + from];
            float rest = tile->red[at] * f->rgb[from] + tile->green[at] * f->rgb[plane + from] + tile->blue[at] * f->rgb[2 * plane + from];
            if (f->transmittance_gradient) rest += f->transmittance_gradient[from] * f->transmittance[from];
            for (int k = 0; k < features; k++) {
                tile->features[k][at] = f->feature_gradient[k * plane + from];
                rest += tile->features[k][at] * f->feature_sums[k * plane + from];
            }
            tile->rest[at] = rest;
        }
    }
}

// Slots lie scattered: fetch those that are written a little later.
INLINE void fetch_slots(const Frame* f, int pair, int end) {
    for (int last = min_int(pair + BATCH, end); pair < last; pair++) {
        const char* slot = (const char*)&f->moments[f->pairs[pair].slot];
        __builtin_prefetch(slot, 1);
        __builtin_prefetch(slot + sizeof(Moments) - 1, 1);
    }
}

INLINE void back_pairs(const Frame* f, TileBack* tile, const Place* place, Wanted wanted) {
    int pair = f->tile_first[place->number], hidden = f->tile_last[place->number], end = f->tile_first[place->number + 1];
    int look = pair + CHECK_EVERY;
    uint32_t open = all_rows(place->height);
    Batch batch __attribute__((aligned(64)));
    for (; pair < hidden; pair += BATCH) {
        if (pair == look) {
            look += CHECK_EVERY;
            open = open_rows(tile->transmittance, open);
        }
        prepare(f, place, pair, end, &batch);
        fetch_slots(f, pair + BATCH, hidden);
        for (int i = 0; i < BATCH && pair + i < hidden; i++) back(f, tile, &batch, i, open, pair + i, wanted);
    }
    clear_pairs(f, hidden, end, wanted);
}

// Front to back again, so that the arithmetic of the way forth repeats and nothing has to be stored.
static void job_raster_back(void* context, int thread, int first, int last) {
    Frame* f = context;
    (void)thread;
    TileBack tile __attribute__((aligned(64)));
    for (int number = first; number < last; number++) {
        Place place = place_of(f, number);
        load_tile_back(f, &tile, &place, f->feature_gradient ? FEATURES : 0);
        if (f->feature_gradient && f->absolute) back_pairs(f, &tile, &place, (Wanted){1, FEATURES});
        else if (f->feature_gradient) back_pairs(f, &tile, &place, (Wanted){0, FEATURES});
        else if (f->absolute) back_pairs(f, &tile, &place, (Wanted){1, 0});
        else back_pairs(f, &tile, &place, (Wanted){0, 0});
    }
}
