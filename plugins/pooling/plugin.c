/* The plugin "pooling". */
#include "pooling.h"

#define ADDRESS(id) &pooling_##id,
static const weft_layer_class *const layers[] = { POOLING_LAYERS(ADDRESS) NULL };
static const weft_op_class *const ops[] = { &pooling_max_pool, &pooling_avg_pool,
                                            &pooling_max_pool_grad, &pooling_avg_pool_grad, NULL };

WEFT_PLUGIN(pooling, .version = "0.1.0", .author = "the Weft authors", .license = "Apache-2.0",
            .ops = ops, .layers = layers);
