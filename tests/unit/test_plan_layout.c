/* Layout: which concats are free, where copies appear and where not, what runs in place. Every
 * plan is also run, and must agree with an f64 run that uses no views. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "plan_harness.h"

static weft__devices *devices;
static sketch s;

static int begin(void **state)
{
    (void)state;
    devices = plan_devices("fake");
    sketch_begin(&s);
    return 0;
}

static int end(void **state)
{
    (void)state;
    weft__graph_destroy(&s.graph);
    weft__devices_close(&devices);
    return 0;
}

static weft_val map(const char *path, const char *expr, weft_val x)
{
    char text[128];
    snprintf(text, sizeof text, "expr=\"%s\"", expr);
    return sketch_op(&s, path, "map", text, ARGS(x));
}

/* Makes the plan, checks what its concats move for batch 2, the number of copies, and the
 * numbers. */
static weft__plan *expect(uint64_t bytes, uint32_t copies)
{
    const weft__plan_options plain = { .views = 1 };
    weft__plan *plan = plan_make(&s, devices, &plain);
    weft__text text = { 0 };
    assert_int_equal(weft__plan_print(plan, 2, &text), WEFT_OK);
    if (weft__plan_concat_bytes(plan, 2) != bytes ||
        plan_count(plan, WEFT__STEP_COPY, NULL) != copies)
        fail_msg("concat moves %d bytes, %u copies:\n%s", (int)weft__plan_concat_bytes(plan, 2),
                 plan_count(plan, WEFT__STEP_COPY, NULL), text.s);
    weft__text_finish(&text);
    for (int64_t batch = 1; batch <= 3; batch += 2) {
        plan_agree(&s, devices, &plain, batch);
        plan_agree(&s, devices, NULL, batch);
    }
    return plan;
}

static void check(uint64_t bytes, uint32_t copies)
{
    weft__plan *plan = expect(bytes, copies);
    weft__plan_destroy(&plan);
}

static void test_concat_is_free(void **state)
{
    weft_val x = sketch_input(&s, "x", SHAPE(-1, 4, 3)), y = sketch_input(&s, "y", SHAPE(-1, 4, 5));
    (void)state;
    weft_val a = map("a", "tanh(a)", x), b = map("b", "a*a", y);
    weft_val c = sketch_op(&s, "c", "concat", "axis=-1", ARGS(a, b));
    sketch_output(&s, map("out", "a+1", c));
    check(0, 0);
}

static void test_concat_is_the_output(void **state)
{
    weft_val x = sketch_input(&s, "x", SHAPE(-1, 4));
    (void)state;
    weft_val c =
        sketch_op(&s, "c", "concat", "axis=1", ARGS(map("a", "tanh(a)", x), map("b", "a*a", x)));
    sketch_output(&s, c);
    check(0, 0);
}

static void test_inputs_are_copied_in_one_step(void **state)
{
    weft_val x = sketch_input(&s, "x", SHAPE(-1, 4)), y = sketch_input(&s, "y", SHAPE(-1, 3));
    (void)state;
    weft_val c = sketch_op(&s, "c", "concat", "axis=1", ARGS(x, map("a", "tanh(a)", x), y));
    sketch_output(&s, c);
    check(2 * 7 * 4, 1);
}

static void test_value_in_two_concats(void **state)
{
    weft_val x = sketch_input(&s, "x", SHAPE(-1, 4));
    (void)state;
    weft_val a = map("a", "tanh(a)", x), b = map("b", "a*a", x);
    sketch_output(&s, sketch_op(&s, "c", "concat", "axis=1", ARGS(a, b)));
    sketch_output(&s, sketch_op(&s, "d", "concat", "axis=1", ARGS(b, a, b)));
    /* the later concat asks first: it gets a, and b once; the other copies both */
    check(2 * (4 + 4 + 4) * 4, 2);
}

static void test_nested_concat(void **state)
{
    weft_val x = sketch_input(&s, "x", SHAPE(-1, 2, 4));
    (void)state;
    weft_val c =
        sketch_op(&s, "c", "concat", "axis=2", ARGS(map("a", "tanh(a)", x), map("b", "a*a", x)));
    weft_val d = sketch_op(&s, "d", "concat", "axis=2", ARGS(c, map("e", "a-1", x)));
    sketch_output(&s, d);
    check(0, 0);
}

static void test_nested_concat_along_another_axis(void **state)
{
    weft_val x = sketch_input(&s, "x", SHAPE(-1, 2, 4));
    (void)state;
    fake_backend.flags = WEFT_KERNEL_IN_PITCHED | WEFT_KERNEL_OUT_PITCHED;
    weft_val c =
        sketch_op(&s, "c", "concat", "axis=1", ARGS(map("a", "tanh(a)", x), map("b", "a*a", x)));
    weft_val d =
        sketch_op(&s, "d", "concat", "axis=2",
                  ARGS(c, map("e", "a-1", sketch_op(&s, "t", "concat", "axis=1", ARGS(x, x)))));
    sketch_output(&s, d);
    /* t copies the input twice; a and b would have to be written with two strides */
    check(2 * (16 + 16) * 4, 2);
    fake_backend.flags = UINT32_MAX;
    check(2 * 16 * 4, 1);
}

static void test_flatten_before_concat(void **state)
{
    weft_val x = sketch_input(&s, "x", SHAPE(-1, 5, 5, 2)), y = sketch_input(&s, "y", SHAPE(-1, 3));
    weft_val w = sketch_const(&s, SHAPE(3, 3, 2, 4)), v = sketch_const(&s, SHAPE(3, 6));
    (void)state;
    weft_val conv = sketch_op(&s, "conv", "conv", "", ARGS(x, w));
    weft_val flat = sketch_op(&s, "flat", "reshape", "shape=(-1,36)", ARGS(conv));
    weft_val dense = sketch_op(&s, "dense", "matmul", "", ARGS(y, v));
    sketch_output(&s, sketch_op(&s, "c", "concat", "axis=1", ARGS(flat, dense)));
    check(0, 0);
}

static void test_dense_kernels_get_copies(void **state)
{
    weft_val x = sketch_input(&s, "x", SHAPE(-1, 4, 6));
    (void)state;
    fake_backend.flags = 0;
    weft_val t = sketch_op(&s, "t", "transpose", "perm=(0,2,1)", ARGS(x));
    weft_val a = map("a", "a+1", t), b = map("b", "a*2", t); /* one copy serves both */
    weft_val c = sketch_op(&s, "c", "concat", "axis=2", ARGS(a, b));
    sketch_output(&s, map("out", "a-1", c));
    check(2 * 48 * 4, 2);
}

static void test_dense_reader_of_a_part(void **state)
{
    weft_val x = sketch_input(&s, "x", SHAPE(-1, 4));
    (void)state;
    fake_backend.flags = WEFT_KERNEL_OUT_PITCHED;
    weft_val a = map("a", "tanh(a)", x), b = map("b", "a*a", x);
    sketch_output(&s, sketch_op(&s, "c", "concat", "axis=1", ARGS(a, b)));
    sketch_output(&s, map("d", "a+1", a));
    check(2 * 4 * 4, 1);
}

static void test_views_are_no_steps(void **state)
{
    weft_val x = sketch_input(&s, "x", SHAPE(-1, 4, 6));
    (void)state;
    weft_val t = sketch_op(&s, "t", "transpose", "perm=(0,2,1)", ARGS(x));
    weft_val cut =
        sketch_op(&s, "cut", "slice", "begin=(0,1,0) size=(-1,3,4) step=(1,2,1)", ARGS(t));
    weft_val wide = sketch_op(&s, "wide", "broadcast", "shape=(2,-1,3,4)", ARGS(cut));
    weft__plan *plan;
    sketch_output(&s, map("out", "a*2", wide));
    plan = expect(0, 0);
    assert_int_equal(plan->n_steps, 1);
    weft__plan_destroy(&plan);
    plan = plan_make(&s, devices, &(weft__plan_options){ .views = 0 });
    assert_int_equal(plan_count(plan, WEFT__STEP_COPY, NULL), 3);
    weft__plan_destroy(&plan);
}

static void test_reshape_of_a_transpose_is_a_copy(void **state)
{
    weft_val x = sketch_input(&s, "x", SHAPE(-1, 4, 6));
    (void)state;
    weft_val t = sketch_op(&s, "t", "transpose", "perm=(0,2,1)", ARGS(x));
    sketch_output(&s, map("out", "a*2", sketch_op(&s, "r", "reshape", "shape=(-24)", ARGS(t))));
    check(0, 1);
}

/* The attribute may count axes from the end, where views are made and where they are turned
 * around. */
static void test_transpose_counts_from_the_end(void **state)
{
    weft_val x = sketch_input(&s, "x", SHAPE(-1, 3, 4)), a = map("a", "tanh(a)", x);
    weft_val t = sketch_op(&s, "t", "transpose", "perm=(0,-1,1)", ARGS(a));
    weft_val u = sketch_op(&s, "u", "transpose", "perm=(-3,-1,-2)", ARGS(map("b", "a+1", x)));
    (void)state;
    sketch_output(&s, sketch_op(&s, "c", "concat", "axis=-1", ARGS(t, u)));
    sketch_output(&s, sketch_op(&s, "v", "transpose", "perm=(1,0,-1)", ARGS(x)));
    check(0, 1); /* the input, to the output */
}

static void test_outputs_of_all_kinds(void **state)
{
    weft_val x = sketch_input(&s, "x", SHAPE(-1, 4, 6)), k = sketch_const(&s, SHAPE(3, 2));
    weft_val a = map("a", "a*a", x);
    (void)state;
    sketch_output(&s, a);
    sketch_output(&s, a); /* twice: a copy */
    sketch_output(&s, x); /* an input: a copy */
    sketch_output(&s, k); /* a constant: a copy */
    sketch_output(
        &s, sketch_op(&s, "t", "transpose", "perm=(2,1,0)", ARGS(map("b", "a+1", x)))); /* free */
    sketch_output(&s,
                  sketch_op(&s, "q", "slice", "begin=(0,0,1) size=(-1,4,2)", ARGS(a))); /* a copy */
    check(0, 4);
}

static void test_in_place(void **state)
{
    weft_val x = sketch_input(&s, "x", SHAPE(-1, 4)), a = map("a", "tanh(a)", x),
             b = map("b", "exp(a)", a);
    weft_val c = sketch_op(&s, "c", "map", "expr=\"a+b\"", ARGS(b, a)), d = map("d", "a*2", c);
    weft__plan *plan;
    uint32_t in_place = 0;
    (void)state;
    sketch_output(&s, sketch_op(&s, "sum", "reduce", "fn=sum axes=(1)", ARGS(d)));
    plan = expect(0, 0);
    for (size_t i = 0; i < plan->n_steps; i++)
        in_place += (uint32_t)plan->step[i]->in_place;
    assert_int_equal(
        in_place,
        2); /* c over b, d over c; a is not: x is the caller's; b is not: a is read again */
    weft__plan_destroy(&plan);
    fake_backend.flags = 0;
    plan = expect(0, 0);
    for (size_t i = 0; i < plan->n_steps; i++)
        assert_false(plan->step[i]->in_place);
    weft__plan_destroy(&plan);
}

static void test_overlapping_slices_are_not_in_place(void **state)
{
    weft_val x = sketch_input(&s, "x", SHAPE(-1, 4)), a = map("a", "tanh(a)", x);
    weft_val lo = sketch_op(&s, "lo", "slice", "begin=(0,0) size=(-1,3)", ARGS(a));
    weft_val hi = sketch_op(&s, "hi", "slice", "begin=(0,1) size=(-1,3)", ARGS(a));
    (void)state;
    sketch_output(&s, map("out", "a*2", sketch_op(&s, "sum", "map", "expr=\"a+b\"", ARGS(lo, hi))));
    check(0, 0);
}

static void test_empty_parts(void **state)
{
    weft_val x = sketch_input(&s, "x", SHAPE(-1, 4)), a = map("a", "tanh(a)", x);
    weft_val none = sketch_op(&s, "none", "slice", "begin=(0,2) size=(-1,0)", ARGS(x));
    weft_val sum = sketch_op(&s, "sum", "reduce", "fn=sum axes=(1)", ARGS(none)); /* zeros */
    weft__plan *plan;
    (void)state;
    sketch_output(&s, sketch_op(&s, "c", "concat", "axis=1", ARGS(map("e", "a+1", none), a, none)));
    sketch_output(&s, sum);
    plan = expect(0, 0);
    assert_int_equal(plan->n_steps, 2); /* e gives nothing, so it is left out */
    weft__plan_destroy(&plan);
}

static void test_constants_alone_run_in_the_prologue(void **state)
{
    weft_val x = sketch_input(&s, "x", SHAPE(-1, 4)), k = sketch_const(&s, SHAPE(6, 4));
    weft_val t = sketch_op(&s, "t", "transpose", "perm=(1,0)", ARGS(map("k", "a*2", k)));
    weft__plan *plan;
    (void)state;
    fake_backend.flags = 0;
    sketch_output(&s, sketch_op(&s, "mm", "matmul", "", ARGS(x, t)));
    plan = expect(0, 1);
    assert_int_equal(plan->n_prologue, 2); /* the map, and its transpose made dense */
    assert_int_equal(plan->n_steps, 3);
    weft__plan_destroy(&plan);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_concat_is_free),
        CASE(test_concat_is_the_output),
        CASE(test_inputs_are_copied_in_one_step),
        CASE(test_value_in_two_concats),
        CASE(test_nested_concat),
        CASE(test_nested_concat_along_another_axis),
        CASE(test_flatten_before_concat),
        CASE(test_dense_kernels_get_copies),
        CASE(test_dense_reader_of_a_part),
        CASE(test_views_are_no_steps),
        CASE(test_reshape_of_a_transpose_is_a_copy),
        CASE(test_transpose_counts_from_the_end),
        CASE(test_outputs_of_all_kinds),
        CASE(test_in_place),
        CASE(test_overlapping_slices_are_not_in_place),
        CASE(test_empty_parts),
        CASE(test_constants_alone_run_in_the_prologue),
    };
    return cmocka_run_group_tests(tests, plan_setup, plan_teardown);
}
