/* The thread's error record. Short texts lie in thread-local memory, so that a failure can be told
 * when there is no memory left; longer ones in a buffer of the thread, freed when the thread
 * ends. */
#include "base/fail.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "base/alloc.h"
#include "base/text.h"

enum { SHORT_TEXT = 4096, PLACE = 256, MAX_PLACES = 16 };

typedef struct record {
    char text[SHORT_TEXT];
    char *longer; /* used instead of text when not NULL */
    char place[MAX_PLACES][PLACE];
    size_t n_places; /* may exceed MAX_PLACES: the innermost are then not stored */
    uint64_t count;
    weft_status status;
} record;

static _Thread_local record current;
static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static int have_key;

static void end_of_thread(void *longer)
{
    (void)longer;
    weft__raw_free(current.longer);
    current.longer = NULL;
}

static void make_key(void)
{
    have_key = pthread_key_create(&key, end_of_thread) == 0;
}

/* Takes over `longer`, or copies `text` when that is NULL. */
static void replace(weft_status status, char *longer, const char *text)
{
    char *old = current.longer;
    current.status = status;
    current.count++;
    if (!longer) {
        size_t n = strlen(text);
        if (n >= SHORT_TEXT) n = SHORT_TEXT - 1;
        memmove(current.text, text, n);
        current.text[n] = 0;
    }
    current.longer = longer;
    if (longer) {
        pthread_once(&key_once, make_key);
        if (have_key) pthread_setspecific(key, longer);
    }
    weft__raw_free(old);
}

/* A text may quote the record itself, so it is made beside it. */
static size_t put_places(char *dst, size_t size)
{
    size_t used = 0, n = current.n_places < MAX_PLACES ? current.n_places : MAX_PLACES;
    if (size > 0) dst[0] = 0;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(current.place[i]);
        if (used + len + 3 <= size) {
            memcpy(dst + used, current.place[i], len);
            memcpy(dst + used + len, ": ", 3);
        }
        used += len + 2;
    }
    return used;
}

weft_status weft__vfail(weft_status status, const char *format, va_list args)
{
    char brief[SHORT_TEXT], *whole = NULL;
    int saved = errno;
    va_list again;
    va_copy(again, args);
    size_t used = put_places(brief, sizeof brief);
    if (used >= sizeof brief) used = strlen(brief);
    int n = weft__vformat(brief + used, sizeof brief - used, format, args);
    if (n > 0 && used + (size_t)n >= sizeof brief) {
        size_t size = put_places(NULL, 0) + (size_t)n + 1;
        whole = weft__raw_alloc(size);
        if (whole) {
            used = put_places(whole, size);
            weft__vformat(whole + used, size - used, format, again);
        }
    }
    va_end(again);
    replace(status, whole, brief);
    errno = saved;
    return status;
}

weft_status weft_fail(weft_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    weft__vfail(status, format, args);
    va_end(args);
    return status;
}

weft_status weft__fail_text(weft_status status, const char *text)
{
    char *whole = NULL;
    size_t n = text ? strlen(text) : 0;
    if (n >= SHORT_TEXT) {
        whole = weft__raw_alloc(n + 1);
        if (whole) memcpy(whole, text, n + 1);
    }
    replace(status, whole, text ? text : "");
    return status;
}

const char *weft_error(void)
{
    return current.longer ? current.longer : current.text;
}

uint64_t weft__fail_count(void)
{
    return current.count;
}

weft_status weft__fail_status(void)
{
    return current.status;
}

size_t weft__where_push(const char *format, ...)
{
    size_t depth = current.n_places++;
    if (depth < MAX_PLACES) {
        va_list args;
        va_start(args, format);
        if (weft__vformat(current.place[depth], PLACE, format, args) < 0)
            current.place[depth][0] = 0;
        va_end(args);
    }
    return depth;
}

void weft__where_pop(size_t depth)
{
    if (depth < current.n_places) current.n_places = depth;
}
