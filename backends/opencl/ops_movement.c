/* The ops that move data: each says where dst and src lie along which loops; copy.c does the rest.
 * reshape, transpose, slice, broadcast and concat have no rows: plans make views of them, and
 * `copy` steps. */
#include <stdio.h>
#include <string.h>
#include "copy.h"

static ocl_nest nest_of(const weft_view *dst)
{
    ocl_nest nest = { .rank = (uint32_t)dst->rank, .n = 2 };
    memcpy(nest.dim, dst->dim, nest.rank * sizeof *nest.dim);
    memcpy(nest.stride[0], dst->stride, nest.rank * sizeof *nest.dim);
    return nest;
}

static weft_status copy(const weft_kernel_call *base, const weft_cl *cl)
{
    weft_status st = WEFT_OK;
    for (uint32_t k = 0; k < base->n_in && !st; k++)
        if (base->in[k] && base->out[k]->data) st = cl->copy(base, base->out[k], base->in[k]);
    return st;
}

static weft_status reverse(const weft_kernel_call *base, const weft_cl *cl)
{
    ocl_nest nest = nest_of(base->out[0]);
    weft_view src = *base->in[0];
    int64_t axes[WEFT_MAX_RANK];
    uint32_t n = base->attr_v(base, "axes", axes, WEFT_MAX_RANK);
    (void)cl;
    memcpy(nest.stride[1], src.stride, nest.rank * sizeof *src.stride);
    if (src.count == 0) return WEFT_OK;
    for (uint32_t k = 0; k < n; k++) {
        int64_t axis = axes[k] < 0 ? axes[k] + src.rank : axes[k];
        src.offset += (uint64_t)((src.dim[axis] - 1) * src.stride[axis]);
        nest.stride[1][axis] = -src.stride[axis];
    }
    return ocl_copy_nest((ocl_call *)base, base->out[0], &src, &nest);
}

static weft_status pad(const weft_kernel_call *base, const weft_cl *cl)
{
    weft_view inside = *base->out[0];
    const weft_view *x = base->in[0];
    int64_t low[WEFT_MAX_RANK] = { 0 };
    weft_status st = WEFT_OK;
    base->attr_v(base, "low", low, WEFT_MAX_RANK);
    if (inside.count != x->count) st = cl->fill(base, base->out[0], base->attr_f(base, "value"));
    if (st) return st;
    for (int32_t k = 0; k < inside.rank; k++)
        inside.offset += (uint64_t)(low[k] * inside.stride[k]);
    inside.dim = x->dim;
    inside.count = x->count;
    return cl->copy(base, &inside, x);
}

static int pad_supports(const weft_kernel_call *base, char *why, size_t why_size)
{
    double value = base->attr_f(base, "value");
    int64_t bits;
    if (ocl_fill_bits(base->out[0]->dtype, value, &bits)) return 1;
    snprintf(why, why_size, "the elements cannot be %g", value);
    return 0;
}

static weft_status count(const weft_kernel_call *base, const weft_cl *cl)
{
    const weft_view *x = base->in[0];
    int64_t axes[WEFT_MAX_RANK];
    uint32_t n = base->attr_v(base, "axes", axes, WEFT_MAX_RANK);
    double product = 1;
    if (n == 0) return cl->fill(base, base->out[0], (double)x->count);
    for (uint32_t k = 0; k < n; k++)
        product *= (double)x->dim[axes[k] < 0 ? axes[k] + x->rank : axes[k]];
    return cl->fill(base, base->out[0], product);
}

#define MOVE(op, takes)                                                         \
    const ocl_op ocl_op_##op = {                                                \
        .name = #op,                                                            \
        .file = "movement.cl",                                                  \
        .moves_bits = 1,                                                        \
        .kernel = { .struct_size = sizeof(weft_cl_kernel),                      \
                    .flags = WEFT_KERNEL_IN_STRIDED | WEFT_KERNEL_OUT_STRIDED | \
                             WEFT_KERNEL_IN_PITCHED | WEFT_KERNEL_OUT_PITCHED | \
                             WEFT_KERNEL_ANY_DTYPE,                             \
                    .supports = takes,                                          \
                    .enqueue = op },                                            \
    }
MOVE(copy, NULL);
MOVE(pad, pad_supports);
MOVE(reverse, NULL);
MOVE(count, NULL);
