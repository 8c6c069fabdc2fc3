/* Error bounds of elementwise expressions: a running error analysis of the program. Beside each
 * value, in f64, goes a bound e of |what f32 computes - value|. A call's bound is the largest
 * change of the function over the corners of its arguments' intervals [v - e, v + e] (which sees
 * kinks, jumps and poles where a derivative does not), plus the rounding of the call itself: 3
 * units in the last place (OpenCL allows 2.5 for a division), 16 for transcendental functions
 * (OpenCL's largest, that of pow). */
#include "plan/check_op.h"
#include <float.h>
#include <math.h>
#include <string.h>
#include "base/alloc.h"
#include "base/array.h"
#include "base/fail.h"
#include "graph/dim.h"
#include "graph/map.h"

enum { BLOCK = 256, CHEAP_ULPS = 3, COSTLY_ULPS = 16 };

typedef struct analysis {
    const weft_map_program *program;
    double *value, *err; /* [instruction][BLOCK] */
    const double *in[WEFT_MAP_MAX_INPUTS],
        *in_err[WEFT_MAP_MAX_INPUTS]; /* of the block; in_err may be NULL */
    size_t n;
} analysis;

static double *value_of(const analysis *a, uint32_t ins)
{
    return a->value + (size_t)ins * BLOCK;
}

static double *err_of(const analysis *a, uint32_t ins)
{
    return a->err + (size_t)ins * BLOCK;
}

/* |x - y|, where NaN equals NaN and is infinitely far from anything else. */
static double distance(double x, double y)
{
    if (isnan(x) && isnan(y)) return 0;
    if (isnan(x) || isnan(y)) return INFINITY;
    return x == y ? 0 : fabs(x - y);
}

/* What rounding the result itself adds; beyond f32's range all is open. */
static double rounding(double value, int ulps)
{
    if (isnan(value) || isinf(value)) return 0;
    if (fabs(value) > FLT_MAX) return INFINITY;
    return ulps * (double)FLT_EPSILON * fabs(value) + FLT_MIN;
}

static void call(const analysis *a, uint32_t number)
{
    const weft_map_ins *ins = &a->program->ins[number];
    int arity = ins->fn->arity;
    double *value = value_of(a, number), *err = err_of(a, number), *arg[3], *e[3];
    double moved[3][BLOCK], corner[BLOCK];
    for (int k = 0; k < 3; k++) {
        arg[k] = value_of(a, ins->arg[k < arity ? k : 0]);
        e[k] = err_of(a, ins->arg[k < arity ? k : 0]);
    }
    ins->fn->f64(a->n, value, arg[0], arg[1], arg[2]);
    if (!weft__is_float(ins->type))
        for (size_t i = 0; i < a->n; i++)
            value[i] = trunc(value[i]);
    memset(err, 0, a->n * sizeof *err);
    for (int signs = 0; signs < 1 << arity; signs++) {
        for (int k = 0; k < 3; k++)
            for (size_t i = 0; i < a->n; i++)
                moved[k][i] = arg[k][i] + (signs >> k & 1 ? e[k][i] : -e[k][i]);
        ins->fn->f64(a->n, corner, moved[0], moved[1], moved[2]);
        for (size_t i = 0; i < a->n; i++)
            err[i] = fmax(err[i], distance(corner[i], value[i]));
    }
    if (!weft__is_float(ins->dtype)) return;
    for (size_t i = 0; i < a->n; i++)
        err[i] += rounding(value[i], ins->fn->flags & WEFT_MAP_COSTLY ? COSTLY_ULPS : CHEAP_ULPS);
}

static double cast_to(double x, weft_dtype dtype)
{
    if (dtype == WEFT_BOOL) return x != 0;
    return weft__is_float(dtype) ? x : trunc(x);
}

static void cast(const analysis *a, uint32_t number)
{
    const weft_map_ins *ins = &a->program->ins[number];
    const double *x = value_of(a, ins->arg[0]), *e = err_of(a, ins->arg[0]);
    double *value = value_of(a, number), *err = err_of(a, number);
    for (size_t i = 0; i < a->n; i++) {
        value[i] = cast_to(x[i], ins->dtype);
        err[i] = fmax(distance(cast_to(x[i] + e[i], ins->dtype), value[i]),
                      distance(cast_to(x[i] - e[i], ins->dtype), value[i]));
        if (weft__is_float(ins->dtype) && !weft__is_float(ins->type) && ins->type != WEFT_BOOL)
            err[i] += rounding(value[i], 1);
    }
}

static void step(const analysis *a, uint32_t number)
{
    const weft_map_ins *ins = &a->program->ins[number];
    double *value = value_of(a, number), *err = err_of(a, number);
    switch (ins->kind) {
    case WEFT_MAP_CALL: call(a, number); return;
    case WEFT_MAP_CAST: cast(a, number); return;
    case WEFT_MAP_CONST:
        for (size_t i = 0; i < a->n; i++) {
            value[i] = ins->value;
            err[i] =
                weft__is_float(ins->dtype) ? distance((double)(float)ins->value, ins->value) : 0;
        }
        return;
    default:
        memcpy(value, a->in[ins->arg[0]], a->n * sizeof *value);
        if (a->in_err[ins->arg[0]])
            memcpy(err, a->in_err[ins->arg[0]], a->n * sizeof *err);
        else
            memset(err, 0, a->n * sizeof *err);
    }
}

/* The array in f64 and in the result's shape. */
static weft_status expand(const weft_array *array, const weft_spec *shape, weft_array **result)
{
    weft_spec spec = *shape;
    weft_array *source = NULL;
    weft_status st;
    int32_t more = shape->rank - array->spec.rank;
    uint64_t n, at;
    spec.dtype = WEFT_F64;
    if ((st = weft_array_convert(array, WEFT_F64, &source))) return st;
    if ((st = weft__array_create_raw(&spec, result))) goto out;
    n = weft_array_count(*result);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t rest = i, stride = 1;
        at = 0;
        for (int32_t k = shape->rank - 1; k >= more; k--) {
            uint64_t dim = (uint64_t)array->spec.dim[k - more],
                     here = rest % (uint64_t)shape->dim[k];
            rest /= (uint64_t)shape->dim[k];
            if (dim != 1) at += here * stride;
            stride *= dim;
        }
        ((double *)(*result)->data)[i] = ((double *)source->data)[at];
    }
out:
    weft_array_destroy(&source);
    return st;
}

typedef struct operands {
    weft_array *value[WEFT_MAP_MAX_INPUTS], *err[WEFT_MAP_MAX_INPUTS];
} operands;

static weft_status expand_all(const weft__trial *trial, const weft_spec *shape, operands *o)
{
    weft_status st = WEFT_OK;
    for (uint32_t i = 0; i < trial->n_in && !st; i++) {
        st = expand(trial->in[i].value, shape, &o->value[i]);
        if (!st && trial->in[i].err) st = expand(trial->in[i].err, shape, &o->err[i]);
    }
    return st;
}

static void analyse(analysis *a, const operands *o, uint32_t n_in, weft_array *err)
{
    uint64_t total = weft_array_count(err);
    for (uint64_t first = 0; first < total; first += a->n) {
        a->n = total - first < BLOCK ? (size_t)(total - first) : BLOCK;
        for (uint32_t i = 0; i < n_in; i++) {
            a->in[i] = (const double *)o->value[i]->data + first;
            a->in_err[i] = o->err[i] ? (const double *)o->err[i]->data + first : NULL;
        }
        for (uint32_t i = 0; i < a->program->n_ins; i++)
            step(a, i);
        memcpy((double *)err->data + first, err_of(a, a->program->result), a->n * sizeof(double));
    }
}

weft_status weft__map_error(const weft_host *host, const char *expr, const weft__trial *trial,
                            const weft_spec *result, weft_array **err)
{
    weft_map_program *program = NULL;
    weft_dtype in[WEFT_MAP_MAX_INPUTS];
    weft_spec shape = weft__spec_at(result, trial->batch);
    operands o = { 0 };
    analysis a = { 0 };
    weft_status st;
    for (uint32_t i = 0; i < trial->n_in; i++)
        in[i] = trial->in[i].spec.dtype;
    if ((st = weft__map_api.parse(host, expr, in, trial->n_in, result->dtype, &program))) return st;
    a.program = program;
    st = WEFT_E_NOMEM;
    if (!(a.value = weft__alloc_n((size_t)program->n_ins * BLOCK, sizeof *a.value))) goto out;
    if (!(a.err = weft__alloc_n((size_t)program->n_ins * BLOCK, sizeof *a.err))) goto out;
    shape.dtype = WEFT_F64;
    if ((st = expand_all(trial, &shape, &o))) goto out;
    if ((st = weft__array_create_raw(&shape, err))) goto out;
    analyse(&a, &o, trial->n_in, *err);
out:
    for (uint32_t i = 0; i < trial->n_in; i++) {
        weft_array_destroy(&o.value[i]);
        weft_array_destroy(&o.err[i]);
    }
    weft__map_api.release(&program);
    weft__free(a.value);
    weft__free(a.err);
    return st;
}
