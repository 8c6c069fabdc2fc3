/* Layers that draw random numbers in training: how many elements they drop and what the rest
 * becomes, the same numbers on every device, new ones in the next step, the same ones for the same
 * seed; the gradient goes through the mask of the forward part; inference hands x through.
 *
 * Counts are of a fixed stream, so nothing here is up to chance; bounds are five standard
 * deviations, which a right generator misses once in a million seeds. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "train_harness.h"

enum { BATCH = 16, STEPS = 6, CHANNELS = 32, PLANE = STEPS * CHANNELS, N = BATCH * PLANE };
static float ones[N], ramp[N];

static int setup(void **state)
{
    for (int i = 0; i < N; i++) {
        ones[i] = 1;
        ramp[i] = (float)(i % 41 + 1) / 20; /* never 0 */
    }
    return train_setup(state);
}

/* The layer on x [BATCH, STEPS, CHANNELS], or of more spatial axes with as many elements. */
typedef struct made {
    weft_model *model;
    weft_spec spec;
    forward f;
} made;

static const weft_spec rank3 = { WEFT_F32, 3, { BATCH, STEPS, CHANNELS } };

static made make(const char *cls, const char *attrs, weft_spec spec, uint64_t seed, const char *dev)
{
    made m = { .model = train_model("random", seed), .spec = spec };
    weft_spec symbolic = spec;
    symbolic.dim[0] = WEFT_BATCH;
    weft_tensor x = weft_input_spec(m.model, "x", &symbolic);
    weft_output(m.model, weft_apply(m.model, cls, attrs, x));
    train_finished(m.model);
    forward_open(&m.f, m.model, dev);
    return m;
}

/* What one more step makes of x. */
static weft_array *run(made *m, float *x)
{
    weft_array in = train_array(x, m->spec), *y[1];
    forward_run(&m->f, &in, y);
    return y[0];
}

static void destroy(made *m)
{
    forward_close(&m->f);
    weft_model_destroy(&m->model);
}

/* The first step's result. */
static weft_array *once(const char *cls, const char *attrs, float *x, uint64_t seed,
                        const char *dev)
{
    made m = make(cls, attrs, rank3, seed, dev);
    weft_array *y = run(&m, x);
    destroy(&m);
    return y;
}

static int same(const weft_array *a, const weft_array *b)
{
    return weft_array_bytes(a) == weft_array_bytes(b) &&
           !memcmp(a->data, b->data, (size_t)weft_array_bytes(a));
}

static void expect_share(int count, int n, double share, const char *what)
{
    double off = fabs(count - n * share), bound = 5 * sqrt(n * share * (1 - share));
    if (!(off <= bound)) fail_msg("%s: %d of %d, want %g +- %g", what, count, n, n * share, bound);
}

/* ---- Dropout ---- */

static void check_dropped(const weft_array *y, const float *x, double rate)
{
    const float *v = y->data;
    float scale = (float)(1 / (1 - rate));
    int zeros = 0;
    for (int i = 0; i < N; i++) {
        zeros += v[i] == 0;
        if (v[i] != 0 && v[i] != x[i] * scale)
            fail_msg("element %d is %.9g, want 0 or %.9g", i, (double)v[i], (double)(x[i] * scale));
    }
    expect_share(zeros, N, rate, "zeros");
}

static void test_dropout(void **state)
{
    static const double rates[] = { 0.25, 0.5, 0.9 };
    (void)state;
    for (int r = 0; r < 3; r++) {
        weft_array *first = NULL;
        char attrs[32];
        snprintf(attrs, sizeof attrs, "rate=%g", rates[r]);
        for (int d = 0; train_device[d]; d++) {
            made m = make("Dropout", attrs, rank3, 1, train_device[d]);
            weft_array *a = run(&m, ramp), *b = run(&m, ramp), *again;
            int both = 0;
            check_dropped(a, ramp, rates[r]);
            check_dropped(b, ramp, rates[r]);
            /* the steps do not depend on each other */
            for (int i = 0; i < N; i++)
                both += ((float *)a->data)[i] == 0 && ((float *)b->data)[i] == 0;
            expect_share(both, N, rates[r] * rates[r], "zeros of two steps");
            again = once("Dropout", attrs, ramp, 1, train_device[d]);
            assert_true(same(a, again));
            weft_array_destroy(&again);
            again = once("Dropout", attrs, ramp, 2, train_device[d]);
            assert_false(same(a, again));
            weft_array_destroy(&again);
            if (first) assert_true(same(first, a));
            weft_array_destroy(&first);
            first = a;
            weft_array_destroy(&b);
            destroy(&m);
        }
        weft_array_destroy(&first);
    }
}

/* A seed of the layer's own counts alone: neither the model's seed nor the layer's name does. */
static void test_seed(void **state)
{
    static const char *const classes[] = { "Dropout", "AlphaDropout", "SpatialDropout1D",
                                           "GaussianDropout" };
    (void)state;
    for (int c = 0; c < 4; c++) {
        weft_array *a = once(classes[c], "rate=0.5 seed=7 name=a", ones, 1, "cpu"),
                   *b = once(classes[c], "rate=0.5 seed=7 name=b", ones, 2, "cpu"),
                   *other = once(classes[c], "rate=0.5 seed=8 name=a", ones, 1, "cpu"),
                   *named = once(classes[c], "rate=0.5 name=a", ones, 1, "cpu"),
                   *differently = once(classes[c], "rate=0.5 name=b", ones, 1, "cpu");
        assert_true(same(a, b));
        assert_false(same(a, other));
        assert_false(same(named, differently));
        weft_array_destroy(&a);
        weft_array_destroy(&b);
        weft_array_destroy(&other);
        weft_array_destroy(&named);
        weft_array_destroy(&differently);
    }
}

/* Each call of a shared layer draws anew, with a seed or without. */
static void test_shared(void **state)
{
    static const char *const attrs[] = { "rate=0.5", "rate=0.5 seed=7" };
    (void)state;
    for (int i = 0; i < 2; i++) {
        weft_model *m = train_model("shared", 1);
        weft_tensor x = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(STEPS, CHANNELS));
        weft_layer layer = weft_layer_create(m, "Dropout", attrs[i]);
        weft_array in = train_array(ones, rank3), *y[2];
        forward f;
        weft_output(m, weft_layer_call(m, layer, &x, 1));
        weft_output(m, weft_layer_call(m, layer, &x, 1));
        forward_open(&f, train_finished(m), "cpu");
        forward_run(&f, &in, y);
        assert_false(same(y[0], y[1]));
        check_dropped(y[0], ones, 0.5);
        check_dropped(y[1], ones, 0.5);
        weft_array_destroy(&y[0]);
        weft_array_destroy(&y[1]);
        forward_close(&f);
        weft_model_destroy(&m);
    }
}

/* ---- masks that are constant along axes ---- */

typedef struct masked {
    const char *cls, *attrs;
    weft_spec spec;
    int fixed[4]; /* axes along which the mask is constant; -1 ends */
} masked;

static int64_t index_of(const weft_spec *s, int64_t i, const int *fixed)
{
    int64_t at[WEFT_MAX_RANK], index = 0;
    for (int32_t k = s->rank; k-- > 0; i /= s->dim[k])
        at[k] = i % s->dim[k];
    for (int k = 0; k < 4 && fixed[k] >= 0; k++)
        at[fixed[k]] = 0;
    for (int32_t k = 0; k < s->rank; k++)
        index = index * s->dim[k] + at[k];
    return index;
}

static void check_masked(const masked *c, const weft_array *y)
{
    const float *v = y->data;
    int zeros = 0, n = 0;
    for (int64_t i = 0; i < N; i++) {
        int64_t first = index_of(&c->spec, i, c->fixed);
        if (v[i] != 0 && v[i] != 2) fail_msg("%s: %g", c->cls, (double)v[i]);
        if (v[i] != v[first]) fail_msg("%s %s: the mask changes", c->cls, c->attrs);
        n += i == first;
        zeros += i == first && v[i] == 0;
    }
    expect_share(zeros, n, 0.5, c->cls);
}

static void test_constant_along_axes(void **state)
{
    const masked cases[] = {
        { "SpatialDropout1D", "rate=0.5", F32(BATCH, STEPS, CHANNELS), { 1, -1 } },
        { "SpatialDropout2D", "rate=0.5", F32(BATCH, 2, 3, CHANNELS), { 1, 2, -1 } },
        { "SpatialDropout2D",
          "rate=0.5 data_format=channels_first",
          F32(BATCH, CHANNELS, 2, 3),
          { 2, 3, -1 } },
        { "SpatialDropout3D", "rate=0.5", F32(BATCH, 3, 2, 1, CHANNELS), { 1, 2, 3, -1 } },
        { "Dropout", "rate=0.5 noise_shape=(-1,1,32)", F32(BATCH, STEPS, CHANNELS), { 1, -1 } },
        { "Dropout", "rate=0.5 noise_shape=(1,6,32)", F32(BATCH, STEPS, CHANNELS), { 0, -1 } },
        { "Dropout", "rate=0.5 noise_shape=(-1,6,1)", F32(BATCH, STEPS, CHANNELS), { 2, -1 } },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weft_array *first = NULL;
        for (int d = 0; train_device[d]; d++) {
            made m = make(cases[i].cls, cases[i].attrs, cases[i].spec, 3, train_device[d]);
            weft_array *y = run(&m, ones);
            check_masked(&cases[i], y);
            if (first) assert_true(same(first, y));
            weft_array_destroy(&first);
            first = y;
            destroy(&m);
        }
        weft_array_destroy(&first);
    }
}

/* ---- AlphaDropout ---- */

static void test_alpha_dropout(void **state)
{
    const double rate = 0.3, alpha = 1.6732632423543772 * 1.0507009873554805;
    const double a = 1 / sqrt((1 - rate) * (1 + rate * alpha * alpha)), b = a * alpha * rate;
    weft_array *first = NULL;
    (void)state;
    for (int d = 0; train_device[d]; d++) {
        weft_array *y = once("AlphaDropout", "rate=0.3", ramp, 1, train_device[d]);
        int dropped = 0;
        for (int i = 0; i < N; i++) {
            double v = (double)((float *)y->data)[i], kept = a * (double)ramp[i] + b,
                   lost = -a * alpha + b;
            int is_lost = fabs(v - lost) < fabs(v - kept);
            dropped += is_lost;
            /* x a + b: two roundings of values below 4 */
            assert_near(v, is_lost ? lost : kept, 1e-6);
        }
        expect_share(dropped, N, rate, "dropped");
        for (int i = 0; first && i < N; i++)
            assert_near(((float *)first->data)[i], ((float *)y->data)[i], 5e-7);
        weft_array_destroy(&first);
        first = y;
    }
    weft_array_destroy(&first);
}

/* ---- normal noise ---- */

/* Mean and standard deviation of (y - x) / by, five standard errors: 1 / sqrt(N), 1 / sqrt(2 N). */
static void check_normal(const weft_array *y, const float *x, int times, double stddev)
{
    double sum = 0, squares = 0;
    for (int i = 0; i < N; i++) {
        double off = (double)((float *)y->data)[i] - (double)x[i];
        off /= stddev * (times ? (double)x[i] : 1);
        sum += off;
        squares += off * off;
    }
    double mean = sum / N, spread = sqrt(squares / N - mean * mean);
    if (!(fabs(mean) <= 5 / sqrt(N)) || !(fabs(spread - 1) <= 5 / sqrt(2.0 * N)))
        fail_msg("mean %g, standard deviation %g; want 0 and 1", mean, spread);
}

static void test_normal_noise(void **state)
{
    (void)state;
    for (int times = 0; times < 2; times++) {
        const char *cls = times ? "GaussianDropout" : "GaussianNoise";
        const char *attrs = times ? "rate=0.2" : "stddev=0.7";
        weft_array *first = NULL;
        for (int d = 0; train_device[d]; d++) {
            made m = make(cls, attrs, rank3, 1, train_device[d]);
            weft_array *y = run(&m, ramp), *next = run(&m, ramp);
            check_normal(y, ramp, times, times ? sqrt(0.2 / 0.8) : 0.7);
            check_normal(next, ramp, times, times ? sqrt(0.2 / 0.8) : 0.7);
            assert_false(same(y, next));
            /* normals are as near as the devices' log and cos are */
            for (int i = 0; first && i < N; i++)
                assert_near(((float *)first->data)[i], ((float *)y->data)[i], 1e-5);
            weft_array_destroy(&next);
            weft_array_destroy(&first);
            first = y;
            destroy(&m);
        }
        weft_array_destroy(&first);
    }
}

/* ---- rates at the ends, and inference ---- */

static void test_ends(void **state)
{
    (void)state;
    weft_array *y = once("Dropout", "rate=0", ramp, 1, "cpu");
    assert_memory_equal(y->data, ramp, sizeof ramp);
    weft_array_destroy(&y);
    y = once("Dropout", "rate=1", ramp, 1, "cpu");
    for (int i = 0; i < N; i++)
        assert_true(((float *)y->data)[i] == 0);
    weft_array_destroy(&y);
    y = once("GaussianNoise", "stddev=0", ramp, 1, "cpu");
    assert_memory_equal(y->data, ramp, sizeof ramp);
    weft_array_destroy(&y);
}

static void test_inference(void **state)
{
    static const char *const layers[][2] = {
        { "Dropout", "rate=0.5" },          { "AlphaDropout", "rate=0.5" },
        { "SpatialDropout1D", "rate=0.5" }, { "GaussianDropout", "rate=0.5" },
        { "GaussianNoise", "stddev=1.0" },  { "ActivityRegularization", "l1=0.1 l2=0.1" },
    };
    weft_array x = train_array(ramp, rank3);
    (void)state;
    for (int d = 0; train_device[d]; d++)
        for (int i = 0; i < 6; i++) {
            weft_model *m = train_model("through", 1);
            weft_session *s = NULL;
            weft_tensor in = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(STEPS, CHANNELS));
            weft_output(m, weft_apply(m, layers[i][0], layers[i][1], in));
            train_finished(m);
            assert_int_equal(weft_session_create(m, train_device[d], NULL, &s), WEFT_OK);
            weft_array *y = train_predict(s, &x);
            assert_memory_equal(y->data, ramp, sizeof ramp);
            weft_array_destroy(&y);
            weft_session_destroy(&s);
            weft_model_destroy(&m);
        }
}

/* ---- gradients: x -> Dense(H) -> Dropout -> Dense(1) by hand, with the mask read back ---- */

enum { ROWS = 16, F = 3, H = 4 };
static float sx[ROWS * F], sy[ROWS];

static weft_model *net(const char *between, const char *attrs)
{
    weft_model *m = train_model("net", 9);
    weft_tensor x = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(F));
    x = weft_apply(m, "Dense", "units=4 use_bias=false name=a", x);
    x = weft_apply(m, between, attrs, x);
    weft_output(m, weft_apply(m, "Dense", "units=1 use_bias=false name=b", x));
    for (int i = 0; i < ROWS * F; i++)
        sx[i] = (float)((i * 37) % 19) / 10 - 0.9f;
    for (int i = 0; i < ROWS; i++)
        sy[i] = sx[F * i] - sx[F * i + 1] + 0.5f;
    return train_finished(m);
}

typedef struct hand {
    double a[F * H], b[H];
} hand;

static void read_hand(const weft_model *m, hand *h)
{
    float a[F * H], b[H];
    train_read(m, "a/kernel", a);
    train_read(m, "b/kernel", b);
    for (int i = 0; i < F * H; i++)
        h->a[i] = (double)a[i];
    for (int i = 0; i < H; i++)
        h->b[i] = (double)b[i];
}

/* One step of SGD; scale: what each element of the hidden layer is multiplied by. l1, l2: of the
 * hidden layer, a sample. Returns the loss before it. */
static double hand_step(hand *h, const float *scale, double l1, double l2, double rate)
{
    double ga[F * H] = { 0 }, gb[H] = { 0 }, loss = 0;
    for (int i = 0; i < ROWS; i++) {
        double hidden[H], e = -(double)sy[i];
        for (int k = 0; k < H; k++) {
            hidden[k] = 0;
            for (int f = 0; f < F; f++)
                hidden[k] += (double)sx[F * i + f] * h->a[H * f + k];
            loss += (l1 * fabs(hidden[k]) + l2 * hidden[k] * hidden[k]) / ROWS;
            e += hidden[k] * (double)scale[H * i + k] * h->b[k];
        }
        loss += e * e / ROWS;
        for (int k = 0; k < H; k++) {
            double s = (double)scale[H * i + k];
            gb[k] += 2 * e * hidden[k] * s / ROWS;
            double g = 2 * e * h->b[k] * s / ROWS;
            g += (l1 * (hidden[k] > 0 ? 1 : -1) + 2 * l2 * hidden[k]) / ROWS;
            for (int f = 0; f < F; f++)
                ga[H * f + k] += g * (double)sx[F * i + f];
        }
    }
    for (int i = 0; i < F * H; i++)
        h->a[i] -= rate * ga[i];
    for (int i = 0; i < H; i++)
        h->b[i] -= rate * gb[i];
    return loss;
}

static void expect_hand(const weft_model *m, const hand *h)
{
    hand now;
    read_hand(m, &now);
    for (int i = 0; i < F * H; i++)
        assert_near(now.a[i], h->a[i], 2e-6);
    for (int i = 0; i < H; i++)
        assert_near(now.b[i], h->b[i], 2e-6);
}

static void test_gradient_goes_through_the_mask(void **state)
{
    (void)state;
    for (int d = 0; train_device[d]; d++) {
        weft_model *m = net("Dropout", "rate=0.5 name=drop");
        weft_session *s =
            train_compiled(m, train_device[d], "optimizer=SGD(learning_rate=0.1) loss=mse");
        weft_array x = train_array(sx, F32(ROWS, F)), y = train_array(sy, F32(ROWS, 1));
        made mask = make("Dropout", "rate=0.5 name=drop", F32(ROWS, H), 9, "cpu");
        hand h;
        read_hand(m, &h);
        for (int i = 0; i < 3; i++) {
            weft_logs logs;
            weft_array *scale = run(&mask, ones);
            double loss = hand_step(&h, scale->data, 0, 0, 0.1);
            train_step(s, &x, &y, &logs);
            assert_near(logs.value[0], loss, 2e-6 * (1 + loss));
            expect_hand(m, &h);
            weft_array_destroy(&scale);
        }
        destroy(&mask);
        weft_session_destroy(&s);
        weft_model_destroy(&m);
    }
}

/* Keras adds l1 sum |x| + l2 sum x^2 over the batch size, in training and in evaluation. */
static void test_activity_regularization(void **state)
{
    (void)state;
    for (int d = 0; train_device[d]; d++) {
        weft_model *m = net("ActivityRegularization", "l1=0.2 l2=0.3");
        weft_session *s = train_compiled(m, train_device[d],
                                         "optimizer=SGD(learning_rate=0.05) loss=mse metrics=mse");
        weft_array x = train_array(sx, F32(ROWS, F)), y = train_array(sy, F32(ROWS, 1));
        const weft_array *xs[] = { &x }, *ys[] = { &y };
        hand h;
        read_hand(m, &h);
        for (int i = 0; i < 3; i++) {
            weft_logs logs, evaluated;
            hand plain = h;
            double mse = hand_step(&plain, ones, 0, 0, 0),
                   loss = hand_step(&h, ones, 0.2, 0.3, 0.05);
            /* the means of two halves are the mean */
            if (weft_session_evaluate(s, &(weft_data){ xs, ys, 1, 1 }, ROWS / 2, &evaluated))
                fail_msg("%s", weft_error());
            train_step(s, &x, &y, &logs);
            assert_near(evaluated.value[0], loss, 2e-6 * (1 + loss));
            assert_near(evaluated.value[1], mse, 2e-6 * (1 + mse));
            assert_near(logs.value[0], loss, 2e-6 * (1 + loss));
            assert_near(logs.value[1], mse, 2e-6 * (1 + mse));
            expect_hand(m, &h);
        }
        weft_session_destroy(&s);
        weft_model_destroy(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dropout),
        cmocka_unit_test(test_seed),
        cmocka_unit_test(test_shared),
        cmocka_unit_test(test_constant_along_axes),
        cmocka_unit_test(test_alpha_dropout),
        cmocka_unit_test(test_normal_noise),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_inference),
        cmocka_unit_test(test_gradient_goes_through_the_mask),
        cmocka_unit_test(test_activity_regularization),
    };
    return cmocka_run_group_tests(tests, setup, train_teardown);
}
