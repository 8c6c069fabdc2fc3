/* Wrong usage of the command line: exit code 2 and a text that names the option, its value and what
 * would do; and what it says of plugins that it could not use. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <unistd.h>
#include <cmocka.h>
#include "program.h"

#define MODEL WEFT_TEST_DATA "/layers/dense_no_bias.keras"

static void test_devices(void **state)
{
    (void)state;
    program_says(2, "plan " MODEL " -d ''", "weft: plan: --device is \"\"|weft devices");
    program_says(2, "predict " MODEL " -i x.npy -o y.npy -d ''", "weft: predict: --device is \"\"");
    program_says(2, "check " MODEL " --device=", "weft: check: --device is \"\"");
    program_says(2, "plan " MODEL " -d ' , '", "--device is \" , \"");
    program_says(1, "plan " MODEL " -d cpu,", "a name is missing");
    program_says(0, "plan " MODEL " -d cpu", "memory for batch 32");
}

static void test_batches(void **state)
{
    static const char *const wrong[] = { "''",         "x",    "-1", "1.5",
                                         "4294967296", "' 3'", "+3", "99999999999999999999" };
    char arguments[1024];

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(arguments, sizeof arguments, "plan %s --batch %s", MODEL, wrong[i]);
        program_says(2, arguments, "weft: plan: --batch is \"|whole number from 0 to 2147483647");
        snprintf(arguments, sizeof arguments, "predict %s -i x.npy -o y.npy -b %s", MODEL,
                 wrong[i]);
        program_says(2, arguments,
                     "weft: predict: --batch-size is \"|whole number from 1 to 2147483647");
    }
    program_says(2, "predict " MODEL " -i x.npy -o y.npy -b 0", "--batch-size is \"0\"");
    program_says(0, "plan " MODEL " -d cpu -b 7", "memory for batch 7");
}

static void test_seeds(void **state)
{
    (void)state;
    program_says(2, "check " MODEL " --seed -1", "weft: check: --seed is \"-1\"");
    program_says(2, "check " MODEL " --seed 18446744073709551616", "--seed is");
    program_says(0, "check " MODEL " -d cpu --seed 18446744073709551615", "0 wrong");
}

static void test_plurals(void **state)
{
    (void)state;
    program_says(0, "check " MODEL " -d cpu", "1 op right");
}

/* A plugin that was refused is told of where its class is missed. */
static void test_refused_plugins(void **state)
{
    char folder[] = "/tmp/weft_usage_XXXXXX", line[1024];

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(line, sizeof line, "cp %s/bad_abi.so %s/swirl.so && chmod 644 %s/swirl.so",
             WEFT_TEST_MODULES, folder, folder);
    assert_int_equal(system(line), 0);
    setenv("WEFT_PLUGIN_PATH", folder, 1);
    setenv("WEFT_DISABLE", "opencl", 1);
    program_says(
        1, "summary " WEFT_TEST_DATA "/refused/unsupported.keras",
        "warning: plugin /tmp/weft_usage_|swirl.so is refused: was built for plugin ABI 8.3|"
        "layer \"swirl\" (Swirl): a class|; the plugin /tmp/weft_usage_|"
        "1 plugin file was refused; `weft plugins` says why");
    program_says(1, "summary " WEFT_TEST_PROGRAM,
                 "no format knows this file|1 plugin file was refused");
    unsetenv("WEFT_PLUGIN_PATH");
    unsetenv("WEFT_DISABLE");
    snprintf(line, sizeof line, "rm -r %s", folder);
    assert_int_equal(system(line), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_devices),         cmocka_unit_test(test_batches),
        cmocka_unit_test(test_seeds),           cmocka_unit_test(test_plurals),
        cmocka_unit_test(test_refused_plugins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
