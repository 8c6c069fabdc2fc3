/* Training steps against the same in plain C and double: the gradient of a small net by hand, SGD
 * and Adam; the logs; weights as other sessions, the model and predictions see them; mistakes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "train_harness.h"

enum { N = 7, F = 3 };
static float x[N * F], y[N];

static int setup(void **state)
{
    for (int i = 0; i < N * F; i++)
        x[i] = (float)((i * 37) % 19) / 10 - 0.9f;
    for (int i = 0; i < N; i++)
        y[i] = x[F * i] - 2 * x[F * i + 1] + 0.5f + (float)(i % 3) / 10;
    return train_setup(state);
}

/* x -> Dense(1): weights w[F] and a bias. */
static weft_model *linear(void)
{
    weft_model *m = train_model("linear", 1);
    weft_output(m, weft_apply(m, "Dense", "units=1 name=d kernel_initializer=zeros",
                              weft_input(m, "x", WEFT_F32, WEFT_SHAPE(F))));
    return train_finished(m);
}

static void step(weft_session *s, int first, int n, weft_logs *logs)
{
    weft_array ax = train_array(x + F * first, F32(n, F)), ay = train_array(y + first, F32(n));
    train_step(s, &ax, &ay, logs);
}

/* ---- by hand ---- */

/* Beside the numbers, how far float32 may be from them, to first order: what rounding adds in each
 * step. What was there before shrinks, since rate times the second derivatives is below 1. */
typedef struct hand {
    double w[F + 1], m[F + 1], v[F + 1];
    int t;
    double off;          /* the weights: the most of any of them */
    double noise[F + 1]; /* the gradient: the most of any step */
    double error;        /* an error y - target, of magnitudes that add up to it */
} hand;
static const double ulp = 0x1p-24;

static double hand_loss(hand *h, int first, int n, double *grad)
{
    double loss = 0, size[F + 1] = { 0 };
    h->error = 0;
    for (int k = 0; k <= F; k++)
        grad[k] = 0;
    for (int i = first; i < first + n; i++) {
        double e = h->w[F] - (double)y[i], magnitude = fabs(h->w[F]) + fabs((double)y[i]);
        for (int k = 0; k < F; k++) {
            e += h->w[k] * (double)x[F * i + k];
            magnitude += fabs(h->w[k] * (double)x[F * i + k]);
        }
        loss += e * e / n;
        for (int k = 0; k <= F; k++) {
            double to = k < F ? (double)x[F * i + k] : 1;
            grad[k] += 2 * e * to / n;
            size[k] += 2 * magnitude * fabs(to) / n;
        }
        h->error = fmax(h->error, (F + 2) * ulp * magnitude);
    }
    for (int k = 0; k <= F; k++) /* F + 2 roundings in e, n of the sum, those of 2 / n, x, rate */
        h->noise[k] = fmax(h->noise[k], (F + 2 + n + 3) * ulp * size[k]);
    return loss;
}

/* The mean of |e|. */
static double hand_mean(const hand *h, int first, int n)
{
    double mean = 0;
    for (int i = first; i < first + n; i++) {
        double e = h->w[F] - (double)y[i];
        for (int k = 0; k < F; k++)
            e += h->w[k] * (double)x[F * i + k];
        mean += fabs(e) / n;
    }
    return mean;
}

/* Of the loss and of the mean of |e|: e is off by its own rounding and by the weights'; |x| < 1. */
static double loss_near(const hand *h, double loss, int n)
{
    double e = h->error + (F + 1) * h->off;
    return 2 * sqrt(loss) * e + (n + 3) * ulp * loss;
}

static double mean_near(const hand *h, double mean, int n)
{
    return h->error + (F + 1) * h->off + (n + 3) * ulp * mean;
}

/* A step of a weight may be off by `step`; the new weight rounds. */
static void hand_off(double *off, double step, double w)
{
    *off = fmax(*off, step + ulp * fabs(w));
}

static void hand_sgd(hand *h, const double *g, double rate, double momentum)
{
    double off = 0;
    for (int k = 0; k <= F; k++) {
        h->m[k] = momentum * h->m[k] - rate * g[k];
        h->w[k] += h->m[k];
        hand_off(&off, rate * h->noise[k] / (1 - momentum) + 2 * ulp * fabs(h->m[k]), h->w[k]);
    }
    h->off += off;
}

/* The step is the rate times m / sqrt(v), each without its bias: both are means of what the
 * gradients give, and so is their noise. Ten more roundings are the formula's. A beta that rounds
 * changes 1 - beta, and 1 - beta^t, by ulp / (1 - beta) of itself, and the latter is rounded to 1's
 * last bit; the root halves that. */
static void hand_adam(hand *h, const double *g, double rate)
{
    double off = 0;
    h->t++;
    double m_bias = 1 - pow(0.9, h->t), v_bias = 1 - pow(0.999, h->t);
    double alpha = rate * sqrt(v_bias) / m_bias;
    for (int k = 0; k <= F; k++) {
        h->m[k] += (g[k] - h->m[k]) * (1 - 0.9);
        h->v[k] += (g[k] * g[k] - h->v[k]) * (1 - 0.999);
        h->w[k] -= alpha * h->m[k] / (sqrt(h->v[k]) + 1e-7);
        double betas =
            2 * ulp / (1 - 0.9) + ulp / m_bias + (2 * ulp / (1 - 0.999) + ulp / v_bias) / 2;
        double root = sqrt(h->v[k] / v_bias), ratio = fabs(h->m[k]) / m_bias / root;
        hand_off(&off, rate * ((1 + ratio) * h->noise[k] / root + (10 * ulp + betas) * ratio),
                 h->w[k]);
    }
    h->off += off;
}

static void expect_weights(const weft_model *m, const hand *h)
{
    float w[F], b[1];
    weft_array kernel = train_array(w, F32(F, 1)), bias = train_array(b, F32(1));
    if (weft_model_get_variable(m, 0, &kernel)) fail_msg("%s", weft_error());
    if (weft_model_get_variable(m, 1, &bias)) fail_msg("%s", weft_error());
    assert_true(h->off < 1e-4); /* or the test would say nothing */
    for (int k = 0; k < F; k++)
        assert_near(w[k], h->w[k], h->off);
    assert_near(b[0], h->w[F], h->off);
}

static void against_hand(const char *device, const char *optimizer, double momentum, int adam)
{
    char attrs[128];
    double g[F + 1];
    hand h = { .t = 0 };
    weft_model *m = linear();
    weft_logs logs;
    snprintf(attrs, sizeof attrs, "optimizer=%s loss=mse metrics=mae", optimizer);
    weft_session *s = train_compiled(m, device, attrs);
    for (int i = 0; i < 12; i++) {
        int first = i % 2 ? 4 : 0, n = i % 2 ? 3 : 4; /* batches of 4 and of 3 */
        double mean = hand_mean(&h, first, n), loss = hand_loss(&h, first, n, g);
        step(s, first, n, &logs);
        assert_int_equal(logs.n, 2);
        assert_string_equal(logs.name[0], "loss");
        assert_string_equal(logs.name[1], "mae");
        assert_near(logs.value[0], loss, loss_near(&h, loss, n));
        assert_near(logs.value[1], mean, mean_near(&h, mean, n));
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
    (void)state;
    for (int d = 0; train_device[d]; d++) {
        against_hand(train_device[d], "SGD(learning_rate=0.05)", 0, 0);
        against_hand(train_device[d], "SGD(learning_rate=0.05 momentum=0.9)", 0.9, 0);
        against_hand(train_device[d], "Adam(learning_rate=0.05)", 0, 1);
    }
}

/* ---- who sees what ---- */

static float predict(weft_session *s)
{
    float ones[F] = { 1, 1, 1 };
    weft_array in = train_array(ones, F32(1, F)), *out = train_predict(s, &in);
    float v = *(float *)out->data;
    weft_array_destroy(&out);
    return v;
}

/* Its sum of the weights. */
static double prediction_near(const hand *h)
{
    double sum = 0;
    for (int k = 0; k <= F; k++)
        sum += fabs(h->w[k]);
    return (F + 1) * h->off + (F + 2) * ulp * sum;
}

static void test_everybody_sees_the_weights(void **state)
{
    weft_model *m = linear();
    weft_session *s = train_compiled(m, "cpu", "optimizer=SGD(learning_rate=0.05) loss=mse"),
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
        assert_near(predict(s), want, prediction_near(&h));
        assert_near(predict(other), want, prediction_near(&h));
    }
    /* from outside, in the middle of it: one variable changes, the other stays */
    float bias = 3;
    step(s, 0, N, NULL);
    hand_loss(&h, 0, N, g);
    hand_sgd(&h, g, 0.05, 0);
    train_write(m, "d/bias", &bias);
    h.w[F] = 3;
    assert_near(predict(s), h.w[0] + h.w[1] + h.w[2] + 3, prediction_near(&h));
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
    weft_session *s = train_compiled(m, "cpu", "optimizer=sgd loss=mse");
    double rate = 0;
    hand h = { .t = 0 };
    double g[F + 1];
    (void)state;
    assert_int_equal(weft_session_learning_rate(s, &rate), WEFT_OK);
    assert_near(rate, 0.01, 1e-9);
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
    weft_array ax = train_array(x, F32(4, F)), ay = train_array(few, F32(3));
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
    weft_model *m = train_model("decayed", 1);
    weft_session *s = NULL;
    (void)state;
    weft_output(m, weft_apply(m, "Dense", "units=1 name=d kernel_regularizer=L2(l2=0.01)",
                              weft_input(m, "x", WEFT_F32, WEFT_SHAPE(F))));
    train_finished(m);
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
    return cmocka_run_group_tests(tests, setup, train_teardown);
}
