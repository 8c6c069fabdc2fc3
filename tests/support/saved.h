/* What stands in a .keras file that Weft wrote: its members are stored, not deflated. */
#ifndef WEFT_TESTS_SAVED_H
#define WEFT_TESTS_SAVED_H
#include <stddef.h>

/* The whole file, for free(). These fail the test where something is missing. */
char *saved_read(const char *path, size_t *n);
/* A member of the zip, by its local header; inside `zip`. */
const char *saved_member(const char *zip, size_t n, const char *name, size_t *size);
/* What stands behind "compile_config": in the file's config.json, for free(). */
char *saved_compile_config(const char *path);
#endif
