// A thread pool: `parallel_for` runs a job over [0, total) in chunks on all threads and waits. The caller works too.
#pragma once
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#ifdef _WIN32
#define NOGDI /* windows.h without the names of drawing, such as ABSOLUTE */
#include <malloc.h>
#include <windows.h>
typedef HANDLE Thread;
typedef SRWLOCK Mutex;
typedef CONDITION_VARIABLE Condition;
#define THREAD_MAIN static DWORD WINAPI
static void mutex_init(Mutex* m) { InitializeSRWLock(m); }
static void mutex_lock(Mutex* m) { AcquireSRWLockExclusive(m); }
static void mutex_unlock(Mutex* m) { ReleaseSRWLockExclusive(m); }
static void condition_init(Condition* c) { InitializeConditionVariable(c); }
static void condition_wait(Condition* c, Mutex* m) { SleepConditionVariableSRW(c, m, INFINITE, 0); }
static void condition_wake_all(Condition* c) { WakeAllConditionVariable(c); }
static int thread_start(Thread* t, LPTHREAD_START_ROUTINE f, void* a) { return (*t = CreateThread(0, 0, f, a, 0, 0)) != NULL; }
static void thread_join(Thread t) { WaitForSingleObject(t, INFINITE); CloseHandle(t); }
#else
#include <pthread.h>
#include <time.h>
typedef pthread_t Thread;
typedef pthread_mutex_t Mutex;
typedef pthread_cond_t Condition;
#define THREAD_MAIN static void*
static void mutex_init(Mutex* m) { pthread_mutex_init(m, 0); }
static void mutex_lock(Mutex* m) { pthread_mutex_lock(m); }
static void mutex_unlock(Mutex* m) { pthread_mutex_unlock(m); }
static void condition_init(Condition* c) { pthread_cond_init(c, 0); }
static void condition_wait(Condition* c, Mutex* m) { pthread_cond_wait(c, m); }
static void condition_wake_all(Condition* c) { pthread_cond_broadcast(c); }
static int thread_start(Thread* t, void* (*f)(void*), void* a) { return pthread_create(t, 0, f, a) == 0; }
static void thread_join(Thread t) { pthread_join(t, 0); }
#endif

// Seconds of a clock that only goes forward.
static double now(void) {
#ifdef _WIN32
    LARGE_INTEGER frequency, count;
    QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&count);
    return (double)count.QuadPart / frequency.QuadPart;
#else
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
#endif
}

enum { MAX_THREADS = 256 };

// Works on items [first, last); `thread` is 0 for the caller.
typedef void (*Job)(void* context, int thread, int first, int last);

typedef struct Pool Pool;
typedef struct {
    Pool* pool;
    int number;
} Worker;

enum { SPINS = 2000 };  // looks at a flag before sleeping: a step has a dozen stages, and waking up costs as much as a short one

struct Pool {
    int threads;
    Thread handles[MAX_THREADS];
    Worker workers[MAX_THREADS];
    Mutex mutex;
    Condition work_ready, work_done;
    atomic_int round, busy, next;
    int quitting;
    Job job;
    void* context;
    int total, chunk;
};

static void pause_briefly(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void take_chunks(Pool* pool, int thread) {
    for (;;) {
        int first = atomic_fetch_add(&pool->next, pool->chunk);
        if (first >= pool->total) return;
        int last = pool->total - first < pool->chunk ? pool->total : first + pool->chunk;
        pool->job(pool->context, thread, first, last);
    }
}

THREAD_MAIN worker_main(void* argument) {
    Worker* worker = argument;
    Pool* pool = worker->pool;
    int round = 0;
    for (;;) {
        for (int i = 0; i < SPINS && atomic_load(&pool->round) == round; i++) pause_briefly();
        mutex_lock(&pool->mutex);
        while (atomic_load(&pool->round) == round && !pool->quitting) condition_wait(&pool->work_ready, &pool->mutex);
        round = atomic_load(&pool->round);
        int quitting = pool->quitting;
        mutex_unlock(&pool->mutex);
        if (quitting) return 0;
        take_chunks(pool, worker->number);
        mutex_lock(&pool->mutex);
        if (atomic_fetch_sub(&pool->busy, 1) == 1) condition_wake_all(&pool->work_done);
        mutex_unlock(&pool->mutex);
    }
}

// Threads that the system refuses are done without.
static void pool_start(Pool* pool, int threads) {
    mutex_init(&pool->mutex);
    condition_init(&pool->work_ready);
    condition_init(&pool->work_done);
    pool->threads = 1;
    for (int i = 1; i < threads && i < MAX_THREADS; i++) {
        pool->workers[i] = (Worker){pool, i};
        if (!thread_start(&pool->handles[i], worker_main, &pool->workers[i])) return;
        pool->threads++;
    }
}

static void pool_stop(Pool* pool) {
    mutex_lock(&pool->mutex);
    pool->quitting = 1;
    condition_wake_all(&pool->work_ready);
    mutex_unlock(&pool->mutex);
    for (int i = 1; i < pool->threads; i++) thread_join(pool->handles[i]);
}

static void parallel_for(Pool* pool, Job job, void* context, int total, int chunk) {
    if (total <= 0) return;
    if (pool->threads == 1 || total <= chunk) {
        job(context, 0, 0, total);
        return;
    }
    mutex_lock(&pool->mutex);
    pool->job = job;
    pool->context = context;
    pool->total = total;
    pool->chunk = chunk;
    atomic_store(&pool->busy, pool->threads - 1);
    atomic_store(&pool->next, 0);
    atomic_fetch_add(&pool->round, 1);
    condition_wake_all(&pool->work_ready);
    mutex_unlock(&pool->mutex);
    take_chunks(pool, 0);
    for (int i = 0; i < SPINS && atomic_load(&pool->busy); i++) pause_briefly();
    mutex_lock(&pool->mutex);
    while (atomic_load(&pool->busy)) condition_wait(&pool->work_done, &pool->mutex);
    mutex_unlock(&pool->mutex);
}

// A block of memory, aligned for vectors. Its content is lost when it grows.
typedef struct {
    void* memory;
    size_t size;
} Buffer;

static void buffer_free(Buffer* buffer) {
#ifdef _WIN32
    _aligned_free(buffer->memory);
#else
    free(buffer->memory);
#endif
    *buffer = (Buffer){0, 0};
}

// Room for a few more, because views differ.
static int64_t with_spare(int64_t count) { return count + count / 8; }

// At least `size` bytes, or NULL when the system has no more.
static void* reserve(Buffer* buffer, size_t size) {
    if (buffer->size >= size && buffer->memory) return buffer->memory;
    buffer_free(buffer);
    size_t wanted = (size + 127) & ~(size_t)63;
#ifdef _WIN32
    buffer->memory = _aligned_malloc(wanted, 64);
#else
    buffer->memory = aligned_alloc(64, wanted);
#endif
    buffer->size = buffer->memory ? wanted : 0;
    return buffer->memory;
}
