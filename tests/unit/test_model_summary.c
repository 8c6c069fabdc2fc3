/* The summary against what Keras printed for the same models. Layers get explicit names where
 * Keras's global counters would give others. */
#include "model_classes.h"
#include "model/parts.h"
#include "model/summary.h"
#include "model_summaries.h"

static weft_context *ctx;
static weft_model *m;

static int setup(void **state)
{
    (void)state;
    ctx = t_open(NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    weft_model_destroy(&m);
    weft_context_destroy(&ctx);
    return 0;
}

static weft_tensor input(const char *name, int64_t n)
{
    return weft_input(m, name, WEFT_F32, WEFT_SHAPE(n));
}

static void prints(const char *const *expected, int columns)
{
    weft__text text = { 0 };
    assert_int_equal(weft__model_summary_text(m, columns, &text), WEFT_OK);
    const char *s = text.s;
    for (; *expected; expected++) {
        size_t n = strcspn(s, "\n");
        if (strlen(*expected) != n || strncmp(s, *expected, n) != 0)
            fail_msg("%d columns:\n%s\nthe line that differs is, in Keras\n%s", columns, text.s,
                     *expected);
        s += n + 1;
    }
    assert_string_equal(s, "");
    weft__text_finish(&text);
}

static void chain(void **state)
{
    (void)state;
    m = t_model(ctx, "seq");
    assert_int_equal(m->api.set_kind(m, "Sequential"), WEFT_OK);
    weft_tensor x = weft_apply(m, "Dense", "units=64 activation=relu", input(NULL, 10));
    x = weft_apply(m, "BatchNormalization", NULL, weft_apply(m, "Dropout", NULL, x));
    weft_output(m, weft_apply(m, "Dense", "units=1", x));
    t_finish(m);
    prints(seq_80, 80);
    prints(seq_62, 62);
    prints(seq_200, 200);
    /* Keras's Sequential does not count its input */
    assert_int_equal(weft_model_layer_output(m, 0).id, 2);
    weft__text text = { 0 };
    assert_int_equal(weft__model_summary_text(m, 16, &text), WEFT_E_ARG);
    t_says("16 columns are too few");
}

static void two_inputs(void **state)
{
    (void)state;
    m = t_model(ctx, "functional");
    weft_tensor a = input("input_a", 8), b = input("input_b", 32);
    weft_output(m, weft_apply(m, "Dense", "units=1", weft_apply(m, "Concatenate", NULL, a, b)));
    t_finish(m);
    prints(two_80, 80);
    prints(two_200, 200);
}

static void shared_and_nested(void **state)
{
    (void)state;
    weft_model *e = t_model(ctx, "encoder");
    weft_tensor i = weft_input(e, NULL, WEFT_F32, WEFT_SHAPE(16));
    weft_output(e, weft_apply(e, "Dense", "units=8", i));
    t_finish(e);
    m = t_model(ctx, "siamese");
    weft_tensor l = input("left", 16), r = input("right", 16), x, y, p;
    weft_layer shared =
        weft_layer_create(m, "Dense", "units=4 name=shared_with_a_rather_long_name_for_a_layer");
    x = weft_model_call(m, e, NULL, &l, 1, NULL);
    x = weft_layer_call(m, shared, &x, 1);
    y = weft_model_call(m, e, NULL, &r, 1, NULL);
    y = weft_layer_call(m, shared, &y, 1);
    p = weft_apply(m, "Multiply", NULL, x, y);
    weft_output(m, p);
    weft_output(m, weft_apply(m, "Add", NULL, x, y, p));
    weft_model_destroy(&e);
    t_finish(m);
    prints(siamese_80, 80);
    prints(siamese_112, 112);
}

static void several_results(void **state)
{
    (void)state;
    m = t_model(ctx, "states");
    weft_layer lstm = weft_layer_create(m, "LSTM", "units=7 return_state=true");
    weft_tensor x = weft_input(m, NULL, WEFT_F32, WEFT_SHAPE(12, 5)),
                h = weft_layer_call(m, lstm, &x, 1);
    x = weft_apply(m, "Concatenate", NULL, h, weft_layer_result(m, lstm, 0, 1),
                   weft_layer_result(m, lstm, 0, 2));
    weft_output(m, weft_apply(m, "Dense", "units=300000", x));
    t_finish(m);
    prints(states_80, 80);
}

static void plain_model(void **state)
{
    (void)state;
    m = t_model(ctx, "plain");
    weft_tensor x = weft_apply(m, "Dense", "units=4 name=first_of_all", input(NULL, 16));
    weft_apply(m, "Dense", "units=400 name=not_needed", x);
    weft_output(m, weft_apply(m, "Dense", "units=3", x));
    t_finish(m);
    prints(plain_80, 80);
    prints(plain_44, 44);
}

static void called_twice(void **state)
{
    (void)state;
    m = t_model(ctx, "twice");
    weft_layer dense = weft_layer_create(m, "Dense", "units=16");
    weft_tensor x = input(NULL, 16);
    x = weft_layer_call(m, dense, &x, 1);
    weft_output(m, weft_layer_call(m, dense, &x, 1));
    t_finish(m);
    prints(twice_80, 80);
}

static void uneven_branches(void **state)
{
    (void)state;
    m = t_model(ctx, "uneven");
    weft_tensor c = input("c", 4), b = input("b", 4), a = input("a", 4), x, y;
    (void)c;
    x = weft_apply(m, "Dense", "units=4 name=a2", weft_apply(m, "Dense", "units=4 name=a1", a));
    y = weft_apply(m, "Dense", "units=4 name=b1 trainable=false", b);
    x = weft_apply(m, "Add", "name=sum", y, x);
    weft_output(m, weft_apply(m, "Dense", "units=2 name=side", y));
    weft_output(m, x);
    t_finish(m);
    prints(uneven_80, 80);
}

static void to_a_file(void **state)
{
    (void)state;
    char line[512];
    FILE *file = tmpfile();
    assert_non_null(file);
    plain_model(NULL);
    setenv("COLUMNS", "80", 1);
    assert_int_equal(weft_model_summary(m, file), WEFT_OK);
    rewind(file);
    for (int i = 0; plain_80[i]; i++) {
        assert_non_null(fgets(line, sizeof line, file));
        line[strcspn(line, "\n")] = 0;
        assert_string_equal(line, plain_80[i]);
    }
    fclose(file);
    assert_int_equal(weft_model_summary(NULL, stdout), WEFT_E_ARG);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = { T(chain),           T(two_inputs),  T(shared_and_nested),
                                        T(several_results), T(plain_model), T(called_twice),
                                        T(uneven_branches), T(to_a_file) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
