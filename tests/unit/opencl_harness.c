/* See opencl_harness.h. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "opencl_harness.h"

static struct {
    const weft_backend *backend;
    uint32_t dev;
    int searched, simulated;
} found;

static const char *host_setting(const weft_host *h, const char *name)
{
    const opencl_bench *b = (const opencl_bench *)h;
    if (!strcmp(name, "opencl_variant")) return b->variant;
    if (!strcmp(name, "gemm")) return b->gemm;
    if (!strcmp(name, "cache_dir")) return b->cache_dir;
    return NULL;
}

static void init(opencl_bench *b, const char *variant, const char *gemm)
{
    memset(b, 0, sizeof *b);
    host_init(&b->host);
    b->host.host.setting = host_setting;
    b->variant = variant;
    b->gemm = gemm;
}

static void pick_device(const weft_backend *backend)
{
    opencl_bench b;
    uint32_t n = 0;
    char why[256] = "no device";
    init(&b, NULL, NULL);
    assert_int_equal(backend->probe(&b.host.host, &n, why, sizeof why), WEFT_OK);
    for (uint32_t i = 0; i < n; i++) {
        weft_dev_info info = { .struct_size = sizeof info };
        assert_int_equal(backend->info(&b.host.host, i, &info), WEFT_OK);
        snprintf(why, sizeof why, "%.100s: %.100s", info.name, info.why);
        if (!info.usable) continue;
        found.backend = backend;
        found.dev = i;
        found.simulated = strstr(info.platform, "Oclgrind") != NULL;
        return;
    }
    print_message("skipped: %s\n", why);
}

const weft_backend *opencl_backend(void)
{
    if (found.searched) return found.backend;
    found.searched = 1;
    void *module = dlopen(WEFT_TEST_PLUGINS "/opencl.so", RTLD_NOW | RTLD_LOCAL);
    const weft_plugin *plugin = module ? dlsym(module, "weft_plugin_v1") : NULL;
    if (!plugin)
        print_message("skipped: %s\n", dlerror());
    else
        pick_device(plugin->backends[0]);
    return found.backend;
}

int opencl_simulated(void)
{
    return found.simulated;
}

void opencl_open(opencl_bench *b, const char *variant, const char *gemm)
{
    init(b, variant, gemm);
    if (opencl_backend()->open(&b->host.host, found.dev, NULL, &b->dev))
        fail_msg("%s", b->host.failure);
}

void opencl_close(opencl_bench *b)
{
    opencl_backend()->close(b->dev);
}

weft_exe *opencl_compile(opencl_bench *b, test_step *s)
{
    const weft_backend *backend = opencl_backend();
    weft_support support = { .struct_size = sizeof support };
    const weft_step *step = &s->step;
    weft_exe *exe = NULL;
    step_ready(s);
    if (!backend->supports(b->dev, step, &support)) fail_msg("%s: %s", s->op.name, support.why);
    if (backend->compile(b->dev, &step, 1, &exe)) fail_msg("%s: %s", s->op.name, b->host.failure);
    return exe;
}

/* 1 + the input that operand i lies on; 0: it has memory of its own. */
static uint32_t lies_on(const test_step *s, uint32_t i)
{
    return i < s->step.n_in ? 0 : s->lies_on[i - s->step.n_in];
}

static tensor *tensor_of(const test_step *s, uint32_t i)
{
    if (lies_on(s, i)) return s->in[lies_on(s, i) - 1];
    return i < s->step.n_in ? s->in[i] : s->out[i - s->step.n_in];
}

/* Every tensor gets a buffer of its own, at a different place in it. */
weft_status opencl_run_exe(opencl_bench *b, weft_exe *exe, test_step *s, uint64_t *step_ns)
{
    const weft_backend *backend = opencl_backend();
    static uint64_t generation = 1;
    weft_bind binds[WEFT_MAP_MAX_INPUTS + 1 + CPU_STEP_ARGS] = { { 0 } };
    uint32_t n = s->step.n_in + s->step.n_out;
    weft_run run = { .struct_size = sizeof run,
                     .n_binds = n,
                     .binds = binds,
                     .batch = s->batch > 0 ? s->batch : 0,
                     .generation = generation++,
                     .step_ns = step_ns };
    for (uint32_t i = 0; i < n; i++) {
        tensor *t = tensor_of(s, i);
        if (lies_on(s, i)) {
            binds[i] = binds[lies_on(s, i) - 1];
            continue;
        }
        binds[i].offset = 64 * (uint64_t)random_int(0, 3);
        if (backend->alloc(b->dev, binds[i].offset + t->bytes, &binds[i].buf) ||
            backend->write(b->dev, binds[i].buf, binds[i].offset, t->memory, t->bytes))
            fail_msg("%s", b->host.failure);
    }
    weft_status st = backend->run(b->dev, exe, &run);
    if (!st) st = backend->finish(b->dev);
    for (uint32_t i = s->step.n_in; i < n && !st; i++) {
        tensor *t = tensor_of(s, i);
        if (backend->read(b->dev, binds[i].buf, binds[i].offset, t->memory, t->bytes))
            fail_msg("%s", b->host.failure);
        tensor_get(t);
    }
    for (uint32_t i = 0; i < n; i++)
        if (!lies_on(s, i)) backend->release(b->dev, binds[i].buf);
    return st;
}

void opencl_run(opencl_bench *b, test_step *s)
{
    weft_exe *exe = opencl_compile(b, s);
    if (opencl_run_exe(b, exe, s, NULL)) fail_msg("%s failed: %s", s->op.name, b->host.failure);
    opencl_backend()->release_exe(b->dev, exe);
    step_swap(s);
}
