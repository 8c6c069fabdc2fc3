/* adam_update and sgd_update: one launch over all elements. */
#include "step.h"
#include "kernels/update.cl.h"

static int64_t chunk(const weft_dev *dev)
{
    return dev->cpu ? 4096 : 1; /* elements that a work-item does */
}

static weft_status write_sgd(ocl_source *src)
{
    ocl_text_add(src->text, "#define CHUNK %lld\n", (long long)chunk(src->dev));
    return WEFT_OK;
}

/* In double: 1 - 0.999 of floats is off by 1e-5 of it. */
static weft_status write_adam(ocl_source *src)
{
    static const char *const beta[] = { "beta_1", "beta_2" };
    for (int k = 0; k < 2; k++) {
        ocl_text_add(src->text, "#define REST_%d ", k + 1);
        ocl_text_real(src->text, 1 - src->step->attr_f(src->step, beta[k]),
                      ocl_step_f64(src->step));
        ocl_text_add(src->text, "\n");
    }
    return write_sgd(src);
}

static weft_status range(const weft_kernel_call *call, size_t global[3], size_t local[3])
{
    const weft_dev *dev = ((const ocl_call *)call)->dev;
    int64_t n = (int64_t)call->in[0]->count, each = chunk(dev);
    global[0] = (size_t)((n + each - 1) / each);
    local[0] = dev->cpu;
    return WEFT_OK;
}

#define UPDATE(op, writer)                                               \
    const ocl_op ocl_op_##op = {                                         \
        .name = #op,                                                     \
        .file = "update.cl",                                             \
        .source = weft_cl_update,                                        \
        .kernel = { .struct_size = sizeof(weft_cl_kernel),               \
                    .flags = WEFT_KERNEL_INPLACE_EACH | WEFT_KERNEL_F64, \
                    .kernel = "update",                                  \
                    .range = range },                                    \
        .write = writer,                                                 \
    }
UPDATE(adam_update, write_adam);
UPDATE(sgd_update, write_sgd);
