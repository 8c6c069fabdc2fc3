/* A file holds the variables of one moment: a writer that reads one, then the model trains on, then
 * reads another one, gets both as they were when the writing began. */
#include "model_classes.h"

static weft_session *session;
static float written[2];
static int steps; /* while the file is written */

static weft_status step(void)
{
    float one = 1, target = 100;
    weft_array x = { { WEFT_F32, 2, { 1, 1 } }, &one }, y = { { WEFT_F32, 2, { 1, 1 } }, &target };
    const weft_array *xs[] = { &x }, *ys[] = { &y };
    return weft_session_train_step(session, &(weft_data){ xs, ys, 1, 1 }, NULL);
}

static weft_status write_slowly(const weft_model_api *api, const weft_model *model,
                                const char *path, const char *options)
{
    weft_status st = WEFT_OK;
    (void)path;
    (void)options;
    for (uint32_t i = 0; i < 2 && !st; i++) {
        st = api->variable_get(model, 1, i, &written[i], sizeof written[i]);
        if (!st && steps) st = step();
    }
    return st;
}
static const weft_format slow = { .struct_size = sizeof(weft_format),
                                  .name = "slow",
                                  .extensions = ".slow",
                                  .doc = "of a test",
                                  .write = write_slowly };
static const weft_format *const formats[] = { &slow, NULL };

static void read_both(const weft_model *m, float *value)
{
    for (uint32_t i = 0; i < 2; i++) {
        weft_array a = { { WEFT_F32, i ? 1 : 2, { 1, 1 } }, &value[i] };
        if (weft_model_get_variable(m, i, &a)) fail_msg("%s", weft_error());
    }
}

static void save(const weft_model *m)
{
    if (weft_model_save(m, "moment.slow")) fail_msg("%s", weft_error());
}

static void test_one_moment(void **state)
{
    weft_context *ctx = t_open(formats);
    weft_model *m = t_model(ctx, "moment");
    float before[2], after[2];
    (void)state;
    weft_output(m, weft_apply(m, "Dense", "units=1", weft_input(m, "x", WEFT_F32, WEFT_SHAPE(1))));
    t_finish(m);
    assert_int_equal(weft_session_create(m, "cpu", NULL, &session), WEFT_OK);
    if (weft_session_compile(session, "optimizer=SGD(learning_rate=0.001) loss=mse"))
        fail_msg("%s", weft_error());
    assert_int_equal(step(), WEFT_OK);
    read_both(m, before);
    steps = 1;
    save(m);
    assert_memory_equal(written, before, sizeof before);
    read_both(m, after);
    assert_true(after[0] > before[0] && after[1] > before[1]);
    steps = 0;
    save(m); /* the next file is of another moment */
    assert_memory_equal(written, after, sizeof after);
    weft_session_destroy(&session);
    weft_model_destroy(&m);
    weft_context_destroy(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_one_moment) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
