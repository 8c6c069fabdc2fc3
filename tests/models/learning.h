/* What the tests of learning share: twice the same seed gives the same bits. Failures end the
 * test. */
#ifndef WEFT_TESTS_LEARNING_H
#define WEFT_TESTS_LEARNING_H
#include <stddef.h>
#include <stdint.h>
#include "fixture.h"

/* All float32 variables of a model, one behind the other; free with free(). */
float *learning_values(const weft_model *model, size_t *n);

/* A fit from the same initial values with that seed: learning_values of what it leaves. */
typedef float *learning_fit(const char *device, uint64_t seed, size_t *n);
/* On every device: the same bits from the same seed, other ones from another. */
void learning_same_bits(const devices *all, learning_fit *fit);
#endif
