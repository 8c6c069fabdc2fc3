/* Where model.weights.h5 has the variables of a layer; one rule for reading and writing. */
#include <string.h>
#include "keras.h"

/* Class name to group name: Conv2D -> conv2d, LeakyReLU -> leaky_re_lu (Keras's to_snake_case). */
static void snake(const char *name, char *out, size_t size)
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

/* Room for one more. */
static weft_status grow(const keras_file *f, keras_groups *groups)
{
    size_t cap = groups->cap ? 2 * groups->cap : 16;
    counter *more;

    if (groups->n < groups->cap) return WEFT_OK;
    if (!(more = keras_alloc(f, cap, sizeof *more)))
        return keras_fail(f, WEFT_E_NOMEM, "no memory for the names of the groups");
    if (groups->n) memcpy(more, groups->item, groups->n * sizeof *more);
    keras_free(f, groups->item);
    groups->item = more;
    groups->cap = cap;
    return WEFT_OK;
}

static weft_status count(const keras_file *f, keras_groups *groups, const char *name,
                         uint32_t *ordinal)
{
    weft_status st;
    size_t i;

    for (i = 0; i < groups->n; i++)
        if (!strcmp(groups->item[i].name, name)) {
            *ordinal = groups->item[i].n++;
            return WEFT_OK;
        }
    if ((st = grow(f, groups))) return st;
    snprintf(groups->item[groups->n].name, sizeof groups->item->name, "%s", name);
    groups->item[groups->n++].n = 1;
    *ordinal = 0;
    return WEFT_OK;
}

weft_status keras_group_next(const keras_file *f, keras_groups *groups, const char *prefix,
                             const char *class_name, char *group, size_t size)
{
    uint32_t ordinal;
    char stem[256];
    weft_status st;

    snake(class_name, stem, sizeof stem);
    if ((st = count(f, groups, stem, &ordinal))) return st;
    if (ordinal)
        snprintf(group, size, "%s/layers/%s_%u", prefix, stem, (unsigned)ordinal);
    else
        snprintf(group, size, "%s/layers/%s", prefix, stem);
    return WEFT_OK;
}

void keras_groups_finish(const keras_file *f, keras_groups *groups)
{
    keras_free(f, groups->item);
    *groups = (keras_groups){ 0 };
}

/* The part of "cell/kernel" before its last slash: "cell"; length 0 if there is none. */
static size_t inner(const char *name)
{
    const char *slash = strrchr(name, '/');

    return slash ? (size_t)(slash - name) : 0;
}

weft_status keras_stored_variables(const keras_file *f, const weft_model *m, weft_layer_id layer,
                                   uint32_t *n)
{
    uint32_t all = f->api->n_variables(m, layer), flags;
    weft_spec spec;
    weft_status st;

    for (*n = 0; *n < all; ++*n) {
        if ((st = f->api->variable_spec(m, layer, *n, NULL, &spec, &flags))) return st;
        if (flags & WEFT_TRANSIENT) break;
    }
    return WEFT_OK;
}

/* Variables of Keras's recurrent layers are those of the cell inside. */
static int has_cell(const weft_layer_class *cls)
{
    return cls && !strcmp(cls->name, "LSTM");
}

weft_status keras_variable_path(const keras_file *f, const weft_model *m, weft_layer_id layer,
                                uint32_t i, const char *group, char *path, size_t size,
                                uint32_t *ordinal)
{
    const char *name = NULL, *other = NULL;
    const weft_layer_class *cls = NULL;
    weft_status st = f->api->variable_spec(m, layer, i, &name, NULL, NULL);
    size_t n;
    uint32_t k;

    if (!st) st = f->api->layer_info(m, layer, &cls, NULL, NULL, NULL, NULL);
    if (st) return st;
    n = inner(name);
    *ordinal = 0;
    for (k = 0; k < i; k++) {
        if ((st = f->api->variable_spec(m, layer, k, &other, NULL, NULL))) return st;
        if (inner(other) == n && !strncmp(other, name, n)) (*ordinal)++;
    }
    snprintf(path, size, "%s/%s%.*s%svars/%u", group, has_cell(cls) ? "cell/" : "", (int)n, name,
             n ? "/" : "", (unsigned)*ordinal);
    return WEFT_OK;
}
