/* Names of status codes and dtypes, sizes, the version. */
#include <weft/status.h>

#ifndef WEFT_VERSION
#error "define WEFT_VERSION, the project's version, as a string"
#endif

const char *weft_status_name(weft_status status)
{
    switch (status) {
    case WEFT_OK: return "ok";
    case WEFT_E_ARG: return "argument";
    case WEFT_E_SHAPE: return "shape";
    case WEFT_E_DTYPE: return "dtype";
    case WEFT_E_ATTR: return "attribute";
    case WEFT_E_UNSUPPORTED: return "unsupported";
    case WEFT_E_NOMEM: return "out of memory";
    case WEFT_E_DEVICE: return "device";
    case WEFT_E_ABI: return "plugin interface";
    case WEFT_E_IO: return "file";
    case WEFT_E_NOTFOUND: return "not found";
    case WEFT_E_UNTRUSTED: return "untrusted";
    case WEFT_E_INTERNAL: return "internal";
    default: return "unknown";
    }
}

static const struct row {
    const char *name;
    size_t size;
} dtypes[] = {
    [WEFT_F32] = { "float32", 4 },   [WEFT_F64] = { "float64", 8 }, [WEFT_F16] = { "float16", 2 },
    [WEFT_BF16] = { "bfloat16", 2 }, [WEFT_I32] = { "int32", 4 },   [WEFT_I64] = { "int64", 8 },
    [WEFT_U8] = { "uint8", 1 },      [WEFT_BOOL] = { "bool", 1 },
};

static const struct row *row_of(weft_dtype dtype)
{
    static const struct row none = { "unknown", 0 };
    return dtype >= WEFT_F32 && dtype <= WEFT_BOOL ? &dtypes[dtype] : &none;
}

const char *weft_dtype_name(weft_dtype dtype)
{
    return row_of(dtype)->name;
}

size_t weft_dtype_size(weft_dtype dtype)
{
    return row_of(dtype)->size;
}

const char *weft_version(void)
{
    return WEFT_VERSION;
}
