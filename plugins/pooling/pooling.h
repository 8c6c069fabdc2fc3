/* The pooling family: the ops max_pool and avg_pool with kernels for CPU and OpenCL, and the
 * layers. */
#ifndef WEFT_PLUGINS_POOLING_H
#define WEFT_PLUGINS_POOLING_H
#include <weft/plugin.h>
#include <weft/spatial.h>
#include <weft/window.h>

/* clang-format off */
#define POOLING_LAYERS(X) \
    X(max_1d) X(max_2d) X(max_3d) X(average_1d) X(average_2d) X(average_3d) X(global_max_1d) \
    X(global_max_2d) X(global_max_3d) X(global_average_1d) X(global_average_2d) \
    X(global_average_3d)
/* clang-format on */
#define POOLING_DECLARE(id) extern const weft_layer_class pooling_##id;
POOLING_LAYERS(POOLING_DECLARE)
#undef POOLING_DECLARE

extern const weft_op_class pooling_max_pool, pooling_avg_pool;
extern const weft_ext pooling_max_kernels[], pooling_avg_kernels[];
#endif
