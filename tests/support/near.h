/* cmocka 1.1.5's assert_float_equal takes NaN and infinity as equal to anything. */
#ifndef WEFT_TESTS_NEAR_H
#define WEFT_TESTS_NEAR_H
#include <math.h>

#define assert_near(got, want, limit) \
    assert_true(fabs((double)(got) - (double)(want)) <= (double)(limit))
#endif
