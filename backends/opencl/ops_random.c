/* random: counter-based numbers, four a work-item. */
#include "step.h"
#include <string.h>
#include "kernels/random.cl.h"

static weft_status write(ocl_source *src)
{
    const char *dist = src->step->attr_s(src->step, "dist");
    ocl_text_add(src->text, "#define DIST_%s 1\n",
                 !strcmp(dist, "bits")     ? "BITS"
                 : !strcmp(dist, "normal") ? "NORMAL"
                                           : "UNIFORM");
    return WEFT_OK;
}

static weft_status range(const weft_kernel_call *call, size_t global[3], size_t local[3])
{
    (void)local;
    global[0] = (size_t)((call->out[0]->count + 3) / 4);
    return WEFT_OK;
}

const ocl_op ocl_op_random = {
    .name = "random",
    .file = "random.cl",
    .source = weft_cl_random,
    .kernel = { .struct_size = sizeof(weft_cl_kernel),
                .flags = WEFT_KERNEL_IN_STRIDED | WEFT_KERNEL_OUT_STRIDED | WEFT_KERNEL_IN_PITCHED |
                         WEFT_KERNEL_OUT_PITCHED | WEFT_KERNEL_ANY_DTYPE,
                .kernel = "random",
                .range = range },
    .write = write,
};
