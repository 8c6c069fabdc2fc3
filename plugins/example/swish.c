/* A layer with an op and kernels of its own: y = x sigmoid(beta x). The op's lower() says what the
 * kernels mean: `weft check` compares them with it, and a device without a kernel runs it, in the
 * user's order of devices, before the next one is asked.
 */
#include <math.h>
#include <weft/plugin.h>

static weft_status infer(weft_build *b, weft_spec *outs)
{
    return b->api->spec(b, weft_in(b, 0), &outs[0]);
}

static weft_status lower(weft_build *b)
{
    weft_val x = weft_in(b, 0);

    return weft_out(
        b, 0,
        weft_mul(b, x, weft_sigmoid(b, weft_mul(b, x, weft_scalar(b, b->api->attr_f(b, "beta"))))));
}

static weft_status cpu_run(const weft_kernel_call *c)
{
    const float *x = c->in[0]->data;
    float *y = c->out[0]->data, beta = (float)c->attr_f(c, "beta");

    for (uint64_t i = 0; i < c->out[0]->count; i++)
        y[i] = x[i] / (1 + expf(-beta * x[i]));
    return WEFT_OK;
}
static const weft_cpu_kernel cpu = { .struct_size = sizeof cpu, .run = cpu_run };

static const weft_cl_kernel opencl = {
    .struct_size = sizeof opencl,
    .kernel = "swish",
    .source = "__kernel void swish(WEFT_ARGS)\n"
              "{\n"
              "    size_t i = get_global_id(0);\n"
              "    if (i < OUT0_N) OUT0(i) = IN0(i) / (1 + exp(-(REAL)ATTR_beta * IN0(i)));\n"
              "}\n"
};

static const weft_attr attrs[] = { { "beta", WEFT_FLOAT, 0, "1.0", NULL, "steepness" }, { 0 } };
static const weft_ext kernels[] = { { WEFT_KERNEL_CPU, &cpu },
                                    { WEFT_KERNEL_OPENCL, &opencl },
                                    { 0 } };
static const char *const cases[] = { "beta=1.5 : f32 Bx7", " : f32 Bx3x5x2", NULL };
static const weft_op_class op = { .struct_size = sizeof op,
                                  .name = "org.example.swish",
                                  .inputs = "x",
                                  .outputs = "y",
                                  .attrs = attrs,
                                  .infer = infer,
                                  .lower = lower,
                                  .kernels = kernels,
                                  .cases = cases,
                                  .doc = "x sigmoid(beta x)" };

static weft_status build(weft_build *b)
{
    return weft_out(
        b, 0,
        weft_opf(b, "org.example.swish", weft_in(b, 0), "beta=%s", b->api->attr_s(b, "beta")));
}
static const weft_layer_class layer = { .struct_size = sizeof layer,
                                        .name = "org.example.Swish",
                                        .version = 1,
                                        .min_version = 1,
                                        .inputs = "x",
                                        .outputs = "y",
                                        .attrs = attrs,
                                        .build = build,
                                        .doc = "x sigmoid(beta x), with kernels" };

static const weft_op_class *const ops[] = { &op, NULL };
static const weft_layer_class *const layers[] = { &layer, NULL };
WEFT_PLUGIN(swish, .version = "1.0", .license = "Apache-2.0", .ops = ops, .layers = layers);
