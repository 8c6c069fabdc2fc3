/* What a file of Keras cannot hold: refused with a text that names the layer and the reason. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>
#include <cmocka.h>
#include "fixture.h"

static weft_context *ctx;

typedef struct unsavable {
    const char *name, *layer, *attrs; /* the model's name; its layer on input x */
    const char *words;                /* of the error */
} unsavable;

static const unsavable layers[] = {
    { "a/b", "Dense", "units=2", "unsavable.keras|no \"/\" in a name|\"a/b\"" },
    { "model", "Dense", "units=2 name=\"in/side\"", "in/side|another name" },
    { "model", "Dense", "units=2 activation=gelu(approximate=true)",
      "layer \"dense\"|gelu|arguments|relu, leaky_relu, elu and softmax" },
    { "model", "gelu", "approximate=true", "layer \"gelu\"|gelu has arguments" },
    { "model", "Rescaling", "scale=inf", "layer \"rescaling\"|inf" },
    { "model", "Rescaling", "scale=2.0 offset=nan", "layer \"rescaling\"|nan" },
    { "model", "Rescaling", "scale=-inf", "layer \"rescaling\"|inf" },
};

static void expect_refusal(const weft_model *model, const char *words)
{
    weft_status st = weft_model_save(model, "unsavable.keras");

    if (st == WEFT_OK) fail_msg("saved, but should have been refused: %s", words);
    if (!holds_words(weft_error(), words)) fail_msg("\"%s\" lacks some of %s", weft_error(), words);
    assert_int_not_equal(access("unsavable.keras", F_OK), 0);
}

static void test_layers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        weft_model *model = NULL;
        weft_tensor x;

        assert_int_equal(weft_model_create(ctx, layers[i].name, &model), WEFT_OK);
        x = weft_input(model, "x", WEFT_F32, WEFT_SHAPE(4));
        weft_output(model, weft_apply(model, layers[i].layer, layers[i].attrs, x));
        if (weft_model_finish(model)) fail_msg("%s", weft_error());
        expect_refusal(model, layers[i].words);
        weft_model_destroy(&model);
    }
}

static weft_tensor constant(weft_model *model, float value)
{
    weft_array *array = NULL;
    weft_spec spec = { WEFT_F32, 2, { 1, 4 } };
    weft_tensor c;

    assert_int_equal(weft_array_create(&spec, &array), WEFT_OK);
    for (int i = 0; i < 4; i++)
        ((float *)array->data)[i] = value;
    c = weft_constant(model, "c", array);
    weft_array_destroy(&array);
    return c;
}

/* A model whose second output is y. */
static void refuse_output(weft_model **model, weft_tensor x, weft_tensor y, const char *words)
{
    weft_output(*model, x);
    weft_output(*model, y);
    if (weft_model_finish(*model)) fail_msg("%s", weft_error());
    expect_refusal(*model, words);
    weft_model_destroy(model);
}

static void test_constants(void **state)
{
    weft_model *m = NULL;
    weft_tensor x;

    (void)state;
    assert_int_equal(weft_model_create(ctx, "constants", &m), WEFT_OK);
    x = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(4));
    refuse_output(&m, x, weft_apply(m, "Add", NULL, x, constant(m, NAN)),
                  "layer \"add\"|\"c\", a constant|nan");
    assert_int_equal(weft_model_create(ctx, "constants", &m), WEFT_OK);
    x = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(4));
    refuse_output(&m, x, weft_apply(m, "Dense", "units=2", constant(m, 1)),
                  "layer \"dense\"|constants alone");
    assert_int_equal(weft_model_create(ctx, "constants", &m), WEFT_OK);
    x = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(4));
    refuse_output(&m, x, constant(m, 1), "output of \"constants\" is a constant");
}

static void test_arguments(void **state)
{
    weft_model *m = NULL;
    weft_tensor x;

    (void)state;
    assert_int_equal(weft_model_create(ctx, "m", &m), WEFT_OK);
    x = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(4));
    assert_int_equal(weft_model_save(m, "unsavable.keras"), WEFT_E_ARG);
    assert_true(holds_words(weft_error(), "not finished|weft_model_finish"));
    weft_output(m, weft_apply(m, "Dense", "units=2", x));
    assert_int_equal(weft_model_finish(m), WEFT_OK);
    assert_int_equal(weft_model_save(NULL, "unsavable.keras"), WEFT_E_ARG);
    assert_int_equal(weft_model_save(m, NULL), WEFT_E_ARG);
    assert_int_equal(weft_model_save(m, "model.onnx"), WEFT_E_UNSUPPORTED);
    assert_true(holds_words(weft_error(), "model.onnx|extension|keras (.keras)"));
    weft_model_destroy(&m);
}

static int setup(void **state)
{
    (void)state;
    return weft_context_create(NULL, &ctx);
}
static int teardown(void **state)
{
    (void)state;
    weft_context_destroy(&ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_layers),
                                        cmocka_unit_test(test_constants),
                                        cmocka_unit_test(test_arguments) };

    return cmocka_run_group_tests(tests, setup, teardown);
}
