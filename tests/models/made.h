/* Models built by C calls that reach what no fixture does: for the tests of saving. */
#ifndef WEFT_TESTS_MADE_H
#define WEFT_TESTS_MADE_H
#include <weft/weft.h>

typedef struct made_model {
    const char *name;
    weft_status (*build)(weft_context *ctx, weft_model **model);
    int changes; /* why its table is another one when read back: see made.c; 0 = it is the same */
} made_model;
extern const made_model made_models[]; /* ends with a NULL name */
#endif
