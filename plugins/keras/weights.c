/* model.weights.h5 into the variables. Keras names groups by class and ordinal
 * ("layers/dense_1/vars/0"), never by layer name. Only datasets of exactly the variable's shape are
 * read, so that no size in the file is believed. */
#include <hdf5.h>
#include <string.h>
#include "keras.h"

#define BOMB_FLOOR ((uint64_t)256 << 20) /* as archive.c holds the members of the zip to */
#define BOMB_RATIO 100

typedef struct weights {
    const keras_file *f;
    hid_t file;
    const char *group; /* of the layer at work */
} weights;

/* Follows a path from the root one hard link at a time. 1 = there, 0 = not, else the refusal. */
static weft_status exists(const weights *w, const char *path, int *there)
{
    char part[1024];
    size_t n;

    *there = 0;
    for (n = 0; path[n] && n + 1 < sizeof part;) {
        H5L_info_t info;

        if (path[n] == '/') n++;
        while (path[n] && path[n] != '/' && n + 1 < sizeof part)
            n++;
        memcpy(part, path, n);
        part[n] = 0;
        if (H5Lexists(w->file, part, H5P_DEFAULT) <= 0 ||
            H5Lget_info(w->file, part, &info, H5P_DEFAULT) < 0)
            return WEFT_OK;
        if (info.type != H5L_TYPE_HARD)
            return keras_fail(w->f, WEFT_E_UNTRUSTED,
                              "model.weights.h5: \"%.300s\" is %s; Keras writes none", part,
                              info.type == H5L_TYPE_SOFT ? "a soft link"
                                                         : "an external link to another file");
    }
    *there = 1;
    return WEFT_OK;
}

int64_t keras_memory_type(weft_dtype dtype)
{
    switch (dtype) {
    case WEFT_F32: return H5T_NATIVE_FLOAT;
    case WEFT_F64: return H5T_NATIVE_DOUBLE;
    case WEFT_I32: return H5T_NATIVE_INT32;
    case WEFT_I64: return H5T_NATIVE_INT64;
    default: return H5T_NATIVE_UINT8;
    }
}

static void shape_text(char *text, size_t size, const hsize_t *dim, int rank)
{
    size_t at = (size_t)snprintf(text, size, "(");
    int i;

    for (i = 0; i < rank && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%llu", i ? ", " : "",
                               (unsigned long long)dim[i]);
    if (at < size) snprintf(text + at, size - at, ")");
}

/* The bytes of one chunk; 0 if the dataset has none. */
static uint64_t chunk_bytes(hid_t plist, uint64_t element)
{
    hsize_t dim[H5S_MAX_RANK];
    int rank = H5Pget_layout(plist) == H5D_CHUNKED ? H5Pget_chunk(plist, H5S_MAX_RANK, dim) : 0, i;
    uint64_t n = rank > 0 ? element : 0;

    for (i = 0; i < rank; i++)
        n = dim[i] && n > UINT64_MAX / dim[i] ? UINT64_MAX : n * dim[i];
    return n;
}

/* Filters that Keras never binds: any twice, or one that HDF5 does not have here. */
static weft_status check_filters(const weights *w, hid_t plist, const char *path)
{
    int n = H5Pget_nfilters(plist), i, k;

    for (i = 0; i < n; i++) {
        H5Z_filter_t id = H5Pget_filter2(plist, (unsigned)i, NULL, NULL, NULL, 0, NULL, NULL);

        for (k = 0; k < i; k++)
            if (id == H5Pget_filter2(plist, (unsigned)k, NULL, NULL, NULL, 0, NULL, NULL))
                return keras_fail(w->f, WEFT_E_UNTRUSTED,
                                  "model.weights.h5: dataset \"%s\" goes through filter %d twice; "
                                  "Keras writes none: save the model again",
                                  path, (int)id);
        if (H5Zfilter_avail(id) <= 0)
            return keras_fail(w->f, WEFT_E_UNSUPPORTED,
                              "model.weights.h5: dataset \"%s\" is compressed by filter %d, which "
                              "HDF5 does not have here; Keras writes none: save the model again",
                              path, (int)id);
    }
    return WEFT_OK;
}

/* The file must hold the dataset's data, so that a small file cannot ask for much memory. */
static weft_status check_storage(const weights *w, hid_t set, const char *path)
{
    hid_t space = H5Dget_space(set), type = H5Dget_type(set), plist = H5Dget_create_plist(set);
    uint64_t element = H5Tget_size(type), held = H5Dget_storage_size(set), need, chunk;
    hssize_t count = H5Sget_simple_extent_npoints(space);
    weft_status st = WEFT_OK;

    need = count < 0 || (element && (uint64_t)count > UINT64_MAX / element)
               ? UINT64_MAX
               : (uint64_t)count * element;
    chunk = chunk_bytes(plist, element);
    st = check_filters(w, plist, path);
    if (!st && (held > w->f->n_weights || (!H5Pget_nfilters(plist) && held < need)))
        st = keras_fail(w->f, WEFT_E_UNTRUSTED,
                        "model.weights.h5: dataset \"%s\" needs %llu bytes, but storage of %llu is "
                        "there in a file of %zu: the file is damaged; save the model again",
                        path, (unsigned long long)need, (unsigned long long)held, w->f->n_weights);
    else if (!st && ((need > BOMB_FLOOR && need / BOMB_RATIO > held) ||
                     (chunk > BOMB_FLOOR && chunk / BOMB_RATIO > held)))
        st = keras_fail(
            w->f, WEFT_E_UNTRUSTED,
            "model.weights.h5: dataset \"%s\" expands from storage of %llu bytes to %llu, "
            "in chunks of %llu (a bomb); store it with less compression if it is real",
            path, (unsigned long long)held, (unsigned long long)need, (unsigned long long)chunk);
    H5Pclose(plist);
    H5Tclose(type);
    H5Sclose(space);
    return st;
}

/* The dataset must hold numbers of exactly this spec, within this file, not virtual. */
static weft_status check_dataset(const weights *w, hid_t set, const char *path,
                                 const char *variable, const weft_spec *spec)
{
    hid_t space = H5Dget_space(set), type = H5Dget_type(set), plist = H5Dget_create_plist(set);
    hsize_t dim[H5S_MAX_RANK] = { 0 }, want[WEFT_MAX_RANK];
    char got_text[512], want_text[256];
    int rank = H5Sget_simple_extent_ndims(space), i, same;
    H5T_class_t cls = H5Tget_class(type);
    H5S_class_t extent = H5Sget_simple_extent_type(space);
    weft_status st = WEFT_OK;

    if (rank >= 0) H5Sget_simple_extent_dims(space, dim, NULL);
    same = rank == spec->rank;
    for (i = 0; i < spec->rank; i++) {
        want[i] = (hsize_t)spec->dim[i];
        same &= same && dim[i] == want[i];
    }
    shape_text(got_text, sizeof got_text, dim, rank);
    shape_text(want_text, sizeof want_text, want, spec->rank);
    if (H5Pget_external_count(plist) > 0)
        st = keras_fail(w->f, WEFT_E_UNTRUSTED,
                        "model.weights.h5: dataset \"%s\" has its data in another file (external "
                        "storage)",
                        path);
    else if (H5Pget_layout(plist) == H5D_VIRTUAL)
        st = keras_fail(w->f, WEFT_E_UNTRUSTED,
                        "model.weights.h5: dataset \"%s\" is a virtual dataset", path);
    else if (extent != H5S_SCALAR && extent != H5S_SIMPLE)
        st =
            keras_fail(w->f, WEFT_E_SHAPE,
                       "model.weights.h5: dataset \"%s\" is empty (a null dataspace), but variable "
                       "\"%s\" has shape %s",
                       path, variable, want_text);
    else if (!same)
        st = keras_fail(w->f, WEFT_E_SHAPE,
                        "model.weights.h5: dataset \"%s\" has shape %s, but variable \"%s\" has %s",
                        path, got_text, variable, want_text);
    else if (cls != H5T_FLOAT && cls != H5T_INTEGER)
        st = keras_fail(
            w->f, WEFT_E_DTYPE,
            "model.weights.h5: dataset \"%s\" (variable \"%s\") holds no numbers of a dtype "
            "that can be read",
            path, variable);
    H5Pclose(plist);
    H5Tclose(type);
    H5Sclose(space);
    return st ? st : check_storage(w, set, path);
}

uint64_t keras_spec_bytes(const weft_spec *spec)
{
    uint64_t n = spec->dtype == WEFT_F64 || spec->dtype == WEFT_I64   ? 8
                 : spec->dtype == WEFT_U8 || spec->dtype == WEFT_BOOL ? 1
                                                                      : 4;
    int i;

    for (i = 0; i < spec->rank; i++)
        n *= (uint64_t)spec->dim[i];
    return n;
}

static weft_status read_variable(const weights *w, weft_model *m, weft_layer_id layer, uint32_t i,
                                 const char *path)
{
    const char *name = NULL;
    void *data = NULL;
    weft_spec spec;
    uint64_t bytes;
    hid_t set = -1;
    weft_status st;

    if ((st = w->f->api->variable_spec(m, layer, i, &name, &spec, NULL))) return st;
    if ((set = H5Dopen2(w->file, path, H5P_DEFAULT)) < 0)
        return keras_fail(
            w->f, WEFT_E_UNTRUSTED,
            "model.weights.h5: \"%s\" cannot be read as a dataset: the file is damaged", path);
    if ((st = check_dataset(w, set, path, name, &spec))) goto out;
    bytes = keras_spec_bytes(&spec);
    if (!(data = keras_alloc(w->f, bytes ? bytes : 1, 1))) {
        st = keras_fail(w->f, WEFT_E_NOMEM, "no memory for the %llu bytes of \"%s\"",
                        (unsigned long long)bytes, name);
        goto out;
    }
    if (H5Dread(set, keras_memory_type(spec.dtype), H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0) {
        st = keras_fail(w->f, WEFT_E_UNTRUSTED,
                        "model.weights.h5: the data of \"%s\" cannot be read: the file is damaged",
                        path);
        goto out;
    }
    st = w->f->api->variable_set(m, layer, i, data, (size_t)bytes);
out:
    keras_free(w->f, data);
    H5Dclose(set);
    return st;
}

/* Variables of a layer that files hold. */
static weft_status count_held(const weights *w, const weft_model *m, weft_layer_id id, uint32_t *n)
{
    uint32_t i, flags;
    weft_status st;

    *n = 0;
    for (i = 0; i < w->f->api->n_variables(m, id); i++) {
        if ((st = w->f->api->variable_spec(m, id, i, NULL, NULL, &flags))) return st;
        *n += !(flags & WEFT_TRANSIENT);
    }
    return WEFT_OK;
}

/* Refuses a variable too many in the folder of `path`, which ends in "/<ordinal>". */
static weft_status check_end(const weights *w, const char *name, uint32_t n, const char *path,
                             uint32_t ordinal)
{
    char next[1024];
    weft_status st;
    int there;

    snprintf(next, sizeof next, "%.*s/%u", (int)(strrchr(path, '/') - path), path,
             (unsigned)ordinal + 1);
    if ((st = exists(w, next, &there)) || !there) return st;
    return keras_fail(w->f, WEFT_E_SHAPE,
                      "layer \"%s\" has %u variable%s, but model.weights.h5 has more (\"%s\")",
                      name, (unsigned)n, n == 1 ? "" : "s", next);
}

/* Is variable i the last one in its folder? */
static weft_status is_last(const weights *w, weft_model *m, weft_layer_id id, uint32_t i,
                           const char *path, int *last)
{
    size_t n = (size_t)(strrchr(path, '/') - path);
    uint32_t k, ordinal;
    char other[1024];
    weft_status st;

    *last = 1;
    for (k = i + 1; k < w->f->api->n_variables(m, id); k++) {
        if ((st = keras_variable_path(w->f, m, id, k, w->group, other, sizeof other, &ordinal)))
            return st;
        *last &=
            !*other || (size_t)(strrchr(other, '/') - other) != n || strncmp(other, path, n) != 0;
    }
    return WEFT_OK;
}

/* Exactly as many datasets as the layer has variables that files hold. */
static weft_status read_layer(weights *w, weft_model *m, weft_layer_id id, const char *name)
{
    uint32_t n, i, ordinal, done = 0;
    char path[1024];
    weft_status st;
    int there, last;

    if ((st = count_held(w, m, id, &n))) return st;
    for (i = 0; i < w->f->api->n_variables(m, id); i++) {
        if ((st = keras_variable_path(w->f, m, id, i, w->group, path, sizeof path, &ordinal)))
            return st;
        if (!*path) continue;
        if ((st = exists(w, path, &there))) return st;
        if (!there)
            return keras_fail(
                w->f, WEFT_E_NOTFOUND,
                "layer \"%s\" has %u variable%s, but model.weights.h5 has only %u for it "
                "(there is no \"%s\")",
                name, (unsigned)n, n == 1 ? "" : "s", (unsigned)done, path);
        if ((st = read_variable(w, m, id, i, path)) || (st = is_last(w, m, id, i, path, &last)) ||
            (last && (st = check_end(w, name, n, path, ordinal))))
            return st;
        done++;
    }
    return WEFT_OK;
}

static weft_status read_model(weights *w, weft_model *m, const char *prefix, int depth)
{
    const weft_model_api *api = w->f->api;
    uint32_t id, n = api->n_layers(m);
    keras_groups groups = { 0 };
    weft_status st = keras_groups_init(w->f, &groups, n);

    for (id = 1; !st && id <= n; id++) {
        const weft_layer_class *cls = NULL;
        const char *name = NULL;
        weft_model *sub = NULL;
        char group[768];

        if ((st = api->layer_info(m, id, &cls, &name, NULL, &sub, NULL))) break;
        keras_group_next(&groups, prefix, sub ? api->kind(sub) : keras_class_name(cls), group,
                         sizeof group);
        w->group = group;
        if (sub && depth < KERAS_MAX_DEPTH)
            st = read_model(w, sub, group, depth + 1);
        else if (!sub)
            st = read_layer(w, m, id, name);
    }
    keras_groups_finish(w->f, &groups);
    return st;
}

/* The file in memory, so that nothing in it can name another file by way of its own path. */
static hid_t open_image(const keras_file *f)
{
    hid_t plist = H5Pcreate(H5P_FILE_ACCESS), file = -1;

    if (H5Pset_fapl_core(plist, 1 << 20, 0) >= 0 &&
        H5Pset_file_image(plist, f->weights, f->n_weights) >= 0)
        file = H5Fopen("model.weights.h5", H5F_ACC_RDONLY, plist);
    H5Pclose(plist);
    return file;
}

weft_status keras_weights_read(const keras_file *f, weft_model *model)
{
    weights w = { .f = f };
    H5E_auto2_t old = NULL;
    void *old_data = NULL;
    weft_status st;

    H5Eget_auto2(H5E_DEFAULT, &old, &old_data);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    if ((w.file = open_image(f)) < 0) {
        st = keras_fail(f, WEFT_E_UNTRUSTED,
                        "model.weights.h5 (%zu bytes) is damaged: HDF5 cannot open it",
                        f->n_weights);
    } else {
        st = read_model(&w, model, "", 0);
        H5Fclose(w.file);
    }
    H5Eset_auto2(H5E_DEFAULT, old, old_data);
    return st;
}
