/* Every model and every layer that Keras wrote: all devices give Keras's outputs, to 1e-5 of the
 * largest. Single ops are held to tighter, derived bounds by test_check.c. */
#include <math.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "fixture.h"

#define BOUND 1e-5

static weft_context *ctx;

/* Files of awaited classes are skipped until the class is there. */
static int check_one(const char *folder, const char *name, const devices *d, int *skipped)
{
    fixture f;
    int wrong = 0;

    if (fixture_load(ctx, folder, name, &f)) {
        if (is_awaited(weft_error())) {
            ++*skipped;
            return 0;
        }
        printf("%s/%s: %s\n", folder, name, weft_error());
        return 1;
    }
    for (size_t i = 0; *d->id[i]; i++) {
        double difference = fixture_run(&f, d->id[i], "strict=true");

        if (difference >= 0 && difference <= BOUND) continue;
        printf("%s/%s on %s: off by %g of the largest output\n", folder, name, d->id[i],
               difference);
        wrong = 1;
    }
    fixture_finish(&f);
    return wrong;
}

static void check_folder(const char *folder)
{
    char **names = names_list(folder);
    int n = 0, wrong = 0, skipped = 0;
    devices d;

    devices_list(ctx, &d);
    assert_string_equal(d.id[0], "cpu");
    for (; names[n]; n++)
        wrong += check_one(folder, names[n], &d, &skipped);
    printf("%s: %d files, %d wrong, %d of awaited classes\n", folder, n, wrong, skipped);
    names_free(names);
    assert_true(n > 5);
    assert_int_equal(wrong, 0);
}

static void test_models(void **state)
{
    (void)state;
    check_folder("models");
}
static void test_layers(void **state)
{
    (void)state;
    check_folder("layers");
}

/* Nothing stays on the list that is there: its files would be skipped again if it broke. */
static void test_awaited(void **state)
{
    (void)state;
    assert_false(is_awaited(""));
    assert_false(is_awaited("layer \"a\" (Conv2D): no plugin has this class"));
    assert_false(is_awaited("layer \"a\" (RMSNormalization): no plugin has this class\n"
                            "layer \"b\" (Dense): no plugin has this class"));
    for (size_t i = 0; awaited_classes[i]; i++)
        if (weft_context_layer_class(ctx, awaited_classes[i]))
            fail_msg("%s is here: take it out of awaited_classes", awaited_classes[i]);
}

static int setup(void **state)
{
    (void)state;
    return weft_context_create(NULL, &ctx);
}
static int teardown(void **state)
{
    (void)state;
    weft_context_destroy(&ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_models),
                                        cmocka_unit_test(test_layers),
                                        cmocka_unit_test(test_awaited) };

    return cmocka_run_group_tests(tests, setup, teardown);
}
