/* reduce: one number from many, along axes.
 *   y[j..] = fn over all x[i..] that agree with j outside of the axes
 * sum prod max min keep the dtype (bool and u8 become i32 in sum and prod); mean of integers is
 * f32; any, all give bool; argmax, argmin give the first winner's place along one axis as i64. NaN
 * wins all of them, as in numpy. Of nothing sum, prod, max and min give 0, 1, -inf and inf. */
#include <string.h>
#include "base/fail.h"
#include "graph/dim.h"
#include "graph/ops/grad.h"
#include "graph/ops/ops.h"

static int is_fn(const char *fn, const char *name)
{
    return fn && strcmp(fn, name) == 0;
}

static weft_status result_dtype(const char *fn, weft_dtype x, weft_dtype *y)
{
    int real = x == WEFT_F32 || x == WEFT_F64;
    if (x == WEFT_F16 || x == WEFT_BF16)
        return weft_fail(WEFT_E_DTYPE, "%s is for storage only; convert the input to float32 first",
                         weft_dtype_name(x));
    if (is_fn(fn, "any") || is_fn(fn, "all"))
        *y = WEFT_BOOL;
    else if (is_fn(fn, "argmax") || is_fn(fn, "argmin"))
        *y = WEFT_I64;
    else if (is_fn(fn, "mean"))
        *y = real ? x : WEFT_F32;
    else if (is_fn(fn, "sum") || is_fn(fn, "prod"))
        *y = x == WEFT_BOOL || x == WEFT_U8 ? WEFT_I32 : x;
    else
        *y = x;
    return WEFT_OK;
}

static weft_status infer(weft_build *b, weft_spec *outs)
{
    weft_spec x;
    int axes[WEFT_MAX_RANK], n = 0;
    weft_status st;
    const char *fn = b->api->attr_s(b, "fn");
    int64_t keep = b->api->attr_i(b, "keepdims");
    if ((st = weft__op_in(b, 0, &x)) || (st = weft__op_axes(b, "axes", x.rank, axes))) return st;
    if ((st = result_dtype(fn, x.dtype, &outs[0].dtype))) return st;
    for (int32_t i = 0; i < x.rank; i++) {
        n += axes[i];
        if (keep || !axes[i]) outs[0].dim[outs[0].rank++] = axes[i] ? 1 : x.dim[i];
    }
    if ((is_fn(fn, "argmax") || is_fn(fn, "argmin")) && n != 1)
        return weft_fail(
            WEFT_E_ATTR,
            "%s works along one axis, not %d; reshape the input to rank 1 to search all of it", fn,
            n);
    for (int32_t i = 0; i < x.rank; i++)
        if ((is_fn(fn, "argmax") || is_fn(fn, "argmin")) && axes[i] && x.dim[i] == 0)
            return weft_fail(WEFT_E_SHAPE, "%s along axis %d of size 0: there is no winner", fn,
                             (int)i);
    return st;
}

/* The same reduction of another value. */
static weft_val reduce(weft_build *b, const char *fn, weft_val x)
{
    const char *axes = b->api->attr_s(b, "axes");
    char attrs[320];
    snprintf(attrs, sizeof attrs, "fn=%s axes=%s keepdims=%s", fn, axes ? axes : "none",
             b->api->attr_i(b, "keepdims") ? "true" : "false");
    return b->api->op(b, "reduce", attrs, &x, 1, NULL, 0);
}

/* mean, any and all in terms of sum, max and min, which every backend has if it has any. */
static weft_status lower(weft_build *b)
{
    weft_spec x;
    const char *fn = b->api->attr_s(b, "fn"), *axes = b->api->attr_s(b, "axes");
    weft_val in = b->api->in(b, 0);
    weft_status st = b->api->spec(b, in, &x);
    if (st) return st;
    if (is_fn(fn, "mean")) {
        char attrs[288];
        snprintf(attrs, sizeof attrs, "axes=%s", axes ? axes : "none");
        if (x.dtype != WEFT_F32 && x.dtype != WEFT_F64)
            in = b->api->op(b, "f32", NULL, &in, 1, NULL, 0);
        weft_val n = b->api->op(b, "count", attrs, &in, 1, NULL, 0);
        return b->api->out(b, 0, weft_op2(b, "div", reduce(b, "sum", in), n));
    }
    if (is_fn(fn, "any") || is_fn(fn, "all")) {
        if (x.dtype != WEFT_BOOL) in = b->api->op(b, "bool", NULL, &in, 1, NULL, 0);
        return b->api->out(b, 0, reduce(b, is_fn(fn, "any") ? "max" : "min", in));
    }
    return weft_fail(
        WEFT_E_UNSUPPORTED,
        "reduce fn=%s has no lowering to other ops; a device must have a kernel for it",
        fn ? fn : "?");
}

/* x, a result that has kept its axes (y), and the same for its gradient (dy). */
typedef struct reduced {
    weft_spec x;
    weft_val in, y, dy;
    const char *axes;
} reduced;

static weft_val along(weft_build *b, const reduced *r, const char *fn, weft_val x)
{
    return weft_opf(b, "reduce", x, "fn=%s axes=%s keepdims=true", fn, r->axes ? r->axes : "none");
}

/* The product of the others: y / x, and where there is one zero, the product without it. */
static weft_val prod_gradient(weft_build *b, const reduced *r)
{
    const char *is_zero = r->x.dtype == WEFT_F64 ? "f64(a==0)" : "f32(a==0)";
    weft_val zeros = along(b, r, "sum", weft__grad_map(b, is_zero, &r->in, 1));
    weft_val others = along(b, r, "prod", weft__grad_map(b, "select(a==0,1,a)", &r->in, 1));
    const weft_val in[] = { r->dy, zeros, others, r->in };
    return weft__grad_map(b, "a*select(b==0,c/d,select(and(b==1,d==0),c,0))", in, 4);
}

/* Winners share in equal parts, as in TensorFlow. */
static weft_val extreme_gradient(weft_build *b, const reduced *r)
{
    const weft_val same[] = { r->in, r->y };
    weft_val winners =
        weft__grad_map(b, r->x.dtype == WEFT_F64 ? "f64(a==b)" : "f32(a==b)", same, 2);
    const weft_val in[] = { r->dy, r->in, r->y, along(b, r, "sum", winners) };
    return weft__grad_map(b, "select(b==c,a/d,0)", in, 4);
}

static weft_status gradient(weft_build *b)
{
    reduced r = { .in = b->api->in(b, 0), .axes = b->api->attr_s(b, "axes") };
    const char *fn = b->api->attr_s(b, "fn");
    int axes[WEFT_MAX_RANK];
    weft_status st;
    if (is_fn(fn, "argmax") || is_fn(fn, "argmin") || is_fn(fn, "any") || is_fn(fn, "all"))
        return WEFT_OK;
    r.x = weft__grad_spec(b, r.in);
    if ((st = weft__op_axes(b, "axes", r.x.rank, axes))) return st;
    weft_spec kept = r.x;
    for (int32_t i = 0; i < kept.rank; i++)
        if (axes[i]) kept.dim[i] = 1;
    r.dy = weft__grad_reshape(b, b->api->dout(b, 0), &kept);
    if (is_fn(fn, "prod")) return b->api->out(b, 0, prod_gradient(b, &r));
    if (is_fn(fn, "max") || is_fn(fn, "min")) {
        r.y = weft__grad_reshape(b, b->api->fwd(b, 0), &kept);
        return b->api->out(b, 0, extreme_gradient(b, &r));
    }
    if (is_fn(fn, "mean"))
        r.dy = weft_op2(b, "div", r.dy,
                        weft_opf(b, "count", r.in, "axes=%s", r.axes ? r.axes : "none"));
    return b->api->out(b, 0, weft__grad_broadcast(b, r.dy, &r.x));
}

static const weft_attr attrs[] = {
    { "fn", WEFT_STRING, 0, NULL, "sum|prod|max|min|mean|any|all|argmax|argmin",
      "what to make of the elements" },
    { "axes", WEFT_INTS, WEFT_NULLABLE, "none", NULL, "along which axes; none: all" },
    { "keepdims", WEFT_FLAG, 0, "false", NULL, "keep the axes, with size 1" },
    { 0 },
};
static const char *const cases[] = {
    "fn=sum : f32 Bx3x5",
    "fn=sum axes=(-1) : f32 Bx129",
    "fn=sum axes=(0) keepdims=true : f32 Bx7",
    "fn=mean axes=(1,2) : f32 Bx5x7x3",
    "fn=mean axes=(0,1,2) keepdims=true : f32 Bx3x3x4",
    "fn=mean axes=(1) : i32 Bx5",
    "fn=max axes=(1) : f32 Bx11x3",
    "fn=min axes=(0,2) : f32 3xBx5",
    "fn=max axes=(1) : f32 Bx0x3",
    "fn=prod axes=(-1) : f32 Bx2x6",
    "fn=any axes=(-1) : bool Bx9",
    "fn=all : bool Bx3",
    "fn=argmax axes=(-1) : f32 Bx10",
    "fn=argmin axes=(1) keepdims=true : f32 Bx4x3",
    "fn=sum axes=(1) then=\"max(a+b,0)\" : f32 Bx6x5, f32 5",
    "fn=sum axes=(1) : i32 Bx300",
    NULL,
};

const weft_op_class weft__op_reduce = {
    .struct_size = sizeof(weft_op_class),
    .flags = WEFT_OP_EPILOGUE,
    .name = "reduce",
    .inputs = "x",
    .outputs = "y",
    .attrs = attrs,
    .infer = infer,
    .lower = lower,
    .gradient = gradient,
    .cases = cases,
    .doc = "Sum, product, extremes, mean, any, all, place of the extremes, along axes.",
};
