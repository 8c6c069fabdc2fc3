/* Layers of a config: which classes there are, inputs, Sequential models, and one layer at a time.
 */
#include <stdio.h>
#include <string.h>
#include "keras.h"

const char *keras_string(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

int keras_is_model(const char *class_name)
{
    return class_name && (!strcmp(class_name, "Functional") || !strcmp(class_name, "Sequential") ||
                          !strcmp(class_name, "Model"));
}

int keras_is_input(const char *class_name)
{
    return class_name && !strcmp(class_name, "InputLayer");
}

static int starts_with(const char *text, const char *start)
{
    return text && !strncmp(text, start, strlen(start));
}

/* Is it one of Keras's own layers, and not somebody's class, or a function, of the same name? */
static int is_builtin(const json_t *entry)
{
    const json_t *module = json_object_get(entry, "module");
    const char *name = json_string_value(module);

    return !module || starts_with(name, "keras.layers") || starts_with(name, "keras.src.layers");
}

const weft_layer_class *keras_find_class(const keras_file *f, const json_t *entry)
{
    const char *name = keras_string(entry, "class_name");
    const weft_layer_class *cls;

    if (starts_with(keras_string(entry, "module"), "keras.src.ops")) return NULL;
    cls = f->api->layer_class(f->root, name);
    return cls && (is_builtin(entry) || strchr(cls->name, '.')) ? cls : NULL;
}

/* Why a class that no plugin has cannot be had, and what to do. */
static const char *reason(const json_t *entry, const char *class_name)
{
    const char *module = keras_string(entry, "module");

    if (!strcmp(class_name, "Lambda"))
        return "it holds Python code, which is never run; ways out: replace it in Python by the "
               "Keras layers it stands "
               "for and save again, or write it as a layer plugin of a few lines "
               "(plugins/example) and name that class "
               "in config.json";
    if (starts_with(module, "keras.src.ops"))
        return "an operation on tensors outside of a layer; use the layer of the same meaning "
               "(Add, Multiply, "
               "Concatenate, Reshape ..)";
    if (!is_builtin(entry))
        return "a class of the model's author; write it as a layer plugin of the same name (see "
               "plugins/example)";
    return "no plugin has this class";
}

/* Functions of the author among the attributes of one layer: told, and how many there are. */
static size_t check_functions(const keras_file *f, const json_t *entry, const char *path)
{
    const weft_attr *a = keras_find_class(f, entry)->attrs;
    const json_t *config = json_object_get(entry, "config");
    char why[1024];
    size_t n = 0;

    for (; a && a->name; a++)
        if (keras_is_foreign(f, a->name, json_object_get(config, a->name), why, sizeof why)) {
            f->api->missing(f->root, keras_string(entry, "class_name"), path, why);
            n++;
        }
    return n;
}

weft_status keras_check_classes(const keras_file *f, const json_t *model, const char *prefix,
                                int depth, size_t *n_missing)
{
    const json_t *layers = json_object_get(json_object_get(model, "config"), "layers"), *entry;
    size_t i;

    if (depth > KERAS_MAX_DEPTH)
        return keras_fail(f, WEFT_E_UNTRUSTED, "models are nested more than %d deep",
                          KERAS_MAX_DEPTH);
    if (!json_is_array(layers))
        return keras_fail(f, WEFT_E_UNTRUSTED,
                          "model \"%.100s\": its config has no list \"layers\"", prefix);
    json_array_foreach((json_t *)layers, i, entry)
    {
        const char *cls = keras_string(entry, "class_name");
        const char *name = keras_string(json_object_get(entry, "config"), "name");
        char path[512];
        weft_status st;

        if (!cls || !name)
            return keras_fail(f, WEFT_E_UNTRUSTED,
                              "model \"%.100s\": entry %zu of its \"layers\" (%.100s) has no "
                              "class_name or no config with a name",
                              prefix, i,
                              keras_string(entry, "name") ? keras_string(entry, "name")
                              : cls                       ? cls
                                                          : "?");
        snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "/" : "", name);
        if (keras_is_model(cls) && (st = keras_check_classes(f, entry, path, depth + 1, n_missing)))
            return st;
        if (keras_is_model(cls) || keras_is_input(cls)) continue;
        if (keras_find_class(f, entry))
            *n_missing += check_functions(f, entry, path);
        else {
            f->api->missing(f->root, cls, path, reason(entry, cls));
            (*n_missing)++;
        }
    }
    return WEFT_OK;
}

/* A list of sizes, null for unknown; the first is the batch. */
static weft_status get_spec(const keras_file *f, const char *name, const json_t *shape,
                            weft_spec *spec)
{
    size_t i;

    if (!json_is_array(shape) || json_array_size(shape) > WEFT_MAX_RANK)
        return keras_fail(f, WEFT_E_UNTRUSTED,
                          "input \"%s\": its shape is no list of up to %d sizes", name,
                          WEFT_MAX_RANK);
    spec->rank = (int32_t)json_array_size(shape);
    for (i = 0; i < json_array_size(shape); i++) {
        const json_t *v = json_array_get(shape, i);

        if (json_is_null(v))
            spec->dim[i] = i ? WEFT_ANY : WEFT_BATCH;
        else if (json_is_integer(v) && json_integer_value(v) >= 0 &&
                 json_integer_value(v) <= INT32_MAX)
            spec->dim[i] = json_integer_value(v);
        else if (json_is_integer(v))
            return keras_fail(f, WEFT_E_UNTRUSTED,
                              "input \"%s\": size %zu of its shape is %lld; it must be from 0 to "
                              "2^31 - 1",
                              name, i, (long long)json_integer_value(v));
        else
            return keras_fail(f, WEFT_E_UNTRUSTED,
                              "input \"%s\": size %zu of its shape is no whole number", name, i);
    }
    return WEFT_OK;
}

static const struct {
    const char *name;
    weft_dtype dtype;
} dtypes[] = { { "float32", WEFT_F32 }, { "float64", WEFT_F64 }, { "int32", WEFT_I32 },
               { "int64", WEFT_I64 },   { "uint8", WEFT_U8 },    { "bool", WEFT_BOOL } };

weft_dtype keras_dtype(const char *name)
{
    size_t i;

    for (i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (!strcmp(name, dtypes[i].name)) return dtypes[i].dtype;
    return 0;
}

const char *keras_dtype_name(weft_dtype dtype)
{
    size_t i;

    for (i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (dtypes[i].dtype == dtype) return dtypes[i].name;
    return "float32";
}

static weft_status get_dtype(const keras_file *f, const char *name, const json_t *config,
                             weft_dtype *dtype)
{
    const json_t *v = json_object_get(config, "dtype");
    const char *text = json_is_object(v) ? keras_string(json_object_get(v, "config"), "name")
                                         : json_string_value(v);

    *dtype = WEFT_F32;
    if (!text || (*dtype = keras_dtype(text))) return WEFT_OK;
    return keras_fail(f, WEFT_E_UNSUPPORTED,
                      "layer \"%s\" has dtype \"%.60s\"; float32, float64, int32, int64, uint8 and "
                      "bool are read: save the model with dtype float32",
                      name, text);
}

weft_status keras_input(const keras_file *f, const char *name, const json_t *shape,
                        const json_t *config, weft_model *into, weft_tensor_id *tensor)
{
    weft_spec spec = { 0 };
    weft_status st;

    if ((st = get_spec(f, name, shape, &spec)) || (st = get_dtype(f, name, config, &spec.dtype)))
        return st;
    *tensor = f->api->input(into, name, &spec);
    return WEFT_OK;
}

weft_status keras_create_layer(const keras_file *f, keras_layer *layer, weft_model *into, int depth)
{
    keras_text text = { .f = f };
    const weft_layer_class *cls;
    weft_status st;

    if (keras_is_model(layer->class_name)) {
        if (!(layer->sub = f->api->submodel(into, layer->name))) {
            st = f->api->finish(into); /* tells why */
            return st ? st : keras_fail(f, WEFT_E_NOMEM, "no memory for model \"%s\"", layer->name);
        }
        if ((st = keras_build(f, layer->entry, layer->sub, depth + 1))) return st;
        layer->id = f->api->model_layer(into, layer->sub, layer->name);
        return WEFT_OK;
    }
    if ((st = get_dtype(f, layer->name, layer->config, &layer->dtype))) return st;
    cls = keras_find_class(f, layer->entry);
    if (cls && !(st = keras_attributes(f, cls, layer->name, layer->config, &text))) {
        if (json_is_false(json_object_get(layer->config, "trainable")))
            keras_text_str(&text, text.n ? " trainable=false" : "trainable=false");
        layer->id = f->api->layer(into, cls->name, layer->name, text.s);
    }
    keras_free(f, text.s);
    return st;
}

static int is_float(weft_dtype dtype)
{
    return dtype == WEFT_F32 || dtype == WEFT_F64;
}

weft_status keras_check_dtype(const keras_file *f, const keras_layer *layer, const weft_model *into,
                              const weft_tensor_id *x, size_t n)
{
    const char *want = layer->dtype == WEFT_F64 ? "float64" : "int or bool";
    size_t i;

    if (layer->sub || layer->dtype == WEFT_F32) return WEFT_OK;
    for (i = 0; i < n; i++) {
        weft_tensor_info info = { .struct_size = sizeof info };
        weft_status st;

        if (!x[i]) continue; /* absent, or the model has failed, which finish() tells */
        if ((st = f->api->tensor_info(into, x[i], &info))) return st;
        if (info.spec.dtype == layer->dtype ||
            (!is_float(info.spec.dtype) && !is_float(layer->dtype)))
            continue;
        return keras_fail(
            f, WEFT_E_UNSUPPORTED,
            "layer \"%s\" (%s) has dtype %s, but its input %zu is not of it; layers compute "
            "in the dtype of their inputs, or in float32: save the model with dtype float32",
            layer->name, layer->class_name, want, i);
    }
    return WEFT_OK;
}

weft_status keras_check_result(const keras_file *f, const keras_layer *layer,
                               const weft_model *into, weft_tensor_id y)
{
    weft_tensor_info info = { .struct_size = sizeof info };
    weft_status st;

    if (layer->sub || is_float(layer->dtype) || !y) return WEFT_OK;
    if ((st = f->api->tensor_info(into, y, &info)) || !is_float(info.spec.dtype)) return st;
    return keras_fail(f, WEFT_E_UNSUPPORTED,
                      "layer \"%s\" (%s) has a dtype of whole numbers, but computes with floats "
                      "here: save the model with dtype float32",
                      layer->name, layer->class_name);
}

/* The input of a Sequential: its InputLayer, or the shape that it was built with. Keras runs a
 * Sequential with any batch, also if the file names the batch of its first call. */
static weft_status sequential_input(const keras_file *f, const json_t *model, weft_model *into,
                                    weft_tensor_id *x)
{
    const json_t *config = json_object_get(model, "config"),
                 *layers = json_object_get(config, "layers");
    const json_t *first = json_array_get(layers, 0),
                 *first_config = json_object_get(first, "config");
    const json_t *shape = json_object_get(config, "build_input_shape");
    const char *name = "input";
    json_t *any_batch;
    weft_status st;

    if (keras_is_input(keras_string(first, "class_name"))) {
        name = keras_string(first_config, "name");
        shape = json_object_get(first_config, "batch_shape");
    } else {
        first_config = NULL;
    }
    if (!json_is_array(shape))
        shape = json_object_get(json_object_get(model, "build_config"), "input_shape");
    if (!json_is_array(shape))
        return keras_fail(f, WEFT_E_UNSUPPORTED,
                          "the Sequential model has no input shape: call it once in Keras (or "
                          "give it an Input layer) before it is saved");
    if (!(any_batch = json_copy((json_t *)shape)))
        return keras_fail(f, WEFT_E_NOMEM, "no memory for a shape");
    if (json_array_size(any_batch)) json_array_set_new(any_batch, 0, json_null());
    st = keras_input(f, name, any_batch, first_config, into, x);
    json_decref(any_batch);
    return st;
}

static weft_status build_sequential(const keras_file *f, const json_t *model, weft_model *into,
                                    int depth)
{
    const json_t *layers = json_object_get(json_object_get(model, "config"), "layers"), *entry;
    weft_tensor_id x = 0;
    const char *last = "output";
    weft_status st;
    size_t i;

    if ((st = sequential_input(f, model, into, &x))) return st;
    json_array_foreach((json_t *)layers, i, entry)
    {
        keras_layer layer = { .class_name = keras_string(entry, "class_name"), .entry = entry };

        if (keras_is_input(layer.class_name)) continue;
        layer.config = json_object_get(entry, "config");
        last = layer.name = keras_string(layer.config, "name");
        if ((st = keras_create_layer(f, &layer, into, depth)) ||
            (st = keras_check_dtype(f, &layer, into, &x, 1)))
            return st;
        x = f->api->call(into, layer.id, &x, 1, NULL);
        if ((st = keras_check_result(f, &layer, into, x))) return st;
    }
    f->api->output(into, last, x);
    return f->api->finish(into);
}

weft_status keras_build(const keras_file *f, const json_t *model, weft_model *into, int depth)
{
    const char *class_name = keras_string(model, "class_name");
    const char *name = keras_string(json_object_get(model, "config"), "name");

    if (depth > KERAS_MAX_DEPTH)
        return keras_fail(f, WEFT_E_UNTRUSTED, "models are nested more than %d deep",
                          KERAS_MAX_DEPTH);
    if (name) f->api->rename(into, name);
    if (!strcmp(class_name, "Sequential")) {
        f->api->set_kind(into, class_name);
        return build_sequential(f, model, into, depth);
    }
    return keras_build_functional(f, json_object_get(model, "config"), into, depth);
}
