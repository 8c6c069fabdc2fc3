/* Checks: right kernels pass, in every op; wrong ones are found and named, also by little;
 * bounds hold and are not loose. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "plan/check_input.h"
#include "plan/check_op.h"
#include "plan_harness.h"

typedef struct heard {
    uint32_t passed, failed, unverified;
    char text[4096];
    weft_check_line line;
} heard;

static void hear(void *user, const weft_check_line *line)
{
    heard *h = user;
    size_t n = strlen(h->text);
    h->passed += line->result == WEFT_CHECK_PASSED;
    h->failed += line->result == WEFT_CHECK_FAILED;
    h->unverified += line->result == WEFT_CHECK_UNVERIFIED;
    if (line->result != WEFT_CHECK_PASSED)
        snprintf(h->text + n, sizeof h->text - n,
                 "%s %s: error %g bound %g got %g want %g [%d] %s\n", line->op, line->attrs,
                 line->error, line->bound, line->got, line->want, (int)line->index, line->why);
    if (line->result == WEFT_CHECK_FAILED || !h->failed) h->line = *line;
}

typedef struct row {
    const char *op, *attrs;
    uint32_t n;
    weft_spec in[4];
} row;
#define F(...)                                                                     \
    {                                                                              \
        WEFT_F32, (int32_t)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), \
        {                                                                          \
            __VA_ARGS__                                                            \
        }                                                                          \
    }

static const row rows[] = {
    { "map", "expr=\"tanh(a)*b+exp(c)\"", 3, { F(-1, 5, 7), F(7), F(5, 1) } },
    { "map", "expr=\"sigmoid(a)/sqrt(b*b+1)\"", 2, { F(-3, 11), F(-3, 11) } },
    { "map", "expr=\"log(a)\"", 1, { F(-1, 33) } },
    { "map", "expr=\"select(a<b, floor(a), round(b))\"", 2, { F(-1, 33), F(33) } },
    { "map", "expr=\"1/(a-a)\"", 1, { F(-1, 3) } },
    { "matmul", "", 2, { F(-1, 31), F(31, 9) } },
    { "matmul", "transpose_b=true then=\"max(a+b,0)\"", 3, { F(-1, 31), F(9, 31), F(9) } },
    { "matmul", "then=\"sigmoid(a+b)*c\"", 4, { F(-1, 31), F(31, 9), F(9), F(-1, 9) } },
    { "conv", "strides=(2,2) pads=(1,1,1,1)", 2, { F(-1, 9, 9, 3), F(3, 3, 3, 5) } },
    { "conv", "groups=2 then=\"tanh(a)\"", 2, { F(-1, 9, 9, 4), F(3, 3, 2, 6) } },
    { "reduce", "fn=sum axes=(1)", 1, { F(-1, 300) } },
    { "reduce", "fn=mean axes=(0,2) then=\"a*2\"", 1, { F(-1, 7, 30) } },
    { "reduce", "fn=prod axes=(1)", 1, { F(-1, 9) } },
    { "reduce", "fn=max", 1, { F(-1, 9) } },
    { "reduce", "fn=argmax axes=(1)", 1, { F(-1, 9) } },
    { "softmax", "axis=-1", 1, { F(-1, 100) } },
    { "softmax", "axis=1", 1, { F(-1, 10, 4) } },
    { "log_softmax", "", 1, { F(-1, 100) } },
    { "reshape", "shape=(-12)", 1, { F(-1, 3, 4) } },
    { "transpose", "perm=(2,0,1)", 1, { F(-1, 3, 4) } },
    { "transpose", "perm=(0,-1,1)", 1, { F(-1, 3, 4) } },
    { "slice", "begin=(0,1) size=(-1,3) step=(1,2)", 1, { F(-1, 7) } },
    { "pad", "low=(0,1) high=(0,2) value=3", 1, { F(-1, 7) } },
    { "concat", "axis=1", 2, { F(-1, 7), F(-1, 2) } },
    { "concat", "axis=-1", 3, { F(-1, 7), F(-1, 2), F(-1, 1) } },
    { "broadcast", "shape=(-1,3,7)", 1, { F(3, 1) } },
    { "reverse", "axes=(1)", 1, { F(-1, 7) } },
    { "gather", "axis=0", 2, { F(13, 5), { WEFT_I32, 2, { -1, 4 } } } },
    { "count", "axes=(0)", 1, { F(-1, 7) } },
};

static void test_all_ops_on_cpu(void **state)
{
    heard h = { 0 };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        weft_check_case c = { .op = rows[i].op,
                              .attrs = rows[i].attrs,
                              .inputs = rows[i].in,
                              .n_inputs = rows[i].n,
                              .batch = 5,
                              .seed = i };
        if (weft_check_op(plan_ctx, "cpu", &c, hear, &h))
            fail_msg("%s %s: %s", c.op, c.attrs, weft_error());
    }
    if (h.failed || h.unverified) fail_msg("%s", h.text);
    assert_int_equal(h.passed, sizeof rows / sizeof *rows);
}

/* Checks a row on the fake device. */
static void on_fake(const row *r, heard *h)
{
    weft__devices *devices = NULL, *cpu = NULL;
    weft_array *arrays[4] = { NULL };
    weft_val in[4];
    sketch s;
    fake settings = fake_backend;
    devices = plan_devices("fake");
    fake_backend = settings;
    assert_int_equal(weft__devices_open(plan_ctx, "cpu", 1, &cpu), WEFT_OK);
    sketch_begin(&s);
    for (uint32_t i = 0; i < r->n; i++) {
        char name[4] = { 'x', (char)('0' + i), 0 };
        in[i] = weft__graph_input(s.graph, name, &r->in[i]);
    }
    sketch_op(&s, "here", r->op, r->attrs, r->n, in);
    assert_int_equal(weft__check_inputs(s.graph, 3, 1, arrays), WEFT_OK);
    weft__checker c = { .cpu = cpu, .devices = devices, .fn = hear, .user = h, .batch = 3 };
    if (weft__check_graph(&c, s.graph, (const weft_array *const *)arrays))
        fail_msg("%s", weft_error());
    assert_int_equal(c.n_failed, h->failed);
    for (uint32_t i = 0; i < r->n; i++)
        weft_array_destroy(&arrays[i]);
    weft__graph_destroy(&s.graph);
    weft__devices_close(&devices);
    weft__devices_close(&cpu);
}

static void test_wrong_kernels_are_found(void **state)
{
    static const row *const wrong[] = { &rows[0],  &rows[5],  &rows[7], &rows[8],
                                        &rows[10], &rows[15], &rows[23] };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        heard h = { 0 };
        fake_backend = (fake){ .flags = UINT32_MAX,
                               .wrong_op = strcmp(wrong[i]->op, "concat") ? wrong[i]->op : "copy",
                               .wrong_by = 1.001f };
        on_fake(wrong[i], &h);
        if (h.failed != 1)
            fail_msg("%s %s is taken for right: %s", wrong[i]->op, wrong[i]->attrs, h.text);
        assert_int_equal(h.line.index, 0);
        assert_true(h.line.error > h.line.bound);
        assert_true(h.line.bound < 1e-3 * fabs(h.line.want));
    }
}

static void test_kernels_that_write_nothing_are_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        heard h = { 0 };
        fake_backend = (fake){ .flags = UINT32_MAX, .silent = 1 };
        on_fake(&rows[i], &h);
        if (h.failed != 1) fail_msg("%s %s is taken for right", rows[i].op, rows[i].attrs);
    }
}

static void test_refused_op_is_unverified(void **state)
{
    heard h = { 0 };
    (void)state;
    fake_backend = (fake){ .flags = UINT32_MAX, .refused = " matmul " };
    on_fake(&rows[5], &h);
    assert_int_equal(h.unverified, 1);
    assert_non_null(strstr(h.text, "the fake refuses matmul"));
}

static void test_failing_op_is_failed(void **state)
{
    heard h = { 0 };
    (void)state;
    fake_backend = (fake){ .flags = UINT32_MAX, .fail_run = 1 };
    on_fake(&rows[5], &h);
    assert_int_equal(h.failed, 1);
    assert_non_null(strstr(h.text, "the fake was told to fail"));
}

/* References of movement ops come from kernels, not from the views that they judge. */
static void test_movement_reference_is_no_plan(void **state)
{
    weft_spec spec = { WEFT_F64, 3, { 2, 3, 4 } };
    weft_array *x = NULL, *y = NULL;
    weft__devices *cpu = NULL;
    (void)state;
    assert_int_equal(weft_array_create(&spec, &x), WEFT_OK);
    for (int i = 0; i < 24; i++)
        ((double *)x->data)[i] = i;
    weft__known in = { { WEFT_F32, 3, { -1, 3, 4 } }, x, NULL };
    weft__trial trial = { "transpose", "perm=(0,-1,1)", "", &in, 1, 1, 0, 2, NULL };
    assert_int_equal(weft__devices_open(plan_ctx, "cpu", 1, &cpu), WEFT_OK);
    assert_true(weft__trial_moves(&trial));
    assert_int_equal(weft__trial_reference(cpu, &trial, NULL, &y), WEFT_OK);
    assert_int_equal(y->spec.dim[1], 4);
    for (int b = 0; b < 2; b++)
        for (int i = 0; i < 4; i++)
            for (int k = 0; k < 3; k++)
                assert_true(((double *)y->data)[(b * 4 + i) * 3 + k] == b * 12 + k * 4 + i);
    weft_array_destroy(&y);
    trial.attrs = "perm=(0,1)";
    assert_int_equal(weft__trial_reference(cpu, &trial, NULL, &y), WEFT_E_ATTR);
    weft_array_destroy(&x);
    weft__devices_close(&cpu);
}

/* count gives sizes: no error of its input may become its bound. */
static void test_count_is_exact(void **state)
{
    weft_spec spec = { WEFT_F64, 2, { 5, 7 } };
    weft_array *x = NULL, *e = NULL;
    weft__known out = { 0 };
    weft__devices *cpu = NULL;
    (void)state;
    assert_int_equal(weft_array_create(&spec, &x), WEFT_OK);
    assert_int_equal(weft_array_create(&spec, &e), WEFT_OK);
    weft__known in = { { WEFT_F32, 2, { -1, 7 } }, x, e };
    weft__trial trial = { "count", "axes=(0)", "", &in, 1, 1, 0, 5, NULL };
    assert_int_equal(weft__devices_open(plan_ctx, "cpu", 1, &cpu), WEFT_OK);
    assert_int_equal(weft__trial_analyse(cpu, &trial, &out), WEFT_OK);
    assert_true(*(double *)out.value->data == 5);
    assert_true(!out.err || *(double *)out.err->data == 0);
    weft__known_finish(&out);
    weft_array_destroy(&x);
    weft_array_destroy(&e);
    weft__devices_close(&cpu);
}

static void test_arguments_are_checked(void **state)
{
    weft_spec spec = { WEFT_F32, 1, { -1 } };
    weft_check_case c = { .op = "reshape", .attrs = "shape=(-1)", .inputs = &spec, .n_inputs = 1 };
    const weft_array *none = NULL;
    uint32_t failed = 7;
    (void)state;
    assert_int_equal(weft_check_model(NULL, "cpu", NULL, NULL, NULL, &failed), WEFT_E_ARG);
    assert_int_equal(failed, 0);
    assert_int_equal(weft_check_op(plan_ctx, "cpu", NULL, NULL, NULL), WEFT_E_ARG);
    assert_int_equal(weft_check_op(NULL, "cpu", &c, NULL, NULL), WEFT_E_ARG);
    c.values = &none;
    assert_int_equal(weft_check_op(plan_ctx, "cpu", &c, NULL, NULL), WEFT_E_ARG);
    c.values = NULL;
    c.op = "no_such_op";
    assert_int_equal(weft_check_op(plan_ctx, "cpu", &c, NULL, NULL), WEFT_E_NOTFOUND);
    c.op = "reshape";
    c.attrs = "shape=(-1,3)";
    assert_int_equal(weft_check_op(plan_ctx, "cpu", &c, NULL, NULL), WEFT_E_SHAPE);
}

/* The bound of tanh(a)*b: measured errors of correctly rounded arithmetic must lie below, not
 * far below. */
static void test_map_bounds_are_near(void **state)
{
    float x = 0.75f, y = -1.5f;
    weft_array ax = { { WEFT_F64, 1, { 1 } }, &(double){ x } },
               ay = { { WEFT_F64, 1, { 1 } }, &(double){ y } };
    weft__known in[2] = { { { WEFT_F32, 1, { 1 } }, &ax, NULL },
                          { { WEFT_F32, 1, { 1 } }, &ay, NULL } };
    weft__trial trial = { "map", "", "", in, 2, 1, 0, 1, NULL };
    weft_spec spec = { WEFT_F32, 1, { 1 } };
    weft_array *err = NULL;
    double bound, value = tanh((double)x) * (double)y;
    (void)state;
    assert_int_equal(weft__map_error(NULL, "tanh(a)*b", &trial, &spec, &err), WEFT_OK);
    bound = *(double *)err->data;
    assert_true(bound >= fabs(value) * FLT_EPSILON);
    assert_true(bound <= fabs(value) * FLT_EPSILON * 25);
    weft_array_destroy(&err);
    /* a comparison that an error may turn is open, one far from it is not */
    weft_array close = { { WEFT_F64, 1, { 1 } }, &(double){ 1e-7 } };
    in[0].err = &close;
    assert_int_equal(weft__map_error(NULL, "select(a<0.75, 0, 1)", &trial, &spec, &err), WEFT_OK);
    assert_true(*(double *)err->data >= 1);
    weft_array_destroy(&err);
    assert_int_equal(weft__map_error(NULL, "select(a<0.5, 0, 1)", &trial, &spec, &err), WEFT_OK);
    assert_true(*(double *)err->data < 1e-6);
    weft_array_destroy(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_ops_on_cpu),
        cmocka_unit_test(test_wrong_kernels_are_found),
        cmocka_unit_test(test_kernels_that_write_nothing_are_found),
        cmocka_unit_test(test_refused_op_is_unverified),
        cmocka_unit_test(test_failing_op_is_failed),
        cmocka_unit_test(test_movement_reference_is_no_plan),
        cmocka_unit_test(test_count_is_exact),
        cmocka_unit_test(test_arguments_are_checked),
        cmocka_unit_test(test_map_bounds_are_near),
    };
    return cmocka_run_group_tests(tests, plan_setup, plan_teardown);
}
