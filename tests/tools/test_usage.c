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
#define PICTURES WEFT_TEST_DATA "/../../examples/digits/image.npy"
#define DIGITS WEFT_TEST_DATA "/../../examples/digits/digits.keras"
#define TABLE WEFT_TEST_DATA "/../../examples/digits/table.npy"

static void test_devices(void **state)
{
    (void)state;
    program_says(2, "plan " MODEL " -d ''", "weft: plan: --device is \"\"|weft devices");
    program_says(2, "predict " MODEL " -i x.npy -o y.npy -d ''", "weft: predict: --device is \"\"");
    program_says(2, "check " MODEL " --device=", "weft: check: --device is \"\"");
    program_says(2, "plan " MODEL " -d ' , '", "--device is \" , \"");
    program_says(2, "plan " MODEL " -d cpu,", "a name is missing");
    program_says(2, "plan " MODEL " -d gpu", "no device \"gpu\"; there is cpu");
    program_says(2, "check " MODEL " -d gpu", "no device \"gpu\"");
    program_says(2, "predict " MODEL " -i " PICTURES " -o y.npy -d gpu", "no device \"gpu\"");
    program_says(2, "predict " MODEL " -i " PICTURES " -o y.npy --f64 -d opencl:0", "float64");
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
    program_says(0, "plan " MODEL " -d cpu --batch-size=7", "memory for batch 7");
    program_says(2, "predict " MODEL " -i x.npy -o y.npy --batch 0", "--batch-size is \"0\"");
}

static void test_seeds(void **state)
{
    (void)state;
    program_says(2, "check " MODEL " --seed -1", "weft: check: --seed is \"-1\"");
    program_says(2, "check " MODEL " --seed 18446744073709551616", "--seed is");
    program_says(0, "check " MODEL " -d cpu --seed 18446744073709551615", "0 wrong");
}

static void test_inputs(void **state)
{
    (void)state;
    program_says(2, "predict " DIGITS " -i image=" PICTURES " -o y.npy",
                 "input \"table\" is missing");
    program_says(2, "predict " DIGITS " -i picture=" PICTURES " -o y.npy", "no such input");
    program_says(2, "predict " DIGITS " -i image=" PICTURES " -i image=" PICTURES " -o y.npy",
                 "this input is given twice");
    program_says(2, "predict " DIGITS " -i image= -i table=" TABLE " -o y.npy", "file is missing");
    program_says(2, "check " DIGITS " -d cpu -i image=" PICTURES, "input \"table\" is missing");
    program_says(1, "predict " DIGITS " -i image=none.npy -i table=" TABLE " -o y.npy", "none.npy");
    program_says(0, "predict " DIGITS " -i image=" PICTURES " -i table=" TABLE " -o y.npy -d cpu",
                 "on cpu: |s to prepare, |s to run");
}

static void test_words(void **state)
{
    (void)state;
    program_says(2, "help bogus", "weft: help: no topic bogus");
    program_says(2, "--help bogus", "no topic bogus");
    program_says(0, "help check", "usage: weft check");
    program_says(0, "help --help", "usage: weft VERB");
    program_says(0, "--help env", "WEFT_PLUGIN_PATH");
    program_says(2, "--version x", "takes no argument, got x");
    program_says(0, "version", "weft 0.");
    program_says(0, "-V", "weft 0.");
    program_says(0, "plan -d cpu -- " MODEL, "memory for batch 32");
    program_says(1, "summary -- --help", "--help: there is no such file");
    program_says(2, "summary " MODEL " -- -x", "takes one MODEL");
}

static void test_ops_are_listed(void **state)
{
    (void)state;
    program_says(0, "plugins", "weft | ops | map | matmul | conv | reduce");
    program_says(1, "plugins conv2d",
                 "no layer, op or plugin \"conv2d\"; did you mean \"Conv2D\"?");
    program_says(0, "plugins map", "op map(x...)|f(x) | tanh |f(x,y) | max ");
}

static void test_settings(void **state)
{
    (void)state;
    setenv("WEFT_LOG", "bogus", 1);
    setenv("WEFT_CACHE", "7", 1);
    setenv("WEFT_DISABLE", "foo,opencl", 1);
    setenv("COLUMNS", "abc", 1);
    program_says(0, "summary " MODEL,
                 "WEFT_LOG is \"bogus\", which is none of debug|warn is taken|WEFT_CACHE is \"7\"|"
                 "COLUMNS is \"abc\"|WEFT_DISABLE names \"foo\"");
    unsetenv("WEFT_LOG");
    unsetenv("WEFT_CACHE");
    unsetenv("WEFT_DISABLE");
    unsetenv("COLUMNS");
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
        cmocka_unit_test(test_inputs),          cmocka_unit_test(test_words),
        cmocka_unit_test(test_ops_are_listed),  cmocka_unit_test(test_settings),
        cmocka_unit_test(test_refused_plugins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
