// Trains a scene for some steps and writes all that comes out, on platforms that have no Python at hand:
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

enum { ARRAYS = 6 };

typedef struct {
    int32_t count, sh_count, sh_degree, steps, threads;
    float rate, ssim_lambda;
    View view;
} Task;  // begins the scene's file; the six parameters and the target image follow

static FILE* open_or_exit(const char* path, const char* mode) {
    FILE* file = fopen(path, mode);
    if (file) return file;
    perror(path);
    exit(2);
}

static float* zeros(size_t count) { return calloc(count + 1, sizeof(float)); }

static float* read_floats(FILE* file, size_t count) {
    float* values = zeros(count);
    if (fread(values, sizeof(float), count, file) != count) exit(2);
    return values;
}

static void write_all(FILE* file, float** arrays, const size_t* sizes, int count) {
    for (int i = 0; i < count; i++) fwrite(arrays[i], sizeof(float), sizes[i], file);
}

int main(int argc, char** argv) {
    open_library(argc > 3 ? argv[3] : NULL);
    if (KERNEL(splat_abi)() != ABI) return 4;
    FILE *input = open_or_exit(argv[1], "rb"), *output = open_or_exit(argv[2], "wb");
    Task t;
    if (fread(&t, sizeof t, 1, input) != 1) return 2;
    size_t n = t.count, plane = (size_t)t.view.width * t.view.height;
    size_t sizes[ARRAYS] = {3 * n, 4 * n, 3 * n, n, 3 * n, 3 * n * (t.sh_count - 1)}, image_sizes[3] = {3 * plane, plane, plane};
    float *p[ARRAYS], *g[ARRAYS], *first[ARRAYS], *second[ARRAYS];
    for (int i = 0; i < ARRAYS; i++) {
        p[i] = read_floats(input, sizes[i]);
        g[i] = zeros(sizes[i]);
        first[i] = zeros(sizes[i]);
        second[i] = zeros(sizes[i]);
    }
    float *target = read_floats(input, 3 * plane), *image_gradient = zeros(3 * plane);
    float* images[3] = {zeros(3 * plane), zeros(plane), zeros(plane)};
    Scene scene = {n, t.sh_count, t.sh_degree, p[0], p[1], p[2], p[3], p[4], p[5]};
    Gradients gradients = {g[0], g[1], g[2], g[3], g[4], g[5]};
    Splat* s = KERNEL(splat_new)(t.threads);
    for (int step = 1; step <= t.steps; step++) {
        double loss;
        if (KERNEL(splat_forward)(s, &scene, &t.view, images[0], images[1], images[2]) < 0) return 5;
        if (KERNEL(splat_loss)(s, t.view.width, t.view.height, images[0], target, t.ssim_lambda, image_gradient, &loss) < 0) return 5;
        if (KERNEL(splat_backward)(s, image_gradient, NULL, &gradients) < 0) return 5;
        if (step == 1) write_all(output, images, image_sizes, 3);
        if (step == 1) write_all(output, g, sizes, ARRAYS);
        fwrite(&(float){(float)loss}, sizeof(float), 1, output);
        for (int i = 0; i < ARRAYS; i++)
            KERNEL(splat_adam)(s, (int64_t)sizes[i], p[i], g[i], first[i], second[i], t.rate, 0.9f, 0.999f, 1e-15f, step);
    }
    KERNEL(splat_free)(s);
    return fclose(output);
}
