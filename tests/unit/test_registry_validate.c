/* What a plugin must not say: features, flags, versions and attributes that this library does not
 * know are refused when it is loaded, so that they can get a meaning later. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <weft/backend.h>
#include <weft/format.h>
#include <weft/status.h>
#include "registry/internal.h"

static void expect(weft_status st, const char *words)
{
    if (!words) {
        if (st) fail_msg("%s", weft_error());
        return;
    }
    if (st != WEFT_E_ABI) fail_msg("\"%s\" gives the status %d", words, (int)st);
    if (!strstr(weft_error(), words)) fail_msg("\"%s\" lacks \"%s\"", weft_error(), words);
}

static void needs(const char *text, const char *words)
{
    const weft_plugin plugin = { WEFT_PLUGIN_HEAD, "p", .needs = text };
    expect(weft__plugin_check_head(&plugin), words);
}

static void features(void **state)
{
    (void)state;
    needs("", NULL);
    needs("scan op/1.0", NULL); /* the example of weft/plugin.h */
    needs("  abi/1 op map initializer/1.0 scan gradient random mask state cpu cl", NULL);
    needs("op/1.1", "it needs \"op/1.1\", which weft");
    needs("op/2", "needs \"op/2\"");
    needs("op/0", "needs \"op/0\"");
    needs("scan ops", "needs \"ops\"");
    needs("op/1.0beta", "needs \"op/1.0beta\"");
    needs("op/1.-1", "needs \"op/1.-1\"");
    needs("op/", "needs \"op/\"");
    needs("time_travel", "(it has abi/1.0 op/1.0 map/1.0 ");
}

static weft_status nothing(weft_build *b)
{
    (void)b;
    return WEFT_OK;
}

static void layer(uint32_t flags, uint32_t version, uint32_t min_version, const char *words)
{
    const weft_layer_class class = { .struct_size = sizeof class,
                                     .flags = flags,
                                     .name = "L",
                                     .version = version,
                                     .min_version = min_version,
                                     .inputs = "x",
                                     .outputs = "y",
                                     .build = nothing };
    const weft_layer_class *const layers[] = { &class, NULL };
    const weft_plugin plugin = { WEFT_PLUGIN_HEAD, "p", .layers = layers };
    expect(weft__plugin_check(&plugin), words);
}

static void layers(void **state)
{
    (void)state;
    layer(WEFT_LAYER_PASS_MASK, 3, 2, NULL);
    layer(0, 1, 1, NULL);
    layer(1u << 9 | 1, 1, 1, "layer class L has flags 0x201, of which this library knows 0x1");
    layer(0, 7, 9, "layer class L has version 7 and min_version 9");
    layer(0, 1, 0, "layer class L has version 1 and min_version 0");
    layer(0, 0, 0, "layer class L has version 0 and min_version 0");
}

static void op(uint32_t flags, const weft_attr *attrs, const weft_ext *kernels, const char *words)
{
    const weft_op_class class = { .struct_size = sizeof class,
                                  .flags = flags,
                                  .name = "o",
                                  .inputs = "x",
                                  .outputs = "y",
                                  .attrs = attrs,
                                  .lower = nothing,
                                  .kernels = kernels };
    const weft_op_class *const ops[] = { &class, NULL };
    const weft_plugin plugin = { WEFT_PLUGIN_HEAD, "p", .ops = ops };
    expect(weft__plugin_check(&plugin), words);
}

static weft_status run(const weft_kernel_call *call)
{
    (void)call;
    return WEFT_OK;
}

static void kernels(uint32_t flags, const char *cpu_words, const char *cl_words)
{
    const weft_cpu_kernel cpu = { .struct_size = sizeof cpu, .flags = flags, .run = run };
    const weft_cl_kernel cl = {
        .struct_size = sizeof cl, .flags = flags, .source = "", .kernel = "k"
    };
    const weft_ext list[][2] = { { { WEFT_KERNEL_CPU, &cpu }, { NULL, NULL } },
                                 { { WEFT_KERNEL_OPENCL, &cl }, { NULL, NULL } } };
    op(0, NULL, list[0], cpu_words);
    op(0, NULL, list[1], cl_words);
}

static void ops(void **state)
{
    const weft_attr flag[] = { { "a", WEFT_INT, 1 << 5 | WEFT_NULLABLE, "1", NULL, NULL }, { 0 } };
    const weft_attr type[] = { { "a", 99, 0, NULL, NULL, NULL }, { 0 } };
    (void)state;
    op(WEFT_OP_EPILOGUE, NULL, NULL, NULL);
    op(4, NULL, NULL, "op o has flags 0x4, of which this library knows 0x1");
    op(0, flag, NULL, "op o: the attribute \"a\" has flags 0x21, of which this library knows 0x1");
    op(0, type, NULL, "op o: the attribute \"a\" has the unknown type 99");
    kernels(511, NULL, NULL);
    kernels(512, "the cpu kernel of op o has flags 0x200, of which this library knows 0x1ff",
            "the opencl kernel of op o has flags 0x200, of which this library knows 0x1ff");
}

static int probe(const void *head, size_t n, const char *path)
{
    (void)head;
    (void)n;
    (void)path;
    return 0;
}

static weft_status read_model(const weft_model_api *api, weft_model *m, const char *path,
                              const char *options)
{
    (void)api;
    (void)m;
    (void)path;
    (void)options;
    return WEFT_OK;
}

static void formats_and_backends(void **state)
{
    const weft_format format = { .struct_size = sizeof format,
                                 .flags = 2,
                                 .name = "f",
                                 .extensions = ".f",
                                 .probe = probe,
                                 .read = read_model };
    const weft_format *const formats[] = { &format, NULL };
    const weft_plugin plugin = { WEFT_PLUGIN_HEAD, "p", .formats = formats };
    const weft_backend backend = { .struct_size = sizeof backend, .flags = 1, .id = "b" };
    const weft_backend *const backends[] = { &backend, NULL };
    const weft_plugin other = { WEFT_PLUGIN_HEAD, "p", .backends = backends };
    (void)state;
    expect(weft__plugin_check(&plugin), "format f has flags 0x2, of which this library knows none");
    expect(weft__plugin_check(&other), "backend b has flags 0x1, of which this library knows none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(features),
        cmocka_unit_test(layers),
        cmocka_unit_test(ops),
        cmocka_unit_test(formats_and_backends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
