/* The op random: the known answers of Philox4x32-10 (Random123's kat_vectors), the same bits and
 * uniforms on every device, whatever the batch, and the moments that the numbers must have. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "chain.h"
#include "fixture.h"

static weft_context *ctx;
static devices all;

/* The function of the paper, section 3.3, written for this test alone. */
static void philox(const uint32_t counter[4], const uint32_t key[2], uint32_t word[4])
{
    uint32_t k[2] = { key[0], key[1] };

    memcpy(word, counter, 4 * sizeof *word);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = UINT64_C(0xD2511F53) * word[0], p1 = UINT64_C(0xCD9E8D57) * word[2];
        uint32_t next[4] = { (uint32_t)(p1 >> 32) ^ word[1] ^ k[0], (uint32_t)p1,
                             (uint32_t)(p0 >> 32) ^ word[3] ^ k[1], (uint32_t)p0 };

        memcpy(word, next, sizeof next);
        k[0] += 0x9E3779B9; /* the golden ratio */
        k[1] += 0xBB67AE85; /* sqrt(3) - 1 */
    }
}

static void test_known_answers(void **state)
{
    static const struct {
        uint32_t counter[4], key[2], word[4];
    } kat[] = {
        { { 0 }, { 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff },
          { 0xffffffff, 0xffffffff },
          { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
          { 0xa4093822, 0x299f31d0 },
          { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof kat / sizeof *kat; i++) {
        uint32_t word[4];

        philox(kat[i].counter, kat[i].key, word);
        assert_memory_equal(word, kat[i].word, sizeof word);
    }
}

typedef struct stream {
    int64_t key[2], step;
} stream;

/* The word that element i of the op must be made of. */
static uint32_t word_of(const stream *s, uint64_t i)
{
    uint64_t low = (uint64_t)s->key[0], high = (uint64_t)s->key[1], step = (uint64_t)s->step;
    uint32_t counter[4] = { (uint32_t)(i / 4), (uint32_t)((i / 4) >> 32), (uint32_t)step,
                            (uint32_t)high ^ (uint32_t)(step >> 32) },
             key[2] = { (uint32_t)low, (uint32_t)(low >> 32) }, word[4];

    philox(counter, key, word);
    return word[i % 4];
}

/* What the op gives; attrs as in a case line. */
static weft_array *draw(const char *device, const char *options, const char *attrs, stream s)
{
    char step[128];
    chain c = { "i64 2, i64", { step }, 0 };
    weft_array key = { { WEFT_I64, 1, { 2 } }, s.key }, at = { { WEFT_I64, 0, { 0 } }, &s.step };
    const weft_array *in[] = { &key, &at };
    weft_array *y = NULL;
    weft_session *session = NULL;
    weft_model *m;

    snprintf(step, sizeof step, "random;%s;0 1", attrs);
    assert_non_null(m = chain_model(ctx, &c));
    if (weft_session_create(m, device, options, &session) ||
        weft_session_run(session, in, 2, &y, 1))
        fail_msg("%s: %s", device, weft_error());
    weft_session_destroy(&session);
    weft_model_destroy(&m);
    return y;
}

static void test_bits(void **state)
{
    static const stream streams[] = {
        { { 0, 0 }, 0 },
        { { INT64_C(0x299f31d0a4093822), 0x03707344 }, 0x13198a2e },
        { { -1, -1 }, INT64_C(0x7fffffff00000003) },
        { { 42, 7 }, INT64_C(1) << 40 },
    };

    (void)state;
    for (size_t d = 0; *all.id[d]; d++)
        for (size_t k = 0; k < sizeof streams / sizeof *streams; k++) {
            weft_array *bits = draw(all.id[d], NULL, "dist=bits shape=(3,23357)", streams[k]);
            weft_array *u = draw(all.id[d], NULL, "dist=uniform shape=(70071)", streams[k]);

            assert_int_equal(bits->spec.dtype, WEFT_I32);
            for (uint64_t i = 0; i < 70071; i++) {
                uint32_t word = word_of(&streams[k], i);
                float unit = (float)(word >> 8) / 16777216.0f;

                if (((uint32_t *)bits->data)[i] != word || ((float *)u->data)[i] != unit)
                    fail_msg("%s, stream %d, element %" PRIu64 ": bits %08x, uniform %.9g; want "
                             "%08x and %.9g",
                             all.id[d], (int)k, i, (unsigned)((uint32_t *)bits->data)[i],
                             (double)((float *)u->data)[i], (unsigned)word, (double)unit);
            }
            weft_array_destroy(&bits);
            weft_array_destroy(&u);
        }
}

/* In f64 mode the uniforms are the same numbers, and the normals nearer to the truth. */
static void test_f64(void **state)
{
    stream s = { { 5, 6 }, 7 };
    weft_array *u = draw("cpu", NULL, "shape=(999)", s);
    weft_array *wide = draw("cpu", "dtype=float64", "shape=(999)", s);
    weft_array *z = draw("cpu", NULL, "dist=normal shape=(999)", s);
    weft_array *wide_z = draw("cpu", "dtype=float64", "dist=normal shape=(999)", s);

    (void)state;
    assert_int_equal(wide->spec.dtype, WEFT_F64);
    for (int i = 0; i < 999; i++) {
        double exact = ((double *)wide_z->data)[i];

        assert_true(((double *)wide->data)[i] == (double)((float *)u->data)[i]);
        assert_true(((float *)z->data)[i] == (float)exact);
        if (i % 2) continue;
        double r = sqrt(-2 * log(((word_of(&s, (uint64_t)i) >> 8) + 0.5) / 16777216)),
               turn = 6.283185307179586 * (word_of(&s, (uint64_t)i + 1) >> 8) / 16777216;
        /* cos and sin of an angle that is off by an ulp of 2 pi */
        assert_true(fabs(exact - r * cos(turn)) <= 4e-15 * r);
        assert_true(fabs(((double *)wide_z->data)[i + (i < 998)] -
                         (i < 998 ? r * sin(turn) : exact)) <= 4e-15 * r);
    }
    weft_array_destroy(&u);
    weft_array_destroy(&wide);
    weft_array_destroy(&z);
    weft_array_destroy(&wide_z);
}

/* More samples do not change the first ones; none at all are no error. */
static void test_batch(void **state)
{
    static const chain c = { "i64 2, i64, f32 Bx7",
                             { "random;shape=(-1,7);0 1", "map;expr=\"a+b\";3 2" },
                             0 };
    stream s = { { 5, 6 }, 7 };
    weft_model *m = chain_model(ctx, &c);
    float zeros[5 * 7] = { 0 };

    (void)state;
    assert_non_null(m);
    for (size_t d = 0; *all.id[d]; d++)
        for (int64_t batch = 0; batch <= 5; batch += 5 - batch > 3 ? 3 : 2) {
            weft_array key = { { WEFT_I64, 1, { 2 } }, s.key },
                       at = { { WEFT_I64, 0, { 0 } }, &s.step },
                       x = { { WEFT_F32, 2, { batch, 7 } }, zeros };
            const weft_array *in[] = { &key, &at, &x };
            weft_array *y = NULL;
            weft_session *session = NULL;

            if (weft_session_create(m, all.id[d], NULL, &session) ||
                weft_session_run(session, in, 3, &y, 1))
                fail_msg("%s: %s", all.id[d], weft_error());
            assert_int_equal(weft_array_count(y), batch * 7);
            for (uint64_t i = 0; i < weft_array_count(y); i++)
                assert_true(((float *)y->data)[i] == (float)(word_of(&s, i) >> 8) / 16777216.0f);
            weft_array_destroy(&y);
            weft_session_destroy(&session);
        }
    weft_model_destroy(&m);
    for (size_t d = 0; *all.id[d]; d++) {
        weft_array *y = draw(all.id[d], NULL, "dist=normal shape=(0,3)", s);

        assert_int_equal(weft_array_count(y), 0);
        weft_array_destroy(&y);
    }
}

/* The mean of n numbers of that expectation and variance lies within five standard deviations. */
static void expect_mean(double sum, double want, double variance, const char *what)
{
    const double n = 1 << 20;

    if (fabs(sum / n - want) > 5 * sqrt(variance / n))
        fail_msg("%s: %g, want %g within %g", what, sum / n, want, 5 * sqrt(variance / n));
}

static void test_moments(void **state)
{
    enum { COUNT = 1 << 20 };

    (void)state;
    for (int64_t k = 0; k < 3; k++) {
        weft_array *u = draw("cpu", NULL, "shape=(1048576)", (stream){ { k, 1 }, k });
        weft_array *z = draw("cpu", NULL, "dist=normal shape=(1048576)", (stream){ { k, 2 }, k });
        double s[7] = { 0 };

        for (int i = 0; i < COUNT; i++) {
            double x = ((float *)u->data)[i], y = ((float *)z->data)[i];
            double next = ((float *)z->data)[(i + 1) % COUNT];

            assert_true(x >= 0 && x < 1);
            s[0] += x;
            s[1] += (x - 0.5) * (x - 0.5);
            s[2] += (x - 0.5) * (((float *)u->data)[(i + 1) % COUNT] - 0.5);
            s[3] += y;
            s[4] += y * y;
            s[5] += y * y * y * y;
            s[6] += y * next;
        }
        /* E (x - 1/2)^4 = 1/80; of normals E y^4 = 3, E y^8 = 105 */
        expect_mean(s[0], 0.5, 1.0 / 12, "uniform, mean");
        expect_mean(s[1], 1.0 / 12, 1.0 / 80 - 1.0 / 144, "uniform, variance");
        expect_mean(s[2], 0, 1.0 / 144, "uniform, neighbours");
        expect_mean(s[3], 0, 1, "normal, mean");
        expect_mean(s[4], 1, 2, "normal, variance");
        expect_mean(s[5], 3, 96, "normal, fourth moment");
        expect_mean(s[6], 0, 1, "normal, neighbours");
        weft_array_destroy(&u);
        weft_array_destroy(&z);
    }
}

static int setup(void **state)
{
    (void)state;
    if (!(ctx = chain_context())) return -1;
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
        cmocka_unit_test(test_known_answers), cmocka_unit_test(test_bits),
        cmocka_unit_test(test_f64),           cmocka_unit_test(test_batch),
        cmocka_unit_test(test_moments),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
