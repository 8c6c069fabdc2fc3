/* Indices that come with the data: one out of range is an error that names the layer, the value and
 * the range, on every device, and the session goes on working. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <inttypes.h>
#include <stdio.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>
#include "chain.h"
#include "fixture.h"

enum { ROWS = 5, COLUMNS = 3, WANTED = 4 };

/* x [5, 3], indices [batch, 4] with steps behind the gather, so that a late error has somewhere to
 * go. */
static const chain model_i32 = {
    "f32 5x3, i32 Bx4", { "gather;;0 1", "map;expr=\"a*2\";2", "reduce;fn=sum axes=(1);3" }, 0
};
static const chain model_i64 = {
    "f32 5x3, i64 Bx4", { "gather;;0 1", "map;expr=\"a*2\";2", "reduce;fn=sum axes=(1);3" }, 0
};

/* The same indices as places: rows of u [batch, 4, 3] are added to y [5, 3]. */
static const chain scatter_model = { "f32 Bx4x3, i32 Bx4",
                                     { "scatter_add;size=5;1 0", "map;expr=\"a*2\";2" },
                                     0 };

typedef struct problem {
    float x[ROWS * COLUMNS];
    int64_t wide[2 * WANTED];
    int32_t narrow[2 * WANTED];
    weft_array table, indices;
} problem;

static void set(problem *p, const weft_spec *indices, int64_t bad)
{
    *p = (problem){ .table = { { WEFT_F32, 2, { ROWS, COLUMNS } }, NULL },
                    .indices = { *indices, NULL } };
    for (int i = 0; i < ROWS * COLUMNS; i++)
        p->x[i] = (float)i;
    for (int i = 0; i < 2 * WANTED; i++)
        p->wide[i] = i % ROWS;
    if (bad) p->wide[WANTED + 1] = bad;
    for (int i = 0; i < 2 * WANTED; i++)
        p->narrow[i] = (int32_t)p->wide[i];
    p->table.data = p->x;
    p->indices.spec.dim[0] = 2;
    p->indices.data = indices->dtype == WEFT_I64 ? (void *)p->wide : (void *)p->narrow;
}

static weft_status run(weft_session *s, problem *p, weft_array **y)
{
    const weft_array *in[] = { &p->table, &p->indices };

    return weft_session_run(s, in, 2, y, 1);
}

static void assert_right(weft_session *s, const weft_spec *indices, const char *device)
{
    weft_array *y = NULL;
    problem p;

    set(&p, indices, 0);
    if (run(s, &p, &y)) fail_msg("%s: %s", device, weft_error());
    for (int b = 0; b < 2; b++)
        for (int c = 0; c < COLUMNS; c++) {
            float want = 0;

            for (int k = 0; k < WANTED; k++)
                want += 2 * p.x[p.wide[b * WANTED + k] * COLUMNS + c];
            assert_true(((float *)y->data)[b * COLUMNS + c] == want);
        }
    weft_array_destroy(&y);
}

static void assert_refused(weft_session *s, const weft_spec *indices, int64_t bad,
                           const char *device)
{
    weft_array *y = NULL;
    problem p;
    char words[128];
    weft_status st;

    set(&p, indices, bad);
    st = run(s, &p, &y);
    assert_null(y);
    if (!st) fail_msg("%s: index %" PRId64 " was taken", device, bad);
    snprintf(words, sizeof words, "step0|%" PRId64 "|%d", bad, ROWS - 1);
    if (!holds_words(weft_error(), words))
        fail_msg("%s: \"%s\" lacks %s", device, weft_error(), words);
}

static void check(const chain *c)
{
    static const int64_t bad[] = {
        -1, ROWS, 123456789, -2147483647 - 1, 2147483647, INT64_C(1) << 40, INT64_MIN
    };
    weft_context *ctx = chain_context();
    weft_model *m = ctx ? chain_model(ctx, c) : NULL;
    weft_spec indices;
    devices all;

    assert_non_null(m);
    assert_int_equal(weft_model_input(m, 1, NULL, &indices), WEFT_OK);
    devices_list(ctx, &all);
    for (size_t d = 0; *all.id[d]; d++) {
        weft_session *s = NULL;

        assert_int_equal(weft_session_create(m, all.id[d], NULL, &s), WEFT_OK);
        assert_right(s, &indices, all.id[d]);
        for (size_t i = 0; i < (indices.dtype == WEFT_I64 ? 7 : 5); i++) {
            assert_refused(s, &indices, bad[i], all.id[d]);
            assert_right(s, &indices, all.id[d]);
        }
        weft_session_destroy(&s);
    }
    weft_model_destroy(&m);
    weft_context_destroy(&ctx);
}

static void test_i32(void **state)
{
    (void)state;
    check(&model_i32);
}
static void test_i64(void **state)
{
    (void)state;
    check(&model_i64);
}

/* One run of scatter_add on batch * 4 rows; the sums come in the order of the rows, so that every
 * run gives the same bits. */
static weft_array *scatter(weft_session *s, int64_t batch, int32_t *indices, float *rows)
{
    weft_array u = { { WEFT_F32, 3, { batch, WANTED, COLUMNS } }, rows },
               j = { { WEFT_I32, 2, { batch, WANTED } }, indices };
    const weft_array *in[] = { &u, &j };
    weft_array *y = NULL;

    weft_session_run(s, in, 2, &y, 1);
    return y;
}

static void test_scatter(void **state)
{
    enum { BATCH = 700 };
    static int32_t indices[BATCH * WANTED];
    static float rows[BATCH * WANTED * COLUMNS];
    weft_context *ctx = chain_context();
    weft_model *m = ctx ? chain_model(ctx, &scatter_model) : NULL;
    devices all;

    (void)state;
    assert_non_null(m);
    devices_list(ctx, &all);
    for (int i = 0; i < BATCH * WANTED; i++)
        indices[i] = i * 7 % 11 % ROWS;
    for (int i = 0; i < BATCH * WANTED * COLUMNS; i++)
        rows[i] = 1.0f / (float)(1 + i * 37 % 1009);
    for (size_t d = 0; *all.id[d]; d++) {
        weft_session *s = NULL;
        weft_array *first, *y;

        assert_int_equal(weft_session_create(m, all.id[d], NULL, &s), WEFT_OK);
        assert_non_null(first = scatter(s, BATCH, indices, rows));
        for (int k = 0; k < 4; k++) {
            assert_non_null(y = scatter(s, BATCH, indices, rows));
            assert_memory_equal(y->data, first->data, (size_t)weft_array_bytes(y));
            weft_array_destroy(&y);
        }
        for (int bad = -1; bad <= ROWS; bad += ROWS + 1) {
            char words[64];

            indices[WANTED + 1] = bad;
            assert_null(scatter(s, 2, indices, rows));
            snprintf(words, sizeof words, "step0|%d|%d", bad, ROWS - 1);
            if (!holds_words(weft_error(), words))
                fail_msg("%s: \"%s\" lacks %s", all.id[d], weft_error(), words);
            indices[WANTED + 1] = (WANTED + 1) * 7 % 11 % ROWS;
        }
        assert_non_null(y = scatter(s, BATCH, indices, rows));
        assert_memory_equal(y->data, first->data, (size_t)weft_array_bytes(y));
        weft_array_destroy(&y);
        weft_array_destroy(&first);
        weft_session_destroy(&s);
    }
    weft_model_destroy(&m);
    weft_context_destroy(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_i32), cmocka_unit_test(test_i64),
                                        cmocka_unit_test(test_scatter) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
