/* The output's mask in losses and metrics, against Keras 3.15 (on TensorFlow, floatx float64):
 * Masking -> Dense or LSTM, evaluate; a step of SGD(0.1); evaluate again with batches of one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "mask_layers.h"
#include "train_harness.h"

enum { N = 2, T = 3, F = 2, MOST = 3 };
/* At most 24 values of at most 4 are added up, with an op or two for each of them: 2^-24 of the sum
 * for each rounding. The kernel moves by 0.1 of such a sum. */
static const double near = 24 * 4 * 2 * 6e-8;

static const float samples[N][T][F] = { { { 1, 2 }, { 0, 0 }, { 3, -1 } },
                                        { { 2, 1 }, { 1, 1 }, { 0, 0 } } };
static const float targets[N][T][MOST] = {
    { { 1, 0, 0.5f }, { 0.2f, 0.3f, 0.4f }, { 0, 1, 0 } },
    { { 0.5f, 0.5f, 0 }, { 1, 1, 1 }, { 0.7f, 0.1f, 0.2f } }
};
static const float rounded[N][T][MOST] = { { { 1, 0, 0 }, { 0, 0, 0 }, { 0, 1, 0 } },
                                           { { 0, 0, 0 }, { 1, 1, 1 }, { 1, 0, 0 } } };
static const float one_hot[N][T][MOST] = { { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } },
                                           { { 0, 1, 0 }, { 0, 0, 1 }, { 1, 0, 0 } } };
static const float numbers[N][T][MOST] = { { { 0 }, { 1 }, { 2 } }, { { 1 }, { 2 }, { 0 } } };

static int setup(void **state)
{
    return train_setup(state) || mask_layers_register(train_ctx);
}

/* ---- against Keras ---- */

typedef struct expected {
    const char *layer, *compile; /* the layer between the samples and the loss */
    const float (*y)[T][MOST];
    int width;                  /* of its result */
    int sparse, dead;           /* dead: so many samples are 0, and thus masked */
    double before[2], after[2]; /* loss, metric */
    double kernel[8];
} expected;
static const expected cases[] = {
    { "Dense",
      "loss=mse metrics=mae",
      targets,
      3,
      0,
      0,
      { 1.34, 0.95 },
      { 0.8915591435, 0.8066666667 },
      { 0.41, -0.1316666667, 0.1541666667, 0.125, 0.3816666667, -0.5208333333 } },
    { "Dense",
      "loss=mse metrics=mae",
      targets,
      3,
      0,
      1,
      { 0.6208333333, 0.7 },
      { 0.2147039352, 0.6052777778 },
      { 0.4633333333, -0.2033333333, 0.225, 0.08666666667, 0.4666666667, -0.57 } },
    { "Dense",
      "loss=mse metrics=mae",
      targets,
      3,
      0,
      2,
      { 0, 0 },
      { 0, 0 },
      { 0.5, -0.3, 0.2, 0.1, 0.4, -0.6 } },
    { "softmax",
      "loss=sparse_categorical_crossentropy metrics=accuracy",
      numbers,
      3,
      1,
      0,
      { 1.186362587, 0.5 },
      { 1.105705399, 0.5 },
      { 0.430495589, -0.2723637602, 0.2418681712, 0.10562179, 0.4000224272, -0.6056442172 } },
    { "softmax",
      "loss=categorical_crossentropy metrics=accuracy",
      one_hot,
      3,
      0,
      0,
      { 1.186362587, 0.5 },
      { 1.105705399, 0.5 },
      { 0.430495589, -0.2723637602, 0.2418681712, 0.10562179, 0.4000224272, -0.6056442172 } },
    { "sigmoid",
      "loss=binary_crossentropy metrics=accuracy",
      rounded,
      1,
      0,
      0,
      { 0.984745615, 0.5 },
      { 0.9055476442, 0.5 },
      { 0.4163016188, 0.125022824 } },
    { "sigmoid",
      "loss=binary_crossentropy metrics=binary_accuracy",
      rounded,
      3,
      0,
      0,
      { 0.950342616, 1. / 3 },
      { 0.9283308068, 1. / 3 },
      { 0.4721005396, -0.2866613715, 0.1718325581, 0.1083409413, 0.3846433945, -0.5990499816 } },
    { "LSTM",
      "loss=mse metrics=mae",
      targets,
      1,
      0,
      0,
      { 1.118450822, 0.9356303319 },
      { 0.9302764931, 0.8581822584 },
      { 0.4793522623, -0.2987291822, 0.283290945, 0.3809544921, 0.07973624441, 0.3970767892,
        -0.5318728109, 0.2792830646 } },
};

static weft_model *lstm(void)
{
    weft_model *m = train_model("masked", 1);
    weft_tensor x = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(T, F));
    weft_output(m, weft_apply(m, "LSTM", "units=1 return_sequences=true name=d",
                              weft_apply(m, "test.Masking", NULL, x)));
    train_finished(m);
    train_write(m, "d/kernel", (float[]){ 0.5f, -0.3f, 0.2f, 0.4f, 0.1f, 0.4f, -0.6f, 0.3f });
    train_write(m, "d/recurrent_kernel", (float[]){ 0.2f, -0.1f, 0.3f, 0.5f });
    train_write(m, "d/bias", (float[]){ 0.1f, 1, -0.2f, 0.3f });
    return m;
}

static weft_model *dense(const char *activation, int units)
{
    static const float kernel[F][MOST] = { { 0.5f, -0.3f, 0.2f }, { 0.1f, 0.4f, -0.6f } };
    float own[F * MOST];
    char attrs[64];
    weft_model *m = train_model("masked", 1);
    weft_tensor x = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(T, F));
    snprintf(attrs, sizeof attrs, "units=%d activation=%s name=d", units, activation);
    weft_output(m, weft_apply(m, "test.MaskedBy", NULL, weft_apply(m, "Dense", attrs, x), x));
    train_finished(m);
    for (int f = 0; f < F; f++)
        memcpy(own + f * units, kernel[f], (size_t)units * sizeof *own);
    train_write(m, "d/kernel", own);
    train_write(m, "d/bias", (float[]){ 0.1f, -0.2f, 0.35f });
    return m;
}

static weft_model *model_of(const expected *e)
{
    if (!strcmp(e->layer, "LSTM")) return lstm();
    return dense(strcmp(e->layer, "Dense") ? e->layer : "linear", e->width);
}

static void expect_logs(weft_session *s, const weft_data *data, uint64_t batch, const double *want)
{
    weft_logs logs;
    if (weft_session_evaluate(s, data, batch, &logs)) fail_msg("%s", weft_error());
    assert_int_equal(logs.n, 2);
    for (int i = 0; i < 2; i++)
        assert_near(logs.value[i], want[i], near);
}

static void against_keras(const char *device, const expected *e)
{
    float x[N][T][F], y[N * T * MOST], kernel[8];
    char attrs[128];
    weft_array ax = train_array(&x[0][0][0], F32(N, T, F));
    weft_array ay = train_array(y, e->sparse ? F32(N, T) : F32(N, T, e->width));
    const weft_array *xs[] = { &ax }, *ys[] = { &ay };
    weft_data data = { xs, ys, 1, 1 };
    memcpy(x, samples, sizeof x);
    memset(x, 0, (size_t)e->dead * sizeof x[0]);
    for (int i = 0; i < N * T; i++)
        for (int k = 0; k < e->width; k++)
            if (!e->sparse || !k) y[e->sparse ? i : i * e->width + k] = e->y[i / T][i % T][k];
    snprintf(attrs, sizeof attrs, "optimizer=SGD(learning_rate=0.1) %s", e->compile);
    weft_model *m = model_of(e);
    weft_session *s = train_compiled(m, device, attrs);
    expect_logs(s, &data, 0, e->before);
    train_step(s, &ax, &ay, NULL);
    train_read(m, "d/kernel", kernel);
    for (int i = 0; i < (strcmp(e->layer, "LSTM") ? F * e->width : 8); i++)
        assert_near(kernel[i], e->kernel[i], near);
    expect_logs(s, &data, 1, e->after);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

static void test_against_keras(void **state)
{
    (void)state;
    for (int d = 0; train_device[d]; d++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            against_keras(train_device[d], &cases[i]);
}

/* ---- masks that no loss can be weighted by ---- */

static void test_other_shape(void **state)
{
    float x[N * T * F] = { 1 };
    weft_array ax = train_array(x, F32(N, T, F));
    const weft_array *xs[] = { &ax };
    weft_logs logs;
    weft_model *m = train_model("other", 1);
    (void)state;
    weft_output(m, weft_apply(m, "test.MaskingAll", "name=o",
                              weft_input(m, "x", WEFT_F32, WEFT_SHAPE(T, F))));
    weft_session *s = train_compiled(train_finished(m), "cpu", "loss=mse");
    assert_int_equal(weft_session_evaluate(s, &(weft_data){ xs, xs, 1, 1 }, 0, &logs),
                     WEFT_E_UNSUPPORTED);
    if (!strstr(weft_error(), "the mask of the output is (None, 3, 2), but its loss has values of "
                              "(None, 3)"))
        fail_msg("%s", weft_error());
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_keras),
        cmocka_unit_test(test_other_shape),
    };
    return cmocka_run_group_tests(tests, setup, train_teardown);
}
