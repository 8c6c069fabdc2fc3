/* Variables that runs assign: their values from run to run, in the model, and in other sessions;
 * what is written in place and what is copied; shared layers; who may assign. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <weft/train.h>
#include "fixture.h"
#include "near.h"
#include "registry/internal.h"

static weft_context *ctx;
static devices all;

static weft_val state(weft_build *b, const char *name, const char *initializer)
{
    weft_spec spec = { WEFT_F32, 1, { 3 } };
    return b->api->variable(b, name, &spec, initializer, WEFT_STATE);
}

/* y = x + s; s = s + 1 */
static weft_status counter(weft_build *b)
{
    weft_val s = state(b, "s", "zeros");
    b->api->assign(b, s, weft_add(b, s, weft_scalar(b, 1)));
    return weft_out(b, 0, weft_add(b, weft_in(b, 0), s));
}

/* y = x + p + 10 q; p and q change places. */
static weft_status swapper(weft_build *b)
{
    weft_val p = state(b, "p", "zeros"), q = state(b, "q", "ones");
    b->api->assign(b, p, q);
    b->api->assign(b, q, p);
    p = weft_add(b, p, weft_mul(b, q, weft_scalar(b, 10)));
    return weft_out(b, 0, weft_add(b, weft_in(b, 0), p));
}

/* y = s; s = s / 2 + the sum of x: made by an op that reads s, and nobody else does. */
static weft_status follower(weft_build *b)
{
    weft_val s = state(b, "s", "ones"),
             sum = weft_opf(b, "reduce", weft_in(b, 0), "fn=sum axes=(0)");
    b->api->assign(b, s, weft_add(b, weft_mul(b, s, weft_scalar(b, 0.5)), sum));
    return weft_out(b, 0, weft_in(b, 0));
}

/* The same, and s is read behind the assignment: the value before it. */
static weft_status reader(weft_build *b)
{
    weft_val s = state(b, "s", "ones"),
             sum = weft_opf(b, "reduce", weft_in(b, 0), "fn=sum axes=(0)");
    weft_val next = weft_add(b, weft_mul(b, s, weft_scalar(b, 0.5)), sum);
    b->api->assign(b, s, next);
    return weft_out(b, 0, weft_tanh(b, weft_mul(b, weft_in(b, 0), s)));
}

enum { SIDE = 100 }; /* of a matrix that a device works on from both ends at once */

/* v = the transpose of 2 v: made by an op that may work in place, but not onto a turned view. */
static weft_status turner(weft_build *b)
{
    weft_spec spec = { WEFT_F32, 2, { SIDE, SIDE } };
    weft_val v = b->api->variable(b, "v", &spec, "zeros", WEFT_STATE);
    b->api->assign(b, v, weft_opf(b, "transpose", weft_mul(b, v, weft_scalar(b, 2)), "perm=(1,0)"));
    return weft_out(b, 0, weft_in(b, 0));
}

/* s = s + 1 by an op whose result has another shape, where kernels promise nothing. */
static weft_status ranker(weft_build *b)
{
    weft_spec row = { WEFT_F32, 2, { 1, 3 } };
    float one[3] = { 1, 1, 1 };
    weft_val s = state(b, "s", "zeros"), sum = weft_add(b, s, b->api->constant(b, &row, one));
    b->api->assign(b, s, weft_opf(b, "reshape", sum, "shape=(3)"));
    return weft_out(b, 0, weft_in(b, 0));
}

static weft_val row_sum(weft_build *b)
{
    return weft_opf(b, "reduce", weft_in(b, 0), "fn=sum axes=(0)");
}
static weft_status next(weft_build *b)
{
    return weft_out(b, 0, weft_add(b, weft_in(b, 0), weft_scalar(b, 1)));
}

/* p = q; q = the sum of x: what one variable becomes is what the other one is. y = x + 1 */
static weft_status delay(weft_build *b)
{
    weft_val p = state(b, "p", "zeros"), q = state(b, "q", "zeros");
    b->api->assign(b, p, q);
    b->api->assign(b, q, row_sum(b));
    return next(b);
}

/* Two calls of one layer inside. y = x + 2 */
static weft_status nest(weft_build *b)
{
    weft_val x = weft_in(b, 0);
    for (int i = 0; i < 2; i++)
        x = b->api->layer(b, "Delay", "inner", NULL, &x, 1, NULL, 0);
    return weft_out(b, 0, x);
}

/* p = q = the sum of x, and nobody reads them. y = x + 1 */
static weft_status twins(weft_build *b)
{
    weft_val p = state(b, "p", "zeros"), q = state(b, "q", "zeros"), sum = row_sum(b);
    b->api->assign(b, q, sum);
    b->api->assign(b, p, sum);
    return next(b);
}

/* s = s; s = s + 1; s = s, with an old handle and a new one. s has rank 0. */
static weft_status again(weft_build *b)
{
    const weft_spec scalar = { WEFT_F32, 0, { 0 } };
    weft_val s = b->api->variable(b, "s", &scalar, "zeros", WEFT_STATE);
    b->api->assign(b, s, s);
    weft_val now = b->api->variable(b, "s", &scalar, "zeros", WEFT_STATE);
    b->api->assign(b, now, weft_add(b, now, weft_scalar(b, 1)));
    b->api->assign(b, s, b->api->variable(b, "s", &scalar, "zeros", WEFT_STATE));
    return next(b);
}

/* s = x, which has the variable's own shape; y = x + 1 */
static weft_status last(weft_build *b)
{
    b->api->assign(b, state(b, "s", "zeros"), weft_in(b, 0));
    return next(b);
}

/* y = s x; s = w times the sum of x */
static weft_status scaler(weft_build *b)
{
    const weft_spec spec = { WEFT_F32, 1, { 3 } };
    weft_val w = b->api->variable(b, "w", &spec, "ones", WEFT_TRAINABLE), s = state(b, "s", "ones");
    b->api->assign(b, s, weft_mul(b, w, row_sum(b)));
    return weft_out(b, 0, weft_mul(b, s, weft_in(b, 0)));
}

static void in_loop(weft_build *b, void *user, const weft_val *carry, const weft_val *x,
                    weft_val *carry_out, weft_val *y)
{
    (void)carry, (void)carry_out;
    b->api->assign(b, *(weft_val *)user, x[0]);
    y[0] = x[0];
}
static weft_status looper(weft_build *b)
{
    weft_val x = weft_in(b, 0), s = state(b, "s", "zeros"), y;
    weft_scan scan = { .struct_size = sizeof scan,
                       .n_x = 1,
                       .n_y = 1,
                       .xs = &x,
                       .body = in_loop,
                       .user = &s,
                       .ys = &y };
    b->api->scan(b, &scan);
    return weft_out(b, 0, y);
}

static weft_status misfit(weft_build *b)
{
    weft_val s = state(b, "s", "zeros");
    b->api->assign(b, s, weft_in(b, 0));
    return weft_out(b, 0, weft_in(b, 0));
}

#define LAYER(fn, label)                         \
    static const weft_layer_class fn##_class = { \
        .struct_size = sizeof fn##_class,        \
        .name = label,                           \
        .version = 1,                            \
        .min_version = 1,                        \
        .inputs = "x",                           \
        .outputs = "y",                          \
        .build = fn,                             \
    };
LAYER(counter, "Counter")
LAYER(swapper, "Swapper")
LAYER(follower, "Follower")
LAYER(reader, "Reader")
LAYER(turner, "Turner")
LAYER(ranker, "Ranker")
LAYER(delay, "Delay")
LAYER(nest, "Nest")
LAYER(twins, "Twins")
LAYER(again, "Again")
LAYER(last, "Last")
LAYER(scaler, "Scaler")
LAYER(looper, "Looper")
LAYER(misfit, "Misfit")
static const weft_layer_class *const layers[] = { &counter_class, &swapper_class, &follower_class,
                                                  &reader_class,  &turner_class,  &ranker_class,
                                                  &delay_class,   &nest_class,    &twins_class,
                                                  &again_class,   &last_class,    &scaler_class,
                                                  &looper_class,  &misfit_class,  NULL };

static int setup(void **unused)
{
    static const weft_plugin plugin = { WEFT_PLUGIN_HEAD, "assigning", .version = "1",
                                        .layers = layers };
    (void)unused;
    if (weft_context_create("plugin_path=\"" WEFT_TEST_PLUGINS "\"", &ctx) ||
        weft__register_plugin(ctx, &plugin))
        return -1;
    devices_list(ctx, &all);
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    weft_context_destroy(&ctx);
    return 0;
}

static weft_model *make(const char *cls, int calls)
{
    weft_model *m = NULL;
    assert_int_equal(weft_model_create(ctx, "m", &m), WEFT_OK);
    weft_tensor x = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(3));
    weft_layer layer = weft_layer_create(m, cls, "name=l");
    for (int i = 0; i < calls; i++)
        weft_output(m, weft_layer_call(m, layer, &x, 1));
    if (weft_model_finish(m)) fail_msg("%s", weft_error());
    return m;
}

/* The layer called on what its first call gives. */
static weft_model *make_chain(const char *cls)
{
    weft_model *m = NULL;
    assert_int_equal(weft_model_create(ctx, "m", &m), WEFT_OK);
    weft_tensor x = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(3));
    weft_layer layer = weft_layer_create(m, cls, "name=l");
    for (int i = 0; i < 2; i++)
        x = weft_layer_call(m, layer, &x, 1);
    weft_output(m, x);
    if (weft_model_finish(m)) fail_msg("%s", weft_error());
    return m;
}

static weft_session *open(weft_model *m, const char *device)
{
    weft_session *s = NULL;
    if (weft_session_create(m, device, NULL, &s)) fail_msg("%s", weft_error());
    return s;
}

/* The first elements of the outputs for x = 0.25 everywhere, two samples. */
static void run(weft_session *s, uint32_t n, float *first)
{
    float x[6] = { 0.25f, 0.25f, 0.25f, 0.25f, 0.25f, 0.25f };
    weft_array in = { { WEFT_F32, 2, { 2, 3 } }, x }, *out[2] = { NULL, NULL };
    const weft_array *inputs[] = { &in };
    if (weft_session_run(s, inputs, 1, out, n)) fail_msg("%s", weft_error());
    for (uint32_t i = 0; i < n; i++) {
        first[i] = *(float *)out[i]->data;
        weft_array_destroy(&out[i]);
    }
}

static weft_array three(float *data)
{
    return (weft_array){ { WEFT_F32, 1, { 3 } }, data };
}

static float value(weft_model *m, uint32_t variable)
{
    float v[3];
    weft_array a = three(v);
    if (weft_model_get_variable(m, variable, &a)) fail_msg("%s", weft_error());
    return v[0];
}

static void test_values_stay(void **unused)
{
    (void)unused;
    for (size_t d = 0; *all.id[d]; d++) {
        weft_model *m = make("Counter", 1);
        weft_session *s = open(m, all.id[d]);
        float y, ten[3] = { 10, 10, 10 };
        weft_array given = three(ten);
        for (int i = 0; i < 4; i++) {
            run(s, 1, &y);
            assert_near(y, 0.25 + i, 0);
        }
        assert_near(value(m, 0), 4, 0);
        run(s, 1, &y);
        assert_near(y, 4.25, 0);
        assert_int_equal(weft_model_set_variable(m, 0, &given), WEFT_OK);
        assert_near(value(m, 0), 10, 0); /* not the device's 5 */
        run(s, 1, &y);
        assert_near(y, 10.25, 0);
        weft_session_destroy(&s);
        assert_near(value(m, 0), 11, 0);
        s = open(m, all.id[d]);
        run(s, 1, &y);
        assert_near(y, 11.25, 0);
        weft_session_destroy(&s);
        weft_model_destroy(&m);
    }
}

static void test_a_shared_layer_reads_what_was_assigned(void **unused)
{
    weft_model *m = make("Counter", 2);
    weft_session *s = open(m, "cpu");
    float y[2];
    (void)unused;
    for (int i = 0; i < 3; i++) {
        run(s, 2, y);
        /* of two calls that do not depend on each other Keras runs the later one first */
        assert_near(y[1], 0.25 + 2 * i, 0);
        assert_near(y[0], 0.25 + 2 * i + 1, 0);
    }
    assert_near(value(m, 0), 6, 0);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

static void test_swap(void **unused)
{
    (void)unused;
    for (size_t d = 0; *all.id[d]; d++) {
        weft_model *m = make("Swapper", 1);
        weft_session *s = open(m, all.id[d]);
        float y;
        for (int i = 0; i < 4; i++) {
            run(s, 1, &y);
            assert_near(y, (i & 1 ? 1.25 : 10.25), 0);
        }
        run(s, 1, &y);
        assert_near(value(m, 0), 1, 0);
        assert_near(value(m, 1), 0, 0);
        weft_session_destroy(&s);
        weft_model_destroy(&m);
    }
}

/* Sums of x are 0.5 in the first call, 2.5 in the second. */
static void test_each_variable_gets_its_own_value(void **unused)
{
    static const struct {
        const char *cls;
        double p, q;
    } cases[] = { { "Delay", 0.5, 2.5 }, { "Twins", 2.5, 2.5 }, { "Nest", 4.5, 6.5 } };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weft_model *m = make_chain(cases[i].cls);
        weft_session *s = open(m, "cpu");
        float y;
        run(s, 1, &y);
        assert_near(value(m, 0), cases[i].p, 0);
        assert_near(value(m, 1), cases[i].q, 0);
        weft_session_destroy(&s);
        weft_model_destroy(&m);
    }
}

static void test_old_and_new_handles_of_one_variable(void **unused)
{
    weft_model *m = make_chain("Again");
    weft_session *s = open(m, "cpu");
    float y, now = 0;
    weft_array a = { { WEFT_F32, 0, { 0 } }, &now };
    (void)unused;
    for (int i = 1; i <= 3; i++) {
        run(s, 1, &y);
        if (weft_model_get_variable(m, 0, &a)) fail_msg("%s", weft_error());
        assert_near(now, 2 * i, 0);
    }
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

/* Both layers keep x; then `first` keeps 2 (x + 1), and the other one what that call gives. */
static void keep_again(int first)
{
    const weft_spec spec = { WEFT_F32, 1, { 3 } };
    float data[3] = { 1, 1, 1 };
    weft_array in = { spec, data }, *out = NULL;
    const weft_array *inputs[] = { &in };
    weft_model *m = NULL;
    assert_int_equal(weft_model_create(ctx, "m", &m), WEFT_OK);
    weft_tensor x = weft_input_spec(m, "x", &spec), y[2];
    weft_layer l[2];
    for (int i = 0; i < 2; i++) {
        l[i] = weft_layer_create(m, "Last", i ? "name=b" : "name=a");
        y[i] = weft_layer_call(m, l[i], &x, 1);
    }
    weft_tensor sum = weft_layer_call(m, weft_layer_create(m, "Add", NULL), y, 2);
    sum = weft_layer_call(m, l[first], &sum, 1);
    weft_output(m, weft_layer_call(m, l[!first], &sum, 1));
    if (weft_model_finish(m)) fail_msg("%s", weft_error());
    weft_session *s = open(m, "cpu");
    if (weft_session_run(s, inputs, 1, &out, 1)) fail_msg("%s", weft_error());
    for (uint32_t i = 0; i < 2; i++) {
        const char *name = NULL;
        assert_int_equal(weft_model_variable(m, i, &name, NULL, NULL), WEFT_OK);
        assert_near(value(m, i), (name[0] == 'b') == first ? 4 : 5, 0);
    }
    weft_array_destroy(&out);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

static void test_layers_that_keep_the_same_value(void **unused)
{
    (void)unused;
    keep_again(0);
    keep_again(1);
}

/* The second call gives w x^2, for x = 0.5 everywhere: dloss/dw = 2 w x^4 / 3. */
static void test_the_gradient_goes_through_an_assignment(void **unused)
{
    float data[3] = { 0.5f, 0.5f, 0.5f }, zero[3] = { 0 };
    weft_array x = { { WEFT_F32, 2, { 1, 3 } }, data }, y = { { WEFT_F32, 2, { 1, 3 } }, zero };
    const weft_array *xs[] = { &x }, *ys[] = { &y };
    weft_data batch = { .x = xs, .n_x = 1, .y = ys, .n_y = 1 };
    weft_model *m = make_chain("Scaler");
    weft_session *s = open(m, "cpu");
    (void)unused;
    if (weft_session_compile(s, "optimizer=sgd(learning_rate=1) loss=mse") ||
        weft_session_train_step(s, &batch, NULL))
        fail_msg("%s", weft_error());
    assert_near(value(m, 0), 1 - 2 * 0.0625 / 3, 1e-6);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

static int plan_says(weft_session *s, const char *words)
{
    char text[8192];
    FILE *f = tmpfile();
    assert_non_null(f);
    assert_int_equal(weft_session_plan(s, 2, WEFT_PLAN_STEPS, f), WEFT_OK);
    rewind(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return strstr(text, words) != NULL;
}

static void test_in_place_where_nobody_else_reads(void **unused)
{
    static const char *const classes[] = { "Follower", "Reader", "Counter", "Swapper" };
    (void)unused;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        weft_model *m = make(classes[i], 1);
        weft_session *s = open(m, "cpu");
        float y;
        /* one reads the other's variable only where they swap */
        assert_int_equal(plan_says(s, "into the variable"), i == 3);
        run(s, 1, &y);
        run(s, 1, &y);
        if (i < 2) assert_near(value(m, 0), (1 * 0.5f + 0.5f) * 0.5f + 0.5f, 0);
        if (i == 1) assert_near(y, 0.24491866f, 1e-6);
        weft_session_destroy(&s);
        weft_model_destroy(&m);
    }
}

static void test_not_in_place_through_a_transpose(void **unused)
{
    static float v[SIDE * SIDE], got[SIDE * SIDE];
    const weft_spec spec = { WEFT_F32, 2, { SIDE, SIDE } };
    weft_array given = { spec, v }, a = { spec, got };
    (void)unused;
    for (int i = 0; i < SIDE * SIDE; i++)
        v[i] = (float)i;
    for (size_t d = 0; *all.id[d]; d++) {
        weft_model *m = make("Turner", 1);
        weft_session *s = open(m, all.id[d]);
        float y;
        assert_int_equal(weft_model_set_variable(m, 0, &given), WEFT_OK);
        run(s, 1, &y);
        assert_int_equal(weft_model_get_variable(m, 0, &a), WEFT_OK);
        for (int i = 0; i < SIDE; i++)
            for (int k = 0; k < SIDE; k++)
                assert_near(got[SIDE * i + k], 2 * v[SIDE * k + i], 0);
        weft_session_destroy(&s);
        weft_model_destroy(&m);
    }
}

static void test_not_in_place_in_another_shape(void **unused)
{
    weft_model *m = make("Ranker", 1);
    weft_session *s = open(m, "cpu");
    float y;
    (void)unused;
    assert_int_equal(plan_says(s, "into the variable"), 1);
    run(s, 1, &y);
    run(s, 1, &y);
    assert_near(value(m, 0), 2, 0);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

static void test_one_at_a_time(void **unused)
{
    weft_model *m = make("Counter", 1), *other = NULL;
    weft_session *s = open(m, "cpu"), *second = NULL;
    (void)unused;
    assert_int_equal(weft_session_create(m, "cpu", NULL, &second), WEFT_E_ARG);
    if (!strstr(weft_error(), "another session")) fail_msg("%s", weft_error());
    weft_session_destroy(&s);
    s = open(m, "cpu");
    weft_session_destroy(&s);
    weft_model_destroy(&m);
    assert_int_equal(weft_model_create(ctx, "bad", &other), WEFT_OK);
    weft_apply(other, "Misfit", NULL, weft_input(other, "x", WEFT_F32, WEFT_SHAPE(3)));
    assert_int_equal(weft_model_finish(other), WEFT_E_SHAPE);
    if (!strstr(weft_error(), "assign: variable")) fail_msg("%s", weft_error());
    weft_model_destroy(&other);
    assert_int_equal(weft_model_create(ctx, "bad", &other), WEFT_OK);
    weft_apply(other, "Looper", NULL,
               weft_input_spec(other, "x", &(weft_spec){ WEFT_F32, 2, { 4, 3 } }));
    assert_int_equal(weft_model_finish(other), WEFT_E_UNSUPPORTED);
    if (!strstr(weft_error(), "assign() in the body of a loop")) fail_msg("%s", weft_error());
    weft_model_destroy(&other);
}

/* Reads the variable while another thread runs: whole values, that never go back. */
static void *watch(void *user)
{
    float last = 0;
    for (int i = 0; i < 200; i++) {
        float v[3];
        weft_array a = three(v);
        if (weft_model_get_variable(user, 0, &a)) return "no value";
        if (v[0] != v[1] || v[1] != v[2] || v[0] < last) return "torn";
        last = v[0];
    }
    return NULL;
}

static void test_read_from_another_thread(void **unused)
{
    weft_model *m = make("Counter", 1);
    weft_session *s = open(m, "cpu");
    pthread_t thread;
    void *wrong = NULL;
    float y;
    (void)unused;
    assert_int_equal(pthread_create(&thread, NULL, watch, m), 0);
    for (int i = 0; i < 500; i++)
        run(s, 1, &y);
    pthread_join(thread, &wrong);
    assert_null(wrong);
    assert_near(value(m, 0), 500, 0);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_stay),
        cmocka_unit_test(test_a_shared_layer_reads_what_was_assigned),
        cmocka_unit_test(test_swap),
        cmocka_unit_test(test_each_variable_gets_its_own_value),
        cmocka_unit_test(test_old_and_new_handles_of_one_variable),
        cmocka_unit_test(test_layers_that_keep_the_same_value),
        cmocka_unit_test(test_the_gradient_goes_through_an_assignment),
        cmocka_unit_test(test_in_place_where_nobody_else_reads),
        cmocka_unit_test(test_not_in_place_through_a_transpose),
        cmocka_unit_test(test_not_in_place_in_another_shape),
        cmocka_unit_test(test_one_at_a_time),
        cmocka_unit_test(test_read_from_another_thread),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
