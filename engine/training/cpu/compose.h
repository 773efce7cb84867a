// What the drawn image is compared with: a photo over a background, without what its mask leaves out.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const uint8_t *image, *mask;
    int width, channels;
    size_t plane;
    const float *background, *rgb;
    float *planar, *gradient;
} Compose;

static void job_compose(void* context, int thread, int first, int last) {
    Compose* c = context;
    (void)thread;
    for (size_t i = (size_t)first * c->width; i < (size_t)last * c->width; i++) {
        const uint8_t* pixel = c->image + i * c->channels;
        float alpha = c->channels == 4 ? pixel[3] * (1 / 255.f) : 1.f;
        for (int k = 0; k < 3; k++) c->planar[k * c->plane + i] = pixel[k] * (1 / 255.f) * alpha + c->background[k] * (1 - alpha);
        if (c->mask && !c->mask[i])
            for (int k = 0; k < 3; k++) c->planar[k * c->plane + i] = c->rgb[k * c->plane + i];
    }
}

// Where the mask is 0 the target is what is drawn, and nothing is learned: windows of SSIM reach across its border.
static void job_ignore(void* context, int thread, int first, int last) {
    Compose* c = context;
    (void)thread;
    for (size_t i = (size_t)first * c->width; i < (size_t)last * c->width; i++)
        for (int k = 0; k < 3; k++)
            if (!c->mask[i]) c->gradient[k * c->plane + i] = 0;
}
