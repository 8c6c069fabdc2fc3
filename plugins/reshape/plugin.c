/* The plugin "reshape". */
#include <string.h>
#include "reshape.h"

#define ADDRESS(id) &reshape_##id,
static const weft_layer_class *const layers[] = { RESHAPE_LAYERS(ADDRESS) NULL };

WEFT_PLUGIN(reshape, .version = "0.1.0", .author = "the Weft authors", .license = "Apache-2.0",
            .layers = layers);

weft_val reshape_op(weft_build *b, const char *op, weft_val x, const char *name,
                    const int64_t *values, int32_t n)
{
    char list[256];

    return weft_opf(b, op, x, "%s=%s", name,
                    weft_ints_text(list, sizeof list, values, (uint32_t)n));
}

int reshape_channels_first(weft_build *b)
{
    const char *format = b->api->attr_s(b, "data_format");

    return format && !strcmp(format, "channels_first");
}
