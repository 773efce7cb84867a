// What each Gaussian adds to an image: the sum of alpha times transmittance over its pixels, the largest of them, and sums weighted by
// buffers of the image. The latter is the gradient of drawn features by the features (FlashSplat, Shen et al. 2024).
#pragma once
#include "raster.h"

enum { CHANNELS = 6 /* of buffers that are carried at once */ };

// Of one Gaussian in one tile.
typedef struct {
    float sum, largest, channels[CHANNELS];
} Share;

typedef struct {
    const Frame* frame;
    Share* shares;         // [pairs]
    const float* buffers;  // [channels, H, W]
    int channels, first;   // how many there are; the first that is carried now
    float *sums, *largest; // [count, 1 + channels], [count], which are added to and raised
} Contribution;

typedef struct {
    float transmittance[PIXELS], channels[CHANNELS][PIXELS];
} TileShare;

typedef struct {
    Vec sum, largest, channels[CHANNELS];
} ShareLanes;

INLINE void share_vector(TileShare* tile, int at, Vec alpha, ShareLanes* s, int channels) {
    Mask open;
    Vec before, weight = light_through(tile->transmittance + at, visible(alpha), &before, &open);
    s->sum += weight;
    s->largest = vmax(s->largest, weight);
    for (int k = 0; k < channels; k++) s->channels[k] += weight * load(tile->channels[k] + at);
}

INLINE void share_strip(TileShare* tile, const Projected* g, float x, float center_y, int strip, uint32_t rows, ShareLanes* s, int channels) {
    if (!rows) return;
    int last = last_bit(rows);
    Vec dx = lane_numbers() + (strip * LANES - x);
    for (int y = first_bit(rows); y <= last; y++) {
        float dy = y - center_y;
        share_vector(tile, y * TILE + strip * LANES, row_alpha(g, dx - g->slope * dy, dy), s, channels);
    }
}

INLINE void share_narrow(TileShare* tile, const Projected* g, float x, float center_y, uint32_t rows, ShareLanes* s, int channels) {
    int last = last_bit(rows);
    for (int y = first_bit(rows); y <= last; y++) {
        float dy = y - center_y, center = x + g->slope * dy;
        int start = window_start(center, g->half_width);
        share_vector(tile, y * TILE + start, row_alpha(g, lane_numbers() + (start - center), dy), s, channels);
    }
}

INLINE void share(TileShare* tile, const Batch* b, int i, uint32_t open, Share* to, int channels) {
    const Projected* g = b->gaussians[i];
    uint32_t rows = b->rows[i] & open;
    ShareLanes s = {0};
    if (rows && b->narrow[i]) share_narrow(tile, g, b->x[i], b->y[i], rows_of_strip(rows | rows >> TILE, 0), &s, channels);
    else
        for (int strip = 0; strip < VECTORS; strip++)
            share_strip(tile, g, b->x[i], b->y[i], strip, rows_of_strip(rows, strip), &s, channels);
    to->sum = sum_lanes(s.sum);
    to->largest = __builtin_reduce_max(s.largest);
    for (int k = 0; k < channels; k++) to->channels[k] = sum_lanes(s.channels[k]);
}

// The buffers' pixels, 0 beyond the image and for channels that are not there.
static void load_tile_share(const Contribution* c, TileShare* tile, const Place* place) {
    const View* v = c->frame->lens.view;
    size_t plane = (size_t)v->width * v->height;
    int carried = min_int(CHANNELS, c->channels - c->first);
    for (int at = 0; at < PIXELS; at += LANES) store(tile->transmittance + at, (Vec)-1.f);
    memset(tile->channels, 0, sizeof tile->channels);
    for (int y = 0; y < place->height; y++)
        for (int x = 0; x < place->width; x++) {
            size_t from = (size_t)(place->y + y) * v->width + place->x + x;
            tile->transmittance[y * TILE + x] = 1.f;
            for (int k = 0; k < carried; k++) tile->channels[k][y * TILE + x] = c->buffers[(c->first + k) * plane + from];
        }
}

INLINE void share_pairs(const Contribution* c, TileShare* tile, const Place* place, int channels) {
    const Frame* f = c->frame;
    int pair = f->tile_first[place->number], end = f->tile_first[place->number + 1], look = pair + CHECK_EVERY;
    uint32_t open = all_rows(place->height);
    Batch batch __attribute__((aligned(64)));
    for (; pair < end && open; pair += BATCH) {
        if (pair == look) {
            look += CHECK_EVERY;
            open = open_rows(tile->transmittance, open);
        }
        prepare(f, place, pair, end, &batch);
        for (int i = 0; i < BATCH && pair + i < end; i++) share(tile, &batch, i, open, &c->shares[f->pairs[pair + i].slot], channels);
    }
    for (; pair < end; pair++) memset(c->shares + f->pairs[pair].slot, 0, sizeof *c->shares);
}

static void job_share(void* context, int thread, int first, int last) {
    const Contribution* c = context;
    (void)thread;
    TileShare tile __attribute__((aligned(64)));
    for (int number = first; number < last; number++) {
        Place place = place_of(c->frame, number);
        load_tile_share(c, &tile, &place);
        if (c->channels) share_pairs(c, &tile, &place, CHANNELS);
        else share_pairs(c, &tile, &place, 0);
    }
}

// A Gaussian's shares are added over its tiles in order, so that any number of threads gives the same sums.
static void job_add_shares(void* context, int thread, int first, int last) {
    const Contribution* c = context;
    const Frame* f = c->frame;
    int carried = min_int(CHANNELS, c->channels - c->first);
    (void)thread;
    for (int row = first; row < last; row++) {
        float* sums = c->sums + (size_t)row * (1 + c->channels);
        for (int i = f->slot_first[row]; i < f->slot_first[row + 1]; i++) {
            const Share* share = &c->shares[i];
            if (!c->first) sums[0] += share->sum;
            c->largest[row] = fmaxf(c->largest[row], share->largest);
            for (int k = 0; k < carried; k++) sums[1 + c->first + k] += share->channels[k];
        }
    }
}
