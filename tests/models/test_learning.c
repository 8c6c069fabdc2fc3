/* A task that needs memory, learned by a model of two LSTMs from scratch on every device: two
 * series of different lengths, whose label is the exclusive or of their first symbols. And twice
 * the same seed gives the same bits, for a net of everything that could add up in another order. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>
#include "learning.h"

static weft_context *ctx;
static devices all;

static int setup(void **state)
{
    (void)state;
    if (weft_context_create(NULL, &ctx)) return -1;
    devices_list(ctx, &all);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    weft_context_destroy(&ctx);
    return 0;
}

static uint32_t random_state;
/* -1 .. 1 (Numerical Recipes' linear congruence) */
static float next_random(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (float)(random_state >> 8) / 8388608.0f - 1;
}

static weft_model *begin(const char *name)
{
    weft_model *m = NULL;
    assert_int_equal(weft_model_create(ctx, name, &m), WEFT_OK);
    assert_int_equal(weft_model_set_seed(m, 1), WEFT_OK);
    return m;
}

static weft_session *compiled(weft_model *m, const char *device, const char *attrs)
{
    weft_session *s = NULL;
    if (weft_session_create(m, device, "strict=true", &s) || weft_session_compile(s, attrs))
        fail_msg("%s: %s", device, weft_error());
    return s;
}

/* ---- two series ---- */

enum {
    TRAIN = 512,
    TEST = 256,
    SAMPLES = TRAIN + TEST,
    SYMBOLS = 3,
    LONG = 6,
    SHORT = 4,
    MAX_EPOCHS = 40
};
static const double wanted = 0.95;
static float series_a[SAMPLES * LONG * SYMBOLS], series_b[SAMPLES * SHORT * SYMBOLS],
    label[SAMPLES];

/* The first step is a symbol, one of two; the others are blanks of different strength. */
static void fill(float *series, int steps, int symbol)
{
    for (int k = 0; k < steps; k++) {
        series[SYMBOLS * k] = k == 0 && symbol == 0;
        series[SYMBOLS * k + 1] = k == 0 && symbol == 1;
        series[SYMBOLS * k + 2] = k ? 1 + next_random() / 4 : 0;
    }
}

static void make_series(void)
{
    random_state = 1;
    for (int i = 0; i < SAMPLES; i++) {
        int a = next_random() > 0, b = next_random() > 0;
        fill(series_a + i * LONG * SYMBOLS, LONG, a);
        fill(series_b + i * SHORT * SYMBOLS, SHORT, b);
        label[i] = (float)(a ^ b);
    }
}

typedef struct data {
    weft_array x[2], y;
    const weft_array *xs[2], *ys[1];
    weft_data data;
} data;

static void part(data *d, int first, int n)
{
    d->x[0] =
        (weft_array){ { WEFT_F32, 3, { n, LONG, SYMBOLS } }, series_a + first * LONG * SYMBOLS };
    d->x[1] =
        (weft_array){ { WEFT_F32, 3, { n, SHORT, SYMBOLS } }, series_b + first * SHORT * SYMBOLS };
    d->y = (weft_array){ { WEFT_F32, 2, { n, 1 } }, label + first };
    d->xs[0] = &d->x[0];
    d->xs[1] = &d->x[1];
    d->ys[0] = &d->y;
    d->data = (weft_data){ d->xs, d->ys, 2, 1 };
}

typedef struct learning {
    weft_session *session;
    const weft_data *test;
    weft_logs logs;
    unsigned epochs;
} learning;

static weft_status look(void *user, weft_epoch *epoch)
{
    learning *l = user;
    weft_status st = weft_session_evaluate(l->session, l->test, TEST, &l->logs);
    assert_string_equal(l->logs.name[1], "accuracy");
    l->epochs = epoch->number;
    epoch->stop = l->logs.value[1] > wanted;
    return st;
}

static void test_remembers(void **state)
{
    static data train, test;
    (void)state;
    make_series();
    part(&train, 0, TRAIN);
    part(&test, TRAIN, TEST);
    for (size_t i = 0; *all.id[i]; i++) {
        weft_model *m = begin("memory");
        weft_tensor a = weft_input(m, "a", WEFT_F32, WEFT_SHAPE(LONG, SYMBOLS)),
                    b = weft_input(m, "b", WEFT_F32, WEFT_SHAPE(SHORT, SYMBOLS)), x;
        a = weft_apply(m, "LSTM", "units=8", a);
        b = weft_apply(m, "LSTM", "units=8", b);
        x = weft_apply(m, "Concatenate", NULL, a, b);
        x = weft_apply(m, "Dense", "units=16 activation=relu", x);
        weft_output(m, weft_apply(m, "Dense", "units=1 activation=sigmoid", x));
        if (weft_model_finish(m)) fail_msg("%s", weft_error());
        learning l = { .test = &test.data };
        l.session = compiled(m, all.id[i],
                             "optimizer=Adam(learning_rate=0.01) loss=binary_crossentropy "
                             "metrics=accuracy");
        weft_fit_options options = {
            .epochs = MAX_EPOCHS, .batch_size = 16, .seed = 1, .on_epoch = look, .user = &l
        };
        if (weft_session_evaluate(l.session, &test.data, TEST, &l.logs))
            fail_msg("%s", weft_error());
        assert_true(l.logs.value[1] < 0.6); /* nothing is known yet */
        if (weft_session_fit(l.session, &train.data, &options, NULL)) fail_msg("%s", weft_error());
        printf("%s: %.4f of unknown series after %u epochs\n", all.id[i], l.logs.value[1],
               l.epochs);
        assert_true(l.logs.value[1] > wanted);
        weft_session_destroy(&l.session);
        weft_model_destroy(&m);
    }
}

/* ---- the same bits ---- */

enum { ROWS = 45 };
static float image[ROWS * 64], steps[ROWS * 12], classes[ROWS];

static weft_model *make_everything(void)
{
    weft_model *m = begin("everything");
    weft_tensor x = weft_input(m, "image", WEFT_F32, WEFT_SHAPE(8, 8, 1)),
                s = weft_input(m, "steps", WEFT_F32, WEFT_SHAPE(4, 3));
    x = weft_apply(m, "Conv2D", "filters=6 kernel_size=3 padding=same", x);
    x = weft_apply(m, "BatchNormalization", NULL, x);
    x = weft_apply(m, "Activation", "activation=relu", x);
    x = weft_apply(m, "MaxPooling2D", "pool_size=2", x);
    x = weft_apply(m, "SpatialDropout2D", "rate=0.2", x);
    x = weft_apply(m, "AveragePooling2D", "pool_size=2", x);
    x = weft_apply(m, "Dropout", "rate=0.3", weft_apply(m, "Flatten", NULL, x));
    s = weft_apply(m, "LSTM", "units=5 dropout=0.2 recurrent_dropout=0.2", s);
    x = weft_apply(m, "Concatenate", NULL, x, s);
    x = weft_apply(m, "GaussianNoise", "stddev=0.1", x);
    weft_output(m, weft_apply(m, "Dense", "units=3 activation=softmax", x));
    if (weft_model_finish(m)) fail_msg("%s", weft_error());
    return m;
}

/* All variables after a fit with a smaller last batch, one behind the other. */
static float *fitted(const char *device, uint64_t seed, size_t *n)
{
    weft_array x[] = { { { WEFT_F32, 4, { ROWS, 8, 8, 1 } }, image },
                       { { WEFT_F32, 3, { ROWS, 4, 3 } }, steps } },
               y = { { WEFT_F32, 1, { ROWS } }, classes };
    const weft_array *xs[] = { &x[0], &x[1] }, *ys[] = { &y };
    weft_fit_options options = { .epochs = 3, .batch_size = 20, .seed = seed };
    weft_model *m = make_everything();
    weft_session *s = compiled(m, device,
                               "optimizer=Adam(learning_rate=0.01) "
                               "loss=sparse_categorical_crossentropy");
    float *values;
    if (weft_session_fit(s, &(weft_data){ xs, ys, 2, 1 }, &options, NULL))
        fail_msg("%s", weft_error());
    values = learning_values(m, n);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
    return values;
}

static void test_same_bits(void **state)
{
    (void)state;
    random_state = 2;
    for (int i = 0; i < ROWS * 64; i++)
        image[i] = next_random();
    for (int i = 0; i < ROWS * 12; i++)
        steps[i] = next_random();
    for (int i = 0; i < ROWS; i++)
        classes[i] = (float)(i % 3);
    learning_same_bits(&all, fitted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_remembers),
        cmocka_unit_test(test_same_bits),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
