/* Random inputs: splitmix64 (Steele, Lea, Flood 2014). What ends up as the index of a gather
 * or scatter_add must be one. */
#include "plan/check_input.h"
#include <string.h>
#include "base/alloc.h"
#include "base/array.h"
#include "graph/dim.h"

enum { INTEGERS_BELOW = 10 };

static uint64_t next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* The input that a value is made of by views, casts and other ops with one input; 0 = none. */
static weft_val origin(const weft__graph *graph, weft_val value)
{
    while (graph->value[value].kind == WEFT__V_RESULT) {
        const weft__node *node = graph->node[graph->value[value].node];
        if (node->n_in != 1) return 0;
        value = node->in[0];
    }
    return graph->value[value].kind == WEFT__V_INPUT ? value : 0;
}

/* Indices taken from that input must be below this; 0 = it is used as none. */
static int64_t limit_of(const weft__graph *graph, weft_val input)
{
    int64_t limit = 0;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const weft__node *node = graph->node[i];
        int adds = !strcmp(node->op->name, "scatter_add");
        if (!adds && strcmp(node->op->name, "gather")) continue;
        if (origin(graph, node->in[adds ? 0 : 1]) != input) continue;
        const weft_spec *table = &graph->value[adds ? node->out[0] : node->in[0]].spec;
        int64_t axis = weft__attrs_i(node->attrs, "axis"),
                size = table->dim[axis < 0 ? axis + table->rank : axis];
        if (size < 0) size = 1;
        if (!limit || size < limit) limit = size;
    }
    return limit;
}

static void fill(weft_array *array, int64_t limit, uint64_t *state)
{
    uint64_t n = weft_array_count(array);
    int floats = array->spec.dtype == WEFT_F32 || array->spec.dtype == WEFT_F64;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t random = next(state);
        double unit = (double)(random >> 40) * (1.0 / (1 << 24));
        int64_t whole = (int64_t)(random % (uint64_t)(limit ? limit : INTEGERS_BELOW));
        double number = floats && !limit ? 4 * unit - 2 : (double)whole;
        switch (array->spec.dtype) {
        case WEFT_F32: ((float *)array->data)[i] = (float)number; break;
        case WEFT_F64: ((double *)array->data)[i] = number; break;
        case WEFT_I32: ((int32_t *)array->data)[i] = (int32_t)whole; break;
        case WEFT_I64: ((int64_t *)array->data)[i] = whole; break;
        case WEFT_BOOL: ((uint8_t *)array->data)[i] = random & 1; break;
        default: ((uint8_t *)array->data)[i] = (uint8_t)whole; break;
        }
    }
}

/* Stored dtypes are made in f32, then converted. */
static weft_status make(const weft_spec *spec, int64_t limit, uint64_t *state, weft_array **array)
{
    weft_spec filled = *spec;
    weft_array *made = NULL;
    weft_status st;
    if (spec->dtype == WEFT_F16 || spec->dtype == WEFT_BF16) filled.dtype = WEFT_F32;
    if ((st = weft__array_create_raw(&filled, &made))) return st;
    fill(made, limit, state);
    if (filled.dtype == spec->dtype) {
        *array = made;
        return WEFT_OK;
    }
    st = weft_array_convert(made, spec->dtype, array);
    weft_array_destroy(&made);
    return st;
}

weft_status weft__check_inputs(const weft__graph *graph, int64_t batch, uint64_t seed,
                               weft_array **arrays)
{
    weft_status st = WEFT_OK;
    uint64_t state = seed;
    for (size_t i = 0; i < graph->n_inputs && !st; i++) {
        weft_val value = graph->input[i].value;
        weft_spec spec = weft__spec_at(&graph->value[value].spec, batch);
        st = make(&spec, limit_of(graph, value), &state, &arrays[i]);
    }
    for (size_t i = 0; i < graph->n_inputs && st; i++)
        weft_array_destroy(&arrays[i]);
    return st;
}
