/* Variables into model.weights.h5, an HDF5 file in memory: HDF5 does not survive a disk that fills
 * up while it writes. One variable at a time is copied; the room for all is taken at once, before
 * anything is made, so that later nothing can fail for want of it. */
#include <hdf5.h>
#include <string.h>
#include "keras.h"

typedef struct writer {
    const keras_file *f;
    hid_t file;
    hid_t links; /* makes the groups on the way to a new one */
    hid_t sets;  /* no times in datasets: the same model gives the same bytes */
} writer;

static hid_t file_type(weft_dtype dtype)
{
    switch (dtype) {
    case WEFT_F32: return H5T_IEEE_F32LE;
    case WEFT_F64: return H5T_IEEE_F64LE;
    case WEFT_I32: return H5T_STD_I32LE;
    case WEFT_I64: return H5T_STD_I64LE;
    default: return H5T_STD_U8LE;
    }
}

static weft_status fail_hdf5(const writer *w, const char *path)
{
    return keras_fail(w->f, WEFT_E_IO, "model.weights.h5: HDF5 cannot write \"%s\"", path);
}

/* A dataset of these dimensions; groups on its path are made. */
static weft_status put(const writer *w, const char *path, hid_t type, hid_t memory, int rank,
                       const hsize_t *dim, const void *data)
{
    hid_t space = rank ? H5Screate_simple(rank, dim, NULL) : H5Screate(H5S_SCALAR);
    hid_t set = H5Dcreate2(w->file, path, type, space, w->links, w->sets, H5P_DEFAULT);
    int bad = set < 0 || H5Dwrite(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0;

    if (set >= 0) bad |= H5Dclose(set) < 0;
    if (space >= 0) H5Sclose(space);
    return bad ? fail_hdf5(w, path) : WEFT_OK;
}

/* "<group>/vars", which Keras has for every layer, with the layer's name. */
static weft_status put_group(const writer *w, const char *group, const char *name)
{
    char path[1024];
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR), vars, attribute = -1;
    int bad;

    snprintf(path, sizeof path, "%s/vars", group);
    H5Tset_size(type, strlen(name) + 1);
    H5Tset_cset(type, H5T_CSET_UTF8);
    vars = H5Gcreate2(w->file, path, w->links, H5P_DEFAULT, H5P_DEFAULT);
    if (vars >= 0) attribute = H5Acreate2(vars, "name", type, space, H5P_DEFAULT, H5P_DEFAULT);
    bad = attribute < 0 || H5Awrite(attribute, type, name) < 0;
    if (attribute >= 0) bad |= H5Aclose(attribute) < 0;
    if (vars >= 0) bad |= H5Gclose(vars) < 0;
    H5Sclose(space);
    H5Tclose(type);
    return bad ? fail_hdf5(w, path) : WEFT_OK;
}

static weft_status put_variable(const writer *w, const weft_model *m, weft_layer_id id, uint32_t i,
                                const char *group)
{
    const char *name = NULL;
    char path[1024];
    hsize_t dim[WEFT_MAX_RANK];
    uint32_t ordinal;
    weft_spec spec;
    uint64_t bytes;
    void *data = NULL;
    weft_status st;
    int32_t k;

    if ((st = w->f->api->variable_spec(m, id, i, &name, &spec, NULL)) ||
        (st = keras_variable_path(w->f, m, id, i, group, path, sizeof path, &ordinal)) || !*path)
        return st;
    bytes = keras_spec_bytes(&spec);
    for (k = 0; k < spec.rank; k++)
        dim[k] = (hsize_t)spec.dim[k];
    if (!(data = keras_alloc(w->f, bytes ? bytes : 1, 1)))
        return keras_fail(w->f, WEFT_E_NOMEM, "no memory for the %llu bytes of \"%s\"",
                          (unsigned long long)bytes, name);
    if (!(st = w->f->api->variable_get(m, id, i, data, (size_t)bytes)))
        st = put(w, path, file_type(spec.dtype), keras_memory_type(spec.dtype), spec.rank, dim,
                 data);
    keras_free(w->f, data);
    return st;
}

static weft_status put_model(const writer *w, const weft_model *m, const char *name,
                             const char *prefix, int depth);

static weft_status put_layer(const writer *w, const weft_model *m, weft_layer_id id,
                             keras_groups *groups, const char *prefix, int depth)
{
    const weft_model_api *api = w->f->api;
    const weft_layer_class *cls = NULL;
    const char *name = NULL;
    weft_model *sub = NULL;
    char group[768];
    weft_status st;
    uint32_t i;

    if ((st = api->layer_info(m, id, &cls, &name, NULL, &sub, NULL))) return st;
    keras_group_next(groups, prefix, sub ? keras_kind(w->f, sub) : keras_class_name(cls), group,
                     sizeof group);
    if (sub) return put_model(w, sub, name, group, depth + 1);
    if ((st = put_group(w, group, name))) return st;
    for (i = 0; i < api->n_variables(m, id); i++)
        if ((st = put_variable(w, m, id, i, group))) return st;
    return WEFT_OK;
}

static weft_status put_model(const writer *w, const weft_model *m, const char *name,
                             const char *prefix, int depth)
{
    keras_groups groups = { 0 };
    uint32_t n = w->f->api->order(m, NULL, 0), i;
    weft_layer_id *ids = NULL;
    weft_status st;

    if ((st = keras_groups_init(w->f, &groups, n))) return st;
    if (!(ids = keras_alloc(w->f, (size_t)n + 1, sizeof *ids))) {
        st = keras_fail(w->f, WEFT_E_NOMEM, "no memory for %u layers", (unsigned)n);
        goto out;
    }
    w->f->api->order(m, ids, n);
    st = depth > KERAS_MAX_DEPTH
             ? keras_fail(w->f, WEFT_E_UNSUPPORTED, "models are nested more than %d deep",
                          KERAS_MAX_DEPTH)
             : put_group(w, prefix, name);
    for (i = 0; !st && i < n; i++)
        st = put_layer(w, m, ids[i], &groups, prefix, depth);
out:
    keras_free(w->f, ids);
    keras_groups_finish(w->f, &groups);
    return st;
}

/* No less than the file will need: the data, and per dataset and layer what HDF5 adds (headers,
 * symbol tables, heaps: under 2 KiB each). */
static weft_status room(const writer *w, const weft_model *m, int depth, size_t *bytes)
{
    const weft_model_api *api = w->f->api;
    uint32_t id, i;
    weft_status st;

    for (id = 1; id <= api->n_layers(m); id++) {
        weft_model *sub = NULL;

        if ((st = api->layer_info(m, id, NULL, NULL, NULL, &sub, NULL))) return st;
        *bytes += 8192;
        if (sub && depth < KERAS_MAX_DEPTH && (st = room(w, sub, depth + 1, bytes))) return st;
        for (i = 0; !sub && i < api->n_variables(m, id); i++) {
            weft_spec spec;

            if ((st = api->variable_spec(m, id, i, NULL, &spec, NULL))) return st;
            *bytes += 4096 + (size_t)keras_spec_bytes(&spec);
        }
    }
    return WEFT_OK;
}

static weft_status create(writer *w, const weft_model *m)
{
    size_t bytes = 1 << 16;
    weft_status st = room(w, m, 0, &bytes);
    void *probe = st ? NULL : keras_alloc(w->f, bytes, 1);
    hid_t access;

    if (st) return st;
    if (!probe)
        return keras_fail(w->f, WEFT_E_NOMEM, "no memory for the %zu bytes of model.weights.h5",
                          bytes);
    keras_free(w->f, probe);
    access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_core(access, bytes, 0);
    w->file = H5Fcreate("model.weights.h5", H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Pclose(access);
    w->links = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(w->links, 1);
    w->sets = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(w->sets, 0);
    return w->file < 0 || w->links < 0 || w->sets < 0 ? fail_hdf5(w, "/") : WEFT_OK;
}

weft_status keras_image_write(const keras_file *f, const weft_model *m, keras_image *image)
{
    writer w = { .f = f, .file = -1, .links = -1, .sets = -1 };
    H5E_auto2_t old = NULL;
    void *old_data = NULL, *handle = NULL;
    ssize_t size = 0;
    weft_status st;

    H5Eget_auto2(H5E_DEFAULT, &old, &old_data);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    if ((st = create(&w, m)) || (st = put_model(&w, m, f->api->name(m), "", 0))) goto out;
    /* The core driver's handle is where it keeps its memory: no copy of all weights. */
    if (H5Fflush(w.file, H5F_SCOPE_GLOBAL) < 0 ||
        (size = H5Fget_file_image(w.file, NULL, 0)) <= 0 ||
        H5Fget_vfd_handle(w.file, H5P_DEFAULT, &handle) < 0) {
        st = fail_hdf5(&w, "/");
        goto out;
    }
    *image = (keras_image){ .file = w.file, .bytes = *(void **)handle, .n = (size_t)size };
    w.file = -1;
out:
    if (w.links >= 0) H5Pclose(w.links);
    if (w.sets >= 0) H5Pclose(w.sets);
    if (w.file >= 0) H5Fclose(w.file);
    H5Eset_auto2(H5E_DEFAULT, old, old_data);
    return st;
}

void keras_image_close(keras_image *image)
{
    if (image->bytes) H5Fclose(image->file);
    *image = (keras_image){ 0 };
}
