/* Faults of plugins: what a build(), infer(), lower() or gradient() does wrong is told where it
 * does, with the layer's name; and what looks alike but is no fault is taken. */
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
static int n_builds; /* of the layer of the case */

/* ---- ops ---- */

static weft_status same_infer(weft_build *b, weft_spec *outs)
{
    return b->api->spec(b, weft_in(b, 0), &outs[0]);
}
static weft_status pair_infer(weft_build *b, weft_spec *outs)
{
    weft_status st = same_infer(b, outs);
    outs[1] = outs[0];
    return st;
}
static weft_status unknown_infer(weft_build *b, weft_spec *outs)
{
    weft_status st = same_infer(b, outs);
    outs[0].dim[1] = WEFT_ANY;
    return st;
}
static weft_status same_lower(weft_build *b)
{
    return weft_out(b, 0, weft_in(b, 0));
}
static weft_status no_aux_lower(weft_build *b)
{
    weft_out(b, 0, weft_tanh(b, weft_in(b, 0)));
    return weft_out(b, 1, WEFT_NONE);
}
static weft_status nothing_lower(weft_build *b)
{
    weft_out(b, 0, WEFT_NONE);
    return weft_out(b, 1, WEFT_NONE);
}
/* As weak as constants of rank 0 are. */
static weft_status one_gradient(weft_build *b)
{
    return weft_out(b, 0, weft_scalar(b, 1));
}

static const weft_attr no_attrs[] = { { 0 } };
#define OP(op, outs, infer_fn, lower_fn, gradient_fn)                            \
    static const weft_op_class op##_op = { .struct_size = sizeof(weft_op_class), \
                                           .name = "faults." #op,                \
                                           .inputs = "x",                        \
                                           .outputs = outs,                      \
                                           .attrs = no_attrs,                    \
                                           .infer = infer_fn,                    \
                                           .lower = lower_fn,                    \
                                           .gradient = gradient_fn }
OP(no_aux, "y, aux?", pair_infer, no_aux_lower, NULL);
OP(nothing, "y, aux?", pair_infer, nothing_lower, NULL);
OP(bare, "y, aux?", NULL, no_aux_lower, NULL);
OP(unknown, "y", unknown_infer, same_lower, NULL);
OP(one, "y", same_infer, same_lower, one_gradient);
static const weft_op_class *const ops[] = { &no_aux_op,  &nothing_op, &bare_op,
                                            &unknown_op, &one_op,     NULL };

/* ---- layers ---- */

static void call_pair(weft_build *b, const char *op, weft_val y[2])
{
    weft_val x = weft_in(b, 0);
    b->api->op(b, op, NULL, &x, 1, y, 2);
}
static weft_status aux_unread(weft_build *b)
{
    weft_val y[2];
    call_pair(b, "faults.no_aux", y);
    return weft_out(b, 0, y[0]);
}
static weft_status aux_read(weft_build *b)
{
    weft_val y[2];
    call_pair(b, "faults.no_aux", y);
    return weft_out(b, 0, weft_add(b, y[0], y[1]));
}
static weft_status aux_out(weft_build *b)
{
    weft_val y[2];
    call_pair(b, "faults.no_aux", y);
    return weft_out(b, 0, y[1]);
}
static weft_status nothing(weft_build *b)
{
    weft_val y[2];
    call_pair(b, "faults.nothing", y);
    return weft_out(b, 0, y[0]);
}
static weft_status bare(weft_build *b)
{
    weft_val y[2];
    call_pair(b, "faults.bare", y);
    return weft_out(b, 0, y[0]);
}
static weft_status unknown(weft_build *b)
{
    return weft_out(b, 0, weft_tanh(b, weft_op1(b, "faults.unknown", weft_in(b, 0))));
}
static weft_status garbage(weft_build *b)
{
    return weft_out(b, 0, 12345);
}
static weft_status garbage_mask(weft_build *b)
{
    b->api->set_mask(b, 0, 12345);
    return weft_out(b, 0, weft_in(b, 0));
}
static weft_status other_shape(weft_build *b)
{
    weft_val x = weft_in(b, 0);
    return weft_out(b, 0, n_builds++ ? weft_opf(b, "reshape", x, "shape=(-3)") : x);
}
static weft_status other_batch(weft_build *b)
{
    weft_val x = weft_opf(b, "reshape", weft_in(b, 0), "shape=(-3)");
    return weft_out(b, 0, n_builds++ ? weft_opf(b, "reduce", weft_in(b, 0), "fn=sum axes=(1)") : x);
}
static weft_status other_dtype(weft_build *b)
{
    weft_val x = weft_in(b, 0);
    return weft_out(b, 0, n_builds++ ? weft_op1(b, "i32", x) : x);
}
static weft_status null_args(weft_build *b)
{
    return weft_out(b, 0, b->api->op(b, "add", NULL, NULL, 2, NULL, 0));
}
static weft_status null_op(weft_build *b)
{
    return weft_out(b, 0, weft_op1(b, NULL, weft_in(b, 0)));
}
static weft_status null_layer_args(weft_build *b)
{
    return weft_out(b, 0, b->api->layer(b, "ReLU", NULL, NULL, NULL, 1, NULL, 0));
}
static weft_status null_data(weft_build *b)
{
    const weft_spec spec = { WEFT_F32, 1, { 3 } };
    return weft_out(b, 0, weft_add(b, weft_in(b, 0), b->api->constant(b, &spec, NULL)));
}
static weft_status null_spec(weft_build *b)
{
    const float one = 1;
    return weft_out(b, 0, weft_add(b, weft_in(b, 0), b->api->constant(b, NULL, &one)));
}
static weft_status null_variable(weft_build *b)
{
    weft_val v = b->api->variable(b, "v", NULL, "zeros", WEFT_STATE);
    return weft_out(b, 0, weft_add(b, weft_in(b, 0), v));
}
static weft_val summed_weights(weft_build *b)
{
    const weft_spec spec = { WEFT_F32, 1, { 3 } };
    weft_val w = b->api->variable(b, "w", &spec, "ones", WEFT_TRAINABLE);
    return weft_opf(b, "reduce", w, "fn=sum axes=(0)");
}
static weft_status weak_gradient(weft_build *b)
{
    weft_val sum = weft_op1(b, "faults.one", summed_weights(b));
    return weft_out(b, 0, weft_add(b, weft_in(b, 0), sum));
}
static weft_status wrong_gradient(weft_build *b)
{
    weft_val x = weft_add(b, weft_in(b, 0), summed_weights(b));
    return weft_out(b, 0, weft_op1(b, "faults.one", x));
}

static const struct layer {
    const char *name;
    weft_status (*build)(weft_build *);
} layers[] = {
    { "aux_unread", aux_unread },
    { "aux_read", aux_read },
    { "aux_out", aux_out },
    { "nothing", nothing },
    { "bare", bare },
    { "unknown", unknown },
    { "garbage", garbage },
    { "garbage_mask", garbage_mask },
    { "other_shape", other_shape },
    { "other_batch", other_batch },
    { "other_dtype", other_dtype },
    { "null_args", null_args },
    { "null_op", null_op },
    { "null_layer_args", null_layer_args },
    { "null_data", null_data },
    { "null_spec", null_spec },
    { "null_variable", null_variable },
    { "weak_gradient", weak_gradient },
    { "wrong_gradient", wrong_gradient },
};
enum { LAYERS = sizeof layers / sizeof *layers };

static int setup(void **unused)
{
    static weft_layer_class class[LAYERS];
    static const weft_layer_class *list[LAYERS + 1];
    static const weft_plugin plugin = { WEFT_PLUGIN_HEAD, "faults", .version = "1", .layers = list,
                                        .ops = ops };
    (void)unused;
    for (size_t i = 0; i < LAYERS; i++) {
        class[i] = (weft_layer_class){ .struct_size = sizeof *class,
                                       .name = layers[i].name,
                                       .version = 1,
                                       .min_version = 1,
                                       .inputs = "x",
                                       .outputs = "y",
                                       .build = layers[i].build };
        list[i] = &class[i];
    }
    return weft_context_create("plugin_path=\"" WEFT_TEST_PLUGINS "\"", &ctx) ||
           weft__register_plugin(ctx, &plugin);
}
static int teardown(void **unused)
{
    (void)unused;
    weft_context_destroy(&ctx);
    return 0;
}

/* ---- cases ---- */

typedef enum { FINISH, OPEN, TRAIN, FINE } stage; /* which refuses; FINE: none */
typedef struct fault {
    const char *cls;
    stage at;
    weft_status status;
    const char *words[3];
} fault;

/* The stage that fails, or FINE. */
static stage go(const char *cls, weft_status *st)
{
    weft_model *m = NULL;
    weft_session *s = NULL;
    stage at = FINISH;
    float data[3] = { 0 };
    weft_array given = { { WEFT_F32, 2, { 1, 3 } }, data };
    const weft_array *arrays[] = { &given };
    weft_data batch = { .x = arrays, .n_x = 1, .y = arrays, .n_y = 1 };
    n_builds = 0;
    assert_int_equal(weft_model_create(ctx, "m", &m), WEFT_OK);
    weft_tensor x = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(3));
    weft_output(m, weft_layer_call(m, weft_layer_create(m, cls, "name=culprit"), &x, 1));
    *st = weft_model_finish(m);
    if (!*st) {
        at = OPEN;
        *st = weft_session_create(m, "cpu", NULL, &s);
    }
    if (!*st && weft_model_n_variables(m)) {
        at = TRAIN;
        *st = weft_session_compile(s, "optimizer=sgd loss=mse");
        if (!*st) *st = weft_session_train_step(s, &batch, NULL);
    }
    weft_session_destroy(&s);
    weft_model_destroy(&m);
    return *st ? at : FINE;
}

static void test_faults_are_told(void **unused)
{
    static const fault faults[] = {
        { "aux_unread", FINE, WEFT_OK, { NULL } },
        { "aux_read", OPEN, WEFT_E_UNSUPPORTED, { "faults.no_aux", "result aux", "culprit" } },
        { "aux_out", OPEN, WEFT_E_UNSUPPORTED, { "faults.no_aux", "result aux", "culprit" } },
        { "nothing", OPEN, WEFT_E_INTERNAL, { "faults.nothing", "result y", "culprit" } },
        { "bare", FINISH, WEFT_E_INTERNAL, { "faults.bare", "result aux", "culprit" } },
        { "unknown", OPEN, WEFT_E_INTERNAL, { "faults.unknown", "result y", "culprit" } },
        { "garbage", FINISH, WEFT_E_ARG, { "12345", "no value", "culprit" } },
        { "garbage_mask", FINISH, WEFT_E_ARG, { "12345", "no value", "culprit" } },
        { "other_shape", OPEN, WEFT_E_INTERNAL, { "result 0", "(3*B,)", "culprit" } },
        { "other_batch", OPEN, WEFT_E_INTERNAL, { "result 0", "(3*B,)", "culprit" } },
        { "other_dtype", OPEN, WEFT_E_INTERNAL, { "result 0", "int32", "culprit" } },
        { "null_args", FINISH, WEFT_E_ARG, { "op add", "NULL", "culprit" } },
        { "null_op", FINISH, WEFT_E_ARG, { "op()", "NULL", "culprit" } },
        { "null_layer_args", FINISH, WEFT_E_ARG, { "layer ReLU", "NULL", "culprit" } },
        { "null_data", FINISH, WEFT_E_ARG, { "constant", "NULL", "culprit" } },
        { "null_spec", FINISH, WEFT_E_ARG, { "constant", "NULL", "culprit" } },
        { "null_variable", FINISH, WEFT_E_ARG, { "variable", "NULL", "culprit" } },
        { "weak_gradient", FINE, WEFT_OK, { NULL } },
        { "wrong_gradient", TRAIN, WEFT_E_SHAPE, { "faults.one", "f32[]", "culprit" } },
    };
    (void)unused;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        weft_status st;
        stage at = go(faults[i].cls, &st);
        if (at != faults[i].at || st != faults[i].status)
            fail_msg("%s ends in stage %d with status %d: %s", faults[i].cls, at, st, weft_error());
        for (int k = 0; k < 3 && faults[i].words[k]; k++)
            if (!strstr(weft_error(), faults[i].words[k]))
                fail_msg("%s: no \"%s\" in: %s", faults[i].cls, faults[i].words[k], weft_error());
    }
}

static void test_a_weak_gradient_takes_the_dtype_of_its_value(void **unused)
{
    float data[3] = { 0 }, w[3];
    weft_array x = { { WEFT_F32, 2, { 1, 3 } }, data }, v = { { WEFT_F32, 1, { 3 } }, w };
    const weft_array *arrays[] = { &x };
    weft_data batch = { .x = arrays, .n_x = 1, .y = arrays, .n_y = 1 };
    weft_model *m = NULL;
    weft_session *s = NULL;
    (void)unused;
    assert_int_equal(weft_model_create(ctx, "m", &m), WEFT_OK);
    weft_output(m,
                weft_apply(m, "weak_gradient", NULL, weft_input(m, "x", WEFT_F32, WEFT_SHAPE(3))));
    if (weft_model_finish(m) || weft_session_create(m, "cpu", NULL, &s) ||
        weft_session_compile(s, "optimizer=sgd(learning_rate=0.25) loss=mse") ||
        weft_session_train_step(s, &batch, NULL) || weft_model_get_variable(m, 0, &v))
        fail_msg("%s", weft_error());
    assert_near(w[0], 0.75, 0); /* the gradient is 1, whatever comes in */
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

/* A model inside that sees another batch than where it was made is no fault of a layer's. */
static void test_a_model_inside_takes_other_batches(void **unused)
{
    const weft_spec five = { WEFT_F32, 2, { 5, 3 } }, open = { WEFT_F32, 2, { WEFT_ANY, 3 } };
    float data[21] = { 0 };
    weft_array x = { { WEFT_F32, 2, { 5, 3 } }, data }, *out = NULL;
    const weft_array *xs[] = { &x };
    weft_model *sub = NULL, *m = NULL;
    weft_session *s = NULL;
    (void)unused;
    for (int fixed = 0; fixed < 2; fixed++) {
        assert_int_equal(weft_model_create(ctx, "sub", &sub), WEFT_OK);
        weft_tensor a = fixed ? weft_input_spec(sub, "a", &five)
                              : weft_input(sub, "a", WEFT_F32, WEFT_SHAPE(3));
        weft_output(sub, weft_apply(sub, "ReLU", NULL, a));
        if (weft_model_finish(sub)) fail_msg("%s", weft_error());
        assert_int_equal(weft_model_create(ctx, "m", &m), WEFT_OK);
        weft_tensor b = weft_input_spec(m, "b", fixed ? &open : &five);
        weft_output(m, weft_model_call(m, sub, NULL, &b, 1, NULL));
        if (weft_model_finish(m) || weft_session_create(m, "cpu", NULL, &s) ||
            weft_session_run(s, xs, 1, &out, 1))
            fail_msg("%s", weft_error());
        weft_array_destroy(&out);
        if (fixed) {
            x.spec.dim[0] = 7;
            assert_int_equal(weft_session_run(s, xs, 1, &out, 1), WEFT_E_SHAPE);
            if (!strstr(weft_error(), "input \"a\" takes")) fail_msg("%s", weft_error());
        }
        weft_session_destroy(&s);
        weft_model_destroy(&m);
        weft_model_destroy(&sub);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults_are_told),
        cmocka_unit_test(test_a_weak_gradient_takes_the_dtype_of_its_value),
        cmocka_unit_test(test_a_model_inside_takes_other_batches),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
