/* Arithmetic of dimensions: numbers >= 0, -c for c times the batch, WEFT_ANY for not known yet.
 * Exact: what has no such form (batch + 1, batch * batch) is refused. Functions return WEFT_OK or
 * record an error. */
#ifndef WEFT_GRAPH_DIM_H
#define WEFT_GRAPH_DIM_H
#include <weft/plugin.h>
weft_status weft__dim_add(int64_t a, int64_t b, int64_t *sum);
weft_status weft__dim_mul(int64_t a, int64_t b, int64_t *product);
int weft__dim_equal(int64_t a, int64_t b);                           /* ANY equals everything */
int weft__dim_known(int64_t a);                                      /* a number */
int64_t weft__dim_at(int64_t a, int64_t batch);                      /* its value for that batch */
weft_status weft__spec_count(const weft_spec *spec, int64_t *count); /* symbolic product */
uint64_t weft__spec_count_at(const weft_spec *spec, int64_t batch);
/* Of a whole spec: every dimension a number for that batch. */
weft_spec weft__spec_at(const weft_spec *spec, int64_t batch);
int weft__is_float(weft_dtype dtype);                         /* of those computed with */
int weft__spec_equal(const weft_spec *a, const weft_spec *b); /* dtype, rank and dims */
/* numpy's broadcasting, right-aligned; result's dims only. */
weft_status weft__spec_broadcast(const weft_spec *a, const weft_spec *b, weft_spec *result);
weft_status weft__axis(int64_t axis, int32_t rank,
                       int32_t *normal); /* -1 = last; out of range is an error */
/* For error texts; both return text->s: "batch", "3*batch", "7", "?" .. */
typedef struct weft__dim_text {
    char s[32];
} weft__dim_text;
const char *weft__dim_show(int64_t dim, weft__dim_text *text);
/* .. and "float32 (None, 3)". */
typedef struct weft__spec_text {
    char s[208];
} weft__spec_text;
const char *weft__spec_show(const weft_spec *spec, weft__spec_text *text);
#endif
