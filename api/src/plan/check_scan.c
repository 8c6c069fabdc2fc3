/* What a loop should give, and how far f32 may be from it: its body is analysed step after step,
 * with the values and the errors that the step before left in the carries. */
#include "plan/check_op.h"
#include <string.h>
#include "base/alloc.h"
#include "base/array.h"
#include "graph/dim.h"
#include "graph/scan.h"

typedef struct loop {
    weft__devices *cpu;
    const weft__node *node;
    weft__scan_request r;
    int64_t batch, steps;
    weft__known *in;   /* of one step: carries and xs are its own, captures are not */
    weft__known *made; /* by one step */
} loop;

static weft_status copy_known(const weft__known *from, weft__known *to)
{
    weft_status st = weft_array_convert(from->value, from->value->spec.dtype, &to->value);
    if (!st && from->err) st = weft_array_convert(from->err, from->err->spec.dtype, &to->err);
    return st;
}

/* Step t of `whole` along the axis and `step`, one into the other. */
static void move_step(const loop *l, weft_array *whole, weft_array *step, int64_t t, int into)
{
    const weft_spec *spec = &whole->spec;
    size_t line = weft_dtype_size(spec->dtype), outer = 1;
    for (int32_t i = 0; i < spec->rank; i++) {
        if (i < l->r.axis) outer *= (size_t)spec->dim[i];
        if (i > l->r.axis) line *= (size_t)spec->dim[i];
    }
    for (size_t i = 0; i < outer && line; i++) {
        char *a = (char *)whole->data + (i * (size_t)l->steps + (size_t)t) * line;
        char *b = (char *)step->data + i * line;
        memcpy(into ? a : b, into ? b : a, line);
    }
}

static weft_status cut(const loop *l, weft_array *whole, int64_t t, weft_array **step)
{
    weft_spec spec = whole->spec;
    weft_status st;
    memmove(&spec.dim[l->r.axis], &spec.dim[l->r.axis + 1],
            (size_t)(spec.rank - 1 - l->r.axis) * sizeof *spec.dim);
    spec.rank--;
    if ((st = weft_array_create(&spec, step))) return st;
    move_step(l, whole, *step, t, 0);
    return WEFT_OK;
}

/* The xs of step t. */
static weft_status cut_xs(const loop *l, const weft__known *in, int64_t t)
{
    weft_status st = WEFT_OK;
    for (uint32_t i = l->r.n_carry; i < l->r.n_carry + l->r.n_x && !st; i++) {
        weft__known_finish(&l->in[i]);
        st = cut(l, in[i].value, t, &l->in[i].value);
        if (!st && in[i].err) st = cut(l, in[i].err, t, &l->in[i].err);
    }
    return st;
}

static weft_status put_y(const loop *l, const weft__known *step, int64_t t, weft__known *y)
{
    weft_spec spec = y->value->spec;
    weft_status st;
    move_step(l, y->value, step->value, t, 1);
    if (!step->err) return WEFT_OK;
    spec.dtype = WEFT_F64;
    if (!y->err && (st = weft_array_create(&spec, &y->err))) return st;
    move_step(l, y->err, step->err, t, 1);
    return WEFT_OK;
}

static weft_status run_step(const loop *l, const weft__known *in, int64_t t, weft__known *out)
{
    weft_status st = cut_xs(l, in, t);
    if (st) return st;
    weft__trial inputs = { .in = l->in, .n_in = l->r.n_in, .batch = l->batch };
    if ((st = weft__graph_analyse(l->cpu, l->node->region, &inputs, l->made))) return st;
    for (uint32_t i = 0; i < l->node->n_out && !st; i++) {
        if (i < l->r.n_carry) {
            weft__known_finish(&l->in[i]);
            l->in[i].value = l->made[i].value;
            l->in[i].err = l->made[i].err;
            l->made[i] = (weft__known){ 0 };
        } else {
            st = put_y(l, &l->made[i], t, &out[i]);
            weft__known_finish(&l->made[i]);
        }
    }
    return st;
}

/* Carries as they begin, captures as they are, ys empty. */
static weft_status begin(const loop *l, const weft__known *in, weft__known *out)
{
    const weft__graph *region = l->node->region;
    weft_status st = WEFT_OK;
    for (uint32_t i = 0; i < l->r.n_in && !st; i++) {
        if (i < l->r.n_carry)
            st = copy_known(&in[i], &l->in[i]);
        else if (i >= l->r.n_carry + l->r.n_x)
            l->in[i] = in[i];
        l->in[i].spec = *weft__graph_spec(region, region->input[i].value);
    }
    for (uint32_t i = l->r.n_carry; i < l->node->n_out && !st; i++) {
        weft_spec spec = weft__spec_at(&out[i].spec, l->batch);
        spec.dim[l->r.axis] = l->steps;
        if (spec.dtype == WEFT_F32) spec.dtype = WEFT_F64;
        st = weft_array_create(&spec, &out[i].value);
    }
    return st;
}

weft_status weft__scan_analyse(weft__devices *cpu, const weft__trial *trial, weft__known *out)
{
    const weft__node *node = trial->loop;
    const weft__known *in = trial->in;
    loop l = { .cpu = cpu, .node = node, .batch = trial->batch };
    weft_status st = WEFT_E_NOMEM;
    weft__scan_of(node, &l.r);
    l.in = weft__alloc_n(l.r.n_in, sizeof *l.in);
    l.made = weft__alloc_n(node->n_out, sizeof *l.made);
    if (!l.in || !l.made) goto out;
    l.steps = in[l.r.n_carry].value->spec.dim[l.r.axis];
    st = begin(&l, in, out);
    for (int64_t t = 0; t < l.steps && !st; t++)
        st = run_step(&l, in, l.r.reverse ? l.steps - 1 - t : t, out);
    for (uint32_t i = 0; i < l.r.n_carry && !st; i++) {
        out[i].value = l.in[i].value;
        out[i].err = l.in[i].err;
        l.in[i] = (weft__known){ 0 };
    }
out:
    for (uint32_t i = 0; l.in && i < l.r.n_carry + l.r.n_x; i++)
        weft__known_finish(&l.in[i]);
    for (uint32_t i = 0; l.made && i < node->n_out; i++)
        weft__known_finish(&l.made[i]);
    weft__free(l.in);
    weft__free(l.made);
    return st;
}
