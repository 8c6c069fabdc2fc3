/* .npz files: numpy's own bytes, round trips, and zips that must be refused. */
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
#include <zip.h>
#include <weft/array.h>
#include <weft/status.h>
#include "base/alloc.h"

/* Written by numpy 2: savez_compressed of w/kernel = [[1.5, -2.25], [0.1, 3e10]] (float32), n =
 * arange(3). */
static const unsigned char numpy_npz[] = {
    0x50, 0x4b, 0x03, 0x04, 0x2d, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x21, 0x00, 0x3f, 0xc7,
    0xb0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0c, 0x00, 0x14, 0x00, 0x77, 0x2f,
    0x6b, 0x65, 0x72, 0x6e, 0x65, 0x6c, 0x2e, 0x6e, 0x70, 0x79, 0x01, 0x00, 0x10, 0x00, 0x90, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x57, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x9b, 0xec,
    0x17, 0xea, 0x1b, 0x10, 0xc9, 0xc8, 0x50, 0xc6, 0x50, 0xad, 0x9e, 0x92, 0x5a, 0x9c, 0x5c, 0xa4,
    0x6e, 0xa5, 0xa0, 0x6e, 0x93, 0x66, 0xa2, 0xae, 0xa3, 0xa0, 0x9e, 0x96, 0x5f, 0x54, 0x52, 0x94,
    0x98, 0x17, 0x9f, 0x5f, 0x94, 0x92, 0x0a, 0x12, 0x77, 0x4b, 0xcc, 0x29, 0x4e, 0x05, 0x8a, 0x17,
    0x67, 0x24, 0x16, 0xa4, 0x02, 0xf9, 0x1a, 0x46, 0x3a, 0x0a, 0x46, 0x9a, 0x3a, 0x0a, 0xb5, 0x0a,
    0x64, 0x03, 0x2e, 0x06, 0x86, 0x03, 0xf6, 0x0c, 0x0c, 0x02, 0x07, 0xce, 0x9e, 0x39, 0x63, 0x5b,
    0xd6, 0x72, 0x3f, 0x00, 0x00, 0x50, 0x4b, 0x03, 0x04, 0x2d, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00,
    0x00, 0x21, 0x00, 0xf7, 0x40, 0x12, 0xea, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x05,
    0x00, 0x14, 0x00, 0x6e, 0x2e, 0x6e, 0x70, 0x79, 0x01, 0x00, 0x10, 0x00, 0x98, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x4c, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x9b, 0xec, 0x17, 0xea,
    0x1b, 0x10, 0xc9, 0xc8, 0x50, 0xc6, 0x50, 0xad, 0x9e, 0x92, 0x5a, 0x9c, 0x5c, 0xa4, 0x6e, 0xa5,
    0xa0, 0x6e, 0x93, 0x69, 0xa1, 0xae, 0xa3, 0xa0, 0x9e, 0x96, 0x5f, 0x54, 0x52, 0x94, 0x98, 0x17,
    0x9f, 0x5f, 0x94, 0x92, 0x0a, 0x12, 0x77, 0x4b, 0xcc, 0x29, 0x4e, 0x05, 0x8a, 0x17, 0x67, 0x24,
    0x16, 0xa4, 0x02, 0xf9, 0x1a, 0xc6, 0x3a, 0x9a, 0x3a, 0x0a, 0xb5, 0x0a, 0x14, 0x00, 0x2e, 0x06,
    0x28, 0x60, 0x84, 0xd2, 0x4c, 0x50, 0x1a, 0x00, 0x50, 0x4b, 0x01, 0x02, 0x2d, 0x03, 0x2d, 0x00,
    0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x21, 0x00, 0x3f, 0xc7, 0xb0, 0x7f, 0x57, 0x00, 0x00, 0x00,
    0x90, 0x00, 0x00, 0x00, 0x0c, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x80, 0x01, 0x00, 0x00, 0x00, 0x00, 0x77, 0x2f, 0x6b, 0x65, 0x72, 0x6e, 0x65, 0x6c, 0x2e, 0x6e,
    0x70, 0x79, 0x50, 0x4b, 0x01, 0x02, 0x2d, 0x03, 0x2d, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00,
    0x21, 0x00, 0xf7, 0x40, 0x12, 0xea, 0x4c, 0x00, 0x00, 0x00, 0x98, 0x00, 0x00, 0x00, 0x05, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x80, 0x01, 0x95, 0x00, 0x00, 0x00,
    0x6e, 0x2e, 0x6e, 0x70, 0x79, 0x50, 0x4b, 0x05, 0x06, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x02,
    0x00, 0x6d, 0x00, 0x00, 0x00, 0x18, 0x01, 0x00, 0x00, 0x00, 0x00,
};

static char folder[] = "/tmp/weft-npz-XXXXXX", path[64];

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/a.npz", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails when a temporary file was left */
}

static void put(const void *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static void assert_bad(const char *words)
{
    weft_npz *npz = NULL;
    size_t live = weft__alloc_live();
    assert_int_not_equal(weft_npz_read(path, &npz), WEFT_OK);
    assert_null(npz);
    if (!strstr(weft_error(), words)) fail_msg("\"%s\" lacks \"%s\"", weft_error(), words);
    assert_int_equal(weft__alloc_live(), live);
}

static void reads_numpys_file(void **state)
{
    static const float wanted[] = { 1.5f, -2.25f, 0.1f, 3e10f };
    weft_npz *npz = NULL;
    (void)state;
    put(numpy_npz, sizeof numpy_npz);
    if (weft_npz_read(path, &npz)) fail_msg("%s", weft_error());
    assert_int_equal(npz->n, 2);
    const weft_array *kernel = weft_npz_get(npz, "w/kernel"), *n = weft_npz_get(npz, "n");
    assert_non_null(kernel);
    assert_int_equal(kernel->spec.rank, 2);
    assert_memory_equal(kernel->data, wanted, sizeof wanted);
    assert_non_null(n);
    assert_int_equal(n->spec.dtype, WEFT_I64);
    assert_int_equal(((int64_t *)n->data)[2], 2);
    assert_null(weft_npz_get(npz, "kernel"));
    assert_null(weft_npz_get(NULL, "kernel"));
    weft_npz_destroy(&npz);
    for (size_t i = 0; i < sizeof numpy_npz; i++) {
        put(numpy_npz, i);
        assert_bad(path);
    }
}

/* Every byte wrong in turn: refused or read, never a crash or a leak. */
static void survives_changed_bytes(void **state)
{
    unsigned char bytes[sizeof numpy_npz];
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        for (int k = 0; k < 3; k++) {
            weft_npz *npz = NULL;
            memcpy(bytes, numpy_npz, sizeof bytes);
            bytes[i] = (unsigned char)(k == 0 ? 0 : k == 1 ? 0xff : bytes[i] ^ 0x10);
            put(bytes, sizeof bytes);
            weft_npz_read(path, &npz);
            weft_npz_destroy(&npz);
        }
    assert_int_equal(weft__alloc_live(), 0);
}

static void writes_what_it_reads(void **state)
{
    float numbers[6] = { 1, 2, 3, 4, 5, 6 };
    uint16_t half[1] = { 0x3fc0 };
    weft_array a = { { WEFT_F32, 2, { 2, 3 } }, numbers }, b = { { WEFT_BF16, 0, { 0 } }, half },
               c = { { WEFT_F32, 1, { 0 } }, numbers }, *arrays[] = { &a, &b, &c };
    char *names[] = { "dense_1/kernel", "b", "empty" };
    weft_npz npz = { 3, names, arrays }, *back = NULL;
    (void)state;
    assert_int_equal(weft_npz_write(path, &npz), WEFT_OK);
    if (weft_npz_read(path, &back)) fail_msg("%s", weft_error());
    assert_memory_equal(weft_npz_get(back, names[0])->data, numbers, sizeof numbers);
    assert_true(*(float *)weft_npz_get(back, "b")->data == 1.5f);
    assert_int_equal(weft_array_count(weft_npz_get(back, "empty")), 0);
    weft_npz_destroy(&back);
    names[2] = names[1];
    assert_int_not_equal(weft_npz_write(path, &npz), WEFT_OK); /* and the old file is still there */
    assert_int_equal(weft_npz_read(path, &back), WEFT_OK);
    weft_npz_destroy(&back);
    npz.n = 0;
    assert_int_equal(weft_npz_write(path, &npz), WEFT_E_ARG);
    assert_int_equal(weft__alloc_live(), 0);
}

static void add(zip_t *zip, const char *name, const void *data, size_t n)
{
    zip_source_t *source = zip_source_buffer(zip, data, n, 0);
    assert_true(zip_file_add(zip, name, source, 0) >= 0);
}

static zip_t *begin(void)
{
    zip_t *zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, NULL);
    assert_non_null(zip);
    return zip;
}

static void refuses_strange_members(void **state)
{
    static const char head[] =
        "\x93NUMPY\x01\x00\x3a\x00{'descr': '|u1', 'fortran_order': False, 'shape': (1000,)}";
    char *data = calloc(1, 300u << 20);
    (void)state;
    zip_t *zip = begin();
    add(zip, "readme.txt", "hello", 5);
    zip_close(zip);
    assert_bad("is no .npy");
    zip = begin();
    add(zip, "a.npy", "hello, this is no array", 23);
    zip_close(zip);
    assert_bad("member a.npy: is no .npy file");
    zip = begin();
    memcpy(data, head, sizeof head - 1);
    assert_int_equal(sizeof head - 1, 10 + 0x3a);
    add(zip, "a.npy", data, sizeof head - 1 + 1000);
    zip_close(zip);
    weft_npz *npz = NULL;
    if (weft_npz_read(path, &npz)) fail_msg("%s", weft_error());
    weft_npz_destroy(&npz);
    zip = begin();
    add(zip, "a.npy", data, sizeof head - 1 + 1001); /* more than its header says */
    zip_close(zip);
    assert_bad("1000 values of 1 bytes, but 1001 bytes are there");
    zip = begin();
    add(zip, "a.npy", data, 300u << 20);
    zip_close(zip);
    assert_bad("refused as a bomb");
    put("PK\x05\x06 this is no zip file, though it begins like one", 52);
    assert_bad("cannot be read as a zip file");
    unlink(path);
    assert_bad("No such file");
    free(data);
}

static void survives_failing_allocations(void **state)
{
    float numbers[6] = { 1, 2, 3, 4, 5, 6 };
    weft_array a = { { WEFT_F32, 2, { 2, 3 } }, numbers }, *arrays[] = { &a, &a };
    char *names[] = { "a", "b" };
    weft_npz npz = { 2, names, arrays };
    weft_status st = WEFT_E_NOMEM;
    uint64_t n = 0;
    (void)state;
    while (st && n < 200) {
        weft_npz *back = NULL;
        weft__alloc_fail_at(++n);
        st = weft_npz_write(path, &npz);
        if (!st) st = weft_npz_read(path, &back);
        weft__alloc_fail_at(0);
        if (st) assert_int_equal(st, WEFT_E_NOMEM);
        weft_npz_destroy(&back);
        assert_int_equal(weft__alloc_live(), 0);
    }
    assert_true(n > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_numpys_file),
        cmocka_unit_test(survives_changed_bytes),
        cmocka_unit_test(writes_what_it_reads),
        cmocka_unit_test(refuses_strange_members),
        cmocka_unit_test(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
