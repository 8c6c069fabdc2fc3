/* Names of inputs and outputs. In Keras outputs are a list, named by the layers that give them, or
 * a dict, whose order is that of its sorted keys. */
#include <string.h>
#include "keras.h"

/* The layer or input that gives output i. */
static const char *producer(const keras_file *f, const weft_model *m, uint32_t i)
{
    weft_tensor_info t = { .struct_size = sizeof t };
    const char *name = "";

    if (f->api->tensor_info(m, f->api->output_at(m, i, NULL), &t)) return "";
    if (t.kind != WEFT_TENSOR_RESULT) return t.name;
    f->api->layer_info(m, t.layer, NULL, &name, NULL, NULL, NULL);
    return name;
}

/* Is the name the producer's, or the producer's with a number: what the library gives by itself? */
static int is_default(const char *name, const char *producer)
{
    size_t n = strlen(producer);

    if (strncmp(name, producer, n) != 0) return 0;
    return !name[n] ||
           (name[n] == '_' && name[n + 1] && !name[n + 1 + strspn(name + n + 1, "0123456789")]);
}

/* Did the user give names? *sorted: are they in the order of a dict? */
static int named(const keras_file *f, const weft_model *m, int *sorted)
{
    const char *name = "", *before = NULL;
    int given = 0;
    uint32_t i;

    *sorted = 1;
    for (i = 0; i < f->api->n_outputs(m); i++, before = name) {
        f->api->output_at(m, i, &name);
        given |= !is_default(name, producer(f, m, i));
        *sorted &= !before || strcmp(before, name) < 0;
    }
    return given;
}

int keras_outputs_by_name(const keras_file *f, const weft_model *m)
{
    const char *form = f->api->note(m, KERAS_NOTE_OUTPUTS);
    int sorted, given = named(f, m, &sorted);

    return sorted && (given || (form && !strcmp(form, "dict")));
}

json_t *keras_output_names(const keras_file *f, const weft_model *m)
{
    json_t *names;
    const char *name = "";
    int sorted;
    uint32_t i;

    if (!named(f, m, &sorted) || sorted) return json_null();
    names = json_array();
    for (i = 0; names && i < f->api->n_outputs(m); i++) {
        f->api->output_at(m, i, &name);
        names = keras_append(names, json_string(name));
    }
    return names;
}

json_t *keras_input_keys(const keras_file *f, const weft_model *m)
{
    const char *note = f->api->note(m, KERAS_NOTE_INPUTS);
    json_t *keys = note ? json_loads(note, 0, NULL) : NULL;

    if (json_array_size(keys) == f->api->n_inputs(m)) return keys;
    json_decref(keys);
    return NULL;
}
