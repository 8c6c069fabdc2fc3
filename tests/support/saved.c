/* Reads .keras files that Weft wrote, without the library. */
#include "saved.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

char *saved_read(const char *path, size_t *n)
{
    FILE *file = fopen(path, "rb");
    char *bytes;

    if (!file) fail_msg("%s cannot be opened", path);
    fseek(file, 0, SEEK_END);
    *n = (size_t)ftell(file);
    rewind(file);
    assert_non_null(bytes = malloc(*n + 1));
    assert_int_equal(fread(bytes, 1, *n, file), *n);
    fclose(file);
    return bytes;
}

static uint32_t little(const char *p, int n)
{
    uint32_t v = 0;

    while (n--)
        v = v << 8 | (unsigned char)p[n];
    return v;
}

const char *saved_member(const char *zip, size_t n, const char *name, size_t *size)
{
    for (size_t i = 0; i + 30 + strlen(name) < n; i++) {
        if (memcmp(zip + i, "PK\3\4", 4) || little(zip + i + 26, 2) != strlen(name) ||
            memcmp(zip + i + 30, name, strlen(name)) != 0)
            continue;
        assert_int_equal(little(zip + i + 8, 2), 0);
        *size = little(zip + i + 22, 4);
        return zip + i + 30 + strlen(name) + little(zip + i + 28, 2);
    }
    fail_msg("the zip has no member %s", name);
    return NULL;
}

char *saved_compile_config(const char *path)
{
    static const char key[] = "\"compile_config\": ";
    size_t n, size;
    char *zip = saved_read(path, &n), *text;
    const char *config = saved_member(zip, n, "config.json", &size), *at;

    zip[(size_t)(config - zip) + size] = 0;
    if (!(at = strstr(config, key))) fail_msg("%s has no compile_config", path);
    at += strlen(key);
    assert_non_null(text = malloc(strlen(at) + 1));
    strcpy(text, at);
    free(zip);
    return text;
}
