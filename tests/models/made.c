/* See made.h. */
#include "made.h"
#include <stddef.h>

static weft_status build_encoder(weft_context *ctx, weft_model **model)
{
    weft_status st = weft_model_create(ctx, "encoder", model);
    weft_tensor x;

    if (st) return st;
    x = weft_input(*model, "x", WEFT_F32, WEFT_SHAPE(6));
    x = weft_apply(*model, "Dense", "units=5 activation=tanh", x);
    x = weft_apply(*model, "Dense", "units=5 trainable=false", x);
    weft_output(*model, weft_apply(*model, "Dropout", "rate=0.25 seed=7", x));
    return weft_model_finish(*model);
}

/* A nested model called twice, with both results as outputs; a layer that nothing needs. */
static weft_status build_shared(weft_context *ctx, weft_model **model)
{
    weft_model *part = NULL;
    weft_layer encoder;
    weft_tensor a, b, u, v;
    weft_status st = build_encoder(ctx, &part);

    if (st || (st = weft_model_create(ctx, "shared", model))) goto out;
    a = weft_input(*model, "a", WEFT_F32, WEFT_SHAPE(6));
    b = weft_input(*model, "b", WEFT_F32, WEFT_SHAPE(6));
    u = weft_model_call(*model, part, NULL, &a, 1, &encoder);
    v = weft_layer_call(*model, encoder, &b, 1);
    weft_apply(*model, "Dense", "name=unused units=5", b);
    weft_output(*model, u);
    weft_output(*model, v);
    st = weft_model_finish(*model);
out:
    weft_model_destroy(&part);
    return st;
}

/* Several calls of one layer, of which the second leads nowhere. */
static weft_status build_calls(weft_context *ctx, weft_model **model)
{
    weft_layer dense;
    weft_tensor x, first, third;
    weft_status st = weft_model_create(ctx, "calls", model);

    if (st) return st;
    x = weft_input(*model, "x", WEFT_F32, WEFT_SHAPE(4));
    dense = weft_layer_create(*model, "Dense", "units=4 kernel_initializer=he_normal");
    first = weft_layer_call(*model, dense, &x, 1);
    weft_layer_call(*model, dense, &first, 1);
    third = weft_apply(*model, "Activation", "activation=relu", first);
    third = weft_layer_call(*model, dense, &third, 1);
    weft_output(*model, third);
    weft_output(*model, first);
    return weft_model_finish(*model);
}

/* Functions with arguments, functions as layers, a layer as an activation, initializers with
 * arguments. */
static weft_status build_functions(weft_context *ctx, weft_model **model)
{
    weft_tensor x;
    weft_status st = weft_model_create(ctx, "functions", model);

    if (st) return st;
    x = weft_input(*model, "x", WEFT_F32, WEFT_SHAPE(8));
    x = weft_apply(*model, "Dense", "units=7 activation=leaky_relu(negative_slope=0.1)", x);
    x = weft_apply(*model, "Dense",
                   "units=6 activation=PReLU(alpha_initializer=Constant(value=0.3)) "
                   "kernel_initializer=random_normal(stddev=0.3) bias_initializer=Ones "
                   "kernel_regularizer=L2(l2=0.001) kernel_constraint=max_norm",
                   x);
    x = weft_apply(*model, "gelu", NULL, x);
    x = weft_apply(*model, "relu", "max_value=1.5", x);
    x = weft_apply(*model, "Dense", "units=4 activation=relu(max_value=6.0)", x);
    x = weft_apply(*model, "Activation", "activation=elu(alpha=0.5)", x);
    x = weft_apply(*model, "Dense", "units=3 activation=softmax(axis=-1)", x);
    weft_output(*model, x);
    return weft_model_finish(*model);
}

/* One array that two calls read. */
static weft_status build_constants(weft_context *ctx, weft_model **model)
{
    static const float values[] = { 0.1f, -2.5f, 1e-20f };
    weft_array *array = NULL;
    weft_spec spec = { WEFT_F32, 2, { 1, 3 } };
    weft_tensor x, c;
    weft_status st = weft_model_create(ctx, "constants", model);

    if (st || (st = weft_array_create(&spec, &array))) return st;
    for (size_t i = 0; i < 3; i++)
        ((float *)array->data)[i] = values[i];
    x = weft_input(*model, "x", WEFT_F32, WEFT_SHAPE(3));
    c = weft_constant(*model, "offset", array);
    weft_array_destroy(&array);
    x = weft_apply(*model, "Add", NULL, x, c);
    x = weft_apply(*model, "Dense", "units=3", x);
    x = weft_apply(*model, "Subtract", NULL, x, c);
    weft_output(*model, x);
    return weft_model_finish(*model);
}

/* Two layers with names for their results; sorted, they are a dict in Keras, else a list. */
static weft_status build_named(weft_context *ctx, weft_model **model, const char *first,
                               const char *second)
{
    weft_tensor x;
    weft_status st = weft_model_create(ctx, first, model);

    if (st) return st;
    x = weft_input(*model, "x", WEFT_F32, WEFT_SHAPE(4));
    weft_output_named(*model, first, weft_apply(*model, "Dense", "units=2", x));
    weft_output_named(*model, second, weft_apply(*model, "Dense", "units=3", x));
    return weft_model_finish(*model);
}

static weft_status build_sorted(weft_context *ctx, weft_model **model)
{
    return build_named(ctx, model, "age", "class");
}

static weft_status build_unsorted(weft_context *ctx, weft_model **model)
{
    return build_named(ctx, model, "score", "class");
}

/* One layer's result twice, and an input as an output. */
static weft_status build_twice(weft_context *ctx, weft_model **model)
{
    weft_tensor x, y;
    weft_status st = weft_model_create(ctx, "twice", model);

    if (st) return st;
    x = weft_input(*model, "x", WEFT_F32, WEFT_SHAPE(4));
    y = weft_apply(*model, "Dense", "units=2", x);
    weft_output(*model, y);
    weft_output(*model, y);
    weft_output(*model, x);
    return weft_model_finish(*model);
}

/* The features inside another model. */
static weft_status build_derived(weft_context *ctx, weft_model **model)
{
    weft_model *whole = NULL;
    weft_status st = build_calls(ctx, &whole);

    if (!st) st = weft_model_derive(whole, "features", model);
    if (!st) {
        weft_output(*model, weft_model_layer_output(whole, -1));
        st = weft_model_finish(*model);
    }
    weft_model_destroy(&whole);
    return st;
}

/* A class of a third party, as a layer and as an activation. */
static weft_status build_foreign(weft_context *ctx, weft_model **model)
{
    weft_tensor x;
    weft_status st = weft_model_create(ctx, "foreign", model);

    if (st) return st;
    x = weft_input(*model, "x", WEFT_F32, WEFT_SHAPE(4));
    x = weft_apply(*model, "org.example.Swish", "beta=1.5", x);
    x = weft_apply(*model, "Dense", "units=3 activation=org.example.Swish(beta=0.5)", x);
    weft_output(*model, x);
    return weft_model_finish(*model);
}

/* Layers whose attributes Keras spells otherwise, and a batch of fixed size. */
static weft_status build_pictures(weft_context *ctx, weft_model **model)
{
    static const weft_spec spec = { WEFT_F32, 4, { 2, 8, 8, 3 } };
    weft_tensor x;
    weft_status st = weft_model_create(ctx, "pictures", model);

    if (st) return st;
    x = weft_input_spec(*model, "x", &spec);
    x = weft_apply(*model, "ZeroPadding2D", "padding=((1,2),(0,3))", x);
    x = weft_apply(*model, "Conv2D", "filters=4 kernel_size=3 strides=(2,1)", x);
    x = weft_apply(*model, "BatchNormalization", "trainable=false", x);
    x = weft_apply(*model, "Cropping2D", "cropping=(1,2)", x);
    x = weft_apply(*model, "SpatialDropout2D", "rate=0.5", x);
    x = weft_apply(*model, "Rescaling", "scale=(0.5,2.0,1.0,3.0) offset=0.1", x);
    x = weft_apply(*model, "Reshape", "target_shape=(-1)", x);
    weft_output(*model, weft_apply(*model, "Dense", "units=2", x));
    return weft_model_finish(*model);
}

/* A decoder that begins with an encoder's last states, and a layer that keeps its own from batch to
 * batch, in variables that no file holds. */
static weft_status build_series(weft_context *ctx, weft_model **model)
{
    static const weft_spec spec = { WEFT_F32, 3, { 2, 5, 4 } };
    weft_layer encoder;
    weft_tensor x, in[3];
    weft_status st = weft_model_create(ctx, "series", model);

    if (st) return st;
    x = weft_input_spec(*model, "x", &spec);
    encoder = weft_layer_create(*model, "LSTM", "units=3 return_state=true dropout=0.5 seed=3");
    weft_layer_call(*model, encoder, &x, 1);
    in[0] = x;
    in[1] = weft_layer_result(*model, encoder, 0, 1);
    in[2] = weft_layer_result(*model, encoder, 0, 2);
    x = weft_apply_n(*model, "LSTM", "units=3 return_sequences=true", in, 3);
    x = weft_apply(*model, "BatchNormalization", NULL, x);
    weft_output(*model, weft_apply(*model, "LSTM", "units=2 stateful=true", x));
    return weft_model_finish(*model);
}

/* What changes on the way: calls that lead nowhere are left out, functions that stand as layers
 * become Keras's Activation. */
const made_model made_models[] = {
    { "shared", build_shared, 0 },       { "calls", build_calls, 1 },
    { "functions", build_functions, 1 }, { "constants", build_constants, 0 },
    { "sorted", build_sorted, 0 },       { "unsorted", build_unsorted, 0 },
    { "twice", build_twice, 0 },         { "derived", build_derived, 0 },
    { "foreign", build_foreign, 0 },     { "pictures", build_pictures, 0 },
    { "series", build_series, 0 },       { NULL, NULL, 0 },
};
