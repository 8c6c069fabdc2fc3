/* The plugin "merge". */
#include "merge.h"

#define ADDRESS(id) &merge_##id,
static const weft_layer_class *const layers[] = { MERGE_LAYERS(ADDRESS) NULL };

WEFT_PLUGIN(merge, .version = "0.1.0", .author = "the Weft authors", .license = "Apache-2.0",
            .layers = layers);

const char *merge_shape(char *text, const weft_spec *spec)
{
    int at = 0, i;

    at += snprintf(text, MERGE_SHAPE_TEXT, "(");
    for (i = 0; i < spec->rank; i++) {
        const char *comma = i ? ", " : "";

        if (spec->dim[i] == WEFT_BATCH || spec->dim[i] == WEFT_ANY)
            at += snprintf(text + at, (size_t)(MERGE_SHAPE_TEXT - at), "%sNone", comma);
        else if (spec->dim[i] < 0)
            at += snprintf(text + at, (size_t)(MERGE_SHAPE_TEXT - at), "%s%lld x None", comma,
                           (long long)-spec->dim[i]);
        else
            at += snprintf(text + at, (size_t)(MERGE_SHAPE_TEXT - at), "%s%lld", comma,
                           (long long)spec->dim[i]);
    }
    snprintf(text + at, (size_t)(MERGE_SHAPE_TEXT - at), ")");
    return text;
}
