/* Reads and writes NumPy's .npy. Files may be hostile: the shape is held against the size of the
 * file before memory is asked for. */
#include "base/npy.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/alloc.h"
#include "base/array.h"
#include "base/fail.h"
#include "base/file.h"
#include "base/npy_header.h"

enum { MAX_HEADER = 1 << 16, BLOCK = 8192 };

/* ---- one row per dtype of the file: what it becomes, and how ------------------------------- */

static uint64_t load(const unsigned char *p, uint32_t size, int big)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < size; i++)
        bits |= (uint64_t)p[big ? size - 1 - i : i] << (8 * i);
    return bits;
}

typedef struct pass {
    size_t n;
    uint32_t size;
    int big;
    const unsigned char *src;
    char *dst;
} pass;

/* The same bits, in native order. */
static int keep(const pass *p)
{
    for (size_t i = 0; i < p->n; i++) {
        uint64_t bits = load(p->src + i * p->size, p->size, p->big);
        if (p->size == 8) {
            memcpy(p->dst + i * 8, &bits, 8);
        } else if (p->size == 4) {
            uint32_t low = (uint32_t)bits;
            memcpy(p->dst + i * 4, &low, 4);
        } else if (p->size == 2) {
            uint16_t low = (uint16_t)bits;
            memcpy(p->dst + i * 2, &low, 2);
        } else {
            p->dst[i] = (char)bits;
        }
    }
    return 1;
}

static int to_bool(const pass *p)
{
    for (size_t i = 0; i < p->n; i++)
        p->dst[i] = p->src[i] != 0;
    return 1;
}

static int signed_to_i32(const pass *p)
{
    for (size_t i = 0; i < p->n; i++) {
        uint64_t bits = load(p->src + i * p->size, p->size, p->big);
        int32_t value = p->size == 1 ? (int8_t)bits : (int16_t)bits;
        memcpy(p->dst + i * 4, &value, 4);
    }
    return 1;
}

static int unsigned_to_i32(const pass *p)
{
    for (size_t i = 0; i < p->n; i++) {
        int32_t value = (int32_t)load(p->src + i * p->size, p->size, p->big);
        memcpy(p->dst + i * 4, &value, 4);
    }
    return 1;
}

/* 0: a value does not fit. */
static int unsigned_to_i64(const pass *p)
{
    for (size_t i = 0; i < p->n; i++) {
        uint64_t value = load(p->src + i * p->size, p->size, p->big);
        if (value > INT64_MAX) return 0;
        memcpy(p->dst + i * 8, &value, 8);
    }
    return 1;
}

typedef struct row {
    char kind;
    uint32_t size;
    weft_dtype dtype;
    int (*convert)(const pass *);
} row;
static const row rows[] = {
    { 'f', 4, WEFT_F32, keep },
    { 'f', 8, WEFT_F64, keep },
    { 'f', 2, WEFT_F16, keep },
    { 'i', 4, WEFT_I32, keep },
    { 'i', 8, WEFT_I64, keep },
    { 'u', 1, WEFT_U8, keep },
    { 'b', 1, WEFT_BOOL, to_bool },
    { 'i', 1, WEFT_I32, signed_to_i32 },
    { 'i', 2, WEFT_I32, signed_to_i32 },
    { 'u', 2, WEFT_I32, unsigned_to_i32 },
    { 'u', 4, WEFT_I64, unsigned_to_i64 },
    { 'u', 8, WEFT_I64, unsigned_to_i64 },
};

static const row *find_row(const weft__npy_head *head)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].kind == head->kind && rows[i].size == head->size) return &rows[i];
    return NULL;
}

static int is_big(char order)
{
    const uint16_t probe = 1;
    if (order == '<' || order == '>') return order == '>';
    return *(const unsigned char *)&probe == 0;
}

/* ---- reading -------------------------------------------------------------------------------- */

static weft_status read_exactly(const weft__source *source, void *dst, size_t n)
{
    int64_t got = n ? source->read(source->user, dst, n) : 0;
    if (got < 0)
        return weft_fail(WEFT_E_IO, "%s: cannot be read: it is damaged, or the disk fails",
                         source->name);
    if ((uint64_t)got < n)
        return weft_fail(WEFT_E_IO, "%s: ends too early: it was cut off; copy or download it again",
                         source->name);
    return WEFT_OK;
}

/* *used: bytes of the file in front of the numbers. */
static weft_status read_head(const weft__source *source, weft__npy_head *head, uint64_t *used)
{
    unsigned char start[12];
    uint64_t n, fixed = 10;
    weft_status st;
    if (source->size < 10)
        return weft_fail(WEFT_E_IO, "%s: is no .npy file: it has only %" PRIu64 " bytes",
                         source->name, source->size);
    if ((st = read_exactly(source, start, 10))) return st;
    if (memcmp(start, "\x93NUMPY", 6))
        return weft_fail(WEFT_E_IO, "%s: is no .npy file: it does not begin with \\x93NUMPY",
                         source->name);
    if (start[6] < 1 || start[6] > 3)
        return weft_fail(WEFT_E_UNSUPPORTED, "%s: is version %d of .npy; versions 1 to 3 are known",
                         source->name, start[6]);
    if (start[6] > 1) {
        fixed = 12;
        if ((st = read_exactly(source, start + 10, 2))) return st;
    }
    n = load(start + 8, start[6] > 1 ? 4 : 2, 0);
    if (n > MAX_HEADER || n > source->size - fixed)
        return weft_fail(WEFT_E_IO,
                         "%s: is no valid .npy file: its header claims %" PRIu64 " bytes",
                         source->name, n);
    char *text = weft__alloc((size_t)n + 1);
    if (!text) return WEFT_E_NOMEM;
    if (!(st = read_exactly(source, text, (size_t)n)))
        st = strlen(text) != n
                 ? weft_fail(WEFT_E_IO, "%s: is no valid .npy file: a zero in its header",
                             source->name)
                 : weft__npy_parse(text, source->name, head);
    weft__free(text);
    *used = fixed + n;
    return st;
}

/* Reads count elements in the order of the file. */
static weft_status read_numbers(const weft__source *source, const weft__npy_head *head,
                                const row *how, weft_array *array)
{
    unsigned char block[BLOCK];
    size_t out = weft_dtype_size(how->dtype);
    uint64_t count = weft_array_count(array), step = BLOCK / head->size;
    /* Most files are just what memory holds. */
    if (how->convert == keep && is_big(head->order) == is_big('='))
        return read_exactly(source, array->data, (size_t)count * head->size);
    for (uint64_t i = 0; i < count; i += step) {
        size_t n = (size_t)(count - i < step ? count - i : step);
        weft_status st = read_exactly(source, block, n * head->size);
        if (st) return st;
        pass p = { n, head->size, is_big(head->order), block, (char *)array->data + i * out };
        if (!how->convert(&p))
            return weft_fail(WEFT_E_DTYPE,
                             "%s: holds a uint64 above 2^63-1, which int64 cannot hold",
                             source->name);
    }
    return WEFT_OK;
}

/* From Fortran order, where the first index runs fastest, to C order. */
static weft_status reorder(weft_array **array)
{
    weft_array *from = *array, *to = NULL;
    size_t size = weft_dtype_size(from->spec.dtype);
    int64_t index[WEFT_MAX_RANK] = { 0 }, stride[WEFT_MAX_RANK];
    int64_t step = 1, at = 0;
    weft_status st = weft__array_create_raw(&from->spec, &to);
    if (st) return st;
    for (int32_t k = 0; k < from->spec.rank; k++) {
        stride[k] = step;
        step *= from->spec.dim[k];
    }
    for (uint64_t i = 0, n = weft_array_count(to); i < n; i++) {
        memcpy((char *)to->data + i * size, (const char *)from->data + (size_t)at * size, size);
        for (int32_t k = from->spec.rank - 1; k >= 0; k--) {
            at += stride[k];
            if (++index[k] < from->spec.dim[k]) break;
            at -= stride[k] * index[k];
            index[k] = 0;
        }
    }
    weft_array_destroy(array);
    *array = to;
    return WEFT_OK;
}

/* The spec, after the shape was held against the bytes that are there. */
static weft_status plan(const weft__source *source, const weft__npy_head *head, uint64_t used,
                        weft_spec *spec)
{
    const row *how = find_row(head);
    uint64_t count = 0, bytes = 0, left = source->size - used;
    if (!how)
        return weft_fail(WEFT_E_DTYPE,
                         "%s: holds values of the dtype %c%u; save it with .astype('float32')",
                         source->name, head->kind, (unsigned)head->size);
    *spec = (weft_spec){ .dtype = how->dtype, .rank = head->rank };
    memcpy(spec->dim, head->dim, sizeof spec->dim);
    size_t depth = weft__where_push("%s", source->name);
    weft_status st = weft__array_bytes_of(spec, &count, &bytes);
    weft__where_pop(depth);
    if (st) return st;
    if (count > left / head->size || (source->exact && count * head->size != left))
        return weft_fail(WEFT_E_IO,
                         "%s: its shape says %" PRIu64 " values of %u bytes, but %" PRIu64
                         " bytes are there: it was cut off or is damaged",
                         source->name, count, (unsigned)head->size, left);
    return WEFT_OK;
}

weft_status weft__npy_read(const weft__source *source, weft_array **array)
{
    weft__npy_head head = { 0 };
    weft_spec spec;
    weft_array *a = NULL;
    uint64_t used = 0;
    weft_status st;
    *array = NULL;
    if ((st = read_head(source, &head, &used))) goto out;
    if ((st = plan(source, &head, used, &spec))) goto out;
    if ((st = weft__array_create_raw(&spec, &a))) goto out;
    if ((st = read_numbers(source, &head, find_row(&head), a))) goto out;
    if (head.fortran && head.rank > 1 && (st = reorder(&a))) goto out;
    *array = a;
    a = NULL;
out:
    weft_array_destroy(&a);
    return st;
}

static int64_t read_stream(void *user, void *dst, size_t n)
{
    FILE *stream = user;
    size_t got = fread(dst, 1, n, stream);
    return ferror(stream) ? -1 : (int64_t)got;
}

weft_status weft_npy_read(const char *path, weft_array **array)
{
    FILE *stream = NULL;
    uint64_t size = 0;
    if (!array) return weft_fail(WEFT_E_ARG, "weft_npy_read: array is NULL");
    *array = NULL;
    weft_status st = weft__file_open(path, &stream, &size);
    if (st) return st;
    weft__source source = { read_stream, stream, size, path, 0 };
    st = weft__npy_read(&source, array);
    fclose(stream);
    return st;
}

/* ---- writing -------------------------------------------------------------------------------- */

static const char *descr(weft_dtype dtype)
{
    static const char *const big[] = {
        [WEFT_F32] = ">f4", [WEFT_F64] = ">f8", [WEFT_F16] = ">f2", [WEFT_BF16] = ">f4",
        [WEFT_I32] = ">i4", [WEFT_I64] = ">i8", [WEFT_U8] = "|u1",  [WEFT_BOOL] = "|b1"
    };
    static const char *const little[] = {
        [WEFT_F32] = "<f4", [WEFT_F64] = "<f8", [WEFT_F16] = "<f2", [WEFT_BF16] = "<f4",
        [WEFT_I32] = "<i4", [WEFT_I64] = "<i8", [WEFT_U8] = "|u1",  [WEFT_BOOL] = "|b1"
    };
    return is_big('=') ? big[dtype] : little[dtype];
}

void weft__npy_header(weft__text *text, const weft_spec *spec)
{
    weft__text dict = { 0 };
    weft__text_add(&dict, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr(spec->dtype));
    for (int32_t i = 0; i < spec->rank; i++)
        weft__text_add(&dict, i ? ", %" PRId64 : "%" PRId64, spec->dim[i]);
    weft__text_add(&dict, spec->rank == 1 ? ",), }" : "), }");
    while ((10 + dict.n + 1) % 64 && !dict.failed)
        weft__text_put(&dict, " ", 1);
    weft__text_put(&dict, "\n", 1);
    char head[10] = {
        '\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0, (char)(dict.n & 255), (char)(dict.n >> 8)
    };
    weft__text_put(text, head, sizeof head);
    weft__text_put(text, dict.s ? dict.s : "", dict.n);
    text->failed |= dict.failed;
    weft__text_finish(&dict);
}

weft_status weft_npy_write(const char *path, const weft_array *array)
{
    weft__file *file = NULL;
    weft__text head = { 0 };
    weft_array *wide = NULL;
    uint64_t count, bytes;
    weft_status st;
    if (!array) return weft_fail(WEFT_E_ARG, "weft_npy_write: array is NULL");
    if ((st = weft__array_bytes_of(&array->spec, &count, &bytes))) return st;
    if (count && !array->data)
        return weft_fail(WEFT_E_ARG, "weft_npy_write: the array's data is NULL");
    if (array->spec.dtype == WEFT_BF16) { /* numpy has no such dtype */
        if ((st = weft_array_convert(array, WEFT_F32, &wide))) return st;
        array = wide;
        bytes *= 2;
    }
    weft__npy_header(&head, &array->spec);
    if (head.failed) {
        st = WEFT_E_NOMEM;
        goto out;
    }
    if ((st = weft__file_create(path, &file))) goto out;
    fwrite(head.s, 1, head.n, file->stream);
    if (bytes) fwrite(array->data, 1, (size_t)bytes, file->stream);
    st = weft__file_commit(&file); /* sees what fwrite could not write */
out:
    weft__file_discard(&file);
    weft__text_finish(&head);
    weft_array_destroy(&wide);
    return st;
}
