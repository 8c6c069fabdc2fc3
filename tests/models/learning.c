/* See learning.h. */
#include "learning.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

float *learning_values(const weft_model *model, size_t *n)
{
    float *values = NULL;

    *n = 0;
    for (uint32_t i = 0; i < weft_model_n_variables(model); i++) {
        weft_array a = { .data = NULL };

        assert_int_equal(weft_model_variable(model, i, NULL, &a.spec, NULL), WEFT_OK);
        assert_non_null(values = realloc(values, (*n + weft_array_count(&a)) * sizeof *values));
        a.data = values + *n;
        assert_int_equal(weft_model_get_variable(model, i, &a), WEFT_OK);
        *n += weft_array_count(&a);
    }
    return values;
}

void learning_same_bits(const devices *all, learning_fit *fit)
{
    for (size_t i = 0; *all->id[i]; i++) {
        size_t n[3];
        float *a = fit(all->id[i], 5, &n[0]), *b = fit(all->id[i], 5, &n[1]),
              *c = fit(all->id[i], 6, &n[2]);

        assert_true(n[0] == n[1] && n[0] == n[2]);
        assert_memory_equal(a, b, n[0] * sizeof *a);
        assert_memory_not_equal(a, c, n[0] * sizeof *a);
        free(a);
        free(b);
        free(c);
    }
}
