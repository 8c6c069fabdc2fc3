/* The smallest layer, built outside of Weft's tree: proves that the installed headers suffice. */
#include <weft/plugin.h>

static weft_status build(weft_build *b)
{
    weft_val x = weft_in(b, 0);
    return weft_out(b, 0, weft_mul(b, x, weft_tanh(b, x)));
}

WEFT_LAYER(outside, .name = "org.example.Outside", .version = 1, .min_version = 1, .inputs = "x",
           .outputs = "y", .build = build, .doc = "x tanh x");
