/* .npy files: numpy's own bytes, every dtype, and hostile ones that must be refused before memory
 * is asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>
#include <weft/array.h>
#include <weft/status.h>
#include "base/alloc.h"

/* Written by numpy 2: asfortranarray of [[-2, -1, 0], [1, 2, 3]] as '>i2'. */
static const unsigned char fortran_npy[] = {
    0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 0x01, 0x00, 0x76, 0x00, 0x7b, 0x27, 0x64, 0x65, 0x73, 0x63,
    0x72, 0x27, 0x3a, 0x20, 0x27, 0x3c, 0x69, 0x32, 0x27, 0x2c, 0x20, 0x27, 0x66, 0x6f, 0x72, 0x74,
    0x72, 0x61, 0x6e, 0x5f, 0x6f, 0x72, 0x64, 0x65, 0x72, 0x27, 0x3a, 0x20, 0x54, 0x72, 0x75, 0x65,
    0x2c, 0x20, 0x27, 0x73, 0x68, 0x61, 0x70, 0x65, 0x27, 0x3a, 0x20, 0x28, 0x32, 0x2c, 0x20, 0x33,
    0x29, 0x2c, 0x20, 0x7d, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20,
    0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20,
    0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20,
    0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x0a,
    0xfe, 0xff, 0x01, 0x00, 0xff, 0xff, 0x02, 0x00, 0x00, 0x00, 0x03, 0x00,
};

static char folder[] = "/tmp/weft-npy-XXXXXX", path[64];

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/a.npy", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void put(const void *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

/* A file with that dictionary and n bytes of data. */
static void put_npy(int version, const char *dict, const void *data, size_t n)
{
    unsigned char bytes[2048] = "\x93NUMPY";
    size_t len = strlen(dict), at = 8;
    bytes[6] = (unsigned char)version;
    bytes[at++] = (unsigned char)(len & 255);
    bytes[at++] = (unsigned char)(len >> 8);
    if (version > 1) at += 2;
    memcpy(bytes + at, dict, len);
    if (n) memcpy(bytes + at + len, data, n);
    put(bytes, at + len + n);
}

static void assert_bad(weft_status status, const char *words)
{
    weft_array *array = NULL;
    size_t live = weft__alloc_live();
    assert_int_equal(weft_npy_read(path, &array), status);
    assert_null(array);
    if (!strstr(weft_error(), words)) fail_msg("\"%s\" lacks \"%s\"", weft_error(), words);
    assert_int_equal(weft__alloc_live(), live);
}

static weft_array *read_good(weft_dtype dtype, uint64_t count)
{
    weft_array *array = NULL;
    if (weft_npy_read(path, &array)) fail_msg("%s", weft_error());
    assert_int_equal(array->spec.dtype, dtype);
    assert_int_equal(weft_array_count(array), count);
    return array;
}

static void reads_numpys_file(void **state)
{
    static const int32_t wanted[] = { -2, -1, 0, 1, 2, 3 };
    (void)state;
    put(fortran_npy, sizeof fortran_npy);
    weft_array *array = read_good(WEFT_I32, 6);
    assert_int_equal(array->spec.rank, 2);
    assert_int_equal(array->spec.dim[0], 2);
    assert_int_equal(array->spec.dim[1], 3);
    assert_memory_equal(array->data, wanted, sizeof wanted);
    weft_array_destroy(&array);
    assert_null(array);
    for (size_t n = 0; n < sizeof fortran_npy; n++) { /* cut off anywhere */
        put(fortran_npy, n);
        assert_bad(WEFT_E_IO, path);
    }
}

static void reads_every_dtype(void **state)
{
    static const struct {
        const char *descr;
        unsigned char bytes[8];
        size_t size;
        weft_dtype dtype;
        double value;
    } rows[] = {
        { "<f2", { 0x00, 0xc0 }, 2, WEFT_F16, -2 },
        { ">f2", { 0xc0, 0x00 }, 2, WEFT_F16, -2 },
        { "<f4", { 0, 0, 0x20, 0xc0 }, 4, WEFT_F32, -2.5 },
        { ">f4", { 0xc0, 0x20, 0, 0 }, 4, WEFT_F32, -2.5 },
        { "<f8", { 0, 0, 0, 0, 0, 0, 0x04, 0xc0 }, 8, WEFT_F64, -2.5 },
        { ">f8", { 0xc0, 0x04, 0, 0, 0, 0, 0, 0 }, 8, WEFT_F64, -2.5 },
        { "|i1", { 0xfe }, 1, WEFT_I32, -2 },
        { "<i2", { 0xfe, 0xff }, 2, WEFT_I32, -2 },
        { ">i2", { 0xff, 0xfe }, 2, WEFT_I32, -2 },
        { "<i4", { 0xfe, 0xff, 0xff, 0xff }, 4, WEFT_I32, -2 },
        { "<i8", { 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, 8, WEFT_I64, -2 },
        { ">i8", { 0, 0, 0, 0, 0, 0, 1, 2 }, 8, WEFT_I64, 258 },
        { "|u1", { 0xfe }, 1, WEFT_U8, 254 },
        { "<u2", { 0xfe, 0xff }, 2, WEFT_I32, 65534 },
        { "<u4", { 0xfe, 0xff, 0xff, 0xff }, 4, WEFT_I64, 4294967294.0 },
        { ">u4", { 0xff, 0xff, 0xff, 0xfe }, 4, WEFT_I64, 4294967294.0 },
        { "<u8", { 2, 1 }, 8, WEFT_I64, 258 },
        { "|b1", { 7 }, 1, WEFT_BOOL, 1 },
        { "=i4", { 0 }, 4, WEFT_I32, 0 },
        { "?", { 1 }, 1, WEFT_BOOL, 1 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char dict[128];
        weft_array *wide = NULL;
        snprintf(dict, sizeof dict, "{\"shape\":(1L,),'descr': '%s','fortran_order':False}\n",
                 rows[i].descr);
        put_npy(i % 3 + 1, dict, rows[i].bytes, rows[i].size);
        weft_array *array = read_good(rows[i].dtype, 1);
        assert_int_equal(weft_array_convert(array, WEFT_F64, &wide), WEFT_OK);
        if (*(double *)wide->data != rows[i].value)
            fail_msg("%s: %g", rows[i].descr, *(double *)wide->data);
        weft_array_destroy(&wide);
        weft_array_destroy(&array);
    }
    static const unsigned char large[8] = { 0, 0, 0, 0, 0, 0, 0, 0x80 };
    put_npy(1, "{'descr': '<u8', 'fortran_order': False, 'shape': (1,)}", large, 8);
    assert_bad(WEFT_E_DTYPE, "above 2^63-1");
}

static void refuses_hostile_headers(void **state)
{
#define D(descr, shape) "{'descr': '" descr "', 'fortran_order': False, 'shape': " shape ", }"
    static const struct {
        const char *dict;
        weft_status status;
        const char *words;
    } rows[] = {
        { D("<f4", "(1000000000000,)"), WEFT_E_IO,
          "1000000000000 values of 4 bytes, but 8 bytes are there" },
        { D("<f4", "(4611686018427387904, 4)"), WEFT_E_SHAPE, "more than memory can hold" },
        { D("<f4", "(4294967296, 4294967296, 0)"), WEFT_E_SHAPE, "more than memory can hold" },
        { D("<f4", "(9223372036854775808,)"), WEFT_E_IO, "too large" },
        { D("<f4", "(-1,)"), WEFT_E_IO, "expected a dimension" },
        { D("<f4", "(1,1,1,1,1,1,1,1,1)"), WEFT_E_SHAPE, "more than 8 dimensions" },
        { D("<f4", "(2"), WEFT_E_IO, "expected" },
        { D("<f4", "2"), WEFT_E_IO, "expected (" },
        { D("|O", "(1,)"), WEFT_E_DTYPE, "dtype |O" },
        { D("<f16", "(1,)"), WEFT_E_DTYPE, "dtype f16" },
        { D("<c8", "(1,)"), WEFT_E_DTYPE, "dtype <c8" },
        { D("<f0", "(1,)"), WEFT_E_DTYPE, "dtype f0" },
        { D("<f4000000000", "(1,)"), WEFT_E_DTYPE, "f40" },
        { D("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "(1,)"), WEFT_E_IO, "too long" },
        { "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", WEFT_E_DTYPE,
          "records" },
        { "{'descr': '<f4', 'fortran_order': 1, 'shape': (1,)}", WEFT_E_IO, "True or False" },
        { "{'descr': '<f4', 'descr': '<f4', 'shape': (1,)}", WEFT_E_IO, "twice" },
        { "{'descr': '<f4', 'shape': (1,)}", WEFT_E_IO, "is missing" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}", WEFT_E_IO,
          "unknown key" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x", WEFT_E_IO, "after }" },
        { "{'descr", WEFT_E_IO, "not closed" },
        { "", WEFT_E_IO, "expected {" },
    };
    static const char data[8] = "";
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put_npy(1, rows[i].dict, data, sizeof data);
        assert_bad(rows[i].status, rows[i].words);
    }
    put_npy(9, D("<f4", "(1,)"), data, 8);
    assert_bad(WEFT_E_UNSUPPORTED, "version 9");
    put("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12);
    assert_bad(WEFT_E_IO, "its header claims 4294967295 bytes");
    put("PK\x03\x04 this is a zip", 18);
    assert_bad(WEFT_E_IO, "does not begin with");
    unlink(path);
    assert_bad(WEFT_E_NOTFOUND, "No such file");
    assert_int_equal(mkdir(path, 0700), 0);
    assert_bad(WEFT_E_IO, "it is a directory");
    rmdir(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_bad(WEFT_E_IO, "no regular file");
    weft_array *array;
    assert_int_equal(weft_npy_read(NULL, &array), WEFT_E_ARG);
    unlink(path);
}

/* Every byte of the header wrong in turn: refused or read, never a crash. */
static void survives_changed_bytes(void **state)
{
    unsigned char bytes[sizeof fortran_npy];
    uint64_t seed = 3;
    (void)state;
    for (int i = 0; i < 3000; i++) {
        weft_array *array = NULL;
        memcpy(bytes, fortran_npy, sizeof bytes);
        for (int k = 0; k < 1 + i % 3; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            bytes[(seed >> 33) % 90] = (unsigned char)(seed >> 56);
        }
        put(bytes, sizeof bytes);
        if (!weft_npy_read(path, &array)) assert_true(weft_array_bytes(array) <= 1024);
        weft_array_destroy(&array);
    }
    assert_int_equal(weft__alloc_live(), 0);
}

static void writes_what_it_reads(void **state)
{
    static const weft_dtype dtypes[] = { WEFT_F32, WEFT_F64, WEFT_F16, WEFT_I32,
                                         WEFT_I64, WEFT_U8,  WEFT_BOOL };
    static const weft_spec shapes[] = {
        { 0, 0, { 0 } }, { 0, 1, { 5 } }, { 0, 3, { 2, 3, 4 } }, { 0, 2, { 0, 3 } }
    };
    (void)state;
    for (size_t i = 0; i < 7; i++)
        for (size_t k = 0; k < 4; k++) {
            weft_spec spec = shapes[k];
            weft_array *array = NULL;
            spec.dtype = dtypes[i];
            assert_int_equal(weft_array_create(&spec, &array), WEFT_OK);
            for (uint64_t b = 0; b < weft_array_bytes(array); b++)
                ((unsigned char *)array->data)[b] =
                    dtypes[i] == WEFT_BOOL ? b % 2 : (unsigned char)(b * 7);
            assert_int_equal(weft_npy_write(path, array), WEFT_OK);
            weft_array *back = read_good(dtypes[i], weft_array_count(array));
            assert_memory_equal(&back->spec, &array->spec, sizeof spec);
            if (weft_array_bytes(array))
                assert_memory_equal(back->data, array->data, weft_array_bytes(array));
            weft_array_destroy(&back);
            weft_array_destroy(&array);
        }
    uint16_t half[2] = { 0x3fc0, 0xc000 }; /* 1.5 and -2 in bfloat16 */
    weft_array brain = { { WEFT_BF16, 1, { 2 } }, half };
    assert_int_equal(weft_npy_write(path, &brain), WEFT_OK);
    weft_array *back = read_good(WEFT_F32, 2);
    assert_true(((float *)back->data)[0] == 1.5f && ((float *)back->data)[1] == -2);
    weft_array_destroy(&back);
    assert_int_equal(weft_npy_write("/nonexistent/x.npy", &brain), WEFT_E_NOTFOUND);
    assert_int_equal(weft__alloc_live(), 0);
}

static void survives_failing_allocations(void **state)
{
    float numbers[6] = { 1, 2, 3, 4, 5, 6 };
    weft_array array = { { WEFT_F32, 2, { 2, 3 } }, numbers };
    weft_status st = WEFT_E_NOMEM;
    uint64_t n = 0;
    (void)state;
    while (st && n < 100) {
        weft_array *back = NULL;
        weft__alloc_fail_at(++n);
        st = weft_npy_write(path, &array);
        if (!st) st = weft_npy_read(path, &back);
        weft__alloc_fail_at(0);
        if (st) assert_int_equal(st, WEFT_E_NOMEM);
        weft_array_destroy(&back);
        assert_int_equal(weft__alloc_live(), 0);
    }
    assert_true(n > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_numpys_file),       cmocka_unit_test(reads_every_dtype),
        cmocka_unit_test(refuses_hostile_headers), cmocka_unit_test(survives_changed_bytes),
        cmocka_unit_test(writes_what_it_reads),    cmocka_unit_test(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
