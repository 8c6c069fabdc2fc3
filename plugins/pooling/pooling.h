/* The pooling family: the ops max_pool and avg_pool and their gradients with kernels for CPU and
 * OpenCL, and the layers. */
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

extern const weft_op_class pooling_max_pool, pooling_avg_pool, pooling_max_pool_grad,
    pooling_avg_pool_grad;
extern const weft_ext pooling_max_kernels[], pooling_avg_kernels[], pooling_max_grad_kernels[],
    pooling_avg_grad_kernels[];
weft_status pooling_max_gradient(weft_build *b), pooling_avg_gradient(weft_build *b);

/* clang-format off */
/* The attributes of pooling's ops and of their gradients. */
#define POOLING_WINDOW_ATTRS \
    { "size", WEFT_INTS, 0, NULL, "1..65535", "of the window, one number a spatial axis" }, \
    { "strides", WEFT_INTS, 0, NULL, "1..65535", \
      "how far the window moves, one number a spatial axis" }, \
    { "pads", WEFT_INTS, 0, NULL, "0..65535", "before each axis, then behind each axis" }
/* clang-format on */

/* The kernels of one op, any strides, f32 and f64: a CPU function, and one launch of a program. */
#define POOLING_KERNELS(list, function, program, name)                                            \
    static const weft_cpu_kernel list##_cpu = { .struct_size = sizeof(weft_cpu_kernel),           \
                                                .flags = WEFT_KERNEL_IN_STRIDED |                 \
                                                         WEFT_KERNEL_OUT_STRIDED |                \
                                                         WEFT_KERNEL_F64,                         \
                                                .run = function };                                \
    static const weft_cl_kernel list##_cl = { .struct_size = sizeof(weft_cl_kernel),              \
                                              .flags = WEFT_KERNEL_IN_STRIDED |                   \
                                                       WEFT_KERNEL_OUT_STRIDED | WEFT_KERNEL_F64, \
                                              .source = (const char *)program,                    \
                                              .kernel = name };                                   \
    const weft_ext list[] = { { WEFT_KERNEL_CPU, &list##_cpu },                                   \
                              { WEFT_KERNEL_OPENCL, &list##_cl },                                 \
                              { 0 } }

/* kernels.c: size, strides and zeros in front of a kernel's windows; of axes that are missing from
 * the three 1, 1 and 0. */
void pooling_numbers(const weft_kernel_call *c, int axes, int64_t *size, int64_t *stride,
                     int64_t *low);
/* Rows that outweigh waking a thread, some 30 us of work; row: numbers that one row takes in. */
uint64_t pooling_grain(double row);

/* ---- ops.c: what pooling and its gradients are lowered with; x: the spec of the input, out: of
 * the result. Failures are kept by the builder. */
/* The windows of all axes from size, strides and pads; *axes is their number. */
weft_status pooling_windows(weft_build *b, const weft_spec *x, weft_window *w, int *axes);
/* The same, and the spec of the result. */
weft_status pooling_result(weft_build *b, const weft_spec *x, weft_window *w, int *axes,
                           weft_spec *out);
/* Elements of a window; 0 and a failure if they are too many to be written out. */
int64_t pooling_window_size(weft_build *b, const weft_window *w, int axes);
weft_val pooling_pad(weft_build *b, weft_val x, const weft_spec *s, const weft_window *w, int axes,
                     const char *value);
/* That element of every window, in row-major order, from the padded input. */
weft_val pooling_slice(weft_build *b, weft_val padded, const weft_spec *out, const weft_window *w,
                       int axes, int64_t element);
/* y of the result's shape, divided by the number of elements inside, one axis after the other. */
weft_val pooling_mean(weft_build *b, weft_val y, const weft_spec *x, const weft_spec *out,
                      const weft_window *w, int axes);
#endif
