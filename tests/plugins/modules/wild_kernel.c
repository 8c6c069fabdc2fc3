/* An op whose OpenCL kernel reads far behind its input, for oclgrind to find. */
#include <weft/plugin.h>

static weft_status infer(weft_build *b, weft_spec *outs)
{
    return b->api->spec(b, weft_in(b, 0), &outs[0]);
}
static weft_status lower(weft_build *b)
{
    return weft_out(b, 0, weft_op1(b, "neg", weft_in(b, 0)));
}

static const weft_cl_kernel opencl = {
    .struct_size = sizeof opencl,
    .kernel = "wild",
    .source = "__kernel void wild(WEFT_ARGS)\n"
              "{\n"
              "    size_t i = get_global_id(0);\n"
              "    if (i < OUT0_N) OUT0(i) = -in0[in0_offset + i + (1 << 24)];\n"
              "}\n"
};
static const weft_ext kernels[] = { { WEFT_KERNEL_OPENCL, &opencl }, { 0 } };
static const weft_op_class op = { .struct_size = sizeof op,
                                  .name = "org.test.wild_kernel",
                                  .inputs = "x",
                                  .outputs = "y",
                                  .infer = infer,
                                  .lower = lower,
                                  .kernels = kernels,
                                  .doc = "-x, wrong" };
static const weft_op_class *const ops[] = { &op, 0 };
WEFT_PLUGIN(wild_kernel, .version = "1.0", .ops = ops);
