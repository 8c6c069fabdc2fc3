/* Variables: the generator against its authors' numbers, initializers against their formulas,
 * reading, writing, generations, the lock. */
#include "model_classes.h"
#include <math.h>
#include <pthread.h>
#include "model/initializer.h"
#include "model/random.h"

/* Known answers of Random123's kat_vectors for philox4x32-10. */
static void philox(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], result[4];
    } known[] = { { { 0 }, { 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
                  { { UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX },
                    { UINT32_MAX, UINT32_MAX },
                    { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
                  { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
                    { 0xa4093822, 0x299f31d0 },
                    { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } } };
    for (size_t i = 0; i < 3; i++) {
        uint32_t r[4];
        weft__philox((uint64_t)known[i].key[1] << 32 | known[i].key[0], known[i].counter, r);
        assert_memory_equal(r, known[i].result, sizeof r);
    }
}

static float *make(const char *text, weft_spec spec)
{
    size_t n = 1;
    for (int i = 0; i < spec.rank; i++)
        n *= (size_t)spec.dim[i];
    float *data = calloc(n + 1, sizeof *data);
    weft__initializer_request request = { text, "layer/kernel", &spec, 1 };
    if (weft__initializer_run(&request, data)) fail_msg("%s", weft_error());
    return data;
}

typedef struct facts {
    double mean, deviation, least, most;
} facts;
static facts look(const float *v, size_t n)
{
    facts f = { 0, 0, v[0], v[0] };
    for (size_t i = 0; i < n; i++)
        f.mean += v[i] / (double)n;
    for (size_t i = 0; i < n; i++) {
        f.deviation += (v[i] - f.mean) * (v[i] - f.mean) / (double)n;
        f.least = fmin(f.least, v[i]);
        f.most = fmax(f.most, v[i]);
    }
    f.deviation = sqrt(f.deviation);
    return f;
}

/* n draws: the mean is within 5 deviations / sqrt(n); the deviation (kurtosis <= 3) within 5 /
 * sqrt(2 n). */
static void follows(const char *text, weft_spec spec, double deviation, double limit)
{
    size_t n = 1;
    for (int i = 0; i < spec.rank; i++)
        n *= (size_t)spec.dim[i];
    float *v = make(text, spec);
    facts f = look(v, n);
    double root = sqrt((double)n);
    if (fabs(f.mean) > 5 * deviation / root) fail_msg("%s: mean %g", text, f.mean);
    if (fabs(f.deviation / deviation - 1) > 5 / (root * sqrt(2)))
        fail_msg("%s: deviation %g, not %g", text, f.deviation, deviation);
    if (f.least < -limit || f.most > limit || f.most < limit * 0.7)
        fail_msg("%s: from %g to %g", text, f.least, f.most);
    free(v);
}

static void random_families(void **state)
{
    (void)state;
    const weft_spec m = { WEFT_F32, 2, { 200, 100 } }, conv = { WEFT_F32, 4, { 3, 3, 16, 128 } };
    const double cut = 2 / 0.87962566103423978; /* of a truncated normal whose deviation is 1 */
    follows("glorot_uniform", m, sqrt(2. / 300), sqrt(6. / 300));
    follows("GlorotUniform(seed=3)", conv, sqrt(2. / 1296), sqrt(6. / 1296));
    follows("glorot_normal", m, sqrt(2. / 300), cut * sqrt(2. / 300));
    follows("he_uniform", conv, sqrt(2. / 144), sqrt(6. / 144));
    follows("HeNormal", conv, sqrt(2. / 144), cut * sqrt(2. / 144));
    follows("lecun_uniform", m, sqrt(1. / 200), sqrt(3. / 200));
    follows("LecunNormal", m, sqrt(1. / 200), cut * sqrt(1. / 200));
    follows("variance_scaling(scale=3.0 mode=fan_out distribution=uniform)", m, sqrt(3. / 100),
            sqrt(9. / 100));
    follows("VarianceScaling(distribution=untruncated_normal)", m, sqrt(1. / 200),
            5.5 * sqrt(1. / 200));
    follows("random_uniform", m, 0.1 / sqrt(12), 0.05);
    follows("random_normal", m, 0.05, 0.275);
    follows("RandomNormal(mean=0.0 stddev=2.0 seed=7)", m, 2, 11);
    follows("truncated_normal", m, 0.05 * 0.87962566103423978, 0.1);
}

static void plain_families(void **state)
{
    (void)state;
    const weft_spec m = { WEFT_F32, 2, { 3, 4 } };
    float *v = make("Zeros", m), *w = make("ones", m), *x = make("constant(value=0.25)", m),
          *id = make("identity(gain=2.0)", m);
    for (int i = 0; i < 12; i++) {
        assert_true(v[i] == 0.F && w[i] == 1.F && x[i] == 0.25F);
        assert_true(id[i] == (i % 4 == i / 4 ? 2.F : 0.F));
    }
    free(v);
    free(w);
    free(x);
    free(id);
    int32_t n[3];
    weft_spec ints = { WEFT_I32, 1, { 3 } };
    weft__initializer_request request = { "constant(value=1e300)", "", &ints, 0 };
    assert_int_equal(weft__initializer_run(&request, n), WEFT_OK);
    assert_int_equal(n[2], INT32_MAX);
}

/* The shorter side is orthonormal: products are 0 or gain squared, to the rounding of float over n
 * terms. */
static void orthogonal_is(int64_t rows, int64_t columns, const char *text, double gain)
{
    float *v = make(text, (weft_spec){ WEFT_F32, 3, { 2, rows / 2, columns } });
    int tall = rows >= columns;
    int64_t count = tall ? columns : rows, length = tall ? rows : columns;
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j <= i; j++) {
            double d = 0;
            for (int64_t k = 0; k < length; k++)
                d += (double)v[tall ? k * columns + i : i * columns + k] *
                     (double)v[tall ? k * columns + j : j * columns + k];
            if (fabs(d - (i == j ? gain * gain : 0)) >
                2 * gain * gain * 0x1p-24 * sqrt((double)length) + 1e-12)
                fail_msg("%g at %d, %d", d, (int)i, (int)j);
        }
    free(v);
}
static void orthogonal(void **state)
{
    (void)state;
    orthogonal_is(64, 24, "orthogonal", 1);
    orthogonal_is(24, 64, "OrthogonalInitializer(gain=1.5)", 1.5);
    orthogonal_is(32, 32, "Orthogonal", 1);
}

static void unit_forget_bias(void **state)
{
    (void)state;
    const weft_spec spec = { WEFT_F32, 1, { 8 } };
    const float want[8] = { 0.25f, 0.25f, 1, 1, 0.25f, 0.25f, 0.25f, 0.25f };
    float *v = make("unit_forget_bias(bias=constant(value=0.25))", spec);
    assert_memory_equal(v, want, sizeof want);
    free(v);
    v = make("unit_forget_bias", spec);
    assert_true(v[0] == 0 && v[2] == 1 && v[3] == 1 && v[4] == 0 && v[7] == 0);
    free(v);
}

static void mistakes(void **state)
{
    (void)state;
    const weft_spec m = { WEFT_F32, 1, { 3 } };
    assert_int_equal(weft__initializer_check("xavier", &m), WEFT_E_NOTFOUND);
    t_says("unknown initializer \"xavier\"; there are zeros, ones, constant");
    assert_int_equal(weft__initializer_check("random_normal(std=1.0)", &m), WEFT_E_ATTR);
    t_says("stddev");
    assert_int_equal(weft__initializer_check("variance_scaling(mode=fan)", &m), WEFT_E_ATTR);
    assert_int_equal(weft__initializer_check("identity", &m), WEFT_E_SHAPE);
    assert_int_equal(weft__initializer_check("orthogonal", &m), WEFT_E_SHAPE);
    assert_int_equal(weft__initializer_check("unit_forget_bias", &m), WEFT_E_SHAPE);
    t_says("four parts");
    assert_int_equal(weft__initializer_check("3", &m), WEFT_E_ATTR);
    assert_int_equal(weft__initializer_check("", &m), WEFT_E_ATTR);
    assert_int_equal(weft__initializer_check("ones(", &m), WEFT_E_ATTR);
}

static weft_model *dense(weft_context *ctx, const char *name, uint64_t seed)
{
    weft_model *m = t_model(ctx, name);
    assert_int_equal(weft_model_set_seed(m, seed), WEFT_OK);
    weft_tensor x = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(10));
    x = weft_apply(m, "Dense", "units=10", x);
    weft_output(m, weft_apply(m, "Dense", "units=10", x));
    t_finish(m);
    return m;
}

static void get(weft_model *m, uint32_t i, float *v)
{
    weft_array a = { .spec = { WEFT_F32, 2, { 10, 10 } }, .data = v };
    assert_int_equal(weft_model_get_variable(m, i, &a), WEFT_OK);
}

static void seeds(void **state)
{
    (void)state;
    weft_context *ctx = t_open(NULL);
    float a[100], b[100], c[100], d[100];
    weft_model *one = dense(ctx, "one", 5), *same = dense(ctx, "same", 5),
               *other = dense(ctx, "other", 6);
    get(one, 0, a);
    get(same, 0, b);
    get(other, 0, c);
    get(one, 2, d);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_not_equal(a, c, sizeof a);
    assert_memory_not_equal(a, d, sizeof a);
    assert_int_equal(weft_model_set_seed(one, 1), WEFT_E_ARG);
    weft_model_destroy(&one);
    weft_model_destroy(&same);
    weft_model_destroy(&other);
    weft_context_destroy(&ctx);
}

static void get_and_set(void **state)
{
    (void)state;
    weft_context *ctx = t_open(NULL);
    weft_model *m = dense(ctx, "m", 0);
    float v[100], w[100];
    weft_array a = { .spec = { WEFT_F32, 2, { 10, 9 } }, .data = v },
               none = { .spec = { WEFT_F32, 2, { 10, 10 } } };
    uint64_t before = weft__model_generation(m), own = weft__model_variable_at(m, 0)->generation;
    assert_int_equal(weft_model_set_variable(m, 0, &a), WEFT_E_SHAPE);
    t_says("variable \"dense/kernel\" is float32 (10, 10), the array is float32 (10, 9)");
    a.spec.rank = 99;
    assert_int_equal(weft_model_set_variable(m, 0, &a), WEFT_E_SHAPE);
    a.spec = (weft_spec){ WEFT_F64, 2, { 10, 10 } };
    assert_int_equal(weft_model_get_variable(m, 0, &a), WEFT_E_SHAPE);
    assert_int_equal(weft_model_set_variable(m, 0, &none), WEFT_E_ARG);
    assert_int_equal(weft_model_set_variable(m, 4, &none), WEFT_E_ARG);
    t_says("model \"m\" has 4 variables; there is no number 4");
    assert_true(weft__model_generation(m) == before);
    a.spec.dtype = WEFT_F32;
    for (int i = 0; i < 100; i++)
        v[i] = (float)i;
    assert_int_equal(weft_model_set_variable(m, 0, &a), WEFT_OK);
    get(m, 0, w);
    assert_memory_equal(v, w, sizeof v);
    assert_true(weft__model_generation(m) == before + 1);
    assert_true(weft__model_variable_at(m, 0)->generation == own + 1);
    assert_null(weft__model_variable_at(m, 4));
    weft_model_destroy(&m);
    weft_context_destroy(&ctx);
}

/* Readers see whole values while a writer in another model that shares the layers writes. */
static void *read_much(void *user)
{
    weft_model *m = user;
    for (int i = 0; i < 2000; i++) {
        weft__model_read_lock(m);
        const float *v = weft__model_variable_at(m, 0)->data;
        float first = v[0];
        int same = 1;
        for (int k = 1; k < 100; k++)
            same &= v[k] == first;
        weft__model_unlock(m);
        if (!same) return m;
    }
    return NULL;
}
static void locking(void **state)
{
    (void)state;
    weft_context *ctx = t_open(NULL);
    weft_model *base = dense(ctx, "base", 0), *outer = t_model(ctx, "outer");
    weft_tensor x = weft_input(outer, "x", WEFT_F32, WEFT_SHAPE(10));
    weft_output(outer, weft_model_call(outer, base, NULL, &x, 1, NULL));
    t_finish(outer);
    float v[100] = { 0 };
    weft_array a = { .spec = { WEFT_F32, 2, { 10, 10 } }, .data = v };
    assert_int_equal(weft_model_set_variable(outer, 0, &a), WEFT_OK);
    pthread_t one, two;
    void *torn_one, *torn_two;
    assert_int_equal(pthread_create(&one, NULL, read_much, base), 0);
    assert_int_equal(pthread_create(&two, NULL, read_much, outer), 0);
    for (int i = 0; i < 500; i++) {
        for (int k = 0; k < 100; k++)
            v[k] = (float)i;
        assert_int_equal(weft_model_set_variable(i % 2 ? outer : base, 0, &a), WEFT_OK);
    }
    pthread_join(one, &torn_one);
    pthread_join(two, &torn_two);
    assert_null(torn_one);
    assert_null(torn_two);
    weft_model_destroy(&base);
    weft_model_destroy(&outer);
    weft_context_destroy(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox),
        cmocka_unit_test(random_families),
        cmocka_unit_test(plain_families),
        cmocka_unit_test(orthogonal),
        cmocka_unit_test(unit_forget_bias),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(seeds),
        cmocka_unit_test(get_and_set),
        cmocka_unit_test(locking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
