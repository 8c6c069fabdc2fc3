/* Learning: the model of examples/digits, with two inputs, from its initial weights to 97 % of the
 * test pictures, on every device; and twice the same seed gives the same bits. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "fixture.h"

#define DIGITS WEFT_TEST_DATA "/../../examples/digits/"
enum { MAX_EPOCHS = 20 }; /* Keras needs 8 to 13 of them, by the seed */
static const double wanted = 0.97;

static weft_context *ctx;
static devices all;
static weft_array *train[3], *test[3]; /* image, table, labels */
static weft_data train_data, test_data;

static weft_tensor convolve(weft_model *m, const char *attrs, weft_tensor x)
{
    return weft_apply(m, "MaxPooling2D", "pool_size=2", weft_apply(m, "Conv2D", attrs, x));
}

static weft_model *make_model(uint64_t seed)
{
    weft_model *m = NULL;
    weft_tensor image, table, x;

    assert_int_equal(weft_model_create(ctx, "digits", &m), WEFT_OK);
    assert_int_equal(weft_model_set_seed(m, seed), WEFT_OK);
    image = weft_input(m, "image", WEFT_F32, WEFT_SHAPE(8, 8, 1));
    table = weft_input(m, "table", WEFT_F32, WEFT_SHAPE(24));
    x = convolve(m, "filters=16 kernel_size=3 padding=same activation=relu", image);
    x = convolve(m, "filters=32 kernel_size=3 padding=same activation=relu", x);
    x = weft_apply(m, "Dense", "units=32 activation=relu", weft_apply(m, "Flatten", NULL, x));
    table = weft_apply(m, "Dense", "units=32 activation=relu", table);
    x = weft_apply(m, "Concatenate", NULL, x, table);
    x = weft_apply(m, "Dense", "units=32 activation=relu", x);
    weft_output(m, weft_apply(m, "Dense", "name=digit units=10 activation=softmax", x));
    if (weft_model_finish(m)) fail_msg("%s", weft_error());
    return m;
}

static weft_session *compiled(weft_model *m, const char *device)
{
    weft_session *s = NULL;

    if (weft_session_create(m, device, "strict=true", &s) ||
        weft_session_compile(s, "optimizer=Adam(learning_rate=0.003) metrics=accuracy "
                                "loss=sparse_categorical_crossentropy"))
        fail_msg("%s: %s", device, weft_error());
    return s;
}

typedef struct learning {
    weft_session *session;
    weft_logs logs; /* of the test pictures */
} learning;

/* Stops where the test pictures are told well enough. */
static weft_status look(void *user, weft_epoch *epoch)
{
    learning *l = user;
    weft_status st = weft_session_evaluate(l->session, &test_data, 100, &l->logs);

    assert_string_equal(l->logs.name[1], "accuracy");
    printf("    epoch %2u: training %.4f, test %.4f\n", (unsigned)epoch->number,
           epoch->logs->value[1], l->logs.value[1]);
    epoch->stop = l->logs.value[1] >= wanted;
    return st;
}

static void test_learns(void **state)
{
    (void)state;
    for (size_t i = 0; *all.id[i]; i++) {
        weft_model *m = make_model(1);
        learning l = { .session = compiled(m, all.id[i]) };
        weft_fit_options options = {
            .epochs = MAX_EPOCHS, .seed = 1, .on_epoch = look, .user = &l
        };

        printf("%s\n", all.id[i]);
        if (weft_session_evaluate(l.session, &test_data, 0, &l.logs)) fail_msg("%s", weft_error());
        assert_true(l.logs.value[1] < 0.3); /* nothing is known yet */
        if (weft_session_fit(l.session, &train_data, &options, NULL))
            fail_msg("%s: %s", all.id[i], weft_error());
        assert_true(l.logs.value[1] >= wanted);
        weft_session_destroy(&l.session);
        weft_model_destroy(&m);
    }
}

/* All weights after two epochs, one behind the other. */
static float *train_weights(const char *device, uint64_t seed, size_t *n)
{
    weft_model *m = make_model(1);
    weft_session *s = compiled(m, device);
    weft_fit_options options = { .epochs = 2, .seed = seed };
    float *weights = NULL;

    if (weft_session_fit(s, &train_data, &options, NULL)) fail_msg("%s", weft_error());
    weft_session_destroy(&s);
    *n = 0;
    for (uint32_t i = 0; i < weft_model_n_variables(m); i++) {
        weft_array a = { .data = NULL };

        assert_int_equal(weft_model_variable(m, i, NULL, &a.spec, NULL), WEFT_OK);
        assert_non_null(weights = realloc(weights, (*n + weft_array_count(&a)) * sizeof *weights));
        a.data = weights + *n;
        assert_int_equal(weft_model_get_variable(m, i, &a), WEFT_OK);
        *n += weft_array_count(&a);
    }
    weft_model_destroy(&m);
    return weights;
}

static void test_same_bits(void **state)
{
    (void)state;
    for (size_t i = 0; *all.id[i]; i++) {
        size_t n[3];
        float *a = train_weights(all.id[i], 5, &n[0]), *b = train_weights(all.id[i], 5, &n[1]),
              *c = train_weights(all.id[i], 6, &n[2]);

        assert_true(n[0] == n[1] && n[0] == n[2]);
        assert_memory_equal(a, b, n[0] * sizeof *a);
        assert_memory_not_equal(a, c, n[0] * sizeof *a);
        free(a);
        free(b);
        free(c);
    }
}

static int setup(void **state)
{
    static const char *const files[] = { "image", "table", "labels" };
    char path[1024];

    (void)state;
    if (weft_context_create(NULL, &ctx)) return -1;
    devices_list(ctx, &all);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, DIGITS "train_%s.npy", files[i]);
        if (weft_npy_read(path, &train[i])) return -1;
        snprintf(path, sizeof path, DIGITS "%s.npy", files[i]);
        if (weft_npy_read(path, &test[i])) return -1;
    }
    train_data =
        (weft_data){ (const weft_array *const *)train, (const weft_array *const *)train + 2, 2, 1 };
    test_data =
        (weft_data){ (const weft_array *const *)test, (const weft_array *const *)test + 2, 2, 1 };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        weft_array_destroy(&train[i]);
        weft_array_destroy(&test[i]);
    }
    weft_context_destroy(&ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learns),
        cmocka_unit_test(test_same_bits),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
