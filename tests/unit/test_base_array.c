/* Arrays: sizes that must be refused, and conversions against what the formats say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <math.h>
#include <weft/array.h>
#include <weft/status.h>
#include "base/alloc.h"
#include "base/array.h"

static void creates(void **state)
{
    weft_spec spec = { WEFT_F32, 2, { 3, 4 } };
    weft_array *array = NULL;
    (void)state;
    assert_int_equal(weft_array_create(&spec, &array), WEFT_OK);
    assert_int_equal(weft_array_bytes(array), 48);
    assert_int_equal((uintptr_t)array->data % 64, 0);
    for (int i = 0; i < 12; i++)
        assert_true(((float *)array->data)[i] == 0);
    weft_array_destroy(&array);
    assert_null(array);
    weft_array_destroy(&array);
    spec = (weft_spec){ WEFT_F64, 0, { 0 } };
    assert_int_equal(weft_array_create(&spec, &array), WEFT_OK);
    assert_int_equal(weft_array_count(array), 1);
    weft_array_destroy(&array);
    assert_int_equal(weft_array_count(NULL), 0);
    assert_int_equal(weft__alloc_live(), 0);
}

static void refuses_impossible_sizes(void **state)
{
    static const weft_spec bad[] = {
        { WEFT_F32, 2, { 3, WEFT_BATCH } },
        { WEFT_F32, 2, { 3, WEFT_ANY } },
        { WEFT_F32, 9, { 1 } },
        { WEFT_F32, -1, { 1 } },
        { WEFT_F32, 2, { INT64_MAX, 2 } },
        { WEFT_F64, 1, { INT64_MAX / 8 + 1 } },
        { WEFT_U8, 3, { INT64_MAX, INT64_MAX, 0 } },
    };
    weft_array *array = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(weft_array_create(&bad[i], &array), WEFT_E_SHAPE);
        assert_null(array);
    }
    weft_spec unknown = { 99, 1, { 1 } };
    assert_int_equal(weft_array_create(&unknown, &array), WEFT_E_DTYPE);
    assert_int_equal(weft_array_create(NULL, &array), WEFT_E_ARG);
    assert_int_equal(weft_array_create(&unknown, NULL), WEFT_E_ARG);
}

/* Every f16 is exactly some double, and comes back. */
static void halves_survive(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        static const weft_dtype kinds[] = { WEFT_F16, WEFT_BF16 };
        for (int k = 0; k < 2; k++) {
            uint16_t in = (uint16_t)bits, out;
            double wide;
            float single;
            weft__convert(kinds[k], &in, WEFT_F64, &wide, 1);
            weft__convert(kinds[k], &in, WEFT_F32, &single, 1);
            weft__convert(WEFT_F64, &wide, kinds[k], &out, 1);
            if (isnan(wide))
                assert_true(isnan(single) && (out & 0x7c00) == 0x7c00);
            else
                assert_true(out == in && (double)single == wide);
        }
    }
}

/* bfloat16 is the upper half of a float: rounding can be done in integers. */
static void rounds_to_nearest_even(void **state)
{
    static const struct {
        double value;
        uint16_t half;
    } rows[] = {
        { 1, 0x3c00 },
        { -2, 0xc000 },
        { 65504, 0x7bff },
        { 65519.9, 0x7bff },
        { 65520, 0x7c00 },
        { 1e30, 0x7c00 },
        { 0x1p-24, 0x0001 },
        { 0x1p-25, 0x0000 },
        { 0x1.8p-24, 0x0002 },
        { 0x1.000001p-25, 1 },
        { 0x1p-14, 0x0400 },
        { 0x1.ff8p-15, 0x03ff },
        { 0x1.ffcp-15, 0x0400 },
        { 1 + 0x1p-11, 0x3c00 },
        { 1 + 0x1.8p-10, 0x3c02 },
        { 1 + 0x1p-11 + 0x1p-40, 0x3c01 },
    };
    uint64_t seed = 5;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint16_t half;
        weft__convert(WEFT_F64, &rows[i].value, WEFT_F16, &half, 1);
        if (half != rows[i].half)
            fail_msg("%a became %04x, not %04x", rows[i].value, half, rows[i].half);
    }
    for (int i = 0; i < 100000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint32_t bits = (uint32_t)(seed >> 32);
        float value;
        uint16_t got;
        memcpy(&value, &bits, 4);
        if (isnan(value)) continue;
        weft__convert(WEFT_F32, &value, WEFT_BF16, &got, 1);
        assert_int_equal(got, (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16));
    }
}

static void converts_numbers(void **state)
{
    static const double doubles[] = { -1.9, 300.7, 1e20, -1e20, 0, 0.5 };
    static const int32_t ints[] = { -1, 300, INT32_MAX, INT32_MIN, 0, 0 };
    static const uint8_t bytes[] = { 0, 255, 255, 0, 0, 0 }, flags[] = { 1, 1, 1, 1, 0, 1 };
    static const int64_t longs[] = { -1, 256, INT64_MAX };
    (void)state;
    weft_array from = { { WEFT_F64, 1, { 6 } }, (void *)(uintptr_t)doubles }, *to = NULL;
    assert_int_equal(weft_array_convert(&from, WEFT_I32, &to), WEFT_OK);
    assert_memory_equal(to->data, ints, sizeof ints);
    weft_array_destroy(&to);
    assert_int_equal(weft_array_convert(&from, WEFT_U8, &to), WEFT_OK);
    assert_memory_equal(to->data, bytes, sizeof bytes);
    weft_array_destroy(&to);
    assert_int_equal(weft_array_convert(&from, WEFT_BOOL, &to), WEFT_OK);
    assert_memory_equal(to->data, flags, sizeof flags);
    weft_array_destroy(&to);
    from = (weft_array){ { WEFT_I64, 1, { 3 } }, (void *)(uintptr_t)longs };
    assert_int_equal(weft_array_convert(&from, WEFT_U8, &to), WEFT_OK);
    assert_memory_equal(to->data, ((const uint8_t[]){ 255, 0, 255 }), 3);
    weft_array_destroy(&to);
    assert_int_equal(weft_array_convert(&from, WEFT_F32, &to), WEFT_OK);
    assert_true(((float *)to->data)[2] == 0x1p63f);
    weft_array_destroy(&to);
    double nan = (double)NAN;
    int64_t none = 5;
    weft__convert(WEFT_F64, &nan, WEFT_I64, &none, 1);
    assert_int_equal(none, 0);
    assert_int_equal(weft_array_convert(&from, 77, &to), WEFT_E_DTYPE);
    assert_int_equal(weft_array_convert(NULL, WEFT_F32, &to), WEFT_E_ARG);
    assert_int_equal(weft__alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(creates),
        cmocka_unit_test(refuses_impossible_sizes),
        cmocka_unit_test(halves_survive),
        cmocka_unit_test(converts_numbers),
        cmocka_unit_test(rounds_to_nearest_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
