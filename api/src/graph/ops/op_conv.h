/* What conv and its gradients share. */
#ifndef WEFT_GRAPH_OP_CONV_H
#define WEFT_GRAPH_OP_CONV_H
#include <weft/plugin.h>

/* The spec of conv(x, w) by the attributes strides, pads, dilations and groups of the op that is
 * being built. */
weft_status weft__conv_result(weft_build *build, const weft_spec *x, const weft_spec *w,
                              weft_spec *y);
/* gradient() of conv. */
weft_status weft__conv_gradient(weft_build *build);
#endif
