// Brightness and tint of a photo: (1 + A) rgb + b alpha of what is drawn over black, so that the splats need not imitate the camera.
#pragma once
#include <stddef.h>

enum { EXPOSURE = 12 /* [3, 4]: A, then b as the last column */ };

typedef struct {
    const float *rgb, *transmittance, *background, *values;  // drawn over the background [3, H, W], [H, W]; [3]; [EXPOSURE]
    float* exposed;           // [3, H, W]
    float* gradient;          // [3, H, W]: by what is exposed, becomes that by what is drawn
    float* by_transmittance;  // [H, W], added to
    double (*row_sums)[EXPOSURE];  // [H]: gradient by the values
    int width;
    size_t plane;
} Exposure;

static void job_expose(void* context, int thread, int first, int last) {
    Exposure* e = context;
    (void)thread;
    for (size_t i = (size_t)first * e->width; i < (size_t)last * e->width; i++) {
        float rest = e->transmittance[i], own[4] = {0, 0, 0, 1 - rest};
        for (int k = 0; k < 3; k++) own[k] = e->rgb[k * e->plane + i] - rest * e->background[k];
        for (int c = 0; c < 3; c++) {
            float change = 0;
            for (int k = 0; k < 4; k++) change += e->values[4 * c + k] * own[k];
            e->exposed[c * e->plane + i] = e->rgb[c * e->plane + i] + change;
        }
    }
}

static void job_exposure_back(void* context, int thread, int first, int last) {
    Exposure* e = context;
    float behind[3];  // what the background adds to the change of each channel, with the sign of the transmittance
    (void)thread;
    for (int c = 0; c < 3; c++) {
        behind[c] = e->values[4 * c + 3];
        for (int k = 0; k < 3; k++) behind[c] += e->values[4 * c + k] * e->background[k];
    }
    for (int row = first; row < last; row++) {
        double sums[EXPOSURE] = {0};
        for (size_t i = (size_t)row * e->width; i < (size_t)(row + 1) * e->width; i++) {
            float rest = e->transmittance[i], own[4] = {0, 0, 0, 1 - rest}, by[3], back[3];
            for (int k = 0; k < 3; k++) own[k] = e->rgb[k * e->plane + i] - rest * e->background[k];
            for (int c = 0; c < 3; c++) back[c] = by[c] = e->gradient[c * e->plane + i];
            for (int c = 0; c < 3; c++) {
                for (int k = 0; k < 4; k++) sums[4 * c + k] += by[c] * own[k];
                for (int k = 0; k < 3; k++) back[k] += e->values[4 * c + k] * by[c];
                e->by_transmittance[i] -= behind[c] * by[c];
            }
            for (int k = 0; k < 3; k++) e->gradient[k * e->plane + i] = back[k];
        }
        for (int k = 0; k < EXPOSURE; k++) e->row_sums[row][k] = sums[k];
    }
}
