/* The rows of the map table, and casts by name. Not for backends: they see rows through
 * instructions. */
#ifndef WEFT_GRAPH_MAP_TABLE_H
#define WEFT_GRAPH_MAP_TABLE_H
#include <weft/map.h>
/* The function written so between two operands ("+", "<="), or "-" in front of one (arity 1); NULL
 * = none. */
const weft_map_fn *weft__map_infix(const char *text, size_t n, int32_t arity);
/* "f32" -> WEFT_F32 ...; 0 = no such cast. */
weft_dtype weft__map_cast(const char *name, size_t n);
const char *weft__map_cast_name(weft_dtype dtype);
/* Row by row, for tests and documentation; NULL behind the last. */
const weft_map_fn *weft__map_row(uint32_t i);
/* As weft__map_find, with a length. */
const weft_map_fn *weft__map_find_n(const char *name, size_t n);
#endif
