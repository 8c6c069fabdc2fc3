/* BatchNormalization in training, against the same in plain C and double: moving statistics over
 * steps, gamma and beta, by rank and axis; what is frozen; what other sessions and inference
 * see. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "train_harness.h"

enum { MOST = 512, CHANNELS = 8 };
static const double momentum = 0.8, epsilon = 0.01, rate = 0.1;

typedef struct by_hand {
    double gamma[CHANNELS], beta[CHANNELS], mean[CHANNELS], variance[CHANNELS];
    int channels, inner, n; /* x is [outer, channels, inner], n elements */
} by_hand;

static int channel(const by_hand *h, int i)
{
    return i / h->inner % h->channels;
}

static void moments(const by_hand *h, const float *x, double *mean, double *variance)
{
    double count = h->n / h->channels;
    for (int c = 0; c < h->channels; c++)
        mean[c] = variance[c] = 0;
    for (int i = 0; i < h->n; i++)
        mean[channel(h, i)] += (double)x[i] / count;
    for (int i = 0; i < h->n; i++) {
        double off = (double)x[i] - mean[channel(h, i)];
        variance[channel(h, i)] += off * off / count;
    }
}

/* A step of SGD on mean (y - t)^2; returns the loss before it. */
static double hand_step(by_hand *h, const float *x, const float *t)
{
    double mean[CHANNELS], variance[CHANNELS], g[CHANNELS] = { 0 }, b[CHANNELS] = { 0 }, loss = 0;
    moments(h, x, mean, variance);
    for (int i = 0; i < h->n; i++) {
        int c = channel(h, i);
        double unit = ((double)x[i] - mean[c]) / sqrt(variance[c] + epsilon);
        double e = unit * h->gamma[c] + h->beta[c] - (double)t[i];
        loss += e * e / h->n;
        g[c] += 2 * e * unit / h->n;
        b[c] += 2 * e / h->n;
    }
    for (int c = 0; c < h->channels; c++) {
        h->gamma[c] -= rate * g[c];
        h->beta[c] -= rate * b[c];
        h->mean[c] = momentum * h->mean[c] + (1 - momentum) * mean[c];
        h->variance[c] = momentum * h->variance[c] + (1 - momentum) * variance[c];
    }
    return loss;
}

static void expect_values(const weft_model *m, const char *name, const double *want, int n)
{
    float have[CHANNELS];
    train_read(m, name, have);
    for (int i = 0; i < n; i++)
        assert_near(have[i], want[i], 4e-6 * (1 + fabs(want[i])));
}

static void expect_variables(const weft_model *m, const by_hand *h)
{
    expect_values(m, "bn/gamma", h->gamma, h->channels);
    expect_values(m, "bn/beta", h->beta, h->channels);
    expect_values(m, "bn/moving_mean", h->mean, h->channels);
    expect_values(m, "bn/moving_variance", h->variance, h->channels);
}

/* The moving statistics are what a prediction uses. */
static void expect_prediction(weft_session *s, const by_hand *h, const weft_array *x)
{
    weft_array *y = train_predict(s, x);
    for (int i = 0; i < h->n; i++) {
        int c = channel(h, i);
        double want = ((double)((float *)x->data)[i] - h->mean[c]) /
                          sqrt(h->variance[c] + epsilon) * h->gamma[c] +
                      h->beta[c];
        assert_near(((float *)y->data)[i], want, 1e-5 * (1 + fabs(want)));
    }
    weft_array_destroy(&y);
}

static weft_model *make(weft_spec spec, int axis)
{
    char text[96];
    weft_model *m = train_model("norm", 1);
    spec.dim[0] = WEFT_BATCH;
    snprintf(text, sizeof text, "name=bn axis=%d momentum=%g epsilon=%g", axis, momentum, epsilon);
    weft_output(m, weft_apply(m, "BatchNormalization", text, weft_input_spec(m, "x", &spec)));
    return train_finished(m);
}

static by_hand start(const weft_spec *spec, int axis)
{
    by_hand h = { .channels = (int)spec->dim[axis], .inner = 1, .n = 1 };
    for (int32_t i = 0; i < spec->rank; i++)
        h.n *= (int)spec->dim[i];
    for (int32_t i = axis + 1; i < spec->rank; i++)
        h.inner *= (int)spec->dim[i];
    for (int c = 0; c < CHANNELS; c++)
        h.gamma[c] = h.variance[c] = 1;
    return h;
}

/* Numbers with a mean far from 0, other ones in each step. */
static void fill(float *x, float *t, int n, int step)
{
    for (int i = 0; i < n; i++) {
        x[i] = (float)((i * 37 + step * 11) % 23) / 5 + (float)(i % 3);
        t[i] = (float)((i * 13 + step) % 7) / 3 - 1;
    }
}

static void against_hand(const char *device, weft_spec spec, int axis)
{
    static float x[MOST], t[MOST];
    by_hand h = start(&spec, axis);
    weft_model *m = make(spec, axis);
    weft_session *s = train_compiled(m, device, "optimizer=SGD(learning_rate=0.1) loss=mse"),
                 *other = NULL;
    weft_array ax = train_array(x, spec), at = train_array(t, spec);
    assert_true(h.n <= MOST && h.channels <= CHANNELS);
    assert_int_equal(weft_session_create(m, device, NULL, &other), WEFT_OK);
    for (int i = 0; i < 4; i++) {
        weft_logs logs;
        fill(x, t, h.n, i);
        double loss = hand_step(&h, x, t);
        train_step(s, &ax, &at, &logs);
        assert_near(logs.value[0], loss, 1e-5 * (1 + loss));
        expect_variables(m, &h);
        if (i % 2) continue;
        expect_prediction(s, &h, &ax);
        expect_prediction(other, &h, &ax);
    }
    weft_session_destroy(&s);
    expect_variables(m, &h);
    expect_prediction(other, &h, &ax);
    weft_session_destroy(&other);
    weft_model_destroy(&m);
}

static void test_against_plain_c(void **state)
{
    (void)state;
    for (int d = 0; train_device[d]; d++) {
        against_hand(train_device[d], F32(12, 5), 1);
        against_hand(train_device[d], F32(6, 4, 5), 2);
        against_hand(train_device[d], F32(6, 4, 5), 1);
        against_hand(train_device[d], F32(4, 3, 5, 6), 3);
        against_hand(train_device[d], F32(4, 6, 5, 3), 1);
        /* one sample: a mean over the pixels, and over a single number */
        against_hand(train_device[d], F32(1, 3, 5, 6), 3);
        against_hand(train_device[d], F32(1, 5), 1);
    }
}

/* A layer that is frozen after compile is trained as it was: its weights, and how it computes. */
static void test_frozen_too_late(void **state)
{
    static float x[MOST], t[MOST];
    const weft_spec spec = F32(12, 5);
    by_hand h = start(&spec, 1);
    weft_model *m = make(spec, 1);
    weft_session *s = train_compiled(m, "cpu", "optimizer=SGD(learning_rate=0.1) loss=mse");
    weft_array ax = train_array(x, spec), at = train_array(t, spec);
    (void)state;
    assert_int_equal(weft_model_set_trainable(m, "bn", 0), WEFT_OK);
    fill(x, t, h.n, 0);
    hand_step(&h, x, t);
    train_step(s, &ax, &at, NULL);
    expect_variables(m, &h);
    assert_int_equal(weft_session_compile(s, "optimizer=sgd loss=mse"), WEFT_E_ARG);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

/* x -> BatchNormalization, frozen -> Dense(1): a step is that of inference. */
static void test_frozen(void **state)
{
    enum { ROWS = 8, F = 4 };
    static float x[ROWS * F], t[ROWS * F];
    const double mean[F] = { 1, 2, 0.5, 3 }, variance[F] = { 2, 0.5, 1, 3 };
    const double one[F] = { 1, 1, 1, 1 }, zero[F] = { 0 };
    (void)state;
    fill(x, t, ROWS * F, 0);
    for (int d = 0; train_device[d]; d++) {
        weft_model *m = train_model("frozen", 1);
        weft_tensor in = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(F));
        weft_array ax = train_array(x, F32(ROWS, F)), at = train_array(t, F32(ROWS, 1));
        weft_logs logs;
        float values[F];
        double want = 0;
        in = weft_apply(m, "BatchNormalization", "name=bn epsilon=0.01", in);
        weft_output(m, weft_apply(m, "Dense", "units=1 name=d", in));
        train_finished(m);
        for (int i = 0; i < F; i++)
            values[i] = (float)mean[i];
        train_write(m, "bn/moving_mean", values);
        for (int i = 0; i < F; i++)
            values[i] = (float)variance[i];
        train_write(m, "bn/moving_variance", values);
        assert_int_equal(weft_model_set_trainable(m, "bn", 0), WEFT_OK);
        weft_session *s =
            train_compiled(m, train_device[d], "optimizer=SGD(learning_rate=0.01) loss=mse");
        train_read(m, "d/kernel", values);
        for (int i = 0; i < ROWS; i++) {
            double y = -(double)t[i];
            for (int k = 0; k < F; k++)
                y +=
                    ((double)x[F * i + k] - mean[k]) / sqrt(variance[k] + 0.01) * (double)values[k];
            want += y * y / ROWS;
        }
        train_step(s, &ax, &at, &logs);
        assert_near(logs.value[0], want, 1e-5 * want);
        for (int i = 0; i < 3; i++)
            train_step(s, &ax, &at, &logs);
        assert_true(logs.value[0] < want); /* the Dense layer learns */
        expect_values(m, "bn/gamma", one, F);
        expect_values(m, "bn/beta", zero, F);
        expect_values(m, "bn/moving_mean", mean, F);
        expect_values(m, "bn/moving_variance", variance, F);
        weft_session_destroy(&s);
        weft_model_destroy(&m);
    }
}

/* Evaluation between the steps neither uses the batch's statistics nor changes the moving ones. */
static void test_evaluation(void **state)
{
    static float x[60], t[60];
    weft_spec spec = F32(12, 5);
    by_hand h = start(&spec, 1);
    (void)state;
    weft_model *m = make(spec, 1);
    weft_session *s = train_compiled(m, "cpu", "optimizer=SGD(learning_rate=0.1) loss=mse");
    weft_array ax = train_array(x, spec), at = train_array(t, spec);
    const weft_array *xs[] = { &ax }, *ts[] = { &at };
    for (int i = 0; i < 3; i++) {
        weft_logs logs;
        double loss = 0;
        fill(x, t, h.n, i);
        for (int k = 0; k < h.n; k++) {
            int c = channel(&h, k);
            double e = ((double)x[k] - h.mean[c]) / sqrt(h.variance[c] + epsilon) * h.gamma[c] +
                       h.beta[c] - (double)t[k];
            loss += e * e / h.n;
        }
        if (weft_session_evaluate(s, &(weft_data){ xs, ts, 1, 1 }, 5, &logs))
            fail_msg("%s", weft_error());
        assert_near(logs.value[0], loss, 1e-5 * (1 + loss));
        expect_variables(m, &h);
        hand_step(&h, x, t);
        train_step(s, &ax, &at, NULL);
    }
    expect_variables(m, &h);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_plain_c),
        cmocka_unit_test(test_frozen_too_late),
        cmocka_unit_test(test_frozen),
        cmocka_unit_test(test_evaluation),
    };
    return cmocka_run_group_tests(tests, train_setup, train_teardown);
}
