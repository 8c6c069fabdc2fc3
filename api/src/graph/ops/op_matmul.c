/* matmul: the matrix product of the last two axes, the others broadcast to each other.
 *   y[.., m, n] = sum over k of a[.., m, k] b[.., k, n]     after the transposes asked for */
#include "base/fail.h"
#include "graph/dim.h"
#include "graph/ops/grad.h"
#include "graph/ops/ops.h"

/* Rows and columns after the transpose. */
static void sizes(const weft_spec *x, int64_t transpose, int64_t *rows, int64_t *columns)
{
    *rows = x->dim[x->rank - (transpose ? 1 : 2)];
    *columns = x->dim[x->rank - (transpose ? 2 : 1)];
}

static weft_status infer(weft_build *b, weft_spec *outs)
{
    weft_spec x, y, lead;
    weft__dim_text s, t;
    weft_status st;
    int64_t m, k, k2, n, ta = b->api->attr_i(b, "transpose_a"),
                         tb = b->api->attr_i(b, "transpose_b");
    if ((st = weft__op_in_float(b, 0, &x)) || (st = weft__op_in_float(b, 1, &y))) return st;
    if (x.rank < 2 || y.rank < 2)
        return weft_fail(WEFT_E_SHAPE,
                         "input %s has rank %d, a matrix has 2 or more axes; reshape it",
                         x.rank < 2 ? "a" : "b", (int)(x.rank < 2 ? x.rank : y.rank));
    if (x.dtype != y.dtype)
        return weft_fail(WEFT_E_DTYPE, "a is %s and b is %s; convert one of them",
                         weft_dtype_name(x.dtype), weft_dtype_name(y.dtype));
    sizes(&x, ta, &m, &k);
    sizes(&y, tb, &k2, &n);
    if (!weft__dim_equal(k, k2))
        return weft_fail(WEFT_E_SHAPE,
                         "axis %d of a has %s elements, axis %d of b has %s; both are summed over",
                         (int)(x.rank - (ta ? 2 : 1)), weft__dim_show(k, &s),
                         (int)(y.rank - (tb ? 1 : 2)), weft__dim_show(k2, &t));
    x.rank -= 2;
    y.rank -= 2;
    lead = x;
    if ((st = weft__spec_broadcast(&x, &y, &lead))) return st;
    lead.dim[lead.rank++] = m;
    lead.dim[lead.rank++] = n;
    outs[0] = lead;
    return WEFT_OK;
}

static weft_val product(weft_build *b, weft_val x, int transpose_x, weft_val y, int transpose_y)
{
    const weft_val in[] = { x, y };
    char attrs[64];
    snprintf(attrs, sizeof attrs, "transpose_a=%s transpose_b=%s", transpose_x ? "true" : "false",
             transpose_y ? "true" : "false");
    return b->api->op(b, "matmul", attrs, in, 2, NULL, 0);
}

/* All leading axes and the rows as one axis of rows; 0 = they have no such product. */
static int as_rows(const weft_spec *x, weft_spec *rows)
{
    int64_t n = 1;
    for (int32_t i = 0; i < x->rank - 1; i++) {
        if (x->dim[i] < 0 && n < 0) return 0;
        if (__builtin_mul_overflow(n, x->dim[i], &n)) return 0;
    }
    *rows = (weft_spec){ x->dtype, 2, { n, x->dim[x->rank - 1] } };
    return 1;
}

/* da, of a's shape as it is stored: dy b' or its transpose, added up where a was broadcast. */
static weft_val gradient_a(weft_build *b, int ta, int tb)
{
    weft_val a = b->api->in(b, 0), w = b->api->in(b, 1), dy = b->api->dout(b, 0);
    const weft_spec spec = weft__grad_spec(b, a);
    weft_val da = ta ? product(b, w, tb, dy, 1) : product(b, dy, 0, w, !tb);
    return weft__grad_sum_to(b, da, &spec);
}

/* db: a' dy or its transpose. Where b is one matrix for a batch of a (a Dense layer over many
 * steps), the sum over the batch is part of one large product. */
static weft_val gradient_b(weft_build *b, int ta, int tb)
{
    weft_val a = b->api->in(b, 0), w = b->api->in(b, 1), dy = b->api->dout(b, 0);
    const weft_spec spec = weft__grad_spec(b, w), x = weft__grad_spec(b, a),
                    y = weft__grad_spec(b, dy);
    weft_spec rows, dy_rows;
    if (spec.rank == 2 && x.rank > 2 && !ta && as_rows(&x, &rows) && as_rows(&y, &dy_rows)) {
        a = weft__grad_reshape(b, a, &rows);
        dy = weft__grad_reshape(b, dy, &dy_rows);
    }
    weft_val db = tb ? product(b, dy, 1, a, ta) : product(b, a, !ta, dy, 0);
    return weft__grad_sum_to(b, db, &spec);
}

static weft_status gradient(weft_build *b)
{
    int ta = b->api->attr_i(b, "transpose_a") != 0, tb = b->api->attr_i(b, "transpose_b") != 0;
    weft_status st = b->api->out(b, 0, gradient_a(b, ta, tb));
    return st ? st : b->api->out(b, 1, gradient_b(b, ta, tb));
}

static const weft_attr attrs[] = {
    { "transpose_a", WEFT_FLAG, 0, "false", NULL, "swap the last two axes of a first" },
    { "transpose_b", WEFT_FLAG, 0, "false", NULL, "swap the last two axes of b first" },
    { 0 },
};
static const char *const cases[] = {
    ": f32 Bx7, f32 7x5",
    ": f32 Bx64, f32 64x32",
    ": f32 1x129, f32 129x1",
    "transpose_b=true : f32 Bx17, f32 33x17",
    "transpose_a=true : f32 7xB, f32 7x3",
    "transpose_a=true transpose_b=true : f32 5x6, f32 4x5",
    ": f32 Bx3x4x5, f32 Bx3x5x2",
    ": f32 Bx3x4x5, f32 5x6",
    ": f32 1x4x5, f32 Bx5x3",
    "transpose_b=true : f32 Bx2x9x8, f32 Bx2x9x8",
    ": f32 Bx0, f32 0x3",
    "then=\"max(a+b,0)\" : f32 Bx19, f32 19x23, f32 23",
    "then=\"sigmoid(a)*b+c\" : f32 Bx8, f32 8x16, f32 Bx16, f32 16",
    ": f32 33x65, f32 65x31",
    NULL,
};

const weft_op_class weft__op_matmul = {
    .struct_size = sizeof(weft_op_class),
    .flags = WEFT_OP_EPILOGUE,
    .name = "matmul",
    .inputs = "a, b",
    .outputs = "y",
    .attrs = attrs,
    .infer = infer,
    .gradient = gradient,
    .cases = cases,
    .doc = "Matrix product of the last two axes; leading axes broadcast.",
};
