/* Ops inside plans, where inputs and results are views: slices, transposes, repeats, parts of a
 * concat. Inputs are small whole numbers, so that sums and products are exact in f32, and every
 * device must give what the cpu gives in f64 without views and fusing. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>
#include "case_line.h"
#include "chain.h"
#include "fixture.h"

static const chain chains[] = {
    /* matrix products of views */
    { "f32 Bx5x7, f32 Bx5x3", { "transpose;perm=(0,2,1);0", "matmul;;2 1" }, 0 },
    { "f32 Bx5x7, f32 Bx3x7", { "transpose;perm=(0,2,1);1", "matmul;;0 2" }, 0 },
    { "f32 Bx7, f32 Bx7", { "transpose;perm=(1,0);0", "matmul;;2 1" }, 0 },
    { "f32 Bx7, f32 Bx4x7", { "transpose;perm=(1,2,0);1", "matmul;;2 0" }, 0 },
    { "f32 Bx9, f32 4x6",
      { "slice;begin=(0,3) size=(-1,4);0", "slice;begin=(0,1) size=(4,5);1", "matmul;;2 3" },
      0 },
    { "f32 Bx9, f32 6x6",
      { "slice;begin=(0,0) size=(-1,3) step=(1,3);0", "slice;begin=(0,1) size=(3,3) step=(2,2);1",
        "matmul;;2 3" },
      0 },
    { "f32 Bx1x4, f32 4x3", { "broadcast;shape=(-1,5,4);0", "matmul;;2 1" }, 0 },
    { "f32 Bx3x4, f32 1x2", { "broadcast;shape=(4,2);1", "matmul;;0 2" }, 0 },
    { "f32 Bx5, f32 5x4", { "reverse;axes=(1);0", "matmul;;2 1", "reverse;axes=(1);3" }, 0 },
    { "f32 Bx3x2x5, f32 Bx2x3x4",
      { "transpose;perm=(0,2,1,3);0", "transpose;perm=(0,1,3,2);1", "matmul;;3 2" },
      0 },
    { "f32 Bx5x3, f32 3x4",
      { "matmul;;0 1", "transpose;perm=(2,0,1);2", "map;expr=\"a*2-1\";3" },
      0 },
    { "f32 Bx2x4, f32 4x3, f32 Bx3x2",
      { "transpose;perm=(0,2,1);2", "matmul;then=\"a+b\";0 1 3" },
      0 },
    { "f32 Bx4, f32 4x3, f32 Bx7",
      { "slice;begin=(0,2) size=(-1,3);2", "matmul;then=\"max(a-b,0)\";0 1 3" },
      0 },
    /* convolutions */
    { "f32 Bx9x8x5, f32 3x3x2x4",
      { "slice;begin=(0,1,2,1) size=(-1,6,5,2);0", "conv;pads=(1,1,1,1);2 1" },
      0 },
    { "f32 Bx3x6x7, f32 3x2x3x4", { "transpose;perm=(0,2,3,1);0", "conv;strides=(2,1);2 1" }, 0 },
    { "f32 Bx6x6x3, f32 3x3x3x4", { "pad;low=(0,1,0,0) high=(0,0,2,0);0", "conv;;2 1" }, 0 },
    { "f32 Bx6x6x3, f32 4x3x2x2", { "transpose;perm=(2,3,1,0);1", "conv;;0 2" }, 0 },
    { "f32 Bx5x5x2, f32 3x3x2x3, f32 3x3x2x4, f32 1x1x7x2",
      { "conv;pads=(1,1,1,1);0 1", "conv;pads=(1,1,1,1);0 2", "concat;axis=-1;4 5", "conv;;6 3" },
      0 },
    { "f32 Bx4x4x4, f32 3x3x1x4, f32 Bx2x2x8",
      { "slice;begin=(0,0,0,4) size=(-1,2,2,4);2", "conv;groups=4 then=\"a*b\";0 1 3" },
      0 },
    { "f32 Bx9x2, f32 3x2x3",
      { "reverse;axes=(1);0", "conv;;2 1", "transpose;perm=(0,2,1);3" },
      0 },
    { "f32 Bx1x1x2, f32 2x2x2x3",
      { "broadcast;shape=(-1,4,5,2);0", "conv;dilations=(2,1);2 1" },
      0 },
    /* reductions and softmax */
    { "f32 Bx4x5", { "transpose;perm=(2,0,1);0", "reduce;fn=sum axes=(0,2);1" }, 0 },
    { "f32 Bx4x9",
      { "slice;begin=(0,1,0) size=(-1,2,5) step=(1,2,2);0", "reduce;fn=max axes=(1);1" },
      0 },
    { "f32 Bx4x9", { "reverse;axes=(2);0", "reduce;fn=argmax axes=(2);1" }, 0 },
    { "f32 Bx1x3", { "broadcast;shape=(-1,6,3);0", "reduce;fn=sum axes=(1);1" }, 0 },
    { "f32 Bx6x4", { "transpose;perm=(0,2,1);0", "reduce;fn=argmin axes=(1) keepdims=true;1" }, 0 },
    { "i64 Bx6x4", { "slice;begin=(0,1,1) size=(-1,5,2);0", "reduce;fn=prod axes=(2);1" }, 0 },
    { "f32 Bx6x4, f32 4x6",
      { "transpose;perm=(1,0);1", "reduce;fn=sum axes=(0) then=\"a*b\";0 2" },
      0 },
    { "f32 Bx5x4", { "transpose;perm=(0,2,1);0", "softmax;axis=-1;1" }, 1e-6 },
    { "f32 Bx5x4",
      { "slice;begin=(0,1,0) size=(-1,3,4);0", "softmax;axis=1;1", "transpose;perm=(2,1,0);2" },
      1e-6 },
    { "f32 Bx5x4", { "reverse;axes=(1);0", "log_softmax;axis=1;1" }, 1e-6 },
    /* windows */
    { "f32 Bx7x3x6",
      { "transpose;perm=(0,1,3,2);0", "max_pool;size=(2,2) strides=(2,2) pads=(0,0,1,0);1" },
      0 },
    { "f32 Bx7x6x5",
      { "slice;begin=(0,1,1,2) size=(-1,4,4,2);0",
        "max_pool;size=(2,2) strides=(2,2) pads=(0,0,0,0);1",
        "avg_pool;size=(2,2) strides=(2,2) pads=(0,0,0,0);1", "concat;axis=3;2 3" },
      0 },
    /* gather */
    { "f32 5x7, i32 Bx6<5",
      { "transpose;perm=(1,0);0", "slice;begin=(0,1) size=(-1,2) step=(1,3);1",
        "gather;axis=1;2 3" },
      0 },
    { "f32 Bx5x4, i64 3x2<5",
      { "transpose;perm=(1,0);1", "slice;begin=(0,0,1) size=(-1,5,2);0", "gather;axis=1;3 2" },
      0 },
    { "f32 1x4, i32 B<6", { "broadcast;shape=(6,4);0", "gather;;2 1", "reverse;axes=(1);3" }, 0 },
    { "u8 Bx9, i32 4<5",
      { "slice;begin=(0,0) size=(-1,5) step=(1,2);0", "gather;axis=1;2 1", "concat;axis=1;3 0" },
      0 },
    /* scatter_add */
    { "f32 Bx6x7, i32 6<5",
      { "slice;begin=(0,0,1) size=(-1,6,3) step=(1,1,2);0", "scatter_add;axis=1 size=5;1 2" },
      0 },
    { "f32 Bx7x4, i64 Bx3<4",
      { "transpose;perm=(1,0,2);0", "slice;begin=(1,0,0) size=(3,-1,4) step=(2,1,1);2",
        "transpose;perm=(1,0);1", "scatter_add;size=4;4 3", "reverse;axes=(0);5" },
      0 },
    { "f32 Bx1, i32 Bx3<2, f32 Bx2",
      { "broadcast;shape=(-1,3);0", "scatter_add;size=2;1 3", "concat;axis=0;4 4" },
      0 },
    { "f32 Bx6x3, i32 6<2", { "scatter_add;axis=1 size=2;1 0", "concat;axis=1;2 0" }, 0 },
    /* gradients of pooling */
    { "f32 Bx6x5x2, f32 Bx3x5x2",
      { "transpose;perm=(0,2,1,3);0", "max_pool;size=(2,2) strides=(1,2) pads=(0,0,1,0);2",
        "transpose;perm=(0,2,1,3);1", "max_pool_grad;size=(2,2) strides=(1,2) pads=(0,0,1,0);2 3 4",
        "concat;axis=3;5 2" },
      0 },
    { "f32 Bx5x6x4",
      { "slice;begin=(0,1,1,1) size=(-1,4,5,2);0",
        "avg_pool_grad;size=(2,2) strides=(2,1) pads=(0,0,0,0) spatial=(9,6);1",
        "concat;axis=3;2 2" },
      0 },
    /* random numbers into a part of something, and results that nobody reads */
    { "i64 2, i64, f32 Bx3", { "random;shape=(-1,5);0 1", "concat;axis=1;2 3" }, 0 },
    { "f32 4x3, f32 4x3, f32", { "sgd_update;;0 1 2" }, 4e-7 },
    { "f32 4x3, f32 4x3, f32 4x3, f32 4x3<9, f32", { "adam_update;;0 1 2 3 4" }, 2e-6 },
    /* concat: in place, of inputs, twice the same, of concats, with other readers */
    { "f32 Bx3, f32 Bx5",
      { "map;expr=\"a+1\";0", "map;expr=\"b*a\";1 1", "concat;axis=1;2 0 3" },
      0 },
    { "f32 Bx3", { "map;expr=\"a+1\";0", "concat;axis=1;1 1 1", "map;expr=\"a*3\";2" }, 0 },
    { "f32 Bx3x2",
      { "map;expr=\"a+1\";0", "map;expr=\"a-1\";0", "concat;axis=1;1 2", "concat;axis=2;3 3",
        "concat;axis=0;4 4", "map;expr=\"-a\";5" },
      0 },
    { "f32 Bx4, f32 4x3",
      { "matmul;;0 1", "map;expr=\"max(a,0)\";2", "concat;axis=1;2 3", "reduce;fn=sum axes=(1);4" },
      0 },
    { "f32 Bx4, f32 4x4",
      { "matmul;;0 1", "concat;axis=1;2 0", "matmul;;2 1", "concat;axis=1;3 4",
        "slice;begin=(0,2) size=(-1,9);5", "reshape;shape=(-3,3);6" },
      0 },
    { "i32 Bx3, i32 Bx2",
      { "concat;axis=1;0 1", "slice;begin=(0,1) size=(-1,3);2", "transpose;perm=(1,0);3",
        "reverse;axes=(0);4" },
      0 },
    { "bool Bx3, bool Bx2",
      { "map;expr=\"not(a)\";0", "concat;axis=1;2 1", "reduce;fn=any axes=(1);3" },
      0 },
    { "f32 Bx3, f32 Bx3",
      { "concat;axis=0;0 1", "transpose;perm=(1,0);2", "reshape;shape=(-6);3" },
      0 },
    { "f32 Bx2, f32 Bx0", { "map;expr=\"a+1\";0", "concat;axis=1;1 2 1", "map;expr=\"a\";3" }, 0 },
    /* results that must not lie on what is still read */
    { "f32 Bx7",
      { "map;expr=\"a+1\";0", "map;expr=\"a*2\";1", "map;expr=\"a-b\";1 2",
        "map;expr=\"a*b+c\";3 2 1" },
      0 },
    { "f32 Bx4x4",
      { "map;expr=\"a+1\";0", "transpose;perm=(0,2,1);1", "map;expr=\"a-b\";2 1" },
      0 },
    { "f32 Bx6", { "map;expr=\"a+1\";0", "reverse;axes=(1);1", "map;expr=\"a*10+b\";2 1" }, 0 },
    { "f32 Bx6",
      { "map;expr=\"a+1\";0", "slice;begin=(0,1) size=(-1,5);1", "slice;begin=(0,0) size=(-1,5);1",
        "map;expr=\"a*10+b\";2 3" },
      0 },
    /* reshapes that views cannot be, high ranks, repeats in reshapes */
    { "f32 Bx3x4",
      { "transpose;perm=(0,2,1);0", "reshape;shape=(-1,12);1", "map;expr=\"a+1\";2" },
      0 },
    { "f32 Bx4x6",
      { "slice;begin=(0,0,1) size=(-1,4,3);0", "reshape;shape=(-1,12);1", "reverse;axes=(1);2" },
      0 },
    { "f32 Bx1x3", { "broadcast;shape=(-1,2,3);0", "reshape;shape=(-6);1" }, 0 },
    { "f32 Bx2x3x2x1x2x3x2",
      { "transpose;perm=(7,5,3,1,0,2,4,6);0", "map;expr=\"a*2\";1", "reshape;shape=(24,-6);2",
        "transpose;perm=(1,0);3" },
      0 },
    { "f32 Bx2x3x2x1x2x3x2",
      { "reverse;axes=(1,3,7);0", "slice;begin=(0,0,1,0,0,0,1,0) size=(-1,2,2,2,1,1,2,1);1",
        "reduce;fn=sum axes=(2,6);2" },
      0 },
    { "f32 Bx2x4, f32 Bx4x2, f32 4, f32 Bx2x8, f32 1x1",
      { "transpose;perm=(0,2,1);1", "slice;begin=(0,0,0) size=(-1,2,4) step=(1,1,2);3",
        "reverse;axes=(0);2", "map;expr=\"a*b-c*d+e\";0 5 7 6 4", "reduce;fn=sum axes=(1,2);8" },
      0 },
};

/* Whole numbers from -4 to 4. */
static void round_values(weft_array *a)
{
    if (a->spec.dtype != WEFT_F32) return;
    for (uint64_t i = 0; i < weft_array_count(a); i++)
        ((float *)a->data)[i] = rintf(2 * ((float *)a->data)[i]);
}

/* *fixed: refused, because a batch of 0 does not make such a result empty. */
static weft_array *run(weft_model *m, const char *device, const char *options, weft_array **in,
                       uint32_t n, int *fixed)
{
    weft_session *s = NULL;
    weft_array *y = NULL;

    if (weft_session_create(m, device, options, &s) ||
        weft_session_run(s, (const weft_array *const *)in, n, &y, 1)) {
        *fixed = strstr(weft_error(), "does not depend on the batch") != NULL;
        if (!*fixed) printf("%s: %s\n", device, weft_error());
    }
    weft_session_destroy(&s);
    return y;
}

/* How many devices differ. */
static unsigned compare(const chain *c, weft_model *m, const devices *all, int64_t batch)
{
    weft_array *in[CASE_INPUTS] = { NULL }, *want;
    unsigned failed = 0;
    int fixed = 0;
    uint64_t seed = (uint64_t)batch + 1;
    case_line line;
    char text[512];

    snprintf(text, sizeof text, ": %s", c->inputs);
    if (case_parse(text, &line)) return 1;
    for (uint32_t i = 0; i < line.n; i++)
        if ((in[i] = case_array(&line.spec[i], batch, line.below[i], &seed))) round_values(in[i]);
    want = run(m, "cpu", "dtype=float64 views=false fuse=false", in, line.n, &fixed);
    failed += !want && (!fixed || batch);
    for (size_t i = 0; want && *all->id[i]; i++)
        for (int plain = 0; plain < 2; plain++) {
            weft_array *got =
                run(m, all->id[i], plain ? "views=false fuse=false" : NULL, in, line.n, &fixed);
            double error = got ? array_difference(got, want) : -1;

            if (!got || !(error <= c->tolerance * fmax(array_largest(want), 1))) {
                printf("%s%s, batch %" PRId64 ", %s ..: differs by %g\n", all->id[i],
                       plain ? " without views" : "", batch, c->steps[0], error);
                failed++;
            }
            weft_array_destroy(&got);
        }
    weft_array_destroy(&want);
    for (uint32_t i = 0; i < line.n; i++)
        weft_array_destroy(&in[i]);
    return failed;
}

static void test_chains(void **state)
{
    static const int64_t batches[] = { 0, 1, 3 };
    weft_context *ctx = chain_context();
    unsigned failed = 0;
    devices all;

    (void)state;
    assert_non_null(ctx);
    devices_list(ctx, &all);
    for (size_t i = 0; i < sizeof chains / sizeof *chains; i++) {
        weft_model *m = chain_model(ctx, &chains[i]);

        failed += !m;
        for (size_t k = 0; m && k < 3; k++)
            failed += compare(&chains[i], m, &all, batches[k]);
        weft_model_destroy(&m);
    }
    weft_context_destroy(&ctx);
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_chains) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
