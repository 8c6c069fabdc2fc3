/* A machine without OpenCL: the loader library missing, no driver, a broken driver. Each is a clear
 * text, and the cpu works. The program runs the command line in a child with another environment.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "fixture.h"

static char folder[] = "/tmp/weft_no_opencl_XXXXXX";

/* Runs `weft <verb>` with "VAR=value" settings; all output into text. Returns the exit code. */
static int run_tool(const char *settings, const char *verb, char *text, size_t size)
{
    char command[4096];
    size_t n;
    FILE *pipe;
    int status;

    snprintf(command, sizeof command, "env %s ASAN_OPTIONS=verify_asan_link_order=0 %s %s 2>&1",
             settings, WEFT_TEST_PROGRAM, verb);
    pipe = popen(command, "r");
    assert_non_null(pipe);
    n = fread(text, 1, size - 1, pipe);
    text[n] = 0;
    status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void expect(const char *settings, const char *words)
{
    char text[16384], predict[2048];

    assert_int_equal(run_tool(settings, "devices", text, sizeof text), 0);
    if (!holds_words(text, words))
        fail_msg("`weft devices` with %s lacks \"%s\":\n%s", settings, words, text);
    snprintf(predict, sizeof predict, "check %s/models/P05_a.keras -d cpu", WEFT_TEST_DATA);
    if (run_tool(settings, predict, text, sizeof text))
        fail_msg("%s with %s:\n%s", predict, settings, text);
    snprintf(predict, sizeof predict, "check %s/models/P05_a.keras -d opencl:0", WEFT_TEST_DATA);
    assert_int_equal(run_tool(settings, predict, text, sizeof text), 2);
    if (!holds_words(text, "opencl:0")) fail_msg("%s with %s:\n%s", predict, settings, text);
}

static void test_no_drivers(void **state)
{
    char settings[512];

    (void)state;
    snprintf(settings, sizeof settings, "OCL_ICD_VENDORS=%s", folder);
    expect(settings, "cpu|opencl|no ");
}

/* A file of the loader's name that is no library comes first in the search. */
static void test_no_loader(void **state)
{
    char path[512], settings[1024];
    FILE *file;

    (void)state;
    snprintf(path, sizeof path, "%s/libOpenCL.so.1", folder);
    file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    snprintf(settings, sizeof settings, "LD_LIBRARY_PATH=%s", folder);
    expect(settings, "cpu|opencl|libOpenCL.so.1");
    unlink(path);
}

static void test_broken_driver(void **state)
{
    char path[512], settings[1024];
    FILE *file;

    (void)state;
    snprintf(path, sizeof path, "%s/broken.icd", folder);
    file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "%s/absent.so\n", folder);
    fclose(file);
    snprintf(settings, sizeof settings, "OCL_ICD_VENDORS=%s", folder);
    expect(settings, "cpu|opencl|no ");
    unlink(path);
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}
static int teardown(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_no_drivers),
                                        cmocka_unit_test(test_no_loader),
                                        cmocka_unit_test(test_broken_driver) };

    return cmocka_run_group_tests(tests, setup, teardown);
}
