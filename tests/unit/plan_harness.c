/* The harness of the plan tests. The fake backend hands everything on to cpu. */
#include "plan_harness.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/dim.h"
#include "plan/check_input.h"
#include "registry/registry.h"

fake fake_backend;
weft_context *plan_ctx;
static const weft_backend *cpu;
static weft_backend fake_table;

static int fake_supports(weft_dev *dev, const weft_step *step, weft_support *support)
{
    char word[80];
    snprintf(word, sizeof word, " %s ", step->op->name);
    if (fake_backend.refused && strstr(fake_backend.refused, word)) {
        snprintf(support->why, sizeof support->why, "the fake refuses %s", step->op->name);
        return 0;
    }
    if (!cpu->supports(dev, step, support)) return 0;
    if (strcmp(step->op->name, "copy")) support->flags &= fake_backend.flags;
    for (uint32_t i = 0; i < step->n_in + step->n_out; i++) {
        const weft_operand *operand = i < step->n_in ? step->in[i] : step->out[i - step->n_in];
        if (operand->absent || weft__layout_fits(operand->layout, support->flags, i >= step->n_in))
            continue;
        snprintf(support->why, sizeof support->why, "operand %u does not lie dense", i);
        return 0;
    }
    return 1;
}

/* Which step of an exe is wrong, by its place among the binds; the last few exes are known. */
typedef struct spoilt {
    const weft_exe *exe;
    uint32_t bind;
} spoilt;
enum { KNOWN = 64 };
static spoilt known[KNOWN];

static void remember(const weft_step *const *steps, uint32_t n, const weft_exe *exe)
{
    static uint32_t next;
    uint32_t bind = 0;
    for (uint32_t i = 0; fake_backend.wrong_op && i < n; i++) {
        if (!strcmp(steps[i]->op->name, fake_backend.wrong_op))
            known[next++ % KNOWN] = (spoilt){ exe, bind + steps[i]->n_in };
        bind += steps[i]->n_in + steps[i]->n_out;
    }
}

static weft_status fake_compile(weft_dev *dev, const weft_step *const *steps, uint32_t n,
                                weft_exe **exe)
{
    weft_status st = cpu->compile(dev, steps, n, exe);
    fake_backend.compiles++;
    if (!st) remember(steps, n, *exe);
    return st;
}

static void fake_release_exe(weft_dev *dev, weft_exe *exe)
{
    for (int i = 0; i < KNOWN; i++)
        if (known[i].exe == exe) known[i].exe = NULL;
    cpu->release_exe(dev, exe);
}

static weft_status spoil(weft_dev *dev, const weft_exe *exe, const weft_run *run)
{
    weft_status st = WEFT_OK;
    for (int i = 0; i < KNOWN && !st; i++) {
        float x;
        if (!exe || known[i].exe != exe) continue;
        const weft_bind *bind = &run->binds[known[i].bind];
        if ((st = cpu->read(dev, bind->buf, bind->offset, &x, sizeof x))) break;
        x *= fake_backend.wrong_by;
        st = cpu->write(dev, bind->buf, bind->offset, &x, sizeof x);
    }
    return st;
}

static weft_status fake_run(weft_dev *dev, weft_exe *exe, const weft_run *run)
{
    static uint64_t last;
    weft_status st;
    fake_backend.runs++;
    fake_backend.generations += run->generation != last;
    last = run->generation;
    if (fake_backend.fail_run && !--fake_backend.fail_run)
        return weft_fail(WEFT_E_DEVICE, "the fake was told to fail");
    if (fake_backend.silent) return WEFT_OK;
    st = cpu->run(dev, exe, run);
    return st ? st : spoil(dev, exe, run);
}

static weft_status fake_wrap(weft_dev *dev, void *memory, uint64_t bytes, weft_buf **buf)
{
    *buf = NULL;
    return fake_backend.no_wrap ? WEFT_OK : cpu->wrap(dev, memory, bytes, buf);
}

static uint64_t fake_builds(weft_dev *dev)
{
    (void)dev;
    return fake_backend.compiles;
}

int plan_setup(void **state)
{
    uint32_t number;
    (void)state;
    if (weft_context_create(NULL, &plan_ctx) || weft__find_device(plan_ctx, "cpu", &cpu, &number)) {
        fprintf(stderr, "%s\n", weft_error());
        return -1;
    }
    return 0;
}

int plan_teardown(void **state)
{
    (void)state;
    weft_context_destroy(&plan_ctx);
    return 0;
}

weft__devices *plan_devices(const char *text)
{
    weft__devices *devices = NULL;
    fake_backend = (fake){ .flags = UINT32_MAX };
    fake_table = *cpu;
    fake_table.supports = fake_supports;
    fake_table.compile = fake_compile;
    fake_table.run = fake_run;
    fake_table.release_exe = fake_release_exe;
    fake_table.wrap = fake_wrap;
    fake_table.builds = fake_builds;
    assert_int_equal(weft__devices_open(plan_ctx, "cpu", 1, &devices), WEFT_OK);
    if (strstr(text, "fake")) {
        devices->device[0].backend = &fake_table;
        weft__free(devices->device[0].id);
        devices->device[0].id = weft__strdup("fake");
    }
    if (!strcmp(text, "fake,cpu")) {
        weft__devices *more = NULL;
        assert_int_equal(weft__devices_open(plan_ctx, "cpu", 1, &more), WEFT_OK);
        devices->device[devices->n++] = more->device[0];
        more->n = 0;
        weft__devices_close(&more);
    }
    return devices;
}

void sketch_begin(sketch *s)
{
    memset(s, 0, sizeof *s);
    assert_int_equal(weft__graph_create(plan_ctx, &s->graph), WEFT_OK);
}

static weft_spec spec_of(int32_t rank, const int64_t *dim)
{
    weft_spec spec = { .dtype = WEFT_F32, .rank = rank };
    memcpy(spec.dim, dim, (size_t)rank * sizeof *dim);
    return spec;
}

static weft_val must(weft_val value)
{
    if (!value) fail_msg("%s", weft_error());
    return value;
}

weft_val sketch_input(sketch *s, const char *name, int32_t rank, const int64_t *dim)
{
    weft_spec spec = spec_of(rank, dim);
    return must(weft__graph_input(s->graph, name, &spec));
}

weft_val sketch_const(sketch *s, int32_t rank, const int64_t *dim)
{
    weft_spec spec = spec_of(rank, dim);
    uint64_t n = weft__spec_count_at(&spec, 1);
    float *data = malloc(n * sizeof *data + 1);
    weft_val value;
    for (uint64_t i = 0; i < n; i++)
        data[i] = (float)i / 8;
    value = must(weft__graph_constant(s->graph, &spec, data, 0));
    free(data);
    return value;
}

weft_val sketch_op(sketch *s, const char *path, const char *op, const char *attrs, uint32_t n,
                   const weft_val *in)
{
    return must(weft__graph_op(s->graph, &(weft__op_request){ op, attrs, path, in, n, NULL, 0 }));
}

void sketch_output(sketch *s, weft_val value)
{
    char name[16];
    snprintf(name, sizeof name, "y%zu", s->graph->n_outputs);
    assert_int_equal(weft__graph_output(s->graph, name, value), WEFT_OK);
}

weft__plan *plan_make(const sketch *s, weft__devices *devices, const weft__plan_options *options)
{
    static const weft__plan_options usual = { .simplify = 1, .fuse = 1, .views = 1 };
    weft__plan *plan = NULL;
    if (weft__plan_create(s->graph, devices, options ? options : &usual, &plan))
        fail_msg("%s", weft_error());
    return plan;
}

void plan_run_random(weft__plan *plan, int64_t batch, uint64_t seed, weft_array **outputs)
{
    weft_array *inputs[16] = { NULL };
    assert_true(plan->graph->n_inputs <= 16);
    assert_int_equal(weft__check_inputs(plan->graph, batch, seed, inputs), WEFT_OK);
    for (size_t i = 0; i < plan->graph->n_inputs; i++)
        if (inputs[i]->spec.dtype == WEFT_F64) { /* the same numbers as in f32 */
            double *x = inputs[i]->data;
            for (uint64_t k = 0; k < weft_array_count(inputs[i]); k++)
                x[k] = (double)(float)x[k];
        }
    if (weft__plan_run(plan, &(weft__plan_call){ .inputs = (const weft_array *const *)inputs,
                                                 .outputs = outputs,
                                                 .batch = batch }))
        fail_msg("%s", weft_error());
    for (size_t i = 0; i < plan->graph->n_inputs; i++)
        weft_array_destroy(&inputs[i]);
}

static void expect_same(const weft_array *got, const weft_array *want)
{
    double largest = 1e-30;
    for (uint64_t i = 0; i < weft_array_count(want); i++)
        largest = fmax(largest, fabs(((double *)want->data)[i]));
    assert_int_equal(weft_array_count(got), weft_array_count(want));
    for (uint64_t i = 0; i < weft_array_count(want); i++)
        if (!(fabs((double)((float *)got->data)[i] - ((double *)want->data)[i]) <= 1e-5 * largest))
            fail_msg("element %d is %g, want %g", (int)i, (double)((float *)got->data)[i],
                     ((double *)want->data)[i]);
}

void plan_agree(const sketch *s, weft__devices *devices, const weft__plan_options *options,
                int64_t batch)
{
    weft__plan *plan = plan_make(s, devices, options), *reference;
    weft__devices *plain = NULL;
    weft_array *got[16] = { NULL }, *want[16] = { NULL };
    assert_int_equal(weft__devices_open(plan_ctx, "cpu", 1, &plain), WEFT_OK);
    reference = plan_make(s, plain, &(weft__plan_options){ .f64 = 1 });
    plan_run_random(plan, batch, 7, got);
    plan_run_random(reference, batch, 7, want);
    for (size_t i = 0; i < plan->graph->n_outputs; i++) {
        expect_same(got[i], want[i]);
        weft_array_destroy(&got[i]);
        weft_array_destroy(&want[i]);
    }
    weft__plan_destroy(&plan);
    weft__plan_destroy(&reference);
    weft__devices_close(&plain);
}

uint32_t plan_count(const weft__plan *plan, weft__step_kind kind, const char *op)
{
    uint32_t n = 0;
    for (size_t i = 0; i < plan->n_steps; i++)
        n += plan->step[i]->kind == kind && (!op || !strcmp(plan->step[i]->base.op->name, op));
    return n;
}
