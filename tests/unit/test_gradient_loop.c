/* The gradient of a loop, as a graph: what it goes through and keeps sums of, and what it leaves
 * alone. Its numbers where carries mix what is trained with what is not; others: test_plan_loop.c.
 * */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include <weft/status.h>
#include "base/alloc.h"
#include "graph/build.h"
#include "graph/gradient.h"
#include "graph/ops/ops.h"
#include "plan_harness.h"

enum { STEPS = 4, N_CARRY = 3, N_Y = 2 };
typedef void (*body)(weft_build *, void *user, const weft_val *carry, const weft_val *x,
                     weft_val *carry_out, weft_val *y);

/* Stands for an op of a plugin that has kernels alone. */
static weft_val turn(weft_build *b, weft_val x)
{
    return weft_opf(b, "reverse", x, "axes=(-1)");
}

/* user: w, which is trained. The ys, like x, are not. */
static void on_data(weft_build *b, void *user, const weft_val *carry, const weft_val *x,
                    weft_val *carry_out, weft_val *y)
{
    weft_val t = turn(b, x[0]);
    carry_out[0] = weft_add(b, carry[0], weft_mul(b, t, *(weft_val *)user));
    carry_out[1] = weft_add(b, turn(b, carry[1]), x[0]);
    carry_out[2] = carry[2];
    y[0] = weft_tanh(b, t);
    y[1] = weft_mul(b, carry[1], carry[2]);
}

/* What carry 0 gets, went through w two steps earlier; nobody reads y 0, which is turned. */
static void handed_on(weft_build *b, void *user, const weft_val *carry, const weft_val *x,
                      weft_val *carry_out, weft_val *y)
{
    carry_out[0] = carry[1];
    carry_out[1] = weft_mul(b, carry[2], x[0]);
    carry_out[2] = weft_tanh(b, weft_add(b, carry[0], *(weft_val *)user));
    y[0] = turn(b, carry[2]);
    y[1] = weft_mul(b, carry[0], x[0]);
}

/* The turned value is trained, but only by way of the carries. */
static void in_the_way(weft_build *b, void *user, const weft_val *carry, const weft_val *x,
                       weft_val *carry_out, weft_val *y)
{
    carry_out[0] = carry[1];
    carry_out[1] = weft_add(b, carry[2], x[0]);
    carry_out[2] = weft_mul(b, turn(b, carry[0]), *(weft_val *)user);
    y[0] = x[0];
    y[1] = carry[0];
}

static void loop(weft_build *b, body step, weft_val x, weft_val w, const weft_val *carry0,
                 weft_val *out)
{
    weft_scan scan = { .struct_size = sizeof scan,
                       .axis = 1,
                       .n_carry = N_CARRY,
                       .n_x = 1,
                       .n_y = N_Y,
                       .carry0 = carry0,
                       .xs = &x,
                       .body = step,
                       .user = &w,
                       .carry_end = out,
                       .ys = out + N_CARRY };
    b->api->scan(b, &scan);
}

static void written_out(weft_build *b, body step, weft_val x, weft_val w, const weft_val *carry0,
                        weft_val *out)
{
    weft_val carry[N_CARRY], y[N_Y][STEPS];
    memcpy(carry, carry0, sizeof carry);
    for (int t = 0; t < STEPS; t++) {
        weft_val part = weft_opf(b, "reshape", weft_slice(b, x, 1, t, 1), "shape=(-1,3)");
        weft_val one[N_Y];
        step(b, &w, carry, &part, out, one);
        memcpy(carry, out, sizeof carry);
        for (int i = 0; i < N_Y; i++)
            y[i][t] = weft_opf(b, "reshape", one[i], "shape=(-1,1,3)");
    }
    for (int i = 0; i < N_Y; i++)
        out[N_CARRY + i] = b->api->op(b, "concat", "axis=1", y[i], STEPS, NULL, 0);
}

typedef void (*maker)(weft_build *, body, weft_val x, weft_val w, const weft_val *, weft_val *);

static void replace_op(weft__graph *graph, const weft_op_class *old, const weft_op_class *op)
{
    for (size_t i = 0; i < graph->n_nodes; i++) {
        if (graph->node[i]->op == old) graph->node[i]->op = op;
        if (graph->node[i]->region) replace_op(graph->node[i]->region, old, op);
    }
}

/* The gradient with respect to w of all results but y 0 is the output of the graph; WEFT_OK, or why
 * there is none. */
static weft_status make(sketch *k, body step, maker how)
{
    static weft_op_class kernels_alone;
    weft__graph *ready = NULL;
    weft__build b;
    weft_val carry0[N_CARRY], out[N_CARRY + N_Y], of[N_CARRY + N_Y - 1], grad;
    sketch_begin(k);
    weft_val x = sketch_input(k, "x", SHAPE(-1, STEPS, 3)), w = sketch_input(k, "w", SHAPE(3));
    for (int i = 0; i < N_CARRY; i++)
        carry0[i] = sketch_input(k, "c", SHAPE(-1, 3));
    assert_int_equal(
        weft__build_init(&b, &(weft__build_setup){ .graph = k->graph, .path = "loop" }), WEFT_OK);
    how(&b.base, step, x, w, carry0, out);
    if (b.status) fail_msg("%s", weft_error());
    weft__build_finish(&b);
    kernels_alone = weft__op_reverse;
    kernels_alone.gradient = NULL;
    replace_op(k->graph, &weft__op_reverse, &kernels_alone);
    memcpy(of, out, N_CARRY * sizeof *of);
    of[N_CARRY] = out[N_CARRY + 1];
    weft__gradient_request r = {
        .of = of, .wrt = &w, .n_of = N_CARRY + N_Y - 1, .n_wrt = 1, .grads = &grad
    };
    weft_status st = weft__pass_differentiable(k->graph, &r, &ready);
    if (!st) st = weft__gradient(ready, &r);
    if (!st) {
        replace_op(ready, &kernels_alone, &weft__op_reverse);
        weft__graph_destroy(&k->graph);
        *k = (sketch){ .graph = ready };
        sketch_output(k, grad);
        return st;
    }
    weft__graph_destroy(&ready);
    weft__graph_destroy(&k->graph);
    return st;
}

/* What goes around in the loop back. */
static void expect_carries(const weft__graph *graph, int64_t carries)
{
    const weft__node *back = NULL;
    for (size_t i = 0; i < graph->n_nodes; i++)
        if (graph->node[i]->region) back = graph->node[i];
    assert_non_null(back);
    assert_true(weft__attrs_i(back->attrs, "reverse"));
    assert_int_equal(weft__attrs_i(back->attrs, "carries"), carries);
    assert_int_equal(back->n_out, carries); /* no ys: x is not trained */
}

static void expect_numbers(const sketch *a, const sketch *b)
{
    weft__devices *cpu = plan_devices("cpu");
    weft__plan *plan = plan_make(a, cpu, NULL), *reference = plan_make(b, cpu, NULL);
    weft_array *got = NULL, *want = NULL;
    plan_run_random(plan, 2, 3, &got);
    plan_run_random(reference, 2, 3, &want);
    for (uint64_t i = 0; i < 3; i++) {
        double x = (double)((float *)got->data)[i], y = (double)((float *)want->data)[i];
        assert_true(fabs(y) > 1e-3);
        if (!(fabs(x - y) <= 2e-5 * fmax(1, fabs(y))))
            fail_msg("element %d is %g, want %g", (int)i, x, y);
    }
    weft_array_destroy(&got);
    weft_array_destroy(&want);
    weft__plan_destroy(&plan);
    weft__plan_destroy(&reference);
    weft__devices_close(&cpu);
}

static void trains(body step, int64_t carries)
{
    sketch a, b;
    if (make(&b, step, written_out)) fail_msg("written out: %s", weft_error());
    if (make(&a, step, loop)) fail_msg("in a loop: %s", weft_error());
    expect_carries(a.graph, carries);
    expect_numbers(&a, &b);
    weft__graph_destroy(&a.graph);
    weft__graph_destroy(&b.graph);
}

static void data_is_left_alone(void **state)
{
    (void)state;
    trains(on_data, 2); /* of carry 0, and the sum for w */
}

static void by_way_of_carries(void **state)
{
    sketch k;
    (void)state;
    trains(handed_on, 4);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(make(&k, in_the_way, i ? loop : written_out), WEFT_E_UNSUPPORTED);
        assert_non_null(strstr(weft_error(), "layer \"loop\": op reverse axes=(-1) has neither"));
    }
}

static void allocation_failures(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        weft_val x, w, carry0[N_CARRY], out[N_CARRY + N_Y], grad;
        weft__graph *ready = NULL;
        weft__build b;
        sketch k;
        sketch_begin(&k);
        x = sketch_input(&k, "x", SHAPE(-1, STEPS, 3));
        w = sketch_input(&k, "w", SHAPE(3));
        for (int i = 0; i < N_CARRY; i++)
            carry0[i] = sketch_input(&k, "c", SHAPE(-1, 3));
        weft__build_init(&b, &(weft__build_setup){ .graph = k.graph, .path = "loop" });
        loop(&b.base, handed_on, x, w, carry0, out);
        weft__build_finish(&b);
        weft__gradient_request r = { .of = out, .wrt = &w, .n_of = 1, .n_wrt = 1, .grads = &grad };
        const size_t before = weft__alloc_live();
        weft__alloc_fail_at(n);
        weft_status st = weft__pass_differentiable(k.graph, &r, &ready);
        if (!st) st = weft__gradient(ready, &r);
        weft__alloc_fail_at(0);
        if (st) assert_int_equal(st, WEFT_E_NOMEM);
        weft__graph_destroy(&ready);
        assert_int_equal(weft__alloc_live(), before);
        weft__graph_destroy(&k.graph);
        if (!st) return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_is_left_alone),
        cmocka_unit_test(by_way_of_carries),
        cmocka_unit_test(allocation_failures),
    };
    return cmocka_run_group_tests(tests, plan_setup, plan_teardown);
}
