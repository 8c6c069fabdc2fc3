/* Lowering: one graph of all layers, models inside inlined, variables shared; and what happens when
 * memory ends at every single allocation on the way. */
#include "model_classes.h"
#include "model/summary.h"

static weft_context *ctx;

static int setup(void **state)
{
    (void)state;
    ctx = t_open(NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    weft_context_destroy(&ctx);
    return 0;
}

/* Two inputs, a model called twice, a shared layer, a constant, layers inside a layer. */
static weft_status build(weft_model **result)
{
    static float half[1] = { 0.5F };
    weft_array constant = { .spec = { WEFT_F32, 0, { 0 } }, .data = half };
    weft_model *e = NULL, *m = NULL;
    weft_tensor l, r, x, y;
    weft_layer shared;
    *result = NULL;
    weft_status st = weft_model_create(ctx, "encoder", &e);
    if (st) goto out;
    x = weft_input(e, "pixels", WEFT_F32, WEFT_SHAPE(WEFT_ANY, 4));
    x = weft_apply(e, "Dense", "units=3 activation=relu", x);
    weft_output(e, weft_apply(e, "BatchNormalization", NULL, x));
    if ((st = weft_model_finish(e)) || (st = weft_model_create(ctx, "net", &m))) goto out;
    l = weft_input(m, "left", WEFT_F32, WEFT_SHAPE(WEFT_ANY, 4));
    r = weft_input(m, "right", WEFT_F32, WEFT_SHAPE(WEFT_ANY, 4));
    shared = weft_layer_create(m, "Dense", "units=3 name=shared");
    x = weft_model_call(m, e, NULL, &l, 1, NULL);
    x = weft_layer_call(m, shared, &x, 1);
    y = weft_model_call(m, e, NULL, &r, 1, NULL);
    y = weft_layer_call(m, shared, &y, 1);
    weft_apply(m, "Dense", "units=3 name=unused", y);
    y = weft_apply(m, "Concatenate", NULL, x,
                   weft_apply(m, "Multiply", NULL, y, weft_constant(m, NULL, &constant)));
    weft_output(m, x);
    weft_output_named(
        m, "joined", weft_apply(m, "Dense", "units=2 activation=LeakyReLU(negative_slope=0.1)", y));
    if ((st = weft_model_finish(m))) goto out;
    *result = m;
    m = NULL;
out:
    weft_model_destroy(&m);
    weft_model_destroy(&e);
    return st;
}

static size_t count_path(const weft__graph *g, const char *path)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n_nodes; i++)
        n += strcmp(g->node[i]->path, path) == 0;
    return n;
}

static size_t count_variables(const weft__graph *g)
{
    size_t n = 0;
    for (size_t i = 1; i <= g->n_values; i++)
        n += g->value[i].kind == WEFT__V_VARIABLE;
    return n;
}

static void one_graph(void **state)
{
    (void)state;
    weft_model *m = NULL;
    weft__graph *g = NULL;
    assert_int_equal(build(&m), WEFT_OK);
    if (weft__model_lower(m, NULL, &g)) fail_msg("%s", weft_error());
    assert_int_equal(g->n_inputs, 2);
    assert_string_equal(g->input[1].name, "right");
    assert_int_equal(g->n_outputs, 2);
    assert_string_equal(g->output[0].name, "shared");
    assert_string_equal(g->output[1].name, "joined");
    assert_int_equal(count_path(g, "encoder/dense"), 4); /* matmul and add, twice */
    assert_int_equal(count_path(g, "encoder/dense/activation"), 2);
    assert_int_equal(count_path(g, "dense/activation"), 2);
    assert_int_equal(count_path(g, "unused"), 0);
    assert_int_equal(count_variables(g), 10); /* 2 + 4, 2, 2: shared ones once */
    for (size_t i = 1; i <= g->n_values; i++)
        if (g->value[i].kind == WEFT__V_VARIABLE &&
            g->value[i].variable == weft__model_variable_at(m, 0))
            assert_string_equal(g->value[i].name, "encoder/dense/kernel");
    const weft_spec *out = weft__graph_spec(g, g->output[1].value);
    assert_int_equal(out->dim[0], WEFT_BATCH);
    assert_true(out->dim[1] == WEFT_ANY);
    weft__graph_destroy(&g);
    weft_model_destroy(&m);
}

static void given_sizes(void **state)
{
    (void)state;
    weft_model *m = NULL;
    weft__graph *g = NULL;
    weft_spec in[2] = { { WEFT_F32, 3, { WEFT_BATCH, 7, 4 } },
                        { WEFT_F32, 3, { WEFT_BATCH, 7, 4 } } };
    weft__lower_request request = { .inputs = in };
    assert_int_equal(build(&m), WEFT_OK);
    assert_int_equal(weft__model_lower(m, &request, &g), WEFT_OK);
    assert_int_equal(weft__graph_spec(g, g->output[1].value)->dim[1], 7);
    weft__graph_destroy(&g);
    in[1].dim[1] = 8; /* the Concatenate cannot */
    assert_int_equal(weft__model_lower(m, &request, &g), WEFT_E_SHAPE);
    t_says("layer \"concatenate\" (Concatenate)");
    assert_null(g);
    in[1].dim[2] = 5;
    assert_int_equal(weft__model_lower(m, &request, &g), WEFT_E_SHAPE);
    t_says("input \"right\" takes float32 (None, ?, 4), it was given float32 (None, 8, 5)");
    weft_model_destroy(&m);
    m = t_model(ctx, "raw");
    assert_int_equal(weft__model_lower(m, NULL, &g), WEFT_E_ARG);
    t_says("model \"raw\" is not finished");
    weft_model_destroy(&m);
}

static size_t nodes(const weft_model *m, int training)
{
    weft__lower_request request = { .training = training };
    weft__graph *g = NULL;
    assert_int_equal(weft__model_lower(m, &request, &g), WEFT_OK);
    size_t n = g->n_nodes;
    weft__graph_destroy(&g);
    return n;
}

/* The stand-in for BatchNormalization does more in training, unless it is frozen. */
static void training(void **state)
{
    (void)state;
    weft_model *m = NULL;
    assert_int_equal(build(&m), WEFT_OK);
    assert_int_equal(nodes(m, 1), nodes(m, 0) + 2);
    assert_int_equal(weft_model_set_trainable(m, "encoder/batch_normalization", 0), WEFT_OK);
    assert_int_equal(nodes(m, 1), nodes(m, 0));
    weft_model_destroy(&m);
}

/* build, lower, summary, set, derive: each allocation fails once. Nothing may leak, crash or end
 * otherwise than in "out of memory", but for the few texts that are left out when there is no room.
 */
static weft_status everything(void)
{
    weft_model *m = NULL, *derived = NULL;
    weft__graph *g = NULL;
    weft__text text = { 0 };
    float bias[3] = { 1, 2, 3 };
    weft_array a = { .spec = { WEFT_F32, 1, { 3 } }, .data = bias };
    weft_status st = build(&m);
    if (st == WEFT_OK) st = weft__model_lower(m, NULL, &g);
    if (st == WEFT_OK) st = weft__model_summary_text(m, 80, &text);
    if (st == WEFT_OK) st = weft_model_set_variable(m, 1, &a);
    if (st == WEFT_OK) st = weft_model_derive(m, "part", &derived);
    if (st == WEFT_OK)
        st = weft_output(derived,
                         weft_apply(derived, "Dense", "units=1", weft_model_layer_output(m, -2)));
    if (st == WEFT_OK) st = weft_model_finish(derived);
    if (st == WEFT_OK) st = weft_model_set_trainable(derived, NULL, 0);
    weft__text_finish(&text);
    weft__graph_destroy(&g);
    weft_model_destroy(&derived);
    weft_model_destroy(&m);
    return st;
}

static void out_of_memory(void **state)
{
    (void)state;
    size_t live = weft__alloc_live();
    uint64_t before = weft__alloc_calls(), calls, survived = 0;
    if (everything()) fail_msg("%s", weft_error());
    calls = weft__alloc_calls() - before;
    assert_int_equal(weft__alloc_live(), live);
    for (uint64_t n = 1; n <= calls; n++) {
        weft__alloc_fail_at(n);
        weft_status st = everything();
        weft__alloc_fail_at(0);
        survived += st == WEFT_OK;
        if (st != WEFT_E_NOMEM && st != WEFT_OK)
            fail_msg("allocation %d of %d: status %d, \"%s\"", (int)n, (int)calls, (int)st,
                     weft_error());
        if (weft__alloc_live() != live)
            fail_msg("allocation %d of %d: %d blocks leak", (int)n, (int)calls,
                     (int)(weft__alloc_live() - live));
    }
    assert_true(survived < calls / 20);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = { T(one_graph), T(given_sizes), T(training),
                                        T(out_of_memory) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
