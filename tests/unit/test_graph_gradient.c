/* The gradient as a graph: which ops it adds, and which not. Numbers: test_gradient_cases.c. */
#include "graph_util.h"
#include <math.h>
#include "graph/build.h"
#include "graph/gradient.h"
#include "graph/node.h"
#include "graph/ops/ops.h"
#include "plan/plan.h"

static weft__graph *start(void)
{
    weft__graph *g = NULL;
    assert_int_equal(weft__graph_create(test_ctx, &g), WEFT_OK);
    return g;
}

static weft_val input(weft__graph *g, const char *name, const weft_spec *spec)
{
    weft_val v = weft__graph_input(g, name, spec);
    assert_true(v);
    return v;
}

static weft_val variable(weft__graph *g, void *key, const char *name, const weft_spec *spec)
{
    weft_val v = weft__graph_variable(g, key, name, spec);
    assert_true(v);
    return v;
}

/* d of / d wrt[i] become the outputs. */
static void differentiate(weft__graph *g, weft_val of, weft_val *wrt, uint32_t n, int absent)
{
    weft_val grads[8];
    weft__gradient_request r = {
        .of = &of, .wrt = wrt, .n_of = 1, .n_wrt = n, .grads = grads, .absent = absent
    };
    if (weft__gradient(g, &r)) fail_msg("%s", weft_error());
    for (uint32_t i = 0; i < n; i++)
        if (grads[i] != WEFT_NONE)
            assert_int_equal(weft__graph_output(g, "d", grads[i]), WEFT_OK);
        else
            assert_true(absent);
}

static void expect(weft__graph *g, const char *want)
{
    test_print(g, want);
    weft__graph_destroy(&g);
}

static uint32_t count_op(const weft__graph *g, const char *op)
{
    uint32_t n = 0;
    for (size_t i = 0; i < g->n_nodes; i++)
        n += strcmp(g->node[i]->op->name, op) == 0;
    return n;
}

/* A value that is read twice; what the incoming gradient is multiplied with is read, not made
 * again. */
static void shared_value(void **state)
{
    (void)state;
    weft__graph *g = start();
    weft_val x = input(g, "x", SPEC(WEFT_F32, -1, 3)), t = OP(g, "tanh", NULL, x);
    differentiate(g, OP(g, "reduce", "fn=sum", OP(g, "mul", NULL, t, x)), &x, 1, 0);
    expect(g, "%1 = input x -> f32[None, 3]\n"
              "%5 = constant 1 -> f32[]\n"
              "%2 = map(%1) expr=\"tanh(a)\" -> f32[None, 3]\n"
              "%3 = map(%2, %1) expr=\"a*b\" -> f32[None, 3]\n"
              "%4 = reduce(%3) fn=sum -> f32[]\n"
              "%6 = reshape(%5) shape=(1,1) -> f32[1, 1]\n"
              "%7 = broadcast(%6) shape=(-1,3) -> f32[None, 3]\n"
              "%8 = map(%1, %7) expr=\"b*a\" -> f32[None, 3]\n"
              "%9 = map(%2, %7) expr=\"b*a\" -> f32[None, 3]\n"
              "%10 = map(%8, %2) expr=\"a*(1-square(b))\" -> f32[None, 3]\n"
              "%11 = map(%10, %9) expr=\"a+b\" -> f32[None, 3]\n"
              "output d = %11\n");
}

/* Two layers, the first one frozen: nothing for its variable, nothing for the input. */
static void frozen(void **state)
{
    static int w1 = 0, w2 = 0;
    (void)state;
    weft__graph *g = start();
    weft_val x = input(g, "x", SPEC(WEFT_F32, -1, 3));
    weft_val h = OP(g, "matmul", NULL, x, variable(g, &w1, "w1", SPEC(WEFT_F32, 3, 4)));
    h = OP(g, "max", NULL, h, test_scalar(g, 0));
    weft_val w = variable(g, &w2, "w2", SPEC(WEFT_F32, 4, 1)), y = OP(g, "matmul", NULL, h, w);
    const size_t before = g->n_nodes;
    differentiate(g, OP(g, "reduce", "fn=sum", y), &w, 1, 0);
    /* the loss, its gradient repeated, and one product */
    assert_int_equal(g->n_nodes, before + 4);
    assert_int_equal(count_op(g, "matmul"), 3);
    assert_int_equal(count_op(g, "map"), 1);
    weft__graph_destroy(&g);
}

/* relu's gradient reads its result: what is in front of it need not be kept. */
static void relu_keeps_nothing(void **state)
{
    (void)state;
    weft__graph *g = start();
    weft_val x = input(g, "x", SPEC(WEFT_F32, 3)), dy = input(g, "dy", SPEC(WEFT_F32, 3)), dx;
    weft_val y = OP(g, "map", "expr=\"max(a,0)\"", x);
    assert_int_equal(weft__gradient(g, &(weft__gradient_request){ &y, &dy, &x, 1, 1, &dx, 0 }),
                     WEFT_OK);
    expect(g, "%1 = input x -> f32[3]\n"
              "%2 = input dy -> f32[3]\n"
              "%3 = map(%1) expr=\"max(a,0)\" -> f32[3]\n"
              "%4 = map(%2, %3) expr=\"select(b>0,a,0)\" -> f32[3]\n");
}

static weft_val square_of_slice(weft__graph *g, weft_val x, const char *attrs)
{
    return OP(g, "reduce", "fn=sum", OP(g, "square", NULL, OP(g, "slice", attrs, x)));
}

/* Slices that lie side by side: one concat, the gap is zeros, nothing is added or padded. */
static void tiles(void **state)
{
    (void)state;
    weft__graph *g = start();
    weft_val x = input(g, "x", SPEC(WEFT_F32, -1, 8));
    weft_val a = square_of_slice(g, x, "begin=(0,5) size=(-1,2)"),
             b = square_of_slice(g, x, "begin=(0,0) size=(-1,3)"),
             c = square_of_slice(g, x, "begin=(0,3) size=(-1,2)");
    weft_val sum = OP(g, "add", NULL, a, OP(g, "add", NULL, b, c));
    differentiate(g, sum, &x, 1, 0);
    assert_int_equal(count_op(g, "pad"), 0);
    assert_int_equal(count_op(g, "concat"), 1);
    const weft__node *node = weft__graph_producer(g, g->output[0].value);
    assert_string_equal(node->op->name, "concat");
    assert_int_equal(node->n_in, 4);
    const int64_t sizes[] = { 3, 2, 2, 1 };
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(weft__graph_spec(g, node->in[i])->dim[1], sizes[i]);
    weft__graph_destroy(&g);
}

/* The plan joins them without moving a byte. */
static void tiles_are_free(void **state)
{
    static const char *const parts[] = { "begin=(0,0) size=(-1,3)", "begin=(0,3) size=(-1,2)",
                                         "begin=(0,5) size=(-1,3)" };
    const weft__plan_options options = { .simplify = 1, .fuse = 1, .views = 1 };
    weft__devices *cpu = NULL;
    weft__plan *plan = NULL;
    (void)state;
    weft__graph *g = start();
    weft_val x = input(g, "x", SPEC(WEFT_F32, -1, 8)), sum = 0;
    for (size_t i = 0; i < N(parts); i++) {
        weft_val s = square_of_slice(g, x, parts[i]);
        sum = i ? OP(g, "add", NULL, sum, s) : s;
    }
    differentiate(g, sum, &x, 1, 0);
    assert_int_equal(weft__devices_open(test_ctx, "cpu", 1, &cpu), WEFT_OK);
    assert_int_equal(weft__plan_create(g, cpu, &options, &plan), WEFT_OK);
    assert_int_equal(weft__plan_concat_bytes(plan, 3), 0);
    weft__plan_destroy(&plan);
    weft__devices_close(&cpu);
    weft__graph_destroy(&g);
}

/* Slices that overlap: the ones that do not are joined, the rest is added. */
static void overlaps(void **state)
{
    (void)state;
    weft__graph *g = start();
    weft_val x = input(g, "x", SPEC(WEFT_F32, -1, 8));
    weft_val a = square_of_slice(g, x, "begin=(0,0) size=(-1,5)"),
             b = square_of_slice(g, x, "begin=(0,5) size=(-1,3)"),
             c = square_of_slice(g, x, "begin=(0,3) size=(-1,4)");
    differentiate(g, OP(g, "add", NULL, a, OP(g, "add", NULL, b, c)), &x, 1, 0);
    assert_int_equal(count_op(g, "concat"), 1);
    assert_int_equal(count_op(g, "pad"), 1);
    assert_string_equal(weft__graph_producer(g, g->output[0].value)->text, "expr=\"a+b\"");
    weft__graph_destroy(&g);
}

/* So many readers that one expression cannot add them up. */
static void many_readers(void **state)
{
    (void)state;
    weft__graph *g = start();
    weft_val x = input(g, "x", SPEC(WEFT_F32, 2)), parts[60];
    for (int i = 0; i < 60; i++)
        parts[i] = OP(g, "square", NULL, x);
    weft_val sum = OP(g, "concat", "axis=0", parts[0]);
    for (int i = 1; i < 60; i++)
        sum = OP(g, "add", NULL, sum, parts[i]);
    const size_t before = g->n_nodes;
    differentiate(g, sum, &x, 1, 0);
    /* 60 derivatives, the gradient of concat a slice, ones repeated; 26 + 25 + 11 are added up */
    assert_int_equal(g->n_nodes - before, 60 + 1 + 1 + 3);
    const weft__node *last = weft__graph_producer(g, g->output[0].value);
    assert_int_equal(last->n_in, 60 - 25 - 25);
    weft__graph_destroy(&g);
}

static void integers_stop(void **state)
{
    (void)state;
    weft__graph *g = start();
    weft_val x = input(g, "x", SPEC(WEFT_F32, -1, 3)), i = input(g, "i", SPEC(WEFT_I32, 3));
    weft_val whole = OP(g, "i32", NULL, x);
    weft_val y = OP(g, "mul", NULL, OP(g, "f32", NULL, whole), OP(g, "f32", NULL, i));
    const size_t before = g->n_nodes;
    weft_val wrt[] = { x, i };
    differentiate(g, y, wrt, 2, 1);
    assert_int_equal(g->n_nodes, before);
    assert_int_equal(g->n_outputs, 0);
    differentiate(g, y, wrt, 2, 0);
    /* zeros, of each one's own type */
    assert_int_equal(g->n_nodes, before + 2);
    for (int k = 0; k < 2; k++) {
        const weft__node *node = weft__graph_producer(g, g->output[k].value);
        assert_string_equal(node->op->name, "broadcast");
        assert_int_equal(weft__graph_value(g, node->in[0])->kind, WEFT__V_CONST);
        assert_int_equal(weft__graph_spec(g, node->out[0])->dtype, k ? WEFT_I32 : WEFT_F32);
        assert_int_equal(*(int32_t *)weft__graph_value(g, node->in[0])->data, 0);
    }
    weft__graph_destroy(&g);
}

/* A value in the middle, and what leads to it: neither is cut off from the other. */
static void inner_values(void **state)
{
    (void)state;
    weft__graph *g = start();
    weft_val x = input(g, "x", SPEC(WEFT_F32, 2)), h = OP(g, "map", "expr=\"a*3\"", x);
    weft_val wrt[] = { h, x, OP(g, "map", "expr=\"a*5\"", h) };
    differentiate(g, OP(g, "map", "expr=\"a*7\"", wrt[2]), wrt, 3, 0);
    test_print(g, "%1 = input x -> f32[2]\n"
                  "%5 = constant 1 -> f32[]\n"
                  "%2 = map(%1) expr=\"a*3\" -> f32[2]\n"
                  "%3 = map(%2) expr=\"a*5\" -> f32[2]\n"
                  "%4 = map(%3) expr=\"a*7\" -> f32[2]\n"
                  "%6 = broadcast(%5) shape=(2) -> f32[2]\n"
                  "%7 = map(%6) expr=\"a*7\" -> f32[2]\n"
                  "%8 = map(%7) expr=\"a*5\" -> f32[2]\n"
                  "%9 = map(%8) expr=\"a*3\" -> f32[2]\n"
                  "output d = %8\n"
                  "output d = %9\n"
                  "output d = %7\n");
    weft__graph_destroy(&g);
}

/* ---- the pass in front of it */

static void split_and_lowered(void **state)
{
    weft_op_class softmax = weft__op_softmax;
    weft__graph *result = NULL;
    (void)state;
    weft__graph *g = start();
    weft_val x = input(g, "x", SPEC(WEFT_F32, -1, 3)), w = input(g, "w", SPEC(WEFT_F32, 3, 3)),
             b = input(g, "b", SPEC(WEFT_F32, 3));
    weft_val aside = OP(g, "matmul", "then=\"a+b\"", x, w, b);
    weft_val y = OP(g, "matmul", "transpose_b=true then=\"max(a+b,0)\"", x, w, b);
    y = OP(g, "softmax", NULL, y);
    softmax.gradient = NULL;
    weft__graph_producer(g, y)->op = &softmax;
    assert_int_equal(weft__graph_output(g, "aside", aside), WEFT_OK);
    weft__gradient_request r = { .of = &y, .wrt = &w, .n_of = 1, .n_wrt = 1 };
    if (weft__pass_differentiable(g, &r, &result)) fail_msg("%s", weft_error());
    assert_int_equal(weft__graph_output(result, "y", y), WEFT_OK);
    assert_string_equal(result->value[w].name, "w");
    /* what is not on the way stays as it is */
    test_print(result, "%1 = input x -> f32[None, 3]\n"
                       "%2 = input w -> f32[3, 3]\n"
                       "%3 = input b -> f32[3]\n"
                       "%4 = matmul(%1, %2, %3) then=\"a+b\" -> f32[None, 3]\n"
                       "%5 = matmul(%1, %2) transpose_b=true -> f32[None, 3]\n"
                       "%6 = map(%5, %3) expr=\"max(a+b,0)\" -> f32[None, 3]\n"
                       "%7 = reduce(%6) fn=max axes=(-1) keepdims=true -> f32[None, 1]\n"
                       "%8 = map(%6, %7) expr=\"a-b\" -> f32[None, 3]\n"
                       "%9 = map(%8) expr=\"exp(a)\" -> f32[None, 3]\n"
                       "%10 = reduce(%9) fn=sum axes=(-1) keepdims=true -> f32[None, 1]\n"
                       "%11 = map(%9, %10) expr=\"a/b\" -> f32[None, 3]\n"
                       "output aside = %4\n"
                       "output y = %11\n");
    weft__graph_destroy(&result);
    weft__graph_destroy(&g);
}

/* ---- what goes wrong */

/* A graph of one op of that class, differentiated: the error holds the words, the graph is as it
 * was. */
static void refused(const weft_op_class *op, const char *words)
{
    weft__graph *result = NULL, *g = start();
    weft_val x = input(g, "x", SPEC(WEFT_F32, -1, 3)), dx;
    weft_val y = weft__graph_op(
        g, &(weft__op_request){
               .name = "reverse", .attrs = "axes=(1)", .path = "turn", .in = &x, .n_in = 1 });
    weft__gradient_request r = { .of = &y, .wrt = &x, .n_of = 1, .n_wrt = 1, .grads = &dx };
    assert_true(y);
    g->node[0]->op = op;
    const size_t nodes = g->n_nodes, values = g->n_values;
    weft_status st = weft__pass_differentiable(g, &r, &result);
    weft__graph_destroy(&result);
    if (!st) st = weft__gradient(g, &r);
    if (!st) fail_msg("\"%s\" was not refused", words);
    if (!strstr(weft_error(), words) || !strstr(weft_error(), "turn"))
        fail_msg("\"%s\" is not in: %s", words, weft_error());
    assert_int_equal(g->n_nodes, nodes);
    assert_int_equal(g->n_values, values);
    weft__graph_destroy(&g);
}

static weft_status wrong_spec(weft_build *b)
{
    return b->api->out(b, 0, weft_opf(b, "transpose", b->api->dout(b, 0), "perm=(1,0)"));
}

static weft_status too_many(weft_build *b)
{
    b->api->out(b, 0, b->api->dout(b, 0));
    return b->api->out(b, 1, b->api->dout(b, 0));
}

static weft_status no_such_result(weft_build *b)
{
    return b->api->out(b, 0, b->api->fwd(b, 3));
}

static weft_status fails(weft_build *b)
{
    weft_op1(b, "exp", b->api->dout(b, 0));
    return weft_failf(b, WEFT_E_UNSUPPORTED, "not today");
}

static weft_status infer_reads_gradient(weft_build *b, weft_spec *outs)
{
    (void)outs;
    return b->api->dout(b, 0) ? WEFT_OK : WEFT_E_UNSUPPORTED;
}

static void errors(void **state)
{
    weft_op_class op = weft__op_reverse;
    weft_val x, y;
    (void)state;
    op.gradient = NULL;
    refused(&op, "op reverse axes=(1) has neither a gradient nor a lowering");
    op.gradient = wrong_spec;
    refused(&op, "the gradient of input x of op reverse is f32[3, None], its value f32[None, 3]");
    op.gradient = too_many;
    refused(&op, "the gradient of input 1 was set, but there are 1");
    op.gradient = no_such_result;
    refused(&op, "gradient() asks for fwd(3), but the op has 1 result");
    op.gradient = fails;
    refused(&op, "not today");
    weft__graph *g = start();
    x = input(g, "x", SPEC(WEFT_I32, 3));
    weft__gradient_request r = { .of = &x, .wrt = &x, .n_of = 1, .n_wrt = 1, .grads = &y };
    assert_int_equal(weft__gradient(g, &r), WEFT_E_DTYPE);
    x = 77;
    assert_int_equal(weft__gradient(g, &r), WEFT_E_ARG);
    weft__graph_destroy(&g);
    /* fwd() and dout() anywhere else */
    op.infer = infer_reads_gradient;
    weft__build build = { 0 };
    weft_spec spec = { WEFT_F32, 0, { 0 } };
    weft__build_setup setup = { .what = "op reverse", .n_in = 1, .infer_in = &spec };
    assert_int_equal(weft__build_init(&build, &setup), WEFT_OK);
    infer_reads_gradient(&build.base, &spec);
    assert_non_null(strstr(weft_error(), "dout(0) is there in gradient() only"));
    weft__build_finish(&build);
}

/* Every allocation may fail: nothing is left behind, and the graph is as it was. */
static void allocation_failures(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        weft__graph *result = NULL, *g = start();
        weft_val x = input(g, "x", SPEC(WEFT_F32, -1, 4)), grads[2];
        weft_val y = OP(g, "add", NULL, square_of_slice(g, x, "begin=(0,0) size=(-1,2)"),
                        square_of_slice(g, x, "begin=(0,2) size=(-1,2)"));
        y = OP(g, "reduce", "fn=sum then=\"tanh(a)*a\"", OP(g, "mul", NULL, y, x));
        weft_val of[] = { y }, wrt[] = { x, y };
        weft__gradient_request r = { .of = of, .wrt = wrt, .n_of = 1, .n_wrt = 2, .grads = grads };
        const size_t before = weft__alloc_live();
        weft__alloc_fail_at(n);
        weft_status st = weft__pass_differentiable(g, &r, &result);
        const size_t nodes = result ? result->n_nodes : 0;
        if (!st) st = weft__gradient(result, &r);
        weft__alloc_fail_at(0);
        if (st) assert_int_equal(st, WEFT_E_NOMEM);
        if (st && result) assert_int_equal(result->n_nodes, nodes);
        weft__graph_destroy(&result);
        assert_int_equal(weft__alloc_live(), before);
        weft__graph_destroy(&g);
        if (!st) return;
    }
}

/* ---- numbers at ties, zeros, and of second derivatives */

/* The first output of the graph for its one input. */
static void expect_numbers(weft__graph *g, const float *x, const float *want)
{
    const weft__plan_options options = { .simplify = 1, .fuse = 1, .views = 1 };
    weft_array in = { .spec = *weft__graph_spec(g, g->input[0].value), .data = (void *)x };
    const weft_array *inputs[] = { &in };
    weft_array *outputs[4] = { NULL };
    weft__devices *cpu = NULL;
    weft__plan *plan = NULL;
    assert_int_equal(weft__devices_open(test_ctx, "cpu", 1, &cpu), WEFT_OK);
    if (weft__plan_create(g, cpu, &options, &plan)) fail_msg("%s", weft_error());
    if (weft__plan_run(plan,
                       &(weft__plan_call){ .inputs = inputs, .outputs = outputs, .batch = 1 }))
        fail_msg("%s", weft_error());
    for (uint64_t i = 0; i < weft_array_count(outputs[0]); i++)
        if (((float *)outputs[0]->data)[i] != want[i])
            fail_msg("element %d is %g, not %g", (int)i, (double)((float *)outputs[0]->data)[i],
                     (double)want[i]);
    weft_array_destroy(&outputs[0]);
    weft__plan_destroy(&plan);
    weft__devices_close(&cpu);
    weft__graph_destroy(&g);
}

static void ties_and_zeros(void **state)
{
    static const struct {
        const char *op, *attrs;
        float x[4], dx[4];
    } rows[] = {
        { "reduce", "fn=max", { 3, 1, 3, 2 }, { 0.5f, 0, 0.5f, 0 } },
        { "reduce", "fn=min", { 1, 1, 1, 1 }, { 0.25f, 0.25f, 0.25f, 0.25f } },
        { "reduce", "fn=prod", { 2, 3, 4, 5 }, { 60, 40, 30, 24 } },
        { "reduce", "fn=prod", { 2, 0, 4, 5 }, { 0, 40, 0, 0 } },
        { "reduce", "fn=prod", { 2, 0, 0, 5 }, { 0, 0, 0, 0 } },
        { "map", "expr=\"max(a,0)\"", { -1, 0, 1, 2 }, { 0, 0, 1, 1 } },
        { "map", "expr=\"clip(a,0,1)\"", { -1, 0, 1, 2 }, { 0, 1, 1, 0 } },
        { "map", "expr=\"abs(a)\"", { -1, 0, 1, 2 }, { -1, 0, 1, 1 } },
        /* the branch not taken is infinite, and does not count */
        { "map", "expr=\"select(a>0,sqrt(a),0)\"", { -1, 0.25f, 1, 4 }, { 0, 1, 0.5f, 0.25f } },
    };
    (void)state;
    for (size_t i = 0; i < N(rows); i++) {
        weft__graph *g = start();
        weft_val x = input(g, "x", SPEC(WEFT_F32, 4));
        differentiate(g, OP(g, rows[i].op, rows[i].attrs, x), &x, 1, 0);
        expect_numbers(g, rows[i].x, rows[i].dx);
    }
}

static void second_derivative(void **state)
{
    static const float at[] = { -1, 0, 1, 2 }, want[] = { 12, 0, 12, 48 };
    (void)state;
    weft__graph *g = start();
    weft_val x = input(g, "x", SPEC(WEFT_F32, 4)), y = OP(g, "map", "expr=\"square(a*a)\"", x), dx;
    weft__gradient_request r = { .of = &y, .wrt = &x, .n_of = 1, .n_wrt = 1, .grads = &dx };
    assert_int_equal(weft__gradient(g, &r), WEFT_OK);
    differentiate(g, dx, &x, 1, 0);
    expect_numbers(g, at, want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared_value),
        cmocka_unit_test(frozen),
        cmocka_unit_test(relu_keeps_nothing),
        cmocka_unit_test(tiles),
        cmocka_unit_test(tiles_are_free),
        cmocka_unit_test(overlaps),
        cmocka_unit_test(many_readers),
        cmocka_unit_test(integers_stop),
        cmocka_unit_test(inner_values),
        cmocka_unit_test(split_and_lowered),
        cmocka_unit_test(errors),
        cmocka_unit_test(allocation_failures),
        cmocka_unit_test(ties_and_zeros),
        cmocka_unit_test(second_derivative),
    };
    return cmocka_run_group_tests(tests, test_open, test_close);
}
