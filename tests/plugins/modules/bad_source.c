/* An op whose OpenCL kernel does not compile; on the cpu it works. */
#include <weft/plugin.h>

static weft_status infer(weft_build *b, weft_spec *outs)
{
    return b->api->spec(b, weft_in(b, 0), &outs[0]);
}
static weft_status lower(weft_build *b)
{
    return weft_out(b, 0, weft_op1(b, "square", weft_in(b, 0)));
}
static weft_status run(const weft_kernel_call *c)
{
    const float *x = c->in[0]->data;
    float *y = c->out[0]->data;

    for (uint64_t i = 0; i < c->out[0]->count; i++)
        y[i] = x[i] * x[i];
    return WEFT_OK;
}

static const weft_cpu_kernel cpu = { .struct_size = sizeof cpu, .run = run };
static const weft_cl_kernel opencl = {
    .struct_size = sizeof opencl,
    .kernel = "broken",
    .source = "__kernel void broken(WEFT_ARGS)\n"
              "{\n"
              "    size_t i = get_global_id(0);\n"
              "    if (i < OUT0_N) OUT0(i) = no_such_function(IN0(i));\n"
              "}\n"
};
static const weft_ext kernels[] = { { WEFT_KERNEL_CPU, &cpu },
                                    { WEFT_KERNEL_OPENCL, &opencl },
                                    { 0 } };
static const weft_op_class op = { .struct_size = sizeof op,
                                  .name = "org.test.bad_source",
                                  .inputs = "x",
                                  .outputs = "y",
                                  .infer = infer,
                                  .lower = lower,
                                  .kernels = kernels,
                                  .doc = "x^2, but its OpenCL C is wrong" };

static weft_status build(weft_build *b)
{
    return weft_out(b, 0, weft_op1(b, "org.test.bad_source", weft_in(b, 0)));
}
static const weft_layer_class layer = { .struct_size = sizeof layer,
                                        .name = "org.test.BadSource",
                                        .version = 1,
                                        .min_version = 1,
                                        .inputs = "x",
                                        .outputs = "y",
                                        .build = build,
                                        .doc = "x^2, but its OpenCL C is wrong" };
static const weft_op_class *const ops[] = { &op, 0 };
static const weft_layer_class *const layers[] = { &layer, 0 };
WEFT_PLUGIN(bad_source, .version = "1.0", .ops = ops, .layers = layers);
