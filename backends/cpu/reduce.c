/* reduce: out[kept] = fn over the reduced indices of x[kept, reduced], with numpy's meaning: NaN
 * wins max, min, argmax and argmin; max of nothing is -inf, mean of nothing NaN; any and all give
 * bool, argmax and argmin i64 (the first of equals). x: any dtype but f16 and bf16, any layout;
 * floats are folded in double, integers in int64 that wraps. Work is cut by
 * shape alone, so that the numbers do not depend on the threads. */
#include "cpu.h"
#include "fold.h"
#include <string.h>

#define BLOCK CPU_BLOCK
#define CHUNK 32768u /* reduced elements, at least */
#define MAX_CHUNKS 64u
#define FEW_OUTPUTS 1024u /* up to here reduced elements are cut, too */

typedef struct plan {
    const cpu_fold *fold;
    cpu_nest kept, reduced; /* operand 0 of both: x */
    const weft_view *x;
    cpu_job job; /* stores results, through `then` if there is one */
    weft_dtype result;
    int truths, mean, by_rows;
    uint64_t block, blocks, chunk, chunks; /* outputs a block, reduced elements a chunk */
    char *acc, *where, *temp;              /* acc and where: a line of outputs for each chunk */
    size_t temp_size;
} plan;

/* What a thread works with: six blocks, then the job's. */
typedef struct room {
    char *raw, *wide, *acc, *where, *result, *job;
} room;

static room room_of(const plan *p, uint32_t thread)
{
    char *base = p->temp + thread * p->temp_size;
    room r = { base,
               base + CPU_BLOCK_BYTES,
               base + 2 * CPU_BLOCK_BYTES,
               base + 3 * CPU_BLOCK_BYTES,
               base + 4 * CPU_BLOCK_BYTES,
               base + 5 * CPU_BLOCK_BYTES };
    return r;
}

static weft_dtype result_dtype(const char *fn, weft_dtype x)
{
    if (!strncmp(fn, "arg", 3)) return WEFT_I64;
    if (!strcmp(fn, "any") || !strcmp(fn, "all")) return WEFT_BOOL;
    if (!strcmp(fn, "mean") && !cpu_dtype_float(x)) return WEFT_F32;
    if ((!strcmp(fn, "sum") || !strcmp(fn, "prod")) && (x == WEFT_BOOL || x == WEFT_U8))
        return WEFT_I32;
    return x;
}

static const cpu_fold *fold_of(const char *fn, weft_dtype x)
{
    int truths = !strcmp(fn, "any") || !strcmp(fn, "all");
    return cpu_fold_find(fn, truths || (!cpu_dtype_float(x) && strcmp(fn, "mean")));
}

static const void *widen(const plan *p, const cpu_span *span, const void *base, const room *r)
{
    const void *raw = cpu_span_load(span, base, r->raw);
    if (p->truths) return cpu_truths(p->x->dtype, span->n, raw, r->wide);
    return cpu_widen(p->x->dtype, p->fold, span->n, raw, r->wide);
}

static const char *x_at(const plan *p, int64_t offset)
{
    return (const char *)p->x->data + offset * (int64_t)cpu_dtype_size(p->x->dtype);
}

/* Outputs one by one, each over a run of reduced elements. */
static void fold_rows(const plan *p, const cpu_span *out, const cpu_span *over, const room *r)
{
    for (uint64_t i = 0; i < out->n; i++) {
        const char *base = x_at(p, cpu_nest_offset(&p->kept, 0, out->first + i));
        cpu_span span = *over;
        for (uint64_t left = over->n; left > 0; left -= span.n, span.first += span.n) {
            const void *v;
            span.n = left < BLOCK ? left : BLOCK;
            v = widen(p, &span, base, r);
            p->fold->run(span.n, r->acc + i * 8, (int64_t *)(void *)r->where + i, v,
                         (int64_t)span.first);
        }
    }
}

/* All outputs of the block at once, reduced elements one by one. */
static void fold_lines(const plan *p, const cpu_span *out, const cpu_span *over, const room *r)
{
    for (uint64_t i = over->first; i < over->first + over->n; i++) {
        const void *v = widen(p, out, x_at(p, cpu_nest_offset(&p->reduced, 0, i)), r);
        p->fold->line(out->n, r->acc, (int64_t *)(void *)r->where, v, (int64_t)i);
    }
}

/* max and min of no elements: the least and the most of the dtype, not of int64. */
static void clamp(weft_dtype dtype, uint64_t n, int64_t *acc)
{
    int64_t low = dtype == WEFT_I32 ? INT32_MIN : 0;
    int64_t high = dtype == WEFT_I32 ? INT32_MAX : dtype == WEFT_U8 ? UINT8_MAX : 1;
    if (dtype == WEFT_I64) return;
    for (uint64_t i = 0; i < n; i++)
        acc[i] = acc[i] < low ? low : acc[i] > high ? high : acc[i];
}

/* r->acc and r->where hold the final folds of n outputs from `first` on. */
static void finish_block(const plan *p, uint64_t first, uint64_t n, const room *r)
{
    if (p->mean) {
        double *acc = (double *)(void *)r->acc;
        for (uint64_t i = 0; i < n; i++)
            acc[i] /= (double)p->reduced.count;
    }
    if (p->fold->integers && !p->reduced.count) clamp(p->result, n, (int64_t *)(void *)r->acc);
    if (p->fold->where)
        memcpy(r->result, r->where, n * sizeof(int64_t));
    else
        cpu_narrow(p->result, p->fold, n, r->acc, r->result);
    cpu_job_range(&p->job, r->result, first, n, r->job);
}

static uint64_t outputs(const plan *p, uint64_t first)
{
    uint64_t left = p->kept.count - first;
    return left < p->block ? left : p->block;
}

static void fold_task(void *user, uint64_t task, uint32_t thread)
{
    const plan *p = user;
    room r = room_of(p, thread);
    uint64_t block = task / p->chunks, chunk = task % p->chunks;
    uint32_t size = (uint32_t)cpu_dtype_size(p->x->dtype);
    cpu_span out = { &p->kept, 0, size, block * p->block, 0 };
    cpu_span over = { &p->reduced, 0, size, chunk * p->chunk, 0 };
    uint64_t left = p->reduced.count - over.first;
    out.n = outputs(p, out.first);
    over.n = left < p->chunk ? left : p->chunk;
    if (p->chunks > 1) {
        r.acc = p->acc + (chunk * p->kept.count + out.first) * 8;
        r.where = p->where + (chunk * p->kept.count + out.first) * 8;
    }
    cpu_fold_start(p->fold, out.n, r.acc, (int64_t *)(void *)r.where);
    if (over.n && p->by_rows) fold_rows(p, &out, &over, &r);
    if (over.n && !p->by_rows) fold_lines(p, &out, &over, &r);
    if (p->chunks == 1) finish_block(p, out.first, out.n, &r);
}

static void join_task(void *user, uint64_t task, uint32_t thread)
{
    const plan *p = user;
    room r = room_of(p, thread);
    uint64_t first = task * p->block, n = outputs(p, first);
    r.acc = p->acc + first * 8;
    r.where = p->where + first * 8;
    for (uint64_t chunk = 1; chunk < p->chunks; chunk++) {
        uint64_t at = (chunk * p->kept.count + first) * 8;
        p->fold->join(n, r.acc, (int64_t *)(void *)r.where, p->acc + at,
                      (const int64_t *)(const void *)(p->where + at));
    }
    finish_block(p, first, n, &r);
}

/* ---- planning ---- */

static void split_dims(plan *p, const weft_kernel_call *call)
{
    const weft_view *x = call->in[0];
    int64_t axes[WEFT_MAX_RANK], dim[2][WEFT_MAX_RANK], stride[2][WEFT_MAX_RANK];
    uint32_t n = call->attr_v(call, "axes", axes, WEFT_MAX_RANK);
    int32_t rank[2] = { 0, 0 };
    for (int32_t d = 0; d < x->rank; d++) {
        int reduced = n == 0;
        for (uint32_t i = 0; i < n; i++)
            reduced |= (axes[i] < 0 ? axes[i] + x->rank : axes[i]) == d;
        dim[reduced][rank[reduced]] = x->dim[d];
        stride[reduced][rank[reduced]++] = x->stride[d];
    }
    cpu_nest_init(&p->kept, rank[0], dim[0]);
    cpu_nest_add(&p->kept, stride[0]);
    cpu_nest_collapse(&p->kept);
    cpu_nest_init(&p->reduced, rank[1], dim[1]);
    cpu_nest_add(&p->reduced, stride[1]);
    cpu_nest_collapse(&p->reduced);
}

/* Rows where the reduced elements lie closer together than the outputs' and are not too few. */
static int prefers_rows(const plan *p)
{
    const cpu_nest *k = &p->kept, *r = &p->reduced;
    if (k->rank == 0) return 1;
    if (r->rank == 0 || r->dim[r->rank - 1] < 32) return 0;
    return r->stride[0][r->rank - 1] <= k->stride[0][k->rank - 1] || k->dim[k->rank - 1] < 16;
}

static void cut(plan *p)
{
    uint64_t kept = p->kept.count, reduced = p->reduced.count;
    p->by_rows = prefers_rows(p);
    p->block = kept < 16 * BLOCK ? 256 : BLOCK;
    if (p->by_rows && reduced) p->block = reduced >= CHUNK ? 1 : 1 + CHUNK / reduced;
    if (p->block > BLOCK) p->block = BLOCK;
    p->blocks = (kept + p->block - 1) / p->block;
    p->chunk = reduced;
    p->chunks = 1;
    if (kept <= FEW_OUTPUTS && kept * reduced >= 2 * CHUNK) {
        p->chunk = CHUNK / (p->by_rows ? 1 : (kept < 256 ? kept : 256));
        if (reduced / p->chunk >= MAX_CHUNKS) p->chunk = reduced / MAX_CHUNKS + 1;
        p->chunks = (reduced + p->chunk - 1) / p->chunk;
    }
}

static void make_plan(plan *p, const weft_kernel_call *call)
{
    const char *fn = call->attr_s(call, "fn");
    p->x = call->in[0];
    p->fold = fold_of(fn, p->x->dtype);
    p->truths = !strcmp(fn, "any") || !strcmp(fn, "all");
    p->mean = !strcmp(fn, "mean");
    p->result = cpu_node_of(call)->then ? result_dtype(fn, p->x->dtype) : call->out[0]->dtype;
    split_dims(p, call);
    cut(p);
    p->temp_size = 5 * CPU_BLOCK_BYTES + cpu_job_temp(1 + call->n_extra);
}

static size_t line_bytes(const plan *p)
{
    return p->chunks > 1 ? (size_t)(p->chunks * p->kept.count * 8 + 63) / 64 * 64 : 0;
}

static size_t scratch(const weft_kernel_call *call)
{
    plan p;
    make_plan(&p, call);
    return 2 * line_bytes(&p) + cpu_node_of(call)->dev->threads * p.temp_size;
}

static weft_status run(const weft_kernel_call *call)
{
    plan p;
    uint64_t work;
    if (!call->out[0]->count || !call->out[0]->data) return WEFT_OK;
    make_plan(&p, call);
    if (p.fold->where && !p.reduced.count) {
        return cpu_fail(call, WEFT_E_SHAPE, "%s over an axis without elements has no answer",
                        call->attr_s(call, "fn"));
    }
    p.acc = call->scratch;
    p.where = p.acc + line_bytes(&p);
    p.temp = p.where + line_bytes(&p);
    cpu_then_job(&p.job, call, p.result);
    work = p.kept.count * (p.reduced.count + 1);
    cpu_parallel(call, work, p.blocks * p.chunks, fold_task, &p);
    if (p.chunks > 1) cpu_parallel(call, work, p.blocks, join_task, &p);
    return WEFT_OK;
}

static int supports(const weft_kernel_call *call, char *why, size_t size)
{
    const char *fn = call->attr_s(call, "fn");
    weft_dtype x = call->in[0]->dtype, out = call->out[0]->dtype, result = result_dtype(fn, x);
    if (!fold_of(fn, x)) return cpu_no(why, size, "fn=%s is not known", fn);
    if (!cpu_no_half(call, why, size)) return 0;
    /* Sums and products of integers are exact in any integer type; the op's infer chose one. */
    if (!cpu_node_of(call)->then && !cpu_dtype_float(x) && !cpu_dtype_float(out) &&
        (!strcmp(fn, "sum") || !strcmp(fn, "prod")))
        result = out;
    return cpu_then_supports(call, result, why, size);
}

static weft_status prepare(cpu_node *node)
{
    const weft_kernel_call *call = &node->call;
    return cpu_then_prepare(node, result_dtype(call->attr_s(call, "fn"), call->in[0]->dtype));
}

const cpu_kernel cpu_reduce = {
    "reduce",
    { sizeof(weft_cpu_kernel),
      CPU_ANY_LAYOUT | WEFT_KERNEL_EPILOGUE | WEFT_KERNEL_F64 | WEFT_KERNEL_ANY_DTYPE, supports,
      scratch, run },
    prepare,
};
