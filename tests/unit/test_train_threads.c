/* One session trains, while other threads predict with sessions of their own, read weights or
 * reset the state: they see whole variables, and there is no data race (under the
 * thread sanitizer). */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "train_harness.h"

enum { ROWS = 8, F = 2, STEPS = 60 };

/* What a thread works on. */
typedef struct worker {
    pthread_t thread;
    weft_model *model;
    const char *device;
    atomic_int *stop;
    int turns;
    char wrong[512];
} worker;

static int failed(worker *w, weft_status st, const char *what)
{
    if (st) snprintf(w->wrong, sizeof w->wrong, "%s: %.400s", what, weft_error());
    return st != WEFT_OK;
}

/* All weights start equal and get the same gradient, so they are equal after every step. */
static int torn(const float *w, int n)
{
    for (int i = 1; i < n; i++)
        if (memcmp(&w[i], &w[0], sizeof *w) != 0) return 1;
    return 0;
}

static void *read_weights(void *user)
{
    worker *w = user;
    while (!atomic_load(w->stop) && !*w->wrong) {
        float kernel[F * 4], mean[4];
        weft_array k = train_array(kernel, F32(F, 4)), m = train_array(mean, F32(4));
        if (failed(w, weft_model_get_variable(w->model, 0, &k), "kernel")) break;
        if (failed(w, weft_model_get_variable(w->model, 4, &m), "mean")) break;
        if (torn(kernel, F * 4) || torn(mean, 4)) snprintf(w->wrong, sizeof w->wrong, "torn");
        w->turns++;
    }
    return NULL;
}

static void *predict(void *user)
{
    worker *w = user;
    weft_session *s = NULL;
    float in[ROWS * F];
    weft_array x = train_array(in, F32(ROWS, F)), *y = NULL;
    const weft_array *xs[] = { &x };
    for (int i = 0; i < ROWS * F; i++)
        in[i] = 1;
    if (failed(w, weft_session_create(w->model, w->device, NULL, &s), "create")) return NULL;
    while (!atomic_load(w->stop) && !*w->wrong) {
        if (failed(w, weft_session_run(s, xs, 1, &y, 1), "run")) break;
        if (torn(y->data, ROWS)) snprintf(w->wrong, sizeof w->wrong, "rows differ");
        weft_array_destroy(&y);
        w->turns++;
    }
    weft_session_destroy(&s);
    return NULL;
}

static weft_model *make(void)
{
    weft_model *m = train_model("threads", 1);
    weft_tensor x = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(F));
    x = weft_apply(m, "Dense", "units=4 kernel_initializer=ones name=a", x);
    x = weft_apply(m, "BatchNormalization", "name=bn", x);
    x = weft_apply(m, "Dropout", "rate=0.0", x);
    weft_output(m, weft_apply(m, "Dense", "units=1 kernel_initializer=ones name=b", x));
    return train_finished(m);
}

static void begin(worker *w, void *(*work)(void *), weft_model *m, const char *device,
                  atomic_int *stop)
{
    *w = (worker){ .model = m, .device = device, .stop = stop };
    assert_int_equal(pthread_create(&w->thread, NULL, work, w), 0);
}

static void train(weft_session *s, int n)
{
    float in[ROWS * F], out[ROWS];
    weft_array x = train_array(in, F32(ROWS, F)), y = train_array(out, F32(ROWS, 1));
    weft_logs logs;
    for (int i = 0; i < ROWS; i++) {
        in[F * i] = in[F * i + 1] = (float)i / ROWS;
        out[i] = (float)(i % 3);
    }
    for (int i = 0; i < n; i++)
        train_step(s, &x, &y, i % 3 ? NULL : &logs);
}

static void test_one_trains_others_look(void **state)
{
    (void)state;
    for (int d = 0; train_device[d]; d++) {
        atomic_int stop = 0;
        worker w[4];
        weft_model *m = make();
        weft_session *s =
            train_compiled(m, train_device[d], "optimizer=Adam(learning_rate=0.01) loss=mse");
        assert_int_equal(train_variable(m, "bn/moving_mean"), 4);
        train(s, 1);
        begin(&w[0], read_weights, m, NULL, &stop);
        begin(&w[1], read_weights, m, NULL, &stop);
        begin(&w[2], predict, m, "cpu", &stop);
        begin(&w[3], predict, m, train_device[d], &stop);
        train(s, STEPS);
        weft_session_destroy(&s); /* whose values come home while others ask for them */
        s = train_compiled(m, train_device[d], "optimizer=sgd loss=mse");
        train(s, STEPS / 4);
        if (weft_session_compile(s, "optimizer=Adam(learning_rate=0.01) loss=mse metrics=mae"))
            fail_msg("%s", weft_error());
        train(s, STEPS / 4);
        atomic_store(&stop, 1);
        for (int i = 0; i < 4; i++)
            pthread_join(w[i].thread, NULL);
        for (int i = 0; i < 4; i++) {
            printf("%s, thread %d: %d turns\n", train_device[d], i, w[i].turns);
            if (*w[i].wrong) fail_msg("thread %d: %s", i, w[i].wrong);
        }
        weft_session_destroy(&s);
        weft_model_destroy(&m);
    }
}

/* State that another thread resets: a step reads it as it was or as zeros, never in between. */
static void *reset(void *user)
{
    worker *w = user;
    for (; !atomic_load(w->stop) && !*w->wrong; w->turns++)
        failed(w, weft_model_reset_state(w->model), "reset");
    return NULL;
}

static void test_reset_by_another(void **state)
{
    float in[2 * 3 * F] = { 1, 1, 1 }, out[2 * 4] = { 0 };
    weft_array x = train_array(in, F32(2, 3, F)), y = train_array(out, F32(2, 4));
    atomic_int stop = 0;
    worker w;
    weft_model *m = train_model("stateful", 1);
    (void)state;
    weft_output(m,
                weft_apply(m, "LSTM", "units=4 stateful=true", weft_input_spec(m, "x", &x.spec)));
    train_finished(m);
    weft_session *s = train_compiled(m, "cpu", "optimizer=sgd loss=mse");
    begin(&w, reset, m, NULL, &stop);
    for (int i = 0; i < STEPS; i++)
        train_step(s, &x, &y, NULL);
    atomic_store(&stop, 1);
    pthread_join(w.thread, NULL);
    if (*w.wrong) fail_msg("%s", w.wrong);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_trains_others_look),
        cmocka_unit_test(test_reset_by_another),
    };
    return cmocka_run_group_tests(tests, train_setup, train_teardown);
}
