/* weft convert: its result, its exit codes, what it says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>
#include "program.h"

#define MODEL WEFT_TEST_DATA "/models/P05_a.keras"

static void test_convert(void **state)
{
    (void)state;
    program_says(0, "convert " MODEL " out.keras", "out.keras: model|variables with|bytes");
    program_says(0, "convert out.keras again.keras", "again.keras");
    program_says(0, "convert out.keras again.keras", "again.keras"); /* an old file is replaced */
    assert_int_equal(remove("again.keras"), 0);
    assert_int_equal(remove("out.keras"), 0);
}

static void test_usage(void **state)
{
    (void)state;
    program_says(2, "convert ", "weft: convert: give two files");
    program_says(2, "convert " MODEL, "give two files");
    program_says(2, "convert a.keras b.keras c.keras", "a.keras, b.keras and c.keras");
    program_says(2, "convert " MODEL " " MODEL, "the model's own file");
    program_says(2, "convert --force a b", "unknown option --force");
    program_says(0, "convert --help", "usage: weft convert IN OUT|example");
}

/* Where nothing can be written is told before anything is read. */
static void test_output(void **state)
{
    (void)state;
    program_says(2, "convert none.keras out.h5",
                 "weft: convert: out.h5: no format has this extension|keras (.keras)");
    program_says(2, "convert none.keras none/out.keras", "none/out.keras: cannot be written");
    program_says(2, "convert none.keras /dev/null.keras/a.keras", "a.keras: cannot be written");
}

static void test_failures(void **state)
{
    (void)state;
    program_says(1, "convert none.keras out.keras", "weft: none.keras: there is no such file");
    assert_int_not_equal(access("out.keras", F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_convert),
                                        cmocka_unit_test(test_usage), cmocka_unit_test(test_output),
                                        cmocka_unit_test(test_failures) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
