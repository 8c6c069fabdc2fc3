/* "did you mean ...": the nearest of some names. */
#ifndef WEFT_BASE_SUGGEST_H
#define WEFT_BASE_SUGGEST_H
#include <stddef.h>
/* How many characters to insert, delete, change or swap, case ignored; names are cut at 63
 * bytes. */
size_t weft__distance(const char *a, const char *b);
/* Keeps the best of what it is shown, if it is near enough to be a slip of `wanted`. Starts as {
 * wanted, NULL, 0 }. */
typedef struct weft__suggest {
    const char *wanted, *best;
    size_t distance;
} weft__suggest;
void weft__suggest_try(weft__suggest *suggest, const char *name);
#endif
