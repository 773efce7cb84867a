// The kernels under the address sanitizer, with every block of memory exactly as long as it was asked for:
// what is added for alignment and growth would hide a write behind the end.
#include "threads.h"

void __asan_poison_memory_region(const volatile void* memory, size_t size);
void __asan_unpoison_memory_region(const volatile void* memory, size_t size);

static void* reserve_exactly(Buffer* buffer, size_t size) {
    char* memory = reserve(buffer, size);
    if (!memory) return NULL;
    __asan_unpoison_memory_region(memory, buffer->size);
    __asan_poison_memory_region(memory + size, buffer->size - size);
    return memory;
}

#define reserve reserve_exactly
#define with_spare(count) (count)
#include "splat.c"
