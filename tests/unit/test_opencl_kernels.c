/* How the opencl backend runs kernels that plugins bring: the macros in front of the source,
 * launches, gemm, fill, copy and repeat recorded by the kernel itself, parameters, the epilogue;
 * and how it compiles them: once, kept on disk, with the compiler's words in the error. */
#include <dirent.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "opencl_harness.h"

static const char *const variants[] = { "cpu", "gpu" };

/* The step's op gets one OpenCL kernel and a schema. */
static void give_kernel(test_step *s, const weft_ext *kernels, const weft_attr *attrs)
{
    s->op.kernels = kernels;
    s->op.attrs = attrs;
}

/* ---- one launch ---- */
static const char scale_source[] =
    "__kernel void scale(WEFT_ARGS)\n"
    "{\n"
    "    size_t i = get_global_id(0);\n"
    "    if (i < OUT0_N) OUT0(i) = THEN(IN0(i) * ATTR_factor + ATTR_list_1 + OUT0_D0 * EDGE, i);\n"
    "#ifndef IN1_ABSENT\n"
    "#error the absent input is not told\n"
    "#endif\n"
    "}\n";
static const weft_attr scale_attrs[] = { { "factor", WEFT_FLOAT, 0, NULL, NULL, "" },
                                         { "list", WEFT_INTS, 0, NULL, NULL, "" },
                                         { 0 } };
static const weft_cl_kernel scale_kernel = { .struct_size = sizeof scale_kernel,
                                             .flags = WEFT_KERNEL_IN_STRIDED |
                                                      WEFT_KERNEL_OUT_STRIDED |
                                                      WEFT_KERNEL_EPILOGUE,
                                             .source = scale_source,
                                             .kernel = "scale",
                                             .params = "TILE=4|8 EDGE=10|20" };
static const weft_ext scale_kernels[] = { { WEFT_KERNEL_OPENCL, &scale_kernel }, { 0 } };

static void scale(const char *variant)
{
    opencl_bench b;
    test_step s;
    int64_t dim[2] = { 6, 35 };
    opencl_open(&b, variant, NULL);
    step_init(&s, "org.test.scale");
    s.op.flags = WEFT_OP_EPILOGUE;
    give_kernel(&s, scale_kernels, scale_attrs);
    step_real(&s, "factor", 3);
    step_list(&s, "list", 2, (int64_t[]){ 7, -2 }); /* two batches */
    step_in(&s, tensor_make(WEFT_F32, LIE_STRIDED, 2, dim));
    step_in(&s, tensor_make(WEFT_F32, LIE_DENSE, 2, dim));
    step_in(&s, tensor_make(WEFT_F32, LIE_STRIDED, 1, dim + 1));
    step_then(&s, "a * b", 1);
    step_out(&s, tensor_make(WEFT_F32, LIE_STRIDED, 2, dim));
    s.batch = 3;
    step_ready(&s);
    s.operands[1].absent = 1;
    const weft_step *step = &s.step;
    weft_exe *exe = NULL;
    if (opencl_backend()->compile(b.dev, &step, 1, &exe)) fail_msg("%s", b.host.failure);
    if (opencl_run_exe(&b, exe, &s, NULL)) fail_msg("%s", b.host.failure);
    for (uint64_t i = 0; i < s.out[0]->count; i++)
        expect_near(s.out[0]->v[i], (s.in[0]->v[i] * 3 + 6 + 60) * s.in[2]->v[i % 35], 1e-4,
                    "scale", i);
    opencl_backend()->release_exe(b.dev, exe);
    step_free(&s);
    opencl_close(&b);
}

static void test_scale(void **unused)
{
    (void)unused;
    if (!opencl_backend()) skip();
    for (int v = 0; v < 2; v++)
        scale(variants[v]);
}

/* ---- a kernel that records: h = 0; then steps times h = tanh(h w + x[:, t]); out = h ---- */
static const char cell_source[] =
    "__kernel void cell(__global float *h, ulong h_offset, __global const float *g,\n"
    "                   ulong g_offset,\n"
    "                   __global const float *x, ulong x_offset, long n, long units,\n"
    "                   long pitch, REAL factor, long batch)\n"
    "{\n"
    "    long i = get_global_id(0);\n"
    "    if (i < n)\n"
    "        h[h_offset + i] = tanh(factor * (g[g_offset + i] +\n"
    "                                         x[x_offset + i / units * pitch + i % units]));\n"
    "}\n";

static size_t cell_scratch(const weft_kernel_call *c)
{
    return (size_t)c->in[0]->dim[0] * (size_t)c->in[0]->dim[2] * sizeof(float);
}

static weft_view scratch_view(const weft_kernel_call *c)
{
    weft_view v = *c->out[0];
    v.data = c->scratch;
    v.offset = 0;
    return v;
}

static weft_status cell_step(const weft_kernel_call *c, const weft_cl *cl, int64_t t)
{
    const weft_view *x = c->in[0], *w = c->in[1], *h = c->out[0];
    weft_view g = scratch_view(c), xt = *x;
    int64_t units = x->dim[2], n = (int64_t)h->count;
    weft_gemm gemm = { .struct_size = sizeof gemm,
                       .m = x->dim[0],
                       .n = units,
                       .k = units,
                       .lda = units,
                       .ldb = units,
                       .ldc = units,
                       .alpha = 1,
                       .a = h,
                       .b = w,
                       .c = &g };
    xt.offset += (uint64_t)(t * x->stride[1]);
    weft_status st = cl->gemm(c, &gemm);
    if (st) return st;
    const weft_view *views[] = { h, &g, &xt };
    int64_t ints[] = { n, units, x->stride[0] };
    double half = 0.5;
    weft_cl_launch l = { .struct_size = sizeof l,
                         .n_views = 3,
                         .n_ints = 3,
                         .n_scalars = 1,
                         .kernel = "cell",
                         .global = { (size_t)n },
                         .views = views,
                         .ints = ints,
                         .scalars = &half };
    return cl->launch(c, &l);
}

static weft_status cell_enqueue(const weft_kernel_call *c, const weft_cl *cl)
{
    weft_status st = cl->fill(c, c->out[0], 0);
    for (int64_t t = 0; t < c->in[0]->dim[1] && !st; t++)
        st = cell_step(c, cl, t);
    if (!st && c->n_out > 1) st = cl->copy(c, c->out[1], c->out[0]);
    return st;
}

static const weft_cl_kernel cell_kernel = { .struct_size = sizeof cell_kernel,
                                            .source = cell_source,
                                            .scratch = cell_scratch,
                                            .enqueue = cell_enqueue };
static const weft_ext cell_kernels[] = { { WEFT_KERNEL_OPENCL, &cell_kernel }, { 0 } };

static void check_cell(const test_step *s, int64_t batch, int64_t steps, int64_t units)
{
    for (int64_t row = 0; row < batch; row++) {
        double h[16] = { 0 }, next[16];
        for (int64_t t = 0; t < steps; t++) {
            for (int64_t j = 0; j < units; j++) {
                next[j] = s->in[0]->v[(row * steps + t) * units + j];
                for (int64_t k = 0; k < units; k++)
                    next[j] += h[k] * s->in[1]->v[k * units + j];
                next[j] = tanh(0.5 * next[j]);
            }
            memcpy(h, next, sizeof h);
        }
        for (int64_t j = 0; j < units; j++) {
            expect_near(s->out[0]->v[row * units + j], h[j], 1e-5, "cell", (uint64_t)j);
            assert_true(s->out[1]->v[row * units + j] == s->out[0]->v[row * units + j]);
        }
    }
}

static void cells(const char *variant, const char *gemm)
{
    opencl_bench b;
    opencl_open(&b, variant, gemm);
    for (int round = 0; round < 2; round++) {
        int64_t x[3] = { 4, 5, 11 }, w[2] = { 11, 11 }, h[2] = { 4, 11 };
        uint64_t ns = 0;
        test_step s;
        step_init(&s, "org.test.cell");
        give_kernel(&s, cell_kernels, NULL);
        step_in(&s, tensor_make(WEFT_F32, LIE_DENSE, 3, x));
        step_in(&s, tensor_make(WEFT_F32, LIE_DENSE, 2, w));
        step_out(&s, tensor_make(WEFT_F32, LIE_DENSE, 2, h));
        step_out(&s, tensor_make(WEFT_F32, LIE_DENSE, 2, h));
        s.batch = 4;
        weft_exe *exe = opencl_compile(&b, &s);
        if (opencl_run_exe(&b, exe, &s, round ? &ns : NULL)) fail_msg("%s", b.host.failure);
        assert_true(!round || ns > 0);
        check_cell(&s, 4, 5, 11);
        opencl_backend()->release_exe(b.dev, exe);
        step_free(&s);
    }
    opencl_close(&b);
}

static void test_cells(void **unused)
{
    (void)unused;
    if (!opencl_backend()) skip();
    for (int v = 0; v < 2; v++)
        cells(variants[v], "weft");
    if (!opencl_simulated()) cells(NULL, "clblast");
}

/* ---- a kernel that fills with what its elements can or cannot be ---- */
static double fill_value;
static weft_status fill_enqueue(const weft_kernel_call *c, const weft_cl *cl)
{
    return cl->fill(c, c->out[0], fill_value);
}

static const weft_cl_kernel fill_kernel = { .struct_size = sizeof fill_kernel,
                                            .flags = WEFT_KERNEL_ANY_DTYPE,
                                            .enqueue = fill_enqueue };
static const weft_ext fill_kernels[] = { { WEFT_KERNEL_OPENCL, &fill_kernel }, { 0 } };

static weft_status fill(opencl_bench *b, weft_dtype dtype, double value)
{
    int64_t dim[2] = { 3, 7 };
    test_step s;
    weft_exe *exe = NULL;
    fill_value = value;
    step_init(&s, "org.test.fill");
    give_kernel(&s, fill_kernels, NULL);
    step_out(&s, tensor_make(dtype, LIE_DENSE, 2, dim));
    step_ready(&s);
    const weft_step *step = &s.step;
    weft_status st = opencl_backend()->compile(b->dev, &step, 1, &exe);
    if (!st) st = opencl_run_exe(b, exe, &s, NULL);
    for (uint64_t i = 0; i < s.out[0]->count && !st; i++)
        expect_near(s.out[0]->v[i], value, 0, "fill", i);
    opencl_backend()->release_exe(b->dev, exe);
    step_free(&s);
    return st;
}

static void test_fill(void **unused)
{
    static const struct {
        weft_dtype dtype;
        double value;
        weft_status st;
    } fills[] = {
        { WEFT_F32, -INFINITY, WEFT_OK },    { WEFT_F32, NAN, WEFT_OK },
        { WEFT_I32, INT32_MIN, WEFT_OK },    { WEFT_I32, 0x1p31, WEFT_E_ARG },
        { WEFT_I32, -INFINITY, WEFT_E_ARG }, { WEFT_I64, -0x1p63, WEFT_OK },
        { WEFT_I64, 0x1p63, WEFT_E_ARG },    { WEFT_I64, NAN, WEFT_E_ARG },
        { WEFT_U8, 255, WEFT_OK },           { WEFT_U8, -1, WEFT_E_ARG },
        { WEFT_U8, 0.5, WEFT_E_ARG },        { WEFT_BOOL, 1, WEFT_OK },
        { WEFT_BOOL, 2, WEFT_E_ARG },
    };
    opencl_bench b;
    (void)unused;
    if (!opencl_backend()) skip();
    opencl_open(&b, NULL, NULL);
    for (size_t i = 0; i < sizeof fills / sizeof *fills; i++) {
        if (fill(&b, fills[i].dtype, fills[i].value) != fills[i].st)
            fail_msg("fill %d: %s", (int)i, b.host.failure);
        if (fills[i].st) assert_non_null(strstr(b.host.failure, "op org.test.fill: a fill with"));
    }
    opencl_close(&b);
}

/* ---- a kernel that copies to another shape ---- */
static weft_status reshape_enqueue(const weft_kernel_call *c, const weft_cl *cl)
{
    return cl->copy(c, c->out[0], c->in[0]);
}

static const weft_cl_kernel reshape_kernel = { .struct_size = sizeof reshape_kernel,
                                               .flags =
                                                   WEFT_KERNEL_ANY_DTYPE | WEFT_KERNEL_IN_STRIDED |
                                                   WEFT_KERNEL_OUT_STRIDED |
                                                   WEFT_KERNEL_IN_PITCHED | WEFT_KERNEL_OUT_PITCHED,
                                               .enqueue = reshape_enqueue };
static const weft_ext reshape_kernels[] = { { WEFT_KERNEL_OPENCL, &reshape_kernel }, { 0 } };

/* From and to dense, pitched and strided memory. */
static void reshape(const char *variant)
{
    opencl_bench b;
    opencl_open(&b, variant, NULL);
    for (int round = 0; round < 9; round++) {
        int64_t x[3] = { 6, 4, 5 }, y[2] = { 8, 15 };
        weft_dtype dtype = round % 2 ? WEFT_F32 : WEFT_U8;
        test_step s;
        random_seed((uint64_t)round);
        step_init(&s, "org.test.reshape");
        give_kernel(&s, reshape_kernels, NULL);
        step_in(&s, tensor_make(dtype, (lie)(round % 3), 3, x));
        step_out(&s, tensor_make(dtype, (lie)(round / 3), 2, y));
        opencl_run(&b, &s);
        for (uint64_t i = 0; i < 120; i++)
            expect_near(s.out[0]->v[i], s.in[0]->v[i], 0, "reshape", i);
        step_free(&s);
    }
    opencl_close(&b);
}

static void test_reshape(void **unused)
{
    (void)unused;
    if (!opencl_backend()) skip();
    for (int v = 0; v < 2; v++)
        reshape(variants[v]);
}

/* ---- what goes wrong ---- */
static weft_status compile_source(opencl_bench *b, const char *source, const char *name)
{
    static weft_cl_kernel kernel;
    static weft_ext kernels[] = { { WEFT_KERNEL_OPENCL, &kernel }, { 0 } };
    int64_t dim[1] = { 5 };
    test_step s;
    weft_exe *exe = NULL;
    kernel = (weft_cl_kernel){ .struct_size = sizeof kernel, .source = source, .kernel = name };
    step_init(&s, "org.test.bad");
    give_kernel(&s, kernels, NULL);
    step_in(&s, tensor_make(WEFT_F32, LIE_DENSE, 1, dim));
    step_out(&s, tensor_make(WEFT_F32, LIE_DENSE, 1, dim));
    step_ready(&s);
    const weft_step *step = &s.step;
    weft_status st = opencl_backend()->compile(b->dev, &step, 1, &exe);
    opencl_backend()->release_exe(b->dev, exe);
    step_free(&s);
    return st;
}

static void test_errors(void **unused)
{
    (void)unused;
    opencl_bench b;
    weft_buf *buf = NULL;
    if (!opencl_backend()) skip();
    opencl_open(&b, NULL, NULL);
    assert_int_equal(compile_source(&b, "__kernel void f(WEFT_ARGS) { no_such_thing(1); }\n", "f"),
                     WEFT_E_DEVICE);
    assert_non_null(strstr(b.host.failure, "net/part"));
    assert_non_null(strstr(b.host.failure, "org.test.bad"));
    assert_non_null(strstr(b.host.failure, "CL_BUILD_PROGRAM_FAILURE"));
    assert_non_null(strstr(b.host.failure, "no_such_thing"));
    assert_int_equal(compile_source(&b, "__kernel void f(WEFT_ARGS) { }\n", "g"), WEFT_E_DEVICE);
    assert_non_null(strstr(b.host.failure, "kernel g"));
    assert_int_equal(compile_source(&b, "__kernel void f(long batch) { }\n", "f"), WEFT_E_ARG);
    assert_non_null(strstr(b.host.failure, "takes 1 arguments"));
    assert_int_equal(opencl_backend()->alloc(b.dev, 1ull << 60, &buf), WEFT_E_NOMEM);
    assert_non_null(strstr(b.host.failure, "1152921504606846976"));
    opencl_close(&b);
}

/* ---- the cache ---- */
static int first_file(const char *folder, char *path, size_t size)
{
    DIR *dir = opendir(folder);
    struct dirent *e;
    int n = 0;
    while (dir && (e = readdir(dir)) != NULL) {
        if (e->d_name[0] == '.') continue;
        snprintf(path, size, "%s/%s", folder, e->d_name);
        n++;
    }
    if (dir) closedir(dir);
    return n;
}

/* A process of its own: what this one has compiled, it does not compile again. */
static int builds_in_child(const char *folder)
{
    char command[256];
    int builds = -1;
    snprintf(command, sizeof command, "/proc/%d/exe builds %s", (int)getpid(), folder);
    FILE *child = popen(command, "r");
    assert_non_null(child);
    if (fscanf(child, "%d", &builds) != 1) builds = -1;
    pclose(child);
    return builds;
}

static int builds_here(const char *folder)
{
    opencl_bench b;
    if (!opencl_backend()) return 1;
    opencl_open(&b, NULL, NULL);
    b.cache_dir = folder;
    if (compile_source(&b, "__kernel void f(WEFT_ARGS) { OUT0(0) = 4711; }\n", "f")) return 1;
    printf("%d\n", (int)opencl_backend()->builds(b.dev));
    opencl_close(&b);
    return 0;
}

static void damage(const char *path, const char *mode, long at)
{
    FILE *f = fopen(path, mode);
    assert_non_null(f);
    fseek(f, at, SEEK_SET);
    fputs("garbage", f);
    fclose(f);
}

static void test_cache(void **unused)
{
    (void)unused;
    char folder[] = "/tmp/weft-cache-XXXXXX", below[64], path[512] = "";
    if (!opencl_backend() || opencl_simulated()) skip();
    assert_non_null(mkdtemp(folder));
    snprintf(below, sizeof below, "%s/opencl", folder);
    assert_int_equal(builds_in_child(folder), 1);
    if (first_file(below, path, sizeof path) == 1) { /* else its binaries are not worth keeping */
        assert_int_equal(builds_in_child(folder), 0);
        damage(path, "r+b", 500);
        assert_int_equal(builds_in_child(folder), 1);
        assert_int_equal(builds_in_child(folder), 0);
        damage(path, "wb", 0); /* cut short */
        assert_int_equal(builds_in_child(folder), 1);
        assert_int_equal(chmod(path, 0666), 0); /* others could have written it */
        assert_int_equal(builds_in_child(folder), 1);
        assert_int_equal(first_file(below, path, sizeof path), 1);
        unlink(path);
        rmdir(below);
    }
    rmdir(folder);
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "builds")) return builds_here(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scale),   cmocka_unit_test(test_cells),  cmocka_unit_test(test_fill),
        cmocka_unit_test(test_reshape), cmocka_unit_test(test_errors), cmocka_unit_test(test_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
