/* The zip around a .keras file: members found, sizes checked, config.json and the weights read. */
#include <stdio.h>
#include <string.h>
#include <zip.h>
#include "keras.h"

#define BOMB_FLOOR ((uint64_t)256 << 20) /* members below may be compressed as well as they like */
#define BOMB_RATIO 100
#define MAX_MEMBERS 65536

static int unsafe_name(const char *name)
{
    const char *p = name;

    if (*name == '/' || strchr(name, '\\') || strchr(name, ':')) return 1;
    while ((p = strstr(p, ".."))) {
        if ((p == name || p[-1] == '/') && (p[2] == 0 || p[2] == '/')) return 1;
        p += 2;
    }
    return 0;
}

/* Names and sizes of all members: what no .keras file of Keras has is refused. */
static weft_status check_members(const keras_file *f, zip_t *zip)
{
    zip_int64_t n = zip_get_num_entries(zip, 0), i;

    if (n > MAX_MEMBERS)
        return keras_fail(f, WEFT_E_UNTRUSTED, "the zip has %lld members", (long long)n);
    for (i = 0; i < n; i++) {
        zip_stat_t s;

        if (zip_stat_index(zip, (zip_uint64_t)i, 0, &s))
            return keras_fail(f, WEFT_E_IO, "member %lld of the zip: %s", (long long)i,
                              zip_strerror(zip));
        if (unsafe_name(s.name))
            return keras_fail(f, WEFT_E_UNTRUSTED,
                              "the member name \"%.200s\" leaves the archive (path traversal)",
                              s.name);
        if (zip_name_locate(zip, s.name, 0) != i)
            return keras_fail(f, WEFT_E_UNTRUSTED,
                              "the member \"%.200s\" is there twice (duplicate)", s.name);
        if (s.size > BOMB_FLOOR && s.size / BOMB_RATIO > s.comp_size)
            return keras_fail(f, WEFT_E_UNTRUSTED,
                              "the member \"%.200s\" expands from %llu to %llu bytes (a zip bomb); "
                              "store it with less compression if it is real",
                              s.name, (unsigned long long)s.comp_size, (unsigned long long)s.size);
    }
    return WEFT_OK;
}

/* Opens a member; NULL in *file if there is none of that name. */
static weft_status open_member(const keras_file *f, zip_t *zip, const char *name, zip_file_t **file,
                               uint64_t *size)
{
    zip_stat_t s;
    zip_int64_t i = zip_name_locate(zip, name, 0);

    *file = NULL;
    if (i < 0) return WEFT_OK;
    if (zip_stat_index(zip, (zip_uint64_t)i, 0, &s) ||
        !(*file = zip_fopen_index(zip, (zip_uint64_t)i, 0)))
        return keras_fail(f, WEFT_E_IO, "member %s: %s", name, zip_strerror(zip));
    *size = s.size;
    return WEFT_OK;
}

/* A whole member; *data is NULL if there is none of that name. One byte more must not come. */
static weft_status read_member(const keras_file *f, zip_t *zip, const char *name, void **data,
                               size_t *n)
{
    zip_file_t *file = NULL;
    char *bytes = NULL, extra;
    uint64_t size = 0, at = 0;
    weft_status st;

    *data = NULL;
    if ((st = open_member(f, zip, name, &file, &size)) || !file) return st;
    if (size > SIZE_MAX - 1 || !(bytes = keras_alloc(f, (size_t)size + 1, 1))) {
        st = keras_fail(f, WEFT_E_NOMEM, "no memory for the %llu bytes of %s",
                        (unsigned long long)size, name);
        goto out;
    }
    while (at < size) {
        zip_int64_t got = zip_fread(file, bytes + at, size - at);

        if (got <= 0) break;
        at += (uint64_t)got;
    }
    if (at < size || zip_fread(file, &extra, 1) != 0) {
        st = keras_fail(f, WEFT_E_UNTRUSTED,
                        "member %s is damaged: its size or checksum differs from what the zip says "
                        "(%llu bytes)",
                        name, (unsigned long long)size);
        goto out;
    }
    bytes[size] = 0;
    *data = bytes;
    *n = (size_t)size;
    bytes = NULL;
out:
    keras_free(f, bytes);
    zip_fclose(file);
    return st;
}

static weft_status read_config(keras_file *f, zip_t *zip)
{
    zip_stat_t s;
    json_error_t error;
    void *text = NULL;
    size_t n = 0;
    weft_status st;

    if (!zip_stat(zip, "config.json", 0, &s) && s.size > KERAS_MAX_CONFIG)
        return keras_fail(f, WEFT_E_UNTRUSTED, "config.json has %llu bytes; at most %u are read",
                          (unsigned long long)s.size, KERAS_MAX_CONFIG);
    if ((st = read_member(f, zip, "config.json", &text, &n))) return st;
    if (!text)
        return keras_fail(
            f, WEFT_E_IO,
            "there is no config.json in it: it is no .keras file of Keras 3; a file of Keras 2 "
            "(.h5) is saved again by Keras 3 as .keras");
    f->config = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    if (!f->config)
        st = keras_fail(f, WEFT_E_UNTRUSTED, "config.json, line %d: %s", error.line, error.text);
    keras_free(f, text);
    return st;
}

/* What a file that is no readable zip may be, by its first bytes. */
static const char *what_it_is(const char *path)
{
    char head[4] = { 0 };
    FILE *file = fopen(path, "rb");
    size_t n = file ? fread(head, 1, sizeof head, file) : 0;

    if (file) fclose(file);
    if (n == 4 && !memcmp(head, "\x89HDF", 4))
        return "it is an HDF5 file (Keras 2's .h5, or weights alone): open it in Keras 3 and save "
               "the model as .keras";
    if (n == 4 && !memcmp(head, "PK\3\4", 4)) return "it is cut off or damaged: copy it again";
    return "save the model in Keras 3 as .keras";
}

weft_status keras_archive_read(keras_file *f)
{
    zip_t *zip = NULL;
    zip_error_t error;
    int code = 0;
    weft_status st;

    zip = zip_open(f->path, ZIP_RDONLY | ZIP_CHECKCONS, &code);
    if (!zip) {
        zip_error_init_with_code(&error, code);
        st = keras_fail(f, code == ZIP_ER_NOENT ? WEFT_E_NOTFOUND : WEFT_E_IO,
                        "cannot be read as a zip (a .keras file is one): %s; %s",
                        zip_error_strerror(&error), what_it_is(f->path));
        zip_error_fini(&error);
        return st;
    }
    if ((st = check_members(f, zip)) || (st = read_config(f, zip))) goto out;
    if ((st = read_member(f, zip, "model.weights.h5", &f->weights, &f->n_weights))) goto out;
    if (!f->weights)
        st = keras_fail(f, WEFT_E_IO,
                        "there is no model.weights.h5 in it: the weights are missing%s",
                        zip_name_locate(zip, "model.weights.npz", 0) >= 0
                            ? "; model.weights.npz is not read: save the model with h5py installed"
                            : "");
out:
    zip_discard(zip);
    return st;
}
