/* What the core brings, for programs that list it: its ops, the functions of `map`. */
#include <weft/context.h>
#include "graph/map_table.h"
#include "registry/registry.h"

const weft_op_class *weft_core_op(uint32_t i)
{
    uint32_t n = 0;
    while (weft__core_ops[n] && n < i)
        n++;
    return weft__core_ops[n];
}

const char *weft_map_function(uint32_t i, int32_t *arity)
{
    const weft_map_fn *fn = weft__map_row(i);
    if (fn && arity) *arity = fn->arity;
    return fn ? fn->name : NULL;
}
