/* The reshape family: layers that move elements without computing. */
#ifndef WEFT_PLUGINS_RESHAPE_H
#define WEFT_PLUGINS_RESHAPE_H
#include <weft/plugin.h>
#include <weft/spatial.h>

/* clang-format off */
#define RESHAPE_LAYERS(X) \
    X(flatten) X(reshape) X(permute) X(repeat_vector) X(zero_padding_1d) X(zero_padding_2d) \
    X(zero_padding_3d) X(cropping_1d) X(cropping_2d) X(cropping_3d) X(up_sampling_1d) \
    X(up_sampling_2d) X(up_sampling_3d)
/* clang-format on */
#define RESHAPE_DECLARE(id) extern const weft_layer_class reshape_##id;
RESHAPE_LAYERS(RESHAPE_DECLARE)
#undef RESHAPE_DECLARE
#endif
