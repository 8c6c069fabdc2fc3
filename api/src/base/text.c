/* A growing string, and numbers as text in the C locale: attribute text and error texts must not
 * depend on the locale of the program that uses the library. */
#include "base/text.h"
#include <float.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"

static locale_t c_locale;
static pthread_once_t locale_once = PTHREAD_ONCE_INIT;

static void make_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* The thread's locale before; 0 = it was not changed. */
static locale_t enter_c_locale(void)
{
    pthread_once(&locale_once, make_locale);
    return c_locale ? uselocale(c_locale) : (locale_t)0;
}

static void leave_c_locale(locale_t before)
{
    if (before) uselocale(before);
}

int weft__vformat(char *dst, size_t size, const char *format, va_list args)
{
    locale_t before = enter_c_locale();
    int n = vsnprintf(dst, size, format, args);
    leave_c_locale(before);
    return n;
}

double weft__strtod(const char *s, char **end)
{
    locale_t before = enter_c_locale();
    double value = strtod(s, end);
    leave_c_locale(before);
    return value;
}

/* Room for n more bytes and the terminating zero. */
static int reserve(weft__text *text, size_t n)
{
    if (text->failed) return 0;
    if (n < text->cap - text->n) return 1;
    size_t cap = text->cap ? text->cap : 64;
    while (cap - text->n <= n && cap < PTRDIFF_MAX / 2)
        cap *= 2;
    char *s = cap - text->n > n ? weft__realloc(text->s, cap) : NULL;
    if (!s) {
        text->failed = 1;
        return 0;
    }
    s[text->n] = 0;
    text->s = s;
    text->cap = cap;
    return 1;
}

void weft__text_put(weft__text *text, const char *s, size_t n)
{
    if (!reserve(text, n)) return;
    if (n) memcpy(text->s + text->n, s, n);
    text->n += n;
    text->s[text->n] = 0;
}

void weft__text_add(weft__text *text, const char *format, ...)
{
    char brief[256];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = weft__vformat(brief, sizeof brief, format, args);
    if (n < 0) {
        text->failed = 1;
    } else if ((size_t)n < sizeof brief) {
        weft__text_put(text, brief, (size_t)n);
    } else if (reserve(text, (size_t)n)) {
        weft__vformat(text->s + text->n, (size_t)n + 1, format, again);
        text->n += (size_t)n;
    }
    va_end(again);
    va_end(args);
}

void weft__text_double(weft__text *text, double value)
{
    char digits[40];
    if (isnan(value)) {
        weft__text_put(text, "nan", 3);
        return;
    }
    if (isinf(value)) {
        weft__text_add(text, value < 0 ? "-inf" : "inf");
        return;
    }
    locale_t before = enter_c_locale();
    /* Fifteen digits always survive in a normal double; subnormal ones hold fewer. */
    int precision = fabs(value) < DBL_MIN ? 1 : 15;
    do {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
    } while (precision++ < 17 && strtod(digits, NULL) != value);
    leave_c_locale(before);
    weft__text_put(text, digits, strlen(digits));
    if (!strpbrk(digits, ".e")) weft__text_put(text, ".0", 2);
}

const char *weft__shape_dim(int64_t dim, char text[24])
{
    if (dim == WEFT_ANY)
        strcpy(text, "?");
    else if (dim == WEFT_BATCH)
        strcpy(text, "None");
    else
        snprintf(text, 24, dim < 0 ? "%" PRId64 "*B" : "%" PRId64, dim < 0 ? -dim : dim);
    return text;
}

const char *weft__shape_show(const weft_spec *spec, weft__shape_text *text)
{
    char dim[24];
    size_t at = 1;
    if (spec->rank < 0 || spec->rank > WEFT_MAX_RANK) return strcpy(text->s, "?");
    strcpy(text->s, "(");
    for (int32_t i = 0; i < spec->rank; i++)
        at += (size_t)snprintf(text->s + at, sizeof text->s - at, "%s%s", i ? ", " : "",
                               weft__shape_dim(spec->dim[i], dim));
    snprintf(text->s + at, sizeof text->s - at, spec->rank == 1 ? ",)" : ")");
    return text->s;
}

void weft__text_shape(weft__text *text, const weft_spec *spec)
{
    weft__shape_text shape;
    weft__text_add(text, "%s", weft__shape_show(spec, &shape));
}

char *weft__text_take(weft__text *text)
{
    char *s = NULL;
    if (reserve(text, 0)) {
        s = text->s;
        text->s = NULL;
    }
    weft__text_finish(text);
    return s;
}

void weft__text_finish(weft__text *text)
{
    weft__free(text->s);
    *text = (weft__text){ 0 };
}
