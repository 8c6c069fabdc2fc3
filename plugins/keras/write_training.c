/* The note WEFT_NOTE_COMPILE as Keras's compile_config. If the text still says what the file's own
 * JSON says, that stays. What Keras would refuse is left out with a warning: nobody loses weights
 * for it. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "keras.h"

/* Keras's class of a name: "binary_crossentropy" -> BinaryCrossentropy. */
static void class_of(const char *name, char *cls, size_t size)
{
    static const char *const special[][2] = { { "sgd", "SGD" },
                                              { "mse", "MeanSquaredError" },
                                              { "mae", "MeanAbsoluteError" } };
    size_t n = 0, i;
    int upper = 1;

    for (i = 0; i < sizeof special / sizeof *special; i++)
        if (!strcmp(name, special[i][0])) {
            snprintf(cls, size, "%s", special[i][1]);
            return;
        }
    for (; *name && n + 1 < size; name++) {
        if (*name != '_')
            cls[n++] = (char)(upper && *name >= 'a' && *name <= 'z' ? *name - 'a' + 'A' : *name);
        upper = *name == '_';
    }
    cls[n] = 0;
}

/* A name stays one, Name(..) becomes an object of Keras's. */
static json_t *object_json(int k, json_t *v)
{
    static const char *const modules[KERAS_KEYS] = { "keras.optimizers", "keras.losses", "",
                                                     "keras.metrics" };
    const char *name = keras_string(v, "class_name");
    char cls[256];

    if (!name) return json_incref(v);
    class_of(name, cls, sizeof cls);
    return keras_object_json(modules[k], cls, json_incref(json_object_get(v, "config")));
}

/* The same of lists, and of lists in lists: attribute text nests them only so far. */
static json_t *objects_json(int k, json_t *v)
{
    json_t *list = json_array(), *item;
    size_t i;

    if (!json_is_array(v)) {
        json_decref(list);
        return object_json(k, v);
    }
    json_array_foreach(v, i, item)
    {
        if (json_array_append_new(list, objects_json(k, item))) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* What holds for the outputs, as Keras wants it: of one output itself, of several a list, or a dict
 * if the model's outputs are one. Takes over `list`. */
static json_t *for_outputs(const keras_file *f, const weft_model *m, json_t *list)
{
    uint32_t n = f->api->n_outputs(m), i;
    json_t *v;

    if (!list || (n > 1 && !keras_outputs_by_name(f, m))) return list;
    v = n == 1 ? json_incref(json_array_get(list, 0)) : json_object();
    for (i = 0; v && n > 1 && i < n; i++) {
        const char *name = "";

        f->api->output_at(m, i, &name);
        json_object_set(v, name, json_array_get(list, i));
    }
    json_decref(list);
    return v;
}

/* The value of a key in compile_config; NULL: no memory. */
static json_t *key_json(const keras_file *f, const weft_model *m, int k, json_t *v)
{
    uint32_t n = f->api->n_outputs(m), i;
    json_t *objects, *list;

    if (!v || json_is_null(v)) return json_null();
    if (!(objects = objects_json(k, v)) || k == KERAS_OPTIMIZER) return objects;
    if (k != KERAS_METRICS) {
        list = keras_by_output(f, m, objects);
    } else {
        if (!json_is_array(objects)) objects = json_pack("[o]", objects);
        if (json_is_array(json_array_get(objects, 0))) return for_outputs(f, m, objects);
        for (list = json_array(), i = 0; objects && i < n; i++)
            json_array_append(list, objects);
    }
    json_decref(objects);
    return for_outputs(f, m, list);
}

/* Keras takes no whole number where it has a float, as in all that text says but these. */
static int is_whole(const char *key)
{
    static const char *const names[] = { "axis", "ignore_class", "ema_overwrite_frequency",
                                         "gradient_accumulation_steps" };
    size_t i;

    for (i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(key, names[i])) return 1;
    return 0;
}

/* `v`, or as a float what is a whole number; takes over v. */
static json_t *with_floats(json_t *v)
{
    json_t *item, *real = NULL;
    const char *key;
    size_t i;
    int bad = 0;

    if (json_is_integer(v)) {
        real = json_real((double)json_integer_value(v));
        json_decref(v);
        return real;
    }
    json_array_foreach(v, i, item)
    {
        bad |= json_array_set_new(v, i, with_floats(json_incref(item)));
    }
    json_object_foreach(v, key, item)
    {
        if (!is_whole(key)) bad |= json_object_set_new(v, key, with_floats(json_incref(item)));
    }
    if (!bad) return v;
    json_decref(v);
    return NULL;
}

/* What the text says; *why: what JSON cannot hold. */
static json_t *said_by(const keras_file *f, const char *text, const char **why)
{
    *why = NULL;
    return with_floats(keras_attributes_json(f, text, why));
}

/* Do the text and compile_config say the same? */
static int same(const keras_file *f, const weft_model *m, const json_t *config, const json_t *said)
{
    keras_text text = { .f = f };
    const char *why;
    json_t *v = NULL;
    int equal;

    if (keras_training_text(f, m, config, &text) && text.n) v = said_by(f, text.s, &why);
    equal = v && json_equal(v, (json_t *)said);
    json_decref(v);
    keras_text_free(&text);
    return equal;
}

/* Warns that there is no training configuration in the file, which is what it returns. */
static json_t *left_out(keras_writer *w, const weft_model *m, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static json_t *left_out(keras_writer *w, const weft_model *m, const char *format, ...)
{
    char reason[512], what[1400];
    va_list ap;

    va_start(ap, format);
    vsnprintf(reason, sizeof reason, format, ap);
    va_end(ap);
    snprintf(what, sizeof what,
             "its training configuration, \"%.600s\", is left out of the file: %s",
             w->f.api->note(m, WEFT_NOTE_COMPILE), reason);
    keras_write_warn(w, m, what);
    return json_object();
}

/* Of a list for the outputs that has another length; else NULL. A list of metrics is one for the
 * outputs if a list is among its items. */
static const char *misfit(const json_t *said, uint32_t n, size_t *size)
{
    const json_t *metrics = json_object_get(said, keras_training_keys[KERAS_METRICS]), *item;
    size_t i, lists = 0;
    int k;

    json_array_foreach((json_t *)metrics, i, item)
    {
        lists += json_is_array(item);
    }
    *size = lists;
    if (lists && (lists != n || json_array_size(metrics) != n))
        return keras_training_keys[KERAS_METRICS];

    for (k = KERAS_LOSS; k <= KERAS_LOSS_WEIGHTS; k++) {
        const json_t *v = json_object_get(said, keras_training_keys[k]);

        *size = json_array_size(v);
        if (json_is_array(v) && *size != n) return keras_training_keys[k];
    }
    return NULL;
}

static const json_t *optimizer_of(const json_t *v)
{
    return json_object_get(v, keras_training_keys[KERAS_OPTIMIZER]);
}

/* A compile_config of all that the text says; NULL: no memory. */
static json_t *config_json(const keras_file *f, const weft_model *m, const json_t *said)
{
    json_t *config = json_object();
    int k;

    for (k = 0; config && k < KERAS_KEYS; k++) {
        if (!json_object_set_new(config, keras_training_keys[k],
                                 key_json(f, m, k, json_object_get(said, keras_training_keys[k]))))
            continue;
        json_decref(config);
        return NULL;
    }
    return config;
}

json_t *keras_training_json(keras_writer *w, const weft_model *m)
{
    const char *raw = w->f.api->note(m, KERAS_NOTE_COMPILE), *why = NULL, *key;
    const char *text = w->f.api->note(m, WEFT_NOTE_COMPILE);
    json_t *config = raw ? json_loads(raw, 0, NULL) : json_object(), *said = NULL;
    uint32_t n = w->f.api->n_outputs(m);
    size_t size = 0;

    if (!config || !text) return config;
    said = said_by(&w->f, text, &why);
    if (said && same(&w->f, m, config, said) && !json_is_null(optimizer_of(config))) goto out;
    json_decref(config);
    if (!said)
        config = why ? left_out(w, m, "config.json cannot hold %s", why) : NULL;
    else if (!optimizer_of(said) || json_is_null(optimizer_of(said)))
        config = left_out(w, m, "it names no optimizer, and Keras opens no such file");
    else if ((key = misfit(said, n, &size)))
        config = left_out(w, m, "%s has %zu values for %u output%s", key, size, (unsigned)n,
                          n == 1 ? "" : "s");
    else
        config = config_json(&w->f, m, said);
out:
    json_decref(said);
    return config;
}
