/* Symbolic views against arithmetic with numbers: where each element lies, for several batch
 * sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "graph/dim.h"
#include "plan/view.h"

static weft_spec spec_of(int32_t rank, const int64_t *dim)
{
    weft_spec spec = { .dtype = WEFT_F32, .rank = rank };
    memcpy(spec.dim, dim, (size_t)rank * sizeof *dim);
    return spec;
}
#define SPEC(...)                                                            \
    spec_of((int32_t)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), \
            (int64_t[]){ __VA_ARGS__ })

static weft__view dense(weft_spec spec)
{
    weft__view view;
    assert_true(weft__view_dense(&spec, &view));
    return view;
}

static int64_t at_batch(int64_t c, int64_t batch)
{
    return c < 0 ? -c * batch : c;
}

/* Where element `flat`, in row-major order, lies. */
static int64_t place(const weft__view *view, uint64_t flat, int64_t batch)
{
    int64_t at = weft__affine_at(view->offset, batch);
    for (int32_t i = view->spec.rank - 1; i >= 0; i--) {
        uint64_t dim = (uint64_t)at_batch(view->spec.dim[i], batch);
        at += (int64_t)(flat % dim) * at_batch(view->stride[i], batch);
        flat /= dim;
    }
    return at;
}

static void expect_reshape(const weft__view *src, weft_spec to, int possible)
{
    weft__view dst;
    assert_int_equal(weft__view_reshape(src, &to, &dst), possible);
    for (int64_t batch = 1; possible && batch <= 3; batch++)
        for (uint64_t i = 0; i < weft__spec_count_at(&to, batch); i++)
            assert_int_equal(place(&dst, i, batch), place(src, i, batch));
}

static void test_dense(void **state)
{
    weft__view view = dense(SPEC(-1, 28, 3));
    weft_operand operand;
    (void)state;
    assert_int_equal(view.stride[0], 84);
    assert_int_equal(weft__view_count(&view), -84);
    assert_int_equal(weft__view_classify(&view, &operand), WEFT_DENSE);
    assert_int_equal(operand.outer, 1);
    assert_int_equal(operand.inner, -84);
    view = dense(SPEC(5, -2, 3));
    assert_int_equal(view.stride[0], -6);
    assert_int_equal(weft__view_classify(&view, NULL), WEFT_DENSE);
    view = dense(SPEC(-1, 0, 3));
    assert_int_equal(weft__view_classify(&view, NULL), WEFT_DENSE);
    weft_spec square = SPEC(-1, -1);
    assert_false(weft__view_dense(&square, &view)); /* batch times batch has no form */
}

static void test_parts_are_pitched(void **state)
{
    weft__view whole = dense(SPEC(-1, 4, 4, 10)), part, flat;
    weft_spec to = SPEC(-1, 4, 4, 6), rows = SPEC(-1, 96);
    weft_operand operand;
    (void)state;
    assert_true(weft__view_part(&whole, 3, (weft__affine){ 4, 0 }, &to, &part));
    assert_int_equal(weft__view_classify(&part, &operand), WEFT_PITCHED);
    assert_int_equal(operand.outer, -16);
    assert_int_equal(operand.inner, 6);
    assert_int_equal(operand.pitch, 10);
    assert_int_equal(part.offset.fixed, 4);
    assert_false(weft__view_reshape(&part, &rows, &flat));
    /* along the batch a part is dense, and lies behind a multiple of the batch */
    to = SPEC(-1, 4, 4, 10);
    whole = dense(SPEC(-3, 4, 4, 10));
    assert_true(weft__view_part(&whole, 0, (weft__affine){ 0, 2 }, &to, &part));
    assert_int_equal(weft__view_classify(&part, &operand), WEFT_DENSE);
    assert_int_equal(part.offset.batch, 320);
    /* one column: rows of one element */
    whole = dense(SPEC(-1, 10));
    to = SPEC(-1, 1);
    assert_true(weft__view_part(&whole, 1, (weft__affine){ 9, 0 }, &to, &part));
    assert_int_equal(weft__view_classify(&part, &operand), WEFT_PITCHED);
    assert_int_equal(operand.inner, 1);
}

static void test_flatten_into_a_part(void **state)
{
    weft__view whole = dense(SPEC(-1, 100)), part, image;
    weft_spec to = SPEC(-1, 96), conv = SPEC(-1, 4, 4, 6);
    weft_operand operand;
    (void)state;
    assert_true(weft__view_part(&whole, 1, (weft__affine){ 4, 0 }, &to, &part));
    assert_true(weft__view_reshape(&part, &conv, &image));
    assert_int_equal(weft__view_classify(&image, &operand), WEFT_PITCHED);
    assert_int_equal(operand.outer, -1);
    assert_int_equal(operand.inner, 96);
    assert_int_equal(operand.pitch, 100);
}

static void test_reshape(void **state)
{
    weft__view src = dense(SPEC(-1, 6, 4)), cut, turned;
    const int64_t begin[] = { 0, 1, 0 }, step[] = { 1, 2, 1 }, perm[] = { 1, 0, 2 };
    weft_spec half = SPEC(-1, 3, 4);
    (void)state;
    expect_reshape(&src, SPEC(-24), 1);
    expect_reshape(&src, SPEC(-2, 3, 2, 2, 1), 1);
    assert_true(weft__view_slice(&src, begin, step, &half, &cut));
    expect_reshape(&cut, SPEC(-1, 1, 3, 2, 2), 1);
    expect_reshape(&cut, SPEC(-3, 4), 1); /* every second row, over all samples */
    expect_reshape(&cut, SPEC(-1, 12), 0);
    weft__view_transpose(&src, perm, &turned);
    expect_reshape(&turned, SPEC(2, 3, -1, 4), 1);
    expect_reshape(&turned, SPEC(-6, 4), 0);
    weft__view_untranspose(&turned, perm, &turned);
    assert_true(weft__view_same(&turned, &src));
}

static void test_slice_with_steps(void **state)
{
    weft__view src = dense(SPEC(-1, 7, 5)), cut;
    const int64_t begin[] = { 0, 1, 4 }, step[] = { 1, 3, 1 };
    weft_spec to = SPEC(-1, 2, 1);
    (void)state;
    assert_true(weft__view_slice(&src, begin, step, &to, &cut));
    for (int64_t batch = 1; batch < 4; batch++)
        for (int64_t b = 0; b < batch; b++)
            for (int64_t i = 0; i < 2; i++)
                assert_int_equal(place(&cut, (uint64_t)(b * 2 + i), batch),
                                 b * 35 + (1 + 3 * i) * 5 + 4);
}

static void test_broadcast_and_transpose_are_strided(void **state)
{
    weft__view row = dense(SPEC(1, 5)), wide, turned;
    const int64_t perm[] = { 1, 0 };
    weft_spec to = SPEC(-1, 3, 5);
    (void)state;
    weft__view_broadcast(&row, &to, &wide);
    assert_int_equal(weft__view_classify(&wide, NULL), WEFT_STRIDED);
    assert_int_equal(place(&wide, 17, 2), 2);
    row = dense(SPEC(-1, 5));
    weft__view_transpose(&row, perm, &turned);
    assert_int_equal(weft__view_classify(&turned, NULL), WEFT_STRIDED);
    /* of one column it is the same memory */
    row = dense(SPEC(-1, 1));
    weft__view_transpose(&row, perm, &turned);
    assert_int_equal(weft__view_classify(&turned, NULL), WEFT_DENSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dense),
        cmocka_unit_test(test_parts_are_pitched),
        cmocka_unit_test(test_flatten_into_a_part),
        cmocka_unit_test(test_reshape),
        cmocka_unit_test(test_slice_with_steps),
        cmocka_unit_test(test_broadcast_and_transpose_are_strided),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
