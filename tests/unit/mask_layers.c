/* See mask_layers.h. */
#include "mask_layers.h"
#include <weft/plugin.h>
#include "registry/internal.h"

static weft_val mask_of(weft_build *b, weft_val x)
{
    return weft_opf(b, "reduce", weft_op2(b, "ne", x, weft_scalar(b, 0)), "fn=any axes=(-1)");
}

/* Keras's Masking(mask_value=0). */
static weft_status masking(weft_build *b)
{
    weft_val x = weft_in(b, 0);
    b->api->set_mask(b, 0, mask_of(b, x));
    return weft_out(b, 0, weft_mul(b, x, weft_scalar(b, 1)));
}

/* x with the mask that Masking would have made of source: what passes a mask on. */
static weft_status masked_by(weft_build *b)
{
    b->api->set_mask(b, 0, mask_of(b, weft_in(b, 1)));
    return weft_out(b, 0, weft_mul(b, weft_in(b, 0), weft_scalar(b, 1)));
}

/* A mask of the shape of x, which has an axis more than the values of its loss. */
static weft_status masking_all(weft_build *b)
{
    weft_val x = weft_in(b, 0);
    b->api->set_mask(b, 0, weft_op2(b, "ne", x, weft_scalar(b, 0)));
    return weft_out(b, 0, weft_mul(b, x, weft_scalar(b, 1)));
}

#define TEST_LAYER(id, label, in, fn)                                                     \
    static const weft_layer_class id##_class = { .struct_size = sizeof(weft_layer_class), \
                                                 .name = label,                           \
                                                 .version = 1,                            \
                                                 .min_version = 1,                        \
                                                 .inputs = in,                            \
                                                 .outputs = "y",                          \
                                                 .build = fn,                             \
                                                 .doc = "of a test" };
TEST_LAYER(masking, "test.Masking", "x", masking)
TEST_LAYER(masked_by, "test.MaskedBy", "x, source", masked_by)
TEST_LAYER(masking_all, "test.MaskingAll", "x", masking_all)
static const weft_layer_class *const layers[] = { &masking_class, &masked_by_class,
                                                  &masking_all_class, NULL };
static const weft_plugin plugin = { WEFT_PLUGIN_HEAD, "test_masks", .version = "1",
                                    .layers = layers };

weft_status mask_layers_register(weft_context *ctx)
{
    return weft__register_plugin(ctx, &plugin);
}
