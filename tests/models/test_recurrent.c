/* LSTM where no file of Keras is needed: what it refuses, and how. Its numbers are in
 * tests/data/layers. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>
#include "fixture.h"

static weft_context *ctx;

typedef struct refusal {
    const char *attrs, *words;
    int32_t rank;    /* of the first input */
    int64_t last;    /* its last dimension */
    uint32_t states; /* further inputs [batch, 3] */
} refusal;

static const refusal refusals[] = {
    { "units=3", "rank 2|Reshape", 2, 4, 0 },
    { "units=3", "no fixed size", 3, WEFT_ANY, 0 },
    { "units=3", "one initial state|h and c", 3, 4, 1 },
    { "units=5", "h0|units", 3, 4, 2 },
    { "units=3 stateful=true", "fixed size|batch_shape", 3, 4, 0 },
    { "units=0", "units|1", 3, 4, 0 },
    { "units=3 dropout=1.5", "dropout|1", 3, 4, 0 },
    { "units=3 activation=nothing", "nothing", 3, 4, 0 },
    { "units=3 bias_initializer=nothing", "unknown initializer", 3, 4, 0 },
};

static void refuse(const refusal *r)
{
    weft_spec x = { WEFT_F32, r->rank, { WEFT_BATCH, 6 } };
    const weft_spec state = { WEFT_F32, 2, { WEFT_BATCH, 3 } };
    weft_model *m = NULL;
    weft_tensor in[3];

    x.dim[r->rank - 1] = r->last;
    assert_int_equal(weft_model_create(ctx, "m", &m), WEFT_OK);
    in[0] = weft_input_spec(m, "x", &x);
    in[1] = weft_input_spec(m, "h", &state);
    in[2] = weft_input_spec(m, "c", &state);
    weft_output(m, weft_apply_n(m, "LSTM", r->attrs, in, 1 + r->states));
    if (!weft_model_finish(m)) fail_msg("LSTM %s was taken", r->attrs);
    if (!holds_words(weft_error(), r->words))
        fail_msg("LSTM %s: \"%s\" lacks %s", r->attrs, weft_error(), r->words);
    weft_model_destroy(&m);
}

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        refuse(&refusals[i]);
}

static int setup(void **state)
{
    (void)state;
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
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_refusals) };

    return cmocka_run_group_tests(tests, setup, teardown);
}
