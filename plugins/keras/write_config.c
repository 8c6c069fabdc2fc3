/* A layer as an entry of config.json. Attributes have Keras's names already; here their values take
 * the form that Keras's constructors want. Only what a class declares is written; the rest
 * are Keras's defaults. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "keras.h"

json_t *keras_write_fail(keras_writer *w, const char *format, ...)
{
    char text[1024];
    int at = w->layer ? snprintf(text, sizeof text, "layer \"%.200s\": ", w->layer) : 0;
    va_list ap;

    va_start(ap, format);
    vsnprintf(text + at, sizeof text - (size_t)at, format, ap);
    va_end(ap);
    if (!w->status) w->status = keras_fail(&w->f, WEFT_E_UNSUPPORTED, "%s", text);
    return NULL;
}

json_t *keras_name_json(keras_writer *w, const char *name)
{
    json_t *v;

    if (strchr(name, '/'))
        return keras_write_fail(w,
                                "Keras takes no \"/\" in a name, \"%.200s\" holds one; build the "
                                "model with another name",
                                name);
    v = json_string(name);
    return v ? v : keras_write_fail(w, "the name \"%.200s\" is not UTF-8", name);
}

json_t *keras_append(json_t *list, json_t *item)
{
    if (list && !json_array_append_new(list, item)) return list;
    if (!list) json_decref(item);
    json_decref(list);
    return NULL;
}

json_t *keras_policy_json(weft_dtype dtype)
{
    return keras_object_json("keras", "DTypePolicy",
                             json_pack("{s:s}", "name", dtype == WEFT_F64 ? "float64" : "float32"));
}

json_t *keras_object_json(const char *module, const char *class_name, json_t *config)
{
    return json_pack("{s:s,s:s,s:o,s:n}", "module", module, "class_name", class_name, "config",
                     config, "registered_name");
}

/* A class of a third party, "org.example.Swish": Keras finds it as "org.example>Swish", the name
 * that register_keras_serializable(package="org.example") gives, or that custom_objects= holds. */
static json_t *foreign_json(keras_writer *w, const char *name, json_t *config)
{
    const char *dot = strrchr(name, '.');
    char registered[512];

    snprintf(registered, sizeof registered, "%.*s>%s", (int)(dot - name), name, dot + 1);
    if (w->foreign.n) keras_text_str(&w->foreign, ", ");
    keras_text_str(&w->foreign, registered);
    keras_text_str(&w->foreign, " (layer \"");
    keras_text_str(&w->foreign, w->layer);
    keras_text_str(&w->foreign, "\")");
    return json_pack("{s:n,s:s,s:o,s:s}", "module", "class_name", dot + 1, "config", config,
                     "registered_name", registered);
}

json_t *keras_shape_json(const weft_spec *spec)
{
    json_t *list = json_array();
    int32_t i;

    for (i = 0; list && i < spec->rank; i++)
        list = keras_append(list, spec->dim[i] < 0 ? json_null() : json_integer(spec->dim[i]));
    return list;
}

static int ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && !strcmp(text + n - m, end);
}

/* Keras's module for the objects that an attribute of this name holds; NULL for plain values. */
static const char *module_of(const char *name)
{
    return ends_with(name, "initializer")   ? "keras.initializers"
           : ends_with(name, "regularizer") ? "keras.regularizers"
           : ends_with(name, "constraint")  ? "keras.constraints"
           : ends_with(name, "activation") || ends_with(name, "layer") || ends_with(name, "cell")
               ? "keras.layers"
               : NULL;
}

static json_t *convert_all(keras_writer *w, const char *cls, json_t *attributes);

/* A layer of Keras among a layer's attributes. As an activation Keras builds it by the shape that
 * is given here, and not by its first call. */
static json_t *inner_layer_json(keras_writer *w, const char *cls, json_t *attributes)
{
    json_t *object = keras_object_json("keras.layers", cls, convert_all(w, cls, attributes));

    if (object)
        json_object_set_new(object, "build_config",
                            json_pack("{s:o}", "input_shape", keras_shape_json(w->result)));
    return object;
}

/* Keras's layers for functions that take arguments: a function in a file has none. */
static json_t *function_json(keras_writer *w, const char *name, json_t *config)
{
    static const char *const layers[][2] = { { "relu", "ReLU" },
                                             { "leaky_relu", "LeakyReLU" },
                                             { "elu", "ELU" },
                                             { "softmax", "Softmax" } };
    size_t i;

    if (!json_object_size(config)) return json_string(name);
    for (i = 0; i < sizeof layers / sizeof *layers; i++)
        if (!strcmp(name, layers[i][0])) return inner_layer_json(w, layers[i][1], config);
    return keras_write_fail(w,
                            "its activation %s has arguments; in a file of Keras only relu, "
                            "leaky_relu, elu and softmax may have some",
                            name);
}

/* A word or Name(..) that stands for an object: "zeros", GlorotUniform, LeakyReLU(..), relu. */
static json_t *object_json(keras_writer *w, const char *module, json_t *v)
{
    const char *name = json_is_string(v) ? json_string_value(v) : keras_string(v, "class_name");
    json_t *config = json_object_get(v, "config");
    int is_layer = !strcmp(module, "keras.layers");
    int capital = name && *name >= 'A' && *name <= 'Z';

    if (!name) return json_incref(v);
    if (is_layer && strchr(name, '.')) return foreign_json(w, name, convert_all(w, name, config));
    if (is_layer)
        return capital ? inner_layer_json(w, name, config) : function_json(w, name, config);
    if (!capital && json_is_string(v)) return json_incref(v);
    return keras_object_json(module, name, convert_all(w, name, config));
}

/* Lists that Keras wants as lists also when they have one element. */
static int stays_list(const char *name)
{
    static const char *const names[] = { "target_shape", "dims", "noise_shape", "output_shape" };
    size_t i;

    for (i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i])) return 1;
    return 0;
}

/* Attribute lists are flat and a number stands for a list of it; Keras wants ((1, 2), (3, 4)) for
 * borders, and a number for axes. */
static json_t *list_json(const char *name, json_t *v)
{
    size_t n = json_array_size(v), i;
    json_t *pairs;

    if (n == 1 && !stays_list(name)) return json_incref(json_array_get(v, 0));
    if (n < 4 || n % 2 || (strcmp(name, "padding") && strcmp(name, "cropping")))
        return json_incref(v);
    pairs = json_array();
    for (i = 0; pairs && i < n; i += 2)
        pairs =
            keras_append(pairs, json_pack("[O,O]", json_array_get(v, i), json_array_get(v, i + 1)));
    return pairs;
}

/* -1 for what the input has there. */
static json_t *noise_shape_json(json_t *v)
{
    json_t *list = json_array(), *item;
    size_t i;

    json_array_foreach(v, i, item) list =
        keras_append(list, json_integer_value(item) < 0 ? json_null() : json_incref(item));
    return list;
}

/* Attributes that some of Keras's constructors lack: what stands for all that they can mean. */
static const char *implied(const char *cls, const char *name)
{
    static const char *const table[][3] = { { "SpatialDropout1D", "data_format", "channels_last" },
                                            { "Cropping1D", "data_format", "channels_last" },
                                            { "UpSampling1D", "data_format", "channels_last" },
                                            { "UpSampling1D", "interpolation", "nearest" },
                                            { "UpSampling3D", "interpolation", "nearest" } };
    size_t i;

    for (i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(cls, table[i][0]) && !strcmp(name, table[i][1])) return table[i][2];
    return NULL;
}

static json_t *convert(keras_writer *w, const char *name, json_t *v)
{
    const char *module = module_of(name);

    if (module && !json_is_null(v)) return object_json(w, module, v);
    if (json_is_array(v) && !strcmp(name, "noise_shape")) return noise_shape_json(v);
    if (json_is_array(v)) return list_json(name, v);
    return json_incref(v);
}

/* Puts an attribute into config in the form that Keras wants; 0 on failure. */
static int put(keras_writer *w, const char *cls, json_t *config, const char *name, json_t *v)
{
    const char *only = implied(cls, name);

    if (only && !json_is_null(v) && (!json_is_string(v) || strcmp(json_string_value(v), only))) {
        keras_write_fail(w, "Keras's %s knows no %s other than %s", cls, name, only);
        return 0;
    }
    return only || !json_object_set_new(config, name, convert(w, name, v));
}

/* New attributes in Keras's forms; those of third parties' classes stay as they are. NULL gives an
 * empty object. */
static json_t *convert_all(keras_writer *w, const char *cls, json_t *attributes)
{
    json_t *config = json_object(), *v;
    const char *name;

    if (!config || !attributes) return config;
    if (strchr(cls, '.')) {
        json_decref(config);
        return json_incref(attributes);
    }
    json_object_foreach(attributes, name, v)
    {
        if (put(w, cls, config, name, v)) continue;
        json_decref(config);
        return NULL;
    }
    return config;
}

/* What the layer's attributes are without those that equal the class's defaults. */
static json_t *given_only(const keras_file *f, const weft_layer_class *cls, json_t *attributes)
{
    json_t *given = json_copy(attributes);
    const weft_attr *a;

    for (a = cls->attrs; given && a && a->name; a++) {
        keras_text text = { .f = f };
        const char *why;
        json_t *defaults;

        if (!a->def) continue;
        keras_text_str(&text, a->name);
        keras_text_str(&text, "=");
        keras_text_str(&text, a->def);
        defaults = text.failed ? NULL : keras_attributes_json(f, text.s, &why);
        if (json_equal(json_object_get(defaults, a->name), json_object_get(given, a->name)))
            json_object_del(given, a->name);
        json_decref(defaults);
        keras_text_free(&text);
    }
    return given;
}

/* A function that stands as a layer is Keras's Activation with that function. */
static json_t *activation_json(keras_writer *w, const weft_layer_class *cls, json_t *attributes)
{
    json_t *given = given_only(&w->f, cls, attributes);
    json_t *config =
        json_pack("{s:o}", "activation", given ? function_json(w, cls->name, given) : NULL);

    json_decref(given);
    return config;
}

json_t *keras_layer_json(keras_writer *w, const weft_model *m, weft_layer_id id,
                         const weft_spec *result)
{
    const weft_layer_class *cls = NULL;
    const char *name = NULL, *text = NULL, *why = NULL;
    json_t *attributes, *config = NULL, *head = NULL;
    int frozen;

    if (w->status || (w->status = w->f.api->layer_info(m, id, &cls, &name, &text, NULL, NULL)))
        return NULL;
    w->layer = name;
    w->result = result;
    if (!strcmp(cls->name, "RepeatBatch"))
        return keras_write_fail(w, "Keras has no layer RepeatBatch, which only other layers use");
    if (!(attributes = keras_attributes_json(&w->f, text, &why)))
        return why ? keras_write_fail(w, "an attribute holds %s, which config.json cannot", why)
                   : NULL;
    frozen = json_is_false(json_object_get(attributes, "trainable"));
    json_object_del(attributes, "trainable");
    head = json_pack("{s:o,s:o}", "name", keras_name_json(w, name), "dtype",
                     keras_policy_json(result->dtype));
    /* the constructors of SpatialDropout1D .. 3D lack it */
    if (head && strncmp(cls->name, "SpatialDropout", 14) != 0)
        json_object_set_new(head, "trainable", json_boolean(!frozen));
    if (head && !strchr(cls->name, '.') && !strcmp(keras_class_name(cls), "Activation") &&
        strcmp(cls->name, "Activation") != 0)
        config = activation_json(w, cls, attributes);
    else if (head)
        config = convert_all(w, cls->name, attributes);
    json_decref(attributes);
    if (!head || !config || json_object_update_missing(head, config)) {
        json_decref(head);
        json_decref(config);
        return NULL;
    }
    json_decref(config);
    return strchr(cls->name, '.') ? foreign_json(w, cls->name, head)
                                  : keras_object_json("keras.layers", keras_class_name(cls), head);
}
