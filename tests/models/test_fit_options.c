/* What fit and evaluate promise, on a small model: the same weights as by steps, means over all
 * samples, the validation apart from the training, stopping, and mistakes told before any work. */
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "fixture.h"

enum { N = 21, WEIGHTS = 4 };

static weft_context *ctx;
static weft_model *m;
static weft_session *s;
static float x_values[N][3], y_values[N][1];
static weft_array x_array = { { WEFT_F32, 2, { N, 3 } }, x_values };
static weft_array y_array = { { WEFT_F32, 2, { N, 1 } }, y_values };
static const weft_array *x_list = &x_array, *y_list = &y_array;
static const weft_data data = { &x_list, &y_list, 1, 1 };

/* y = x w + b, from the same weights every time. */
static int fresh(void **state)
{
    static float kernel[3][1] = { { 0.5f }, { -0.25f }, { 1 } };
    const weft_array array = { { WEFT_F32, 2, { 3, 1 } }, kernel };

    (void)state;
    if (weft_model_create(ctx, "line", &m)) return -1;
    weft_output(
        m, weft_apply(m, "Dense", "name=out units=1", weft_input(m, "x", WEFT_F32, WEFT_SHAPE(3))));
    if (weft_model_finish(m) || weft_model_set_variable(m, 0, &array)) return -1;
    return weft_session_create(m, "cpu", NULL, &s) ||
           weft_session_compile(s, "optimizer=SGD(learning_rate=0.05 momentum=0.5) loss=mse "
                                   "metrics=mae");
}

static int done(void **state)
{
    (void)state;
    weft_session_destroy(&s);
    weft_model_destroy(&m);
    return 0;
}

static int again(void)
{
    done(NULL);
    return fresh(NULL);
}

static void read_weights(float weights[WEIGHTS])
{
    weft_array kernel = { { WEFT_F32, 2, { 3, 1 } }, weights };
    weft_array bias = { { WEFT_F32, 1, { 1 } }, weights + 3 };

    assert_int_equal(weft_model_get_variable(m, 0, &kernel), WEFT_OK);
    assert_int_equal(weft_model_get_variable(m, 1, &bias), WEFT_OK);
}

/* Samples [first, first + n) of the data. */
typedef struct part {
    weft_array x, y;
    const weft_array *x_list, *y_list;
    weft_data data;
} part;
static const weft_data *take(part *p, int first, int n)
{
    p->x = (weft_array){ { WEFT_F32, 2, { n, 3 } }, x_values[first] };
    p->y = (weft_array){ { WEFT_F32, 2, { n, 1 } }, y_values[first] };
    p->x_list = &p->x;
    p->y_list = &p->y;
    p->data = (weft_data){ &p->x_list, &p->y_list, 1, 1 };
    return &p->data;
}

/* mse and mae of samples, in double, for the weights that the model has now. */
static void measure(int first, int n, double *mse, double *mae)
{
    float w[WEIGHTS];

    read_weights(w);
    *mse = *mae = 0;
    for (int i = first; i < first + n; i++) {
        double y = (double)w[3];

        for (int k = 0; k < 3; k++)
            y += (double)x_values[i][k] * (double)w[k];
        y -= (double)y_values[i][0];
        *mse += y * y / n;
        *mae += fabs(y) / n;
    }
}

/* f32 sums of N numbers of one sign: N roundings and those of a product of three. */
static void is_close(double value, double expected)
{
    if (!(fabs(value - expected) <= (N + 8) * 0x1p-23 * fabs(expected)))
        fail_msg("%.9g, not %.9g", value, expected);
}

static void refuses(weft_status st, const char *words)
{
    assert_int_not_equal(st, WEFT_OK);
    if (!holds_words(weft_error(), words))
        fail_msg("the text lacks \"%s\":\n%s", words, weft_error());
}

static void test_steps(void **state)
{
    weft_fit_options options = { .epochs = 3, .batch_size = 8, .keep_order = 1 };
    float fitted[WEIGHTS], stepped[WEIGHTS];
    weft_logs logs;
    part p;

    (void)state;
    assert_int_equal(weft_session_fit(s, &data, &options, &logs), WEFT_OK);
    read_weights(fitted);
    assert_int_equal(again(), 0);
    for (int epoch = 0; epoch < 3; epoch++)
        for (int first = 0; first < N; first += 8)
            assert_int_equal(
                weft_session_train_step(s, take(&p, first, N - first < 8 ? N - first : 8), NULL),
                WEFT_OK);
    read_weights(stepped);
    assert_memory_equal(fitted, stepped, sizeof fitted);
    assert_int_equal(logs.n, 2);
    assert_string_equal(logs.name[0], "loss");
}

/* Partial batches weigh as much as they have samples. */
static void test_evaluate(void **state)
{
    static const uint64_t sizes[] = { 0, 1, 4, 8, 20, 21, 1000 };
    double mse, mae;
    float before[WEIGHTS], after[WEIGHTS];
    weft_logs logs;

    (void)state;
    read_weights(before);
    measure(0, N, &mse, &mae);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_int_equal(weft_session_evaluate(s, &data, sizes[i], &logs), WEFT_OK);
        assert_int_equal(logs.n, 2);
        is_close(logs.value[0], mse);
        is_close(logs.value[1], mae);
    }
    read_weights(after);
    assert_memory_equal(before, after, sizeof before);
}

/* The last samples validate, and do not train; the logs of both are apart. */
static void test_split(void **state)
{
    weft_fit_options options = { .epochs = 2, .batch_size = 4, .seed = 3, .validation_split = 0.3 };
    double mse, mae;
    float split[WEIGHTS], apart[WEIGHTS];
    weft_logs logs, alone;
    part first, last;

    (void)state;
    assert_int_equal(weft_session_fit(s, &data, &options, &logs), WEFT_OK);
    read_weights(split);
    assert_int_equal(logs.n, 4);
    assert_string_equal(logs.name[2], "val_loss");
    measure(14, 7, &mse, &mae);
    is_close(logs.value[2], mse);
    is_close(logs.value[3], mae);

    assert_int_equal(again(), 0);
    options.validation_split = 0;
    options.validation = take(&last, 14, 7);
    assert_int_equal(weft_session_fit(s, take(&first, 0, 14), &options, &alone), WEFT_OK);
    read_weights(apart);
    assert_memory_equal(split, apart, sizeof split);
    assert_memory_equal(&logs, &alone, offsetof(weft_logs, value));
    for (int i = 0; i < 4; i++)
        assert_true(logs.value[i] == alone.value[i]);
}

typedef struct calls {
    uint32_t n, stop_at;
    weft_status st;
    double loss[8];
} calls;
static weft_status on_epoch(void *user, weft_epoch *epoch)
{
    calls *c = user;

    assert_int_equal(epoch->number, c->n + 1);
    assert_int_equal(epoch->epochs, 5);
    assert_true(epoch->seconds >= 0);
    c->loss[c->n++] = epoch->logs->value[0];
    epoch->stop = c->n == c->stop_at;
    return c->n == 3 ? c->st : WEFT_OK;
}

static void test_stop(void **state)
{
    calls c = { 0 };
    weft_fit_options options = { .epochs = 5, .on_epoch = on_epoch, .user = &c };
    weft_logs logs;

    (void)state;
    assert_int_equal(weft_session_fit(s, &data, &options, &logs), WEFT_OK);
    assert_int_equal(c.n, 5);
    assert_true(logs.value[0] == c.loss[4]);
    assert_true(c.loss[4] < c.loss[0]);

    c = (calls){ .stop_at = 2 };
    assert_int_equal(weft_session_fit(s, &data, &options, &logs), WEFT_OK);
    assert_int_equal(c.n, 2);
    assert_true(logs.value[0] == c.loss[1]);

    c = (calls){ .st = WEFT_E_IO };
    refuses(weft_session_fit(s, &data, &options, &logs),
            "fit: on_epoch ended it after epoch 3: file");
    assert_int_equal(c.n, 3);
    assert_true(logs.value[0] != c.loss[2]); /* a fit that failed leaves the logs alone */

    c = (calls){ 0 }; /* and the session can go on */
    assert_int_equal(weft_session_fit(s, &data, &options, &logs), WEFT_OK);
    assert_int_equal(c.n, 5);
}

/* A flag, as of a signal handler: set in the second epoch, it ends the fit before the next one. */
static volatile sig_atomic_t stop_flag;

static weft_status raise_flag(void *user, weft_epoch *epoch)
{
    *(uint32_t *)user = epoch->number;
    stop_flag = epoch->number == 2;
    return WEFT_OK;
}

static void test_stop_flag(void **state)
{
    uint32_t epochs = 0;
    weft_fit_options options = {
        .epochs = 5, .keep_order = 1, .on_epoch = raise_flag, .user = &epochs, .stop = &stop_flag
    };
    float two[WEIGHTS], stopped[WEIGHTS];
    weft_logs logs, of_two;

    (void)state;
    assert_int_equal(
        weft_session_fit(s, &data, &(weft_fit_options){ .epochs = 2, .keep_order = 1 }, &of_two),
        WEFT_OK);
    read_weights(two);
    assert_int_equal(again(), 0);
    stop_flag = 0;
    assert_int_equal(weft_session_fit(s, &data, &options, &logs), WEFT_OK);
    assert_int_equal(epochs, 2);
    assert_true(logs.value[0] == of_two.value[0]);
    read_weights(stopped);
    assert_memory_equal(stopped, two, sizeof two);
    stop_flag = 1; /* not a batch, and no logs */
    assert_int_equal(weft_session_fit(s, &data, &options, &logs), WEFT_OK);
    assert_int_equal(logs.n, 0);
    read_weights(stopped);
    assert_memory_equal(stopped, two, sizeof two);
}

static void test_lines(void **state)
{
    char *text = NULL;
    size_t n = 0;
    FILE *file = open_memstream(&text, &n);
    weft_fit_options options = { .epochs = 2, .batch_size = 4, .progress = file };
    weft_logs logs;

    (void)state;
    assert_int_equal(weft_session_fit(s, &data, &options, &logs), WEFT_OK);
    fclose(file);
    if (!holds_words(text, "Epoch 1/2\n6/6 - |s/step - loss: |mae: |Epoch 2/2\n6/6 - "))
        fail_msg("%s", text);
    free(text);
}

static void test_refused(void **state)
{
    static const double splits[] = { -0.1, 1, 2, (double)NAN, (double)INFINITY };
    float before[WEIGHTS], after[WEIGHTS];
    weft_session *other = NULL;
    weft_logs logs;
    part none, one, two;

    (void)state;
    read_weights(before);
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++)
        refuses(
            weft_session_fit(s, &data, &(weft_fit_options){ .validation_split = splits[i] }, NULL),
            "fit: validation_split is |from 0 to below 1");
    refuses(
        weft_session_fit(s, take(&one, 0, 1), &(weft_fit_options){ .validation_split = 0.5 }, NULL),
        "validation_split of 0.5 leaves none of 1 samples to train with");
    refuses(weft_session_fit(s, take(&two, 0, 2), &(weft_fit_options){ .validation_split = 1e-17 },
                             NULL),
            "leaves none of 2 samples to validate with");
    refuses(weft_session_fit(s, &data,
                             &(weft_fit_options){ .validation_split = 0.5, .validation = &data },
                             NULL),
            "give one of the two");
    refuses(weft_session_fit(s, take(&none, 0, 0), NULL, NULL), "fit: there are no samples");
    refuses(weft_session_fit(s, &data, &(weft_fit_options){ .validation = &none.data }, NULL),
            "fit: validation: there are no samples");
    refuses(weft_session_evaluate(s, &none.data, 0, &logs), "evaluate: there are no samples");
    refuses(weft_session_fit(NULL, &data, NULL, NULL), "needs a session and data");
    refuses(weft_session_fit(s, NULL, NULL, NULL), "needs a session and data");
    refuses(weft_session_evaluate(s, &data, 0, NULL), "somewhere to put the logs");
    assert_int_equal(weft_session_create(m, "cpu", NULL, &other), WEFT_OK);
    refuses(weft_session_fit(other, &data, NULL, NULL), "not compiled|weft_session_compile");
    refuses(weft_session_evaluate(other, &data, 0, &logs), "not compiled|weft_session_compile");
    weft_session_destroy(&other);
    read_weights(after);
    assert_memory_equal(before, after, sizeof before);
}

/* An input without a batch has no samples to cut. */
static void test_fixed_input(void **state)
{
    static float one[1][3] = { { 1, 2, 3 } };
    const weft_array fixed = { { WEFT_F32, 2, { 1, 3 } }, one };
    const weft_array *inputs[] = { &fixed, &x_array };
    const weft_data both = { inputs, &y_list, 2, 1 };
    weft_model *model = NULL;
    weft_session *session = NULL;
    weft_logs logs;
    weft_tensor a, b;

    (void)state;
    assert_int_equal(weft_model_create(ctx, "fixed", &model), WEFT_OK);
    a = weft_input_spec(model, "one", &(weft_spec){ WEFT_F32, 2, { 1, 3 } });
    b = weft_input(model, "x", WEFT_F32, WEFT_SHAPE(3));
    a = weft_apply(model, "Concatenate", NULL, weft_apply(model, "RepeatBatch", NULL, a, b), b);
    weft_output(model, weft_apply(model, "Dense", "units=1", a));
    if (weft_model_finish(model) || weft_session_create(model, "cpu", NULL, &session) ||
        weft_session_compile(session, "optimizer=sgd loss=mse"))
        fail_msg("%s", weft_error());
    refuses(weft_session_fit(session, &both, NULL, NULL),
            "input 0 cannot be cut into batches|first dimension is 1|21 samples|train_step");
    refuses(weft_session_evaluate(session, &both, 0, &logs), "evaluate: input 0 cannot be cut");
    weft_session_destroy(&session);
    weft_model_destroy(&model);
}

/* Names of outputs that begin alike, too long for a log: each log has a name of its own, also
 * behind "val_", that still says what it is. And what is refused of several outputs. */
static void test_long_names(void **state)
{
    enum { LENGTH = 80 };
    const weft_array y = { { WEFT_F32, 2, { N, 1 } }, y_values };
    const weft_array *targets[] = { &y, &y };
    const weft_data both = { &x_list, targets, 1, 2 };
    weft_model *model = NULL;
    weft_session *session = NULL;
    weft_logs logs;
    char name[LENGTH + 1], attrs[256];

    (void)state;
    assert_int_equal(weft_model_create(ctx, "long", &model), WEFT_OK);
    weft_tensor x = weft_input(model, "x", WEFT_F32, WEFT_SHAPE(3));
    for (int i = 0; i < 2; i++) {
        memset(name, 'a', LENGTH);
        name[LENGTH - 1] = (char)('p' + i);
        name[LENGTH] = 0;
        snprintf(attrs, sizeof attrs, "units=1 name=%s", name);
        weft_output(model, weft_apply(model, "Dense", attrs, x));
    }
    if (weft_model_finish(model) || weft_session_create(model, "cpu", NULL, &session) ||
        weft_session_compile(session, "optimizer=sgd loss=mse metrics=(mae,mse)") ||
        weft_session_evaluate(session, &both, 0, &logs))
        fail_msg("%s", weft_error());
    assert_int_equal(logs.n, 7);
    assert_true(holds_words(logs.name[1], "aaaa..0_loss") && holds_words(logs.name[2], "..1_loss"));
    assert_true(holds_words(logs.name[3], "..0_mae") && holds_words(logs.name[6], "..1_mse"));
    for (uint32_t i = 0; i < logs.n; i++)
        assert_true(strlen(logs.name[i]) + strlen("val_") < sizeof logs.name[i]);
    refuses(weft_session_compile(session, "loss=mse metrics=(mae,mae)"), "_mae|twice");
    refuses(weft_session_compile(session, "loss=mse loss_weights=(1,inf)"), "finite|inf");
    refuses(weft_session_compile(session, "loss=mse loss_weights=(nan,1)"), "finite|nan");
    weft_session_destroy(&session);
    weft_model_destroy(&model);
}

static int setup(void **state)
{
    (void)state;
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < 3; k++)
            x_values[i][k] = (float)((i * 7 + k * 5) % 11) / 11;
        y_values[i][0] = 2 * x_values[i][0] - x_values[i][1] + 0.25f;
    }
    return weft_context_create(NULL, &ctx);
}

static int teardown(void **state)
{
    (void)state;
    weft_context_destroy(&ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_steps, fresh, done),
        cmocka_unit_test_setup_teardown(test_evaluate, fresh, done),
        cmocka_unit_test_setup_teardown(test_split, fresh, done),
        cmocka_unit_test_setup_teardown(test_stop, fresh, done),
        cmocka_unit_test_setup_teardown(test_stop_flag, fresh, done),
        cmocka_unit_test_setup_teardown(test_lines, fresh, done),
        cmocka_unit_test_setup_teardown(test_refused, fresh, done),
        cmocka_unit_test_setup_teardown(test_fixed_input, fresh, done),
        cmocka_unit_test(test_long_names),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
