/* Loss and metrics of a model that is not trained: it needs nothing to train, and no constraint
 * matters to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "train/trainer.h"
#include "train_harness.h"

enum { N = 3 };
static float x[N] = { 1, 2, -3 }, y[N] = { 2, 2, 3 }; /* a mean of (y - x)^2: (1 + 0 + 36) / 3 */

static weft_session *compiled(weft_model *m, const char *attrs)
{
    return train_compiled(train_finished(m), "cpu", attrs);
}

static weft_model *dense(const char *attrs)
{
    weft_model *m = train_model("dense", 1);
    weft_output(m, weft_apply(m, "Dense", attrs, weft_input(m, "x", WEFT_F32, WEFT_SHAPE(1))));
    return m;
}

static void expect_loss(weft_session *s, double loss)
{
    weft_array ax = train_array(x, F32(N, 1)), ay = train_array(y, F32(N, 1));
    const weft_array *xs[] = { &ax }, *ys[] = { &ay };
    weft_logs logs;
    if (weft_session_evaluate(s, &(weft_data){ xs, ys, 1, 1 }, 0, &logs))
        fail_msg("%s", weft_error());
    assert_near(logs.value[0], loss, 1e-6 * loss);
    if (weft_session_train_step(s, &(weft_data){ xs, ys, 1, 1 }, NULL) != WEFT_E_ARG)
        fail_msg("trained without an optimizer");
    if (!strstr(weft_error(), "without an optimizer")) fail_msg("%s", weft_error());
}

static void test_frozen(void **state)
{
    weft_model *m = dense("units=1 kernel_initializer=ones trainable=false");
    weft_session *s = compiled(m, "loss=mse");
    (void)state;
    expect_loss(s, 37. / 3);
    weft_array ax = train_array(x, F32(N, 1)), *out = train_predict(s, &ax);
    for (int i = 0; i < N; i++)
        assert_near(((float *)out->data)[i], x[i], 0);
    weft_array_destroy(&out);
    assert_int_equal(weft_session_compile(s, "optimizer=sgd loss=mse"), WEFT_E_ARG);
    if (!strstr(weft_error(), "nothing to train")) fail_msg("%s", weft_error());
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

static void test_without_weights(void **state)
{
    weft_model *m = train_model("bare", 1);
    (void)state;
    weft_output(m, weft_apply(m, "Activation", "activation=linear",
                              weft_input(m, "x", WEFT_F32, WEFT_SHAPE(1))));
    weft_session *s = compiled(m, "loss=mse");
    expect_loss(s, 37. / 3);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

/* A constraint changes weights, a regularizer the loss. */
static void test_constraint_and_regularizer(void **state)
{
    weft_model *m = dense("units=1 kernel_initializer=ones kernel_constraint=MaxNorm(max_value=9)");
    weft_session *s = compiled(m, "loss=mse");
    (void)state;
    expect_loss(s, 37. / 3);
    assert_int_equal(weft_session_compile(s, "optimizer=sgd loss=mse"), WEFT_E_UNSUPPORTED);
    if (!strstr(weft_error(), "has kernel_constraint=MaxNorm(max_value=9"))
        fail_msg("%s", weft_error());
    weft_session_destroy(&s);
    weft_model_destroy(&m);

    m = train_finished(dense("units=1 kernel_initializer=ones kernel_regularizer=L2(l2=0.01)"));
    assert_int_equal(weft_session_create(m, "cpu", NULL, &s), WEFT_OK);
    assert_int_equal(weft_session_compile(s, "loss=mse"), WEFT_E_UNSUPPORTED);
    if (!strstr(weft_error(), "has kernel_regularizer=L2(l2=0.01), which Keras adds to the loss"))
        fail_msg("%s", weft_error());
    assert_int_equal(weft_model_set_trainable(m, NULL, 0), WEFT_OK);
    if (weft_session_compile(s, "loss=mse")) fail_msg("%s", weft_error()); /* as in Keras */
    expect_loss(s, 37. / 3);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

/* Keras adds what regularizes a result to the loss of a frozen layer, too. */
static void test_activity_regularizer(void **state)
{
    weft_model *m = dense("units=1 activity_regularizer=L2(l2=0.01) trainable=false");
    weft_session *s = NULL;
    (void)state;
    train_finished(m);
    assert_int_equal(weft_session_create(m, "cpu", NULL, &s), WEFT_OK);
    assert_int_equal(weft_session_compile(s, "loss=mse"), WEFT_E_UNSUPPORTED);
    if (!strstr(weft_error(), "has activity_regularizer=L2(l2=0.01)")) fail_msg("%s", weft_error());
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

/* A mean over many batches is no worse than one over the batches between two readings of the
 * device's sums, in each of which the sums round to float32. */
static void test_many_batches(void **state)
{
    enum { MANY = 60000 };
    static float zeros[MANY], same[MANY];
    const double near = WEFT__SUMS_UNREAD * 0x1p-24 * 0.09;
    weft_array ax = train_array(zeros, F32(MANY, 1)), ay = train_array(same, F32(MANY, 1));
    const weft_array *xs[] = { &ax }, *ys[] = { &ay };
    weft_data data = { xs, ys, 1, 1 };
    weft_model *m = dense("units=1 kernel_initializer=ones");
    weft_session *s = compiled(m, "optimizer=SGD(learning_rate=0) loss=mse");
    weft_fit_options options = { .batch_size = 1, .keep_order = 1 };
    weft_logs logs;
    (void)state;
    for (int i = 0; i < MANY; i++)
        same[i] = 0.3f;
    if (weft_session_evaluate(s, &data, 1, &logs)) fail_msg("%s", weft_error());
    assert_near(logs.value[0], 0.3f * 0.3f, near);
    if (weft_session_fit(s, &data, &options, &logs)) fail_msg("%s", weft_error());
    assert_near(logs.value[0], 0.3f * 0.3f, near);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frozen),
        cmocka_unit_test(test_without_weights),
        cmocka_unit_test(test_constraint_and_regularizer),
        cmocka_unit_test(test_activity_regularizer),
        cmocka_unit_test(test_many_batches),
    };
    return cmocka_run_group_tests(tests, train_setup, train_teardown);
}
