/* Hostile and unsupported files: each is refused, with a text that says why. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>
#include "fixture.h"

static void check_file(const char *folder)
{
    static expectation list[512];
    char path[1024];
    weft_context *ctx = NULL;
    size_t n, wrong = 0;

    snprintf(path, sizeof path, "%s/expected.txt", folder);
    n = expectations_read(path, list, 512);
    assert_true(n > 2);
    assert_int_equal(weft_context_create(NULL, &ctx), WEFT_OK);
    for (size_t i = 0; i < n; i++) {
        weft_model *model = NULL;
        weft_status st;

        snprintf(path, sizeof path, "%s/%s/%s", WEFT_TEST_DATA, folder, list[i].name);
        st = weft_model_load(ctx, path, &model);
        if (!st)
            printf("%s: was loaded\n", path);
        else if (!holds_words(weft_error(), list[i].words))
            printf("%s: the text lacks \"%s\":\n    %s\n", path, list[i].words, weft_error());
        wrong += !st || !holds_words(weft_error(), list[i].words);
        assert_true(!st || !model);
        weft_model_destroy(&model);
    }
    weft_context_destroy(&ctx);
    assert_int_equal(wrong, 0);
}

static void test_hostile(void **state)
{
    (void)state;
    check_file("hostile");
}
static void test_refused(void **state)
{
    (void)state;
    check_file("refused");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_hostile),
                                        cmocka_unit_test(test_refused) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
