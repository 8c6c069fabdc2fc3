/* Building models by C calls: names, calls, shared layers, models in models, and the words of every
 * mistake. */
#include "model_classes.h"

static weft_context *ctx;
static weft_model *m;
static const weft_tensor failed = { 0, 0 };

static int setup(void **state)
{
    (void)state;
    ctx = t_open(NULL);
    m = t_model(ctx, "net");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    weft_model_destroy(&m);
    weft_context_destroy(&ctx);
    return 0;
}

static weft_tensor input(const char *name, int64_t n)
{
    return weft_input(m, name, WEFT_F32, WEFT_SHAPE(n));
}

static void shape_is(weft_tensor t, int rank, int64_t last)
{
    weft_spec s;
    assert_int_equal(weft_tensor_spec(m, t, &s), WEFT_OK);
    assert_int_equal(s.rank, rank);
    assert_int_equal(s.dim[0], WEFT_BATCH);
    assert_int_equal(s.dim[rank - 1], last);
}

static void two_branches(void **state)
{
    (void)state;
    weft_tensor a = input("a", 8), b = weft_input(m, "b", WEFT_F32, WEFT_SHAPE(4, 3));
    weft_tensor x = weft_apply(m, "Dense", "units=5 activation=relu", a);
    weft_tensor y = weft_apply(m, "LSTM", "units=7", b);
    weft_tensor z = weft_apply(m, "Concatenate", NULL, x, y);
    shape_is(z, 2, 12);
    z = weft_apply(m, "Dense", "name=score units=1", z);
    assert_int_equal(weft_output(m, z), WEFT_OK);
    t_finish(m);
    const char *name;
    weft_spec spec;
    assert_int_equal(weft_model_n_inputs(m), 2);
    assert_int_equal(weft_model_n_outputs(m), 1);
    assert_int_equal(weft_model_input(m, 1, &name, &spec), WEFT_OK);
    assert_string_equal(name, "b");
    assert_int_equal(spec.dim[2], 3);
    assert_int_equal(weft_model_output(m, 0, &name, &spec), WEFT_OK);
    assert_string_equal(name, "score");
    assert_int_equal(weft_model_output(m, 1, &name, NULL), WEFT_E_ARG);
    assert_string_equal(weft_model_name(m), "net");
    /* the order of Keras's layers: the one further from the output first */
    static const char *const path[] = { "dense/kernel", "dense/bias",
                                        "lstm/kernel",  "lstm/recurrent_kernel",
                                        "lstm/bias",    "score/kernel",
                                        "score/bias" };
    assert_int_equal(weft_model_n_variables(m), 7);
    for (uint32_t i = 0; i < 7; i++) {
        assert_int_equal(weft_model_variable(m, i, &name, &spec, NULL), WEFT_OK);
        assert_string_equal(name, path[i]);
    }
}

static void default_names(void **state)
{
    (void)state;
    weft_tensor x = input(NULL, 4);
    x = weft_apply(m, "Dense", "name=dense_1 units=4", x);
    x = weft_apply(m, "Dense", "units=4", x);
    x = weft_apply(m, "Dense", "units=4", x); /* dense_1 is taken */
    x = weft_apply(m, "BatchNormalization", NULL, x);
    x = weft_apply(m, "PReLU", NULL, x);
    weft_output(m, x);
    weft_output(m, x);
    t_finish(m);
    const char *name;
    static const char *const path[] = { "dense_1/kernel", "dense/kernel", "dense_2/kernel",
                                        "batch_normalization/gamma" };
    for (uint32_t i = 0; i < 4; i++) {
        weft_model_variable(m, 2 * i, &name, NULL, NULL);
        assert_string_equal(name, path[i]);
    }
    weft_model_variable(m, 10, &name, NULL, NULL);
    assert_string_equal(name, "p_re_lu/alpha");
    weft_model_input(m, 0, &name, NULL);
    assert_string_equal(name, "input_layer");
    weft_model_output(m, 0, &name, NULL);
    assert_string_equal(name, "p_re_lu");
    weft_model_output(m, 1, &name, NULL);
    assert_string_equal(name, "p_re_lu_1");
}

static void trainable_first(void **state)
{
    (void)state;
    static const char *const path[] = { "batch_normalization/gamma", "batch_normalization/beta",
                                        "batch_normalization/moving_mean",
                                        "batch_normalization/moving_variance" };
    weft_output(m, weft_apply(m, "BatchNormalization", NULL, input("x", 4)));
    t_finish(m);
    for (uint32_t i = 0; i < 4; i++) {
        const char *name;
        uint32_t flags;
        weft_model_variable(m, i, &name, NULL, &flags);
        assert_string_equal(name, path[i]);
        assert_int_equal(flags, i < 2 ? WEFT_TRAINABLE : WEFT_STATE);
    }
}

static void same_names(void **state)
{
    (void)state;
    weft_tensor x = input("x", 4);
    x = weft_apply(m, "Dense", "name=x units=4", x);
    assert_int_equal(x.id, 0);
    x = weft_apply(m, "Dense", "units=0", x); /* the first failure stays */
    assert_int_not_equal(weft_output(m, x), WEFT_OK);
    t_fails(&m, WEFT_E_ARG, "layer \"x\" (Dense): model \"net\" has two parts named \"x\"");
}

static void arity(void **state)
{
    (void)state;
    weft_tensor x = input("x", 4);
    weft_apply(m, "Dense", "units=4", x, x);
    t_fails(&m, WEFT_E_ARG,
            "layer \"dense\" (Dense): Layer \"dense\" expects 1 input(s), but it received 2");
    m = t_model(ctx, "net");
    x = input("x", 4);
    weft_apply(m, "Add", NULL, x);
    t_fails(&m, WEFT_E_ARG, "expects at least 2 inputs, but it received 1");
}

/* Published answers join (64, 64, 32) and (64, 32, 32) along axis 1; only axis 2 can be. */
static void wrong_axis(void **state)
{
    (void)state;
    weft_tensor a = weft_input(m, "wide", WEFT_F32, WEFT_SHAPE(64, 64, 32));
    weft_tensor b = weft_input(m, "narrow", WEFT_F32, WEFT_SHAPE(64, 32, 32));
    weft_tensor ok = weft_apply(m, "Concatenate", "axis=2", a, b);
    weft_spec s;
    assert_int_equal(weft_tensor_spec(m, ok, &s), WEFT_OK);
    assert_int_equal(s.dim[2], 96);
    weft_apply(m, "Concatenate", "axis=1", a, b);
    weft_output(m, ok);
    assert_int_equal(weft_model_finish(m), WEFT_E_SHAPE);
    t_says("layer \"concatenate_1\" (Concatenate)");
    t_says("its inputs are \"wide\" (input) (None, 64, 64, 32) float32, \"narrow\" (input) (None, "
           "64, 32, 32) float32");
}

/* A value of batch 1 is not joined to a batch. */
static void wrong_batch(void **state)
{
    (void)state;
    float eight[8] = { 0 };
    weft_array one = { .spec = { WEFT_F32, 2, { 1, 8 } }, .data = eight };
    weft_tensor c = weft_constant(m, "one", &one), x = input("x", 32);
    weft_apply(m, "Concatenate", NULL, c, x);
    assert_int_equal(weft_model_finish(m), WEFT_E_SHAPE);
    t_says("\"one\" (constant) (1, 8) float32, \"x\" (input) (None, 32) float32");
}

static void attributes(void **state)
{
    (void)state;
    weft_apply(m, "Dense", "unit=4", input("x", 4));
    t_fails(&m, WEFT_E_ATTR, "units");
    m = t_model(ctx, "net");
    weft_apply(m, "Dens", "units=4", input("x", 4));
    t_fails(&m, WEFT_E_NOTFOUND, "Dens");
    m = t_model(ctx, "net");
    weft_apply(m, "Dense", "units=4 activation=rellu", input("x", 4));
    t_fails(&m, WEFT_E_NOTFOUND, "layer \"dense\" (Dense): ");
    m = t_model(ctx, "net");
    weft_apply(m, "Dense", "units=4 name=3", input("x", 4));
    t_fails(&m, WEFT_E_ATTR, "name");
    m = t_model(ctx, "net");
    weft_apply(m, "Dense", "units=4 trainable=3", input("x", 4));
    t_fails(&m, WEFT_E_ATTR, "trainable");
    m = t_model(ctx, "net");
}

static void of_other_models(void **state)
{
    (void)state;
    weft_model *other = t_model(ctx, "other");
    weft_tensor theirs = weft_input(other, "x", WEFT_F32, WEFT_SHAPE(4));
    weft_layer layer = weft_layer_create(other, "Dense", "units=4");
    weft_apply(m, "Dense", "units=4", theirs);
    t_fails(&m, WEFT_E_ARG,
            "input 0 of layer \"dense\" belongs to model \"other\", not to \"net\"");
    m = t_model(ctx, "net");
    weft_tensor mine = input("x", 4);
    weft_layer_call(m, layer, &mine, 1);
    t_fails(&m, WEFT_E_ARG, "the layer belongs to model \"other\", not to \"net\"");
    m = t_model(ctx, "net");
    weft_output(m, theirs);
    t_fails(&m, WEFT_E_ARG, "the output belongs to model \"other\"");
    m = t_model(ctx, "net");
    weft_apply(m, "Dense", "units=4", failed);
    t_fails(&m, WEFT_E_ARG, "input 0 of layer \"dense\" is no tensor");
    m = t_model(ctx, "net");
    weft_model_destroy(&other);
}

static void unfinished(void **state)
{
    (void)state;
    t_fails(&m, WEFT_E_ARG, "model \"net\" has no outputs");
    m = t_model(ctx, "net");
    assert_int_equal(weft_model_finish(NULL), WEFT_E_ARG);
    weft_tensor x = input("x", 4);
    weft_output(m, weft_apply(m, "Dense", "units=4", x));
    t_finish(m);
    t_finish(m);
    assert_int_equal(weft_apply(m, "Dense", "units=4", x).id, 0);
    t_says("model \"net\" is finished");
    assert_int_equal(weft_model_create(ctx, "", &m), WEFT_E_ARG);
    assert_null(m);
    m = t_model(ctx, "net");
    weft_input(m, "x", WEFT_F32, (weft_shape){ 8, { 0 } });
    t_fails(&m, WEFT_E_SHAPE, "rank 8");
    m = t_model(ctx, "net");
    weft_input(m, "x", WEFT_F32, WEFT_SHAPE(-3));
    t_fails(&m, WEFT_E_SHAPE, "input \"x\": dimension 1 is -3");
    m = t_model(ctx, "net");
    weft_input(m, "x", 77, WEFT_SHAPE(3));
    t_fails(&m, WEFT_E_DTYPE, "77");
    m = t_model(ctx, "net");
}

static void shared_layer(void **state)
{
    (void)state;
    weft_tensor a = input("a", 4), b = input("b", 4), c = input("c", 6);
    weft_layer dense = weft_layer_create(m, "Dense", "units=3 name=twin");
    weft_tensor x = weft_layer_call(m, dense, &a, 1), y = weft_layer_call(m, dense, &b, 1);
    assert_int_equal(weft_layer_result(m, dense, 1, 0).id, y.id);
    weft_output(m, weft_apply(m, "Add", NULL, x, y));
    weft_model *copy = NULL;
    t_finish(m);
    assert_int_equal(weft_model_n_variables(m), 2);
    assert_int_equal(weft_model_derive(m, "copy", &copy), WEFT_OK);
    assert_int_equal(weft_layer_call(copy, dense, &c, 1).id, 0);
    t_fails(
        &copy, WEFT_E_SHAPE,
        "layer \"twin\" (Dense): variable \"kernel\" of layer \"twin\" has shape (4, 3) float32, "
        "but this call needs (6, 3) float32");
    t_says("its input is \"c\" (input) (None, 6) float32");
    assert_int_equal(weft_layer_result(m, dense, 2, 0).id, 0);
    t_says("layer \"twin\" has 2 calls");
}

static void layers_in_layers(void **state)
{
    (void)state;
    static const char *const path[] = { "stack/dense/kernel",   "stack/dense/bias",
                                        "stack/dense_1/kernel", "stack/dense_1/bias",
                                        "stack/last/kernel",    "stack/last/bias" };
    weft_tensor x = weft_apply(m, "Stack", NULL, input("x", 4));
    x = weft_apply(m, "Dense", "units=2 activation=PReLU", x);
    weft_output(m, x);
    t_finish(m);
    const char *name;
    assert_int_equal(weft_model_n_variables(m), 9);
    for (uint32_t i = 0; i < 6; i++) {
        weft_model_variable(m, i, &name, NULL, NULL);
        assert_string_equal(name, path[i]);
    }
    weft_model_variable(m, 8, &name, NULL, NULL);
    assert_string_equal(name, "dense/activation/alpha");
}

static void faults_of_plugins(void **state)
{
    (void)state;
    weft_apply(m, "Refuse", NULL, input("x", 4));
    t_fails(&m, WEFT_E_UNSUPPORTED, "layer \"refuse\" (Refuse): it never works; use Dense");
    m = t_model(ctx, "net");
    weft_apply(m, "Itself", NULL, input("x", 4));
    t_fails(&m, WEFT_E_UNSUPPORTED, "deeper than 64");
    m = t_model(ctx, "net");
    weft_apply(m, "NoResult", NULL, input("x", 4));
    t_fails(&m, WEFT_E_INTERNAL, "fault of the plugin");
    m = t_model(ctx, "net");
    weft_apply(m, "Wrong", "size=1000000000000000000", input("x", 4));
    t_fails(&m, WEFT_E_SHAPE, "more than 64 GiB");
    m = t_model(ctx, "net");
    weft_apply(m, "Wrong", "size=-1", input("x", 4));
    t_fails(&m, WEFT_E_SHAPE, "variable \"w\" of shape (None,): every dimension must be a number");
    m = t_model(ctx, "net");
    weft_apply(m, "Wrong", "initializer=chaos", input("x", 4));
    t_fails(&m, WEFT_E_NOTFOUND, "unknown initializer \"chaos\"; there are zeros, ones");
    m = t_model(ctx, "net");
    weft_apply(m, "Wrong", "flags=65281", input("x", 4));
    t_fails(&m, WEFT_E_ARG,
            "variable \"w\" has flags 0xff01: WEFT_TRAINABLE alone, or WEFT_STATE and "
            "WEFT_TRANSIENT, are known");
    m = t_model(ctx, "net");
    weft_apply(m, "Wrong", "flags=3", input("x", 4));
    t_fails(&m, WEFT_E_ARG, "variable \"w\" has flags 0x3: WEFT_TRAINABLE alone");
    m = t_model(ctx, "net");
    weft_apply(m, "Wrong", "flags=6", input("x", 4));
    t_fails(
        &m, WEFT_E_ARG,
        "variable \"w\" of layer \"wrong\" has flags 0x6, but this call says 0x1: it must say the "
        "same each time");
    m = t_model(ctx, "net");
}

static weft_model *encoder(const char *name)
{
    weft_model *e = t_model(ctx, name);
    weft_tensor x = weft_input(e, "pixels", WEFT_F32, WEFT_SHAPE(16));
    x = weft_apply(e, "Dense", "units=8 activation=relu", x);
    x = weft_apply(e, "Dense", "units=3 name=code", x);
    weft_output(e, x);
    t_finish(e);
    return e;
}

static void models_as_layers(void **state)
{
    (void)state;
    weft_model *e = encoder("encoder");
    weft_layer layer, again;
    weft_tensor l = input("left", 16), r = input("right", 16);
    weft_tensor x = weft_model_call(m, e, NULL, &l, 1, &layer),
                y = weft_model_call(m, e, NULL, &r, 1, &again);
    weft_model_destroy(&e); /* m keeps it */
    assert_int_equal(layer.id, again.id);
    assert_int_equal(weft_layer_result(m, layer, 1, 0).id, y.id);
    shape_is(x, 2, 3);
    weft_output(m, weft_apply(m, "Add", NULL, x, y));
    t_finish(m);
    const char *name;
    assert_int_equal(weft_model_n_variables(m), 4);
    weft_model_variable(m, 3, &name, NULL, NULL);
    assert_string_equal(name, "encoder/code/bias");
}

static void wrong_models(void **state)
{
    (void)state;
    weft_model *e = encoder("encoder"), *raw = t_model(ctx, "raw");
    weft_context *other = t_open(NULL);
    weft_tensor x = input("x", 15), y = input("y", 16), two[2];
    weft_model_call(m, e, NULL, &x, 1, NULL);
    t_fails(&m, WEFT_E_SHAPE,
            "layer \"encoder\" (Functional): input \"pixels\" of model \"encoder\" takes (None, "
            "16) float32");
    t_says("its input is \"x\" (input) (None, 15) float32");
    m = t_model(ctx, "net");
    x = input("x", 16);
    two[0] = two[1] = x;
    weft_model_call(m, e, NULL, two, 2, NULL);
    t_fails(&m, WEFT_E_ARG, "Layer \"encoder\" expects 1 input(s), but it received 2");
    m = t_model(ctx, "net");
    x = input("x", 16);
    weft_model_call(m, raw, NULL, &x, 1, NULL);
    t_fails(&m, WEFT_E_ARG, "model \"raw\" is not finished");
    m = t_model(other, "far");
    x = input("x", 16);
    weft_model_call(m, e, NULL, &x, 1, NULL);
    t_fails(&m, WEFT_E_ARG, "different contexts");
    weft_context_destroy(&other);
    m = t_model(ctx, "net");
    weft_model_call(m, NULL, NULL, &y, 1, NULL);
    t_fails(&m, WEFT_E_ARG, "no model to call");
    m = t_model(ctx, "net");
    weft_model_destroy(&e);
    weft_model_destroy(&raw);
}

/* Two loaded models of one name are joined: the second layer gets another name. */
static void models_of_one_name(void **state)
{
    (void)state;
    weft_model *a = encoder("model"), *b = encoder("model");
    weft_tensor x = input("x", 16);
    weft_tensor p = weft_model_call(m, a, NULL, &x, 1, NULL),
                q = weft_model_call(m, b, NULL, &x, 1, NULL);
    weft_output(m, p);
    weft_output(m, q);
    t_finish(m);
    const char *name;
    weft_model_output(m, 1, &name, NULL);
    assert_string_equal(name, "model_1");
    assert_int_equal(weft_model_n_variables(m), 8);
    weft_model_destroy(&a);
    weft_model_destroy(&b);
}

static weft_model *caller(weft_model **inner, int times)
{
    weft_model *outer = t_model(ctx, "level");
    weft_tensor x = weft_input(outer, "pixels", WEFT_F32, WEFT_SHAPE(4)), y = x;
    for (int i = 0; i < times; i++)
        y = weft_model_call(outer, *inner, NULL, &x, 1, NULL);
    weft_output(outer, y);
    weft_model_destroy(inner);
    return outer;
}

/* Models in models that would be too much to walk are refused while they are built. */
static void deep_and_wide(void **state)
{
    (void)state;
    weft_tensor x = input("x", 4);
    weft_output(m, weft_apply(m, "Dropout", NULL, x));
    t_finish(m);
    for (int i = 0; i < 2; i++) {
        m = caller(&m, 320);
        if (i == 0) t_finish(m);
    }
    t_fails(&m, WEFT_E_UNSUPPORTED, "more than 100000 layer calls");
    m = t_model(ctx, "deep");
    x = input("x", 4);
    weft_output(m, weft_apply(m, "Dropout", NULL, x));
    int depth = 1;
    for (; weft_model_finish(m) == WEFT_OK && depth < 100; depth++)
        m = caller(&m, 1);
    assert_int_equal(depth, 65);
    t_says("deeper than 64");
}

static void features_of_a_model(void **state)
{
    (void)state;
    weft_model *e = encoder("encoder"), *features = NULL;
    assert_int_equal(weft_model_derive(e, "features", &features), WEFT_OK);
    weft_tensor t = weft_model_layer_output(e, -2);
    assert_int_equal(weft_model_layer_output(e, 0).id, 1);
    assert_int_equal(weft_model_layer_output(e, 3).id, 0);
    t_says("model \"encoder\" has 3 layers");
    assert_int_equal(weft_output(features, t), WEFT_OK);
    t_finish(features);
    weft_model_destroy(&e);
    assert_int_equal(weft_model_n_variables(features), 2); /* "code" is not needed */
    weft_tensor x = input("x", 16);
    shape_is(weft_model_call(m, features, NULL, &x, 1, NULL), 2, 8);
    weft_model_destroy(&features);
}

static void added_to_a_model(void **state)
{
    (void)state;
    weft_model *e = encoder("encoder"), *more = NULL;
    assert_int_equal(weft_model_derive(e, NULL, &more), WEFT_OK);
    weft_tensor t = weft_apply(more, "Dense", "units=1", weft_model_layer_output(e, -1));
    weft_output(more, t);
    t_finish(more);
    float v[8], w[8];
    const char *name;
    weft_array va = { .spec = { WEFT_F32, 1, { 8 } }, .data = v },
               wa = { .spec = { WEFT_F32, 1, { 8 } }, .data = w };
    weft_model_variable(more, 4, &name, NULL, NULL);
    assert_string_equal(name, "dense_1/kernel");
    for (int i = 0; i < 8; i++)
        v[i] = (float)i;
    uint64_t before = weft__model_generation(e);
    assert_int_equal(weft_model_set_variable(more, 1, &va), WEFT_OK);
    assert_int_equal(weft_model_get_variable(e, 1, &wa), WEFT_OK);
    assert_memory_equal(v, w, sizeof v); /* shared */
    assert_true(weft__model_generation(e) > before);
    weft_model_destroy(&e);
    weft_model_destroy(&more);
}

static void freezing(void **state)
{
    (void)state;
    weft_model *e = encoder("encoder");
    uint32_t flags;
    weft_tensor x = input("x", 16);
    x = weft_model_call(m, e, NULL, &x, 1, NULL);
    x = weft_apply(m, "Dense", "units=2 trainable=false", x);
    weft_output(m, weft_apply(m, "BatchNormalization", NULL, x));
    t_finish(m);
    weft_model_variable(m, 4, NULL, NULL, &flags);
    assert_int_equal(flags, 0);
    weft_model_variable(m, 0, NULL, NULL, &flags);
    assert_int_equal(flags, WEFT_TRAINABLE);
    assert_int_equal(weft_model_set_trainable(m, "encoder/code", 0), WEFT_OK);
    weft_model_variable(m, 2, NULL, NULL, &flags);
    assert_int_equal(flags, 0);
    weft_model_variable(m, 1, NULL, NULL, &flags);
    assert_int_equal(flags, WEFT_TRAINABLE);
    assert_int_equal(weft_model_set_trainable(m, "encoder", 0), WEFT_OK);
    weft_model_variable(m, 1, NULL, NULL, &flags);
    assert_int_equal(flags, 0);
    assert_int_equal(weft_model_set_trainable(m, NULL, 1), WEFT_OK);
    for (uint32_t i = 0; i < 8; i++) {
        weft_model_variable(m, i, NULL, NULL, &flags);
        assert_int_equal(flags, WEFT_TRAINABLE);
    }
    weft_model_variable(m, 8, NULL, NULL, &flags);
    assert_int_equal(flags, WEFT_STATE);
    assert_int_equal(weft_model_set_trainable(m, "encoder/cod", 0), WEFT_E_NOTFOUND);
    t_says("cod");
    weft_model_destroy(&e);
}

static weft_dtype dtype_of(weft_tensor t)
{
    weft_spec s = { 0 };
    weft_tensor_spec(m, t, &s);
    return s.dtype;
}

static void masks(void **state)
{
    (void)state;
    weft_tensor x = weft_apply(m, "Masking", NULL, input("x", 4));
    assert_int_equal(dtype_of(weft_apply(m, "ShowMask", NULL, x)), WEFT_BOOL);
    assert_int_equal(dtype_of(weft_apply(m, "ShowMask", NULL, weft_apply(m, "Pass", NULL, x))),
                     WEFT_BOOL);
    assert_int_equal(dtype_of(weft_apply(m, "ShowMask", NULL, weft_apply(m, "Stop", NULL, x))),
                     WEFT_F32);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(two_branches),
        T(default_names),
        T(trainable_first),
        T(same_names),
        T(arity),
        T(wrong_axis),
        T(wrong_batch),
        T(attributes),
        T(of_other_models),
        T(unfinished),
        T(shared_layer),
        T(layers_in_layers),
        T(faults_of_plugins),
        T(models_as_layers),
        T(wrong_models),
        T(models_of_one_name),
        T(deep_and_wide),
        T(features_of_a_model),
        T(added_to_a_model),
        T(freezing),
        T(masks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
