/* What sessions promise: concat that moves nothing, new batch sizes without builds, batch 0,
 * several sessions in several threads, mistakes refused when the model is built. */
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "fixture.h"

static weft_context *ctx;
static devices all;

/* Two convolution paths joined by channel, as in the program P08, and a table beside them. */
static weft_model *make_model(void)
{
    weft_model *m = NULL;
    weft_tensor x, a, b;

    assert_int_equal(weft_model_create(ctx, "paths", &m), WEFT_OK);
    x = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(9, 7, 3));
    a = weft_apply(m, "Conv2D", "filters=4 kernel_size=3 padding=same activation=relu", x);
    b = weft_apply(m, "Conv2D", "filters=6 kernel_size=5 padding=same activation=tanh", x);
    a = weft_apply(m, "Concatenate", "name=join", a, b);
    weft_output(m, weft_apply(m, "Conv2D", "filters=1 kernel_size=1 activation=sigmoid", a));
    if (weft_model_finish(m)) fail_msg("%s", weft_error());
    return m;
}

static weft_array *random_input(int64_t batch)
{
    weft_array *x = NULL;

    assert_int_equal(weft_array_create(&(weft_spec){ WEFT_F32, 4, { batch, 9, 7, 3 } }, &x),
                     WEFT_OK);
    for (uint64_t i = 0; i < weft_array_count(x); i++)
        ((float *)x->data)[i] = (float)(i * 2654435761u % 1000) / 500 - 1;
    return x;
}

static void run_once(weft_session *s, int64_t batch, weft_array **y)
{
    weft_array *x = random_input(batch);

    if (weft_session_run(s, (const weft_array *const *)&x, 1, y, 1)) fail_msg("%s", weft_error());
    weft_array_destroy(&x);
}

static void test_concat_is_free(void **state)
{
    (void)state;
    for (size_t i = 0; *all.id[i]; i++) {
        weft_model *m = make_model();
        weft_session *s = NULL;
        weft_session_stats stats = { .struct_size = sizeof stats };
        weft_array *y = NULL;
        char *text = NULL;
        size_t n = 0;
        FILE *file = open_memstream(&text, &n);

        assert_int_equal(weft_session_create(m, all.id[i], "strict=true", &s), WEFT_OK);
        run_once(s, 3, &y);
        weft_session_get_stats(s, &stats);
        assert_int_equal(stats.concat_bytes_moved, 0);
        if (weft_session_plan(s, 3, WEFT_PLAN_STEPS, file)) fail_msg("%s", weft_error());
        fclose(file);
        if (!strstr(text, "concat join: 0 bytes moved")) fail_msg("%s", text);
        free(text);
        weft_array_destroy(&y);
        weft_session_destroy(&s);
        weft_model_destroy(&m);
    }
}

/* A new batch size re-plans and compiles nothing; the rows that both batches have are the same. */
static void test_batches(void **state)
{
    (void)state;
    for (size_t i = 0; *all.id[i]; i++) {
        weft_model *m = make_model();
        weft_session *s = NULL;
        weft_session_stats before = { .struct_size = sizeof before }, after = before;
        weft_array *y = NULL, *more = NULL, *none = NULL;

        assert_int_equal(weft_session_create(m, all.id[i], "strict=true", &s), WEFT_OK);
        run_once(s, 2, &y);
        weft_session_get_stats(s, &before);
        run_once(s, 5, &more);
        run_once(s, 0, &none);
        weft_session_get_stats(s, &after);
        assert_int_equal(before.builds, after.builds);
        assert_int_equal(before.prologue_runs, after.prologue_runs);
        assert_int_equal(none->spec.dim[0], 0);
        for (uint64_t k = 0; k < weft_array_count(y); k++)
            assert_true(((float *)y->data)[k] - ((float *)more->data)[k] < 1e-6f &&
                        ((float *)more->data)[k] - ((float *)y->data)[k] < 1e-6f);
        weft_array_destroy(&y);
        weft_array_destroy(&more);
        weft_array_destroy(&none);
        weft_session_destroy(&s);
        weft_model_destroy(&m);
    }
}

static void test_new_weights(void **state)
{
    (void)state;
    for (size_t i = 0; *all.id[i]; i++) {
        weft_model *m = make_model();
        weft_session *s = NULL;
        weft_array *y = NULL, *kernel = NULL;
        weft_spec spec;
        uint32_t last = weft_model_n_variables(m) - 2;

        assert_int_equal(weft_session_create(m, all.id[i], NULL, &s), WEFT_OK);
        run_once(s, 1, &y);
        assert_int_equal(weft_model_variable(m, last, NULL, &spec, NULL), WEFT_OK);
        assert_int_equal(weft_array_create(&spec, &kernel), WEFT_OK);
        assert_int_equal(weft_model_set_variable(m, last, kernel),
                         WEFT_OK); /* zeros: sigmoid(0 + bias 0) */
        run_once(s, 1, &y);
        for (uint64_t k = 0; k < weft_array_count(y); k++)
            assert_true(((float *)y->data)[k] == 0.5f);
        weft_array_destroy(&kernel);
        weft_array_destroy(&y);
        weft_session_destroy(&s);
        weft_model_destroy(&m);
    }
}

typedef struct job {
    weft_model *m;
    const char *device;
    weft_array *y;
    weft_status st;
    char text[512];
} job;

static void *work(void *user)
{
    job *j = user;
    weft_session *s = NULL;

    j->st = weft_session_create(j->m, j->device, NULL, &s);
    for (int k = 0; !j->st && k < 4; k++) {
        weft_array *x = random_input(1 + k);

        weft_array_destroy(&j->y);
        j->st = weft_session_run(s, (const weft_array *const *)&x, 1, &j->y, 1);
        weft_array_destroy(&x);
    }
    if (j->st) snprintf(j->text, sizeof j->text, "%s", weft_error());
    weft_session_destroy(&s);
    return NULL;
}

static void test_threads(void **state)
{
    weft_model *m = make_model();
    pthread_t thread[6];
    job jobs[6];
    size_t n = 0;

    (void)state;
    while (*all.id[n])
        n++;
    for (size_t i = 0; i < 6; i++) {
        jobs[i] = (job){ .m = m, .device = all.id[i % n] };
        assert_int_equal(pthread_create(&thread[i], NULL, work, &jobs[i]), 0);
    }
    for (size_t i = 0; i < 6; i++) {
        pthread_join(thread[i], NULL);
        if (jobs[i].st) fail_msg("%s: %s", jobs[i].device, jobs[i].text);
        assert_true(array_difference(jobs[i].y, jobs[0].y) < 1e-5);
    }
    for (size_t i = 0; i < 6; i++)
        weft_array_destroy(&jobs[i].y);
    weft_model_destroy(&m);
}

/* The model cannot be finished, and the text holds the words. */
static void expect_refusal(weft_model *m, weft_tensor y, const char *words)
{
    weft_status st = weft_output(m, y);

    if (!st) st = weft_model_finish(m);
    assert_int_not_equal(st, WEFT_OK);
    if (!holds_words(weft_error(), words))
        fail_msg("the text lacks \"%s\":\n%s", words, weft_error());
    weft_model_destroy(&m);
}

/* Published answers to two questions of Keras users, both wrong: each must fail where it is
 * written. */
static void test_mistakes(void **state)
{
    weft_model *m = NULL;
    weft_tensor a, b;
    weft_spec one = { WEFT_F32, 2, { 1, 8 } };

    (void)state;
    assert_int_equal(weft_model_create(ctx, "axis", &m), WEFT_OK);
    a = weft_input(m, "left", WEFT_F32, WEFT_SHAPE(64, 64, 32));
    b = weft_input(m, "right", WEFT_F32, WEFT_SHAPE(64, 32, 32));
    expect_refusal(m, weft_apply(m, "Concatenate", "name=join axis=1", a, b),
                   "join|axis 2|64|32|left|right|axis 1");

    m = NULL;
    assert_int_equal(weft_model_create(ctx, "batch", &m), WEFT_OK);
    a = weft_input_spec(m, "fixed", &one);
    b = weft_input(m, "samples", WEFT_F32, WEFT_SHAPE(32));
    expect_refusal(m, weft_apply(m, "Concatenate", "name=join", a, b),
                   "join|(1, 8)|(None, 32)|batch|RepeatBatch");
}

/* The right way: the one row is repeated to the batch at run time. */
static void test_repeat_batch(void **state)
{
    (void)state;
    for (size_t i = 0; *all.id[i]; i++) {
        weft_model *m = NULL;
        weft_session *s = NULL;
        weft_array *x[2] = { NULL, NULL }, *y = NULL;
        weft_tensor a, b;

        assert_int_equal(weft_model_create(ctx, "repeat", &m), WEFT_OK);
        a = weft_input_spec(m, "fixed", &(weft_spec){ WEFT_F32, 2, { 1, 8 } });
        b = weft_input(m, "samples", WEFT_F32, WEFT_SHAPE(32));
        a = weft_apply(m, "RepeatBatch", NULL, a, b);
        weft_output(m, weft_apply(m, "Concatenate", NULL, a, b));
        if (weft_model_finish(m)) fail_msg("%s", weft_error());
        assert_int_equal(weft_array_create(&(weft_spec){ WEFT_F32, 2, { 1, 8 } }, &x[0]), WEFT_OK);
        assert_int_equal(weft_array_create(&(weft_spec){ WEFT_F32, 2, { 3, 32 } }, &x[1]), WEFT_OK);
        for (int k = 0; k < 8; k++)
            ((float *)x[0]->data)[k] = (float)k + 1;
        assert_int_equal(weft_session_create(m, all.id[i], NULL, &s), WEFT_OK);
        if (weft_session_run(s, (const weft_array *const *)x, 2, &y, 1))
            fail_msg("%s", weft_error());
        assert_int_equal(y->spec.dim[0], 3);
        assert_int_equal(y->spec.dim[1], 40);
        for (int row = 0; row < 3; row++)
            for (int k = 0; k < 40; k++)
                assert_true(((float *)y->data)[row * 40 + k] == (k < 8 ? (float)k + 1 : 0));
        weft_array_destroy(&y);
        weft_array_destroy(&x[0]);
        weft_array_destroy(&x[1]);
        weft_session_destroy(&s);
        weft_model_destroy(&m);
    }
}

/* The error names the layer, what is wrong and what would do; no model is finished. */
static void expect_mistake(const char *cls, const char *attrs, const char *words)
{
    weft_model *m = NULL;
    weft_tensor x;

    assert_int_equal(weft_model_create(ctx, "wrong", &m), WEFT_OK);
    x = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(7));
    weft_output(m, weft_apply(m, cls, attrs, x, x));
    assert_int_not_equal(weft_model_finish(m), WEFT_OK);
    if (!holds_words(weft_error(), words))
        fail_msg("%s: \"%s\" lacks \"%s\"", attrs, weft_error(), words);
    weft_model_destroy(&m);
}

static void test_mistakes_name_the_layer(void **state)
{
    (void)state;
    expect_mistake("Dense", "name=head unit=3",
                   "layer \"head\" (Dense): |\"unit\"; did you mean \"units\"? It knows units");
    expect_mistake("Dense", "name=head units=no", "layer \"head\" (Dense): |units must be");
    expect_mistake("Dense", "name=x units=3", "layer \"x\" (Dense): |two parts named \"x\"");
    expect_mistake(
        "Concatenate", "name=join axis=9",
        "layer \"join\" (Concatenate): axis is 9|its inputs are \"x\" (input) (None, 7)");
    expect_mistake(NULL, "name=head", "layer \"head\"|its class is NULL");
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_concat_is_free),
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_new_weights),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_repeat_batch),
        cmocka_unit_test(test_mistakes_name_the_layer),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
