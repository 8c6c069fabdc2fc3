/* The plugin "conv". */
#include "conv.h"

#define ADDRESS(id) &conv_##id,
static const weft_layer_class *const layers[] = { CONV_LAYERS(ADDRESS) NULL };

WEFT_PLUGIN(conv, .version = "0.1.0", .author = "the Weft authors", .license = "Apache-2.0",
            .layers = layers);
