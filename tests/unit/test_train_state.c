/* LSTM's memory and dropout: the state of a stateful layer carries over batches, in inference and
 * in training, until it is reset; and what dropout and recurrent_dropout draw is the same on every
 * device, with gradients that central differences confirm. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "train_harness.h"

enum { ROWS = 2, STEPS = 3, F = 3, UNITS = 4, WHOLE = 2 * STEPS };
static const char *const names[] = { "l/kernel", "l/recurrent_kernel", "l/bias" };
static float whole[ROWS * WHOLE * F], half[2][ROWS * STEPS * F];

static int setup(void **state)
{
    for (int i = 0; i < ROWS * WHOLE * F; i++) {
        int step = i / F % WHOLE, row = i / F / WHOLE;
        whole[i] = (float)((i * 37) % 19) / 10 - 0.9f;
        half[step / STEPS][(row * STEPS + step % STEPS) * F + i % F] = whole[i];
    }
    return train_setup(state);
}

static weft_model *make(int64_t steps, const char *attrs)
{
    char text[96];
    weft_model *m = train_model("memory", 1);
    weft_tensor x = weft_input_spec(m, "x", &F32(ROWS, steps, F));
    snprintf(text, sizeof text, "units=4 name=l %s", attrs);
    weft_output(m, weft_apply(m, "LSTM", text, x));
    return train_finished(m);
}

/* The output after the first half and after all of it, by a model without a state. */
typedef struct truth {
    float y[2][ROWS * UNITS];
} truth;

static truth find_truth(void)
{
    truth t;
    for (int i = 0; i < 2; i++) {
        weft_model *m = make(STEPS * (i + 1), "");
        weft_session *s = NULL;
        weft_array x = train_array(i ? whole : half[0], F32(ROWS, STEPS * (i + 1), F));
        assert_int_equal(weft_session_create(m, "cpu", NULL, &s), WEFT_OK);
        weft_array *y = train_predict(s, &x);
        memcpy(t.y[i], y->data, sizeof t.y[i]);
        weft_array_destroy(&y);
        weft_session_destroy(&s);
        weft_model_destroy(&m);
    }
    return t;
}

static void expect_output(weft_session *s, int part, const float *want)
{
    weft_array x = train_array(half[part], F32(ROWS, STEPS, F)), *y = train_predict(s, &x);
    for (int i = 0; i < ROWS * UNITS; i++)
        assert_near(((float *)y->data)[i], want[i], 1e-6);
    weft_array_destroy(&y);
}

static double loss_of(const float *y, const float *t)
{
    double loss = 0;
    for (int i = 0; i < ROWS * UNITS; i++)
        loss += pow((double)y[i] - (double)t[i], 2) / (ROWS * UNITS);
    return loss;
}

static void test_predicts_on(void **state)
{
    truth t = find_truth();
    (void)state;
    for (int d = 0; train_device[d]; d++) {
        weft_model *m = make(STEPS, "stateful=true");
        weft_session *s = NULL;
        float h[ROWS * UNITS];
        assert_int_equal(weft_session_create(m, train_device[d], "strict=true", &s), WEFT_OK);
        for (int i = 0; i < 2; i++) {
            expect_output(s, 0, t.y[0]);
            expect_output(s, 1, t.y[1]);
            train_read(m, "l/state_h", h);
            for (int k = 0; k < ROWS * UNITS; k++)
                assert_near(h[k], t.y[1][k], 1e-6);
            assert_int_equal(weft_model_reset_state(m), WEFT_OK);
        }
        train_read(m, "l/state_h", h);
        for (int k = 0; k < ROWS * UNITS; k++)
            assert_true(h[k] == 0);
        /* with the session gone the state stays, until another one goes on */
        expect_output(s, 0, t.y[0]);
        weft_session_destroy(&s);
        assert_int_equal(weft_session_create(m, train_device[d], "strict=true", &s), WEFT_OK);
        expect_output(s, 1, t.y[1]);
        weft_session_destroy(&s);
        weft_model_destroy(&m);
    }
}

/* Without learning (rate 0): steps and predictions go on where the last one ended. */
static void test_trains_on(void **state)
{
    truth t = find_truth();
    static float target[ROWS * UNITS] = { 0.5f, -0.25f };
    (void)state;
    for (int d = 0; train_device[d]; d++) {
        weft_model *m = make(STEPS, "stateful=true");
        weft_session *s =
            train_compiled(m, train_device[d], "optimizer=SGD(learning_rate=0.0) loss=mse");
        weft_array x[] = { train_array(half[0], F32(ROWS, STEPS, F)),
                           train_array(half[1], F32(ROWS, STEPS, F)) };
        weft_array y = train_array(target, F32(ROWS, UNITS));
        weft_logs logs;
        for (int i = 0; i < 2; i++) {
            train_step(s, &x[i], &y, &logs);
            assert_near(logs.value[0], loss_of(t.y[i], target), 1e-6);
        }
        assert_int_equal(weft_model_reset_state(m), WEFT_OK);
        train_step(s, &x[0], &y, &logs);
        assert_near(logs.value[0], loss_of(t.y[0], target), 1e-6);
        expect_output(s, 1, t.y[1]);
        assert_int_equal(weft_model_reset_state(m), WEFT_OK);
        expect_output(s, 0, t.y[0]);
        train_step(s, &x[1], &y, &logs);
        assert_near(logs.value[0], loss_of(t.y[1], target), 1e-6);
        weft_session_destroy(&s);
        weft_model_destroy(&m);
    }
}

/* It learns, too, and the state of a step is that of the weights before it. */
static void test_learns_with_a_state(void **state)
{
    static float target[ROWS * UNITS] = { 0.5f, -0.25f };
    float first[3][128];
    (void)state;
    for (int d = 0; train_device[d]; d++) {
        weft_model *m = make(STEPS, "stateful=true");
        weft_session *s =
            train_compiled(m, train_device[d], "optimizer=SGD(learning_rate=0.5) loss=mse");
        weft_array x[] = { train_array(half[0], F32(ROWS, STEPS, F)),
                           train_array(half[1], F32(ROWS, STEPS, F)) };
        weft_array y = train_array(target, F32(ROWS, UNITS));
        double begin = 0;
        weft_logs logs;
        for (int i = 0; i < 20; i++) {
            train_step(s, &x[i % 2], &y, &logs);
            if (i == 1) begin = logs.value[0];
        }
        assert_true(logs.value[0] < 0.7 * begin);
        for (int k = 0; k < 3; k++) {
            float now[128] = { 0 };
            train_read(m, names[k], now);
            for (int i = 0; d && i < 128; i++)
                assert_near(now[i], first[k][i], 1e-5);
            memcpy(first[k], now, sizeof now);
        }
        weft_session_destroy(&s);
        weft_model_destroy(&m);
    }
}

/* Both halves as four samples: the model fixes batches of two, and fit and evaluate cut so. */
static float pair_y[2 * ROWS * UNITS] = { 0.5f, -0.25f, 0, 0.125f, 0, 0.25f, -0.5f };

static void read_all(const weft_model *m, float weights[3][128])
{
    memset(weights, 0, 3 * sizeof *weights);
    for (int k = 0; k < 3; k++)
        train_read(m, names[k], weights[k]);
}

static void test_fits_in_the_models_batches(void **state)
{
    weft_array x = train_array(half[0], F32(2 * ROWS, STEPS, F)), xs[2],
               y = train_array(pair_y, F32(2 * ROWS, UNITS)), ys[2];
    const weft_array *px = &x, *py = &y;
    const weft_data data = { &px, &py, 1, 1 };
    const weft_fit_options keep = { .epochs = 3, .keep_order = 1 };
    (void)state;
    for (int i = 0; i < 2; i++) {
        xs[i] = train_array(half[i], F32(ROWS, STEPS, F));
        ys[i] = train_array(pair_y + i * ROWS * UNITS, F32(ROWS, UNITS));
    }
    for (int d = 0; train_device[d]; d++) {
        float by_fit[3][128], by_steps[3][128];
        double mean[2] = { 0 };
        for (int way = 0; way < 2; way++) {
            weft_model *m = make(STEPS, "stateful=true");
            weft_session *s =
                train_compiled(m, train_device[d], "optimizer=SGD(learning_rate=0.5) loss=mse");
            weft_logs logs;
            if (way) {
                assert_int_equal(weft_session_fit(s, &data, &keep, &logs), WEFT_OK);
                mean[1] = logs.value[0];
            }
            for (int i = 0; !way && i < 6; i++) {
                train_step(s, &xs[i % 2], &ys[i % 2], &logs);
                if (i > 3) mean[0] += logs.value[0] / 2;
            }
            read_all(m, way ? by_fit : by_steps);
            weft_session_destroy(&s);
            weft_model_destroy(&m);
        }
        assert_memory_equal(by_fit, by_steps, sizeof by_fit);
        assert_near(mean[1], mean[0], 1e-6);
    }
}

static void refuses(weft_status got, weft_status want, const char *part)
{
    assert_int_equal(got, want);
    if (!strstr(weft_error(), part)) fail_msg("\"%s\" is not in: %s", part, weft_error());
}

static void test_other_batches_are_refused(void **state)
{
    weft_model *m = make(STEPS, "stateful=true");
    weft_session *s = train_compiled(m, "cpu", "optimizer=sgd loss=mse");
    weft_array x = train_array(half[0], F32(2 * ROWS, STEPS, F)),
               y = train_array(pair_y, F32(2 * ROWS, UNITS));
    const weft_array *px = &x, *py = &y;
    const weft_data data = { &px, &py, 1, 1 };
    weft_logs logs;
    (void)state;
    refuses(weft_session_fit(s, &data, &(weft_fit_options){ .batch_size = 3 }, NULL), WEFT_E_ARG,
            "fit: a batch size of 3, but the inputs of model \"memory\" fix batches of 2");
    refuses(weft_session_fit(s, &data, &(weft_fit_options){ .validation_split = 0.25 }, NULL),
            WEFT_E_SHAPE, "3 samples are no whole number of batches");
    x.spec.dim[0] = y.spec.dim[0] = 3;
    refuses(weft_session_evaluate(s, &data, 0, &logs), WEFT_E_SHAPE,
            "evaluate: 3 samples are no whole number of batches");
    x.spec.dim[0] = 4;
    refuses(weft_session_evaluate(s, &data, 2, &logs), WEFT_E_SHAPE,
            "target 0 cannot be cut into batches: its first dimension is 3");
    y = train_array(pair_y, F32(4, 2, 2));
    refuses(weft_session_fit(s, &data, NULL, NULL), WEFT_E_SHAPE,
            "samples from 0: targets of output");
    y = train_array(pair_y, F32(2 * ROWS, UNITS));
    x.spec.dim[0] = y.spec.dim[0] = -1;
    refuses(weft_session_fit(s, &data, NULL, NULL), WEFT_E_SHAPE, "invalid shape for input");
    x.spec.dim[0] = y.spec.dim[0] = 0;
    refuses(weft_session_evaluate(s, &data, 0, &logs), WEFT_E_ARG, "there are no samples");
    px = NULL;
    refuses(weft_session_evaluate(s, &data, 0, &logs), WEFT_E_ARG, "no array is given for input");
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

/* Samples of two of the model's batches in one call; and what cannot be cut so. */
static void test_predicts_in_the_models_batches(void **state)
{
    truth t = find_truth();
    static float own_y[2 * ROWS * UNITS];
    weft_array x = train_array(half[0], F32(2 * ROWS, STEPS, F)),
               own = train_array(own_y, F32(2 * ROWS, UNITS));
    const weft_array *px = &x;
    weft_model *m = make(STEPS, "stateful=true");
    weft_session *s = NULL;
    weft_array *y = NULL, *py = &own;
    (void)state;
    assert_int_equal(weft_session_create(m, "cpu", NULL, &s), WEFT_OK);
    assert_int_equal(weft_session_predict(s, &px, 1, &y, 1, 32, NULL, NULL), WEFT_OK);
    assert_int_equal(y->spec.dim[0], 2 * ROWS);
    assert_int_equal(weft_model_reset_state(m), WEFT_OK);
    assert_int_equal(weft_session_predict(s, &px, 1, &py, 1, 1, NULL, NULL), WEFT_OK);
    for (int i = 0; i < 2 * ROWS * UNITS; i++) {
        assert_near(((float *)y->data)[i], t.y[i / (ROWS * UNITS)][i % (ROWS * UNITS)], 1e-6);
        assert_true(((float *)y->data)[i] == own_y[i]);
    }
    weft_array_destroy(&y);
    own.spec.dim[0] = ROWS;
    refuses(weft_session_predict(s, &px, 1, &py, 1, 1, NULL, NULL), WEFT_E_SHAPE,
            "is (4, 4) of float32, but the array given is (2, 4)");
    x.spec.dim[0] = 3;
    refuses(weft_session_predict(s, &px, 1, &y, 1, 1, NULL, NULL), WEFT_E_SHAPE,
            "predict: 3 samples are no whole number of batches");
    assert_null(y);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

static void test_nothing_to_reset(void **state)
{
    weft_model *m = make(STEPS, ""), *open = train_model("open", 1);
    float before[F * 4 * UNITS], after[F * 4 * UNITS];
    (void)state;
    train_read(m, names[0], before);
    assert_int_equal(weft_model_reset_state(m), WEFT_OK);
    train_read(m, names[0], after);
    assert_memory_equal(before, after, sizeof after);
    assert_int_equal(weft_model_reset_state(open), WEFT_E_ARG);
    assert_int_equal(weft_model_reset_state(NULL), WEFT_E_ARG);
    weft_model_destroy(&open);
    weft_model_destroy(&m);
}

/* ---- dropout ---- */

static const char *const drops[] = { "dropout=0.5", "recurrent_dropout=0.5",
                                     "dropout=0.4 recurrent_dropout=0.3" };

static void test_same_numbers(void **state)
{
    truth t = find_truth();
    weft_array x = train_array(whole, F32(ROWS, WHOLE, F));
    (void)state;
    for (int k = 0; k < 3; k++) {
        float first[2][ROWS * UNITS] = { { 0 } };
        for (int d = 0; train_device[d]; d++) {
            weft_model *m = make(WHOLE, drops[k]);
            forward f;
            forward_open(&f, m, train_device[d]);
            for (int i = 0; i < 2; i++) {
                weft_array *y[1];
                forward_run(&f, &x, y);
                for (int e = 0; d && e < ROWS * UNITS; e++)
                    assert_near(((float *)y[0]->data)[e], first[i][e], 1e-6);
                memcpy(first[i], y[0]->data, sizeof first[i]);
                weft_array_destroy(&y[0]);
            }
            /* the next step differs, and both from inference */
            assert_memory_not_equal(first[0], first[1], sizeof first[0]);
            assert_memory_not_equal(first[0], t.y[1], sizeof first[0]);
            forward_close(&f);
            weft_model_destroy(&m);
        }
    }
}

/* seed= is all that counts, as for Dropout. */
static void test_seed(void **state)
{
    static const char *const attrs[] = { "dropout=0.5 recurrent_dropout=0.5 seed=3",
                                         "dropout=0.5 recurrent_dropout=0.5 seed=4" };
    weft_array x = train_array(whole, F32(ROWS, WHOLE, F));
    float w[3][128] = { { 0 } }, result[3][ROWS * UNITS];
    (void)state;
    for (int i = 0; i < 3; i++) {
        weft_model *m = train_model("seed", i == 1 ? 8 : 9);
        weft_array *y[1];
        forward f;
        char text[96];
        snprintf(text, sizeof text, "units=4 name=l %s", attrs[i == 2]);
        weft_output(m, weft_apply(m, "LSTM", text, weft_input_spec(m, "x", &F32(ROWS, WHOLE, F))));
        train_finished(m);
        for (int k = 0; k < 3; k++) /* the weights of the first one */
            i ? train_write(m, names[k], w[k]) : train_read(m, names[k], w[k]);
        forward_open(&f, m, "cpu");
        forward_run(&f, &x, y);
        memcpy(result[i], y[0]->data, sizeof result[i]);
        weft_array_destroy(&y[0]);
        forward_close(&f);
        weft_model_destroy(&m);
    }
    assert_memory_equal(result[0], result[1], sizeof result[0]);
    assert_memory_not_equal(result[0], result[2], sizeof result[0]);
}

/* ---- gradients by central differences, in float64 ---- */

typedef struct weights {
    float w[3][2 * 8]; /* kernel, recurrent kernel, bias of an LSTM of 2 units over 2 features */
} weights;

/* One step from these weights, with the numbers of the first step; returns the loss before it. */
static double step(const char *attrs, double rate, const weights *from, weights *after)
{
    static float x[] = { 0.5f, -1, 0.25f, 0.75f, -0.5f, 1, 1.25f, -0.75f }, t[] = { 1, -1, 0, 1 };
    char text[96];
    weft_model *m = train_model("small", 4);
    weft_session *s = NULL;
    weft_array ax = train_array(x, F32(2, 2, 2)), at = train_array(t, F32(2, 2));
    weft_logs logs;
    snprintf(text, sizeof text, "units=2 name=l %s", attrs);
    weft_output(m, weft_apply(m, "LSTM", text, weft_input(m, "x", WEFT_F32, WEFT_SHAPE(2, 2))));
    train_finished(m);
    for (int k = 0; k < 3; k++)
        train_write(m, names[k], from->w[k]);
    assert_int_equal(weft_session_create(m, "cpu", "dtype=float64", &s), WEFT_OK);
    snprintf(text, sizeof text, "optimizer=SGD(learning_rate=%.1f) loss=mse", rate);
    if (weft_session_compile(s, text)) fail_msg("%s", weft_error());
    train_step(s, &ax, &at, &logs);
    for (int k = 0; k < 3 && after; k++)
        train_read(m, names[k], after->w[k]);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
    return logs.value[0];
}

/* The loss, below 1, is read as float32 twice; x, at most 1.25, times the scale of what dropout
 * keeps is below 2.5, so that a third derivative is below 16. */
static void test_gradients(void **state)
{
    const double h = 0x1p-9, bound = 0x1p-24 / h + 16 * h * h / 6;
    (void)state;
    for (int k = 0; k < 3; k++) {
        weights w, after;
        double largest = 0;
        for (int i = 0; i < 3 * 16; i++)
            w.w[i / 16][i % 16] = (float)((i * 29) % 17) / 16 - 0.5f;
        memset(&after, 0, sizeof after);
        step(drops[k], 1, &w, &after);
        for (int i = 0; i < 2 * 16 + 8; i++) {
            float *at = &w.w[i / 16][i % 16], was = *at;
            double slope, got = (double)was - (double)after.w[i / 16][i % 16];
            *at = was + (float)h;
            slope = step(drops[k], 0, &w, NULL);
            *at = was - (float)h;
            slope = (slope - step(drops[k], 0, &w, NULL)) / (2 * h);
            *at = was;
            largest = fmax(largest, fabs(slope));
            if (!(fabs(got - slope) <= bound))
                fail_msg("%s: %s[%d]: %g, differences give %g (bound %g)", drops[k], names[i / 16],
                         i % 16, got, slope, bound);
        }
        assert_true(largest > 100 * bound);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_predicts_on),
        cmocka_unit_test(test_trains_on),
        cmocka_unit_test(test_learns_with_a_state),
        cmocka_unit_test(test_fits_in_the_models_batches),
        cmocka_unit_test(test_other_batches_are_refused),
        cmocka_unit_test(test_predicts_in_the_models_batches),
        cmocka_unit_test(test_nothing_to_reset),
        cmocka_unit_test(test_same_numbers),
        cmocka_unit_test(test_seed),
        cmocka_unit_test(test_gradients),
    };
    return cmocka_run_group_tests(tests, setup, train_teardown);
}
