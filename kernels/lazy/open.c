// Opens the CUDA libraries at the first call of any of their functions. Where a library or a
// function is missing, the call answers with the error code that its library has for that.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

#define HIDDEN __attribute__((visibility("hidden")))

// In the order of LIBRARIES in build.rs.
static const char *const names[] = {
    "libcublasLt.so.13", "libcublas.so.13", "libcurand.so.10", "libnvrtc.so.13", "libcuda.so.1",
};
enum { LIBRARIES = sizeof names / sizeof names[0], CURAND = 2, DRIVER = LIBRARIES - 1 };

static const struct {
    const char *symbol;
    int library;
} table[] = {
#include "lazy_table.inc"
};

extern void *lazy_slots[] HIDDEN;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static void *handles[LIBRARIES];
static char problems[LIBRARIES][256];

static int no_driver(void) { return 100; }      // CUDA_ERROR_NO_DEVICE
static int no_function(void) { return 500; }    // CUDA_ERROR_NOT_FOUND
static int not_initialised(void) { return 1; }  // CUBLAS_STATUS_NOT_INITIALIZED, NVRTC's error 1
static int no_curand(void) { return 101; }      // CURAND_STATUS_NOT_INITIALIZED
static int error_text(int code, const char **text) {
    *text = code == 500 ? "the driver is too old: it lacks a function" : "no CUDA driver";
    return 0;
}

static void *opened(int library) {
    pthread_mutex_lock(&mutex);
    if (!handles[library] && !problems[library][0]) {
        handles[library] = dlopen(names[library], RTLD_NOW | RTLD_LOCAL);
        if (!handles[library]) {
            const char *problem = dlerror();
            strncpy(problems[library], problem ? problem : "unknown", sizeof problems[0] - 1);
        }
    }
    pthread_mutex_unlock(&mutex);
    return handles[library];
}

static void *stand_in(const char *symbol, int library, int is_open) {
    if (!strcmp(symbol, "cuGetErrorString") || !strcmp(symbol, "cuGetErrorName"))
        return (void *)error_text;
    if (library == CURAND) return (void *)no_curand;
    if (library != DRIVER) return (void *)not_initialised;
    return is_open ? (void *)no_function : (void *)no_driver;
}

HIDDEN void *lazy_resolve(size_t index) {
    const char *symbol = table[index].symbol;
    int library = table[index].library;
    void *handle = opened(library);
    void *function = handle ? dlsym(handle, symbol) : NULL;
    if (!function) function = stand_in(symbol, library, handle != NULL);
    __atomic_store_n(&lazy_slots[index], function, __ATOMIC_RELEASE);
    return function;
}

// Why a library of `names` cannot be opened; NULL where it can be.
const char *chunkflow_cuda_problem(int library) {
    return opened(library) ? NULL : problems[library];
}
