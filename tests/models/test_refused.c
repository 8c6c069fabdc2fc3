/* Hostile and unsupported files: each is refused, with a text that says why. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>
#include "fixture.h"

/* Cuts every occurrence of a part out of the text. */
static void cut(char *text, const char *part)
{
    size_t n = strlen(part);

    while (n && (text = strstr(text, part)))
        memmove(text, text + n, strlen(text + n) + 1);
}

/* The error's text without the file's path and name, which hold the expected words themselves. */
static void own_text(char *text, size_t size, const char *path, const char *name)
{
    char stem[256];

    snprintf(text, size, "%s", weft_error());
    cut(text, path);
    cut(text, name);
    snprintf(stem, sizeof stem, "%.*s", (int)strcspn(name, "."), name);
    cut(text, stem);
}

/* Loads one file; 1 if it is not refused as expected. An awaited class hides the file's own fault:
 * that is counted. */
static int check_file(weft_context *ctx, const char *folder, const expectation *e, int *hidden)
{
    char path[1024], text[8192];
    weft_model *model = NULL;
    weft_status st;
    int missing, wrong;

    snprintf(path, sizeof path, "%s/%s/%s", WEFT_TEST_DATA, folder, e->name);
    st = weft_model_load(ctx, path, &model);
    own_text(text, sizeof text, path, e->name);
    missing = st && !strcmp(folder, "hostile") && is_awaited(text);
    wrong = !st || model || (!holds_words(text, e->words) && !missing);
    *hidden += missing;
    if (!st)
        printf("%s: was loaded\n", path);
    else if (wrong)
        printf("%s: the text lacks \"%s\":\n    %s\n", path, e->words, text);
    weft_model_destroy(&model);
    return wrong;
}

static void check_folder(const char *folder)
{
    static expectation list[512];
    char path[1024], **names = names_list(folder);
    weft_context *ctx = NULL;
    size_t n, files = 0;
    int wrong = 0, hidden = 0;

    while (names[files])
        files++;
    names_free(names);
    snprintf(path, sizeof path, "%s/expected.txt", folder);
    n = expectations_read(path, list, 512);
    assert_int_equal(n, files);
    assert_true(n > 2);
    assert_int_equal(weft_context_create(NULL, &ctx), WEFT_OK);
    for (size_t i = 0; i < n; i++)
        wrong += check_file(ctx, folder, &list[i], &hidden);
    weft_context_destroy(&ctx);
    printf("%s: %zu files, %d wrong, %d of awaited classes\n", folder, n, wrong, hidden);
    assert_int_equal(wrong, 0);
}

static void test_hostile(void **state)
{
    (void)state;
    check_folder("hostile");
}
static void test_refused(void **state)
{
    (void)state;
    check_folder("refused");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_hostile),
                                        cmocka_unit_test(test_refused) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
