/* A whole fit against Keras's history: every number of every epoch, of the training and of the
 * validation, on every device. tests/data/generate_fit.py says what was trained. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>
#include "fixture.h"

enum { EPOCHS = 3, STEPS = 18, LOGS = 10 };

static weft_context *ctx;
static weft_npz *npz;

static weft_status compare(void *user, weft_epoch *epoch)
{
    /* Each step rounds a few times, in another order than Keras; what it leaves goes on. */
    const double bound = 4 * STEPS * 0x1p-23;
    const char *device = user;

    assert_int_equal(epoch->logs->n, LOGS);
    for (uint32_t i = 0; i < epoch->logs->n; i++) {
        char key[80];
        const weft_array *log;
        double value = epoch->logs->value[i], expected;

        snprintf(key, sizeof key, "log.%s", epoch->logs->name[i]);
        if (!(log = weft_npz_get(npz, key))) fail_msg("Keras has no %s", key);
        assert_int_equal(log->spec.dtype, WEFT_F64);
        assert_int_equal(log->spec.dim[0], EPOCHS);
        expected = ((const double *)log->data)[epoch->number - 1];
        if (!(fabs(value - expected) <= bound * expected))
            fail_msg("%s, epoch %u: %s is %.9g, not %.9g", device, (unsigned)epoch->number, key,
                     value, expected);
    }
    return WEFT_OK;
}

static void test_history(void **state)
{
    const weft_array *x[] = { weft_npz_get(npz, "x.left"), weft_npz_get(npz, "x.right") };
    const weft_array *y[] = { weft_npz_get(npz, "y.label"), weft_npz_get(npz, "y.value") };
    const weft_data data = { x, y, 2, 2 };
    devices all;

    (void)state;
    devices_list(ctx, &all);
    for (size_t i = 0; *all.id[i]; i++) {
        weft_fit_options options = { .epochs = EPOCHS,
                                     .batch_size = 7,
                                     .keep_order = 1,
                                     .validation_split = 0.2,
                                     .on_epoch = compare,
                                     .user = all.id[i] };
        weft_model *m = NULL;
        weft_session *s = NULL;

        if (weft_model_load(ctx, WEFT_TEST_DATA "/fit/history.keras", &m) ||
            weft_session_create(m, all.id[i], "strict=true", &s) ||
            weft_session_compile(s, "optimizer=Adam(learning_rate=0.01) metrics=mae "
                                    "loss=(binary_crossentropy,mse) loss_weights=(1,0.5)") ||
            weft_session_fit(s, &data, &options, NULL))
            fail_msg("%s: %s", all.id[i], weft_error());
        weft_session_destroy(&s);
        weft_model_destroy(&m);
    }
}

static int setup(void **state)
{
    (void)state;
    return weft_context_create(NULL, &ctx) ||
           weft_npz_read(WEFT_TEST_DATA "/fit/history.npz", &npz);
}

static int teardown(void **state)
{
    (void)state;
    weft_npz_destroy(&npz);
    weft_context_destroy(&ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_history) };

    return cmocka_run_group_tests(tests, setup, teardown);
}
