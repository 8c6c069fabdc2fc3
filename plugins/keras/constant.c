/* Arrays among the arguments of a call: {"class_name": "__tensor__" or "__numpy__", "config":
 * {"value": nested lists, "dtype": ..}}. A key "name" is Weft's own; Keras ignores it. */
#include <stdlib.h>
#include <string.h>
#include "keras.h"

int keras_is_constant(const json_t *v)
{
    const char *cls = keras_string(v, "class_name");

    return cls && (!strcmp(cls, "__tensor__") || !strcmp(cls, "__numpy__"));
}

/* One number of JSON into element i. */
static int put(void *data, weft_dtype dtype, uint64_t i, const json_t *v)
{
    json_int_t n = json_is_boolean(v) ? json_is_true(v) : json_integer_value(v);

    if (!json_is_number(v) && !json_is_boolean(v)) return 0;
    switch (dtype) {
    case WEFT_F32:
        ((float *)data)[i] = (float)(json_is_number(v) ? json_number_value(v) : (double)n);
        return 1;
    case WEFT_F64:
        ((double *)data)[i] = json_is_number(v) ? json_number_value(v) : (double)n;
        return 1;
    case WEFT_I32: ((int32_t *)data)[i] = (int32_t)n; return n == (int32_t)n && !json_is_real(v);
    case WEFT_I64: ((int64_t *)data)[i] = n; return !json_is_real(v);
    case WEFT_U8: ((uint8_t *)data)[i] = (uint8_t)n; return n == (uint8_t)n && !json_is_real(v);
    default: ((uint8_t *)data)[i] = n != 0; return !json_is_real(v);
    }
}

static json_t *get(const void *data, weft_dtype dtype, uint64_t i)
{
    switch (dtype) {
    case WEFT_F32: return json_real((double)((const float *)data)[i]); /* NULL for nan and inf */
    case WEFT_F64: return json_real(((const double *)data)[i]);
    case WEFT_I32: return json_integer(((const int32_t *)data)[i]);
    case WEFT_I64: return json_integer(((const int64_t *)data)[i]);
    case WEFT_U8: return json_integer(((const uint8_t *)data)[i]);
    case WEFT_BOOL: return json_boolean(((const uint8_t *)data)[i]);
    default: return NULL;
    }
}

/* The lists below axis `axis` into data from element *at; 0 if they are not the shape's. */
static int fill(const json_t *v, const weft_spec *spec, int32_t axis, void *data, uint64_t *at)
{
    size_t i;

    if (axis == spec->rank) return put(data, spec->dtype, (*at)++, v);
    if (!json_is_array(v) || json_array_size(v) != (size_t)spec->dim[axis]) return 0;
    for (i = 0; i < json_array_size(v); i++)
        if (!fill(json_array_get(v, i), spec, axis + 1, data, at)) return 0;
    return 1;
}

static json_t *lists(const weft_tensor_info *info, int32_t axis, uint64_t *at)
{
    json_t *list;
    int64_t i;

    if (axis == info->spec.rank) return get(info->data, info->spec.dtype, (*at)++);
    list = json_array();
    for (i = 0; list && i < info->spec.dim[axis]; i++)
        list = keras_append(list, lists(info, axis + 1, at));
    return list;
}

/* The shape by the first element of each list, and how many elements it has: no more than the
 * file holds, for fill() compares every list with it before it writes. */
static int shape(const json_t *v, weft_spec *spec, uint64_t *count)
{
    *count = 1;
    for (; json_is_array(v); v = json_array_get(v, 0)) {
        uint64_t n = json_array_size(v);

        if (spec->rank == WEFT_MAX_RANK || !n || *count > (UINT32_MAX / n)) return 0;
        spec->dim[spec->rank++] = (int64_t)n;
        *count *= n;
    }
    return 1;
}

/* Do the lists have as many leaves as their shape says? Then memory for them is no risk. */
static uint64_t leaves(const json_t *v, int depth)
{
    uint64_t n = 0;
    size_t i;

    if (!json_is_array(v)) return 1;
    for (i = 0; depth < WEFT_MAX_RANK && i < json_array_size(v); i++)
        n += leaves(json_array_get(v, i), depth + 1);
    return n;
}

weft_status keras_constant_read(const keras_file *f, const json_t *v, weft_model *into,
                                weft_tensor_id *tensor)
{
    const json_t *config = json_object_get(v, "config"), *value = json_object_get(config, "value");
    const char *dtype = keras_string(config, "dtype"), *name = keras_string(config, "name");
    weft_spec spec = { .dtype = dtype ? keras_dtype(dtype) : 0 };
    uint64_t count = 0, at = 0;
    void *data = NULL;
    weft_status st = WEFT_OK;

    if (!spec.dtype || !shape(value, &spec, &count) || leaves(value, 0) != count)
        return keras_fail(
            f, WEFT_E_UNSUPPORTED,
            "an array among the arguments of a call (dtype %.60s) is no full lists of "
            "numbers of a dtype that is read",
            dtype ? dtype : "?");
    if (!(data = keras_alloc(f, count, sizeof(double))))
        return keras_fail(f, WEFT_E_NOMEM, "no memory for a constant");
    if (fill(value, &spec, 0, data, &at))
        *tensor = f->api->constant(into, name, &spec, data);
    else
        st = keras_fail(f, WEFT_E_UNTRUSTED,
                        "an array among the arguments of a call holds what is no %s, or lists of "
                        "different lengths",
                        dtype);
    keras_free(f, data);
    return st;
}

json_t *keras_constant_json(const weft_tensor_info *info)
{
    uint64_t at = 0;
    int32_t i;

    for (i = 0; i < info->spec.rank; i++)
        if (info->spec.dim[i] == 0) return NULL; /* lists tell no shape behind an empty one */
    return json_pack("{s:s,s:{s:o,s:s,s:s}}", "class_name", "__tensor__", "config", "value",
                     lists(info, 0, &at), "dtype", keras_dtype_name(info->spec.dtype), "name",
                     info->name ? info->name : "constant");
}
