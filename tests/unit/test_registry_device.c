/* Devices: order, ids, reasons; and the host's parallel_for, whose failures reach the caller. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#undef fail /* a member of weft_host */
#include <stdatomic.h>
#include <weft/status.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "registry/parallel.h"
#include "registry/registry.h"

static int probes;

static weft_status probe_cpu(const weft_host *host, uint32_t *n, char *why, size_t why_size)
{
    (void)host, (void)why, (void)why_size;
    probes++;
    *n = 1;
    return WEFT_OK;
}

static weft_status probe_gpu(const weft_host *host, uint32_t *n, char *why, size_t why_size)
{
    (void)host, (void)why, (void)why_size;
    *n = 2;
    return WEFT_OK;
}

static weft_status probe_none(const weft_host *host, uint32_t *n, char *why, size_t why_size)
{
    (void)host;
    *n = 0;
    snprintf(why, why_size, "no platform is installed");
    return WEFT_OK;
}

static weft_status probe_failing(const weft_host *host, uint32_t *n, char *why, size_t why_size)
{
    (void)n, (void)why, (void)why_size;
    return host->fail(host, WEFT_E_DEVICE, "the driver said -1001");
}

static weft_status info(const weft_host *host, uint32_t dev, weft_dev_info *result)
{
    (void)host;
    assert_int_equal(result->struct_size, sizeof *result);
    snprintf(result->name, sizeof result->name, "device %u", (unsigned)dev);
    result->usable = dev == 0;
    snprintf(result->why, sizeof result->why, "%s", dev ? "it has no compiler" : "");
    return WEFT_OK;
}

/* Never called here, but a backend without them is refused. */
static weft_status open_dev(const weft_host *h, uint32_t d, const char *o, weft_dev **r)
{
    (void)d, (void)o, (void)r;
    return h->fail(h, WEFT_E_DEVICE, "not here");
}
static void close_dev(weft_dev *d)
{
    (void)d;
}
static weft_status alloc_buf(weft_dev *d, uint64_t n, weft_buf **b)
{
    (void)d, (void)n, (void)b;
    return 1;
}
static void release_buf(weft_dev *d, weft_buf *b)
{
    (void)d, (void)b;
}
static weft_status write_buf(weft_dev *d, weft_buf *b, uint64_t o, const void *p, uint64_t n)
{
    (void)d, (void)b, (void)o, (void)p, (void)n;
    return 1;
}
static weft_status read_buf(weft_dev *d, weft_buf *b, uint64_t o, void *p, uint64_t n)
{
    (void)d, (void)b, (void)o, (void)p, (void)n;
    return 1;
}
static weft_status finish_dev(weft_dev *d)
{
    (void)d;
    return 1;
}
static int supports(weft_dev *d, const weft_step *s, weft_support *r)
{
    (void)d, (void)s, (void)r;
    return 0;
}
static weft_status compile(weft_dev *d, const weft_step *const *s, uint32_t n, weft_exe **e)
{
    (void)d, (void)s, (void)n, (void)e;
    return 1;
}
static weft_status run(weft_dev *d, weft_exe *e, const weft_run *r)
{
    (void)d, (void)e, (void)r;
    return 1;
}
static void release_exe(weft_dev *d, weft_exe *e)
{
    (void)d, (void)e;
}

static const char *const kinds[] = { NULL };
static const int service = 5;
static const weft_ext services[] = { { "test.service/1", &service }, { 0 } };
#define BACKEND(name, probe_fn)                                                                  \
    {                                                                                            \
        .struct_size = sizeof(weft_backend), .id = name, .kernel_ids = kinds, .probe = probe_fn, \
        .info = info, .open = open_dev, .close = close_dev, .alloc = alloc_buf,                  \
        .services = services, .release = release_buf, .write = write_buf, .read = read_buf,      \
        .finish = finish_dev, .supports = supports, .compile = compile, .run = run,              \
        .release_exe = release_exe                                                               \
    }
static const weft_backend gpu = BACKEND("gpu", probe_gpu), cpu = BACKEND("cpu", probe_cpu),
                          none = BACKEND("absent", probe_none),
                          failing = BACKEND("failing", probe_failing),
                          second = BACKEND("gpu", probe_none);
static const weft_backend *const all[] = { &gpu, &none, &cpu, &failing, &second, NULL };
static const weft_backend incomplete = { .struct_size = sizeof incomplete, .id = "incomplete" };
static const weft_backend *const broken[] = { &incomplete, NULL };
static const weft_plugin plugin = { WEFT_PLUGIN_HEAD, "test_devices", .backends = all };
static const weft_plugin bad_plugin = { WEFT_PLUGIN_HEAD, "test_broken", .backends = broken };

const weft_op_class *const weft__core_ops[] = { NULL };
const weft_plugin *const weft__builtin_plugins[] = { &plugin, &bad_plugin, NULL };
const weft_ext weft__host_extensions[] = { { 0 } };

static weft_context *create(void)
{
    weft_context *ctx = NULL;
    unsetenv("WEFT_PLUGIN_PATH");
    assert_int_equal(weft_context_create(NULL, &ctx), WEFT_OK);
    return ctx;
}

/* What backends bring is found through the host. */
static void finds_services(void **state)
{
    weft_context *ctx = create();
    const weft_host *host = weft__context_host(ctx);
    (void)state;
    assert_ptr_equal(host->extension(host, "test.service/1"), &service);
    assert_null(host->extension(host, "test.service/2"));
    weft_context_destroy(&ctx);
}

static void lists_devices(void **state)
{
    static const char *const ids[] = { "cpu", "gpu:0", "gpu:1" };
    weft_dev_info device = { .struct_size = sizeof device };
    const char *id, *why;
    uint32_t n;
    (void)state;
    unsetenv("WEFT_DISABLE");
    weft_context *ctx = create();
    assert_int_equal(probes, 0);
    assert_int_equal(weft_context_n_devices(ctx), 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(weft_context_device(ctx, i, &id, &device), WEFT_OK);
        assert_string_equal(id, ids[i]);
    }
    assert_false(device.usable);
    assert_string_equal(device.why, "it has no compiler");
    struct {
        uint32_t struct_size;
        weft_dev_kind kind;
        char rest[8];
    } small = { 8, 0, "rest" };
    assert_int_equal(weft_context_device(ctx, 0, NULL, (weft_dev_info *)(void *)&small), WEFT_OK);
    assert_string_equal(small.rest, "rest");
    assert_int_equal(weft_context_device(ctx, 3, &id, &device), WEFT_E_ARG);
    assert_int_equal(weft_context_n_backends(ctx), 4);
    assert_int_equal(weft_context_backend(ctx, 1, &id, &n, &why), WEFT_OK);
    assert_string_equal(id, "absent");
    assert_int_equal(n, 0);
    assert_string_equal(why, "no platform is installed");
    assert_int_equal(weft_context_backend(ctx, 3, &id, &n, &why), WEFT_OK);
    assert_string_equal(why, "the driver said -1001");
    assert_int_equal(probes, 1);
    weft_context_destroy(&ctx);
}

static void finds_devices(void **state)
{
    const weft_backend *backend = NULL;
    uint32_t dev = 9;
    (void)state;
    weft_context *ctx = create();
    assert_int_equal(weft__find_device(ctx, "gpu:0", &backend, &dev), WEFT_OK);
    assert_ptr_equal(backend, &gpu);
    assert_int_equal(dev, 0);
    assert_int_equal(weft__find_device(ctx, "gpu", &backend, &dev), WEFT_OK);
    assert_int_equal(weft__find_device(ctx, "cpu:0", &backend, &dev), WEFT_OK);
    assert_ptr_equal(backend, &cpu);
    assert_int_equal(weft__find_device(ctx, "gpu:1", &backend, &dev), WEFT_E_DEVICE);
    assert_string_equal(weft_error(), "device gpu:1 (device 1) cannot be used: it has no compiler");
    assert_int_equal(weft__find_device(ctx, "opencl:0", &backend, &dev), WEFT_E_NOTFOUND);
    assert_non_null(strstr(
        weft_error(), "no device \"opencl:0\"; there is cpu (device 0), gpu:0 (device 0), gpu:1"));
    assert_non_null(strstr(weft_error(), "backend absent has none: no platform is installed"));
    assert_non_null(strstr(weft_error(), "backend failing has none: the driver said -1001"));
    weft_context_destroy(&ctx);
}

static void switches_backends_off(void **state)
{
    const char *why;
    (void)state;
    setenv("WEFT_DISABLE", "gpu,cpu", 1);
    weft_context *ctx = create();
    assert_int_equal(weft_context_n_devices(ctx), 1); /* cpu cannot be switched off */
    assert_int_equal(weft_context_backend(ctx, 0, NULL, NULL, &why), WEFT_OK);
    assert_string_equal(why, "switched off by WEFT_DISABLE");
    unsetenv("WEFT_DISABLE");
    weft_context_destroy(&ctx);
}

static void refuses_broken_backends(void **state)
{
    weft_plugin_info report;
    (void)state;
    weft_context *ctx = create();
    assert_int_equal(weft_context_plugin(ctx, 1, &report), WEFT_OK);
    assert_false(report.loaded);
    assert_string_equal(report.name, "test_broken");
    assert_non_null(strstr(report.reason, "backend incomplete lacks a function"));
    weft_context_destroy(&ctx);
}

static void add_up(void *user, uint64_t begin, uint64_t end)
{
    for (uint64_t i = begin; i < end; i++)
        atomic_fetch_add((atomic_ullong *)user, i + 1);
}

static void fail_late(void *user, uint64_t begin, uint64_t end)
{
    const weft_host *host = user;
    (void)begin;
    if (end == 1000) host->fail(host, WEFT_E_SHAPE, "index 999 is too much");
}

static void runs_in_parallel(void **state)
{
    (void)state;
    weft_context *ctx = create();
    const weft_host *host = weft__context_host(ctx);
    for (uint64_t n = 0; n < 70; n += 3)
        for (uint64_t grain = 0; grain < 9; grain += 4) {
            atomic_ullong sum = 0;
            host->parallel_for(host, n, grain, add_up, &sum);
            assert_int_equal(atomic_load(&sum), n * (n + 1) / 2);
        }
    for (int threads = 1; threads < 5; threads++) {
        weft_fail(WEFT_E_IO, "older");
        size_t depth = weft__where_push("layer pool");
        weft__parallel_for(threads, 1000, 1, fail_late, (void *)(uintptr_t)host);
        weft__where_pop(depth);
        assert_string_equal(weft_error(), "layer pool: index 999 is too much");
        assert_int_equal(weft__fail_status(), WEFT_E_SHAPE);
    }
    weft_context_destroy(&ctx);
    assert_int_equal(weft__alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_services),          cmocka_unit_test(lists_devices),
        cmocka_unit_test(finds_devices),           cmocka_unit_test(switches_backends_off),
        cmocka_unit_test(refuses_broken_backends), cmocka_unit_test(runs_in_parallel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
