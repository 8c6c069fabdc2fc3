/* A layer class whose default is outside of its own range. */
#include <weft/plugin.h>

static weft_status build(weft_build *b)
{
    return weft_out(b, 0, weft_in(b, 0));
}

static const weft_attr attrs[] = { { "size", WEFT_INTS, 0, "(2,0)", "1..", "sizes" }, { 0 } };

WEFT_LAYER(test_schema, .name = "org.example.Schema", .version = 1, .min_version = 1, .inputs = "x",
           .outputs = "y", .attrs = attrs, .build = build);
