/* adam_update and sgd_update: one launch over all elements. */
#include "step.h"
#include "kernels/update.cl.h"

static int64_t chunk(const weft_dev *dev)
{
    return dev->cpu ? 4096 : 1; /* elements that a work-item does */
}

static void define(ocl_source *src, const char *name, double value)
{
    ocl_text_add(src->text, "#define %s ", name);
    ocl_text_real(src->text, value, ocl_step_f64(src->step));
    ocl_text_add(src->text, "\n");
}

/* 1 - beta in double: of floats, 1 - 0.999 is off by 1e-5 of it. */
static weft_status write_adam(ocl_source *src)
{
    const weft_step *step = src->step;
    ocl_text_add(src->text, "#define ADAM 1\n#define CHUNK %lld\n", (long long)chunk(src->dev));
    define(src, "REST_1", 1 - step->attr_f(step, "beta_1"));
    define(src, "REST_2", 1 - step->attr_f(step, "beta_2"));
    define(src, "EPSILON", step->attr_f(step, "epsilon"));
    return WEFT_OK;
}

static weft_status write_sgd(ocl_source *src)
{
    const weft_step *step = src->step;
    ocl_text_add(src->text, "#define CHUNK %lld\n#define NESTEROV %d\n", (long long)chunk(src->dev),
                 step->attr_i(step, "nesterov") != 0);
    define(src, "MOMENTUM", step->attr_f(step, "momentum"));
    return WEFT_OK;
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
