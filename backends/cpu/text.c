/* Small helpers of the cpu backend that end in words: names and sizes of dtypes, reasons for
 * supports(), failures with the step's path, list attributes. */
#include "cpu.h"
#include <string.h>

#define MESSAGE 512

size_t cpu_dtype_size(weft_dtype dtype)
{
    static const unsigned char size[] = { 0, 4, 8, 2, 2, 4, 8, 1, 1 };
    return dtype > 0 && dtype <= WEFT_BOOL ? size[dtype] : 0;
}

const char *cpu_dtype_name(weft_dtype dtype)
{
    static const char *const name[] = {
        "?", "f32", "f64", "f16", "bf16", "i32", "i64", "u8", "bool"
    };
    return name[dtype > 0 && dtype <= WEFT_BOOL ? dtype : 0];
}

int cpu_dtype_float(weft_dtype dtype)
{
    return dtype == WEFT_F32 || dtype == WEFT_F64;
}

int cpu_no(char *why, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, size, format, args);
    va_end(args);
    return 0;
}

weft_status cpu_fail(const weft_kernel_call *call, weft_status status, const char *format, ...)
{
    char text[MESSAGE];
    int n = snprintf(text, sizeof text, "%.200s: ", call->path ? call->path : "?");
    va_list args;
    va_start(args, format);
    vsnprintf(text + n, sizeof text - (size_t)n, format, args);
    va_end(args);
    return call->fail(call, status, text);
}

int cpu_attr_list(const weft_kernel_call *call, const char *name, int64_t *list, uint32_t n,
                  int64_t fill)
{
    uint32_t given = call->attr_v(call, name, list, n);
    for (uint32_t i = given < n ? given : n; i < n; i++)
        list[i] = fill;
    return given > 0;
}

int cpu_same_dtype(const weft_kernel_call *call, uint32_t n_in, char *why, size_t size)
{
    weft_dtype dtype = call->in[0]->dtype;
    for (uint32_t i = 1; i < n_in; i++) {
        if (call->in[i]->dtype != dtype) {
            return cpu_no(why, size, "inputs 0 and %u have the dtypes %s and %s; they must agree",
                          i, cpu_dtype_name(dtype), cpu_dtype_name(call->in[i]->dtype));
        }
    }
    return 1;
}

int cpu_no_half(const weft_kernel_call *call, char *why, size_t size)
{
    for (uint32_t i = 0; i < call->n_in + call->n_out; i++) {
        const weft_view *view = i < call->n_in ? call->in[i] : call->out[i - call->n_in];
        if (view && (view->dtype == WEFT_F16 || view->dtype == WEFT_BF16)) {
            return cpu_no(why, size, "%s %u is %s, which is stored but not computed with: cast it",
                          i < call->n_in ? "input" : "output", i < call->n_in ? i : i - call->n_in,
                          cpu_dtype_name(view->dtype));
        }
    }
    return 1;
}
