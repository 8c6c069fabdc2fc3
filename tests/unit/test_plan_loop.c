/* Loops: a scan against the same steps written out; carries, captures, both directions, both axes,
 * several devices, kernels that take nothing but dense operands; the plan does not grow with T. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "base/alloc.h"
#include "graph/build.h"
#include "graph/gradient.h"
#include "plan_harness.h"

enum { H = 6, F = 5 };

/* h' = tanh(x w + h u + 0.5), s' = s + h', y = [h', s'] along the features. */
typedef struct rnn {
    weft_val w, u;
} rnn;

static weft_val op(weft_build *b, const char *name, const char *attrs, weft_val x, weft_val y)
{
    weft_val in[] = { x, y };
    return b->api->op(b, name, attrs, in, y ? 2 : 1, NULL, 0);
}

static void cell(weft_build *b, const rnn *r, const weft_val *carry, weft_val x,
                 weft_val *carry_out, weft_val *y)
{
    weft_val z = weft_add(b, weft_matmul(b, x, r->w), weft_matmul(b, carry[0], r->u));
    carry_out[0] = weft_tanh(b, weft_add(b, z, weft_scalar(b, 0.5)));
    carry_out[1] = weft_add(b, carry[1], carry_out[0]);
    *y = op(b, "concat", "axis=-1", carry_out[0], carry_out[1]);
}

static void body(weft_build *b, void *user, const weft_val *carry, const weft_val *x,
                 weft_val *carry_out, weft_val *y)
{
    cell(b, user, carry, x[0], carry_out, y);
}

typedef struct shape {
    int64_t steps;
    int axis, reverse, last_only; /* last_only: nobody reads ys */
} shape;

static weft_val zeros(weft_build *b, int64_t features)
{
    return weft_opf(b, "broadcast", weft_scalar(b, 0), "shape=(-1,%d)", (int)features);
}

static void by_scan(weft_build *b, rnn *r, const shape *s, weft_val x, weft_val *out)
{
    weft_val carry0[] = { zeros(b, H), zeros(b, H) }, end[2], ys[1];
    weft_scan scan = { .struct_size = sizeof scan,
                       .flags = s->reverse ? WEFT_SCAN_REVERSE : 0,
                       .axis = s->axis,
                       .n_carry = 2,
                       .n_x = 1,
                       .n_y = 1,
                       .carry0 = carry0,
                       .xs = &x,
                       .body = body,
                       .user = r,
                       .carry_end = end,
                       .ys = ys };
    b->api->scan(b, &scan);
    out[0] = end[0];
    out[1] = end[1];
    out[2] = ys[0];
}

static void written_out(weft_build *b, rnn *r, const shape *s, weft_val x, weft_val *out)
{
    weft_val carry[] = { zeros(b, H), zeros(b, H) }, y[16];
    for (int64_t i = 0; i < s->steps; i++) {
        int64_t t = s->reverse ? s->steps - 1 - i : i;
        weft_val next[2];
        weft_val part = s->axis
                            ? weft_opf(b, "slice", x, "begin=(0,%d,0) size=(-1,1,%d)", (int)t, F)
                            : weft_opf(b, "slice", x, "begin=(%d,0,0) size=(1,-1,%d)", (int)t, F);
        part = weft_opf(b, "reshape", part, "shape=(-1,%d)", F);
        cell(b, r, carry, part, next, &y[t]);
        y[t] = weft_opf(b, "reshape", y[t], s->axis ? "shape=(-1,1,%d)" : "shape=(1,-1,%d)", 2 * H);
        carry[0] = next[0];
        carry[1] = next[1];
    }
    out[0] = carry[0];
    out[1] = carry[1];
    out[2] = b->api->op(b, "concat", s->axis ? "axis=1" : "axis=0", y, (uint32_t)s->steps, NULL, 0);
}

typedef void (*maker)(weft_build *, rnn *, const shape *, weft_val x, weft_val *out);

static void make(sketch *k, const shape *s, maker how)
{
    weft__build b;
    weft_val out[3];
    sketch_begin(k);
    weft_val x = s->axis ? sketch_input(k, "x", SHAPE(-1, s->steps, F))
                         : sketch_input(k, "x", SHAPE(s->steps, -1, F));
    rnn r = { sketch_input(k, "w", SHAPE(F, H)), sketch_const(k, SHAPE(H, H)) };
    assert_int_equal(weft__build_init(&b, &(weft__build_setup){ .graph = k->graph, .path = "rnn" }),
                     WEFT_OK);
    how(&b.base, &r, s, x, out);
    if (b.status) fail_msg("%s", weft_error());
    for (int i = 0; i < (s->last_only ? 2 : 3); i++)
        sketch_output(k, out[i]);
    weft__build_finish(&b);
}

static void expect_equal(const weft_array *a, const weft_array *b)
{
    assert_int_equal(weft_array_count(a), weft_array_count(b));
    for (uint64_t i = 0; i < weft_array_count(a); i++) {
        double x = (double)((float *)a->data)[i], y = (double)((float *)b->data)[i];
        if (!(fabs(x - y) <= 2e-5 * fmax(1, fabs(y))))
            fail_msg("element %d is %g, want %g", (int)i, x, y);
    }
}

static void same_results(const sketch *a, weft__devices *devices, const sketch *b,
                         weft__devices *plain)
{
    weft_array *got[5] = { NULL }, *want[5] = { NULL };
    weft__plan *plan = plan_make(a, devices, NULL), *reference = plan_make(b, plain, NULL);
    for (int64_t batch = 1; batch < 4; batch += 2) {
        plan_run_random(plan, batch, 3, got);
        plan_run_random(reference, batch, 3, want);
        for (size_t i = 0; i < a->graph->n_outputs; i++) {
            expect_equal(got[i], want[i]);
            weft_array_destroy(&got[i]);
            weft_array_destroy(&want[i]);
        }
    }
    weft__plan_destroy(&plan);
    weft__plan_destroy(&reference);
}

static void agree(const shape *s, const char *text, uint32_t flags)
{
    sketch a, b;
    weft__devices *devices = plan_devices(text), *plain = NULL;
    fake_backend.flags = flags;
    assert_int_equal(weft__devices_open(plan_ctx, "cpu", 1, &plain), WEFT_OK);
    make(&a, s, by_scan);
    make(&b, s, written_out);
    same_results(&a, devices, &b, plain);
    plan_agree(&a, devices, NULL, 2);
    weft__graph_destroy(&a.graph);
    weft__graph_destroy(&b.graph);
    weft__devices_close(&plain);
    weft__devices_close(&devices);
}

static void test_scan_is_its_steps(void **state)
{
    static const shape shapes[] = {
        { 1, 1, 0, 0 }, { 2, 1, 0, 0 }, { 7, 1, 0, 0 }, { 6, 1, 1, 0 },
        { 5, 0, 0, 0 }, { 5, 0, 1, 0 }, { 4, 1, 0, 1 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        agree(&shapes[i], "cpu", 0);
        agree(&shapes[i], "fake,cpu", UINT32_MAX);
        agree(&shapes[i], "fake,cpu", 0); /* dense operands only */
        agree(&shapes[i], "fake,cpu", UINT32_MAX & ~(uint32_t)WEFT_KERNEL_INPLACE);
    }
}

static void test_runs_where_all_of_the_body_runs(void **state)
{
    shape s = { 4, 1, 0, 0 };
    sketch k;
    (void)state;
    make(&k, &s, by_scan);
    weft__devices *devices = plan_devices("fake,cpu");
    fake_backend.refused = " matmul ";
    weft__plan *plan = plan_make(&k, devices, NULL);
    for (size_t i = 0; i < plan->n_steps; i++)
        if (plan->step[i]->loop) assert_int_equal(plan->step[i]->device, 1);
    weft__plan_destroy(&plan);
    plan_agree(&k, devices, NULL, 3);
    weft__graph_destroy(&k.graph);
    weft__devices_close(&devices);
}

static void test_plan_does_not_grow(void **state)
{
    size_t steps[3] = { 0 }, n = 0;
    (void)state;
    for (int64_t t = 1; t <= 1000; t = t == 1 ? 20 : t * 50) {
        shape s = { t, 1, 0, 0 };
        sketch k;
        make(&k, &s, by_scan);
        weft__devices *devices = plan_devices("fake");
        weft__plan *plan = plan_make(&k, devices, NULL);
        steps[n++] = plan->n_steps;
        plan_agree(&k, devices, NULL, 2);
        weft__plan_destroy(&plan);
        weft__graph_destroy(&k.graph);
        weft__devices_close(&devices);
    }
    assert_int_equal(n, 3);
    assert_int_equal(steps[0], steps[1]);
    assert_int_equal(steps[1], steps[2]);
}

/* d loss / d x and d w, where the loss weighs all that comes out; through the scan, and through the
 * steps written out. */
static void make_gradient(sketch *k, const shape *s, maker how)
{
    sketch forward;
    weft_val of[3], wrt[2], grads[2];
    weft__graph *ready = NULL;
    make(&forward, s, how);
    uint32_t n = (uint32_t)forward.graph->n_outputs;
    for (uint32_t i = 0; i < n; i++)
        of[i] = forward.graph->output[i].value;
    for (int i = 0; i < 2; i++)
        wrt[i] = forward.graph->input[i].value;
    weft__gradient_request r = { .of = of, .wrt = wrt, .n_of = n, .n_wrt = 2, .grads = grads };
    if (weft__pass_differentiable(forward.graph, &r, &ready)) fail_msg("%s", weft_error());
    weft__graph_destroy(&forward.graph);
    if (weft__gradient(ready, &r)) fail_msg("%s", weft_error());
    *k = (sketch){ .graph = ready };
    sketch_output(k, grads[0]);
    sketch_output(k, grads[1]);
}

static void test_gradient_is_that_of_the_steps(void **state)
{
    static const shape shapes[] = {
        { 1, 1, 0, 0 }, { 7, 1, 0, 0 }, { 6, 1, 1, 0 }, { 5, 0, 0, 0 }, { 4, 1, 0, 1 },
    };
    static const char *const texts[] = { "cpu", "fake,cpu" };
    (void)state;
    for (size_t i = 0; i < 2 * sizeof shapes / sizeof *shapes; i++) {
        weft__devices *devices = plan_devices(texts[i % 2]), *plain = NULL;
        sketch a, b;
        assert_int_equal(weft__devices_open(plan_ctx, "cpu", 1, &plain), WEFT_OK);
        make_gradient(&a, &shapes[i / 2], by_scan);
        make_gradient(&b, &shapes[i / 2], written_out);
        same_results(&a, devices, &b, plain);
        plan_agree(&a, devices, NULL, 2);
        weft__graph_destroy(&a.graph);
        weft__graph_destroy(&b.graph);
        weft__devices_close(&plain);
        weft__devices_close(&devices);
    }
}

/* Carries that change places, one that stays, a y that is an x, no step at all. */
static void swapping(weft_build *b, void *user, const weft_val *carry, const weft_val *x,
                     weft_val *carry_out, weft_val *y)
{
    (void)b;
    (void)user;
    carry_out[0] = carry[1];
    carry_out[1] = carry[0];
    carry_out[2] = carry[2];
    y[0] = x[0];
    y[1] = carry[0];
}

static void test_carries_that_move(void **state)
{
    (void)state;
    for (int64_t t = 0; t < 4; t++) {
        sketch k;
        weft__build b;
        weft_val end[3], ys[2];
        weft__devices *devices = plan_devices("cpu");
        weft_array *out[5] = { NULL };
        sketch_begin(&k);
        weft_val x = sketch_input(&k, "x", SHAPE(-1, t, 3));
        weft_val c[] = { sketch_input(&k, "p", SHAPE(-1, 2)), sketch_input(&k, "q", SHAPE(-1, 2)),
                         sketch_input(&k, "r", SHAPE(4)) };
        assert_int_equal(
            weft__build_init(&b, &(weft__build_setup){ .graph = k.graph, .path = "swap" }),
            WEFT_OK);
        weft_scan scan = { .struct_size = sizeof scan,
                           .axis = 1,
                           .n_carry = 3,
                           .n_x = 1,
                           .n_y = 2,
                           .carry0 = c,
                           .xs = &x,
                           .body = swapping,
                           .carry_end = end,
                           .ys = ys };
        if (b.base.api->scan(&b.base, &scan)) fail_msg("%s", weft_error());
        for (int i = 0; i < 3; i++)
            sketch_output(&k, end[i]);
        sketch_output(&k, ys[0]);
        sketch_output(&k, ys[1]);
        weft__build_finish(&b);
        weft__plan *plan = plan_make(&k, devices, NULL);
        weft_array *in[4] = { NULL };
        float data[4][32];
        const weft_spec specs[] = { { WEFT_F32, 3, { 2, t, 3 } },
                                    { WEFT_F32, 2, { 2, 2 } },
                                    { WEFT_F32, 2, { 2, 2 } },
                                    { WEFT_F32, 1, { 4 } } };
        weft_array arrays[4];
        for (int i = 0; i < 4; i++) {
            for (int e = 0; e < 32; e++)
                data[i][e] = (float)(100 * i + e);
            arrays[i] = (weft_array){ specs[i], data[i] };
            in[i] = &arrays[i];
        }
        if (weft__plan_run(plan, &(weft__plan_call){ .inputs = (const weft_array *const *)in,
                                                     .outputs = out,
                                                     .batch = 2 }))
            fail_msg("%s", weft_error());
        assert_memory_equal(out[0]->data, data[t & 1 ? 2 : 1], 4 * sizeof(float));
        assert_memory_equal(out[1]->data, data[t & 1 ? 1 : 2], 4 * sizeof(float));
        assert_memory_equal(out[2]->data, data[3], 4 * sizeof(float));
        assert_memory_equal(out[3]->data, data[0], (size_t)(6 * t) * sizeof(float));
        for (int64_t i = 0; i < 2 * t; i++) /* y[n, i, :] is p or q in turns */
            assert_memory_equal((float *)out[4]->data + 2 * i,
                                &data[(i % (t ? t : 1)) & 1 ? 2 : 1][2 * (i / (t ? t : 1))],
                                2 * sizeof(float));
        for (int i = 0; i < 5; i++)
            weft_array_destroy(&out[i]);
        weft__plan_destroy(&plan);
        weft__graph_destroy(&k.graph);
        weft__devices_close(&devices);
    }
}

/* ---- what is refused ---- */

static void growing(weft_build *b, void *user, const weft_val *carry, const weft_val *x,
                    weft_val *carry_out, weft_val *y)
{
    (void)user;
    (void)y;
    carry_out[0] = op(b, "concat", "axis=-1", carry[0], x[0]);
}
static weft_val leaked;
static void leaking(weft_build *b, void *user, const weft_val *carry, const weft_val *x,
                    weft_val *carry_out, weft_val *y)
{
    (void)user;
    (void)y;
    leaked = weft_tanh(b, x[0]);
    carry_out[0] = carry[0];
}
static void forgetting(weft_build *b, void *user, const weft_val *carry, const weft_val *x,
                       weft_val *carry_out, weft_val *y)
{
    (void)b, (void)user, (void)carry, (void)x, (void)carry_out, (void)y;
}

static void expect_refused(void (*fn)(weft_build *, void *, const weft_val *, const weft_val *,
                                      weft_val *, weft_val *),
                           const char *words)
{
    sketch k;
    weft__build b;
    weft_val end;
    sketch_begin(&k);
    weft_val x = sketch_input(&k, "x", SHAPE(-1, 3, 2)), c = sketch_input(&k, "c", SHAPE(-1, 2));
    assert_int_equal(weft__build_init(&b, &(weft__build_setup){ .graph = k.graph, .what = "test" }),
                     WEFT_OK);
    weft_scan scan = { .struct_size = sizeof scan,
                       .axis = 1,
                       .n_carry = 1,
                       .n_x = 1,
                       .carry0 = &c,
                       .xs = &x,
                       .body = fn,
                       .carry_end = &end };
    b.base.api->scan(&b.base, &scan);
    if (fn == leaking) weft_tanh(&b.base, leaked);
    assert_int_not_equal(b.status, WEFT_OK);
    if (!strstr(weft_error(), words)) fail_msg("\"%s\" lacks \"%s\"", weft_error(), words);
    weft__build_finish(&b);
    weft__graph_destroy(&k.graph);
}

static void test_mistakes(void **state)
{
    (void)state;
    expect_refused(growing, "carry 0 goes into the body of a scan as float32 (None, 2) and comes "
                            "out as float32 (None, 4)");
    expect_refused(leaking, "a value of a loop's body is used outside of that body");
    expect_refused(forgetting, "did not set carry_out 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan_is_its_steps),
        cmocka_unit_test(test_runs_where_all_of_the_body_runs),
        cmocka_unit_test(test_plan_does_not_grow),
        cmocka_unit_test(test_gradient_is_that_of_the_steps),
        cmocka_unit_test(test_carries_that_move),
        cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, plan_setup, plan_teardown);
}
