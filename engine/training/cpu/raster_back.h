// The way back through compositing: for each pair of Gaussian and tile, sums over the pixels.
#pragma once
#include "raster.h"

// The pixels of a tile on the way back: colours are the loss gradient, and `rest` is what lies behind the current Gaussian, weighed by it.
typedef struct {
    float transmittance[PIXELS], rest[PIXELS], red[PIXELS], green[PIXELS], blue[PIXELS];
} TileBack;

// Sums over the pixels of one tile.
typedef struct {
    Vec one, across, y, across2, across_y, yy, red, green, blue, absolute_x, absolute_y;
} Sums;

// Of one row of pixels, where dy is the same.
typedef struct {
    Vec one, across, across2;
} RowSums;

// `across`: how far the pixels lie from the Gaussian's axis, along the row.
INLINE void back_vector(TileBack* tile, int at, const Projected* g, Vec across, float dy, Vec alpha, Sums* sums, RowSums* row, int with_absolute) {
    Mask open;
    Vec opaque = visible(alpha), before, weight = light_through(tile->transmittance + at, opaque, &before, &open);
    Vec red = load(tile->red + at), green = load(tile->green + at), blue = load(tile->blue + at);
    Vec own = g->color[0] * red + g->color[1] * green + g->color[2] * blue;
    Vec rest = load(tile->rest + at) - weight * own;
    store(tile->rest + at, rest);
    // d loss / d alpha = T own - rest / (1 - alpha); times alpha: d loss / d log alpha. Clamped alphas do not move.
    Vec gradient = keep(open & (alpha <= ALPHA_MAX), opaque * (before * own - rest / (1.f - opaque)));
    sums->red += weight * red;
    sums->green += weight * green;
    sums->blue += weight * blue;
    Vec moment = gradient * across;
    row->one += gradient;
    row->across += moment;
    row->across2 += moment * across;
    if (!with_absolute) return;
    Vec by_x = 2.f / LOG2_E * g->half_a * across;  // d log alpha / d x
    sums->absolute_x += vabs(gradient * by_x);
    sums->absolute_y += vabs(gradient * (2.f / LOG2_E * g->half_d * dy - g->slope * by_x));
}

INLINE void end_row(Sums* sums, const RowSums* row, float dy) {
    sums->one += row->one;
    sums->across += row->across;
    sums->across2 += row->across2;
    sums->y += row->one * dy;
    sums->across_y += row->across * dy;
    sums->yy += row->one * (dy * dy);
}

INLINE void back_rows(TileBack* tile, const Projected* g, const Footprint* p, uint32_t open, Sums* sums, int with_absolute, int smooth, int vectors) {
    Column columns[VECTORS];
    for (int i = 0; i < vectors; i++) columns[i].dx = offsets(p, i);
    float dy = p->dy;
    for (int y = p->first_row; y <= p->last_row; y++, dy += 1.f) {
        for (int i = 0; i < vectors && smooth && (y - p->first_row) % RESTART == 0; i++) begin_rows(&columns[i], g, dy);
        if (open >> y & 1) {
            RowSums row = {0};
            for (int i = 0; i < vectors; i++) {
                Vec across = columns[i].dx - g->slope * dy, alpha = smooth ? columns[i].alpha : row_alpha(g, across, dy);
                back_vector(tile, y * TILE + (p->first_vector + i) * LANES, g, across, dy, alpha, sums, &row, with_absolute);
            }
            end_row(sums, &row, dy);
        }
        for (int i = 0; i < vectors && smooth; i++) next_row(&columns[i], g);
    }
}

INLINE void back_narrow(TileBack* tile, const Projected* g, const Footprint* p, uint32_t open, Sums* sums, int with_absolute) {
    float dy = p->dy;
    for (int y = p->first_row; y <= p->last_row; y++, dy += 1.f) {
        if (!(open >> y & 1)) continue;
        RowSums row = {0};
        float center = p->x + g->slope * dy;
        int start = window_start(center, g->half_width);
        Vec across = lane_numbers() + (start - center);
        back_vector(tile, y * TILE + start, g, across, dy, row_alpha(g, across, dy), sums, &row, with_absolute);
        end_row(sums, &row, dy);
    }
}

INLINE void store_moments(const Sums* s, Moments* to) {
    Vec first[8] = {s->one, s->across, s->y, s->across2, s->across_y, s->yy, s->red, s->green};
    *(UnalignedFloat8*)to = sum_each(first);
    to->color[2] = sum_lanes(s->blue);
}

INLINE void back(const Frame* f, TileBack* tile, const Projected* g, const Place* place, uint32_t open, int pair, int with_absolute) {
    Footprint p = footprint(g, place);
    Sums sums = {0};
    if (VECTORS == 2 && g->half_width < NARROW) back_narrow(tile, g, &p, open, &sums, with_absolute);
    else if (is_smooth(g, &p)) p.vectors == 1 ? back_rows(tile, g, &p, open, &sums, with_absolute, 1, 1) : back_rows(tile, g, &p, open, &sums, with_absolute, 1, VECTORS);
    else p.vectors == 1 ? back_rows(tile, g, &p, open, &sums, with_absolute, 0, 1) : back_rows(tile, g, &p, open, &sums, with_absolute, 0, VECTORS);
    store_moments(&sums, &f->moments[pair]);
    if (!with_absolute) return;
    f->absolute[pair][0] = sum_lanes(sums.absolute_x);
    f->absolute[pair][1] = sum_lanes(sums.absolute_y);
}

static void load_tile_back(const Frame* f, TileBack* tile, const Place* place) {
    const View* v = f->lens.view;
    size_t plane = (size_t)v->width * v->height;
    memset(tile, 0, sizeof *tile);
    for (int at = 0; at < PIXELS; at++) tile->transmittance[at] = -1.f;
    for (int y = 0; y < place->height; y++) {
        for (int x = 0; x < place->width; x++) {
            size_t from = (size_t)(place->y + y) * v->width + place->x + x;
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

INLINE void back_pairs(const Frame* f, TileBack* tile, const Place* place, int with_absolute) {
    int pair = f->tile_first[place->number], hidden = f->tile_last[place->number], end = f->tile_first[place->number + 1];
    int look = pair + CHECK_EVERY;
    uint32_t open = (1u << place->height) - 1;
    for (; pair < hidden; pair++) {
        if (pair == look) {
            look += CHECK_EVERY;
            open = open_rows(tile->transmittance, open);
        }
        back(f, tile, gaussian_of(f, pair, hidden), place, open, pair, with_absolute);
    }
    memset(f->moments + hidden, 0, sizeof(Moments) * (end - hidden));
    if (with_absolute) memset(f->absolute + hidden, 0, sizeof *f->absolute * (end - hidden));
}

// Front to back again, so that the arithmetic of the way forth repeats and nothing has to be stored.
static void job_raster_back(void* context, int thread, int first, int last) {
    Frame* f = context;
    (void)thread;
    TileBack tile __attribute__((aligned(64)));
    for (int number = first; number < last; number++) {
        Place place = place_of(f, number);
        load_tile_back(f, &tile, &place);
        if (f->absolute) back_pairs(f, &tile, &place, 1);
        else back_pairs(f, &tile, &place, 0);
    }
}
