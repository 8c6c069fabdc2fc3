/* The core's op classes, one file a family, and what their infer functions share. */
#ifndef WEFT_GRAPH_OPS_H
#define WEFT_GRAPH_OPS_H
#include <weft/plugin.h>

extern const weft_op_class weft__op_map, weft__op_reduce, weft__op_matmul, weft__op_conv,
    weft__op_reshape, weft__op_transpose, weft__op_slice, weft__op_pad, weft__op_concat,
    weft__op_broadcast, weft__op_reverse, weft__op_copy, weft__op_count, weft__op_gather,
    weft__op_softmax, weft__op_log_softmax, weft__op_scatter_add, weft__op_random,
    weft__op_adam_update, weft__op_sgd_update, weft__op_scan, weft__op_conv_input_grad,
    weft__op_conv_filter_grad;

/* The gradient of map: derivatives of its expression. */
weft_status weft__map_gradient(weft_build *build);
/* Spec of input i. */
weft_status weft__op_in(weft_build *build, uint32_t i, weft_spec *spec);
/* Spec of input i, which must be f32 or f64. */
weft_status weft__op_in_float(weft_build *build, uint32_t i, weft_spec *spec);
/* An attribute list of exactly n numbers; `none` gives n times def. */
weft_status weft__op_list(weft_build *build, const char *name, int32_t n, int64_t def,
                          int64_t *values);
/* A list of axes of a tensor of that rank as flags; `none` means all of them. */
weft_status weft__op_axes(weft_build *build, const char *name, int32_t rank,
                          int flags[WEFT_MAX_RANK]);
/* A list of dimensions. */
weft_status weft__op_dims(weft_build *build, const char *name, weft_spec *spec);
#endif
