/* Symbolic dimensions: what is exact is computed, what is not is refused with a reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <weft/status.h>
#include "graph/dim.h"

#define ANY WEFT_ANY

static void add(void **state)
{
    static const int64_t good[][3] = { { 2, 3, 5 },   { -1, -1, -2 },   { -3, 0, -3 },
                                       { 0, -3, -3 }, { ANY, 1, ANY },  { -1, ANY, ANY },
                                       { 0, 0, 0 },   { ANY, ANY, ANY } };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t r = 77;
        assert_int_equal(weft__dim_add(good[i][0], good[i][1], &r), WEFT_OK);
        assert_true(r == good[i][2]);
    }
    int64_t r;
    assert_int_equal(weft__dim_add(-1, 1, &r), WEFT_E_SHAPE);
    assert_non_null(strstr(weft_error(), "batch + 1 has no exact form"));
    assert_int_equal(weft__dim_add(4, -3, &r), WEFT_E_SHAPE);
    assert_non_null(strstr(weft_error(), "4 + 3*batch has no exact form"));
    assert_int_equal(weft__dim_add(INT64_MAX, 1, &r), WEFT_E_SHAPE);
    assert_int_equal(weft__dim_add(INT64_MIN + 1, -1, &r), WEFT_E_SHAPE);
}

static void multiply_and_divide(void **state)
{
    int64_t r;
    (void)state;
    assert_int_equal(weft__dim_mul(-2, 3, &r), WEFT_OK);
    assert_true(r == -6);
    assert_int_equal(weft__dim_mul(-2, 0, &r), WEFT_OK);
    assert_true(r == 0);
    assert_int_equal(weft__dim_mul(-1, -1, &r), WEFT_E_SHAPE);
    assert_non_null(strstr(weft_error(), "batch * batch has no exact form"));
    assert_int_equal(weft__dim_mul(INT64_MAX, 2, &r), WEFT_E_SHAPE);
    assert_int_equal(weft__dim_mul(INT64_C(1) << 32, -(INT64_C(1) << 31), &r), WEFT_E_SHAPE);
}

static void specs(void **state)
{
    weft_spec a = { WEFT_F32, 3, { -2, 3, 4 } }, b = { WEFT_F32, 3, { ANY, 3, 4 } }, at;
    int64_t n;
    (void)state;
    assert_int_equal(weft__spec_count(&a, &n), WEFT_OK);
    assert_true(n == -24);
    assert_true(weft__spec_count_at(&a, 5) == 120);
    assert_true(weft__spec_count_at(&a, 0) == 0);
    at = weft__spec_at(&a, 5);
    assert_true(at.dim[0] == 10 && at.dim[1] == 3);
    assert_true(weft__spec_equal(&a, &b));
    b.dim[1] = 2;
    assert_false(weft__spec_equal(&a, &b));
    a = (weft_spec){ WEFT_F32, 2, { INT64_MAX, INT64_MAX } };
    assert_true(weft__spec_count_at(&a, 1) == UINT64_MAX);
}

static void broadcast(void **state)
{
    weft_spec a = { WEFT_F32, 3, { -1, 1, 4 } }, b = { WEFT_I32, 2, { 3, 1 } },
              r = { WEFT_U8, 0, { 0 } };
    (void)state;
    assert_int_equal(weft__spec_broadcast(&a, &b, &r), WEFT_OK);
    assert_int_equal(r.dtype, WEFT_U8);
    assert_true(r.rank == 3 && r.dim[0] == -1 && r.dim[1] == 3 && r.dim[2] == 4);
    weft_spec c = { WEFT_F32, 1, { ANY } };
    assert_int_equal(weft__spec_broadcast(&a, &c, &r), WEFT_OK);
    assert_true(r.dim[2] == 4);
    weft_spec d = { WEFT_F32, 2, { 2, 5 } };
    assert_int_equal(weft__spec_broadcast(&a, &d, &r), WEFT_E_SHAPE);
    assert_non_null(strstr(weft_error(),
                           "shapes (None, 1, 4) and (2, 5) do not broadcast: axis -1 is 4 and 5"));
    weft_spec e = { WEFT_F32, 3, { 7, 1, 1 } };
    assert_int_equal(weft__spec_broadcast(&a, &e, &r), WEFT_E_SHAPE);
}

static void axes(void **state)
{
    int32_t n;
    (void)state;
    assert_int_equal(weft__axis(-1, 3, &n), WEFT_OK);
    assert_int_equal(n, 2);
    assert_int_equal(weft__axis(3, 3, &n), WEFT_E_SHAPE);
    assert_non_null(strstr(weft_error(), "axis 3 of rank 3"));
    assert_int_equal(weft__axis(0, 0, &n), WEFT_E_SHAPE);
    assert_int_equal(weft__axis(INT64_MIN, 3, &n), WEFT_E_SHAPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(add),   cmocka_unit_test(multiply_and_divide),
        cmocka_unit_test(specs), cmocka_unit_test(broadcast),
        cmocka_unit_test(axes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
