/* Training steps against the same in plain C and double: the gradient of a small net by hand, SGD
 * and Adam; the logs; weights as other sessions, the model and predictions see them; mistakes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <weft/weft.h>

enum { N = 7, F = 3 };
static weft_context *ctx;
static float x[N * F], y[N];

static int setup(void **state)
{
    (void)state;
    for (int i = 0; i < N * F; i++)
        x[i] = (float)((i * 37) % 19) / 10 - 0.9f;
    for (int i = 0; i < N; i++)
        y[i] = x[F * i] - 2 * x[F * i + 1] + 0.5f + (float)(i % 3) / 10;
    return weft_context_create("plugin_path=\"" WEFT_TEST_PLUGINS "\"", &ctx);
}

static int teardown(void **state)
{
    (void)state;
    weft_context_destroy(&ctx);
    return 0;
}

/* x -> Dense(1): weights w[F] and a bias. */
static weft_model *linear(void)
{
    weft_model *m = NULL;
    assert_int_equal(weft_model_create(ctx, "linear", &m), WEFT_OK);
    weft_output(m, weft_apply(m, "Dense", "units=1 name=d kernel_initializer=zeros",
                              weft_input(m, "x", WEFT_F32, WEFT_SHAPE(F))));
    if (weft_model_finish(m)) fail_msg("%s", weft_error());
    return m;
}

static weft_session *compiled(weft_model *m, const char *device, const char *attrs)
{
    weft_session *s = NULL;
    if (weft_session_create(m, device, NULL, &s)) fail_msg("%s", weft_error());
    if (weft_session_compile(s, attrs)) fail_msg("%s", weft_error());
    return s;
}

static void step(weft_session *s, int first, int n, weft_logs *logs)
{
    weft_array ax = { { WEFT_F32, 2, { n, F } }, x + F * first },
               ay = { { WEFT_F32, 1, { n } }, y + first };
    const weft_array *xs[] = { &ax }, *ys[] = { &ay };
    if (weft_session_train_step(s, &(weft_data){ xs, ys, 1, 1 }, logs))
        fail_msg("%s", weft_error());
}

/* ---- by hand ---- */

typedef struct hand {
    double w[F + 1], m[F + 1], v[F + 1];
    int t;
} hand;

static double hand_loss(const hand *h, int first, int n, double *grad)
{
    double loss = 0;
    for (int k = 0; k <= F; k++)
        grad[k] = 0;
    for (int i = first; i < first + n; i++) {
        double e = h->w[F] - (double)y[i];
        for (int k = 0; k < F; k++)
            e += h->w[k] * (double)x[F * i + k];
        loss += e * e / n;
        for (int k = 0; k < F; k++)
            grad[k] += 2 * e * (double)x[F * i + k] / n;
        grad[F] += 2 * e / n;
    }
    return loss;
}

static void hand_sgd(hand *h, const double *g, double rate, double momentum)
{
    for (int k = 0; k <= F; k++) {
        h->m[k] = momentum * h->m[k] - rate * g[k];
        h->w[k] += h->m[k];
    }
}

static void hand_adam(hand *h, const double *g, double rate)
{
    h->t++;
    double alpha = rate * sqrt(1 - pow(0.999, h->t)) / (1 - pow(0.9, h->t));
    for (int k = 0; k <= F; k++) {
        h->m[k] += (g[k] - h->m[k]) * (1 - 0.9);
        h->v[k] += (g[k] * g[k] - h->v[k]) * (1 - 0.999);
        h->w[k] -= alpha * h->m[k] / (sqrt(h->v[k]) + 1e-7);
    }
}

static void expect_weights(weft_model *m, const hand *h)
{
    float w[F], b[1];
    weft_array kernel = { { WEFT_F32, 2, { F, 1 } }, w }, bias = { { WEFT_F32, 1, { 1 } }, b };
    if (weft_model_get_variable(m, 0, &kernel)) fail_msg("%s", weft_error());
    if (weft_model_get_variable(m, 1, &bias)) fail_msg("%s", weft_error());
    for (int k = 0; k < F; k++)
        assert_float_equal(w[k], h->w[k], 1e-5);
    assert_float_equal(b[0], h->w[F], 1e-5);
}

static int usable(const char *device)
{
    for (uint32_t i = 0; i < weft_context_n_devices(ctx); i++) {
        const char *id;
        weft_dev_info info = { .struct_size = sizeof info };
        if (!weft_context_device(ctx, i, &id, &info) && !strcmp(id, device))
            return (int)info.usable;
    }
    return 0;
}

static void against_hand(const char *device, const char *optimizer, double momentum, int adam)
{
    char attrs[128];
    double g[F + 1];
    hand h = { .t = 0 };
    weft_model *m = linear();
    weft_logs logs;
    snprintf(attrs, sizeof attrs, "optimizer=%s loss=mse metrics=mae", optimizer);
    weft_session *s = compiled(m, device, attrs);
    for (int i = 0; i < 12; i++) {
        int first = i % 2 ? 4 : 0, n = i % 2 ? 3 : 4; /* batches of 4 and of 3 */
        double loss = hand_loss(&h, first, n, g);
        step(s, first, n, &logs);
        assert_int_equal(logs.n, 2);
        assert_string_equal(logs.name[0], "loss");
        assert_string_equal(logs.name[1], "mae");
        assert_float_equal(logs.value[0], loss, 1e-5 * (1 + loss));
        if (adam)
            hand_adam(&h, g, 0.05);
        else
            hand_sgd(&h, g, 0.05, momentum);
        if (i % 5 == 0) expect_weights(m, &h);
    }
    expect_weights(m, &h);
    weft_session_destroy(&s);
    expect_weights(m, &h);
    weft_model_destroy(&m);
}

static void test_against_plain_c(void **state)
{
    static const char *const devices[] = { "cpu", "opencl:0" };
    (void)state;
    for (int d = 0; d < 2; d++) {
        if (!usable(devices[d])) continue;
        against_hand(devices[d], "SGD(learning_rate=0.05)", 0, 0);
        against_hand(devices[d], "SGD(learning_rate=0.05 momentum=0.9)", 0.9, 0);
        against_hand(devices[d], "Adam(learning_rate=0.05)", 0, 1);
    }
}

/* ---- who sees what ---- */

static float predict(weft_session *s)
{
    float ones[F] = { 1, 1, 1 };
    weft_array in = { { WEFT_F32, 2, { 1, F } }, ones }, *out = NULL;
    const weft_array *inputs[] = { &in };
    if (weft_session_run(s, inputs, 1, &out, 1)) fail_msg("%s", weft_error());
    float v = *(float *)out->data;
    weft_array_destroy(&out);
    return v;
}

static void test_everybody_sees_the_weights(void **state)
{
    weft_model *m = linear();
    weft_session *s = compiled(m, "cpu", "optimizer=SGD(learning_rate=0.05) loss=mse"),
                 *other = NULL, *third = NULL;
    weft_logs logs;
    hand h = { .t = 0 };
    double g[F + 1];
    (void)state;
    assert_int_equal(weft_session_create(m, "cpu", NULL, &other), WEFT_OK);
    for (int i = 0; i < 5; i++) {
        hand_loss(&h, 0, N, g);
        hand_sgd(&h, g, 0.05, 0);
        step(s, 0, N, i % 2 ? &logs : NULL);
        double want = h.w[0] + h.w[1] + h.w[2] + h.w[F];
        assert_float_equal(predict(s), want, 1e-5);
        assert_float_equal(predict(other), want, 1e-5);
    }
    /* from outside, in the middle of it: one variable changes, the other stays */
    float bias = 3;
    weft_array b = { { WEFT_F32, 1, { 1 } }, &bias };
    step(s, 0, N, NULL);
    hand_loss(&h, 0, N, g);
    hand_sgd(&h, g, 0.05, 0);
    assert_int_equal(weft_model_set_variable(m, 1, &b), WEFT_OK);
    h.w[F] = 3;
    assert_float_equal(predict(s), h.w[0] + h.w[1] + h.w[2] + 3, 1e-5);
    step(s, 0, N, NULL);
    hand_loss(&h, 0, N, g);
    hand_sgd(&h, g, 0.05, 0);
    expect_weights(m, &h);
    assert_int_equal(weft_session_create(m, "cpu", NULL, &third), WEFT_OK);
    assert_int_equal(weft_session_compile(third, "optimizer=sgd loss=mse"), WEFT_E_ARG);
    if (!strstr(weft_error(), "another session trains model \"linear\""))
        fail_msg("%s", weft_error());
    weft_session_destroy(&s);
    assert_int_equal(weft_session_compile(third, "optimizer=sgd loss=mse"), WEFT_OK);
    weft_session_destroy(&third);
    weft_session_destroy(&other);
    weft_model_destroy(&m);
}

static void test_learning_rate(void **state)
{
    weft_model *m = linear();
    weft_session *s = compiled(m, "cpu", "optimizer=sgd loss=mse");
    double rate = 0;
    hand h = { .t = 0 };
    double g[F + 1];
    (void)state;
    assert_int_equal(weft_session_learning_rate(s, &rate), WEFT_OK);
    assert_float_equal(rate, 0.01, 1e-9);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(weft_session_set_learning_rate(s, 0.1 / (i + 1)), WEFT_OK);
        step(s, 0, N, NULL);
        hand_loss(&h, 0, N, g);
        hand_sgd(&h, g, 0.1 / (i + 1), 0);
    }
    expect_weights(m, &h);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

static void test_f64_is_the_reference(void **state)
{
    weft_model *m = linear();
    weft_session *s = NULL;
    hand h = { .t = 0 };
    double g[F + 1];
    (void)state;
    assert_int_equal(weft_session_create(m, "cpu", "dtype=float64", &s), WEFT_OK);
    if (weft_session_compile(s, "optimizer=Adam(learning_rate=0.05) loss=mse"))
        fail_msg("%s", weft_error());
    for (int i = 0; i < 10; i++) {
        hand_loss(&h, 0, N, g);
        hand_adam(&h, g, 0.05);
        step(s, 0, N, NULL);
    }
    expect_weights(m, &h);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

/* ---- mistakes ---- */

static void test_mistakes(void **state)
{
    static const struct {
        const char *attrs, *words;
    } bad[] = {
        { "optimizer=sgd", "a loss is needed" },
        { "optimizer=lion loss=mse", "there is no optimizer \"lion\"" },
        { "optimizer=SGD(lr=1) loss=mse", "lr" },
        { "optimizer=sgd loss=mes", "there is no loss \"mes\"" },
        { "optimizer=sgd loss=(mse,mse)", "2 losses for 1 output" },
        { "optimizer=sgd loss=mse metrics=f1", "there is no metric \"f1\"" },
        { "optimizer=sgd loss=mse learning_rate=1", "there is no attribute \"learning_rate\"" },
        { "optimizer=sgd loss=mse loss_weights=(1,2)", "loss_weights has 2 numbers" },
        { "optimizer=sgd loss=MeanSquaredError(from_logits=true)", "from_logits" },
        { "optimizer=Adam(beta_1=1.0) loss=mse", "must be less than 1" },
    };
    weft_model *m = linear();
    weft_session *s = NULL;
    float few[4] = { 0 };
    weft_array ax = { { WEFT_F32, 2, { 4, F } }, x }, ay = { { WEFT_F32, 1, { 3 } }, few };
    const weft_array *xs[] = { &ax }, *ys[] = { &ay };
    weft_data data = { xs, ys, 1, 1 };
    (void)state;
    assert_int_equal(weft_session_create(m, "cpu", NULL, &s), WEFT_OK);
    assert_int_equal(weft_session_train_step(s, &data, NULL), WEFT_E_ARG);
    if (!strstr(weft_error(), "not compiled")) fail_msg("%s", weft_error());
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_not_equal(weft_session_compile(s, bad[i].attrs), WEFT_OK);
        if (!strstr(weft_error(), bad[i].words)) fail_msg("%s: %s", bad[i].attrs, weft_error());
    }
    assert_int_equal(weft_session_compile(s, "loss=mse"), WEFT_OK);
    assert_int_equal(weft_session_train_step(s, &data, NULL), WEFT_E_SHAPE);
    if (!strstr(weft_error(), "targets of output")) fail_msg("%s", weft_error());
    ay.spec.dim[0] = 4;
    assert_int_equal(weft_session_train_step(s, &data, NULL), WEFT_E_ARG);
    if (!strstr(weft_error(), "without an optimizer")) fail_msg("%s", weft_error());
    assert_int_equal(weft_model_set_trainable(m, NULL, 0), WEFT_OK);
    assert_int_equal(weft_session_compile(s, "optimizer=sgd loss=mse"), WEFT_E_ARG);
    if (!strstr(weft_error(), "nothing to train")) fail_msg("%s", weft_error());
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

static void test_regularizers_are_refused(void **state)
{
    weft_model *m = NULL;
    weft_session *s = NULL;
    (void)state;
    assert_int_equal(weft_model_create(ctx, "decayed", &m), WEFT_OK);
    weft_output(m, weft_apply(m, "Dense", "units=1 name=d kernel_regularizer=L2(l2=0.01)",
                              weft_input(m, "x", WEFT_F32, WEFT_SHAPE(F))));
    if (weft_model_finish(m)) fail_msg("%s", weft_error());
    if (weft_session_create(m, "cpu", NULL, &s)) fail_msg("%s", weft_error());
    assert_int_equal(weft_session_compile(s, "optimizer=sgd loss=mse"), WEFT_E_UNSUPPORTED);
    if (!strstr(weft_error(), "layer \"d\" (Dense) has kernel_regularizer=L2(l2=0.01)"))
        fail_msg("%s", weft_error());
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_plain_c), cmocka_unit_test(test_everybody_sees_the_weights),
        cmocka_unit_test(test_learning_rate),   cmocka_unit_test(test_f64_is_the_reference),
        cmocka_unit_test(test_mistakes),        cmocka_unit_test(test_regularizers_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
