/* matmul: reads its operands' strides as one matrix or a batch of them, and hands the product to
 * gemm. */
#include "step.h"
#include <string.h>
#include "kernels/gemm.cl.h"

/* Which axes of the operands are rows, columns and the batch. */
typedef struct shape {
    ocl_nest a_z, b_z, c_z, a_m, c_m;
    int32_t a_row, a_col, b_row, b_col, rank;
    int flat; /* a's leading axes are rows too: b is one matrix for all */
} shape;

static void batch_of(ocl_nest *nest, const weft_operand *out, const weft_operand *o)
{
    weft_operand lead = *o, all = *out;
    lead.rank -= 2;
    all.rank -= 2;
    *nest = (ocl_nest){ .rank = (uint32_t)all.rank };
    memcpy(nest->dim, all.dim, (size_t)all.rank * sizeof *nest->dim);
    ocl_nest_add(nest, &lead);
    ocl_nest_merge(nest);
}

static shape shape_of(const weft_step *step)
{
    const weft_operand *a = step->in[0], *b = step->in[1], *c = step->out[0];
    int ta = step->attr_i(step, "transpose_a") != 0, tb = step->attr_i(step, "transpose_b") != 0;
    shape s = { .a_row = a->rank - (ta ? 1 : 2),
                .a_col = a->rank - (ta ? 2 : 1),
                .b_row = b->rank - (tb ? 1 : 2),
                .b_col = b->rank - (tb ? 2 : 1),
                .rank = c->rank };
    if (b->rank == 2 && a->rank > 2 && !ta) {
        ocl_nest_range(&s.a_m, a, 0, a->rank - 1);
        ocl_nest_range(&s.c_m, c, 0, c->rank - 1);
        s.flat = s.a_m.rank <= 1 && s.c_m.rank <= 1;
    }
    if (s.flat) return s;
    batch_of(&s.a_z, c, a);
    batch_of(&s.b_z, c, b);
    batch_of(&s.c_z, c, c);
    return s;
}

static weft_status write(ocl_source *src)
{
    shape s = shape_of(src->step);
    ocl_axes groups[3] = { { 0 } };
    ocl_source_group(src, "A_BATCH", &s.a_z, "a_sz");
    ocl_source_group(src, "B_BATCH", &s.b_z, "b_sz");
    ocl_source_group(src, "C_BATCH", &s.c_z, "c_sz");
    ocl_axes *rows = &groups[s.flat ? 1 : 0];
    for (int32_t k = 0; k < s.rank - 2; k++)
        rows->axis[rows->n++] = k;
    groups[1].axis[groups[1].n++] = s.rank - 2;
    groups[2].axis[groups[2].n++] = s.rank - 1;
    ocl_source_then_at(src, groups, 3);
    return WEFT_OK;
}

static weft_status enqueue(const weft_kernel_call *base, const weft_cl *cl)
{
    ocl_call *call = (ocl_call *)base;
    const weft_view *a = base->in[0], *b = base->in[1], *c = base->out[0];
    shape s = shape_of(call->step);
    int64_t batch = base->batch;
    ocl_product p = { .program = call->program,
                      .a = *a,
                      .b = *b,
                      .c = *c,
                      .alpha = 1,
                      .f64 = call->f64,
                      .n_extra = base->n_extra,
                      .then = ocl_then(call->step) != NULL };
    (void)cl;
    p.extra = base->in + (base->n_in - base->n_extra);
    p.m = c->dim[s.rank - 2];
    p.n = c->dim[s.rank - 1];
    p.k = a->dim[s.a_col];
    p.z = 1;
    for (int32_t k = 0; k < s.rank - 2; k++)
        *(s.flat ? &p.m : &p.z) *= c->dim[k];
    p.a_rs = s.flat ? ocl_group_stride(&s.a_m, batch) : a->stride[s.a_row];
    p.a_cs = a->stride[s.a_col];
    p.b_rs = b->stride[s.b_row];
    p.b_cs = b->stride[s.b_col];
    p.c_rs = s.flat ? ocl_group_stride(&s.c_m, batch) : c->stride[s.rank - 2];
    p.c_cs = c->stride[s.rank - 1];
    p.a_sz = ocl_group_stride(&s.a_z, batch);
    p.b_sz = ocl_group_stride(&s.b_z, batch);
    p.c_sz = ocl_group_stride(&s.c_z, batch);
    return ocl_product_record(call, &p);
}

const ocl_op ocl_op_matmul = {
    .name = "matmul",
    .file = "gemm.cl",
    .source = weft_cl_gemm,
    .kernel = { .struct_size = sizeof(weft_cl_kernel),
                .flags = OCL_ANY_LAYOUT | WEFT_KERNEL_EPILOGUE | WEFT_KERNEL_F64,
                .enqueue = enqueue },
    .write = write,
};
