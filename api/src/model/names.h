/* Names of layers: a table of those in use, Keras's snake case, and "dense", "dense_1", "dense_2".
 */
#ifndef WEFT_MODEL_NAMES_H
#define WEFT_MODEL_NAMES_H
#include <weft/plugin.h>

typedef struct weft__name_slot {
    char *key;
    uint32_t value;
} weft__name_slot;
typedef struct weft__names {
    weft__name_slot *slot;
    size_t n, cap;
} weft__names;                                                         /* starts as { 0 } */
uint32_t *weft__names_find(const weft__names *names, const char *key); /* NULL if it is not there */
weft_status weft__names_put(weft__names *names, const char *key, uint32_t value);
void weft__names_finish(weft__names *names);

/* "max_pooling2d" for "MaxPooling2D", as Keras does; of "org.example.XTanh" the last part. NULL: no
 * memory. */
char *weft__snake(const char *camel);
/* The first of base, base_1, base_2 .. that is not in `used`; does not put it there. NULL: no
 * memory. */
char *weft__unique_name(const weft__names *used, weft__names *counters, const char *base);
/* Not empty, no control characters, at most 512 bytes; `what` begins the error text. */
weft_status weft__name_check(const char *name, const char *what);
#endif
