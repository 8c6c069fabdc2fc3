/* Every allocation of compiling a session and of a step of training fails once: an error or the
 * right result each time, nothing is lost, and the same session then trains as if nothing had
 * been. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/alloc.h"
#include "train_harness.h"

enum { ROWS = 6, STEPS = 3, F = 2 };
static float x[ROWS * STEPS * F], y[ROWS];

/* LSTM -> BatchNormalization -> Dropout -> Dense: loops, assigned variables, random numbers. */
static weft_model *make(void)
{
    weft_model *m = train_model("alloc", 1);
    weft_tensor t = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(STEPS, F));
    t = weft_apply(m, "LSTM", "units=3 recurrent_dropout=0.2", t);
    t = weft_apply(m, "BatchNormalization", NULL, t);
    t = weft_apply(m, "Dropout", "rate=0.5", t);
    weft_output(m, weft_apply(m, "Dense", "units=1 name=d", t));
    return train_finished(m);
}

static weft_status compile(weft_session *s)
{
    return weft_session_compile(s, "optimizer=Adam(learning_rate=0.1) loss=mse metrics=mae");
}

static weft_status step(weft_session *s, weft_logs *logs)
{
    weft_array ax = train_array(x, F32(ROWS, STEPS, F)), ay = train_array(y, F32(ROWS, 1));
    const weft_array *xs[] = { &ax }, *ys[] = { &ay };
    return weft_session_train_step(s, &(weft_data){ xs, ys, 1, 1 }, logs);
}

static int setup(void **state)
{
    for (int i = 0; i < ROWS * STEPS * F; i++)
        x[i] = (float)((i * 37) % 19) / 10 - 0.9f;
    for (int i = 0; i < ROWS; i++)
        y[i] = (float)(i % 3);
    return train_setup(state);
}

/* The kernel after a step without failures. */
static void truth(float *kernel)
{
    weft_model *m = make();
    weft_session *s = NULL;
    weft_logs logs;
    assert_int_equal(weft_session_create(m, "cpu", NULL, &s), WEFT_OK);
    if (compile(s) || step(s, &logs)) fail_msg("%s", weft_error());
    train_read(m, "d/kernel", kernel);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

/* With the n-th allocation failing, then once more if that was an error; 1 if it was none. */
static int attempt(uint64_t n, const float *want)
{
    size_t live = weft__alloc_live();
    float kernel[3];
    weft_model *m = make();
    weft_session *s = NULL;
    weft_logs logs;
    assert_int_equal(weft_session_create(m, "cpu", NULL, &s), WEFT_OK);
    weft__alloc_fail_at(n);
    weft_status st = compile(s);
    if (!st) st = step(s, &logs);
    weft__alloc_fail_at(0);
    if (st) {
        if (st != WEFT_E_NOMEM && !strstr(weft_error(), "no memory"))
            fail_msg("allocation %d: %s", (int)n, weft_error());
        st = compile(s);
        if (!st) st = step(s, &logs);
        if (st) fail_msg("allocation %d: the next attempt fails: %s", (int)n, weft_error());
        st = WEFT_E_NOMEM;
    }
    train_read(m, "d/kernel", kernel);
    if (memcmp(kernel, want, sizeof kernel) != 0)
        fail_msg("allocation %d: the next attempt trains something else: %.9g, want %.9g", (int)n,
                 (double)kernel[0], (double)want[0]);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
    if (weft__alloc_live() != live)
        fail_msg("allocation %d: %d pieces of memory are lost", (int)n,
                 (int)(weft__alloc_live() - live));
    return !st;
}

static void test_each_fails_once(void **state)
{
    float want[3];
    int quiet = 0, failed = 0;
    (void)state;
    truth(want);
    /* some do without (a value is not written where it would save a copy): so a few in a row */
    for (uint64_t n = 1; quiet < 20; n += n < 300 ? 1 : 1 + n / 60) {
        int done = attempt(n, want);
        failed += !done;
        quiet = done ? quiet + 1 : 0;
    }
    printf("%d attempts failed\n", failed);
    assert_true(failed > 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_each_fails_once) };
    return cmocka_run_group_tests(tests, setup, train_teardown);
}
