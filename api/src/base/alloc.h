/* All heap of the library. Counted, and the n-th call can be made to fail (setting
 * WEFT_FAIL_ALLOC). */
#ifndef WEFT_BASE_ALLOC_H
#define WEFT_BASE_ALLOC_H
#include <stddef.h>
#include <stdint.h>

/* NULL on failure, with the error record written (WEFT_E_NOMEM): callers return WEFT_E_NOMEM.
 * Memory is zeroed. */
void *weft__alloc(size_t bytes);
void *weft__alloc_n(size_t n, size_t size);            /* n * size, overflow checked */
void *weft__realloc(void *memory, size_t bytes);       /* new bytes are not zeroed */
void *weft__alloc_aligned(size_t bytes, size_t align); /* release with weft__free; not zeroed */
char *weft__strdup(const char *text);
char *weft__strndup(const char *text, size_t n);
void weft__free(void *memory);
/* Makes room for one more element: doubles *cap when n == *cap. 0 = ok, else WEFT_E_NOMEM. */
int weft__grow(void *array_ptr, size_t n, size_t *cap, size_t size);

/* For the error record, log lines and what lives as long as the process: not counted, never made to
 * fail, writes no error record. */
void *weft__raw_alloc(size_t bytes);
void weft__raw_free(void *memory);

/* For tests: blocks alive now, calls so far; the n-th call from now on fails (0 = none). */
size_t weft__alloc_live(void);
uint64_t weft__alloc_calls(void);
void weft__alloc_fail_at(uint64_t n);
#endif
