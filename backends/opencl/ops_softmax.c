/* softmax and log_softmax: the axis, what is before it and what is behind it are three groups of
 * axes. */
#include "step.h"
#include "kernels/softmax.cl.h"

enum { WIDE = 32, GROUP = 128 }; /* as in softmax.cl */

typedef struct shape {
    int32_t axis;
    ocl_nest x[3], y[3]; /* outer, mid, inner */
} shape;

static shape shape_of(const weft_step *step)
{
    const weft_operand *x = step->in[0], *y = step->out[0];
    ocl_axes group[3] = { { 0 } };
    shape s = { .axis = (int32_t)step->attr_i(step, "axis") };
    if (s.axis < 0) s.axis += x->rank;
    for (int32_t k = 0; k < x->rank; k++) {
        ocl_axes *g = &group[k < s.axis ? 0 : k == s.axis ? 1 : 2];
        g->axis[g->n++] = k;
    }
    for (int k = 0; k < 3; k++) {
        ocl_nest_axes(&s.x[k], x, group[k].axis, group[k].n);
        ocl_nest_axes(&s.y[k], y, group[k].axis, group[k].n);
    }
    return s;
}

static int dense(const ocl_nest *nest)
{
    return nest->rank == 0 || (nest->rank == 1 && nest->stride[0][0] == 1);
}

static void write_groups(ocl_source *src, int logarithm)
{
    shape s = shape_of(src->step);
    ocl_source_group(src, "X_OUTER", &s.x[0], "so");
    ocl_source_group(src, "X_MID", &s.x[1], "sm");
    ocl_source_group(src, "X_INNER", &s.x[2], "si");
    ocl_source_group(src, "Y_OUTER", &s.y[0], "to");
    ocl_source_group(src, "Y_MID", &s.y[1], "tm");
    ocl_source_group(src, "Y_INNER", &s.y[2], "ti");
    if (dense(&s.x[1]) && dense(&s.y[1])) ocl_text_add(src->text, "#define ROWS_DENSE 1\n");
    if (logarithm) ocl_text_add(src->text, "#define LOG_SOFTMAX 1\n");
}

static weft_status write(ocl_source *src)
{
    write_groups(src, 0);
    return WEFT_OK;
}

static weft_status write_log(ocl_source *src)
{
    write_groups(src, 1);
    return WEFT_OK;
}

static weft_status enqueue(const weft_kernel_call *base, const weft_cl *cl)
{
    const ocl_call *call = (const ocl_call *)base;
    const weft_view *x = base->in[0], *views[2] = { x, base->out[0] };
    shape s = shape_of(call->step);
    int64_t size[3] = { 1, 1, 1 }, ints[10], block = 1;
    weft_cl_launch l = {
        .struct_size = sizeof l, .n_views = 2, .n_ints = 10, .views = views, .ints = ints
    };
    if (x->count == 0) return WEFT_OK;
    for (int32_t k = 0; k < x->rank; k++)
        size[k < s.axis ? 0 : k == s.axis ? 1 : 2] *= x->dim[k];
    int64_t lines = size[0] * size[2];
    if (call->dev->cpu) {
        l.local[0] = l.local[1] = l.local[2] = 1;
        if (size[2] == 1) {
            block = size[1] < 1024 ? 1024 / size[1] : 1;
            l.kernel = "softmax_rows";
            l.global[0] = (size_t)((lines + block - 1) / block);
        } else {
            l.kernel = "softmax_columns";
            l.global[0] = (size_t)((size[2] + WIDE - 1) / WIDE);
            l.global[1] = (size_t)size[0];
            l.global[2] = 1;
        }
    } else if (size[1] >= 32 && call->dev->max_group >= GROUP) {
        l.kernel = "softmax_group";
        l.global[0] = (size_t)(GROUP * lines);
        l.local[0] = GROUP;
    } else {
        l.kernel = "softmax_item";
        l.global[0] = (size_t)lines;
    }
    for (int k = 0; k < 3; k++) {
        ints[k] = size[k];
        ints[3 + k] = ocl_group_stride(&s.x[k], base->batch);
        ints[6 + k] = ocl_group_stride(&s.y[k], base->batch);
    }
    ints[9] = block;
    return cl->launch(base, &l);
}

#define SOFTMAX(op, text, writer)                              \
    const ocl_op ocl_op_##op = {                               \
        .name = text,                                          \
        .file = "softmax.cl",                                  \
        .source = weft_cl_softmax,                             \
        .kernel = { .struct_size = sizeof(weft_cl_kernel),     \
                    .flags = OCL_ANY_LAYOUT | WEFT_KERNEL_F64, \
                    .enqueue = enqueue },                      \
        .write = writer,                                       \
    }
SOFTMAX(softmax, "softmax", write);
SOFTMAX(log_softmax, "log_softmax", write_log);
