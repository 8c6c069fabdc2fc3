/* The cpu backend around its ops: the device, memory, answers of supports() and their reasons,
 * kernels that plugins bring, runs of several steps with changing batches, and several devices in
 * several threads. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "cpu_harness.h"

static weft_dev *open_dev(test_host *host)
{
    weft_dev *dev = NULL;
    host_init(host);
    assert_int_equal(cpu_backend()->open(&host->host, 0, NULL, &dev), WEFT_OK);
    return dev;
}

static void test_info(void **unused)
{
    test_host host;
    weft_dev_info info = { .struct_size = sizeof info };
    uint32_t n = 0;
    char why[64] = "x";
    (void)unused;
    host_init(&host);
    assert_string_equal(cpu_backend()->id, "cpu");
    assert_int_equal(cpu_backend()->probe(&host.host, &n, why, sizeof why), WEFT_OK);
    assert_int_equal(n, 1);
    assert_string_equal(why, "");
    assert_int_equal(cpu_backend()->info(&host.host, 0, &info), WEFT_OK);
    assert_int_equal(info.kind, WEFT_DEV_CPU);
    assert_true(info.name[0] && info.mem_total > 0 && info.compute_units > 0 && info.has_f64 &&
                info.usable);
    assert_int_equal(info.align, 64);
    info.struct_size = offsetof(weft_dev_info, vendor);
    info.vendor[0] = '!';
    assert_int_equal(cpu_backend()->info(&host.host, 0, &info), WEFT_OK);
    assert_int_equal(info.vendor[0], '!'); /* a caller of an older minor gets what it knows */
    assert_int_equal(cpu_backend()->info(&host.host, 1, &info), WEFT_E_ARG);
}

static void test_open(void **unused)
{
    static const char *const bad[] = { "two", "-1", "3x", "99999" };
    test_host host;
    weft_dev *dev = NULL;
    (void)unused;
    host_init(&host);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        host.num_threads = bad[i];
        assert_int_equal(cpu_backend()->open(&host.host, 0, "", &dev), WEFT_E_ARG);
        assert_non_null(strstr(host.failure, bad[i]));
    }
    host.num_threads = "2";
    assert_int_equal(cpu_backend()->open(&host.host, 7, "", &dev), WEFT_E_ARG);
    assert_int_equal(cpu_backend()->open(&host.host, 0, "fast=true", &dev), WEFT_E_ARG);
    assert_int_equal(cpu_backend()->open(&host.host, 0, "", &dev), WEFT_OK);
    cpu_backend()->close(dev);
    cpu_backend()->close(NULL);
    assert_int_equal(host.blocks, 0);
}

static void test_memory(void **unused)
{
    const weft_backend *b = cpu_backend();
    test_host host;
    weft_dev *dev = open_dev(&host);
    weft_buf *buf = NULL, *none = NULL, *own = NULL, *huge = NULL;
    char mine[8] = "abcdefg", back[8] = "";
    (void)unused;
    assert_int_equal(b->alloc(dev, 100, &buf), WEFT_OK);
    assert_int_equal(b->alloc(dev, 0, &none), WEFT_OK);
    assert_int_equal(b->wrap(dev, mine, sizeof mine, &own), WEFT_OK);
    assert_int_equal(b->write(dev, buf, 92, mine, 8), WEFT_OK);
    assert_int_equal(b->read(dev, buf, 94, back, 6), WEFT_OK);
    assert_string_equal(back, "cdefg");
    assert_int_equal(b->write(dev, own, 0, "x", 1), WEFT_OK);
    assert_string_equal(mine, "xbcdefg");
    assert_int_equal(b->write(dev, none, 0, NULL, 0), WEFT_OK);
    assert_int_equal(b->finish(dev), WEFT_OK);
    assert_int_equal(b->alloc(dev, UINT64_MAX, &huge), WEFT_E_NOMEM);
    assert_null(huge);
    b->release(dev, buf);
    b->release(dev, none);
    b->release(dev, own);
    b->release(dev, NULL);
    b->close(dev);
    assert_int_equal(host.blocks, 0);
}

/* ---- supports ---- */

static int asked(test_step *s, weft_support *support)
{
    test_host host;
    weft_dev *dev = open_dev(&host);
    int yes;
    memset(support, 0, sizeof *support);
    support->struct_size = sizeof *support;
    step_ready(s);
    yes = cpu_backend()->supports(dev, &s->step, support);
    cpu_backend()->close(dev);
    assert_int_equal(host.blocks, 0);
    assert_true(yes || support->why[0]);
    return yes;
}

static void refused(test_step *s, const char *part)
{
    weft_support support;
    assert_int_equal(asked(s, &support), 0);
    if (!strstr(support.why, part)) fail_msg("\"%s\" is not in \"%s\"", part, support.why);
}

static void test_reasons(void **unused)
{
    int64_t dim[2] = { 4, 6 }, five[5] = { 1, 1, 1, 1, 1 };
    weft_support support;
    test_step s;
    (void)unused;
    step_init(&s, "matmul");
    step_in(&s, tensor_make(WEFT_F32, LIE_DENSE, 2, dim));
    step_in(&s, tensor_make(WEFT_F64, LIE_DENSE, 2, dim));
    step_out(&s, tensor_make(WEFT_F32, LIE_STRIDED, 2, dim));
    refused(&s, "output 0 is strided; the kernel writes dense and pitched");
    s.out[0]->how = LIE_DENSE;
    refused(&s, "inputs 0 and 1 have the dtypes f32 and f64");
    s.in[1]->dtype = WEFT_I32;
    refused(&s, "input 1 is i32; the kernel takes f32 and f64");
    s.in[1]->dtype = WEFT_F32;
    s.out[0]->dtype = WEFT_F64;
    refused(&s, "the result is f32, the output f64");
    s.out[0]->dtype = WEFT_F32;
    assert_int_equal(asked(&s, &support), 1);
    assert_string_equal(support.variant, "matmul");
    assert_true(support.flags & WEFT_KERNEL_EPILOGUE && support.flags & WEFT_KERNEL_OUT_PITCHED);
    s.op.name = "map";
    s.in[1]->dtype = WEFT_F16;
    refused(&s, "input 1 is f16");
    s.op.name = "org.example.swirl";
    refused(&s, "org.example.swirl is not a core op");
    step_free(&s);
    step_init(&s, "conv");
    step_in(&s, tensor_make(WEFT_F32, LIE_DENSE, 2, dim));
    step_in(&s, tensor_make(WEFT_F32, LIE_DENSE, 5, five));
    step_out(&s, tensor_make(WEFT_F32, LIE_DENSE, 2, dim));
    refused(&s, "0 spatial dimensions");
    step_free(&s);
}

/* ---- kernels of plugins ---- */

static int only_two(const weft_kernel_call *call, char *why, size_t size)
{
    if (call->in[0]->dim[1] == 2) return 1;
    snprintf(why, size, "the last dimension is not 2");
    return 0;
}

static weft_status double_it(const weft_kernel_call *call)
{
    const float *x = call->in[0]->data;
    float *y = call->out[0]->data;
    assert_int_equal(call->device(call, "is_cpu"), 1);
    assert_int_equal(call->batch, 3);
    assert_int_equal(call->attr_i(call, "factor"), 5);
    assert_true(call->in[0]->outer == 1 && call->in[0]->inner == call->in[0]->count);
    for (uint64_t i = 0; i < call->out[0]->count; i++)
        y[i] = x[i] * 5;
    return WEFT_OK;
}

static weft_status complain(const weft_kernel_call *call)
{
    return (call->fail)(call, WEFT_E_ARG, "no good"); /* cmocka has a macro of this name */
}

static size_t some_scratch(const weft_kernel_call *call)
{
    return 64 * (size_t)call->batch;
}

static weft_status use_scratch(const weft_kernel_call *call)
{
    assert_true(call->scratch_size == 192 && call->scratch != NULL);
    memset(call->scratch, 1, call->scratch_size);
    return double_it(call);
}

static const weft_cpu_kernel two = { sizeof two, 0, only_two, NULL, double_it };
static const weft_cpu_kernel any = { sizeof any, 0, NULL, some_scratch, use_scratch };
static const weft_cpu_kernel bad = { sizeof bad, 0, NULL, NULL, complain };
static const weft_ext variants[] = { { WEFT_KERNEL_OPENCL, NULL },
                                     { WEFT_KERNEL_CPU, &two },
                                     { WEFT_KERNEL_CPU, &any },
                                     { NULL, NULL } };
static const weft_ext complaining[] = { { WEFT_KERNEL_CPU, &bad }, { NULL, NULL } };

static void make_own(test_step *s, const weft_ext *kernels, int64_t width)
{
    int64_t dim[2] = { 3, width };
    step_init(s, "org.example.five");
    s->op.kernels = kernels;
    step_int(s, "factor", 5);
    step_in(s, tensor_make(WEFT_F32, LIE_DENSE, 2, dim));
    step_out(s, tensor_make(WEFT_F32, LIE_DENSE, 2, dim));
    s->batch = 3;
}

static void test_plugin_kernels(void **unused)
{
    (void)unused;
    for (int64_t width = 2; width < 4; width++) {
        test_step s;
        weft_support support;
        make_own(&s, variants, width);
        assert_int_equal(asked(&s, &support), 1);
        assert_string_equal(support.variant,
                            width == 2 ? "org.example.five#0" : "org.example.five#1");
        step_run(&s);
        for (uint64_t i = 0; i < s.out[0]->count; i++)
            assert_true(s.out[0]->v[i] == (double)(float)(s.in[0]->v[i] * 5));
        s.in[0]->dtype = WEFT_F64;
        refused(&s, "input 0 is f64; the kernel takes f32 alone");
        s.in[0]->dtype = WEFT_F32;
        s.in[0]->how = LIE_PITCHED;
        refused(&s, "input 0 is pitched; the kernel takes dense ones");
        step_free(&s);
    }
}

/* ---- runs ---- */

typedef struct chain { /* y = 2 x; z = y w; then a step that may fail */
    test_host host;
    weft_dev *dev;
    weft_exe *exe;
    test_step twice, times, last;
    weft_buf *x, *y, *w, *z;
} chain;

static void open_chain(chain *c, int failing)
{
    const weft_backend *b = cpu_backend();
    int64_t x[2] = { 2, 3 }, w[2] = { 3, 4 }, z[2] = { 2, 4 };
    const weft_step *steps[3];
    c->dev = open_dev(&c->host);
    step_init(&c->twice, "map");
    step_text(&c->twice, "expr", "a + a");
    step_in(&c->twice, tensor_make(WEFT_F32, LIE_DENSE, 2, x));
    step_out(&c->twice, tensor_make(WEFT_F32, LIE_DENSE, 2, x));
    step_init(&c->times, "matmul");
    step_in(&c->times, tensor_make(WEFT_F32, LIE_DENSE, 2, x));
    step_in(&c->times, tensor_make(WEFT_F32, LIE_DENSE, 2, w));
    step_out(&c->times, tensor_make(WEFT_F32, LIE_DENSE, 2, z));
    make_own(&c->last, complaining, 2);
    c->twice.batch = c->times.batch = 2;
    step_ready(&c->twice);
    step_ready(&c->times);
    step_ready(&c->last);
    c->times.dims[1][0] = 3; /* the weights have no batch */
    steps[0] = &c->twice.step;
    steps[1] = failing ? &c->last.step : &c->times.step;
    steps[2] = &c->times.step;
    assert_int_equal(b->compile(c->dev, steps, failing ? 3 : 2, &c->exe), WEFT_OK);
    assert_int_equal(b->alloc(c->dev, 10 * 12, &c->x), WEFT_OK);
    assert_int_equal(b->alloc(c->dev, 10 * 12, &c->y), WEFT_OK);
    assert_int_equal(b->alloc(c->dev, 48, &c->w), WEFT_OK);
    assert_int_equal(b->alloc(c->dev, 64 + 10 * 16, &c->z), WEFT_OK);
}

static void close_chain(chain *c)
{
    const weft_backend *b = cpu_backend();
    b->release_exe(c->dev, c->exe);
    b->release(c->dev, c->x);
    b->release(c->dev, c->y);
    b->release(c->dev, c->w);
    b->release(c->dev, c->z);
    b->close(c->dev);
    assert_int_equal(c->host.blocks, 0);
    step_free(&c->twice);
    step_free(&c->times);
    step_free(&c->last);
}

static void test_runs(void **unused)
{
    const weft_backend *b = cpu_backend();
    float x[30], w[12], z[40];
    chain c;
    (void)unused;
    open_chain(&c, 0);
    for (int i = 0; i < 30; i++)
        x[i] = (float)i;
    for (int i = 0; i < 12; i++)
        w[i] = (float)(i % 5);
    b->write(c.dev, c.x, 0, x, sizeof x);
    b->write(c.dev, c.w, 0, w, sizeof w);
    for (int64_t batch = 10; batch >= 0; batch--) {
        weft_bind binds[] = { { c.x, 0 }, { c.y, 0 }, { c.y, 0 }, { c.w, 0 }, { c.z, 64 } };
        uint64_t ns[2] = { 0, 0 };
        weft_run run = { .struct_size = sizeof run,
                         .n_binds = 5,
                         .batch = batch,
                         .binds = binds,
                         .generation = (uint64_t)batch,
                         .step_ns = batch % 2 ? ns : NULL };
        for (int again = 0; again < 2; again++) {
            memset(z, 0x55, sizeof z);
            b->write(c.dev, c.z, 64, z, sizeof z);
            assert_int_equal(b->run(c.dev, c.exe, &run), WEFT_OK);
            assert_true(batch % 2 == 0 || (ns[0] > 0 && ns[1] > 0));
            b->read(c.dev, c.z, 64, z, sizeof z);
            for (int64_t i = 0; i < batch * 4; i++) {
                float want = 0;
                for (int64_t k = 0; k < 3; k++)
                    want += 2 * x[i / 4 * 3 + k] * w[k * 4 + i % 4];
                assert_true(z[i] == want);
            }
            for (int64_t i = batch * 4 * 4; i < 160; i++)
                assert_int_equal(((char *)z)[i], 0x55);
        }
    }
    close_chain(&c);
}

static void test_failure_stops(void **unused)
{
    const weft_backend *b = cpu_backend();
    chain c;
    float z[8];
    (void)unused;
    open_chain(&c, 1);
    weft_bind binds[] = { { c.x, 0 }, { c.y, 0 }, { c.x, 0 }, { c.y, 0 },
                          { c.y, 0 }, { c.w, 0 }, { c.z, 0 } };
    weft_run run = { .struct_size = sizeof run, .n_binds = 7, .batch = 2, .binds = binds };
    memset(z, 0x55, sizeof z);
    b->write(c.dev, c.z, 0, z, sizeof z);
    assert_int_equal(b->run(c.dev, c.exe, &run), WEFT_E_ARG);
    assert_string_equal(c.host.failure, "no good");
    b->read(c.dev, c.z, 0, z, sizeof z);
    assert_int_equal(((char *)z)[0], 0x55);
    close_chain(&c);
}

static void test_compile_errors(void **unused)
{
    int64_t dim[2] = { 2, 2 };
    static const char *const ops[] = { "map", "matmul" };
    (void)unused;
    for (int k = 0; k < 2; k++) {
        test_host host;
        weft_dev *dev = open_dev(&host);
        weft_exe *exe = NULL;
        test_step s;
        const weft_step *step = &s.step;
        step_init(&s, ops[k]);
        step_text(&s, "expr", "a +* b");
        step_in(&s, tensor_make(k ? WEFT_U8 : WEFT_F32, LIE_DENSE, 2, dim));
        step_in(&s, tensor_make(WEFT_F32, LIE_DENSE, 2, dim));
        step_out(&s, tensor_make(WEFT_F32, LIE_DENSE, 2, dim));
        step_ready(&s);
        assert_int_not_equal(cpu_backend()->compile(dev, &step, 1, &exe), WEFT_OK);
        assert_null(exe);
        if (k)
            assert_non_null(
                strstr(host.failure, "net/part: the cpu backend cannot run matmul: input 0"));
        cpu_backend()->close(dev);
        assert_int_equal(host.blocks, 0);
        step_free(&s);
    }
}

/* An operand whose batch is innermost: its stride is symbolic. */
static void test_symbolic_stride(void **unused)
{
    const weft_backend *b = cpu_backend();
    int64_t dim[2] = { 5, 3 };
    test_host host;
    weft_dev *dev = open_dev(&host);
    weft_exe *exe = NULL;
    weft_bind binds[2];
    weft_run run = { .struct_size = sizeof run, .n_binds = 2, .batch = 5, .binds = binds };
    test_step s;
    const weft_step *step = &s.step;
    (void)unused;
    step_init(&s, "copy");
    step_in(&s, tensor_make(WEFT_F32, LIE_DENSE, 2, dim));
    step_out(&s, tensor_make(WEFT_F32, LIE_DENSE, 2, dim));
    s.batch = 5;
    step_ready(&s);
    s.operands[1].layout = WEFT_STRIDED;
    s.dims[1][WEFT_MAX_RANK] = 1;
    s.dims[1][WEFT_MAX_RANK + 1] = WEFT_BATCH;
    assert_int_equal(b->compile(dev, &step, 1, &exe), WEFT_OK);
    for (int i = 0; i < 2; i++) {
        tensor *t = i ? s.out[0] : s.in[0];
        binds[i].offset = 0;
        assert_int_equal(b->wrap(dev, t->memory, t->bytes, &binds[i].buf), WEFT_OK);
    }
    assert_int_equal(b->run(dev, exe, &run), WEFT_OK);
    for (int i = 0; i < 15; i++)
        assert_true((double)((float *)(void *)s.out[0]->memory)[i] ==
                    s.in[0]->v[i % 5 * 3 + i / 5]);
    b->release_exe(dev, exe);
    b->release(dev, binds[0].buf);
    b->release(dev, binds[1].buf);
    b->close(dev);
    step_free(&s);
}

/* ---- several devices at once ---- */

typedef struct worker {
    test_host host;
    weft_dev *dev;
    weft_exe *exe;
    weft_bind binds[3];
    int different;
} worker;

static void *work(void *user)
{
    worker *w = user;
    const weft_backend *b = cpu_backend();
    float first[200 * 90], z[200 * 90];
    for (int i = 0; i < 20; i++) {
        weft_run run = {
            .struct_size = sizeof run, .n_binds = 3, .binds = w->binds, .generation = 1
        };
        if (b->run(w->dev, w->exe, &run)) w->different++;
        b->read(w->dev, w->binds[2].buf, 0, i ? z : first, sizeof z);
        if (i && memcmp(first, z, sizeof z)) w->different++;
    }
    return NULL;
}

static void test_threads(void **unused)
{
    enum { WORKERS = 4 };
    const weft_backend *b = cpu_backend();
    int64_t x[2] = { 200, 300 }, y[2] = { 300, 90 }, z[2] = { 200, 90 };
    static worker workers[WORKERS];
    pthread_t threads[WORKERS];
    float results[2][200 * 90];
    test_step s;
    const weft_step *step = &s.step;
    (void)unused;
    step_init(&s, "matmul");
    step_in(&s, tensor_make(WEFT_F32, LIE_DENSE, 2, x));
    step_in(&s, tensor_make(WEFT_F32, LIE_DENSE, 2, y));
    step_out(&s, tensor_make(WEFT_F32, LIE_DENSE, 2, z));
    step_ready(&s);
    for (int i = 0; i < WORKERS; i++) {
        worker *w = &workers[i];
        host_init(&w->host);
        w->host.num_threads = i % 2 ? "1" : "2";
        assert_int_equal(b->open(&w->host.host, 0, NULL, &w->dev), WEFT_OK);
        assert_int_equal(b->compile(w->dev, &step, 1, &w->exe), WEFT_OK);
        b->wrap(w->dev, s.in[0]->memory, s.in[0]->bytes, &w->binds[0].buf);
        b->wrap(w->dev, s.in[1]->memory, s.in[1]->bytes, &w->binds[1].buf);
        b->alloc(w->dev, s.out[0]->bytes, &w->binds[2].buf);
        assert_int_equal(pthread_create(&threads[i], NULL, work, w), 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        worker *w = &workers[i];
        pthread_join(threads[i], NULL);
        assert_int_equal(w->different, 0);
        b->read(w->dev, w->binds[2].buf, 0, results[i != 0], sizeof results[0]);
        if (i)
            assert_memory_equal(results[0], results[1],
                                sizeof results[0]); /* whatever the threads */
    }
    for (int i = 0; i < WORKERS; i++) {
        worker *w = &workers[i];
        b->release_exe(w->dev, w->exe);
        for (int k = 0; k < 3; k++)
            b->release(w->dev, w->binds[k].buf);
        b->close(w->dev);
        assert_int_equal(w->host.blocks, 0);
    }
    step_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_plugin_kernels),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_failure_stops),
        cmocka_unit_test(test_compile_errors),
        cmocka_unit_test(test_symbolic_stride),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
