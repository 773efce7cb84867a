// Undoing the filters of PNG files, which is all of reading one that is slow in Python.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int paeth(int left, int up, int corner) {
    int guess = left + up - corner, a = abs(guess - left), b = abs(guess - up), c = abs(guess - corner);
    return a <= b && a <= c ? left : b <= c ? up : corner;
}

// Undo the filters of PNG rows (PNG specification, section 9): height rows of a filter byte and `stride` bytes.
// Returns -1, or the number of the first row with an unknown filter.
static int png_unfilter(const uint8_t* raw, int height, int stride, int pixel, uint8_t* out) {
    for (int y = 0; y < height; y++) {
        const uint8_t* from = raw + (size_t)y * (stride + 1) + 1;
        uint8_t* to = out + (size_t)y * stride;
        const uint8_t* above = y ? to - stride : NULL;
        int filter = from[-1];
        if (filter > 4) return y;
        for (int i = 0; i < stride; i++) {
            int left = i >= pixel ? to[i - pixel] : 0, up = above ? above[i] : 0, corner = above && i >= pixel ? above[i - pixel] : 0;
            int guess = filter == 0 ? 0 : filter == 1 ? left : filter == 2 ? up : filter == 3 ? (left + up) / 2 : paeth(left, up, corner);
            to[i] = (uint8_t)(from[i] + guess);
        }
    }
    return -1;
}
