/* The plugin "core". */
#include "core.h"

#define ADDRESS(id) &core_##id,
static const weft_layer_class *const layers[] = { CORE_LAYERS(ADDRESS) NULL };

WEFT_PLUGIN(core, .version = "0.1.0", .author = "the Weft authors", .license = "Apache-2.0",
            .layers = layers);
