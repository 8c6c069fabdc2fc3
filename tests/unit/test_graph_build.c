/* Graphs: adding ops, what infer refuses, printing, rewriting, the builder. */
#include "graph_util.h"
#include <math.h>
#include "graph/build.h"
#include "graph/node.h"
#include "registry/registry.h"

static void printing(void **state)
{
    weft__graph *g = NULL;
    static int variable = 0;
    (void)state;
    assert_int_equal(weft__graph_create(test_ctx, &g), WEFT_OK);
    weft_val x = weft__graph_input(g, "image", SPEC(WEFT_F32, -1, 8));
    weft_val w = weft__graph_variable(g, &variable, "dense/kernel", SPEC(WEFT_F32, 10, 8));
    assert_int_equal(w, weft__graph_variable(g, &variable, "dense/kernel", SPEC(WEFT_F32, 10, 8)));
    weft_val y = weft__graph_op(g, &(weft__op_request){ .name = "matmul",
                                                        .attrs = "transpose_b=true",
                                                        .path = "dense_1",
                                                        .in = (weft_val[]){ x, w },
                                                        .n_in = 2 });
    weft_val z = OP(g, "max", NULL, OP(g, "mul", NULL, y, test_scalar(g, 0.5)), test_scalar(g, 0));
    assert_int_equal(weft__graph_output(g, "score", z), WEFT_OK);
    test_print(g, "%1 = input image -> f32[None, 8]\n"
                  "%2 = variable dense/kernel -> f32[10, 8]\n"
                  "%4 = constant 0.5 weak -> f64[]\n"
                  "%6 = constant 0 weak -> f64[]\n"
                  "%3 = matmul(%1, %2) transpose_b=true -> f32[None, 10]   # dense_1\n"
                  "%5 = map(%3) expr=\"a*0.5\" -> f32[None, 10]\n"
                  "%7 = map(%5) expr=\"max(a,0)\" -> f32[None, 10]\n"
                  "output score = %7\n");
    weft__graph_destroy(&g);
    weft__graph_destroy(&g);
}

static void functions(void **state)
{
    weft__graph *g = NULL;
    (void)state;
    assert_int_equal(weft__graph_create(test_ctx, &g), WEFT_OK);
    weft_val x = weft__graph_input(g, "x", SPEC(WEFT_F32, -1, 3)),
             i = weft__graph_input(g, "i", SPEC(WEFT_I32, 3));
    OP(g, "add", NULL, x, x);
    OP(g, "cast", "dtype=float32", i);
    OP(g, "cast_i64", NULL, x);
    OP(g, "bool", NULL, x);
    OP(g, "select", NULL, OP(g, "gt", NULL, x, i), x, test_scalar(g, -1));
    OP(g, "map", "expr=\"b*a + b\"", i, x);
    OP(g, "pow", NULL, test_scalar(g, 2), test_scalar(g, 3));
    OP(g, "lt", NULL, test_scalar(g, 2), test_scalar(g, 3));
    OP(g, "div", NULL, i, i);
    test_print(
        g,
        "%1 = input x -> f32[None, 3]\n%2 = input i -> i32[3]\n"
        "%8 = constant -1 weak -> f64[]\n"
        "%11 = constant 2 weak -> f64[]\n%12 = constant 3 weak -> f64[]\n"
        "%13 = constant 8 weak -> f64[]\n"
        "%14 = constant 2 weak -> f64[]\n%15 = constant 3 weak -> f64[]\n%16 = constant -> bool[]\n"
        "%3 = map(%1) expr=\"a+a\" -> f32[None, 3]\n"
        "%4 = map(%2) expr=\"f32(a)\" -> f32[3]\n"
        "%5 = map(%1) expr=\"i64(a)\" -> i64[None, 3]\n"
        "%6 = map(%1) expr=\"bool(a)\" -> bool[None, 3]\n"
        "%7 = map(%1, %2) expr=\"a>b\" -> bool[None, 3]\n"
        "%9 = map(%7, %1) expr=\"select(a,b,-1)\" -> f32[None, 3]\n"
        "%10 = map(%2, %1) expr=\"b*a+b\" -> f32[None, 3]\n"
        "%17 = map(%2) expr=\"a/a\" -> f32[3]\n");
    REFUSED(g, WEFT_E_ATTR, "cast needs dtype=", "cast", "dtype=float8", x);
    REFUSED(g, WEFT_E_ATTR, "tanh takes no attributes", "tanh", "x=1", x);
    REFUSED(g, WEFT_E_ARG, "add takes 2 inputs, not 1", "add", NULL, x);
    REFUSED(g, WEFT_E_NOTFOUND, "convv", "convv", NULL, x);
    REFUSED(g, WEFT_E_ATTR, "there is no function \"foo\"", "map", "expr=\"foo(a)\"", x);
    REFUSED(g, WEFT_E_ATTR, "expr", "map", NULL, x);
    REFUSED(g, WEFT_E_ARG, "input 1 failed already", "add", NULL, x, 0);
    REFUSED(g, WEFT_E_ARG, "is no value of this graph", "add", NULL, x, 99);
    REFUSED(g, WEFT_E_ARG, "input b is absent", "add", NULL, x, WEFT_NONE);
    weft__graph_destroy(&g);
}

typedef struct refusal {
    const char *op, *attrs, *text;
    weft_spec in[2];
    int n;
} refusal;
#define F32(...)                                                                   \
    {                                                                              \
        WEFT_F32, (int32_t)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), \
        {                                                                          \
            __VA_ARGS__                                                            \
        }                                                                          \
    }
#define I32(...)                                                                   \
    {                                                                              \
        WEFT_I32, (int32_t)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), \
        {                                                                          \
            __VA_ARGS__                                                            \
        }                                                                          \
    }

static const refusal refusals[] = {
    { "map", "expr=\"a+b\"", "axis -1 is 3 and 4", { F32(-1, 3), F32(4) }, 2 },
    { "map", "expr=\"a+b\"", "axis -2 is batch and 7", { F32(-1, 3), F32(7, 3) }, 2 },
    { "reduce", "fn=sum axes=(2)", "axis 2 of rank 2", { F32(-1, 3) }, 1 },
    { "reduce", "fn=sum axes=(0,-2)", "axes names axis 0 twice", { F32(-1, 3) }, 1 },
    { "reduce", "fn=sum axes=()", "axes=() names no axis", { F32(-1, 3) }, 1 },
    { "reduce", "fn=argmax", "argmax works along one axis, not 2", { F32(-1, 3) }, 1 },
    { "reduce", "fn=argmax axes=(1)", "there is no winner", { F32(-1, 0) }, 1 },
    { "reduce", "fn=median", "fn must be", { F32(-1, 3) }, 1 },
    { "reduce", NULL, "\"fn\" is missing", { F32(-1, 3) }, 1 },
    { "matmul",
      NULL,
      "axis 1 of a has 3 elements, axis 0 of b has 4",
      { F32(-1, 3), F32(4, 5) },
      2 },
    { "matmul", "transpose_b=true", "axis 1 of b has 5", { F32(-1, 3), F32(4, 5) }, 2 },
    { "matmul", NULL, "input b has rank 1", { F32(-1, 3), F32(3) }, 2 },
    { "matmul", NULL, "input 0 is int32", { I32(-1, 3), F32(3, 4) }, 2 },
    { "matmul", NULL, "do not broadcast", { F32(2, 4, 3), F32(3, 3, 4) }, 2 },
    { "matmul",
      NULL,
      "(inputs: a = input in float32 (None, 3); b = input in float32 (4, 5))",
      { F32(-1, 3), F32(4, 5) },
      2 },
    { "matmul", NULL, "takes 2 inputs (a, b), not 1", { F32(-1, 3) }, 1 },
    { "conv", NULL, "x has rank 2", { F32(-1, 3), F32(3, 4) }, 2 },
    { "conv", NULL, "w has rank 3 and x 4", { F32(-1, 8, 8, 3), F32(3, 3, 4) }, 2 },
    { "conv",
      NULL,
      "x has 3 channels in 1 group, w is for 4",
      { F32(-1, 8, 8, 3), F32(3, 3, 4, 8) },
      2 },
    { "conv",
      "groups=2",
      "3 channels do not divide into 2 groups",
      { F32(-1, 8, 8, 3), F32(3, 3, 3, 8) },
      2 },
    { "conv",
      "groups=2",
      "7 filters do not divide into 2 groups",
      { F32(-1, 8, 8, 4), F32(3, 3, 2, 7) },
      2 },
    { "conv",
      NULL,
      "a window of 5 elements does not fit in 3",
      { F32(-1, 3, 8, 3), F32(5, 3, 3, 8) },
      2 },
    { "conv",
      "dilations=(3,1)",
      "a window of 7 elements",
      { F32(-1, 3, 8, 3), F32(3, 3, 3, 8) },
      2 },
    { "conv",
      "strides=(1)",
      "strides has 1 number, not 2",
      { F32(-1, 8, 8, 3), F32(3, 3, 3, 8) },
      2 },
    { "conv", "strides=(0,1)", "strides must be", { F32(-1, 8, 8, 3), F32(3, 3, 3, 8) }, 2 },
    { "conv", NULL, "only stride 1", { F32(3, -1, 3), F32(3, 3, 8) }, 2 },
    { "reshape",
      "shape=(-1,11)",
      "(None, 3, 4) has 12 times the batch elements, float32 (None, 11) has 11 times the batch",
      { F32(-1, 3, 4) },
      1 },
    { "reshape", "shape=(12)", "has 12 times the batch", { F32(-1, 3, 4) }, 1 },
    { "broadcast", "shape=(-1,-1)", "batch * batch has no exact form", { F32(1, -1) }, 1 },
    { "transpose", "perm=(0)", "perm has 1 number, the input rank 2", { F32(-1, 3) }, 1 },
    { "transpose", "perm=(0,0)", "perm names axis 0 twice", { F32(-1, 3) }, 1 },
    { "slice", "begin=(0,1) size=(-1,3)", "axis 1 has 3 elements; 3 from 1 on", { F32(-1, 3) }, 1 },
    { "slice",
      "begin=(0,0) size=(-1,2) step=(1,3)",
      "in steps of 3 are not all inside",
      { F32(-1, 3) },
      1 },
    { "slice", "begin=(1,0) size=(-1,3)", "axis 0 has batch elements", { F32(-1, 3) }, 1 },
    { "slice", "begin=(0,0) size=(-2,3)", "axis 0 has batch elements; 2*batch", { F32(-1, 3) }, 1 },
    { "slice", "begin=(0) size=(-1,3)", "begin has 1 number, not 2", { F32(-1, 3) }, 1 },
    { "pad", "low=(1,0) high=(0,0)", "axis 0 is batch: with padding", { F32(-1, 3) }, 1 },
    { "pad", "low=(0,-1) high=(0,0)", "low must be", { F32(-1, 3) }, 1 },
    { "pad", "low=(0,1) high=(0,0) value=-inf", "-inf is no int32", { I32(-1, 3) }, 1 },
    { "pad", "low=(0,1) high=(0,0) value=nan", "nan is no int32", { I32(-1, 3) }, 1 },
    { "pad", "low=(0,1) high=(0,0) value=0.5", "0.5 is no int32", { I32(-1, 3) }, 1 },
    { "pad", "low=(0,1) high=(0,0) value=2147483648", "is no int32", { I32(-1, 3) }, 1 },
    { "pad", "low=(0,1) high=(0,0) value=256", "0 to 255", { { WEFT_U8, 2, { -1, 3 } } }, 1 },
    { "pad", "low=(0,1) high=(0,0) value=-inf", "0 to 1", { { WEFT_BOOL, 2, { -1, 3 } } }, 1 },
    { "pad", "low=(0,1) high=(0,0) value=0x1p63", "no int64", { { WEFT_I64, 2, { -1, 3 } } }, 1 },
    { "concat",
      "axis=2",
      "axis 1 differs: 3 in input 0, 4 in input 1",
      { F32(-1, 3, 8), F32(-1, 4, 32) },
      2 },
    { "concat", "axis=1", "input 0 has rank 2, input 1 rank 3", { F32(-1, 8), F32(-1, 4, 32) }, 2 },
    { "concat", "axis=0", "batch + 4 has no exact form", { F32(-1, 8), F32(4, 8) }, 2 },
    { "concat", "axis=0", "input 0 is float32, input 1 is int32", { F32(-1, 8), I32(-1, 8) }, 2 },
    { "concat", "axis=0", "x[1] = input in int32 (None, 8)", { F32(-1, 8), I32(-1, 8) }, 2 },
    { "broadcast", "shape=(-1,3)", "do not broadcast", { F32(-1, 2) }, 1 },
    { "broadcast", "shape=(1)", "does not broadcast to", { F32(3) }, 1 },
    { "reverse", "axes=(5)", "axis 5 of rank 2", { F32(-1, 2) }, 1 },
    { "gather", NULL, "indices are float32", { F32(7, 2), F32(-1) }, 2 },
    { "gather", "axis=2", "axis 2 of rank 2", { F32(7, 2), I32(-1) }, 2 },
    { "softmax", "axis=2", "axis 2 of rank 2", { F32(7, 2) }, 1 },
    { "softmax", NULL, "input 0 is int32", { I32(7, 2) }, 1 },
    { "softmax", "axes=1", "axes", { F32(7, 2) }, 1 },
    { "matmul", "then=\"a+b\"", "reads input b, but there is 1", { F32(-1, 3), F32(3, 5) }, 2 },
};

static void infer_errors(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(refusals); i++) {
        weft__graph *g = NULL;
        weft_val in[2];
        assert_int_equal(weft__graph_create(test_ctx, &g), WEFT_OK);
        for (int k = 0; k < refusals[i].n; k++)
            in[k] = weft__graph_input(g, "in", &refusals[i].in[k]);
        test_refused(g, 0, refusals[i].text, refusals[i].op, refusals[i].attrs, in,
                     (size_t)refusals[i].n);
        assert_int_equal(g->n_nodes, 0);
        weft__graph_destroy(&g);
    }
}

typedef struct shape_case {
    const char *op, *attrs;
    weft_spec in[2];
    int n;
    weft_spec want;
} shape_case;
static const shape_case shapes[] = {
    { "matmul", NULL, { F32(-1, 3), F32(3, 5) }, 2, F32(-1, 5) },
    { "matmul", "transpose_a=true", { F32(3, -1), F32(3, 5) }, 2, F32(-1, 5) },
    { "matmul", NULL, { F32(-1, 7, 4, 3), F32(3, 5) }, 2, F32(-1, 7, 4, 5) },
    { "matmul", NULL, { F32(1, 4, 3), F32(-1, 3, 5) }, 2, F32(-1, 4, 5) },
    { "conv", "pads=(1,1,1,1)", { F32(-1, 8, 9, 3), F32(3, 3, 3, 5) }, 2, F32(-1, 8, 9, 5) },
    { "conv", "strides=(2,2)", { F32(-1, 8, 9, 3), F32(3, 3, 3, 5) }, 2, F32(-1, 3, 4, 5) },
    { "conv", "dilations=(2)", { F32(-1, 9, 4), F32(3, 2, 6) }, 2, F32(0) },
    { "conv", "groups=2 dilations=(2)", { F32(-1, 9, 4), F32(3, 2, 6) }, 2, F32(-1, 5, 6) },
    { "conv",
      NULL,
      { F32(-1, WEFT_ANY, WEFT_ANY, 3), F32(3, 3, 3, 5) },
      2,
      F32(-1, WEFT_ANY, WEFT_ANY, 5) },
    { "conv", NULL, { F32(-1, 2, 3), F32(3, 3, 5) }, 2, F32(-1, 0, 5) },
    { "reduce", "fn=sum axes=(1,2)", { F32(-1, 4, 5, 6) }, 1, F32(-1, 6) },
    { "reduce", "fn=mean keepdims=true", { F32(-1, 4) }, 1, F32(1, 1) },
    { "reduce", "fn=mean axes=(-1)", { I32(-1, 4) }, 1, F32(-1) },
    { "reduce", "fn=argmax axes=(-1)", { F32(-1, 4) }, 1, { WEFT_I64, 1, { -1 } } },
    { "reduce", "fn=sum axes=(1)", { { WEFT_BOOL, 2, { -1, 4 } } }, 1, I32(-1) },
    { "reduce", "fn=any axes=(1)", { F32(-1, 4) }, 1, { WEFT_BOOL, 1, { -1 } } },
    { "reshape", "shape=(-4,3)", { F32(-1, 4, 3) }, 1, F32(-4, 3) },
    { "transpose", "perm=(2,0,1)", { F32(-1, 4, 3) }, 1, F32(3, -1, 4) },
    { "transpose", "perm=(-1,0,1)", { F32(-1, 4, 3) }, 1, F32(3, -1, 4) },
    { "slice", "begin=(0,1) size=(-1,2) step=(1,2)", { F32(-1, 4) }, 1, F32(-1, 2) },
    { "slice", "begin=(1,0) size=(-1,4) step=(2,1)", { F32(-2, 4) }, 1, F32(-1, 4) },
    { "slice", "begin=(0,0) size=(1,4)", { F32(-1, 4) }, 1, F32(1, 4) },
    { "pad", "low=(0,1) high=(0,2) value=-inf", { F32(-1, 4) }, 1, F32(-1, 7) },
    { "concat", "axis=1", { F32(-1, 4), F32(-1, 5) }, 2, F32(-1, 9) },
    { "concat", "axis=0", { F32(-1, 4), F32(-2, 4) }, 2, F32(-3, 4) },
    { "concat", "axis=-1", { F32(-1, WEFT_ANY, 2), F32(-1, 7, 1) }, 2, F32(-1, 7, 3) },
    { "broadcast", "shape=(-1,2,3)", { F32(2, 1) }, 1, F32(-1, 2, 3) },
    { "gather", NULL, { F32(7, 2), I32(-1, 3) }, 2, F32(-1, 3, 2) },
    { "gather", "axis=-1", { F32(7, 2), I32(-1, 3) }, 2, F32(7, -1, 3) },
    { "count", "axes=(0)", { F32(-1, 2) }, 1, { WEFT_F32, 0, { 0 } } },
    { "softmax", NULL, { F32(-1, 2) }, 1, F32(-1, 2) },
};

static void infer_shapes(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(shapes); i++) {
        weft__graph *g = NULL;
        weft_val in[2];
        assert_int_equal(weft__graph_create(test_ctx, &g), WEFT_OK);
        for (int k = 0; k < shapes[i].n; k++)
            in[k] = weft__graph_input(g, "in", &shapes[i].in[k]);
        weft_val v = test_try(g, shapes[i].op, shapes[i].attrs, in, (size_t)shapes[i].n);
        if (shapes[i].want.rank == 1 && shapes[i].want.dim[0] == 0) {
            assert_int_equal(v, 0);
        } else {
            if (!v) fail_msg("%s %s: %s", shapes[i].op, shapes[i].attrs, weft_error());
            if (memcmp(weft__graph_spec(g, v), &shapes[i].want, sizeof(weft_spec)) != 0) {
                weft__text text = { 0 };
                weft__print_spec(&text, weft__graph_spec(g, v));
                fail_msg("%s %s gives %s", shapes[i].op, shapes[i].attrs, text.s);
            }
        }
        weft__graph_destroy(&g);
    }
}

static void epilogue(void **state)
{
    weft__graph *g = NULL;
    (void)state;
    assert_int_equal(weft__graph_create(test_ctx, &g), WEFT_OK);
    weft_val x = weft__graph_input(g, "x", SPEC(WEFT_F32, -1, 3)),
             w = weft__graph_input(g, "w", SPEC(WEFT_F32, 3, 5));
    weft_val b = weft__graph_input(g, "b", SPEC(WEFT_F32, 5)),
             big = weft__graph_input(g, "big", SPEC(WEFT_F32, 2, -1, 5));
    weft_val y = OP(g, "matmul", "then=\"max(a + b,c)\"", x, w, b, test_scalar(g, 0));
    const weft__node *n = weft__graph_producer(g, y);
    assert_string_equal(n->text, "then=\"max(a+b,0)\"");
    assert_int_equal(n->n_in, 3);
    assert_int_equal(n->n_extra, 1);
    weft_val t = OP(g, "matmul", "then=\"a>0\"", x, w);
    assert_int_equal(weft__graph_spec(g, t)->dtype, WEFT_BOOL);
    REFUSED(g, WEFT_E_SHAPE, "is larger than the op's result", "matmul", "then=\"a+b\"", x, w, big);
    REFUSED(g, WEFT_E_ARG, "more need the attribute `then`", "matmul", NULL, x, w, b);
    weft__graph_destroy(&g);
}

/* ---- the cases of the op classes: each must infer */

static const char *case_number(const char *at, int64_t *n)
{
    *n = 0;
    while (*at >= '0' && *at <= '9')
        *n = *n * 10 + (*at++ - '0');
    return at;
}

static const char *case_spec(const char *at, weft_spec *spec)
{
    static const struct {
        const char *name;
        weft_dtype dtype;
    } types[] = { { "f32", WEFT_F32 }, { "f64", WEFT_F64 }, { "i32", WEFT_I32 },
                  { "i64", WEFT_I64 }, { "u8", WEFT_U8 },   { "bool", WEFT_BOOL } };
    *spec = (weft_spec){ 0 };
    while (*at == ' ')
        at++;
    for (size_t i = 0; i < N(types); i++)
        if (strncmp(at, types[i].name, strlen(types[i].name)) == 0) spec->dtype = types[i].dtype;
    assert_int_not_equal(spec->dtype, 0);
    at += strcspn(at, " ,");
    while (*at == ' ')
        at++;
    while (*at && *at != ',' && *at != '<') {
        int64_t n = 1;
        if (*at != 'B') at = case_number(at, &n);
        if (*at == 'B') {
            n = -n;
            at++;
        }
        spec->dim[spec->rank++] = n;
        if (*at == 'x') at++;
    }
    return at + strcspn(at, ",") + (strchr(at, ',') != NULL);
}

static void cases(void **state)
{
    (void)state;
    for (const weft_op_class *const *op = weft__core_ops; *op; op++) {
        if (!strcmp((*op)->name, "scan")) continue; /* needs a body, which no line can give */
        assert_non_null((*op)->cases);
        assert_non_null((*op)->doc);
        for (const char *const *line = (*op)->cases; *line; line++) {
            weft__graph *g = NULL;
            char attrs[128] = "";
            weft_val in[8];
            size_t n = 0;
            const char *colon = strrchr(*line, ':');
            assert_non_null(colon);
            memcpy(attrs, *line, (size_t)(colon - *line));
            assert_int_equal(weft__graph_create(test_ctx, &g), WEFT_OK);
            for (const char *at = colon + 1; *at;) {
                weft_spec spec;
                at = case_spec(at, &spec);
                in[n++] = weft__graph_input(g, "in", &spec);
            }
            if (!test_try(g, (*op)->name, attrs, in, n))
                fail_msg("%s %s: %s", (*op)->name, *line, weft_error());
            /* what can be lowered has the same results */
            weft__rewrite rw;
            assert_int_equal(weft__rewrite_begin(g, &rw), WEFT_OK);
            weft_status st = weft__rewrite_lower(&rw, 0);
            if (st && st != WEFT_E_UNSUPPORTED)
                fail_msg("%s %s: %s", (*op)->name, *line, weft_error());
            weft__rewrite_abort(&rw);
            weft__graph_destroy(&g);
        }
    }
}

static void lowering(void **state)
{
    weft__graph *g = NULL, *low = NULL;
    weft__rewrite rw;
    (void)state;
    assert_int_equal(weft__graph_create(test_ctx, &g), WEFT_OK);
    weft_val x = weft__graph_input(g, "x", SPEC(WEFT_F32, -1, 3));
    weft_val s = weft__graph_op(
        g, &(weft__op_request){ .name = "softmax", .path = "probs", .in = &x, .n_in = 1 });
    weft_val m = weft__graph_op(g, &(weft__op_request){ .name = "reduce",
                                                        .attrs = "fn=mean axes=(1) then=\"a*2\"",
                                                        .path = "mean",
                                                        .in = &s,
                                                        .n_in = 1 });
    assert_int_equal(weft__graph_output(g, "y", m), WEFT_OK);
    assert_int_equal(weft__rewrite_begin(g, &rw), WEFT_OK);
    assert_int_equal(weft__rewrite_lower(&rw, 0), WEFT_OK);
    assert_int_equal(weft__rewrite_lower(&rw, 1), WEFT_OK);
    assert_int_equal(weft__rewrite_end(&rw, &low), WEFT_OK);
    test_print(low, "%1 = input x -> f32[None, 3]\n"
                    "%2 = reduce(%1) fn=max axes=(-1) keepdims=true -> f32[None, 1]   # probs\n"
                    "%3 = map(%1, %2) expr=\"a-b\" -> f32[None, 3]   # probs\n"
                    "%4 = map(%3) expr=\"exp(a)\" -> f32[None, 3]   # probs\n"
                    "%5 = reduce(%4) fn=sum axes=(-1) keepdims=true -> f32[None, 1]   # probs\n"
                    "%6 = map(%4, %5) expr=\"a/b\" -> f32[None, 3]   # probs\n"
                    "%7 = count(%6) axes=(1) -> f32[]   # mean\n"
                    "%8 = reduce(%6) fn=sum axes=(1) -> f32[None]   # mean\n"
                    "%9 = map(%8, %7) expr=\"a/b\" -> f32[None]   # mean\n"
                    "%10 = map(%9) expr=\"a*2\" -> f32[None]   # mean\n"
                    "output y = %10\n");
    weft__graph_destroy(&low);
    assert_int_equal(weft__rewrite_begin(g, &rw), WEFT_OK);
    assert_int_equal(weft__rewrite_node(&rw, 0), WEFT_OK);
    assert_int_equal(weft__rewrite_node(&rw, 1), WEFT_OK);
    assert_int_equal(weft__rewrite_end(&rw, &low), WEFT_OK);
    weft__text a = { 0 }, b = { 0 };
    weft__graph_print(g, &a);
    weft__graph_print(low, &b);
    assert_string_equal(a.s, b.s);
    weft__text_finish(&a);
    weft__text_finish(&b);
    weft__graph_destroy(&low);
    weft__graph_destroy(&g);
}

/* ---- the builder */

static weft_status good_layer(weft_build *b)
{
    weft_spec s;
    int64_t v[4];
    weft_val x = weft_in(b, 0);
    assert_int_equal(b->api->n_in(b), 2);
    assert_int_equal(b->api->in(b, 1), WEFT_NONE);
    assert_int_equal(b->api->spec(b, x, &s), WEFT_OK);
    assert_int_equal(s.rank, 2);
    assert_int_equal(b->api->attr_i(b, "units"), 7);
    assert_true(b->api->attr_f(b, "rate") == 0.5);
    assert_int_equal(b->api->attr_v(b, "size", v, 4), 2);
    const char *activation = b->api->attr_s(b, "activation");
    assert_string_equal(activation, "LeakyReLU(negative_slope=0.1)");
    assert_string_equal(b->api->attr_s(b, "size"), "(3,4)");
    assert_ptr_equal(activation, b->api->attr_s(b, "activation"));
    assert_null(b->api->attr_s(b, "wrapped"));
    assert_string_equal(b->api->attr_s(b, "padding"), "same");
    return weft_out(b, 0, weft_mul(b, x, weft_scalar(b, 2)));
}

static weft_status sticky_layer(weft_build *b)
{
    weft_val x = weft_in(b, 5);
    assert_int_equal(x, 0);
    x = weft_tanh(b, x);
    assert_int_equal(x, 0);
    assert_int_equal((b->api->fail)(b, WEFT_E_ATTR, "a later failure"), WEFT_E_ARG);
    assert_int_equal(weft_out(b, 0, x), WEFT_E_ARG);
    return WEFT_OK;
}

static weft_status failing_op(weft_build *b)
{
    return weft_out(b, 0, weft_op_(b, "reshape", "shape=(5)", weft_in(b, 0)));
}
static weft_status own_words(weft_build *b)
{
    return (b->api->fail)(b, WEFT_E_ATTR, "units must be even");
}
static weft_status no_words(weft_build *b)
{
    (void)b;
    return WEFT_E_IO;
}
static weft_status nothing_set(weft_build *b)
{
    (void)b;
    return WEFT_OK;
}
static weft_status scanning(weft_build *b)
{
    weft_scan scan = { .struct_size = sizeof scan };
    return b->api->scan(b, &scan);
}
static weft_status scanning_anyhow(weft_build *b)
{
    weft_scan scan = { .struct_size = sizeof scan, .flags = 2 | WEFT_SCAN_REVERSE };
    return b->api->scan(b, &scan);
}
static weft_status scanning_cut(weft_build *b)
{
    weft_scan scan = { .struct_size = offsetof(weft_scan, ys) };
    return b->api->scan(b, &scan);
}
static weft_status forgetting(weft_build *b)
{
    b->api->attr_i(b, "nonsense");
    return weft_out(b, 0, weft_in(b, 0));
}
static weft_status training_op(weft_build *b)
{
    b->api->training(b);
    return weft_out(b, 0, weft_in(b, 0));
}

static void builder(void **state)
{
    static const weft_attr schema[] = {
        { "units", WEFT_INT, 0, "7", NULL, NULL },
        { "rate", WEFT_FLOAT, 0, "0.5", NULL, NULL },
        { "size", WEFT_INTS, 0, "(3,4)", NULL, NULL },
        { "activation", WEFT_LAYER_CONFIG, WEFT_NULLABLE, "none", NULL, NULL },
        { "wrapped", WEFT_LAYER_CONFIG, WEFT_NULLABLE, "none", NULL, NULL },
        { "padding", WEFT_STRING, 0, "same", "same|valid", NULL },
        { 0 },
    };
    static const struct {
        weft_status (*fn)(weft_build *);
        weft_status status;
        const char *text;
    } bad[] = {
        { sticky_layer, WEFT_E_ARG, "asks for input 5, but there are 2" },
        { failing_op, WEFT_E_SHAPE,
          "a reshape keeps their number (inputs: x = input x float32 (None, 3))" },
        { own_words, WEFT_E_ATTR, "units must be even" },
        { no_words, WEFT_E_IO, "it failed (file) without a text" },
        { nothing_set, WEFT_E_INTERNAL, "result 0 was not set" },
        { scanning, WEFT_E_ARG, "a scan needs at least one x" },
        { scanning_anyhow, WEFT_E_UNSUPPORTED, "weft_scan.flags is 3" },
        { scanning_cut, WEFT_E_ABI, "weft_scan.struct_size is 64, at least 72 is needed" },
        { forgetting, WEFT_E_INTERNAL, "reads the attribute \"nonsense\"" },
        { training_op, WEFT_E_UNSUPPORTED, "training() is for layers" },
    };
    weft__graph *g = NULL;
    weft__attrs *given = NULL, *attrs = NULL;
    weft__build b;
    (void)state;
    assert_int_equal(weft__graph_create(test_ctx, &g), WEFT_OK);
    assert_int_equal(weft__attrs_parse("activation=LeakyReLU(negative_slope=0.1)", &given),
                     WEFT_OK);
    assert_int_equal(weft__attrs_check(given, schema, "test", &attrs), WEFT_OK);
    weft_val in[] = { weft__graph_input(g, "x", SPEC(WEFT_F32, -1, 3)), WEFT_NONE };
    weft__build_setup setup = {
        .graph = g, .attrs = attrs, .path = "layer", .what = "layer class Test", .in = in, .n_in = 2
    };
    assert_int_equal(weft__build_init(&b, &setup), WEFT_OK);
    if (weft__build_run(&b, good_layer, 1)) fail_msg("%s", weft_error());
    assert_string_equal(weft__graph_producer(g, b.out[0])->text, "expr=\"a*2\"");
    assert_string_equal(weft__graph_producer(g, b.out[0])->path, "layer");
    weft__build_finish(&b);
    for (size_t i = 0; i < N(bad); i++) {
        assert_int_equal(weft__build_init(&b, &setup), WEFT_OK);
        assert_int_equal(weft__build_run(&b, bad[i].fn, 1), bad[i].status);
        if (!strstr(weft_error(), bad[i].text)) fail_msg("%zu gives: %s", i, weft_error());
        weft__build_finish(&b);
    }
    weft__attrs_destroy(&given);
    weft__attrs_destroy(&attrs);
    weft__graph_destroy(&g);
}

static void arity(void **state)
{
    static const struct {
        const char *text;
        uint32_t least, most;
    } list[] = { { "x", 1, 1 },
                 { "x, w, b?", 2, 3 },
                 { "x...", 1, UINT32_MAX },
                 { "", 0, 0 },
                 { NULL, 0, 0 },
                 { "a?", 0, 1 },
                 { "x,y", 2, 2 },
                 { "x, rest...", 2, UINT32_MAX } };
    (void)state;
    for (size_t i = 0; i < N(list); i++) {
        uint32_t least, most;
        weft__arity(list[i].text, &least, &most);
        assert_int_equal(least, list[i].least);
        assert_int_equal(most, list[i].most);
    }
}

/* The n-th allocation fails: an error, and nothing is lost. */
static void allocation_failures(void **state)
{
    static const float ones[6] = { 1, 1, 1, 1, 1, 1 };
    static int variable;
    (void)state;
    for (uint64_t n = 1; n < 20000; n++) {
        size_t live = weft__alloc_live();
        uint64_t calls = weft__alloc_calls();
        weft__graph *g = NULL, *a = NULL, *b = NULL, *c = NULL;
        weft__text text = { 0 };
        weft__alloc_fail_at(n);
        weft_status st = weft__graph_create(test_ctx, &g);
        weft_val y = 0;
        if (!st) {
            weft_val x = weft__graph_input(g, "x", SPEC(WEFT_F32, -1, 6));
            weft_val w = weft__graph_variable(g, &variable, "w", SPEC(WEFT_F32, 6, 6));
            weft_val k = weft__graph_constant(g, SPEC(WEFT_F32, 6), ones, 0);
            y = x && w ? test_try(g, "matmul", NULL, (weft_val[]){ x, w }, 2) : 0;
            if (y) y = k ? test_try(g, "add", NULL, (weft_val[]){ y, k }, 2) : 0;
            if (y) y = test_try(g, "tanh", NULL, &y, 1);
            if (y) y = test_try(g, "reshape", "shape=(-2,3)", &y, 1);
            if (y) y = test_try(g, "reshape", "shape=(-1,6)", &y, 1);
            if (y) y = test_try(g, "softmax", NULL, &y, 1);
            if (!y) st = WEFT_E_NOMEM;
        }
        if (!st) st = weft__graph_output(g, "y", y);
        if (!st) st = weft__pass_simplify(g, &a);
        if (!st) st = weft__pass_fuse(a, NULL, &b);
        if (!st) st = weft__pass_f64(b, &c);
        weft__rewrite rw = { 0 };
        if (!st) st = weft__rewrite_begin(g, &rw);
        for (uint32_t i = 0; !st && i < g->n_nodes; i++)
            st = i + 1 == g->n_nodes ? weft__rewrite_lower(&rw, i) : weft__rewrite_node(&rw, i);
        weft__rewrite_abort(&rw);
        if (!st) weft__graph_print(c, &text);
        weft__alloc_fail_at(0);
        weft__text_finish(&text);
        weft__graph_destroy(&g);
        weft__graph_destroy(&a);
        weft__graph_destroy(&b);
        weft__graph_destroy(&c);
        if (weft__alloc_live() != live) fail_msg("allocation %d: blocks are lost", (int)n);
        /* some failures only make a pass less thorough; the last round has none */
        if (weft__alloc_calls() - calls < n) {
            assert_int_equal(st, WEFT_OK);
            assert_true(n > 100);
            return;
        }
    }
    fail_msg("more than 20000 allocations");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(printing),     cmocka_unit_test(functions),
        cmocka_unit_test(infer_errors), cmocka_unit_test(infer_shapes),
        cmocka_unit_test(epilogue),     cmocka_unit_test(cases),
        cmocka_unit_test(lowering),     cmocka_unit_test(builder),
        cmocka_unit_test(arity),        cmocka_unit_test(allocation_failures),
    };
    return cmocka_run_group_tests(tests, test_open, test_close);
}
