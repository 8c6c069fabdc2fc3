/* conv_input_grad and conv_filter_grad: conv is linear in x and in w, and these are its transposes.
 * With dy of the shape of conv(x, w), size the spatial sizes of what is made, and tap k of output
 * place o at i = o*stride + k*dilation - low:
 *   dx[n,i..,c] = sum of dy[n,o..,f] w[k..,c,f] over o.., k.. that meet at i.., and f of c's group
 *   dw[k..,c,f] = sum of x[n,i..,c] dy[n,o..,f] over n and o..; outside of x 0
 * so <conv(x, w), dy> = <x, conv_input_grad(dy, w)> = <w, conv_filter_grad(x, dy)>: each of the
 * three is what the gradients of the others are made of. */
#include <stdio.h>
#include "base/fail.h"
#include "graph/dim.h"
#include "graph/ops/op_conv.h"
#include "graph/ops/ops.h"

/* Is dy what conv(x, w) gives? */
static weft_status check_dy(weft_build *b, const weft_spec *dy, const weft_spec *x,
                            const weft_spec *w)
{
    weft_spec y;
    weft__dim_text s, t;
    weft_status st = weft__conv_result(b, x, w, &y);
    if (st) return st;
    for (int32_t i = 0; i < y.rank; i++)
        if (!weft__dim_equal(y.dim[i], dy->dim[i]))
            return weft_fail(WEFT_E_SHAPE,
                             "axis %d of dy is %s, the convolution gives %s there; sizes, strides, "
                             "pads, dilations and groups are those of the convolution",
                             (int)i, weft__dim_show(dy->dim[i], &s), weft__dim_show(y.dim[i], &t));
    return WEFT_OK;
}

static weft_status check_pair(const weft_spec *dy, const weft_spec *other, const char *name)
{
    if (dy->rank != other->rank)
        return weft_fail(WEFT_E_SHAPE, "dy has rank %d and %s %d; they are of one rank",
                         (int)dy->rank, name, (int)other->rank);
    if (dy->rank < 3)
        return weft_fail(WEFT_E_SHAPE, "dy has rank %d; [N, spatial.., F] is needed",
                         (int)dy->rank);
    if (dy->dtype != other->dtype)
        return weft_fail(WEFT_E_DTYPE, "dy is %s and %s is %s; convert one of them",
                         weft_dtype_name(dy->dtype), name, weft_dtype_name(other->dtype));
    return WEFT_OK;
}

static weft_status infer_input(weft_build *b, weft_spec *outs)
{
    weft_spec dy, w, x;
    weft_status st;
    if ((st = weft__op_in_float(b, 0, &dy)) || (st = weft__op_in_float(b, 1, &w)) ||
        (st = check_pair(&dy, &w, "w")))
        return st;
    int32_t n = dy.rank - 2;
    x = dy;
    if ((st = weft__op_list(b, "size", n, 0, x.dim + 1)) ||
        (st = weft__dim_mul(w.dim[n], b->api->attr_i(b, "groups"), &x.dim[n + 1])) ||
        (st = check_dy(b, &dy, &x, &w)))
        return st;
    outs[0] = x;
    return WEFT_OK;
}

static weft_status infer_filter(weft_build *b, weft_spec *outs)
{
    weft_spec x, dy, w;
    weft_status st;
    int64_t groups = b->api->attr_i(b, "groups");
    if ((st = weft__op_in_float(b, 0, &x)) || (st = weft__op_in_float(b, 1, &dy)) ||
        (st = check_pair(&dy, &x, "x")))
        return st;
    int32_t n = x.rank - 2;
    w = x;
    w.dim[n + 1] = dy.dim[n + 1];
    w.dim[n] = x.dim[n + 1];
    if (w.dim[n] < 0)
        return weft_fail(WEFT_E_SHAPE, "the channels of x are a number; the data is [N, spatial.., "
                                       "C]");
    w.dim[n] /= groups; /* what does not divide is refused with the shapes */
    if ((st = weft__op_list(b, "size", n, 0, w.dim)) || (st = check_dy(b, &dy, &x, &w))) return st;
    outs[0] = w;
    return WEFT_OK;
}

/* ---- gradients: one of the three ops out of another's attributes ---- */

static const char *or_none(const char *text)
{
    return text ? text : "none";
}

/* op(a, c) with the attributes of the op at hand, and more. */
static weft_val transposed(weft_build *b, const char *op, weft_val a, weft_val c, const char *more)
{
    char text[1024];
    snprintf(text, sizeof text, "strides=%s pads=%s dilations=%s groups=%lld%s",
             or_none(b->api->attr_s(b, "strides")), or_none(b->api->attr_s(b, "pads")),
             or_none(b->api->attr_s(b, "dilations")), (long long)b->api->attr_i(b, "groups"), more);
    return weft_op_(b, op, text, a, c);
}

/* " size=(3,3)", the spatial sizes of a value, whose first one is that axis. */
typedef struct size_text {
    char s[24 * WEFT_MAX_RANK + 8];
} size_text;

static const char *size_of(weft_build *b, weft_val value, int32_t first, size_text *text)
{
    char sizes[24 * WEFT_MAX_RANK];
    weft_spec spec;
    if (b->api->spec(b, value, &spec)) return "";
    weft_ints_text(sizes, sizeof sizes, spec.dim + first, (uint32_t)spec.rank - 2);
    snprintf(text->s, sizeof text->s, " size=%s", sizes);
    return text->s;
}

static weft_val conv(weft_build *b, weft_val x, weft_val w)
{
    return transposed(b, "conv", x, w, "");
}

/* For a convolution of an x of x_like's sizes. */
static weft_val input_grad(weft_build *b, weft_val dy, weft_val w, weft_val x_like)
{
    size_text size;
    return transposed(b, "conv_input_grad", dy, w, size_of(b, x_like, 1, &size));
}

static weft_val filter_grad(weft_build *b, weft_val x, weft_val dy, weft_val w_like)
{
    size_text size;
    return transposed(b, "conv_filter_grad", x, dy, size_of(b, w_like, 0, &size));
}

weft_status weft__conv_gradient(weft_build *b)
{
    weft_val x = weft_in(b, 0), w = weft_in(b, 1), dy = b->api->dout(b, 0);
    weft_out(b, 0, input_grad(b, dy, w, x));
    return weft_out(b, 1, filter_grad(b, x, dy, w));
}

static weft_status gradient_input(weft_build *b)
{
    weft_val dy = weft_in(b, 0), w = weft_in(b, 1), d = b->api->dout(b, 0);
    weft_out(b, 0, conv(b, d, w));
    return weft_out(b, 1, filter_grad(b, d, dy, w));
}

static weft_status gradient_filter(weft_build *b)
{
    weft_val x = weft_in(b, 0), dy = weft_in(b, 1), d = b->api->dout(b, 0);
    weft_out(b, 0, input_grad(b, dy, d, x));
    return weft_out(b, 1, conv(b, x, d));
}

#define ATTRS(size_range, size_doc)                                                              \
    { "strides", WEFT_INTS, WEFT_NULLABLE, "none", "1..", "of the convolution; none: 1" },       \
        { "pads",                                                                                \
          WEFT_INTS,                                                                             \
          WEFT_NULLABLE,                                                                         \
          "none",                                                                                \
          "0..",                                                                                 \
          "of the convolution: in front of each spatial axis, then behind each; none: 0" },      \
        { "dilations", WEFT_INTS, WEFT_NULLABLE, "none", "1..", "of the convolution; none: 1" }, \
        { "groups", WEFT_INT, 0, "1", "1..", "of the convolution" },                             \
        { "size", WEFT_INTS, 0, NULL, size_range, size_doc },                                    \
    {                                                                                            \
        0                                                                                        \
    }

static const weft_attr input_attrs[] = { ATTRS(NULL, "spatial sizes of x") };
static const weft_attr filter_attrs[] = { ATTRS("1..", "spatial sizes of w") };

static const char *const input_cases[] = {
    "size=(9,7) : f32 Bx7x5x8, f32 3x3x3x8",
    "size=(8,8) pads=(1,1,1,1) : f32 Bx8x8x16, f32 3x3x20x16",
    "size=(9,10) strides=(2,2) pads=(0,0,1,1) : f32 Bx4x5x5, f32 3x3x4x5",
    "size=(15,17) strides=(2,2) pads=(1,1,1,1) : f32 Bx8x9x6, f32 3x3x18x6",
    "size=(7,6) strides=(2,1) pads=(1,0,2,1) : f32 Bx4x6x7, f32 4x2x3x7",
    "size=(11,13) dilations=(2,3) : f32 Bx7x7x3, f32 3x3x2x3",
    "size=(12,19) strides=(3,4) dilations=(2,2) pads=(2,1,1,0) : f32 Bx4x4x3, f32 3x4x5x3",
    "size=(5,5) groups=3 pads=(1,1,1,1) : f32 Bx5x5x9, f32 3x3x2x9",
    "size=(6,6) groups=8 : f32 Bx4x4x8, f32 3x3x1x8",
    "size=(9,8) groups=8 strides=(2,2) pads=(0,0,1,1) : f32 Bx4x4x8, f32 3x3x1x8",
    "size=(5,5) groups=4 : f32 Bx3x3x8, f32 3x3x1x8",
    "size=(6,6) : f32 Bx6x6x11, f32 1x1x5x11",
    "size=(7,7) strides=(2,2) : f32 Bx4x4x4, f32 1x1x3x4",
    "size=(15) pads=(2,0) dilations=(2) : f32 Bx15x4, f32 2x3x4",
    "size=(17) strides=(3) : f32 Bx5x6, f32 5x4x6",
    "size=(4,5,6) pads=(1,0,1,0,1,1) : f32 Bx4x4x7x3, f32 2x3x2x2x3",
    "size=(4,5,4) groups=2 strides=(1,2,1) : f32 Bx3x2x3x6, f32 2x2x2x2x6",
    "size=(6,6) pads=(1,1,1,1) then=\"max(a+b,0)\" : f32 Bx6x6x3, f32 3x3x8x3, f32 8",
    "size=(7,7) strides=(2,2) then=\"a+b\" : f32 Bx3x3x4, f32 3x3x5x4, f32 Bx7x7x5",
    "size=(5,5) then=\"a+b\" : f32 Bx5x5x4, f32 1x1x8x4, f32 Bx5x5x8",
    NULL,
};
static const char *const filter_cases[] = {
    "size=(3,3) : f32 Bx9x7x3, f32 Bx7x5x8",
    "size=(3,3) pads=(1,1,1,1) : f32 Bx8x8x16, f32 Bx8x8x32",
    "size=(3,3) pads=(1,1,1,1) : f32 Bx7x9x19, f32 Bx7x9x37",
    "size=(3,3) strides=(2,2) pads=(0,0,1,1) : f32 Bx9x10x4, f32 Bx4x5x5",
    "size=(4,2) strides=(2,1) pads=(1,0,2,1) : f32 Bx7x6x3, f32 Bx4x6x7",
    "size=(3,3) dilations=(2,3) : f32 Bx11x13x2, f32 Bx7x7x3",
    "size=(5,7) pads=(2,3,2,3) : f32 Bx9x11x1, f32 Bx9x11x4",
    "size=(3,3) groups=3 pads=(1,1,1,1) : f32 Bx5x5x6, f32 Bx5x5x9",
    "size=(3,3) groups=8 : f32 Bx6x6x8, f32 Bx4x4x8",
    "size=(3,3) groups=4 : f32 Bx5x5x4, f32 Bx3x3x8",
    "size=(1,1) : f32 Bx6x6x5, f32 Bx6x6x11",
    "size=(1,1) strides=(2,2) : f32 Bx7x7x3, f32 Bx4x4x4",
    "size=(2) pads=(2,0) dilations=(2) : f32 Bx15x3, f32 Bx15x4",
    "size=(5) strides=(3) : f32 Bx17x4, f32 Bx5x6",
    "size=(2,3,2) pads=(1,0,1,0,1,1) : f32 Bx4x5x6x2, f32 Bx4x4x7x3",
    "size=(2,2,2) groups=2 strides=(1,2,1) : f32 Bx4x5x4x4, f32 Bx3x2x3x6",
    NULL,
};

const weft_op_class weft__op_conv_input_grad = {
    .struct_size = sizeof(weft_op_class),
    .flags = WEFT_OP_EPILOGUE,
    .name = "conv_input_grad",
    .inputs = "dy, w",
    .outputs = "dx",
    .attrs = input_attrs,
    .infer = infer_input,
    .gradient = gradient_input,
    .cases = input_cases,
    .doc = "The transpose of conv(x, w) in x: its gradient there, and the transposed convolution.",
};

const weft_op_class weft__op_conv_filter_grad = {
    .struct_size = sizeof(weft_op_class),
    .name = "conv_filter_grad",
    .inputs = "x, dy",
    .outputs = "dw",
    .attrs = filter_attrs,
    .infer = infer_filter,
    .gradient = gradient_filter,
    .cases = filter_cases,
    .doc = "The transpose of conv(x, w) in w: its gradient there.",
};
