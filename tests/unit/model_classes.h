/* Layer classes for the tests of the model room, small stand-ins for Keras's of the same names; and
 * a format that reads models from a script in C. Included by one test program each. */
#ifndef WEFT_TEST_MODEL_CLASSES_H
#define WEFT_TEST_MODEL_CLASSES_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <weft/weft.h>
#include "base/alloc.h"
#include "model/model.h"
#include "registry/internal.h"

static weft_val t_variable(weft_build *b, const char *name, weft_spec spec, uint32_t flags)
{
    return b->api->variable(b, name, &spec, strcmp(name, "kernel") ? "zeros" : "glorot_uniform",
                            flags);
}

static weft_status t_dense(weft_build *b)
{
    weft_val x = weft_in(b, 0), k, y, xk[2];
    weft_spec s;
    int64_t units = b->api->attr_i(b, "units");
    const char *activation = b->api->attr_s(b, "activation");
    if (b->api->spec(b, x, &s)) return weft_out(b, 0, 0);
    if (s.rank < 2)
        return (b->api->fail)(b, WEFT_E_SHAPE,
                              "the input needs two dimensions or more; put a Reshape in front");
    k = t_variable(b, "kernel", (weft_spec){ s.dtype, 2, { s.dim[s.rank - 1], units } },
                   WEFT_TRAINABLE);
    xk[0] = x;
    xk[1] = k;
    y = b->api->op(b, "matmul", NULL, xk, 2, NULL, 0);
    y = weft_add(b, y, t_variable(b, "bias", (weft_spec){ s.dtype, 1, { units } }, WEFT_TRAINABLE));
    if (activation) y = b->api->layer(b, activation, "activation", NULL, &y, 1, NULL, 0);
    return weft_out(b, 0, y);
}
static const weft_attr t_dense_attrs[] = {
    { "units", WEFT_INT, 0, NULL, "1..", "size of the last axis" },
    { "activation", WEFT_LAYER_CONFIG, WEFT_NULLABLE, "none", NULL, "applied to the result" },
    { 0 }
};

static weft_status t_relu(weft_build *b)
{
    return weft_out(b, 0, weft_op2(b, "max", weft_in(b, 0), weft_scalar(b, 0)));
}
static weft_status t_leaky(weft_build *b)
{
    weft_val x = weft_in(b, 0);
    return weft_out(
        b, 0,
        weft_op2(b, "max", x, weft_mul(b, x, weft_scalar(b, b->api->attr_f(b, "negative_slope")))));
}
static const weft_attr t_leaky_attrs[] = {
    { "negative_slope", WEFT_FLOAT, 0, "0.3", NULL, "below 0" }, { 0 }
};

/* The slope is a variable: a layer with variables inside another one. */
static weft_status t_prelu(weft_build *b)
{
    weft_val x = weft_in(b, 0);
    weft_spec s;
    if (b->api->spec(b, x, &s)) return weft_out(b, 0, 0);
    weft_val alpha =
        t_variable(b, "alpha", (weft_spec){ s.dtype, 1, { s.dim[s.rank - 1] } }, WEFT_TRAINABLE);
    return weft_out(b, 0, weft_op2(b, "max", x, weft_mul(b, x, alpha)));
}

static weft_status t_concatenate(weft_build *b)
{
    weft_val x[8];
    char attrs[32];
    uint32_t n = b->api->n_in(b);
    weft_spec s;
    int64_t axis = b->api->attr_i(b, "axis");
    for (uint32_t i = 0; i < n && i < 8; i++)
        x[i] = weft_in(b, i);
    if (b->api->spec(b, x[0], &s)) return weft_out(b, 0, 0);
    snprintf(attrs, sizeof attrs, "axis=%lld", (long long)(axis < 0 ? axis + s.rank : axis));
    return weft_out(b, 0, b->api->op(b, "concat", attrs, x, n, NULL, 0));
}
static const weft_attr t_axis[] = { { "axis", WEFT_INT, 0, "-1", NULL, "joined along it" }, { 0 } };

static weft_status t_fold(weft_build *b, const char *op)
{
    weft_val y = weft_in(b, 0);
    for (uint32_t i = 1; i < b->api->n_in(b); i++)
        y = weft_op2(b, op, y, weft_in(b, i));
    return weft_out(b, 0, y);
}
static weft_status t_add(weft_build *b)
{
    return t_fold(b, "add");
}
static weft_status t_multiply(weft_build *b)
{
    return t_fold(b, "mul");
}
static weft_status t_same(weft_build *b)
{
    return weft_out(b, 0, weft_in(b, 0));
}

static weft_status t_norm(weft_build *b)
{
    static const char *const name[] = { "gamma", "moving_mean", "beta", "moving_variance" };
    weft_val x = weft_in(b, 0), v;
    weft_spec s;
    if (b->api->spec(b, x, &s)) return weft_out(b, 0, 0);
    for (int i = 0; i < 4; i++) {
        v = t_variable(b, name[i], (weft_spec){ s.dtype, 1, { s.dim[s.rank - 1] } },
                       i % 2 ? WEFT_STATE : WEFT_TRAINABLE);
        x = weft_add(b, x, v);
    }
    if (b->api->training(b) && b->api->attr_i(b, "trainable")) x = weft_tanh(b, x);
    return weft_out(b, 0, x);
}
static const weft_attr t_norm_attrs[] = {
    { "trainable", WEFT_FLAG, 0, "true", NULL, "false: as in inference" }, { 0 }
};

/* Shapes, variables and results of an LSTM; not its values. */
static weft_status t_lstm(weft_build *b)
{
    weft_val x = weft_in(b, 0), k, h, xk[2];
    int64_t u = b->api->attr_i(b, "units");
    char attrs[64];
    weft_spec s;
    if (b->api->spec(b, x, &s)) return weft_out(b, 0, 0);
    k = t_variable(b, "kernel", (weft_spec){ s.dtype, 2, { s.dim[2], 4 * u } }, WEFT_TRAINABLE);
    t_variable(b, "recurrent_kernel", (weft_spec){ s.dtype, 2, { u, 4 * u } }, WEFT_TRAINABLE);
    t_variable(b, "bias", (weft_spec){ s.dtype, 1, { 4 * u } }, WEFT_TRAINABLE);
    xk[0] = b->api->op(b, "reduce", "fn=sum axes=(1)", &x, 1, NULL, 0);
    xk[1] = k;
    h = b->api->op(b, "matmul", NULL, xk, 2, NULL, 0);
    snprintf(attrs, sizeof attrs, "begin=(0,0) size=(-1,%lld)", (long long)u);
    h = b->api->op(b, "slice", attrs, &h, 1, NULL, 0);
    weft_out(b, 0, h);
    if (!b->api->attr_i(b, "return_state")) return WEFT_OK;
    weft_out(b, 1, h);
    return weft_out(b, 2, h);
}
static const weft_attr t_lstm_attrs[] = { { "units", WEFT_INT, 0, NULL, "1..", "size" },
                                          { "return_state", WEFT_FLAG, 0, "false", NULL,
                                            "give the last state too" },
                                          { 0 } };

/* A layer with a layer inside that has variables, called with a default name, a given one, and
 * again. */
static weft_status t_stack(weft_build *b)
{
    weft_val x = weft_in(b, 0);
    x = b->api->layer(b, "Dense", NULL, "units=4", &x, 1, NULL, 0);
    x = b->api->layer(b, "Dense(units=4 activation=LeakyReLU(negative_slope=0.5))", NULL, NULL, &x,
                      1, NULL, 0);
    x = b->api->layer(b, "Dense", "last", "units=4", &x, 1, NULL, 0);
    x = b->api->layer(b, "Dense", "last", "units=4", &x, 1, NULL, 0);
    return weft_out(b, 0, x);
}

static weft_status t_masking(weft_build *b)
{
    weft_val x = weft_in(b, 0), m = weft_op2(b, "ne", x, weft_scalar(b, 0));
    weft_out(b, 0, weft_op1(b, "neg", x));
    return b->api->set_mask(b, 0, m);
}
/* With a mask its result is bool, without one float: visible in its spec. */
static weft_status t_show_mask(weft_build *b)
{
    weft_val m = b->api->mask(b, 0);
    return weft_out(b, 0, m == WEFT_NONE ? weft_in(b, 0) : m);
}
static weft_status t_negate(weft_build *b)
{
    return weft_out(b, 0, weft_op1(b, "neg", weft_in(b, 0)));
}
static weft_status t_refuse(weft_build *b)
{
    return (b->api->fail)(b, WEFT_E_UNSUPPORTED, "it never works; use Dense");
}
static weft_status t_itself(weft_build *b)
{
    weft_val x = weft_in(b, 0);
    return weft_out(b, 0, b->api->layer(b, "Itself", "again", NULL, &x, 1, NULL, 0));
}
static weft_status t_wrong_variable(weft_build *b)
{
    const char *initializer = b->api->attr_s(b, "initializer");
    weft_spec spec = { WEFT_F32, 1, { b->api->attr_i(b, "size") } };
    b->api->variable(b, "w", &spec, initializer, (uint32_t)b->api->attr_i(b, "flags"));
    weft_val v = b->api->variable(b, "w", &spec, initializer, WEFT_TRAINABLE);
    return weft_out(b, 0, weft_add(b, weft_in(b, 0), v));
}
static const weft_attr t_wrong_attrs[] = {
    { "size", WEFT_INT, 0, "1", NULL, "of w" },
    { "initializer", WEFT_LAYER_CONFIG, 0, "zeros", NULL, "of w" },
    { "flags", WEFT_INT, 0, "1", NULL, "of w when it is asked for first" },
    { 0 },
};
static weft_status t_no_result(weft_build *b)
{
    (void)b;
    return WEFT_OK;
}

#define T_LAYER(id, label, in, out, schema, fn, bits)                                     \
    static const weft_layer_class id##_class = { .struct_size = sizeof(weft_layer_class), \
                                                 .flags = bits,                           \
                                                 .name = label,                           \
                                                 .version = 1,                            \
                                                 .min_version = 1,                        \
                                                 .inputs = in,                            \
                                                 .outputs = out,                          \
                                                 .attrs = schema,                         \
                                                 .build = fn,                             \
                                                 .doc = "of a test" };
T_LAYER(t_dense, "Dense", "x", "y", t_dense_attrs, t_dense, 0)
T_LAYER(t_relu, "relu", "x", "y", NULL, t_relu, 0)
T_LAYER(t_leaky, "LeakyReLU", "x", "y", t_leaky_attrs, t_leaky, 0)
T_LAYER(t_prelu, "PReLU", "x", "y", NULL, t_prelu, 0)
T_LAYER(t_concatenate, "Concatenate", "x...", "y", t_axis, t_concatenate, 0)
T_LAYER(t_add, "Add", "a, b...", "y", NULL, t_add, 0)
T_LAYER(t_multiply, "Multiply", "a, b...", "y", NULL, t_multiply, 0)
T_LAYER(t_dropout, "Dropout", "x", "y", NULL, t_same, 0)
T_LAYER(t_norm, "BatchNormalization", "x", "y", t_norm_attrs, t_norm, 0)
T_LAYER(t_lstm, "LSTM", "x", "y, h?, c?", t_lstm_attrs, t_lstm, 0)
T_LAYER(t_stack, "Stack", "x", "y", NULL, t_stack, 0)
T_LAYER(t_masking, "Masking", "x", "y", NULL, t_masking, 0)
T_LAYER(t_show_mask, "ShowMask", "x", "y", NULL, t_show_mask, 0)
T_LAYER(t_pass, "Pass", "x", "y", NULL, t_negate, WEFT_LAYER_PASS_MASK)
T_LAYER(t_stop, "Stop", "x", "y", NULL, t_negate, 0)
T_LAYER(t_refuse, "Refuse", "x", "y", NULL, t_refuse, 0)
T_LAYER(t_itself, "Itself", "x", "y", NULL, t_itself, 0)
T_LAYER(t_wrong, "Wrong", "x", "y", t_wrong_attrs, t_wrong_variable, 0)
T_LAYER(t_no_result, "NoResult", "x", "y", NULL, t_no_result, 0)
static const weft_layer_class *const t_layers[] = {
    &t_dense_class,       &t_relu_class,  &t_leaky_class,     &t_prelu_class,
    &t_concatenate_class, &t_add_class,   &t_multiply_class,  &t_dropout_class,
    &t_norm_class,        &t_lstm_class,  &t_stack_class,     &t_masking_class,
    &t_show_mask_class,   &t_pass_class,  &t_stop_class,      &t_refuse_class,
    &t_itself_class,      &t_wrong_class, &t_no_result_class, NULL
};

static inline weft_context *t_open(const weft_format *const *formats)
{
    static weft_plugin plugin = { WEFT_PLUGIN_HEAD, "test_layers", .version = "1",
                                  .layers = t_layers };
    weft_context *ctx = NULL;
    plugin.formats = formats;
    assert_int_equal(weft_context_create(NULL, &ctx), WEFT_OK);
    assert_int_equal(weft__register_plugin(ctx, &plugin), WEFT_OK);
    return ctx;
}

static inline weft_model *t_model(weft_context *ctx, const char *name)
{
    weft_model *m = NULL;
    assert_int_equal(weft_model_create(ctx, name, &m), WEFT_OK);
    return m;
}

static inline void t_says(const char *part)
{
    if (!strstr(weft_error(), part)) fail_msg("\"%s\" is not in \"%s\"", part, weft_error());
}

/* The model fails with that status and text. */
static inline void t_fails(weft_model **m, weft_status status, const char *part)
{
    int st = weft_model_finish(*m);
    if (st != status) fail_msg("status %d instead of %d: \"%s\"", st, (int)status, weft_error());
    t_says(part);
    weft_model_destroy(m);
}

static inline void t_finish(weft_model *m)
{
    if (weft_model_finish(m)) fail_msg("%s", weft_error());
}
#endif
