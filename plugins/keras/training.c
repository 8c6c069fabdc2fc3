/* The training configuration, in two forms: Keras's compile_config, JSON, as the file has it, and
 * the note WEFT_NOTE_COMPILE, attribute text for weft_session_compile(). Here is the text made of
 * the JSON, in write_training.c the JSON of the text. */
#include <stdlib.h>
#include <string.h>
#include "keras.h"

#define MAX_NESTING 8
#define MAX_TEXT (64u << 10) /* bytes: more than people write; a small file makes no large text */

const char *const keras_training_keys[] = { "optimizer", "loss", "loss_weights", "metrics" };

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
    return ok && !t->full;
}

json_t *keras_by_output(const keras_file *f, const weft_model *m, const json_t *v)
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

/* The metrics that all outputs have, a list, or a list of lists if outputs differ; null: there
 * are none. */
static json_t *simplified_metrics(const keras_file *f, const weft_model *m, const json_t *v)
{
    int nested = json_is_array(json_array_get(v, 0)) || (json_is_object(v) && !is_object(v));
    uint32_t n = f->api->n_outputs(m), i;
    int equal = 1, none = 1;
    json_t *all, *one;

    if (n == 1 && !nested) {
        all = json_pack("[o]", as_list((json_t *)v));
    } else if ((all = keras_by_output(f, m, v))) {
        for (i = 0; i < n; i++)
            json_array_set_new(all, i, as_list(json_array_get(all, i)));
    }
    for (i = 0; i < json_array_size(all); i++) {
        equal &= json_equal(json_array_get(all, i), json_array_get(all, 0));
        none &= !json_array_size(json_array_get(all, i));
    }
    if (!all || !equal) return all;
    one = none ? json_null() : json_incref(json_array_get(all, 0));
    json_decref(all);
    return one;
}

/* One key of compile_config in the form that the text has; null: it says nothing. */
static json_t *simplified(const keras_file *f, const weft_model *m, int k, const json_t *v)
{
    json_t *list;

    if (json_is_null(v) || !v) return json_null();
    if (k == KERAS_OPTIMIZER) return json_incref((json_t *)v);
    if (k == KERAS_METRICS) return simplified_metrics(f, m, v);
    if (k == KERAS_LOSS && (json_is_string(v) || is_object(v)))
        return json_incref((json_t *)v); /* one for all outputs, said once */
    list = keras_by_output(f, m, v);
    if (json_array_size(list) != 1) return list;
    v = json_incref(json_array_get(list, 0));
    json_decref(list);
    return (json_t *)v;
}

int keras_training_text(const keras_file *f, const weft_model *m, const json_t *config,
                        keras_text *text)
{
    int k, ok = 1;

    text->most = MAX_TEXT;
    for (k = 0; ok && k < KERAS_KEYS; k++) {
        json_t *v = simplified(f, m, k, json_object_get(config, keras_training_keys[k]));

        ok = v != NULL;
        if (ok && !json_is_null(v)) {
            if (text->n) keras_text_str(text, " ");
            keras_text_str(text, keras_training_keys[k]);
            keras_text_str(text, "=");
            ok = add_value(text, v, k == KERAS_METRICS);
        }
        json_decref(v);
    }
    return ok && !text->failed && !text->full;
}

/* What is not taken over is said, to whoever asks for such messages. */
static void tell(const keras_file *f, const json_t *config, int made)
{
    const weft_host *host = f->api->host;
    const json_t *weighted = json_object_get(config, "weighted_metrics");

    if (!made)
        host->log(host, WEFT_LOG_INFO,
                  "the file's training configuration has no form here; it is kept for Keras");
    else if (weighted && !json_is_null(weighted))
        host->log(host, WEFT_LOG_INFO, "the file's weighted_metrics have no form here");
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
    made = keras_training_text(f, f->root, config, &text);
    if (text.failed)
        st = keras_fail(f, WEFT_E_NOMEM, "no memory for the training configuration");
    else if (made && text.n)
        st = f->api->set_note(f->root, WEFT_NOTE_COMPILE, text.s);
    if (st == WEFT_E_ATTR) { /* the library's limits */
        made = 0;
        st = WEFT_OK;
    }
    if (!st) tell(f, config, made);
    keras_text_free(&text);
    return st;
}
