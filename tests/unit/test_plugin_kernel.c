/* What a plugin's kernels may ask of their call, in a model, on every device: lists of numbers, and
 * services that no call has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <weft/weft.h>
#include "fixture.h"
#include "registry/internal.h"

static weft_context *ctx;

/* y = c0 + c1 x + c2 x^2 */
static weft_status infer(weft_build *b, weft_spec *outs)
{
    return b->api->spec(b, weft_in(b, 0), outs);
}

static weft_status coefficients(const weft_kernel_call *c, double values[3])
{
    double first;
    if (c->attr_fv(c, "c", &first, 1) != 3 || c->attr_fv(c, "c", values, 3) != 3 ||
        first != values[0])
        return (c->fail)(c, WEFT_E_ATTR, "the polynomial has not three coefficients");
    if (c->extension(c, "org.test.nothing/1"))
        return (c->fail)(c, WEFT_E_INTERNAL, "there is a service that nobody has");
    return WEFT_OK;
}

static weft_status run(const weft_kernel_call *c)
{
    const float *x = c->in[0]->data;
    float *y = c->out[0]->data;
    double k[3];
    weft_status st = coefficients(c, k);
    for (uint64_t i = 0; !st && i < c->in[0]->count; i++)
        y[i] = (float)(k[0] + k[1] * (double)x[i] + k[2] * (double)x[i] * (double)x[i]);
    return st;
}

/* c1 as a macro, the others as arguments. */
static const char source[] =
    "__kernel void polynomial(__global const float *x, ulong x_offset, __global float *y,\n"
    "                         ulong y_offset, REAL c0, REAL c2, long batch)\n"
    "{\n"
    "    size_t i = get_global_id(0);\n"
    "    float v = i < IN0_N ? x[x_offset + i] : 0;\n"
    "    if (i < IN0_N) y[y_offset + i] = c0 + ATTR_c_1 * v + c2 * v * v;\n"
    "}\n";

static weft_status enqueue(const weft_kernel_call *c, const weft_cl *cl)
{
    const weft_view *views[] = { c->in[0], c->out[0] };
    double k[3], scalars[2];
    weft_status st = coefficients(c, k);
    scalars[0] = k[0];
    scalars[1] = k[2];
    weft_cl_launch launch = { .struct_size = sizeof launch,
                              .n_views = 2,
                              .n_scalars = 2,
                              .kernel = "polynomial",
                              .global = { (size_t)c->in[0]->count, 1, 1 },
                              .views = views,
                              .scalars = scalars };
    return st ? st : cl->launch(c, &launch);
}

static const weft_cpu_kernel cpu = { .struct_size = sizeof cpu, .run = run };
static const weft_cl_kernel opencl = { .struct_size = sizeof opencl,
                                       .source = source,
                                       .enqueue = enqueue };
static const weft_ext kernels[] = { { WEFT_KERNEL_CPU, &cpu },
                                    { WEFT_KERNEL_OPENCL, &opencl },
                                    { NULL, NULL } };
static const weft_attr attrs[] = { { "c", WEFT_FLOATS, 0, NULL, NULL, "coefficients" }, { 0 } };
static const weft_op_class polynomial = { .struct_size = sizeof polynomial,
                                          .name = "org.test.polynomial",
                                          .inputs = "x",
                                          .outputs = "y",
                                          .attrs = attrs,
                                          .infer = infer,
                                          .kernels = kernels };
static const weft_op_class *const ops[] = { &polynomial, NULL };

static weft_status build(weft_build *b)
{
    return weft_out(
        b, 0, weft_opf(b, "org.test.polynomial", weft_in(b, 0), "c=%s", b->api->attr_s(b, "c")));
}
static const weft_layer_class layer = { .struct_size = sizeof layer,
                                        .name = "org.test.Polynomial",
                                        .version = 1,
                                        .min_version = 1,
                                        .inputs = "x",
                                        .outputs = "y",
                                        .attrs = attrs,
                                        .build = build };
static const weft_layer_class *const layers[] = { &layer, NULL };

static void on_every_device(void **state)
{
    float numbers[] = { -2, 0, 0.5f, 3 };
    const float want[] = { 18.25f, 0.25f, -0.5f, 18.25f }; /* exact */
    weft_array x = { { WEFT_F32, 2, { 2, 2 } }, numbers };
    const weft_array *xs[] = { &x };
    weft_model *m = NULL;
    devices all;
    (void)state;
    if (weft_model_create(ctx, "m", &m)) fail_msg("%s", weft_error());
    weft_output(m, weft_apply(m, "org.test.Polynomial", "c=(0.25,-3.0,3.0)",
                              weft_input(m, "x", WEFT_F32, WEFT_SHAPE(2))));
    if (weft_model_finish(m)) fail_msg("%s", weft_error());
    devices_list(ctx, &all);
    for (int d = 0; *all.id[d]; d++) {
        weft_session *s = NULL;
        weft_array *y = NULL;
        if (weft_session_create(m, all.id[d], "strict=true", &s)) fail_msg("%s", weft_error());
        if (weft_session_run(s, xs, 1, &y, 1)) fail_msg("%s: %s", all.id[d], weft_error());
        for (int i = 0; i < 4; i++)
            if (((float *)y->data)[i] != want[i])
                fail_msg("%s: element %d is %g, not %g", all.id[d], i,
                         (double)((float *)y->data)[i], (double)want[i]);
        weft_array_destroy(&y);
        weft_session_destroy(&s);
    }
    weft_model_destroy(&m);
}

static int setup(void **state)
{
    static const weft_plugin plugin = { WEFT_PLUGIN_HEAD, "polynomials", .version = "1", .ops = ops,
                                        .layers = layers };
    (void)state;
    if (weft_context_create("plugin_path=\"" WEFT_TEST_PLUGINS "\"", &ctx) ||
        weft__register_plugin(ctx, &plugin)) {
        print_error("%s\n", weft_error());
        return -1;
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    weft_context_destroy(&ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(on_every_device) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
