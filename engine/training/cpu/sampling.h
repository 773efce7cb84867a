// Averages of images over areas, and bilinear samples between pixels. One thread a call, for several images are read at a time.
#pragma once
#include "vectors.h"
#include <stddef.h>

// Pixels of up to four channels, each `pixel` numbers after the one before it: bytes, 16-bit words or floats.
typedef struct {
    const void* values;
    int64_t row;  // bytes from one row to the next
    int32_t height, width, channels, pixel, bytes;
} Picture;

typedef float Quad __attribute__((ext_vector_type(4)));
typedef float UnalignedQuad __attribute__((ext_vector_type(4), aligned(4)));

// The pixels that one of another size covers along a side: `head` of the first, `tail` of the last, those between them whole.
typedef struct {
    int first, last;
    float head, tail;
} Span;

// Sizes that grow repeat pixels.
static Span span_of(int index, int length, int count) {
    double ratio = (double)length / count, begin = index * ratio, end = (index + 1) * ratio;
    int first = begin < length - 1 ? (int)begin : length - 1, last = end < length - 1 ? (int)end : length - 1;
    if (count >= length) return (Span){first, first, 1.f, 0.f};
    return (Span){first, last, (float)(1 - (begin - first)), (float)(end - last)};
}

static void add_row(float* sums, const Picture* from, int row, float weight) {
    const char* values = (const char*)from->values + row * from->row;
    int count = (from->width - 1) * from->pixel + from->channels;
    if (from->bytes == 1) for (int i = 0; i < count; i++) sums[i] += ((const uint8_t*)values)[i] * weight;
    else if (from->bytes == 2) for (int i = 0; i < count; i++) sums[i] += ((const uint16_t*)values)[i] * weight;
    else for (int i = 0; i < count; i++) sums[i] += ((const float*)values)[i] * weight;
}

static void average_across(const float* sums, const Picture* from, int width, float scale, float* out) {
    for (int x = 0; x < width; x++) {
        Span s = span_of(x, from->width, width);
        Quad sum = *(const UnalignedQuad*)(sums + s.first * from->pixel) * s.head;
        for (int i = s.first + 1; i < s.last; i++) sum += *(const UnalignedQuad*)(sums + i * from->pixel);
        if (s.tail > 0) sum += *(const UnalignedQuad*)(sums + s.last * from->pixel) * s.tail;
        for (int c = 0; c < from->channels; c++) out[x * from->channels + c] = sum[c] * scale;
    }
}

// Averages [height, width, channels] over the areas of the pixels of another size. `sums` has room for width * pixel + 4 numbers of `from`.
static void area_average(const Picture* from, int height, int width, float* sums, float* out) {
    double down = height < from->height ? (double)height / from->height : 1, across = width < from->width ? (double)width / from->width : 1;
    for (int y = 0; y < height; y++) {
        Span s = span_of(y, from->height, height);
        memset(sums, 0, sizeof *sums * ((size_t)from->width * from->pixel + 4));
        add_row(sums, from, s.first, s.head);
        for (int row = s.first + 1; row < s.last; row++) add_row(sums, from, row, 1.f);
        if (s.tail > 0) add_row(sums, from, s.last, s.tail);
        average_across(sums, from, width, (float)(down * across), out + (size_t)y * width * from->channels);
    }
}

// Where the pixels of an image lie in another: `times` x `times` samples for each, row by row.
typedef struct {
    const int32_t* corner;       // [height * times, width * times], number of the upper left of four pixels
    const float *right, *lower;  // of the same shape, shares of those
    int32_t height, width, times;
} Samples;

// So many bytes of the memory that begins at `at`; those that lie beyond `end` are zero.
#define READ(to, at, end)                                        \
    do {                                                                        \
        if ((end) - (at) >= (int64_t)sizeof(to)) memcpy(&(to), at, sizeof(to)); \
        else if ((end) > (at)) memcpy(&(to), at, (size_t)((end) - (at)));       \
    } while (0)

// Two pixels beside each other as four numbers each; what lies beyond `end` is zero.
INLINE Float8 two_pixels(const char* at, const char* end, int pixel, int bytes) {
    typedef uint8_t Bytes8 __attribute__((ext_vector_type(8)));
    typedef uint16_t Words8 __attribute__((ext_vector_type(8)));
    Words8 words = 0;
    if (bytes == 1) {
        Bytes8 read = 0;
        READ(read, at, end);
        words = __builtin_convertvector(read, Words8);
    } else READ(words, at, end);
    if (pixel == 1) words = __builtin_shufflevector(words, words, 0, 0, 0, 0, 1, 1, 1, 1);
    if (pixel == 3) words = __builtin_shufflevector(words, words, 0, 1, 2, 2, 3, 4, 5, 5);
    return __builtin_convertvector(words, Float8);
}

INLINE void sample(const Picture* from, const Samples* samples, float* out, int pixel, int bytes) {
    const Float8 base = {1, 1, 1, 1, 0, 0, 0, 0}, slope = {-1, -1, -1, -1, 1, 1, 1, 1};  // by the share of the right pixel
    const char *values = from->values, *end = values + from->height * from->row;
    int64_t below = from->height > 1 ? from->row : 0;
    int times = samples->times, columns = samples->width * times;
    float scale = 1.f / (times * times);
    for (int64_t at = 0; at < (int64_t)samples->height * samples->width; at++) {
        int64_t first = at / samples->width * times * columns + at % samples->width * times;
        Float8 sum = 0.f;
        for (int row = 0; row < times; row++)
            for (int64_t i = first + row * columns; i < first + row * columns + times; i++) {
                const char* corner = values + (int64_t)samples->corner[i] * pixel * bytes;
                Float8 upper = two_pixels(corner, end, pixel, bytes), lower = two_pixels(corner + below, end, pixel, bytes);
                sum += (upper + (lower - upper) * samples->lower[i]) * (base + slope * samples->right[i]);
            }
        Quad mean = (sum.lo + sum.hi) * scale;
        for (int c = 0; c < from->channels; c++) out[at * from->channels + c] = mean[c];
    }
}

// Bilinear samples of a picture without gaps between its pixels, 1, 3 or 4 bytes or words each, averaged: [height, width, channels].
static int average_samples(const Picture* from, const Samples* samples, float* out) {
    switch (from->pixel * 10 + from->bytes) {
        case 11: sample(from, samples, out, 1, 1); return 0;
        case 12: sample(from, samples, out, 1, 2); return 0;
        case 31: sample(from, samples, out, 3, 1); return 0;
        case 32: sample(from, samples, out, 3, 2); return 0;
        case 41: sample(from, samples, out, 4, 1); return 0;
        case 42: sample(from, samples, out, 4, 2); return 0;
        default: return -1;
    }
}

// Straight alpha, bytes [count, 4] -> words times alpha, of which the fourth is 255 times it.
static void premultiply(const uint8_t* straight, int64_t count, uint16_t* out) {
    for (int64_t i = 0; i < count; i++, straight += 4, out += 4) {
        uint16_t alpha = straight[3];
        for (int c = 0; c < 3; c++) out[c] = (uint16_t)(straight[c] * alpha);
        out[3] = (uint16_t)(255 * alpha);
    }
}
