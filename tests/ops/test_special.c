/* NaN, infinities, zeros of both signs, denormal and huge numbers: every device puts NaN and
 * infinity where the cpu in f64 does. Huge and denormal numbers only meet ops that do not compute
 * with them, since f32 overflows where f64 does not. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>
#include "case_line.h"
#include "extra_cases.h"
#include "fixture.h"

typedef enum { ALL_KINDS, NO_RANGE, NO_NAN } pool_kind;

static const float numbers[] = { 1, -1, 0.5f, 2, -2.5f, 0.0f, -0.0f, 3 };
static const float endless[] = { NAN, INFINITY, -INFINITY };
static const float ranges[] = { FLT_MAX, -FLT_MAX, FLT_MIN, -FLT_MIN, 1e-40f, -1e-45f };

static weft_context *ctx;
static devices all;

/* Element i of pool number `turn`: mostly special ones, the others plain numbers. */
static float pick(pool_kind kind, uint64_t i, unsigned turn)
{
    uint64_t r = (i + 1) * 2654435761u * (turn * 2 + 1) >> 7;

    switch (r % 4) {
    case 0: return kind == NO_NAN ? endless[1 + (r / 4) % 2] : endless[(r / 4) % 3];
    case 1:
        if (kind == NO_RANGE) return numbers[(r / 4) % 8];
        return ranges[(r / 4) % 6];
    default: return numbers[(r / 4) % 8];
    }
}

static void check_special(const char *op, const char *text, pool_kind kind, case_tally *t)
{
    weft_array *values[CASE_INPUTS] = { NULL };
    uint64_t seed = 3;
    case_line line;

    if (case_parse(text, &line)) {
        t->failed++;
        return;
    }
    for (unsigned turn = 0; turn < 3; turn++) {
        for (uint32_t i = 0; i < line.n; i++) {
            values[i] = case_array(&line.spec[i], 3, line.below[i], &seed);
            if (!values[i] || line.spec[i].dtype != WEFT_F32) continue;
            for (uint64_t k = 0; k < weft_array_count(values[i]); k++)
                ((float *)values[i]->data)[k] = pick(kind, k + 31 * i, turn);
        }
        for (size_t d = 0; *all.id[d]; d++) {
            case_run run = { ctx, all.id[d], op, text, 3, values };

            case_check(&run, t);
        }
        for (uint32_t i = 0; i < line.n; i++)
            weft_array_destroy(&values[i]);
    }
}

static void finish(const case_tally *t)
{
    printf("%u runs of lines: %u results right, %u wrong, %u unverified\n", t->lines, t->passed,
           t->failed, t->unverified);
    assert_true(t->passed > 0);
    assert_int_equal(t->failed, 0);
}

/* Ops that choose and move. */
static void test_choose(void **state)
{
    static const extra_case cases[] = {
        { "map", "expr=\"max(a,b)\" : f32 Bx33, f32 Bx33" },
        { "map", "expr=\"min(a,b)\" : f32 Bx33, f32 33" },
        { "map", "expr=\"clip(a,-1,2)\" : f32 Bx33" },
        { "map", "expr=\"clip(a,b,c)\" : f32 Bx33, f32 33, f32 Bx1" },
        { "map", "expr=\"max(a,0)\" : f32 Bx33" },
        { "map", "expr=\"min(max(a,0),6)\" : f32 Bx33" },
        { "map", "expr=\"select(a>b,a,b)\" : f32 Bx33, f32 33" },
        { "map", "expr=\"a==b\" : f32 Bx33, f32 33" },
        { "map", "expr=\"a!=b\" : f32 Bx33, f32 33" },
        { "map", "expr=\"or(a<b,a>=b)\" : f32 Bx33, f32 33" },
        { "map", "expr=\"bool(a)\" : f32 Bx33" },
        { "map", "expr=\"not(a)\" : f32 Bx33" },
        { "map", "expr=\"neg(abs(a))\" : f32 Bx33" },
        { "map", "expr=\"sign(a)\" : f32 Bx33" },
        { "map", "expr=\"floor(a)+ceil(a)+round(a)\" : f32 Bx33" },
        { "reduce", "fn=max axes=(1) : f32 Bx5x3" },
        { "reduce", "fn=min axes=(1) : f32 Bx5x3" },
        { "reduce", "fn=max axes=(1) : f32 Bx300" },
        { "reduce", "fn=min : f32 Bx300" },
        { "reduce", "fn=argmax axes=(1) : f32 Bx5x3" },
        { "reduce", "fn=argmin axes=(1) : f32 Bx5x3" },
        { "reduce", "fn=argmax axes=(-1) : f32 Bx300" },
        { "reduce", "fn=argmin axes=(-1) : f32 Bx300" },
        { "reduce", "fn=any axes=(1) : f32 Bx3" },
        { "reduce", "fn=all axes=(1) : f32 Bx3" },
        { "reduce", "fn=max axes=(1) then=\"max(a,0)\" : f32 Bx5x3" },
        { "max_pool", "size=(2,2) strides=(2,1) pads=(1,0,0,1) : f32 Bx5x6x3" },
        { "max_pool", "size=(3) strides=(1) pads=(1,1) : f32 Bx9x2" },
        { "concat", "axis=1 : f32 Bx3x5, f32 Bx2x5" },
        { "pad", "low=(0,1) high=(0,2) value=nan : f32 Bx5" },
        { "pad", "low=(0,1) high=(0,2) value=-inf : f32 Bx5" },
        { "slice", "begin=(0,1,0) size=(-1,2,5) step=(1,2,1) : f32 Bx5x5" },
        { "transpose", "perm=(2,0,1) : f32 Bx5x7" },
        { "reverse", "axes=(1) : f32 Bx7" },
        { "reshape", "shape=(-5,3) : f32 Bx15" },
        { "broadcast", "shape=(-1,4,5) : f32 Bx1x5" },
        { "gather", "axis=1 : f32 Bx9x4, i32 3x2<9" },
        { "copy", ": f32 Bx9x4" },
    };
    case_tally t = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_special(cases[i].op, cases[i].line, ALL_KINDS, &t);
    finish(&t);
}

/* Ops that compute. */
static void test_compute(void **state)
{
    static const extra_case cases[] = {
        { "softmax", ": f32 Bx5" },
        { "softmax", ": f32 Bx3x300" },
        { "softmax", "axis=1 : f32 Bx5x3" },
        { "log_softmax", ": f32 Bx5" },
        { "log_softmax", "axis=1 : f32 Bx5x3" },
        { "reduce", "fn=sum axes=(1) : f32 Bx5x3" },
        { "reduce", "fn=mean axes=(1) : f32 Bx2x33" },
        { "reduce", "fn=prod axes=(1) : f32 Bx2x33" },
        { "avg_pool", "size=(2) strides=(2) pads=(0,1) : f32 Bx9x3" },
        { "map", "expr=\"log(1+exp(-abs(a)))+max(a,0)\" : f32 Bx33" },
        { "map", "expr=\"a/(1+abs(a))\" : f32 Bx33" },
        { "map", "expr=\"i32(a)\" : f32 Bx33" },
        { "map", "expr=\"u8(a)\" : f32 Bx33" },
    };
    static const char *const calls[] = { "", "expr=\"%s(a)\" : f32 Bx33",
                                         "expr=\"%s(a,b)\" : f32 Bx33, f32 33",
                                         "expr=\"%s(a,b,c)\" : f32 Bx33, f32 33, f32 Bx1" };
    case_tally t = { 0 };
    char text[128];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_special(cases[i].op, cases[i].line, NO_RANGE, &t);
    for (const map_function *f = map_functions; f->name; f++) {
        snprintf(text, sizeof text, calls[f->arity], f->name);
        check_special("map", text, NO_RANGE, &t);
    }
    check_special("softmax", ": f32 Bx7", ALL_KINDS, &t);
    check_special("softmax", ": f32 Bx7", NO_NAN, &t);
    check_special("log_softmax", ": f32 Bx7", NO_NAN, &t);
    finish(&t);
}

/* One special number among plain ones: a contraction carries it to what it touches, and nowhere
 * else. */
static void test_contractions(void **state)
{
    static const extra_case cases[] = {
        { "matmul", ": f32 Bx7, f32 7x5" },
        { "matmul", "transpose_b=true then=\"max(a+b,0)\" : f32 Bx37, f32 19x37, f32 19" },
        { "conv", "pads=(1,1,1,1) : f32 Bx5x6x3, f32 3x3x3x4" },
        { "conv", "groups=4 : f32 Bx5x6x4, f32 3x3x1x4" },
        { "conv", ": f32 Bx5x6x4, f32 1x1x4x7" },
        { "conv_input_grad", "pads=(1,1,1,1) size=(5,6) : f32 Bx5x6x4, f32 3x3x3x4" },
        { "conv_input_grad", "strides=(2,2) size=(9,8) : f32 Bx4x3x4, f32 3x3x18x4" },
        { "conv_filter_grad", "pads=(1,1,1,1) size=(3,3) : f32 Bx5x6x3, f32 Bx5x6x4" },
        { "conv_filter_grad", "groups=4 size=(3,3) : f32 Bx5x6x4, f32 Bx3x4x4" },
    };
    case_tally t = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int s = 0; s < 3; s++) {
            weft_array *values[CASE_INPUTS] = { NULL };
            uint64_t seed = 11;
            case_line line;

            assert_int_equal(case_parse(cases[i].line, &line), 0);
            for (uint32_t k = 0; k < line.n; k++)
                assert_non_null(values[k] = case_array(&line.spec[k], 2, 0, &seed));
            ((float *)values[0]->data)[weft_array_count(values[0]) - 2] = endless[s];
            for (size_t d = 0; *all.id[d]; d++) {
                case_run run = { ctx, all.id[d], cases[i].op, cases[i].line, 2, values };

                case_check(&run, &t);
            }
            for (uint32_t k = 0; k < line.n; k++)
                weft_array_destroy(&values[k]);
        }
    finish(&t);
}

static int setup(void **state)
{
    (void)state;
    if (weft_context_create(NULL, &ctx)) return -1;
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
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_choose),
                                        cmocka_unit_test(test_compute),
                                        cmocka_unit_test(test_contractions) };

    return cmocka_run_group_tests(tests, setup, teardown);
}
