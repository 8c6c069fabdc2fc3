/* Layers that give their results a mask, for tests: test.Masking (Keras's, of mask_value 0),
 * test.MaskedBy (x with the mask that Masking would make of source: what passes a mask on), and
 * test.MaskingAll (a mask of the shape of x itself). */
#ifndef WEFT_TESTS_MASK_LAYERS_H
#define WEFT_TESTS_MASK_LAYERS_H
#include <weft/weft.h>

weft_status mask_layers_register(weft_context *ctx);
#endif
