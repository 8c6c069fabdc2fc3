/* All heap of the library: counted, so that tests find leaks, and made to fail on demand, so that
 * they find missing checks. */
#include "base/alloc.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "base/fail.h"
#include "base/settings.h"

static atomic_size_t live;
static atomic_uint_least64_t calls, fail_at; /* fail_at: number of the call that fails, 0 = none */
static pthread_once_t setting_once = PTHREAD_ONCE_INIT;

static void read_setting(void)
{
    const char *value = weft__setting("fail_alloc");
    if (value && *value) weft__alloc_fail_at(strtoull(value, NULL, 10));
}

static int admit(void)
{
    pthread_once(&setting_once, read_setting);
    uint64_t number = atomic_fetch_add(&calls, 1) + 1;
    return number != atomic_load(&fail_at);
}

/* Counts a block, or records that there is none. */
static void *born(void *memory, size_t bytes)
{
    if (memory)
        atomic_fetch_add(&live, 1);
    else
        weft_fail(WEFT_E_NOMEM,
                  "out of memory: %zu bytes were asked for; use a smaller batch or model", bytes);
    return memory;
}

void *weft__alloc(size_t bytes)
{
    return born(admit() ? calloc(1, bytes ? bytes : 1) : NULL, bytes);
}

void *weft__alloc_n(size_t n, size_t size)
{
    if (size && n > PTRDIFF_MAX / size) {
        weft_fail(WEFT_E_NOMEM, "out of memory: %zu times %zu bytes were asked for", n, size);
        return NULL;
    }
    return weft__alloc(n * size);
}

void *weft__realloc(void *memory, size_t bytes)
{
    if (!memory) return weft__alloc(bytes);
    void *result = admit() ? realloc(memory, bytes ? bytes : 1) : NULL;
    if (!result)
        weft_fail(WEFT_E_NOMEM,
                  "out of memory: %zu bytes were asked for; use a smaller batch or model", bytes);
    return result;
}

void *weft__alloc_aligned(size_t bytes, size_t align)
{
    void *memory = NULL;
    if (align < sizeof(void *)) align = sizeof(void *);
    if (admit() && posix_memalign(&memory, align, bytes ? bytes : 1)) memory = NULL;
    return born(memory, bytes);
}

char *weft__strndup(const char *text, size_t n)
{
    char *copy = weft__alloc(n + 1);
    if (copy) memcpy(copy, text, n);
    return copy;
}

char *weft__strdup(const char *text)
{
    return weft__strndup(text, strlen(text));
}

void weft__free(void *memory)
{
    if (!memory) return;
    atomic_fetch_sub(&live, 1);
    free(memory);
}

int weft__grow(void *array_ptr, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) return WEFT_OK;
    size_t wanted = *cap ? *cap * 2 : 8;
    void *memory;
    memcpy(&memory, array_ptr, sizeof memory);
    if (wanted < *cap || wanted > PTRDIFF_MAX / size)
        return weft_fail(WEFT_E_NOMEM, "out of memory: an array of %zu elements cannot grow", n);
    memory = weft__realloc(memory, wanted * size);
    if (!memory) return WEFT_E_NOMEM;
    memcpy(array_ptr, &memory, sizeof memory);
    *cap = wanted;
    return WEFT_OK;
}

void *weft__raw_alloc(size_t bytes)
{
    return malloc(bytes ? bytes : 1);
}

void weft__raw_free(void *memory)
{
    free(memory);
}

size_t weft__alloc_live(void)
{
    return atomic_load(&live);
}

uint64_t weft__alloc_calls(void)
{
    return atomic_load(&calls);
}

void weft__alloc_fail_at(uint64_t n)
{
    atomic_store(&fail_at, n ? atomic_load(&calls) + n : 0);
}
