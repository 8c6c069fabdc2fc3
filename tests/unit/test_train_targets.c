/* What the targets of a step are checked for before it: data, class numbers, shapes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "train_harness.h"

enum { N = 2, F = 3, CLASSES = 4 };
static float x[N * F] = { 1, 2, 3, 4, 5, 6 };

static weft_model *classifier(void)
{
    weft_model *m = train_model("classifier", 1);
    weft_output(m, weft_apply(m, "Dense", "units=4 activation=softmax name=o",
                              weft_input(m, "x", WEFT_F32, WEFT_SHAPE(F))));
    return train_finished(m);
}

static weft_status try_step(weft_session *s, weft_array *y, weft_logs *logs)
{
    weft_array ax = train_array(x, F32(N, F));
    const weft_array *xs[] = { &ax }, *ys[] = { y };
    return weft_session_train_step(s, &(weft_data){ xs, ys, 1, 1 }, logs);
}

static void refuse(weft_session *s, weft_array *y, weft_status st, const char *words)
{
    assert_int_equal(try_step(s, y, NULL), st);
    if (!strstr(weft_error(), words)) fail_msg("%s", weft_error());
}

/* ---- pointers ---- */

static void test_no_data(void **state)
{
    weft_model *m = classifier();
    weft_array one_hot = train_array(NULL, F32(N, CLASSES)), numbers = train_array(NULL, F32(N));
    (void)state;
    weft_session *s = train_compiled(m, "cpu", "optimizer=sgd loss=mse");
    refuse(s, &one_hot, WEFT_E_ARG, "targets of output \"o\": the array has no data");
    weft_session_destroy(&s);
    s = train_compiled(m, "cpu", "optimizer=sgd loss=sparse_categorical_crossentropy");
    refuse(s, &numbers, WEFT_E_ARG, "targets of output \"o\": the array has no data");
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

static void test_nowhere_for_the_rate(void **state)
{
    weft_model *m = classifier();
    weft_session *s = train_compiled(m, "cpu", "optimizer=sgd loss=mse");
    (void)state;
    assert_int_equal(weft_session_learning_rate(s, NULL), WEFT_E_ARG);
    if (!strstr(weft_error(), "weft_session_learning_rate")) fail_msg("%s", weft_error());
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

/* ---- class numbers ---- */

static void test_classes(void **state)
{
    static const float bad[] = { NAN, INFINITY, -INFINITY, -1, -0.5f, 1.7f, 4, 1e30f };
    static const char *const words[] = { "class nan",  "class inf", "class -inf", "class -1",
                                         "class -0.5", "class 1.7", "class 4",    "class 1e+30" };
    weft_model *m = classifier();
    weft_session *s =
        train_compiled(m, "cpu", "optimizer=sgd loss=sparse_categorical_crossentropy");
    float numbers[N] = { 3, -0.f };
    weft_array y = train_array(numbers, F32(N));
    (void)state;
    if (try_step(s, &y, NULL)) fail_msg("%s", weft_error());
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[64];
        numbers[1] = bad[i];
        snprintf(text, sizeof text, "%s of sample 1", words[i]);
        refuse(s, &y, WEFT_E_ARG, text);
    }
    double wide = NAN, *pair = (double[]){ 0, wide };
    refuse(s, &(weft_array){ { WEFT_F64, 1, { N } }, pair }, WEFT_E_ARG, "class nan of sample 1");
    int64_t whole[N] = { INT64_MIN, 0 };
    refuse(s, &(weft_array){ { WEFT_I64, 1, { N } }, whole }, WEFT_E_ARG, "of sample 0");
    whole[0] = 3;
    if (try_step(s, &(weft_array){ { WEFT_I64, 1, { N } }, whole }, NULL))
        fail_msg("%s", weft_error());
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

/* ---- unknown dimensions ---- */

static void test_unknown_dimension(void **state)
{
    static const char *const losses[] = { "mse", "sparse_categorical_crossentropy" };
    enum { TIME = 3 };
    float values[N * TIME * F] = { 0 };
    (void)state;
    for (int i = 0; i < 2; i++) {
        weft_model *m = train_model("any", 1);
        char attrs[80];
        weft_array ax = train_array(values, F32(N, TIME, F)),
                   ay = train_array(values, F32(N, TIME));
        const weft_array *xs[] = { &ax }, *ys[] = { &ay };
        weft_data data = { xs, ys, 1, 1 };
        if (!i) ay = train_array(values, F32(N, TIME, 2));
        weft_output(m, weft_apply(m, "Dense", "units=2 name=o",
                                  weft_input(m, "x", WEFT_F32, WEFT_SHAPE(WEFT_ANY, F))));
        snprintf(attrs, sizeof attrs, "optimizer=sgd loss=%s", losses[i]);
        weft_session *s = train_compiled(train_finished(m), "cpu", attrs);
        if (weft_session_train_step(s, &data, NULL)) fail_msg("%s", weft_error());
        ay.spec.dim[1] = 1; /* what numpy would broadcast */
        assert_int_equal(weft_session_train_step(s, &data, NULL), WEFT_E_SHAPE);
        if (!strstr(weft_error(), i ? "targets have the shape (None, 1), the output needs (None, 3)"
                                    : "targets have the shape (None, 1, 2), the output needs "
                                      "(None, 3, 2)"))
            fail_msg("%s", weft_error());
        ay.spec.dim[1] = -1;
        assert_int_equal(weft_session_train_step(s, &data, NULL), WEFT_E_SHAPE);
        if (!strstr(weft_error(), i ? "takes shape" : "targets of output \"o\": mse takes"))
            fail_msg("%s", weft_error());
        weft_session_destroy(&s);
        weft_model_destroy(&m);
    }
}

/* What is wrong with the targets is said in their own terms. */
static void test_texts(void **state)
{
    static const struct {
        const char *loss, *text;
        weft_spec spec;
    } cases[] = {
        { "sparse_categorical_crossentropy",
          "targets of output \"o\" are 3 samples, but the inputs have 2",
          { WEFT_F32, 1, { 3 } } },
        { "mse",
          "targets of output \"o\" are 3 samples, but the inputs have 2",
          { WEFT_F32, 2, { 3, 4 } } },
        { "sparse_categorical_crossentropy",
          "sparse_categorical_crossentropy takes shape (None,), but the array has shape (2, 4); "
          "one-hot targets want categorical_crossentropy",
          { WEFT_F32, 2, { 2, 4 } } },
        { "categorical_crossentropy",
          "categorical_crossentropy takes shape (None, 4), but the array has shape (2,); class "
          "numbers want sparse_categorical_crossentropy",
          { WEFT_F32, 1, { 2 } } },
        { "CategoricalCrossentropy(from_logits=true)",
          "class numbers want sparse",
          { WEFT_F32, 2, { 2, 1 } } },
        { "mse",
          "mse takes shape (None, 4), but the array has shape (2, 5)",
          { WEFT_F32, 2, { 2, 5 } } },
    };
    float values[16] = { 0 };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weft_model *m = train_model("texts", 1);
        char attrs[96];
        weft_output(m, weft_apply(m, "Dense", "units=4 name=o",
                                  weft_input(m, "x", WEFT_F32, WEFT_SHAPE(2))));
        snprintf(attrs, sizeof attrs, "optimizer=sgd loss=%s", cases[i].loss);
        weft_session *s = train_compiled(train_finished(m), "cpu", attrs);
        weft_array ax = train_array(values, F32(2, 2)), ay = train_array(values, cases[i].spec);
        const weft_array *xs[] = { &ax }, *ys[] = { &ay };
        weft_data data = { xs, ys, 1, 1 };
        assert_int_equal(weft_session_fit(s, &data, NULL, NULL), WEFT_E_SHAPE);
        if (!strstr(weft_error(), cases[i].text)) fail_msg("%zu: %s", i, weft_error());
        weft_session_destroy(&s);
        weft_model_destroy(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_data), cmocka_unit_test(test_nowhere_for_the_rate),
        cmocka_unit_test(test_classes), cmocka_unit_test(test_unknown_dimension),
        cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, train_setup, train_teardown);
}
