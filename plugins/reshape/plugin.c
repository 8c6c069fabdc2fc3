/* The plugin "reshape". */
#include "reshape.h"

#define ADDRESS(id) &reshape_##id,
static const weft_layer_class *const layers[] = { RESHAPE_LAYERS(ADDRESS) NULL };

WEFT_PLUGIN(reshape, .version = "0.1.0", .author = "the Weft authors", .license = "Apache-2.0",
            .layers = layers);
