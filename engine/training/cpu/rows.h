// Rows of Gaussians, as everybody else has them, out of the kernels' blocks and back. See blocks.py.
#pragma once
#include "projection.h"

// Components first to first + width of rows of blocks; `rows` [count] are their numbers, or NULL for the first ones in their order.
typedef struct {
    float* values;  // [blocks, components, BLOCK]
    int32_t components, first, width;
    const int64_t* rows;
    int64_t count;
} Rows;

static float* row_at(const Rows* r, int64_t number) {
    int64_t row = r->rows ? r->rows[number] : number;
    return r->values + (row / BLOCK * r->components + r->first) * BLOCK + row % BLOCK;
}

INLINE Float8 load8(const float* p) { return *(const UnalignedFloat8*)p; }
INLINE void store8(float* p, Float8 v) { *(UnalignedFloat8*)p = v; }

// How many of the first rows lie in whole blocks whose components can be turned over eight at a time.
static int64_t whole_rows(const Rows* r) { return r->rows || r->width < 8 ? 0 : r->count / BLOCK * BLOCK; }

// Turns eight components of eight rows over: from a block to rows, or back.
INLINE void turn8(float* block, float* rows, int width, int to_rows) {
    Float8 v[8];
    for (int i = 0; i < 8; i++) v[i] = to_rows ? load8(block + i * BLOCK) : load8(rows + i * width);
    transpose8(v);
    for (int i = 0; i < 8; i++) to_rows ? store8(rows + i * width, v[i]) : store8(block + i * BLOCK, v[i]);
}

// The whole blocks of Rows; the last eight components may be some of those before once more.
INLINE void turn_blocks(const Rows* r, float* rows, int to_rows) {
    for (int64_t row = 0; row < whole_rows(r); row += 8)
        for (int c = 0; c < r->width; c += 8) {
            int at = c + 8 <= r->width ? c : r->width - 8;
            turn8(row_at(r, row) + at * BLOCK, rows + row * r->width + at, r->width, to_rows);
        }
}

// Copies them to `out` [count, width].
static void gather_rows(const Rows* r, float* out) {
    turn_blocks(r, out, 1);
    for (int64_t i = whole_rows(r); i < r->count; i++) {
        const float* from = row_at(r, i);
        for (int c = 0; c < r->width; c++) out[i * r->width + c] = from[c * BLOCK];
    }
}

// Overwrites them by `in` [count, width].
static void scatter_rows(const Rows* r, const float* in) {
    turn_blocks(r, (float*)in, 0);
    for (int64_t i = whole_rows(r); i < r->count; i++) {
        float* to = row_at(r, i);
        for (int c = 0; c < r->width; c++) to[c * BLOCK] = in[i * r->width + c];
    }
}

// Copies each row of `from` to that of `to` in its place, in their order.
static void move_rows(const Rows* from, const Rows* to) {
    for (int64_t i = 0; i < from->count; i++) {
        const float* source = row_at(from, i);
        float* target = row_at(to, i);
        for (int c = 0; c < from->width; c++) target[c * BLOCK] = source[c * BLOCK];
    }
}

// Whether all of `count` values are numbers.
static int all_finite(const float* values, int64_t count) {
    Mask broken = 0;
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) broken |= ((Mask)load(values + i) & 0x7f800000) == 0x7f800000;
    int finite = !any(broken);
    for (; i < count; i++) finite &= isfinite(values[i]) != 0;
    return finite;
}
