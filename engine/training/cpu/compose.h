// What the drawn image is compared with: a photo over a background, without what its mask leaves out.
#pragma once
#include <math.h>
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

// What is drawn as it is seen: within [0, 1], and the target itself where the mask is 0.
typedef struct {
    float* rgb;
    const float* target;
    const uint8_t* mask;  // or NULL
    int width;
    size_t plane;
} Show;

static void job_show(void* context, int thread, int first, int last) {
    Show* s = context;
    (void)thread;
    for (int channel = 0; channel < 3; channel++)
        for (size_t i = (size_t)first * s->width; i < (size_t)last * s->width; i++) {
            size_t at = channel * s->plane + i;
            s->rgb[at] = s->mask && !s->mask[i] ? s->target[at] : fminf(fmaxf(s->rgb[at], 0.f), 1.f);
        }
}
