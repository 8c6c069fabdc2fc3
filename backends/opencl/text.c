/* A string that grows, for the OpenCL C that this backend writes. */
#include "ocl.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *reserve(ocl_text *text, size_t more)
{
    if (text->failed) return NULL;
    size_t need = text->size + more + 1;
    if (need > text->capacity) {
        size_t capacity = need * 2 < 1024 ? 1024 : need * 2;
        char *data = realloc(text->data, capacity);
        if (!data) {
            text->failed = 1;
            return NULL;
        }
        text->data = data;
        text->capacity = capacity;
    }
    return text->data + text->size;
}

void ocl_text_append(ocl_text *text, const char *bytes, size_t n)
{
    char *end = reserve(text, n);
    if (!end) return;
    memcpy(end, bytes, n);
    end[n] = '\0';
    text->size += n;
}

void ocl_text_add(ocl_text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *end = n < 0 ? NULL : reserve(text, (size_t)n);
    if (!end) {
        text->failed = 1;
        return;
    }
    va_start(args, format);
    vsnprintf(end, (size_t)n + 1, format, args);
    va_end(args);
    text->size += (size_t)n;
}

void ocl_text_finish(ocl_text *text)
{
    free(text->data);
    *text = (ocl_text){ 0 };
}
