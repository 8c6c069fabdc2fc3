/* A layer that hands its first input on under the mask that its second one is: for tests of layers
 * that heed masks. */
#include <weft/plugin.h>

static weft_status build(weft_build *b)
{
    weft_out(b, 0, weft_in(b, 0));
    return b->api->set_mask(b, 0, weft_opf(b, "map", weft_in(b, 1), "expr=\"a!=0\""));
}

WEFT_LAYER(masked, .name = "org.test.Masked", .version = 1, .min_version = 1, .inputs = "x, mask",
           .outputs = "y", .build = build, .doc = "x [batch, steps, ..], masked by [batch, steps]");
