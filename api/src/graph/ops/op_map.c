/* map: one expression over each element of its inputs, which are broadcast to each other.
 *   y[i..] = expr(a[i..], b[i..], ..)
 * y has the dtype that the promotion rules give (map_type.c). Constants of rank 0 that layers make
 * are weakly typed; they are literals of the expression by the time this op exists. */
#include "base/fail.h"
#include "graph/dim.h"
#include "graph/map.h"
#include "graph/ops/ops.h"

static weft_status infer(weft_build *b, weft_spec *outs)
{
    weft_dtype in[WEFT_MAP_MAX_INPUTS];
    weft_spec spec, all = { 0 };
    weft_status st;
    uint32_t n = b->api->n_in(b);
    if (n > WEFT_MAP_MAX_INPUTS)
        return weft_fail(WEFT_E_ARG, "takes at most %d inputs, not %u", WEFT_MAP_MAX_INPUTS,
                         (unsigned)n);
    for (uint32_t i = 0; i < n; i++) {
        if ((st = weft__op_in(b, i, &spec))) return st;
        in[i] = spec.dtype;
        if ((st = weft__spec_broadcast(&all, &spec, &all))) return st;
    }
    const char *expr = b->api->attr_s(b, "expr");
    if (!expr) return weft_fail(WEFT_E_ATTR, "expr is missing");
    outs[0] = all;
    return weft__map_type(expr, in, NULL, n, &outs[0].dtype);
}

static const weft_attr attrs[] = {
    { "expr", WEFT_STRING, 0, NULL, NULL,
      "what to compute from the inputs a, b, c, ..: \"max(a+b,0)\"" },
    { 0 },
};
static const char *const cases[] = {
    "expr=\"max(a*2+b,0)\" : f32 Bx3x5, f32 5",
    "expr=\"a+b\" : f32 Bx1x7, f32 3x1",
    "expr=\"tanh(a)*sigmoid(b)+c\" : f32 Bx33, f32 Bx33, f32 1x33",
    "expr=\"select(a>b,a-b,exp(a)/2)\" : f32 2Bx17, f32 2Bx17",
    "expr=\"mod(a,b)+i32(3)\" : i32 Bx9, i32 9",
    "expr=\"clip(round(a),-1,1)\" : f32 Bx3x3x3x2",
    "expr=\"not(a)\" : bool Bx5",
    "expr=\"f32(a)/255\" : u8 Bx4x4x3",
    "expr=\"a/b\" : i64 Bx3, i32 1",
    "expr=\"erf(a)\" : f32 0x3",
    NULL,
};

const weft_op_class weft__op_map = {
    .struct_size = sizeof(weft_op_class),
    .name = "map",
    .inputs = "x...",
    .outputs = "y",
    .attrs = attrs,
    .infer = infer,
    .gradient = weft__map_gradient,
    .cases = cases,
    .doc = "An expression over every element, inputs broadcast to each other.",
};
