/* Reads and writes NumPy's .npz, a zip of .npy files, through libzip. Zips may be hostile: members
 * are held against their own headers, duplicates and bombs are refused. */
#include <weft/array.h>
#include <string.h>
#include <zip.h>
#include "base/alloc.h"
#include "base/array.h"
#include "base/fail.h"
#include "base/file.h"
#include "base/npy.h"

enum { MAX_MEMBERS = 16384, MAX_RATIO = 1000, SMALL = 256 << 20, MAX_NAME = 4096 };

static weft_status fail_zip(const char *path, const char *doing, zip_error_t *error)
{
    return weft_fail(WEFT_E_IO, "%s: cannot be %s as a zip file: %s", path, doing,
                     zip_error_strerror(error));
}

static int64_t read_member(void *user, void *dst, size_t n)
{
    return zip_fread(user, dst, n);
}

/* "a.npy" -> "a". */
static weft_status member_name(const char *path, const weft_npz *npz, const char *member,
                               char **name)
{
    size_t n = strlen(member);
    if (n < 5 || n > MAX_NAME || strcmp(member + n - 4, ".npy"))
        return weft_fail(WEFT_E_IO, "%s: is no .npz file: its member \"%.80s\" is no .npy", path,
                         member);
    for (uint32_t i = 0; i < npz->n; i++)
        if (strlen(npz->name[i]) == n - 4 && !memcmp(npz->name[i], member, n - 4))
            return weft_fail(WEFT_E_IO, "%s: has two members named %.80s", path, member);
    *name = weft__strndup(member, n - 4);
    return *name ? WEFT_OK : WEFT_E_NOMEM;
}

static weft_status read_array(const char *path, zip_t *zip, const zip_stat_t *info,
                              weft_array **array)
{
    weft__text where = { 0 };
    char rest;
    weft_status st;
    zip_file_t *member = zip_fopen_index(zip, info->index, 0);
    if (!member) return fail_zip(path, "read", zip_get_error(zip));
    weft__text_add(&where, "%s: member %s", path, info->name);
    weft__source source = { read_member, member, info->size, where.s ? where.s : path, 1 };
    st = weft__npy_read(&source, array);
    /* Reading beyond the last byte is what makes libzip compare the checksum. */
    if (!st && zip_fread(member, &rest, 1) != 0)
        st = weft_fail(WEFT_E_IO, "%s: is damaged: its checksum or its length is wrong",
                       source.name);
    if (st) weft_array_destroy(array);
    zip_fclose(member);
    weft__text_finish(&where);
    return st;
}

static weft_status read_entry(const char *path, zip_t *zip, uint64_t index, weft_npz *npz)
{
    zip_stat_t info;
    const zip_uint64_t needed = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE;
    zip_stat_init(&info);
    if (zip_stat_index(zip, index, 0, &info)) return fail_zip(path, "read", zip_get_error(zip));
    if ((info.valid & needed) != needed)
        return weft_fail(WEFT_E_IO, "%s: a member has no name or no size", path);
    if (info.size > SMALL && info.size / MAX_RATIO > info.comp_size)
        return weft_fail(
            WEFT_E_IO,
            "%s: member %.80s grows more than %d times when it is unpacked: refused as a bomb",
            path, info.name, MAX_RATIO);
    weft_status st = member_name(path, npz, info.name, &npz->name[npz->n]);
    if (st) return st;
    st = read_array(path, zip, &info, &npz->array[npz->n]);
    npz->n++; /* also when it failed: destroy frees the name */
    return st;
}

/* All members together, since a bomb may be spread over many. */
static weft_status check_total(const char *path, zip_t *zip, uint64_t n)
{
    zip_stat_t info;
    uint64_t packed = 1, unpacked = 0;
    for (uint64_t i = 0; i < n; i++) {
        zip_stat_init(&info);
        if (zip_stat_index(zip, i, 0, &info)) return fail_zip(path, "read", zip_get_error(zip));
        if (!(info.valid & ZIP_STAT_SIZE) || info.size > UINT64_MAX - unpacked)
            return weft_fail(WEFT_E_IO, "%s: a member has no possible size", path);
        unpacked += info.size;
        packed += info.valid & ZIP_STAT_COMP_SIZE ? info.comp_size : 0;
    }
    if (unpacked > SMALL && unpacked / MAX_RATIO > packed)
        return weft_fail(WEFT_E_IO,
                         "%s: grows more than %d times when it is unpacked: refused as a bomb",
                         path, MAX_RATIO);
    return WEFT_OK;
}

static weft_status open_zip(const char *path, int flags, zip_t **zip)
{
    int code = 0;
    *zip = zip_open(path, flags, &code);
    if (*zip) return WEFT_OK;
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    weft_status st = fail_zip(path, flags & ZIP_RDONLY ? "read" : "written", &error);
    zip_error_fini(&error);
    return st;
}

static weft_status check_readable(const char *path)
{
    FILE *stream = NULL;
    uint64_t size;
    weft_status st = weft__file_open(path, &stream, &size);
    if (!st) fclose(stream);
    return st;
}

weft_status weft_npz_read(const char *path, weft_npz **npz)
{
    zip_t *zip = NULL;
    weft_npz *z = NULL;
    zip_int64_t n = 0;
    weft_status st;
    if (!npz) return weft_fail(WEFT_E_ARG, "weft_npz_read: npz is NULL");
    *npz = NULL;
    if ((st = check_readable(path))) goto out;
    if ((st = open_zip(path, ZIP_RDONLY | ZIP_CHECKCONS, &zip))) goto out;
    n = zip_get_num_entries(zip, 0);
    if (n < 0 || n > MAX_MEMBERS) {
        st = weft_fail(WEFT_E_IO, "%s: has more than %d members", path, MAX_MEMBERS);
        goto out;
    }
    if ((st = check_total(path, zip, (uint64_t)n))) goto out;
    st = WEFT_E_NOMEM;
    if (!(z = weft__alloc(sizeof *z))) goto out;
    if (!(z->name = weft__alloc_n((size_t)n, sizeof *z->name))) goto out;
    if (!(z->array = weft__alloc_n((size_t)n, sizeof *z->array))) goto out;
    st = WEFT_OK;
    for (zip_int64_t i = 0; i < n && !st; i++)
        st = read_entry(path, zip, (uint64_t)i, z);
    if (st) goto out;
    *npz = z;
    z = NULL;
out:
    if (zip) zip_discard(zip);
    weft_npz_destroy(&z);
    return st;
}

/* ---- writing -------------------------------------------------------------------------------- */

/* What libzip reads from until the zip is closed. */
typedef struct member {
    weft__text head;
    weft_array *wide; /* of a dtype that numpy lacks */
    char *name;
} member;

static weft_status add_member(zip_t *zip, const char *path, const char *name,
                              const weft_array *array, member *m)
{
    uint64_t count, bytes;
    weft_status st;
    if ((st = weft__array_bytes_of(&array->spec, &count, &bytes))) return st;
    if (array->spec.dtype == WEFT_BF16) {
        if ((st = weft_array_convert(array, WEFT_F32, &m->wide))) return st;
        array = m->wide;
        bytes *= 2;
    }
    weft__npy_header(&m->head, &array->spec);
    weft__text full = { 0 };
    weft__text_add(&full, "%s.npy", name);
    if (!(m->name = weft__text_take(&full)) || m->head.failed) return WEFT_E_NOMEM;
    zip_buffer_fragment_t parts[2] = { { (zip_uint8_t *)m->head.s, m->head.n },
                                       { array->data, bytes } };
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *source = zip_source_buffer_fragment_create(parts, bytes ? 2 : 1, 0, &error);
    zip_int64_t index = source ? zip_file_add(zip, m->name, source, ZIP_FL_ENC_UTF_8) : -1;
    if (index < 0) {
        st = fail_zip(path, "written", source ? zip_get_error(zip) : &error);
        if (source) zip_source_free(source);
    } else {
        /* Weights do not shrink; and the same arrays give the same bytes, whatever the time. */
        zip_set_file_compression(zip, (zip_uint64_t)index, ZIP_CM_STORE, 0);
        zip_file_set_dostime(zip, (zip_uint64_t)index, 0, (1 << 5) | 1, 0);
    }
    zip_error_fini(&error);
    return st;
}

weft_status weft_npz_write(const char *path, const weft_npz *npz)
{
    weft__file *file = NULL;
    zip_t *zip = NULL;
    member *members = NULL;
    weft_status st;
    if (!npz || !npz->n) return weft_fail(WEFT_E_ARG, "weft_npz_write: there is no array to write");
    for (uint32_t i = 0; i < npz->n; i++)
        if (!npz->name || !npz->array || !npz->name[i] || !npz->array[i] || !npz->array[i]->data)
            return weft_fail(WEFT_E_ARG, "weft_npz_write: array %u, its data or its name is NULL",
                             (unsigned)i);
    if (!(members = weft__alloc_n(npz->n, sizeof *members))) return WEFT_E_NOMEM;
    if ((st = weft__file_create(path, &file))) goto out;
    fclose(file->stream); /* libzip writes the file by its name */
    file->stream = NULL;
    if ((st = open_zip(file->temporary, ZIP_CREATE | ZIP_TRUNCATE, &zip))) goto out;
    for (uint32_t i = 0; i < npz->n; i++)
        if ((st = add_member(zip, path, npz->name[i], npz->array[i], &members[i]))) goto out;
    if (zip_close(zip)) {
        st = fail_zip(path, "written", zip_get_error(zip));
        goto out;
    }
    zip = NULL;
    st = weft__file_commit(&file);
out:
    if (zip) zip_discard(zip);
    weft__file_discard(&file);
    for (uint32_t i = 0; i < npz->n; i++) {
        weft__text_finish(&members[i].head);
        weft_array_destroy(&members[i].wide);
        weft__free(members[i].name);
    }
    weft__free(members);
    return st;
}

void weft_npz_destroy(weft_npz **npz)
{
    if (!npz || !*npz) return;
    for (uint32_t i = 0; i < (*npz)->n; i++) {
        weft__free((*npz)->name[i]);
        weft_array_destroy(&(*npz)->array[i]);
    }
    weft__free((*npz)->name);
    weft__free((*npz)->array);
    weft__free(*npz);
    *npz = NULL;
}

const weft_array *weft_npz_get(const weft_npz *npz, const char *name)
{
    for (uint32_t i = 0; npz && name && i < npz->n; i++)
        if (!strcmp(npz->name[i], name)) return npz->array[i];
    return NULL;
}
