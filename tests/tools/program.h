/* What the tests of the command line share: running it. */
#ifndef WEFT_TESTS_PROGRAM_H
#define WEFT_TESTS_PROGRAM_H
#include <stddef.h>

/* `weft <arguments>` by the shell: its exit code, and what it wrote to both streams. */
int program_run(const char *arguments, char *text, size_t size);
/* Fails the test unless it ends with that code and writes every word of "word|word". */
void program_says(int code, const char *arguments, const char *words);
#endif
