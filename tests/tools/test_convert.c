/* weft convert: its result, its exit codes, what it says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "fixture.h"

#define MODEL WEFT_TEST_DATA "/models/P05_a.keras"

/* Runs `weft convert <arguments>`; stdout and stderr into text. */
static int convert(const char *arguments, char *text, size_t size)
{
    char command[2048];
    FILE *pipe;
    size_t n;
    int status;

    snprintf(command, sizeof command, "%s convert %s 2>&1", WEFT_TEST_PROGRAM, arguments);
    assert_non_null(pipe = popen(command, "r"));
    n = fread(text, 1, size - 1, pipe);
    text[n] = 0;
    status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void expect(const char *arguments, int code, const char *words)
{
    char text[4096];
    int got = convert(arguments, text, sizeof text);

    if (got != code || !holds_words(text, words))
        fail_msg("weft convert %s: exit code %d, not %d, or without %s:\n%s", arguments, got, code,
                 words, text);
}

static void test_convert(void **state)
{
    (void)state;
    expect(MODEL " out.keras", 0, "out.keras: model|variables with|bytes");
    expect("out.keras again.keras", 0, "again.keras");
    expect("out.keras again.keras", 0, "again.keras"); /* an old file is replaced */
    assert_int_equal(remove("again.keras"), 0);
    assert_int_equal(remove("out.keras"), 0);
}

static void test_usage(void **state)
{
    (void)state;
    expect("", 2, "weft: convert: give two files");
    expect(MODEL, 2, "give two files");
    expect("a.keras b.keras c.keras", 2, "a.keras, b.keras and c.keras");
    expect(MODEL " " MODEL, 2, "the model's own file");
    expect("--force a b", 2, "unknown option --force");
    expect("--help", 0, "usage: weft convert IN OUT|example");
}

static void test_failures(void **state)
{
    (void)state;
    expect("none.keras out.keras", 1, "weft: none.keras: there is no such file");
    expect(MODEL " out.h5", 1, "out.h5: no format has this extension|keras (.keras)");
    expect(MODEL " none/out.keras", 1, "none/out.keras: cannot be written");
    assert_int_not_equal(access("out.keras", F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_convert),
                                        cmocka_unit_test(test_usage),
                                        cmocka_unit_test(test_failures) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
