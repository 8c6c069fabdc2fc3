/* A plugin that must be loaded: one layer class with a short name that only it has. */
#include <weft/plugin.h>

static weft_status build(weft_build *b)
{
    return weft_out(b, 0, weft_in(b, 0));
}

static const weft_attr attrs[] = { { "rate", WEFT_FLOAT, 0, "0.5", "0..1", "how much" }, { 0 } };

WEFT_LAYER(test_good, .name = "org.example.Good", .version = 1, .min_version = 1, .inputs = "x",
           .outputs = "y", .attrs = attrs, .build = build, .doc = "its input");
