/* The plugin "recurrent". */
#include "recurrent.h"

static const weft_layer_class *const layers[] = { &recurrent_lstm_layer, NULL };
static const weft_op_class *const ops[] = { &recurrent_lstm, &recurrent_lstm_grad, NULL };

WEFT_PLUGIN(recurrent, .version = "0.1.0", .author = "the Weft authors", .license = "Apache-2.0",
            .ops = ops, .layers = layers);
