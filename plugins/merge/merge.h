/* The merge family: layers that join several branches. */
#ifndef WEFT_PLUGINS_MERGE_H
#define WEFT_PLUGINS_MERGE_H
#include <weft/plugin.h>

/* clang-format off */
#define MERGE_LAYERS(X) \
    X(add) X(subtract) X(multiply) X(average) X(maximum) X(minimum) X(concatenate) \
    X(repeat_batch)
/* clang-format on */
#define MERGE_DECLARE(id) extern const weft_layer_class merge_##id;
MERGE_LAYERS(MERGE_DECLARE)
#undef MERGE_DECLARE

#define MERGE_MAX_INPUTS 1024
/* "(None, 8)" for messages; text holds MERGE_SHAPE_TEXT bytes. */
#define MERGE_SHAPE_TEXT 256
const char *merge_shape(char *text, const weft_spec *spec);
#endif
