/* Log messages on their way to the context's callback. The library prints nothing itself. */
#include "base/log.h"
#include <pthread.h>
#include "base/alloc.h"
#include "base/text.h"

/* The callback may be changed while other threads log; it is never called under the lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void weft__log_set(weft__log *log, const weft__log *to)
{
    pthread_mutex_lock(&lock);
    *log = *to;
    pthread_mutex_unlock(&lock);
}

void weft__log_write(const weft__log *log, weft_log_level level, const char *format, ...)
{
    char brief[1024], *whole = NULL;
    va_list args, again;
    if (!log) return;
    pthread_mutex_lock(&lock);
    weft__log to = *log;
    pthread_mutex_unlock(&lock);
    if (!to.fn || level < to.level) return;
    va_start(args, format);
    va_copy(again, args);
    int n = weft__vformat(brief, sizeof brief, format, args);
    if (n >= (int)sizeof brief && (whole = weft__raw_alloc((size_t)n + 1)))
        weft__vformat(whole, (size_t)n + 1, format, again);
    if (n >= 0) to.fn(to.user, level, whole ? whole : brief);
    weft__raw_free(whole);
    va_end(again);
    va_end(args);
}
