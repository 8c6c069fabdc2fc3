/* A string that grows, for the OpenCL C that this backend writes. */
#include "ocl.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static char *reserve(ocl_text *text, size_t more)
{
    if (text->failed) return NULL;
    size_t need = text->size + more + 1;
    if (need > text->capacity) {
        size_t capacity = need * 2 < 1024 ? 1024 : need * 2;
        char *data = ocl_alloc(text->host, capacity, 1);
        if (!data) {
            text->failed = 1;
            return NULL;
        }
        if (text->size) memcpy(data, text->data, text->size);
        ocl_free(text->host, text->data);
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

void ocl_text_real(ocl_text *text, double value, int f64)
{
    float narrow = (float)value;
    uint32_t bits32;
    uint64_t bits64;
    memcpy(&bits32, &narrow, sizeof bits32);
    memcpy(&bits64, &value, sizeof bits64);
    if (f64)
        ocl_text_add(text, "as_double(0x%016" PRIx64 "UL)", bits64);
    else
        ocl_text_add(text, "as_float(0x%08" PRIx32 "u)", bits32);
}

void ocl_text_finish(ocl_text *text)
{
    ocl_free(text->host, text->data);
    *text = (ocl_text){ .host = text->host };
}
