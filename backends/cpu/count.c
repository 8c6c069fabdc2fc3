/* count: the number of elements of x along axes, known when the model runs; x itself is not read.
 * x of any dtype and shape -> rank-0 f32 or f64. */
#include "cpu.h"

static int supports(const weft_kernel_call *call, char *why, size_t size)
{
    if (cpu_dtype_float(call->out[0]->dtype)) return 1;
    return cpu_no(why, size, "the output is %s; count gives f32 or f64",
                  cpu_dtype_name(call->out[0]->dtype));
}

static weft_status run(const weft_kernel_call *call)
{
    const weft_view *x = call->in[0], *out = call->out[0];
    int64_t axes[WEFT_MAX_RANK];
    uint32_t n = call->attr_v(call, "axes", axes, WEFT_MAX_RANK);
    double count = 1;
    if (!out->data) return WEFT_OK;
    for (int32_t d = 0; d < x->rank; d++) {
        int counted = n == 0;
        for (uint32_t i = 0; i < n; i++)
            counted |= (axes[i] < 0 ? axes[i] + x->rank : axes[i]) == d;
        if (counted) count *= (double)x->dim[d];
    }
    if (out->dtype == WEFT_F64)
        *(double *)out->data = count;
    else
        *(float *)out->data = (float)count;
    return WEFT_OK;
}

const cpu_kernel cpu_count = {
    "count",
    { sizeof(weft_cpu_kernel), CPU_ANY_LAYOUT | WEFT_KERNEL_F64 | WEFT_KERNEL_ANY_DTYPE, supports,
      NULL, run },
    NULL,
};
