/* Brings a layer class that good.c has, and an op with an epilogue. */
#include <weft/plugin.h>

static weft_status build(weft_build *b)
{
    return weft_out(b, 0, weft_in(b, 0));
}

static const weft_layer_class layer = {
    sizeof layer, 0, "org.example.Good", 9, 1, "x", "y", 0, build, 0, 0, "too late"
};
static const weft_layer_class *const layers[] = { &layer, 0 };
static const weft_attr attrs[] = { { "axis", WEFT_INT, 0, "-1", NULL, "an axis" }, { 0 } };
static const weft_op_class op = {
    sizeof op, WEFT_OP_EPILOGUE, "org.example.shift", "x", "y", attrs, 0, build, 0, 0,
    0,         "its input"
};
static const weft_op_class *const ops[] = { &op, 0 };

WEFT_PLUGIN(test_same, .version = "1.5", .author = "Weft", .ops = ops, .layers = layers);
