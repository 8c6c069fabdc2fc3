/* An OpenBLAS that takes kernels far older than the processor: `weft devices` says which and what
 * to set, a run warns; kernels that suit the processor are named and nothing more is said. OpenBLAS
 * chooses when it is loaded: the program runs in a child with another environment. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "fixture.h"

static void run(const char *core, const char *verb, char *text, size_t size)
{
    char command[2048];
    size_t n;
    FILE *pipe;

    snprintf(command, sizeof command,
             "env OPENBLAS_CORETYPE=%s WEFT_DISABLE=opencl WEFT_LOG=warn %s %s 2>&1", core,
             WEFT_TEST_PROGRAM, verb);
    pipe = popen(command, "r");
    assert_non_null(pipe);
    n = fread(text, 1, size - 1, pipe);
    text[n] = 0;
    if (pclose(pipe)) fail_msg("%s: %s", command, text);
}

static int has_avx2(void)
{
#if defined(__x86_64__) && defined(__GNUC__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return 0;
#endif
}

static void test_slow_blas(void **state)
{
    static const char *const old[] = { "Prescott", "Nehalem", "Core2" };
    char text[4096], words[128], check[1024];

    (void)state;
    snprintf(check, sizeof check, "check %s/models/P05_a.keras -d cpu", WEFT_TEST_DATA);
    run("Haswell", "devices", text, sizeof text);
    if (!has_avx2() || !holds_words(text, "Haswell kernels")) skip(); /* built for one processor */
    assert_false(holds_words(text, "OPENBLAS_CORETYPE"));
    run("Haswell", check, text, sizeof text);
    assert_false(holds_words(text, "OPENBLAS_CORETYPE"));
    for (size_t i = 0; i < sizeof old / sizeof *old; i++) {
        snprintf(words, sizeof words, "%s kernels|OPENBLAS_CORETYPE=", old[i]);
        run(old[i], "devices", text, sizeof text);
        if (!holds_words(text, words)) fail_msg("%s: %s", old[i], text);
        run(old[i], check, text, sizeof text);
        const char *warning = strstr(text, "warning: cpu: OpenBLAS uses");
        if (!warning || strstr(warning + 1, "warning: cpu: OpenBLAS") || !holds_words(text, words))
            fail_msg("%s: not one warning: %s", old[i], text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_slow_blas) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
