/* reduce: any axes become three groups, outer, reduced and inner, and a launch or two follow. */
#include "step.h"
#include <string.h>
#include "kernels/reduce.cl.h"

enum { GROUP = 128 }; /* as in reduce.cl */

typedef struct shape {
    ocl_axes x_outer, x_mid, x_inner, y_outer, y_inner;
    ocl_nest xo, xm, xi, yo, yi;
} shape;

static void push(ocl_axes *axes, int32_t axis)
{
    axes->axis[axes->n++] = axis;
}

static void nest_of(ocl_nest *nest, const weft_operand *o, const ocl_axes *axes)
{
    ocl_nest_axes(nest, o, axes->axis, axes->n);
}

/* inner: kept axes behind the last reduced one; outer: the other kept ones. */
static shape shape_of(const weft_step *step)
{
    const weft_operand *x = step->in[0], *y = step->out[0];
    int64_t axes[WEFT_MAX_RANK];
    int reduced[WEFT_MAX_RANK] = { 0 };
    int32_t last = -1, at = 0;
    uint32_t n = step->attr_v(step, "axes", axes, WEFT_MAX_RANK);
    int keep = step->attr_i(step, "keepdims") != 0;
    shape s = { 0 };
    for (uint32_t k = 0; k < n; k++)
        reduced[axes[k] < 0 ? axes[k] + x->rank : axes[k]] = 1;
    for (int32_t k = 0; k < x->rank; k++) {
        if (n == 0) reduced[k] = 1;
        if (reduced[k]) last = k;
    }
    for (int32_t k = 0; k < x->rank; k++) {
        if (reduced[k])
            push(&s.x_mid, k);
        else
            push(k > last ? &s.x_inner : &s.x_outer, k);
        if (!reduced[k]) push(k > last ? &s.y_inner : &s.y_outer, at);
        if (!reduced[k] || keep) at++;
    }
    nest_of(&s.xo, x, &s.x_outer);
    nest_of(&s.xm, x, &s.x_mid);
    nest_of(&s.xi, x, &s.x_inner);
    nest_of(&s.yo, y, &s.y_outer);
    nest_of(&s.yi, y, &s.y_inner);
    return s;
}

static int is_float(weft_dtype dtype)
{
    return dtype == WEFT_F32 || dtype == WEFT_F64;
}

static int is_fn(const char *fn, const char *name)
{
    return !strcmp(fn, name);
}

static weft_dtype raw(const weft_step *step)
{
    const char *fn = step->attr_s(step, "fn");
    weft_dtype x = step->in[0]->dtype;
    if (is_fn(fn, "any") || is_fn(fn, "all")) return WEFT_BOOL;
    if (is_fn(fn, "argmax") || is_fn(fn, "argmin")) return WEFT_I64;
    if (is_fn(fn, "mean")) return is_float(x) ? x : WEFT_F32;
    if ((is_fn(fn, "sum") || is_fn(fn, "prod")) && (x == WEFT_BOOL || x == WEFT_U8))
        return WEFT_I32;
    return x;
}

static weft_dtype acc_of(const weft_step *step)
{
    const char *fn = step->attr_s(step, "fn");
    weft_dtype x = step->in[0]->dtype;
    if (is_fn(fn, "any") || is_fn(fn, "all")) return WEFT_BOOL;
    int adds = is_fn(fn, "sum") || is_fn(fn, "prod") || is_fn(fn, "mean");
    return adds && !is_float(x) ? WEFT_I64 : x;
}

static const char *fn_macro(const char *fn)
{
    static const char *const names[][2] = {
        { "sum", "FN_SUM 1" },
        { "prod", "FN_PROD 1" },
        { "max", "FN_MAX 1" },
        { "min", "FN_MIN 1" },
        { "any", "FN_ANY 1" },
        { "all", "FN_ALL 1" },
        { "argmax", "FN_ARGMAX 1" },
        { "argmin", "FN_ARGMIN 1" },
        { "mean", "FN_SUM 1\n#define FN_MEAN 1" },
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_fn(fn, names[i][0])) return names[i][1];
    return "FN_NONE 1";
}

static const char *limits(weft_dtype acc)
{
    switch (acc) {
    case WEFT_I32: return "#define LEAST INT_MIN\n#define MOST INT_MAX\n";
    case WEFT_I64: return "#define LEAST LONG_MIN\n#define MOST LONG_MAX\n";
    case WEFT_U8: return "#define LEAST 0\n#define MOST 255\n";
    case WEFT_BOOL: return "#define LEAST 0\n#define MOST 1\n";
    default: return "#define LEAST (-INFINITY)\n#define MOST INFINITY\n";
    }
}

static int dense(const ocl_nest *nest)
{
    return nest->rank == 0 || (nest->rank == 1 && nest->stride[0][0] == 1);
}

/* Columns that a work-item of a CPU does together: long pieces of lines, if lines are long. */
static int64_t wide(const shape *s)
{
    int64_t inner = 1;
    for (uint32_t k = 0; k < s->xi.rank; k++)
        if (!ocl_symbol_mul(inner, s->xi.dim[k], &inner)) inner = -1;
    return inner >= 1024 ? 128 : inner >= 64 ? 64 : 32;
}

static weft_status write(ocl_source *src)
{
    shape s = shape_of(src->step);
    weft_dtype acc = acc_of(src->step);
    ocl_source_group(src, "X_OUTER", &s.xo, "so");
    ocl_source_group(src, "X_MID", &s.xm, "sm");
    ocl_source_group(src, "X_INNER", &s.xi, "si");
    ocl_source_group(src, "Y_OUTER", &s.yo, "to");
    ocl_source_group(src, "Y_INNER", &s.yi, "ti");
    ocl_text_add(src->text, "#define ACC %s\n#define RAW %s\n#define %s\n%s", ocl_type_name(acc),
                 ocl_type_name(src->raw), fn_macro(src->step->attr_s(src->step, "fn")),
                 limits(acc));
    if (src->dev->cpu) ocl_text_add(src->text, "#define WIDE %d\n", (int)wide(&s));
    if (dense(&s.xm)) ocl_text_add(src->text, "#define ROWS_DENSE 1\n");
    if (dense(&s.xi)) ocl_text_add(src->text, "#define COLUMNS_DENSE 1\n");
    return WEFT_OK;
}

typedef struct job {
    ocl_call *call;
    weft_cl_launch launch;
    int64_t outer, mid, inner, splits, block;
    int64_t stride[5], wide;
    weft_view part;
} job;

static weft_status start(job *j, const char *kernel)
{
    const weft_kernel_call *base = &j->call->base;
    const weft_view *views[3 + WEFT_MAP_MAX_INPUTS] = { base->in[0], &j->part, base->out[0] };
    int64_t ints[] = { j->outer,     j->mid,       j->inner,     j->stride[0], j->stride[1],
                       j->stride[2], j->stride[3], j->stride[4], j->splits,    j->block };
    for (uint32_t k = 0; k < base->n_extra; k++)
        views[3 + k] = base->in[base->n_in - base->n_extra + k];
    j->launch.struct_size = sizeof j->launch;
    j->launch.n_views = 3 + base->n_extra;
    j->launch.n_ints = sizeof ints / sizeof *ints;
    j->launch.views = views;
    j->launch.ints = ints;
    j->launch.kernel = kernel;
    return ocl_services.launch(base, &j->launch);
}

static int64_t largest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t split(int64_t wanted, int64_t mid, int64_t least)
{
    int64_t most = mid / least;
    if (wanted > most) wanted = most;
    return largest(wanted, 1);
}

static const char *cpu_shape(job *j)
{
    int64_t units = 4 * (int64_t)j->call->dev->device->info.compute_units, items;
    weft_cl_launch *l = &j->launch;
    l->local[0] = l->local[1] = l->local[2] = 1;
    if (j->inner == 1) {
        j->block = largest(1, 4096 / largest(j->mid, 1));
        items = (j->outer + j->block - 1) / j->block;
        j->splits = split(units / items, j->mid, 8192);
        l->global[0] = (size_t)items;
        l->global[1] = (size_t)j->splits;
        l->global[2] = 1;
        return "reduce_rows";
    }
    items = (j->inner + j->wide - 1) / j->wide;
    j->splits = split(units / (items * j->outer), j->mid, 256);
    l->global[0] = (size_t)items;
    l->global[1] = (size_t)j->outer;
    l->global[2] = (size_t)j->splits;
    return "reduce_columns";
}

static const char *gpu_shape(job *j)
{
    int64_t results = j->outer * j->inner,
            units = (int64_t)j->call->dev->device->info.compute_units;
    weft_cl_launch *l = &j->launch;
    int group = j->inner < 16 && j->mid >= 64 && j->call->dev->max_group >= GROUP;
    int64_t groups = group ? results : (results + GROUP - 1) / GROUP;
    j->splits = split(8 * units / groups, j->mid, group ? 8 * GROUP : 64);
    l->global[0] = (size_t)(group ? GROUP * results : results);
    l->global[1] = (size_t)j->splits;
    l->global[2] = 1;
    l->local[0] = group ? GROUP : 0;
    return group ? "reduce_group" : "reduce_item";
}

static weft_status enqueue(const weft_kernel_call *base, const weft_cl *cl)
{
    ocl_call *call = (ocl_call *)base;
    const char *fn = base->attr_s(base, "fn");
    const weft_view *x = base->in[0];
    shape s = shape_of(call->step);
    job j = {
        .call = call, .outer = 1, .mid = 1, .inner = 1, .splits = 1, .block = 1, .wide = wide(&s)
    };
    weft_status st;
    (void)cl;
    for (uint32_t k = 0; k < s.x_outer.n; k++)
        j.outer *= x->dim[s.x_outer.axis[k]];
    for (uint32_t k = 0; k < s.x_mid.n; k++)
        j.mid *= x->dim[s.x_mid.axis[k]];
    for (uint32_t k = 0; k < s.x_inner.n; k++)
        j.inner *= x->dim[s.x_inner.axis[k]];
    const ocl_nest *nests[5] = { &s.xo, &s.xm, &s.xi, &s.yo, &s.yi };
    for (int k = 0; k < 5; k++)
        j.stride[k] = ocl_group_stride(nests[k], base->batch);
    j.part = (weft_view){ .struct_size = sizeof j.part };
    if (j.outer == 0 || j.inner == 0) return WEFT_OK;
    if (!strncmp(fn, "arg", 3)) {
        j.launch.global[0] = (size_t)(j.outer * j.inner);
        return start(&j, "reduce_arg");
    }
    const char *kernel = call->dev->cpu ? cpu_shape(&j) : gpu_shape(&j);
    if (j.splits > 1)
        j.part = ocl_work(call, acc_of(call->step), 0, (uint64_t)(j.splits * j.outer * j.inner));
    if ((st = start(&j, kernel)) || j.splits == 1) return st;
    j.launch = (weft_cl_launch){ .global = { (size_t)(j.outer * j.inner) } };
    return start(&j, "reduce_last");
}

const ocl_op ocl_op_reduce = {
    .name = "reduce",
    .file = "reduce.cl",
    .source = weft_cl_reduce,
    .kernel = { .struct_size = sizeof(weft_cl_kernel),
                .flags = OCL_ANY_LAYOUT | WEFT_KERNEL_EPILOGUE | WEFT_KERNEL_ANY_DTYPE,
                .enqueue = enqueue },
    .raw = raw,
    .write = write,
};
