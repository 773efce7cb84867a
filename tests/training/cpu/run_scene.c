// Draws a scene, trains it for some steps and writes all that comes out, on platforms that have no Python at hand:
//     run_scene SCENE RESULT LIBRARY, or run_scene SCENE RESULT when the kernels are compiled in (-DLINKED).
// The kernels' source is included for its types: a function whose signature changes does not compile here.
#include <stdio.h>

#include "splat.c"

#ifdef LINKED
#define KERNEL(name) name
static void open_library(const char* path) { (void)path; }
#else
#ifdef _WIN32
static HMODULE library;
static void open_library(const char* path) { library = LoadLibraryA(path); }
static void* find(const char* name) { return library ? (void*)GetProcAddress(library, name) : NULL; }
#else
#include <dlfcn.h>
static void* library;
static void open_library(const char* path) { library = dlopen(path, RTLD_NOW); }
static void* find(const char* name) { return library ? dlsym(library, name) : NULL; }
#endif
static void* must_find(const char* name) {
    void* function = find(name);
    if (function) return function;
    fprintf(stderr, "the library does not hold %s\n", name);
    exit(3);
}
#define KERNEL(name) ((__typeof__(&name))must_find(#name))
#endif

typedef struct {
    int32_t count, sh_count, sh_degree, steps, threads;
    float dilation, blur, rate, ssim_lambda, regularisation, noise;
    View view;
} Task;  // begins the scene's file; the Gaussians' values and the target image, uint8 [H, W, 4], follow

static FILE* open_or_exit(const char* path, const char* mode) {
    FILE* file = fopen(path, mode);
    if (file) return file;
    perror(path);
    exit(2);
}

static void* zeros(size_t size) { return calloc(size + 1, 1); }

static void* read_or_exit(FILE* file, size_t size) {
    void* memory = zeros(size);
    if (fread(memory, 1, size, file) == size) return memory;
    exit(2);
}

static void write_floats(FILE* file, const float* values, size_t count) { fwrite(values, sizeof(float), count, file); }

// Images, and the gradients of the loss.
static int draw_scene(Splat* s, const Task* t, const Scene* scene, const uint8_t* target, size_t size, FILE* output) {
    size_t plane = (size_t)t->view.width * t->view.height;
    float *images = zeros(5 * plane * sizeof(float)), *upstream = zeros(3 * plane * sizeof(float)), *values = zeros(size), pose[12];
    float(*absolute)[2] = zeros(sizeof *absolute * t->count);
    double loss;
    if (KERNEL(splat_forward)(s, scene, &t->view, images, images + 3 * plane, images + 4 * plane) < 0) return 5;
    if (KERNEL(splat_loss)(s, &t->view, target, 4, images, t->ssim_lambda, 1, 0, upstream, &loss) < 0) return 5;
    if (KERNEL(splat_backward)(s, upstream, NULL, &(Gradients){values, absolute, pose}) < 0) return 5;
    write_floats(output, images, 5 * plane);
    write_floats(output, values, size / sizeof(float));
    write_floats(output, pose, 12);
    write_floats(output, absolute[0], 2 * t->count);
    return 0;
}

// The loss of each step, and the Gaussians that come of it.
static int train(Splat* s, const Task* t, const Scene* scene, const uint8_t* target, size_t size, FILE* output) {
    StepInput step_input = {.image = target, .channels = 4, .ssim_lambda = t->ssim_lambda, .noise = t->noise, .seed = 7, .first = zeros(size), .second = zeros(size)};
    step_input.opacity_regularisation = step_input.scale_regularisation = t->regularisation;
    for (int i = 0; i < 6; i++) step_input.rates[i] = t->rate;
    for (step_input.step = 1; step_input.step <= t->steps; step_input.step++) {
        double loss;
        if (KERNEL(splat_step)(s, scene, &t->view, &step_input, &loss) < 0) return 6;
        write_floats(output, &(float){(float)loss}, 1);
    }
    write_floats(output, scene->values, size / sizeof(float));
    return 0;
}

int main(int argc, char** argv) {
    open_library(argc > 3 ? argv[3] : NULL);
    if (KERNEL(splat_abi)() != ABI) return 4;
    FILE *input = open_or_exit(argv[1], "rb"), *output = open_or_exit(argv[2], "wb");
    Task* t = read_or_exit(input, sizeof *t);
    Scene scene = {t->count, t->sh_count, t->sh_degree, t->dilation, t->blur, NULL};
    size_t size = sizeof(float) * BLOCK * block_count(&scene) * components(&scene);
    scene.values = read_or_exit(input, size);
    const uint8_t* target = read_or_exit(input, (size_t)4 * t->view.width * t->view.height);
    Splat* s = KERNEL(splat_new)(t->threads);
    int error = draw_scene(s, t, &scene, target, size, output);
    if (!error) error = train(s, t, &scene, target, size, output);
    KERNEL(splat_free)(s);
    return fclose(output) ? 2 : error;
}
