/* See cpu_harness.h. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "cpu_harness.h"
#include "graph/map.h"
#include "registry/parallel.h"

enum { GAP = 0xA5 };

/* ---- host ---- */

static void host_log(const weft_host *h, weft_log_level level, const char *text)
{
    (void)level;
    snprintf(((test_host *)(uintptr_t)h)->log, sizeof((test_host *)0)->log, "%s", text);
}

static weft_status host_fail(const weft_host *h, weft_status status, const char *text)
{
    snprintf(((test_host *)(uintptr_t)h)->failure, sizeof((test_host *)0)->failure, "%s", text);
    return status;
}

static const char *host_setting(const weft_host *h, const char *name)
{
    return strcmp(name, "num_threads") ? NULL : ((const test_host *)h)->num_threads;
}

static void *host_alloc(const weft_host *h, size_t bytes, size_t align)
{
    test_host *host = (test_host *)(uintptr_t)h;
    host->blocks++;
    if (bytes > host->most) host->most = bytes;
    return aligned_alloc(align, (bytes + align - 1) / align * align);
}

static void host_release(const weft_host *h, void *memory)
{
    if (memory) ((test_host *)(uintptr_t)h)->blocks--;
    free(memory);
}

static weft__pool *pool;

static void end_pool(void)
{
    weft__pool_destroy(&pool);
}

static void host_parallel_for(const weft_host *h, uint64_t n, uint64_t grain,
                              void (*fn)(void *, uint64_t, uint64_t), void *user)
{
    (void)h;
    if (!pool) {
        assert_int_equal(weft__pool_create(4, &pool), WEFT_OK);
        atexit(end_pool);
    }
    weft__parallel_for(pool, n, grain, fn, user);
}

static const void *host_extension(const weft_host *h, const char *id)
{
    (void)h;
    return strcmp(id, WEFT_MAP_ID) ? NULL : &weft__map_api;
}

void host_init(test_host *h)
{
    memset(h, 0, sizeof *h);
    h->host = (weft_host){ .struct_size = sizeof(weft_host),
                           .name = "test",
                           .version = "0",
                           .log = host_log,
                           .fail = host_fail,
                           .setting = host_setting,
                           .alloc = host_alloc,
                           .release = host_release,
                           .parallel_for = host_parallel_for,
                           .extension = host_extension };
}

const weft_backend *cpu_backend(void)
{
    return weft_plugin_v1_cpu.backends[0];
}

/* ---- numbers ---- */

static uint64_t state = 1;

void random_seed(uint64_t seed)
{
    state = seed * 2 + 1;
}

static uint64_t random_bits(void)
{
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

int64_t random_int(int64_t lo, int64_t hi)
{
    return lo + (int64_t)(random_bits() % (uint64_t)(hi - lo + 1));
}

double random_real(double lo, double hi)
{
    return lo + (hi - lo) * (double)(random_bits() >> 11) * 0x1p-53;
}

lie random_lie(void)
{
    return (lie)random_int(LIE_DENSE, LIE_STRIDED);
}

lie random_pitched(void)
{
    return (lie)random_int(LIE_DENSE, LIE_PITCHED);
}

/* ---- tensors ---- */

static size_t size_of(weft_dtype dtype)
{
    static const size_t size[] = { 0, 4, 8, 2, 2, 4, 8, 1, 1 };
    return size[dtype];
}

static void dense_strides(tensor *t)
{
    int64_t n = 1;
    for (int32_t d = t->rank - 1; d >= 0; d--) {
        t->stride[d] = n;
        n *= t->dim[d];
    }
}

/* The gap is behind a random suffix of the dimensions: what a slice of a concat looks like. */
static void pitched_strides(tensor *t)
{
    int32_t split = (int32_t)random_int(0, t->rank - 1);
    int64_t n = 1, gap = random_int(1, 5);
    for (int32_t d = t->rank - 1; d >= 0; d--) {
        t->stride[d] = n;
        n *= t->dim[d];
        if (d == split) n += gap;
    }
}

/* Dimensions in a random order in memory, with gaps. */
static void scattered_strides(tensor *t)
{
    int32_t order[WEFT_MAX_RANK];
    int64_t n = random_int(1, 2);
    for (int32_t d = 0; d < t->rank; d++)
        order[d] = d;
    for (int32_t d = t->rank - 1; d > 0; d--) {
        int32_t other = (int32_t)random_int(0, d), keep = order[d];
        order[d] = order[other];
        order[other] = keep;
    }
    for (int32_t i = 0; i < t->rank; i++) {
        t->stride[order[i]] = n;
        n = n * (t->dim[order[i]] ? t->dim[order[i]] : 1) + random_int(0, 2);
    }
}

/* As a broadcast view: one dimension repeats. */
static void repeated_strides(tensor *t)
{
    int32_t d = (int32_t)random_int(0, t->rank - 1);
    int64_t keep = t->dim[d];
    t->dim[d] = keep ? 1 : 0;
    dense_strides(t);
    t->dim[d] = keep;
    t->stride[d] = 0;
}

static double element(weft_dtype dtype, const char *at)
{
    switch (dtype) {
    case WEFT_F32: return (double)*(const float *)(const void *)at;
    case WEFT_F64: return *(const double *)(const void *)at;
    case WEFT_I32: return (double)*(const int32_t *)(const void *)at;
    case WEFT_I64: return (double)*(const int64_t *)(const void *)at;
    default: return (double)*(const uint8_t *)at;
    }
}

static void set_element(weft_dtype dtype, char *at, double v)
{
    switch (dtype) {
    case WEFT_F32: *(float *)(void *)at = (float)v; break;
    case WEFT_F64: *(double *)(void *)at = v; break;
    case WEFT_I32: *(int32_t *)(void *)at = (int32_t)v; break;
    case WEFT_I64: *(int64_t *)(void *)at = (int64_t)v; break;
    default: *(uint8_t *)at = (uint8_t)v; break;
    }
}

static char *element_at(const tensor *t, uint64_t flat)
{
    int64_t at[WEFT_MAX_RANK], offset = 0;
    place_of(t->rank, t->dim, flat, at);
    for (int32_t d = 0; d < t->rank; d++)
        offset += at[d] * t->stride[d];
    return t->memory + offset * (int64_t)size_of(t->dtype);
}

tensor *tensor_make(weft_dtype dtype, lie how, int32_t rank, const int64_t *dim)
{
    tensor *t = calloc(1, sizeof *t);
    int64_t extent = 1;
    t->dtype = dtype;
    t->rank = rank;
    t->how = rank ? how : LIE_DENSE;
    t->count = 1;
    for (int32_t d = 0; d < rank; d++) {
        t->dim[d] = dim[d];
        t->count *= (uint64_t)dim[d];
    }
    dense_strides(t);
    if (t->how == LIE_PITCHED) pitched_strides(t);
    if (t->how == LIE_STRIDED) scattered_strides(t);
    if (t->how == LIE_REPEATED) repeated_strides(t);
    for (int32_t d = 0; d < rank; d++)
        extent += t->dim[d] > 0 ? (t->dim[d] - 1) * t->stride[d] : 0;
    t->bytes = (uint64_t)extent * size_of(dtype);
    t->memory = malloc(t->bytes);
    memset(t->memory, GAP, t->bytes);
    t->v = calloc(t->count + 1, sizeof *t->v);
    for (uint64_t i = 0; i < t->count; i++) {
        t->v[i] = dtype == WEFT_F32 ? (double)(float)random_real(-1, 1) : random_real(-1, 1);
        if (dtype == WEFT_I32 || dtype == WEFT_I64) t->v[i] = (double)random_int(-4, 4);
        if (dtype == WEFT_U8) t->v[i] = (double)random_int(0, 9);
        if (dtype == WEFT_BOOL) t->v[i] = (double)random_int(0, 1);
    }
    tensor_put(t);
    for (uint64_t i = 0; i < t->count; i++)
        t->v[i] = element(dtype, element_at(t, i)); /* repeated ones agree now */
    return t;
}

void tensor_free(tensor *t)
{
    if (!t) return;
    free(t->memory);
    free(t->v);
    free(t);
}

void tensor_put(tensor *t)
{
    for (uint64_t i = 0; i < t->count; i++)
        set_element(t->dtype, element_at(t, i), t->v[i]);
}

void tensor_get(tensor *t)
{
    char *seen = calloc(t->bytes + 1, 1);
    for (uint64_t i = 0; i < t->count; i++) {
        char *at = element_at(t, i);
        t->v[i] = element(t->dtype, at);
        memset(seen + (at - t->memory), 1, size_of(t->dtype));
    }
    for (uint64_t i = 0; i < t->bytes; i++) {
        if (!seen[i] && (unsigned char)t->memory[i] != GAP)
            fail_msg("byte %llu between the elements was written", (unsigned long long)i);
    }
    free(seen);
}

/* ---- steps ---- */

static const attr *find(const weft_step *step, const char *name)
{
    const test_step *s = (const test_step *)step;
    for (uint32_t i = 0; i < s->n_attrs; i++) {
        if (!strcmp(s->attrs[i].name, name)) return &s->attrs[i];
    }
    return NULL;
}

static int64_t attr_i(const weft_step *step, const char *name)
{
    const attr *a = find(step, name);
    return a ? a->i : 0;
}

static double attr_f(const weft_step *step, const char *name)
{
    const attr *a = find(step, name);
    return a ? a->f : 0;
}

static const char *attr_s(const weft_step *step, const char *name)
{
    const attr *a = find(step, name);
    return a ? a->s : NULL;
}

static uint32_t attr_v(const weft_step *step, const char *name, int64_t *values, uint32_t cap)
{
    const attr *a = find(step, name);
    if (!a) return 0;
    for (uint32_t i = 0; i < a->n && i < cap; i++)
        values[i] = a->list[i];
    return a->n;
}

static uint32_t attr_fv(const weft_step *step, const char *name, double *values, uint32_t cap)
{
    const attr *a = find(step, name);
    if (!a) return 0;
    for (uint32_t i = 0; i < a->n && i < cap; i++)
        values[i] = (double)a->list[i];
    return a->n;
}

void step_init(test_step *s, const char *op)
{
    memset(s, 0, sizeof *s);
    s->op = (weft_op_class){ .struct_size = sizeof(weft_op_class), .name = op };
    if (!strcmp(op, "matmul") || !strcmp(op, "conv") || !strcmp(op, "conv_input_grad") ||
        !strcmp(op, "reduce"))
        s->op.flags = WEFT_OP_EPILOGUE;
    s->step = (weft_step){ .struct_size = sizeof(weft_step),
                           .op = &s->op,
                           .attrs = "",
                           .path = "net/part",
                           .attr_i = attr_i,
                           .attr_f = attr_f,
                           .attr_s = attr_s,
                           .attr_v = attr_v,
                           .attr_fv = attr_fv };
}

void step_in(test_step *s, tensor *t)
{
    s->in[s->step.n_in++] = t;
}

void step_out(test_step *s, tensor *t)
{
    s->out[s->step.n_out++] = t;
}

static attr *new_attr(test_step *s, const char *name)
{
    attr *a = &s->attrs[s->n_attrs++];
    a->name = name;
    return a;
}

void step_int(test_step *s, const char *name, int64_t value)
{
    new_attr(s, name)->i = value;
}

void step_real(test_step *s, const char *name, double value)
{
    new_attr(s, name)->f = value;
}

void step_text(test_step *s, const char *name, const char *value)
{
    new_attr(s, name)->s = value;
}

void step_list(test_step *s, const char *name, uint32_t n, const int64_t *values)
{
    attr *a = new_attr(s, name);
    a->n = n;
    memcpy(a->list, values, n * sizeof *values);
}

void step_then(test_step *s, const char *then, uint32_t n_extra)
{
    step_text(s, "then", then);
    s->step.n_extra = n_extra;
}

static int64_t told(const test_step *s, int64_t value, int first)
{
    return s->batch > 0 && first && value % s->batch == 0 && value > 0 ? -(value / s->batch)
                                                                       : value;
}

void step_ready(test_step *s)
{
    uint32_t n_in = s->step.n_in;
    for (uint32_t i = 0; i < n_in + s->step.n_out; i++) {
        const tensor *t = i < n_in ? s->in[i] : s->out[i - n_in];
        weft_operand *o = &s->operands[i];
        static const weft_layout layout[] = { WEFT_DENSE, WEFT_PITCHED, WEFT_STRIDED,
                                              WEFT_STRIDED };
        for (int32_t d = 0; d < t->rank; d++) {
            s->dims[i][d] = told(s, t->dim[d], d == 0);
            s->dims[i][WEFT_MAX_RANK + d] = t->stride[d];
        }
        *o = (weft_operand){ .struct_size = sizeof *o,
                             .dtype = t->dtype,
                             .rank = t->rank,
                             .layout = layout[t->how],
                             .dim = s->dims[i],
                             .stride = s->dims[i] + WEFT_MAX_RANK,
                             .outer = 1,
                             .inner = (int64_t)t->count,
                             .pitch = (int64_t)t->count };
        s->pointers[i] = o;
    }
    s->step.in = s->pointers;
    s->step.out = s->pointers + n_in;
}

typedef struct session {
    test_host host;
    weft_dev *dev;
    weft_exe *exe;
    weft_bind binds[WEFT_MAP_MAX_INPUTS + 1 + CPU_STEP_ARGS];
} session;

static void open_session(session *t, test_step *s)
{
    const weft_backend *b = cpu_backend();
    weft_support support = { .struct_size = sizeof support };
    const weft_step *step = &s->step;
    host_init(&t->host);
    t->host.num_threads = "3";
    step_ready(s);
    assert_int_equal(b->open(&t->host.host, 0, NULL, &t->dev), WEFT_OK);
    if (!b->supports(t->dev, step, &support)) fail_msg("%s: %s", s->op.name, support.why);
    if (b->compile(t->dev, &step, 1, &t->exe)) fail_msg("%s: %s", s->op.name, t->host.failure);
    for (uint32_t i = 0; i < step->n_in + step->n_out; i++) {
        tensor *v = i < step->n_in ? s->in[i] : s->out[i - step->n_in];
        if (i >= step->n_in && s->lies_on[i - step->n_in])
            v = s->in[s->lies_on[i - step->n_in] - 1];
        assert_int_equal(b->wrap(t->dev, v->memory, v->bytes, &t->binds[i].buf), WEFT_OK);
        t->binds[i].offset = 0;
    }
}

static void close_session(session *t, const test_step *s)
{
    const weft_backend *b = cpu_backend();
    b->release_exe(t->dev, t->exe);
    for (uint32_t i = 0; i < s->step.n_in + s->step.n_out; i++)
        b->release(t->dev, t->binds[i].buf);
    b->close(t->dev);
    assert_int_equal(t->host.blocks, 0);
}

weft_status step_run_status(test_step *s, char *text, size_t size)
{
    session t = { 0 };
    weft_run run = { .struct_size = sizeof run,
                     .batch = s->batch > 0 ? s->batch : 0,
                     .generation = 1 };
    weft_status st;
    open_session(&t, s);
    run.binds = t.binds;
    run.n_binds = s->step.n_in + s->step.n_out;
    st = cpu_backend()->run(t.dev, t.exe, &run);
    s->most = t.host.most;
    snprintf(text, size, "%s", t.host.failure);
    close_session(&t, s);
    return st;
}

void step_run(test_step *s)
{
    char text[512];
    weft_status st = step_run_status(s, text, sizeof text);
    if (st) fail_msg("%s failed: %s", s->op.name, text);
    step_swap(s);
    for (uint32_t i = 0; i < s->step.n_out; i++)
        tensor_get(s->out[i]);
}

void step_swap(test_step *s)
{
    for (uint32_t i = 0; i < s->step.n_out; i++) {
        tensor *keep = s->out[i], **in = &s->in[s->lies_on[i] - 1];
        if (!s->lies_on[i]) continue;
        s->out[i] = *in;
        *in = keep;
    }
}

void step_free(test_step *s)
{
    for (uint32_t i = 0; i < s->step.n_in; i++)
        tensor_free(s->in[i]);
    for (uint32_t i = 0; i < s->step.n_out; i++)
        tensor_free(s->out[i]);
}

/* ---- indices, comparison ---- */

uint64_t flat_of(int32_t rank, const int64_t *dim, const int64_t *at)
{
    uint64_t flat = 0;
    for (int32_t d = 0; d < rank; d++)
        flat = flat * (uint64_t)dim[d] + (uint64_t)at[d];
    return flat;
}

void place_of(int32_t rank, const int64_t *dim, uint64_t flat, int64_t *at)
{
    for (int32_t d = rank - 1; d >= 0; d--) {
        at[d] = (int64_t)(flat % (uint64_t)dim[d]);
        flat /= (uint64_t)dim[d];
    }
}

double broadcast_at(const tensor *t, int32_t rank, const int64_t *at)
{
    int64_t own[WEFT_MAX_RANK];
    int32_t shift = rank - t->rank;
    for (int32_t d = 0; d < t->rank; d++)
        own[d] = t->dim[d] == 1 ? 0 : at[shift + d];
    return t->v[flat_of(t->rank, t->dim, own)];
}

void expect_near(double got, double want, double limit, const char *what, uint64_t where)
{
    if (isnan(got) && isnan(want)) return;
    if (got == want || fabs(got - want) <= limit) return;
    fail_msg("%s, element %llu: got %.17g, want %.17g, limit %g", what, (unsigned long long)where,
             got, want, limit);
}
