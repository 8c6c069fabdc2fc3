/* The training configuration, in two forms: Keras's compile_config, JSON, as the file has it, and
 * the note WEFT_NOTE_COMPILE, attribute text for weft_session_compile(). Reading makes the text of
 * the JSON, writing the JSON of the text; if the text still says what the JSON says, that stays. */
#include <stdlib.h>
#include <string.h>
#include "keras.h"

#define MAX_NESTING 8
static const char *const keys[] = { "optimizer", "loss", "loss_weights", "metrics" };
enum { OPTIMIZER, LOSS, LOSS_WEIGHTS, METRICS, KEYS };

/* ---- from JSON to text ---- */
/* What Keras writes into every object, and what equals the default: it changes no number. All else
 * becomes an attribute, also if the library knows none of that name: it refuses it by name. */
static int says_nothing(const char *key, const json_t *v)
{
    static const char *const names[] = { "name", "dtype", "ema_momentum",
                                         "ema_overwrite_frequency" };
    const char *text = json_string_value(v);
    size_t i;

    for (i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(key, names[i])) return 1;
    if (!strcmp(key, "reduction")) return text && !strcmp(text, "sum_over_batch_size");
    if (!strcmp(key, "axis")) return json_is_integer(v) && json_integer_value(v) == -1;
    if (!strcmp(key, "threshold")) return json_number_value(v) == 0.5;
    return json_is_null(v) || json_is_false(v);
}

static int is_object(const json_t *v)
{
    return keras_string(v, "class_name") != NULL;
}

static int add_value(keras_text *t, const json_t *v, int metric);

/* Name(attribute=value ..); a function of the author's is its name. Metrics are functions in the
 * library, and named as such: BinaryAccuracy is binary_accuracy; but Accuracy is not accuracy. */
static int add_object(keras_text *t, const json_t *v, int metric)
{
    const char *name = keras_string(v, "class_name"), *between = "(", *key;
    const json_t *config = json_object_get(v, "config");
    char snake[256];
    json_t *item;

    if (json_is_string(config)) return add_value(t, config, 0);
    if (metric && strcmp(name, "Accuracy") != 0) {
        keras_snake_name(name, snake, sizeof snake);
        name = snake;
    }
    if (!keras_is_word(name)) return 0;
    keras_text_str(t, name);
    json_object_foreach((json_t *)config, key, item)
    {
        if (says_nothing(key, item)) continue;
        keras_text_str(t, between);
        keras_text_str(t, key);
        keras_text_str(t, "=");
        if (!keras_is_word(key) || !add_value(t, item, 0)) return 0;
        between = " ";
    }
    if (*between == ' ') keras_text_str(t, ")");
    return 1;
}

static int add_list(keras_text *t, const json_t *v, int metric)
{
    const json_t *item;
    size_t i;

    keras_text_str(t, "(");
    json_array_foreach((json_t *)v, i, item)
    {
        if (i) keras_text_str(t, ",");
        if (!add_value(t, item, metric)) return 0;
    }
    keras_text_str(t, ")");
    return 1;
}

/* 0: attribute text has no form for it. */
static int add_value(keras_text *t, const json_t *v, int metric)
{
    int ok = 0;

    if (t->nested++ < MAX_NESTING) {
        if (is_object(v))
            ok = add_object(t, v, metric);
        else if (json_is_array(v))
            ok = add_list(t, v, metric);
        else if (json_is_null(v) || json_is_boolean(v) || json_is_number(v) || json_is_string(v)) {
            keras_text_scalar(t, v);
            ok = 1;
        }
    }
    t->nested--;
    return ok;
}

/* A list with what holds for each output, of a list of as many, a dict by their names, or one value
 * for all. */
static json_t *by_output(const keras_file *f, const weft_model *m, const json_t *v)
{
    uint32_t n = f->api->n_outputs(m), i;
    json_t *list = json_array(), *item;

    for (i = 0; list && i < n; i++) {
        const char *name = "";

        f->api->output_at(m, i, &name);
        item = json_is_array(v) && json_array_size(v) == n ? json_array_get(v, i)
               : json_is_object(v) && !is_object(v)        ? json_object_get(v, name)
                                                           : (json_t *)v;
        if (json_array_append_new(list, item ? json_incref(item) : json_null())) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *as_list(json_t *v)
{
    if (json_is_null(v)) return json_array();
    return json_is_array(v) ? json_incref(v) : json_pack("[O]", v);
}

/* The metrics of every output, a list; null if outputs differ in them. */
static json_t *common_metrics(const keras_file *f, const weft_model *m, const json_t *v)
{
    int nested = json_is_array(json_array_get(v, 0)) || (json_is_object(v) && !is_object(v));
    uint32_t n = f->api->n_outputs(m), i;
    json_t *all, *first, *other;
    int equal = 1;

    if (n == 1 && !nested && (!json_is_array(v) || json_array_size(v))) return as_list((json_t *)v);
    if (!(all = by_output(f, m, v))) return NULL;
    first = as_list(json_array_get(all, 0));
    for (i = 1; i < n; i++) {
        other = as_list(json_array_get(all, i));
        equal &= json_equal(first, other);
        json_decref(other);
    }
    json_decref(all);
    if (equal && json_array_size(first)) return first;
    json_decref(first);
    return json_null();
}

/* One key of compile_config in the form that the text has; null: it says nothing. */
static json_t *simplified(const keras_file *f, const weft_model *m, int k, const json_t *v)
{
    json_t *list;

    if (json_is_null(v) || !v) return json_null();
    if (k == OPTIMIZER) return json_incref((json_t *)v);
    if (k == METRICS) return common_metrics(f, m, v);
    list = by_output(f, m, v);
    if (json_array_size(list) != 1) return list;
    v = json_incref(json_array_get(list, 0));
    json_decref(list);
    return (json_t *)v;
}

/* 1: text says what compile_config says, as far as there is a form for it. */
static int make_text(const keras_file *f, const weft_model *m, const json_t *config,
                     keras_text *text)
{
    int k, ok = 1;

    for (k = 0; ok && k < KEYS; k++) {
        json_t *v = simplified(f, m, k, json_object_get(config, keys[k]));

        ok = v != NULL;
        if (ok && !json_is_null(v)) {
            if (text->n) keras_text_str(text, " ");
            keras_text_str(text, keys[k]);
            keras_text_str(text, "=");
            ok = add_value(text, v, k == METRICS);
        }
        json_decref(v);
    }
    return ok && !text->failed;
}

/* What is not taken over is said, to whoever asks for such messages. */
static void tell(const keras_file *f, const json_t *config, const keras_text *text, int made)
{
    const weft_host *host = f->api->host;

    if (!made)
        host->log(host, WEFT_LOG_INFO,
                  "the file's training configuration has no form here; it is kept for Keras");
    else if (!json_is_null(json_object_get(config, keys[METRICS])) &&
             !(text->n && strstr(text->s, "metrics=")))
        host->log(host, WEFT_LOG_INFO,
                  "the file has other metrics for each output, or none; none are taken over");
}

weft_status keras_training_read(const keras_file *f)
{
    const json_t *config = json_object_get(f->config, KERAS_NOTE_COMPILE);
    keras_text text = { .f = f };
    char *json;
    weft_status st;
    int made;

    if (!json_object_size(config)) return WEFT_OK;
    if (!(json = json_dumps(config, JSON_COMPACT | JSON_REAL_PRECISION(17))))
        return keras_fail(f, WEFT_E_NOMEM, "no memory for the training configuration");
    st = f->api->set_note(f->root, KERAS_NOTE_COMPILE, json);
    free(json);
    if (st) return st;
    made = make_text(f, f->root, config, &text);
    if (text.failed)
        st = keras_fail(f, WEFT_E_NOMEM, "no memory for the training configuration");
    else if (made && text.n)
        st = f->api->set_note(f->root, WEFT_NOTE_COMPILE, text.s);
    if (!st) tell(f, config, &text, made);
    keras_text_free(&text);
    return st;
}

/* ---- from text to JSON ---- */
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
    static const char *const modules[KEYS] = { "keras.optimizers", "keras.losses", "",
                                               "keras.metrics" };
    const char *name = keras_string(v, "class_name");
    char cls[256];

    if (!name) return json_incref(v);
    class_of(name, cls, sizeof cls);
    return keras_object_json(modules[k], cls, json_incref(json_object_get(v, "config")));
}

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
        if (json_array_append_new(list, object_json(k, item))) {
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
    if (!(objects = objects_json(k, v)) || k == OPTIMIZER) return objects;
    if (k != METRICS) {
        list = by_output(f, m, objects);
    } else {
        if (!json_is_array(objects)) objects = json_pack("[o]", objects);
        for (list = json_array(), i = 0; objects && i < n; i++)
            json_array_append(list, objects);
    }
    json_decref(objects);
    return for_outputs(f, m, list);
}

/* Do the text and compile_config say the same? */
static int same(const keras_file *f, const weft_model *m, const json_t *config, const json_t *said)
{
    keras_text text = { .f = f };
    const char *why;
    json_t *v = NULL;
    int equal;

    if (make_text(f, m, config, &text) && text.n) v = keras_attributes_json(f, text.s, &why);
    equal = v && json_equal(v, (json_t *)said);
    json_decref(v);
    keras_text_free(&text);
    return equal;
}

json_t *keras_training_json(keras_writer *w, const weft_model *m)
{
    const char *raw = w->f.api->note(m, KERAS_NOTE_COMPILE), *why = NULL;
    const char *text = w->f.api->note(m, WEFT_NOTE_COMPILE);
    json_t *config = raw ? json_loads(raw, 0, NULL) : json_object(), *said;
    int k;

    if (!config || !text) return config;
    w->layer = NULL;
    if (!(said = keras_attributes_json(&w->f, text, &why))) {
        json_decref(config);
        return keras_write_fail(w, "its note \"%s\" is no attribute text, or holds %s: %.300s",
                                WEFT_NOTE_COMPILE, why ? why : "something else", text);
    }
    if (!same(&w->f, m, config, said)) {
        json_decref(config);
        config = json_object();
        for (k = 0; config && k < KEYS; k++)
            if (json_object_set_new(config, keys[k],
                                    key_json(&w->f, m, k, json_object_get(said, keys[k])))) {
                json_decref(config);
                config = NULL;
            }
    }
    json_decref(said);
    return config;
}
