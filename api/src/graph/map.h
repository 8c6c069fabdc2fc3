/* Elementwise expressions: the table of functions, the parser, the typed program, the canonical
 * text. */
#ifndef WEFT_GRAPH_MAP_H
#define WEFT_GRAPH_MAP_H
#include <weft/map.h>
#include "base/text.h"
const weft_map_fn *weft__map_find(const char *name);
extern const weft_map_api weft__map_api;
/* The dtype that expr gives for inputs of these dtypes. weak[k]: input k takes the others'
 * dtype. */
weft_status weft__map_type(const char *expr, const weft_dtype *in, const int *weak, uint32_t n_in,
                           weft_dtype *result);
/* expr with every input k replaced by the text of `with[k]` (an expression over new inputs),
 * canonical. */
weft_status weft__map_substitute(const char *expr, const char *const *with, uint32_t n_in,
                                 weft__text *text);
int weft__map_costly(const char *expr);
#endif
