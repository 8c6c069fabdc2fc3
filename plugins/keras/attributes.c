/* A layer's config (JSON) as attribute text. The class's schema decides what is taken; Keras's
 * values that have another spelling in attribute text (functions, nested objects, null in lists)
 * are translated. */
#include <stdlib.h>
#include <string.h>
#include "keras.h"

#define MAX_NESTING 16

void keras_text_add(keras_text *t, const char *s, size_t n)
{
    if (t->most && t->n + n > t->most) t->full = 1;
    if (t->failed || t->full) return;
    if (t->n + n + 1 > t->cap) {
        size_t cap = (t->n + n + 1) * 2;
        char *more = keras_alloc(t->f, cap, 1);

        if (!more) {
            t->failed = 1;
            return;
        }
        if (t->n) memcpy(more, t->s, t->n);
        keras_free(t->f, t->s);
        t->s = more;
        t->cap = cap;
    }
    memcpy(t->s + t->n, s, n);
    t->n += n;
    t->s[t->n] = 0;
}

void keras_text_str(keras_text *t, const char *s)
{
    keras_text_add(t, s, strlen(s));
}

void keras_text_free(keras_text *t)
{
    keras_free(t->f, t->s);
    *t = (keras_text){ .f = t->f };
}

static int is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

int keras_is_word(const char *s)
{
    if (!is_letter(*s)) return 0;
    while (is_letter(*s) || (*s >= '0' && *s <= '9') || *s == '.')
        s++;
    return *s == 0;
}

/* Words that attribute text reads as values of other types than a string. */
static int is_reserved(const char *s)
{
    static const char *const reserved[] = { "true", "false", "none", "inf", "nan" };
    size_t i;

    for (i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (!strcmp(s, reserved[i])) return 1;
    return 0;
}

static void add_string(keras_text *t, const char *s)
{
    keras_text_str(t, "\"");
    for (; *s; s++) {
        if (*s == '"' || *s == '\\') keras_text_str(t, "\\");
        keras_text_add(t, s, 1);
    }
    keras_text_str(t, "\"");
}

static void add_number(keras_text *t, const json_t *v)
{
    char *s = json_dumps(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));

    if (s)
        keras_text_str(t, s);
    else
        t->failed = 1;
    free(s);
}

void keras_text_scalar(keras_text *t, const json_t *v)
{
    const char *s = json_string_value(v);

    if (json_is_null(v))
        keras_text_str(t, "none");
    else if (json_is_boolean(v))
        keras_text_str(t, json_is_true(v) ? "true" : "false");
    else if (json_is_number(v))
        add_number(t, v);
    else if (keras_is_word(s) && !is_reserved(s))
        keras_text_str(t, s);
    else
        add_string(t, s);
}

/* Of initializers, regularizers and constraints, which say nothing about results: the weights come
 * from the file. */
static int for_training(const char *key)
{
    static const char *const ends[] = { "_initializer", "_regularizer", "_constraint" };
    size_t i, n = strlen(key), m;

    for (i = 0; i < sizeof ends / sizeof *ends; i++)
        if (n > (m = strlen(ends[i])) && !strcmp(key + n - m, ends[i])) return 1;
    return 0;
}

/* A class or function of the model's author, and not one of Keras. */
static int is_authors(const json_t *v)
{
    const char *module = keras_string(v, "module"), *cls = keras_string(v, "class_name");

    return json_is_object(v) &&
           (!cls || (module && strcmp(module, "keras") && strncmp(module, "keras.", 6)));
}

/* The class of a function "relu" or "package>name"; NULL if no plugin has it. One of a package must
 * come from a third party's plugin, as for layers. */
static const char *function_class(const keras_file *f, const char *function)
{
    const char *package = strrchr(function, '>');
    const weft_layer_class *cls = f->api->layer_class(f->root, package ? package + 1 : function);

    return cls && (!package || strchr(cls->name, '.')) ? cls->name : NULL;
}

/* A third party's plugin has a class of this name. */
static int has_plugin(const keras_file *f, const char *name)
{
    const weft_layer_class *cls = f->api->layer_class(f->root, name);

    return cls && strchr(cls->name, '.');
}

int keras_is_foreign(const keras_file *f, const char *key, const json_t *value, char *why,
                     size_t size)
{
    static const char no_code[] =
        "and Weft runs no Python code; ways out: replace it in Keras by an activation that Keras "
        "has by name (relu, gelu, tanh ..) and save the model again; or";
    const char *cls = keras_string(value, "class_name"), *name = keras_string(value, "config");
    int function, lambda = cls ? !strcmp(cls, "__lambda__") /* else [code, defaults, closure] */
                               : json_is_array(json_object_get(value, "value"));

    if (!json_is_object(value) || for_training(key)) return 0;
    if (lambda) {
        snprintf(
            why, size,
            "its %.60s is a Python lambda, %s give it a name in Python (a function, registered "
            "by keras.saving.register_keras_serializable), save the model again, and write "
            "it as a layer plugin of that name (plugins/example/xtanh.c shows ten lines)",
            key, no_code);
        return 1;
    }
    if (!cls) return 0;
    function = !strcmp(cls, "function") && name;
    if (!function) name = cls;
    if (function ? function_class(f, name) != NULL : !is_authors(value) || has_plugin(f, cls))
        return 0;
    if (strrchr(name, '>')) name = strrchr(name, '>') + 1;
    snprintf(why, size,
             "its %.60s is \"%.100s\", a Python %s of the model's author, %s write it as a "
             "layer plugin of that name, \"org.example.%.100s\" (plugins/example/xtanh.c shows ten "
             "lines)",
             key, name, function ? "function" : "class", no_code, name);
    return 1;
}

static weft_status add_value(const keras_file *f, const weft_attr *attr, const char *layer,
                             const json_t *v, keras_text *t, int depth);

static weft_status fail_nested(const keras_file *f, const weft_attr *attr, const char *layer)
{
    return keras_fail(f, WEFT_E_UNTRUSTED, "layer \"%s\": %s is nested too deeply", layer,
                      attr->name ? attr->name : "a value");
}

/* Every argument of an initializer, regularizer or the like that holds a plain value. */
static weft_status add_arguments(const keras_file *f, const char *layer, const json_t *config,
                                 keras_text *t, int depth)
{
    static const weft_attr any = { .type = WEFT_STRING };
    const char *key, *between = "";
    json_t *v;

    json_object_foreach((json_t *)config, key, v)
    {
        weft_status st;

        if (json_is_object(v) || json_is_null(v) || !keras_is_word(key)) continue;
        keras_text_str(t, between);
        keras_text_str(t, key);
        keras_text_str(t, "=");
        if ((st = add_value(f, &any, layer, v, t, depth + 1))) return st;
        between = " ";
    }
    return WEFT_OK;
}

/* {"class_name": .., "config": ..}: a function by name, a layer with its config, or an initializer.
 */
static weft_status add_object(const keras_file *f, const weft_attr *attr, const char *layer,
                              const json_t *v, keras_text *t, int depth)
{
    const char *class_name = keras_string(v, "class_name");
    const json_t *config = json_object_get(v, "config");
    const weft_layer_class *cls;
    char why[1024];
    weft_status st;

    if (class_name && !strcmp(class_name, "__tuple__"))
        return add_value(f, attr, layer, json_object_get(v, "items"), t, depth + 1);
    if (class_name && !strcmp(class_name, "__numpy__"))
        return add_value(f, attr, layer, json_object_get(config, "value"), t, depth + 1);
    if (attr->name && keras_is_foreign(f, attr->name, v, why, sizeof why))
        return keras_fail(f, WEFT_E_UNSUPPORTED, "layer \"%s\": %s", layer, why);
    if (class_name && !strcmp(class_name, "function") && json_is_string(config))
        class_name = function_class(f, json_string_value(config));
    if (!class_name || !keras_is_word(class_name) || is_reserved(class_name))
        return keras_fail(f, WEFT_E_UNTRUSTED,
                          "layer \"%s\": %s is an object without a usable class_name", layer,
                          attr->name ? attr->name : "a value");
    cls = f->api->layer_class(f->root, class_name);
    keras_text_str(t, cls ? cls->name : class_name);
    if (!json_is_object(config)) return WEFT_OK;
    if (t->nested == MAX_NESTING) return fail_nested(f, attr, layer);
    t->nested++;
    keras_text_str(t, "(");
    st = cls ? keras_attributes(f, cls, layer, config, t)
             : add_arguments(f, layer, config, t, depth + 1);
    keras_text_str(t, ")");
    t->nested--;
    return st;
}

static weft_status add_value(const keras_file *f, const weft_attr *attr, const char *layer,
                             const json_t *v, keras_text *t, int depth)
{
    size_t i;
    weft_status st;

    if (depth > MAX_NESTING) return fail_nested(f, attr, layer);
    if (json_is_null(v) && depth)
        keras_text_str(t, "-1"); /* None in a shape is -1 */
    else if (json_is_null(v) || json_is_boolean(v) || json_is_number(v) || json_is_string(v))
        keras_text_scalar(t, v);
    else if (json_is_object(v))
        return add_object(f, attr, layer, v, t, depth);
    else {
        keras_text_str(t, "(");
        for (i = 0; i < json_array_size(v); i++) {
            if (i) keras_text_str(t, ",");
            if ((st = add_value(f, attr, layer, json_array_get(v, i), t, depth + 1))) return st;
        }
        keras_text_str(t, ")");
    }
    return WEFT_OK;
}

/* What every layer's config has, or what says nothing about its results in any version of Keras.
 * The weights of LoRA are saved added to the kernel; `renorm` is harmless when it is off. */
static int is_harmless(const char *key, const json_t *v)
{
    static const char *const keys[] = { "name",
                                        "trainable",
                                        "dtype",
                                        "batch_input_shape",
                                        "batch_shape",
                                        "autocast",
                                        "supports_masking",
                                        "renorm_clipping",
                                        "renorm_momentum",
                                        "input_shape",
                                        "input_dtype",
                                        "fused",
                                        "seed",
                                        "virtual_batch_size",
                                        "lora_rank",
                                        "lora_alpha",
                                        "implementation",
                                        "use_cudnn",
                                        "unroll",
                                        NULL };
    int i;

    if (json_is_null(v) || for_training(key)) return 1;
    if (!strcmp(key, "renorm")) return json_is_false(v);
    if (!strcmp(key, "groups")) return json_integer_value(v) == 1; /* of Keras 2's DepthwiseConv */
    for (i = 0; keys[i]; i++)
        if (!strcmp(key, keys[i])) return 1;
    return 0;
}

static int has_attr(const weft_layer_class *cls, const char *key)
{
    const weft_attr *a;

    for (a = cls->attrs; a && a->name; a++)
        if (!strcmp(a->name, key)) return 1;
    return 0;
}

static weft_status fail_unknown(const keras_file *f, const weft_layer_class *cls, const char *layer,
                                const char *key, const json_t *v)
{
    char *value = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
    weft_status st = keras_fail(
        f, WEFT_E_UNSUPPORTED,
        "layer \"%s\" (%s): its config has %.100s=%.200s, which this version does not know and "
        "which may change the results; build the layer without it in Keras 3 and save the model "
        "again (`weft plugins %s` lists what is known)",
        layer, cls->name, key, value ? value : "?", cls->name);

    free(value);
    return st;
}

weft_status keras_attributes(const keras_file *f, const weft_layer_class *cls, const char *layer,
                             const json_t *config, keras_text *text)
{
    const weft_attr *a;
    const char *key, *between = "";
    json_t *v;

    json_object_foreach((json_t *)config, key, v)
    {
        if (!has_attr(cls, key) && !is_harmless(key, v)) return fail_unknown(f, cls, layer, key, v);
    }
    for (a = cls->attrs; a && a->name; a++) {
        weft_status st;

        if (!(v = json_object_get(config, a->name))) continue;
        if (json_is_null(v) && !(a->flags & WEFT_NULLABLE)) continue;
        if (for_training(a->name) && is_authors(v)) continue;
        keras_text_str(text, between);
        keras_text_str(text, a->name);
        keras_text_str(text, "=");
        if ((st = add_value(f, a, layer, v, text, 0))) return st;
        between = " ";
    }
    return text->failed
               ? keras_fail(f, WEFT_E_NOMEM, "no memory for the attributes of layer \"%s\"", layer)
               : WEFT_OK;
}
