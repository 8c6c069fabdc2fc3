/* Runs: batch sizes, generations, several devices, wrapped memory, failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/alloc.h"
#include "plan_harness.h"

static weft__devices *devices;
static sketch s;

static int begin(void **state)
{
    (void)state;
    devices = plan_devices("fake,cpu");
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

/* y = tanh(x) * x, then summed, with y and the sum as outputs. */
static void small_graph(void)
{
    weft_val x = sketch_input(&s, "x", SHAPE(-1, 4)),
             t = sketch_op(&s, "t", "map", "expr=\"tanh(a)\"", ARGS(x));
    sketch_output(&s, sketch_op(&s, "y", "map", "expr=\"a*b\"", ARGS(t, x)));
    sketch_output(&s, sketch_op(&s, "sum", "reduce", "fn=sum axes=(1)", ARGS(t)));
}

static void test_new_batches_compile_nothing(void **state)
{
    weft__plan *plan;
    uint64_t compiles;
    (void)state;
    small_graph();
    plan = plan_make(&s, devices, NULL);
    compiles = fake_backend.compiles;
    for (int64_t batch = 0; batch < 9; batch++) {
        weft_array *y[2] = { NULL };
        plan_run_random(plan, batch, 1, y);
        assert_int_equal(y[0]->spec.dim[0], batch);
        weft_array_destroy(&y[0]);
        weft_array_destroy(&y[1]);
    }
    assert_int_equal(fake_backend.compiles, compiles);
    assert_int_equal(fake_backend.runs, 8); /* batch 0 runs nothing */
    weft__plan_destroy(&plan);
}

static void run(weft__plan *plan, float *x, float *y, float *sum, int64_t batch)
{
    weft_array in = { { WEFT_F32, 2, { batch, 4 } }, x },
               out = { { WEFT_F32, 2, { batch, 4 } }, y };
    weft_array out2 = { { WEFT_F32, 1, { batch } }, sum }, *outputs[] = { &out, &out2 };
    const weft_array *inputs[] = { &in };
    if (weft__plan_run(plan,
                       &(weft__plan_call){ .inputs = inputs, .outputs = outputs, .batch = batch }))
        fail_msg("%s", weft_error());
}

static float *aligned(size_t n)
{
    return weft__alloc_aligned(n * sizeof(float), 64);
}

static void test_generation_stays_while_nothing_changes(void **state)
{
    float *x = aligned(64), *y = aligned(64), *z = aligned(64), *other = aligned(64);
    weft__plan *plan;
    (void)state;
    for (int i = 0; i < 64; i++)
        x[i] = other[i] = (float)i / 64;
    small_graph();
    plan = plan_make(&s, devices, NULL);
    run(plan, x, y, z, 2);
    assert_int_equal(fake_backend.generations, 1);
    run(plan, x, y, z, 2);
    run(plan, x, y, z, 2);
    assert_int_equal(fake_backend.generations, 1);
    run(plan, x, y, z, 3);
    assert_int_equal(fake_backend.generations, 2);
    run(plan, other, y, z, 3);
    assert_int_equal(fake_backend.generations, 3);
    run(plan, x + 1, y, z, 3); /* not aligned: copied in */
    run(plan, x + 2, y, z, 3);
    assert_int_equal(fake_backend.generations, 4);
    assert_true(y[0] != 0);
    weft__plan_destroy(&plan);
    weft__free(x);
    weft__free(y);
    weft__free(z);
    weft__free(other);
}

static void test_output_over_the_input(void **state)
{
    float *x = aligned(64), *y = aligned(64), *z = aligned(64);
    weft__plan *plan;
    (void)state;
    small_graph();
    plan = plan_make(&s, devices, NULL);
    for (int i = 0; i < 64; i++)
        x[i] = (float)i / 64;
    run(plan, x, y, z, 16);
    run(plan, x, x, z, 16); /* the caller asks for it: as if the input had been read first */
    assert_memory_equal(x, y, 64 * sizeof *x);
    weft__plan_destroy(&plan);
    weft__free(x);
    weft__free(y);
    weft__free(z);
}

static void test_two_devices(void **state)
{
    weft_val x = sketch_input(&s, "x", SHAPE(-1, 4)), k = sketch_const(&s, SHAPE(4, 4));
    weft_val a = sketch_op(&s, "a", "map", "expr=\"tanh(a)\"", ARGS(x));
    weft_val b = sketch_op(&s, "b", "matmul", "",
                           ARGS(a, sketch_op(&s, "k", "map", "expr=\"a+1\"", ARGS(k))));
    weft_val c = sketch_op(&s, "c", "map", "expr=\"a*a\"", ARGS(b));
    weft_val d = sketch_op(&s, "d", "matmul", "", ARGS(x, k));
    weft__plan *plan;
    weft__text text = { 0 };
    (void)state;
    fake_backend.refused = " matmul ";
    sketch_output(&s, sketch_op(&s, "e", "concat", "axis=1", ARGS(c, d, a)));
    plan = plan_make(&s, devices, NULL);
    /* to cpu: a (k + 1 was folded, constants go everywhere); back: b and d */
    assert_int_equal(plan_count(plan, WEFT__STEP_TRANSFER, NULL), 3);
    weft__placed_print(plan->graph, devices, &text);
    assert_non_null(strstr(text.s, "the fake refuses matmul"));
    weft__text_finish(&text);
    weft__plan_destroy(&plan);
    for (int64_t batch = 1; batch < 4; batch++)
        plan_agree(&s, devices, NULL, batch);
    assert_int_equal(weft__plan_create(s.graph, devices,
                                       &(weft__plan_options){ .strict = 1, .views = 1 }, &plan),
                     WEFT_E_UNSUPPORTED);
    assert_non_null(strstr(weft_error(), "layer \"b\""));
    assert_non_null(strstr(weft_error(), "fake: the fake refuses matmul"));
}

/* Where the first device lacks an op but runs all that the op is made of, it is lowered there; else
 * the next device has it whole. */
static void test_lowered_on_the_first_device(void **state)
{
    static const char *const refused[] = { " softmax ", " softmax reduce " };
    weft_val x = sketch_input(&s, "x", SHAPE(-1, 4));
    (void)state;
    sketch_output(&s, sketch_op(&s, "soft", "softmax", "axis=1", ARGS(x)));
    for (int i = 0; i < 2; i++) {
        weft__plan *plan;
        weft__text text = { 0 };
        fake_backend.refused = refused[i];
        plan = plan_make(&s, devices, NULL);
        weft__placed_print(plan->graph, devices, &text);
        assert_int_equal(plan_count(plan, WEFT__STEP_OP, "softmax"), i);
        assert_non_null(strstr(text.s, i == 0 ? "(softmax lowered: fake: the fake refuses softmax)"
                                              : "(fake: the fake refuses softmax)"));
        weft__text_finish(&text);
        assert_int_equal(weft__plan_print(plan, 1, &text), WEFT_OK);
        assert_non_null(strstr(text.s, "fake: the fake refuses softmax)"));
        weft__text_finish(&text);
        weft__plan_destroy(&plan);
        plan_agree(&s, devices, NULL, 3);
    }
}

static void test_failed_run(void **state)
{
    weft__plan *plan;
    weft_array in = { { WEFT_F32, 2, { 1, 4 } }, (float[4]){ 0 } }, *outputs[2] = { NULL };
    const weft_array *inputs[] = { &in };
    (void)state;
    small_graph();
    plan = plan_make(&s, devices, NULL);
    fake_backend.fail_run = 1;
    assert_int_equal(
        weft__plan_run(plan,
                       &(weft__plan_call){ .inputs = inputs, .outputs = outputs, .batch = 1 }),
        WEFT_E_DEVICE);
    assert_string_equal(weft_error(), "the fake was told to fail");
    assert_null(outputs[0]);
    assert_null(outputs[1]);
    assert_int_equal(
        weft__plan_run(plan,
                       &(weft__plan_call){ .inputs = inputs, .outputs = outputs, .batch = 1 }),
        WEFT_OK);
    weft_array_destroy(&outputs[0]);
    weft_array_destroy(&outputs[1]);
    weft__plan_destroy(&plan);
}

/* Every allocation of making and running a plan fails once: an error each time, nothing left
 * behind. */
static void test_no_memory(void **state)
{
    weft_val x = sketch_input(&s, "x", SHAPE(-1, 4)), k = sketch_const(&s, SHAPE(4, 4));
    weft_val a = sketch_op(&s, "a", "matmul", "", ARGS(x, k)),
             b = sketch_op(&s, "b", "map", "expr=\"a*2\"", ARGS(x));
    weft__plan_options options = { .simplify = 1, .fuse = 1, .views = 1 };
    weft_array in = { { WEFT_F32, 2, { 1, 4 } }, (float[4]){ 0 } };
    const weft_array *inputs[] = { &in };
    weft_status st = WEFT_E_NOMEM;
    (void)state;
    fake_backend.refused = " matmul ";
    sketch_output(&s, sketch_op(&s, "c", "concat", "axis=1", ARGS(a, b, x)));
    for (uint64_t n = 1; st; n++) {
        weft__plan *plan = NULL;
        weft_array *outputs[1] = { NULL };
        size_t live = weft__alloc_live();
        weft__alloc_fail_at(n);
        st = weft__plan_create(s.graph, devices, &options, &plan);
        if (!st)
            st = weft__plan_run(
                plan, &(weft__plan_call){ .inputs = inputs, .outputs = outputs, .batch = 1 });
        weft__alloc_fail_at(0);
        if (st) assert_null(outputs[0]);
        weft_array_destroy(&outputs[0]);
        weft__plan_destroy(&plan);
        for (uint32_t i = 0; i < devices->n; i++)
            for (int k2 = 0; k2 < WEFT__MAX_ARENAS; k2++)
                weft__buffer_release(&devices->device[i], &devices->device[i].arena[k2]);
        assert_int_equal(weft__alloc_live(), live);
        assert_true(n < 100000);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_new_batches_compile_nothing),
        CASE(test_generation_stays_while_nothing_changes),
        CASE(test_output_over_the_input),
        CASE(test_two_devices),
        CASE(test_lowered_on_the_first_device),
        CASE(test_failed_run),
        CASE(test_no_memory),
    };
    return cmocka_run_group_tests(tests, plan_setup, plan_teardown);
}
