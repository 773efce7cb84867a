// What densification wants to know about each Gaussian, collected over the steps of training.
#pragma once
#include "tiles.h"

// What steps have seen of a Gaussian since densification last asked: the sum of the lengths of its absolute gradients in units of half the
// image's sides, the number of steps that saw it, and its largest reach on the image as a share of the longest side.
typedef struct {
    float gradient, seen, reach;
} VisibilityStats;

typedef struct {
    const Frame* frame;
    const float (*absolute)[2];  // [count]
    VisibilityStats* visibility_stats;
} Seeing;

static void job_see(void* context, int thread, int first, int last) {
    const Seeing* seeing = context;
    const View* v = seeing->frame->lens.view;
    float half_width = 0.5f * v->width, half_height = 0.5f * v->height, longest = fmaxf(v->width, v->height);
    (void)thread;
    for (int row = first; row < last; row++) {
        const Projected* g = &seeing->frame->projected[row];
        VisibilityStats* stats = &seeing->visibility_stats[row];
        if (!g->tiles[1]) continue;
        stats->gradient += hypotf(seeing->absolute[row][0] * half_width, seeing->absolute[row][1] * half_height);
        stats->seen += 1;
        stats->reach = fmaxf(stats->reach, fmaxf(g->extent_x, g->extent_y) / longest);
    }
}
