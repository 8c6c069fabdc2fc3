/* Where model.weights.h5 has the variables of a layer; one rule for reading and writing. */
#include <string.h>
#include "keras.h"

void keras_snake_name(const char *name, char *out, size_t size)
{
    size_t n = 0, i;

    for (i = 0; name[i] && n + 2 < size; i++) {
        char c = name[i], prev = i ? name[i - 1] : 0, next = name[i + 1];
        int upper = c >= 'A' && c <= 'Z', lower_next = next >= 'a' && next <= 'z';
        int lower_prev = prev >= 'a' && prev <= 'z';

        if (i && upper && (lower_prev || lower_next)) out[n++] = '_';
        out[n++] = (char)(upper ? c - 'A' + 'a' : c);
    }
    out[n] = 0;
}

const char *keras_class_name(const weft_layer_class *cls)
{
    const char *dot = strrchr(cls->name, '.');

    if (dot) return dot + 1;
    return *cls->name >= 'a' && *cls->name <= 'z' ? "Activation" : cls->name;
}

/* How often each group name has been used. */
typedef struct keras_group_counter {
    char name[256];
    uint32_t n;
} counter;

weft_status keras_groups_init(const keras_file *f, keras_groups *groups, uint32_t n_layers)
{
    groups->item = keras_alloc(f, (size_t)n_layers + 1, sizeof *groups->item);
    return groups->item ? WEFT_OK
                        : keras_fail(f, WEFT_E_NOMEM, "no memory for the names of the groups");
}

void keras_groups_finish(const keras_file *f, keras_groups *groups)
{
    keras_free(f, groups->item);
    *groups = (keras_groups){ 0 };
}

void keras_group_next(keras_groups *groups, const char *prefix, const char *class_name, char *group,
                      size_t size)
{
    counter *c = groups->item; /* the last one has no name */
    char stem[256];

    keras_snake_name(class_name, stem, sizeof stem);
    while (*c->name && strcmp(c->name, stem))
        c++;
    memcpy(c->name, stem, sizeof stem);
    if (c->n++)
        snprintf(group, size, "%s/layers/%s_%u", prefix, stem, (unsigned)c->n - 1);
    else
        snprintf(group, size, "%s/layers/%s", prefix, stem);
}

/* The part of "cell/kernel" before its last slash: "cell"; length 0 if there is none. */
static size_t inner(const char *name)
{
    const char *slash = strrchr(name, '/');

    return slash ? (size_t)(slash - name) : 0;
}

int keras_is_recurrent(const weft_layer_class *cls)
{
    static const char *const names[] = { "LSTM", "GRU", "SimpleRNN" };
    size_t i;

    for (i = 0; cls && i < sizeof names / sizeof *names; i++)
        if (!strcmp(cls->name, names[i])) return 1;
    return 0;
}

weft_status keras_variable_path(const keras_file *f, const weft_model *m, weft_layer_id layer,
                                uint32_t i, const char *group, char *path, size_t size,
                                uint32_t *ordinal)
{
    const weft_layer_class *cls = NULL;
    const char *name = NULL, *other = NULL;
    uint32_t flags = 0, k;
    weft_status st;
    size_t n;

    *path = 0;
    *ordinal = 0;
    if ((st = f->api->layer_info(m, layer, &cls, NULL, NULL, NULL, NULL)) ||
        (st = f->api->variable_spec(m, layer, i, &name, NULL, &flags)) || (flags & WEFT_TRANSIENT))
        return st;
    n = inner(name);
    for (k = 0; k < i; k++) {
        if ((st = f->api->variable_spec(m, layer, k, &other, NULL, &flags))) return st;
        if (!(flags & WEFT_TRANSIENT) && inner(other) == n && !strncmp(other, name, n))
            (*ordinal)++;
    }
    if (!n && keras_is_recurrent(cls)) {
        name = "cell/";
        n = strlen("cell");
    }
    snprintf(path, size, "%s/%.*s%svars/%u", group, (int)n, name, n ? "/" : "", (unsigned)*ordinal);
    return WEFT_OK;
}
