/* What compiling a session refuses or names by the outputs of the model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "train_harness.h"

/* Dense layers of `units`, one output each. */
static weft_model *outputs(const char *const *name, const int *units, int n)
{
    weft_model *m = train_model("outputs", 1);
    weft_tensor x = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(2));
    for (int i = 0; i < n; i++) {
        char attrs[160];
        snprintf(attrs, sizeof attrs, "units=%d name=%s", units[i], name[i]);
        weft_output(m, weft_apply(m, "Dense", attrs, x));
    }
    return train_finished(m);
}

static void refuse(weft_model *m, const char *attrs, const char *words)
{
    weft_session *s = NULL;
    assert_int_equal(weft_session_create(m, "cpu", NULL, &s), WEFT_OK);
    if (!weft_session_compile(s, attrs)) fail_msg("compiled: %s", attrs);
    if (!strstr(weft_error(), words)) fail_msg("%s: %s", attrs, weft_error());
    weft_session_destroy(&s);
}

static void test_no_loss_for_an_output(void **state)
{
    weft_model *m = outputs((const char *const[]){ "a", "b" }, (int[]){ 1, 1 }, 2);
    (void)state;
    refuse(m, "optimizer=sgd loss=(mse,none)",
           "output \"b\": an output without a loss is not supported yet");
    weft_model_destroy(&m);
}

/* Keras asks for a last dimension of 1 first, and judges class numbers by p > 0.5 then. */
static void test_accuracy_of_one_class(void **state)
{
    weft_model *m = outputs((const char *const[]){ "a" }, (int[]){ 1 }, 1);
    (void)state;
    refuse(m, "loss=sparse_categorical_crossentropy metrics=accuracy", "has one class");
    weft_model_destroy(&m);
}

static void test_classes_along_the_batch(void **state)
{
    static const char *const attrs[] = { "loss=mse metrics=accuracy",
                                         "loss=mse metrics=categorical_accuracy",
                                         "loss=categorical_crossentropy" };
    weft_model *m = train_model("flat", 1);
    weft_tensor x = weft_input_spec(m, "x", &(weft_spec){ WEFT_F32, 1, { WEFT_BATCH } });
    (void)state;
    weft_output(m, weft_apply(m, "Activation", "activation=sigmoid", x));
    train_finished(m);
    for (size_t i = 0; i < sizeof attrs / sizeof *attrs; i++)
        refuse(m, attrs[i], "needs an output with classes along its last axis behind the batch");
    weft_model_destroy(&m);
}

/* Long names stay apart and keep what they are of, also with "val_" in front. */
static void test_long_names(void **state)
{
    char name[3][100];
    float values[2] = { 0 };
    weft_array a = train_array(values, F32(1, 2)), b = train_array(values, F32(1, 1));
    const weft_array *xs[] = { &a }, *ys[] = { &b, &b, &b };
    weft_data data = { xs, ys, 1, 3 };
    weft_logs logs;
    (void)state;
    for (int i = 0; i < 3; i++) {
        memset(name[i], 'a', sizeof name[i]);
        name[i][i ? 70 : 54] = (char)('0' + i);
        name[i][i ? 71 : 54] = 0; /* 54 and "_loss" are 59 */
    }
    weft_model *m =
        outputs((const char *const[]){ name[0], name[1], name[2] }, (int[]){ 1, 1, 1 }, 3);
    weft_session *s = train_compiled(m, "cpu", "optimizer=sgd loss=mse metrics=mae");
    weft_fit_options options = { .validation = &data };
    if (weft_session_fit(s, &data, &options, &logs)) fail_msg("%s", weft_error());
    assert_int_equal(logs.n, 14);
    for (uint32_t i = 0; i < logs.n; i++)
        for (uint32_t k = 0; k < i; k++)
            assert_string_not_equal(logs.name[i], logs.name[k]);
    snprintf(name[0] + 54, 10, "_loss");
    assert_string_equal(logs.name[1], name[0]);
    assert_string_equal(logs.name[2] + strlen(logs.name[2]) - 8, "..1_loss");
    assert_string_equal(logs.name[13] + strlen(logs.name[13]) - 7, "..2_mae");
    assert_int_equal(strlen(logs.name[13]), 63);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

/* For all outputs, or a list for each. */
static void test_metrics_of_outputs(void **state)
{
    static const struct {
        const char *metrics, *names[6];
    } cases[] = {
        { "mae", { "loss", "a_loss", "b_loss", "a_mae", "b_mae" } },
        { "((mae,mse),())", { "loss", "a_loss", "b_loss", "a_mae", "a_mse" } },
        { "((),(mse))", { "loss", "a_loss", "b_loss", "b_mse" } },
    };
    weft_model *m = outputs((const char *const[]){ "a", "b" }, (int[]){ 1, 1 }, 2);
    float values[2] = { 0 };
    weft_array a = train_array(values, F32(1, 2)), b = train_array(values, F32(1, 1));
    const weft_array *xs[] = { &a }, *ys[] = { &b, &b };
    weft_data data = { xs, ys, 1, 2 };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char attrs[80];
        weft_logs logs;
        snprintf(attrs, sizeof attrs, "loss=mse metrics=%s", cases[i].metrics);
        weft_session *s = train_compiled(m, "cpu", attrs);
        if (weft_session_evaluate(s, &data, 0, &logs)) fail_msg("%s", weft_error());
        for (uint32_t k = 0; k < logs.n || cases[i].names[k]; k++)
            if (k >= logs.n || !cases[i].names[k] || strcmp(logs.name[k], cases[i].names[k]) != 0)
                fail_msg("%s: log %u", attrs, (unsigned)k);
        weft_session_destroy(&s);
    }
    refuse(m, "loss=mse metrics=((mae),mse)",
           "metrics has 1 lists and 1 other items, the model 2 outputs");
    refuse(m, "loss=mse metrics=((mae),(),(mse))", "metrics has 3 lists and 0 other");
    weft_model_destroy(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_loss_for_an_output),
        cmocka_unit_test(test_accuracy_of_one_class),
        cmocka_unit_test(test_classes_along_the_batch),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_metrics_of_outputs),
    };
    return cmocka_run_group_tests(tests, train_setup, train_teardown);
}
