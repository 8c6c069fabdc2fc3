/* LSTM where no file of Keras is needed: what it refuses, and how; and what it makes of masks, for
 * which no layer of Weft's own is there yet. Its other numbers are in tests/data/layers. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>
#include "fixture.h"
#include "learning.h"
#include "near.h"

static weft_context *ctx;

typedef struct refusal {
    const char *attrs, *words;
    int32_t rank;    /* of the first input */
    int64_t last;    /* its last dimension */
    uint32_t states; /* further inputs [batch, 3] */
} refusal;

#define LONG_NAME                                                      \
    "a234567890123456789012345678901234567890123456789012345678901234" \
    "a234567890123456789012345678901234567890123456789012345678901234"
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
    { "units=3 bias_initializer=" LONG_NAME LONG_NAME LONG_NAME LONG_NAME,
      "bias_initializer|shorter", 3, 4, 0 },
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

/* ---- masks ---- */
enum { STEPS = 5 };

/* One unit over five steps of (1, 1), kernels of ones, from states h = c = 1 or none. What Keras
 * 3.15.1 gives for it on TensorFlow, as with unroll=True on JAX: before the first step that counts
 * there is no output that could be repeated, so that it is 0 and not h. (Without unroll=True it is
 * h on JAX.) */
typedef struct masked {
    const char *attrs;
    float mask[STEPS];
    int given; /* states */
    double y[STEPS], h, c, last;
} masked;

static const masked masks[] = {
    { "",
      { 0, 1, 1, 0, 0 },
      1,
      { 0, 0.9132552, 0.9419798, 0.9419798, 0.9419798 },
      0.9419798,
      2.835003,
      0.9419798 },
    { "",
      { 0, 1, 1, 0, 0 },
      0,
      { 0, 0.6082835, 0.8765833, 0.8765833, 0.8765833 },
      0.8765833,
      1.74805,
      0.8765833 },
    { "", { 0 }, 1, { 0 }, 1, 1, 0 },
    { "", { 0 }, 0, { 0 }, 0, 0, 0 },
    { "go_backwards=true",
      { 0, 1, 1, 0, 0 },
      1,
      { 0, 0, 0.9132552, 0.9419798, 0.9419798 },
      0.9419798,
      2.835003,
      0.9419798 },
    { "go_backwards=true", { 0 }, 1, { 0 }, 1, 1, 0 },
    { "zero_output_for_mask=true",
      { 0, 1, 1, 0, 0 },
      1,
      { 0, 0.9132552, 0.9419798, 0, 0 },
      0.9419798,
      2.835003,
      0 },
    { "go_backwards=true zero_output_for_mask=true",
      { 0, 1, 1, 0, 0 },
      1,
      { 0, 0, 0.9132552, 0.9419798, 0 },
      0.9419798,
      2.835003,
      0 },
    { "activation=relu",
      { 0, 1, 1, 0, 0 },
      1,
      { 0, 3.657633, 9.439811, 9.439811, 9.439811 },
      9.439811,
      9.472763,
      9.439811 },
    { "activation=relu", { 0 }, 1, { 0 }, 1, 1, 0 },
};

static weft_model *masked_model(const masked *k)
{
    weft_model *m = NULL;
    weft_tensor in[3];
    char attrs[256];

    assert_int_equal(weft_model_create(ctx, "m", &m), WEFT_OK);
    in[0] = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(STEPS, 2));
    in[0] = weft_apply(m, "org.test.Masked", NULL, in[0],
                       weft_input(m, "mask", WEFT_F32, WEFT_SHAPE(STEPS)));
    if (k->given) {
        in[1] = weft_input(m, "h", WEFT_F32, WEFT_SHAPE(1));
        in[2] = weft_input(m, "c", WEFT_F32, WEFT_SHAPE(1));
    }
    for (int sequences = 1; sequences >= 0; sequences--) {
        snprintf(attrs, sizeof attrs,
                 "units=1 kernel_initializer=ones recurrent_initializer=ones return_state=true "
                 "return_sequences=%s %s",
                 sequences ? "true" : "false", k->attrs);
        weft_layer layer = weft_layer_create(m, "LSTM", attrs);
        weft_output(m, weft_layer_call(m, layer, in, k->given ? 3 : 1));
        for (uint32_t i = 1; i < 3 && sequences; i++)
            weft_output(m, weft_layer_result(m, layer, 0, i));
    }
    if (weft_model_finish(m)) fail_msg("%s: %s", k->attrs, weft_error());
    return m;
}

static void run_masked(const masked *k, const char *device)
{
    float ones[2 * STEPS] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
    const weft_array x = { { WEFT_F32, 3, { 1, STEPS, 2 } }, ones },
                     mask = { { WEFT_F32, 2, { 1, STEPS } }, (void *)k->mask },
                     one = { { WEFT_F32, 2, { 1, 1 } }, ones };
    const weft_array *const in[] = { &x, &mask, &one, &one };
    weft_array *y[4] = { NULL };
    weft_model *m = masked_model(k);
    weft_session *s = NULL;

    if (weft_session_create(m, device, "strict=true", &s) ||
        weft_session_run(s, in, k->given ? 4 : 2, y, 4))
        fail_msg("%s on %s: %s", k->attrs, device, weft_error());
    for (int i = 0; i < STEPS; i++)
        assert_near(((float *)y[0]->data)[i], k->y[i], 1e-6 * (1 + k->y[i]));
    assert_near(((float *)y[1]->data)[0], k->h, 1e-6 * (1 + k->h));
    assert_near(((float *)y[2]->data)[0], k->c, 1e-6 * (1 + k->c));
    assert_near(((float *)y[3]->data)[0], k->last, 1e-6 * (1 + k->last));
    for (int i = 0; i < 4; i++)
        weft_array_destroy(&y[i]);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
}

static void test_masks(void **state)
{
    devices all;

    (void)state;
    devices_list(ctx, &all);
    for (size_t i = 0; *all.id[i]; i++)
        for (size_t k = 0; k < sizeof masks / sizeof *masks; k++)
            run_masked(&masks[k], all.id[i]);
}

/* How far one step of training moves the layer that makes the state: not at all where the output is
 * 0 whatever the state is. */
static double moved(const char *device, int sequences, float live)
{
    float ones[2 * STEPS] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 }, mask[STEPS] = { 0, live }, *w;
    weft_array in[] = { { { WEFT_F32, 3, { 1, STEPS, 2 } }, ones },
                        { { WEFT_F32, 2, { 1, STEPS } }, mask },
                        { { WEFT_F32, 2, { 1, 1 } }, ones },
                        { { WEFT_F32, 3, { 1, STEPS, 1 } }, ones } };
    const weft_array *x[] = { &in[0], &in[1], &in[2] }, *y[] = { &in[sequences ? 3 : 2] };
    weft_model *m = NULL;
    weft_session *s = NULL;
    weft_tensor t[3];
    size_t n;
    double by;

    assert_int_equal(weft_model_create(ctx, "m", &m), WEFT_OK);
    t[0] = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(STEPS, 2));
    t[0] = weft_apply(m, "org.test.Masked", NULL, t[0],
                      weft_input(m, "mask", WEFT_F32, WEFT_SHAPE(STEPS)));
    t[1] = t[2] = weft_apply(m, "Dense", "units=1 use_bias=false kernel_initializer=ones",
                             weft_input(m, "h", WEFT_F32, WEFT_SHAPE(1)));
    weft_output(m, weft_apply(m, "LSTM",
                              sequences ? "units=1 trainable=false return_sequences=true"
                                        : "units=1 trainable=false",
                              t[0], t[1], t[2]));
    if (weft_model_finish(m) || weft_session_create(m, device, "strict=true", &s) ||
        weft_session_compile(s, "optimizer=SGD loss=mse") ||
        weft_session_fit(s, &(weft_data){ x, y, 3, 1 }, &(weft_fit_options){ .epochs = 1 }, NULL))
        fail_msg("%s: %s", device, weft_error());
    w = learning_values(m, &n);
    by = fabs(w[0] - 1.0);
    free(w);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
    return by;
}

static void test_gradient_of_masks(void **state)
{
    devices all;

    (void)state;
    devices_list(ctx, &all);
    for (size_t i = 0; *all.id[i]; i++)
        for (int sequences = 0; sequences < 2; sequences++) {
            assert_true(moved(all.id[i], sequences, 0) == 0);
            assert_true(moved(all.id[i], sequences, 1) > 0);
        }
}

static int setup(void **state)
{
    (void)state;
    return weft_context_create("plugin_path=\"" WEFT_TEST_MODULES "\"", &ctx);
}
static int teardown(void **state)
{
    (void)state;
    weft_context_destroy(&ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_refusals),
                                        cmocka_unit_test(test_masks),
                                        cmocka_unit_test(test_gradient_of_masks) };

    return cmocka_run_group_tests(tests, setup, teardown);
}
