/* The passes: what they make of small graphs, by printing; and that random graphs compute the same
 * after them, by evaluating every map. */
#include "graph_util.h"
#include <math.h>
#include "graph/map.h"
#include "graph/node.h"
#include "graph/ops/ops.h"

typedef weft_status (*pass_fn)(const weft__graph *, weft__graph **);

static weft_status fuse_all(const weft__graph *graph, weft__graph **result)
{
    return weft__pass_fuse(graph, NULL, result);
}

static weft__graph *start(void)
{
    weft__graph *g = NULL;
    assert_int_equal(weft__graph_create(test_ctx, &g), WEFT_OK);
    return g;
}

/* Ends the graph: its text after the pass. */
static void finish(weft__graph *g, weft_val y, pass_fn pass, const char *want)
{
    weft__graph *result = NULL;
    assert_int_equal(weft__graph_output(g, "y", y), WEFT_OK);
    if (pass(g, &result)) fail_msg("%s", weft_error());
    test_print(result, want);
    weft__graph_destroy(&result);
    weft__graph_destroy(&g);
}

static weft_val named(weft__graph *g, const char *name, const char *attrs, const char *path,
                      weft_val x, weft_val y)
{
    weft_val in[] = { x, y };
    weft_val v = weft__graph_op(
        g, &(weft__op_request){
               .name = name, .attrs = attrs, .path = path, .in = in, .n_in = y ? 2 : 1 });
    if (!v) fail_msg("%s: %s", name, weft_error());
    return v;
}

static void movements(void **state)
{
    (void)state;
    weft__graph *g = start();
    weft_val x = weft__graph_input(g, "x", SPEC(WEFT_F32, -1, 2, 3)), y;
    y = OP(g, "reshape", "shape=(-1,6)", x);
    y = OP(g, "reshape", "shape=(-2,3)", y);
    y = OP(g, "reshape", "shape=(-1,3,2)", y);
    y = OP(g, "transpose", "perm=(0,2,1)", y);
    y = OP(g, "transpose", "perm=(1,0,2)", y);
    y = OP(g, "concat", "axis=0", y);
    y = OP(g, "slice", "begin=(0,0,0) size=(2,-1,3)", y);
    y = OP(g, "broadcast", "shape=(2,-1,3)", y);
    y = OP(g, "pad", "low=(0,0,0) high=(0,0,0)", y);
    y = OP(g, "map", "expr=a", y);
    y = OP(g, "f32", NULL, y);
    y = OP(g, "transpose", "perm=(0,-2,2)", y);
    finish(g, y, weft__pass_simplify,
           "%1 = input x -> f32[None, 2, 3]\n"
           "%2 = reshape(%1) shape=(-1,3,2) -> f32[None, 3, 2]\n"
           "%3 = transpose(%2) perm=(2,0,1) -> f32[2, None, 3]\n"
           "output y = %3\n");
    g = start();
    x = weft__graph_input(g, "x", SPEC(WEFT_F32, -1, 2));
    y = OP(g, "transpose", "perm=(1,0)", OP(g, "transpose", "perm=(1,0)", x));
    finish(g, OP(g, "reshape", "shape=(-1,2)", y), weft__pass_simplify,
           "%1 = input x -> f32[None, 2]\noutput y = %1\n");
}

static void sharing(void **state)
{
    (void)state;
    weft__graph *g = start();
    weft_val x = weft__graph_input(g, "x", SPEC(WEFT_F32, -1, 2));
    weft_val a = OP(g, "exp", NULL, x), b = OP(g, "exp", NULL, x);
    OP(g, "tanh", NULL, x);
    weft_val sum = OP(g, "reduce", "fn=sum axes=(1)", a),
             again = OP(g, "reduce", "fn=sum axes=(1)", b);
    finish(g, OP(g, "add", NULL, sum, again), weft__pass_simplify,
           "%1 = input x -> f32[None, 2]\n"
           "%2 = map(%1) expr=\"exp(a)\" -> f32[None, 2]\n"
           "%3 = reduce(%2) fn=sum axes=(1) -> f32[None]\n"
           "%4 = map(%3) expr=\"a+a\" -> f32[None]\n"
           "output y = %4\n");
}

static void folding(void **state)
{
    static const float row[] = { 1, 2, 3 }, half = 0.5f;
    (void)state;
    weft__graph *g = start();
    weft_val x = weft__graph_input(g, "x", SPEC(WEFT_F32, -1, 3));
    weft_val c = weft__graph_constant(g, SPEC(WEFT_F32, 3), row, 0),
             r = weft__graph_constant(g, &(weft_spec){ WEFT_F32, 0, { 0 } }, &half, 0);
    weft_val two = OP(g, "mul", NULL, c, OP(g, "reshape", "shape=(3,1)", c));
    weft_val sum = OP(g, "map", "expr=\"a*b+c\"", x, r, OP(g, "broadcast", "shape=(-1,3)", c));
    weft__graph *result = NULL;
    assert_int_equal(weft__graph_output(g, "table", two), WEFT_OK);
    assert_int_equal(weft__graph_output(g, "y", sum), WEFT_OK);
    weft_val n = OP(g, "count", NULL, c);
    assert_int_equal(weft__graph_output(g, "n", n), WEFT_OK);
    assert_int_equal(weft__pass_simplify(g, &result), WEFT_OK);
    test_print(result, "%1 = input x -> f32[None, 3]\n"
                       "%2 = constant -> f32[3]\n"
                       "%4 = constant -> f32[3, 3]\n"
                       "%5 = constant 3 -> f32[]\n"
                       "%3 = map(%1, %2) expr=\"a*0.5+b\" -> f32[None, 3]\n"
                       "output table = %4\n"
                       "output y = %3\n"
                       "output n = %5\n");
    const float want[] = { 1, 2, 3, 2, 4, 6, 3, 6, 9 };
    assert_memory_equal(result->value[result->output[0].value].data, want, sizeof want);
    weft__graph_destroy(&result);
    weft__graph_destroy(&g);
}

static void scalars(void **state)
{
    static const int64_t seven = 7;
    static const double third = 1.0 / 3;
    (void)state;
    weft__graph *g = start();
    const weft_spec i64 = { WEFT_I64, 0, { 0 } }, f64 = { WEFT_F64, 0, { 0 } };
    weft_val x = weft__graph_input(g, "x", SPEC(WEFT_F32, -1));
    weft_val i = weft__graph_constant(g, &i64, &seven, 0),
             d = weft__graph_constant(g, &f64, &third, 0);
    finish(g, OP(g, "map", "expr=\"a+b*c\"", x, i, d), weft__pass_simplify,
           "%1 = input x -> f32[None]\n"
           "%2 = map(%1) expr=\"a+i64(7)*f64(0.3333333333333333)\" -> f64[None]\n"
           "output y = %2\n");
}

static void chains(void **state)
{
    static int w = 0;
    (void)state;
    weft__graph *g = start();
    weft_val x = weft__graph_input(g, "x", SPEC(WEFT_F32, -1, 3));
    weft_val y =
        named(g, "mul", NULL, "scale", x, weft__graph_variable(g, &w, "w", SPEC(WEFT_F32, 3)));
    y = named(g, "tanh", NULL, "act", y, 0);
    y = named(g, "add", NULL, "skip", y, x);
    finish(g, y, fuse_all,
           "%1 = input x -> f32[None, 3]\n"
           "%2 = variable w -> f32[3]\n"
           "%3 = map(%1, %2) expr=\"tanh(a*b)+a\" -> f32[None, 3]   # scale, act, skip\n"
           "output y = %3\n");
}

static void epilogues(void **state)
{
    static int w = 0, b = 0;
    (void)state;
    weft__graph *g = start();
    weft_val x = weft__graph_input(g, "x", SPEC(WEFT_F32, -1, 8, 8, 3));
    weft_val kernel = weft__graph_variable(g, &w, "w", SPEC(WEFT_F32, 1, 1, 3, 3));
    weft_val y = named(g, "conv", "strides=(1,1)", "conv1", x, kernel);
    y = named(g, "add", NULL, "conv1", y, weft__graph_variable(g, &b, "b", SPEC(WEFT_F32, 3)));
    y = named(g, "add", NULL, "add", y, named(g, "square", NULL, "sq", x, 0));
    y = OP(g, "max", NULL, y, test_scalar(g, 0));
    finish(g, y, fuse_all,
           "%1 = input x -> f32[None, 8, 8, 3]\n"
           "%2 = variable w -> f32[1, 1, 3, 3]\n"
           "%3 = variable b -> f32[3]\n"
           "%4 = conv(%1, %2, %3, %1) strides=(1,1) then=\"max(a+b+square(c),0)\" -> "
           "f32[None, 8, 8, 3]   # conv1, sq, add\n"
           "output y = %4\n");
}

/* A value with two readers, an output, or on another device stays. */
static void kept(void **state)
{
    (void)state;
    weft__graph *g = start();
    weft_val x = weft__graph_input(g, "x", SPEC(WEFT_F32, -1, 3)),
             w = weft__graph_input(g, "w", SPEC(WEFT_F32, 3, 3));
    weft_val y = OP(g, "matmul", NULL, x, w), t = OP(g, "tanh", NULL, y), u = OP(g, "exp", NULL, y);
    assert_int_equal(weft__graph_output(g, "t", t), WEFT_OK);
    finish(g, OP(g, "mul", NULL, OP(g, "square", NULL, t), u), fuse_all,
           "%1 = input x -> f32[None, 3]\n%2 = input w -> f32[3, 3]\n"
           "%3 = matmul(%1, %2) -> f32[None, 3]\n"
           "%4 = map(%3) expr=\"tanh(a)\" -> f32[None, 3]\n"
           "%5 = map(%4, %3) expr=\"square(a)*exp(b)\" -> f32[None, 3]\n"
           "output t = %4\noutput y = %5\n");
    g = start();
    x = weft__graph_input(g, "x", SPEC(WEFT_F32, -1, 3));
    t = OP(g, "tanh", NULL, x);
    y = OP(g, "exp", NULL, t);
    weft__graph_producer(g, t)->device = 0;
    weft__graph_producer(g, y)->device = 1;
    finish(g, y, fuse_all,
           "%1 = input x -> f32[None, 3]\n"
           "%2 = map(%1) expr=\"tanh(a)\" -> f32[None, 3]   @0\n"
           "%3 = map(%2) expr=\"exp(a)\" -> f32[None, 3]   @1\n"
           "output y = %3\n");
}

static void broadcasts_and_prologue(void **state)
{
    static int v = 0, m = 0;
    (void)state;
    weft__graph *g = start();
    weft_val x = weft__graph_input(g, "x", SPEC(WEFT_F32, -1, 4, 3)),
             s = weft__graph_input(g, "s", SPEC(WEFT_F32, -1, 1, 3));
    weft_val var = weft__graph_variable(g, &v, "variance", SPEC(WEFT_F32, 3)),
             mean = weft__graph_variable(g, &m, "mean", SPEC(WEFT_F32, 3));
    /* costly in front of a broadcast: stays; cheap: goes; of variables alone: stays, it is computed
     * once */
    weft_val gate = OP(g, "sigmoid", NULL, s), twice = OP(g, "mul", NULL, s, test_scalar(g, 2));
    weft_val y = OP(g, "add", NULL, OP(g, "mul", NULL, x, gate), twice);
    weft_val scale = OP(g, "rsqrt", NULL, OP(g, "add", NULL, var, test_scalar(g, 0.001)));
    weft_val shift = OP(g, "mul", NULL, mean, test_scalar(g, -1));
    finish(g, OP(g, "mul", NULL, OP(g, "add", NULL, y, shift), scale), fuse_all,
           "%1 = input x -> f32[None, 4, 3]\n%2 = input s -> f32[None, 1, 3]\n"
           "%4 = variable variance -> f32[3]\n%6 = variable mean -> f32[3]\n"
           "%3 = map(%2) expr=\"sigmoid(a)\" -> f32[None, 1, 3]\n"
           "%5 = map(%4) expr=\"rsqrt(a+0.001)\" -> f32[3]\n"
           "%7 = map(%6) expr=\"a*(-1)\" -> f32[3]\n"
           "%8 = map(%5, %7, %1, %3, %2) expr=\"(c*d+e*2+b)*a\" -> f32[None, 4, 3]\n"
           "output y = %8\n");
}

static int refuse_epilogue(void *user, const weft__graph *graph, const weft__node *fused)
{
    (void)graph;
    ++*(int *)user;
    return strcmp(fused->op->name, "map") == 0;
}

static void asking(void **state)
{
    int asked = 0;
    weft__fuse_ask ask = { &asked, refuse_epilogue };
    weft__graph *g = start(), *result = NULL;
    (void)state;
    weft_val x = weft__graph_input(g, "x", SPEC(WEFT_F32, -1, 3)),
             w = weft__graph_input(g, "w", SPEC(WEFT_F32, 3, 3));
    weft_val y = OP(g, "exp", NULL, OP(g, "tanh", NULL, OP(g, "matmul", NULL, x, w)));
    assert_int_equal(weft__graph_output(g, "y", y), WEFT_OK);
    assert_int_equal(weft__pass_fuse(g, &ask, &result), WEFT_OK);
    assert_true(asked >= 2);
    test_print(result, "%1 = input x -> f32[None, 3]\n%2 = input w -> f32[3, 3]\n"
                       "%3 = matmul(%1, %2) -> f32[None, 3]\n"
                       "%4 = map(%3) expr=\"exp(tanh(a))\" -> f32[None, 3]\n"
                       "output y = %4\n");
    weft__graph_destroy(&result);
    weft__graph_destroy(&g);
}

/* More inputs than a map has: the chain is cut, not refused. */
static void many_inputs(void **state)
{
    weft__graph *g = start(), *result = NULL;
    (void)state;
    weft_val y = weft__graph_input(g, "x", SPEC(WEFT_F32, -1));
    for (int i = 0; i < 60; i++)
        y = OP(g, "add", NULL, y, weft__graph_input(g, "x", SPEC(WEFT_F32, -1)));
    assert_int_equal(weft__graph_output(g, "y", y), WEFT_OK);
    assert_int_equal(weft__pass_fuse(g, NULL, &result), WEFT_OK);
    assert_int_equal(result->n_nodes, 3);
    weft__graph_destroy(&result);
    weft__graph_destroy(&g);
}

/* Nor is one that is too deep or too long for one expression. */
static void long_chains(void **state)
{
    (void)state;
    for (int with_matmul = 0; with_matmul < 2; with_matmul++) {
        weft__graph *g = start(), *result = NULL, *simple = NULL;
        weft_val x = weft__graph_input(g, "x", SPEC(WEFT_F32, -1, 3));
        weft_val w = weft__graph_input(g, "w", SPEC(WEFT_F32, 3, 3));
        weft_val y = with_matmul ? OP(g, "matmul", NULL, x, w) : x;
        for (int i = 0; i < 700; i++)
            y = OP(g, "max", NULL, OP(g, "neg", NULL, y), test_scalar(g, i * 0.1));
        assert_int_equal(weft__graph_output(g, "y", y), WEFT_OK);
        if (weft__pass_simplify(g, &simple)) fail_msg("%s", weft_error());
        if (weft__pass_fuse(simple, NULL, &result)) fail_msg("%s", weft_error());
        assert_in_range(result->n_nodes, 5, 50);
        weft__graph_destroy(&g);
        weft__graph_destroy(&simple);
        weft__graph_destroy(&result);
    }
}

/* Equal keys are one stream, different ones stay apart, and nothing of it is folded. */
static void random_keys(void **state)
{
    (void)state;
    weft__graph *g = start();
    const int64_t first[2] = { 1, 2 }, second[2] = { 1, 3 }, step = 7;
    const weft_spec key = { WEFT_I64, 1, { 2 } }, scalar = { WEFT_I64, 0, { 0 } };
    weft_val a = weft__graph_constant(g, &key, first, 0),
             b = weft__graph_constant(g, &key, first, 0),
             c = weft__graph_constant(g, &key, second, 0),
             at = weft__graph_constant(g, &scalar, &step, 0);
    a = OP(g, "random", "shape=(3)", a, at);
    b = OP(g, "random", "shape=(3)", b, at);
    weft_val d = OP(g, "random", "shape=(3) dist=normal", c, at);
    c = OP(g, "random", "shape=(3)", c, at);
    finish(g, OP(g, "concat", "axis=0", a, b, c, d), weft__pass_simplify,
           "%1 = constant -> i64[2]\n%2 = constant 7 -> i64[]\n%4 = constant -> i64[2]\n"
           "%3 = random(%1, %2) shape=(3) -> f32[3]\n"
           "%5 = random(%4, %2) dist=normal shape=(3) -> f32[3]\n"
           "%6 = random(%4, %2) shape=(3) -> f32[3]\n"
           "%7 = concat(%3, %3, %6, %5) axis=0 -> f32[12]\noutput y = %7\n");
}

static void f64_mode(void **state)
{
    static int w = 0;
    (void)state;
    weft__graph *g = start();
    weft_val x = weft__graph_input(g, "x", SPEC(WEFT_F32, -1, 3)),
             i = weft__graph_input(g, "i", SPEC(WEFT_I32, -1, 3));
    weft_val y = OP(g, "matmul", "then=\"f32(a>b)*0.1\"", x,
                    weft__graph_variable(g, &w, "w", SPEC(WEFT_F32, 3, 3)), i);
    weft_val m = OP(g, "reduce", "fn=mean axes=(1) then=\"a*2\"", i);
    weft_val z =
        OP(g, "add", NULL, OP(g, "mul", NULL, y, OP(g, "f32", NULL, i)), OP(g, "div", NULL, i, i));
    assert_int_equal(weft__graph_output(g, "m", m), WEFT_OK);
    finish(
        g, OP(g, "max", NULL, z, test_scalar(g, 0.1)), weft__pass_f64,
        "%1 = input x -> f64[None, 3]\n%2 = input i -> i32[None, 3]\n%3 = variable w -> f64[3, 3]\n"
        "%4 = matmul(%1, %3, %2) then=\"f64(a>b)*0.1\" -> f64[None, 3]\n"
        "%5 = map(%2) expr=\"f64(a)\" -> f64[None, 3]\n"
        "%6 = reduce(%5) fn=mean axes=(1) then=\"a*2\" -> f64[None]\n"
        "%7 = map(%2) expr=\"f64(a)\" -> f64[None, 3]\n"
        "%8 = map(%4, %7) expr=\"a*b\" -> f64[None, 3]\n"
        "%9 = map(%2) expr=\"a/f64(a)\" -> f64[None, 3]\n"
        "%10 = map(%8, %9) expr=\"a+b\" -> f64[None, 3]\n"
        "%11 = map(%10) expr=\"max(a,0.1)\" -> f64[None, 3]\n"
        "output m = %6\noutput y = %11\n");
}

/* ---- random graphs of maps over [2, 3] and [3]: the same numbers before and after the passes */

enum { ELEMENTS = 6 };
static uint32_t seed = 7;
static uint32_t draw(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

/* Every value as f64, spread to [2, 3]. */
static void run(const weft__graph *g, double (*value)[ELEMENTS])
{
    for (size_t v = 1; v <= g->n_values; v++) {
        const weft__gvalue *at = &g->value[v];
        for (int k = 0; k < ELEMENTS; k++)
            if (at->kind == WEFT__V_INPUT)
                value[v][k] = at->spec.rank == 1 ? 0.3 * (k % 3) - 0.2 * (double)at->index
                                                 : 0.7 * k - (double)at->index;
            else if (at->kind == WEFT__V_CONST)
                value[v][k] = ((const double *)at->data)[at->spec.rank == 0   ? 0
                                                         : at->spec.rank == 1 ? k % 3
                                                                              : k];
    }
    for (size_t i = 0; i < g->n_nodes; i++) {
        const weft__node *n = g->node[i];
        weft_dtype type[WEFT_MAP_MAX_INPUTS];
        const void *in[WEFT_MAP_MAX_INPUTS];
        weft_map_program *p = NULL;
        assert_ptr_equal(n->op, &weft__op_map);
        for (uint32_t k = 0; k < n->n_in; k++) {
            type[k] = WEFT_F64;
            in[k] = value[n->in[k]];
        }
        assert_int_equal(
            weft__map_api.parse(NULL, weft__attrs_s(n->attrs, "expr"), type, n->n_in, WEFT_F64, &p),
            WEFT_OK);
        weft__map_api.eval(p, ELEMENTS, in, value[n->out[0]]);
        weft__map_api.release(&p);
    }
}

static weft__graph *random_graph(void)
{
    static const char *const unary[] = {
        "exp", "tanh", "neg", "square", "sigmoid", "abs", "floor"
    };
    static const char *const binary[] = { "add", "sub", "mul", "max", "min", "div" };
    static const double table[] = { 0.5, -1, 2, 0.1, 3, 7 };
    weft__graph *g = start();
    weft_val value[40];
    size_t n = 0;
    value[n++] = weft__graph_input(g, "x", SPEC(WEFT_F64, 2, 3));
    value[n++] = weft__graph_input(g, "x", SPEC(WEFT_F64, 3));
    value[n++] = weft__graph_input(g, "x", SPEC(WEFT_F64, 2, 3));
    value[n++] = weft__graph_constant(g, SPEC(WEFT_F64, 3), table, 0);
    value[n++] = weft__graph_constant(g, SPEC(WEFT_F64, 2, 3), table, 0);
    value[n++] = weft__graph_constant(g, &(weft_spec){ WEFT_F64, 0, { 0 } }, table + 3, 0);
    value[n++] = test_scalar(g, 0.25);
    while (n < N(value)) {
        weft_val a = value[draw((uint32_t)n)], b = value[n - 1 - draw(n > 12 ? 6 : (uint32_t)n)];
        value[n++] = draw(3) ? OP(g, binary[draw(N(binary))], NULL, a, b)
                             : OP(g, unary[draw(N(unary))], NULL, a);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(weft__graph_output(g, "y", value[n - 1 - draw(8)]), WEFT_OK);
    return g;
}

static void compare(const weft__graph *a, const weft__graph *b)
{
    static double x[400][ELEMENTS], y[400][ELEMENTS];
    assert_true(a->n_values < N(x) && b->n_values < N(y));
    run(a, x);
    run(b, y);
    for (size_t o = 0; o < a->n_outputs; o++)
        for (int k = 0; k < ELEMENTS; k++) {
            double p = x[a->output[o].value][k], q = y[b->output[o].value][k];
            if (p != q && !(isnan(p) && isnan(q)))
                fail_msg("output %d: %.17g became %.17g", (int)o, p, q);
        }
}

static void random_graphs(void **state)
{
    size_t nodes = 0, left = 0;
    (void)state;
    for (int i = 0; i < 300; i++) {
        weft__graph *g = random_graph(), *s = NULL, *f = NULL, *both = NULL;
        assert_int_equal(weft__pass_simplify(g, &s), WEFT_OK);
        compare(g, s);
        assert_int_equal(weft__pass_fuse(g, NULL, &f), WEFT_OK);
        compare(g, f);
        assert_int_equal(weft__pass_fuse(s, NULL, &both), WEFT_OK);
        compare(g, both);
        nodes += g->n_nodes;
        left += both->n_nodes;
        weft__graph_destroy(&g);
        weft__graph_destroy(&s);
        weft__graph_destroy(&f);
        weft__graph_destroy(&both);
    }
    assert_true(left * 2 < nodes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(movements),   cmocka_unit_test(sharing),
        cmocka_unit_test(folding),     cmocka_unit_test(scalars),
        cmocka_unit_test(chains),      cmocka_unit_test(epilogues),
        cmocka_unit_test(kept),        cmocka_unit_test(broadcasts_and_prologue),
        cmocka_unit_test(asking),      cmocka_unit_test(many_inputs),
        cmocka_unit_test(long_chains), cmocka_unit_test(random_keys),
        cmocka_unit_test(f64_mode),    cmocka_unit_test(random_graphs),
    };
    return cmocka_run_group_tests(tests, test_open, test_close);
}
