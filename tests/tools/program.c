/* Runs the command line for its tests. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <sys/wait.h>
#include <cmocka.h>
#include "fixture.h"
#include "program.h"

int program_run(const char *arguments, char *text, size_t size)
{
    char line[2048];
    FILE *pipe;
    size_t n;
    int status;

    snprintf(line, sizeof line, "exec 2>&1 %s %s", WEFT_TEST_PROGRAM, arguments);
    pipe = popen(line, "r");
    assert_non_null(pipe);
    n = fread(text, 1, size - 1, pipe);
    text[n] = 0;
    status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void program_says(int code, const char *arguments, const char *words)
{
    char text[16384];
    int got = program_run(arguments, text, sizeof text);

    if (got != code) fail_msg("weft %s: exit code %d, not %d\n%s", arguments, got, code, text);
    if (!holds_words(text, words))
        fail_msg("weft %s: the text lacks \"%s\":\n%s", arguments, words, text);
}
