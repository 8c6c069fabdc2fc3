/* gather: rows of x by number, with every index checked on the device; finish() reports a bad one.
 */
#include "step.h"
#include <stdio.h>
#include "kernels/gather.cl.h"

typedef struct shape {
    int32_t axis, last; /* last: the first axis of the result behind the indices */
    ocl_nest x_outer, x_inner, j, y_outer, y_mid, y_inner;
} shape;

static void range(ocl_nest *nest, const weft_operand *o, int32_t from, int32_t to)
{
    int32_t axes[WEFT_MAX_RANK];
    for (int32_t k = from; k < to; k++)
        axes[k - from] = k;
    ocl_nest_axes(nest, o, axes, (uint32_t)(to - from));
}

static shape shape_of(const weft_step *step)
{
    const weft_operand *x = step->in[0], *j = step->in[1], *y = step->out[0];
    shape s = { .axis = (int32_t)step->attr_i(step, "axis") };
    if (s.axis < 0) s.axis += x->rank;
    s.last = s.axis + j->rank;
    range(&s.x_outer, x, 0, s.axis);
    range(&s.x_inner, x, s.axis + 1, x->rank);
    range(&s.j, j, 0, j->rank);
    range(&s.y_outer, y, 0, s.axis);
    range(&s.y_mid, y, s.axis, s.last);
    range(&s.y_inner, y, s.last, y->rank);
    return s;
}

static weft_status write(ocl_source *src)
{
    shape s = shape_of(src->step);
    size_t size = ocl_type_size(src->step->in[0]->dtype);
    ocl_source_group(src, "X_OUTER", &s.x_outer, "so");
    ocl_source_group(src, "X_INNER", &s.x_inner, "si");
    ocl_source_group(src, "J", &s.j, "sj");
    ocl_source_group(src, "Y_OUTER", &s.y_outer, "to");
    ocl_source_group(src, "Y_MID", &s.y_mid, "tm");
    ocl_source_group(src, "Y_INNER", &s.y_inner, "ti");
    ocl_text_add(src->text, "#define ELEMENT %s\n#define INDEX %s\n",
                 size == 1   ? "uchar"
                 : size == 2 ? "ushort"
                 : size == 4 ? "uint"
                             : "ulong",
                 ocl_type_name(src->step->in[1]->dtype));
    return WEFT_OK;
}

static int supports(const weft_kernel_call *base, char *why, size_t why_size)
{
    weft_dtype index = base->in[1]->dtype;
    if (index == WEFT_I32 || index == WEFT_I64) return 1;
    snprintf(why, why_size, "indices must be i32 or i64");
    return 0;
}

static int64_t product(const weft_view *v, int32_t from, int32_t to)
{
    int64_t n = 1;
    for (int32_t k = from; k < to; k++)
        n *= v->dim[k];
    return n;
}

static weft_status enqueue(const weft_kernel_call *base, const weft_cl *cl)
{
    ocl_call *call = (ocl_call *)base;
    const weft_view *x = base->in[0], *y = base->out[0];
    shape s = shape_of(call->step);
    int64_t batch = base->batch, outer = product(x, 0, s.axis), n = (int64_t)base->in[1]->count;
    int64_t inner = product(x, s.axis + 1, x->rank);
    weft_view errors = ocl_errors(call);
    const weft_view *views[4] = { x, base->in[1], y, &errors };
    int64_t ints[] = { outer,
                       n,
                       inner,
                       x->dim[s.axis],
                       x->stride[s.axis],
                       ocl_group_stride(&s.x_outer, batch),
                       ocl_group_stride(&s.x_inner, batch),
                       ocl_group_stride(&s.j, batch),
                       ocl_group_stride(&s.y_outer, batch),
                       ocl_group_stride(&s.y_mid, batch),
                       ocl_group_stride(&s.y_inner, batch),
                       call->number };
    weft_cl_launch l = { .struct_size = sizeof l,
                         .n_views = 4,
                         .n_ints = sizeof ints / sizeof *ints,
                         .kernel = "gather",
                         .views = views,
                         .ints = ints };
    if (y->count == 0) return WEFT_OK;
    if (call->dev->cpu) {
        l.local[0] = l.local[1] = l.local[2] = 1;
        l.global[0] = (size_t)n;
        l.global[1] = (size_t)outer;
        l.global[2] = 1;
    } else {
        l.global[0] = (size_t)(outer * n * inner);
    }
    return cl->launch(base, &l);
}

const ocl_op ocl_op_gather = {
    .name = "gather",
    .file = "gather.cl",
    .source = weft_cl_gather,
    .moves_bits = 1,
    .kernel = { .struct_size = sizeof(weft_cl_kernel),
                .flags = WEFT_KERNEL_IN_STRIDED | WEFT_KERNEL_OUT_STRIDED | WEFT_KERNEL_IN_PITCHED |
                         WEFT_KERNEL_OUT_PITCHED | WEFT_KERNEL_ANY_DTYPE,
                .supports = supports,
                .enqueue = enqueue },
    .write = write,
};
