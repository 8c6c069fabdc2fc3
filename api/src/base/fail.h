/* The error record: written where an error is born, with the place that the callers have
 * announced. */
#ifndef WEFT_BASE_FAIL_H
#define WEFT_BASE_FAIL_H
#include <stdarg.h>
#include <weft/status.h>

/* Records "<where>: <text>" for this thread and returns the status. */
weft_status weft_fail(weft_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
weft_status weft__vfail(weft_status status, const char *format, va_list args);
/* For a text that carries its place already, or that moves here from another thread. */
weft_status weft__fail_text(weft_status status, const char *text);
/* How many failures this thread has recorded, and the status of the last: for a join that moves
 * them on. */
uint64_t weft__fail_count(void);
weft_status weft__fail_status(void);
/* Where the work is, for the errors below: "layer \"dense_1\" (Dense)". Places nest, outermost
 * first; push returns the depth to hand to pop. Text is copied (cut at 256 bytes). */
size_t weft__where_push(const char *format, ...) __attribute__((format(printf, 1, 2)));
void weft__where_pop(size_t depth);
#endif
