/* A growing string, and numbers as text in the C locale. */
#ifndef WEFT_BASE_TEXT_H
#define WEFT_BASE_TEXT_H
#include <stdarg.h>
#include <weft/plugin.h>

typedef struct weft__text {
    char *s;
    size_t n, cap;
    int failed;
} weft__text; /* starts as { 0 } */

/* A failed allocation is remembered; later calls do nothing. Numbers are formatted in the C
 * locale. */
void weft__text_add(weft__text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void weft__text_put(weft__text *text, const char *s, size_t n);
/* Shortest decimal that reads back as the same double ("0.1", "1e-05", "inf", "nan"); always a '.',
 * 'e' or word in it. */
void weft__text_double(weft__text *text, double value);
/* One dimension of a shape: "64", "None" for the batch, "3*B" for three times it, "?" for WEFT_ANY;
 * returns text. */
const char *weft__shape_dim(int64_t dim, char text[24]);
/* "(None, 64, 64, 3)", or "?" if no tensor has that rank; returns text->s. */
typedef struct weft__shape_text {
    char s[WEFT_MAX_RANK * 24];
} weft__shape_text;
const char *weft__shape_show(const weft_spec *spec, weft__shape_text *text);
void weft__text_shape(weft__text *text, const weft_spec *spec); /* the same, appended */
/* Gives the string away (release with weft__free); NULL if anything failed. Resets text. */
char *weft__text_take(weft__text *text);
void weft__text_finish(weft__text *text);
/* strtod in the C locale whatever the program's locale is. */
double weft__strtod(const char *s, char **end);
/* vsnprintf in the C locale. */
int weft__vformat(char *dst, size_t size, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));
#endif
