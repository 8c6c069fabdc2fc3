/* Log messages on their way to the context's callback. */
#ifndef WEFT_BASE_LOG_H
#define WEFT_BASE_LOG_H
#include <weft/context.h>
typedef struct weft__log {
    weft_log_level level;
    weft_log_fn fn;
    void *user;
} weft__log;
/* Leaves the error record as it is; a message longer than memory allows is cut. log may be NULL. */
void weft__log_write(const weft__log *log, weft_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Changes where messages go, while other threads may be writing some. */
void weft__log_set(weft__log *log, const weft__log *to);
#endif
