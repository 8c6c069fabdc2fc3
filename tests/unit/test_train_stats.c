/* What is done again, and what is not: the prologue (what depends on variables alone) runs again in
 * the first prediction after a step, and never twice for the same values; steps do not repeat that
 * of frozen layers; a new batch size compiles nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "train_harness.h"

enum { ROWS = 13, F = 4 };
static float x[ROWS * F], y[ROWS];
static const char compile[] = "optimizer=Adam(learning_rate=0.01) loss=mse";

static int setup(void **state)
{
    for (int i = 0; i < ROWS * F; i++)
        x[i] = (float)((i * 37) % 19) / 10 - 0.9f;
    for (int i = 0; i < ROWS; i++)
        y[i] = x[F * i] - 0.5f;
    return train_setup(state);
}

/* x -> BatchNormalization "bn" -> Dense(1) "d": in inference sqrt(variance + epsilon) and what else
 * belongs to it are the prologue's. */
static weft_model *make(void)
{
    weft_model *m = train_model("stats", 1);
    weft_tensor in = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(F));
    in = weft_apply(m, "BatchNormalization", "name=bn", in);
    weft_output(m, weft_apply(m, "Dense", "units=1 name=d", in));
    return train_finished(m);
}

static void step(weft_session *s, int n)
{
    weft_array ax = train_array(x, F32(n, F)), ay = train_array(y, F32(n, 1));
    train_step(s, &ax, &ay, NULL);
}

static float predict(weft_session *s)
{
    weft_array ax = train_array(x, F32(1, F)), *out = train_predict(s, &ax);
    float v = *(float *)out->data;
    weft_array_destroy(&out);
    return v;
}

static uint64_t grown(const weft_session *s, uint64_t *seen)
{
    uint64_t before = *seen;
    *seen = train_prologues(s);
    return *seen - before;
}

static void test_predictions(void **state)
{
    (void)state;
    for (int d = 0; train_device[d]; d++) {
        weft_model *m = make();
        weft_session *s = train_compiled(m, train_device[d], compile), *other = NULL;
        assert_int_equal(weft_session_create(m, train_device[d], NULL, &other), WEFT_OK);
        uint64_t mine = train_prologues(s), others = train_prologues(other);
        for (int i = 0; i < 3; i++) {
            step(s, 8);
            uint64_t of_step = grown(s, &mine);
            assert_true(i ? of_step == 0 : of_step <= 1); /* what is constant, once */
            float now = predict(s);
            assert_int_equal(grown(s, &mine), 1);
            assert_true(predict(s) == now);
            assert_int_equal(grown(s, &mine), 0);
            assert_near(predict(other), now, 1e-6);
            assert_int_equal(grown(other, &others), 1);
            predict(other);
            assert_int_equal(grown(other, &others), 0);
            /* steps in between that nobody looks at cost the next prediction one run */
            step(s, 8);
            step(s, 5);
            assert_int_equal(grown(s, &mine), 0);
            assert_true(predict(other) != now);
            assert_int_equal(grown(other, &others), 1);
            predict(s);
            assert_int_equal(grown(s, &mine), 1);
        }
        weft_session_destroy(&other);
        weft_session_destroy(&s);
        weft_model_destroy(&m);
    }
}

/* Evaluations read what steps wrote, and write sums that nobody's prologue reads. */
static void test_evaluations(void **state)
{
    weft_model *m = make();
    weft_session *s = train_compiled(m, "cpu", compile);
    weft_array ax = train_array(x, F32(ROWS, F)), ay = train_array(y, F32(ROWS, 1));
    const weft_array *xs[] = { &ax }, *ys[] = { &ay };
    uint64_t seen = 0;
    weft_logs first, logs;
    (void)state;
    for (int i = 0; i < 3; i++) {
        step(s, 8);
        grown(s, &seen);
        if (weft_session_evaluate(s, &(weft_data){ xs, ys, 1, 1 }, 4, &first))
            fail_msg("%s", weft_error());
        assert_int_equal(grown(s, &seen), 1);
        if (weft_session_evaluate(s, &(weft_data){ xs, ys, 1, 1 }, 4, &logs))
            fail_msg("%s", weft_error());
        assert_true(logs.value[0] == first.value[0]);
        assert_int_equal(grown(s, &seen), 0);
    }
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

/* With the BatchNormalization frozen its sqrt belongs to the steps' prologue. */
static void test_frozen_part(void **state)
{
    (void)state;
    for (int d = 0; train_device[d]; d++) {
        weft_model *m = make();
        float variance[F] = { 2, 1, 3, 1 };
        assert_int_equal(weft_model_set_trainable(m, "bn", 0), WEFT_OK);
        weft_session *s = train_compiled(m, train_device[d], compile);
        uint64_t seen = train_prologues(s);
        step(s, 8);
        assert_int_equal(grown(s, &seen), 1);
        for (int i = 0; i < 4; i++)
            step(s, i % 2 ? 5 : 8);
        weft_array ax = train_array(x, F32(5, F)), ay = train_array(y, F32(5, 1));
        weft_logs logs; /* which are sums that begin at 0 again */
        train_step(s, &ax, &ay, &logs);
        train_step(s, &ax, &ay, &logs);
        assert_int_equal(grown(s, &seen), 0);
        train_write(m, "bn/moving_variance", variance);
        step(s, 8);
        assert_int_equal(grown(s, &seen), 1);
        step(s, 8);
        assert_int_equal(grown(s, &seen), 0);
        weft_session_destroy(&s);
        weft_model_destroy(&m);
    }
}

/* A fit in batches of 4 with a last one of 1, then other sizes: all by the programs of the first
 * step; predictions and evaluations have theirs. */
static void test_builds(void **state)
{
    weft_array ax = train_array(x, F32(ROWS, F)), ay = train_array(y, F32(ROWS, 1));
    const weft_array *xs[] = { &ax }, *ys[] = { &ay };
    const weft_data data = { xs, ys, 1, 1 };
    weft_fit_options options = { .epochs = 2, .batch_size = 4, .seed = 1 };
    (void)state;
    for (int d = 0; train_device[d]; d++) {
        weft_model *m = make();
        weft_session *s = train_compiled(m, train_device[d], compile);
        weft_logs logs;
        step(s, 4);
        if (weft_session_evaluate(s, &data, 8, &logs)) fail_msg("%s", weft_error());
        predict(s);
        uint64_t builds = train_builds(s);
        if (weft_session_fit(s, &data, &options, NULL)) fail_msg("%s", weft_error());
        for (int n = 1; n <= ROWS; n += 4)
            step(s, n);
        if (weft_session_evaluate(s, &data, 5, &logs)) fail_msg("%s", weft_error());
        predict(s);
        assert_int_equal(train_builds(s), builds);
        weft_session_destroy(&s);
        weft_model_destroy(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_predictions),
        cmocka_unit_test(test_evaluations),
        cmocka_unit_test(test_frozen_part),
        cmocka_unit_test(test_builds),
    };
    return cmocka_run_group_tests(tests, setup, train_teardown);
}
