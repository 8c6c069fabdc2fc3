/* OpenCL kernels of lstm and lstm_grad (kernels/lstm.cl, kernels/lstm_grad.cl): what they launch.
 * Few units: one launch for the whole sequence. Else a product and a cell kernel a step. */
#include "kernels/lstm.cl.h"
#include "kernels/lstm_grad.cl.h"
#include "recurrent.h"

enum {
    FLAGS =
        WEFT_KERNEL_IN_PITCHED | WEFT_KERNEL_OUT_PITCHED | WEFT_KERNEL_F64 | WEFT_KERNEL_ANY_DTYPE
};

/* Up to so many units one work-item (CPU) or work-group (GPU) walks through all steps of a row, by
 * kernels that are not compiled for more. On PoCL, for 1, 32 and 128 rows of up to 128 units, that
 * was measured from 3 % slower (one case) to four times faster. */
static const char params[] = "CPU_UNITS=128 GPU_UNITS=64 GROUP_STEP=32";

/* Two dimensions of scratch memory, or of a result that is there. */
typedef struct plane {
    weft_view view;
    int64_t dim[2], stride[2];
} plane;

static size_t size_of(weft_dtype dtype)
{
    return dtype == WEFT_F64 ? sizeof(double) : sizeof(float);
}

/* rows x cols elements of scratch memory, `from` elements in; to be placed where its users are. */
static void scratch_plane(const weft_kernel_call *c, plane *p, int64_t from, int64_t rows,
                          int64_t cols)
{
    *p = (plane){ .dim = { rows, cols }, .stride = { cols, 1 } };
    p->view = (weft_view){ .struct_size = sizeof p->view,
                           .dtype = c->in[0]->dtype,
                           .rank = 2,
                           .layout = WEFT_DENSE,
                           .dim = p->dim,
                           .stride = p->stride,
                           .count = (uint64_t)(rows * cols),
                           .outer = 1,
                           .inner = (uint64_t)(rows * cols),
                           .pitch = (uint64_t)(rows * cols),
                           .data = c->scratch,
                           .offset = (uint64_t)from };
}

/* v from step k on; absent ones stay so. */
static weft_view at_step(const weft_view *v, int64_t k)
{
    weft_view part = v ? *v : (weft_view){ .struct_size = sizeof part };

    if (part.data) part.offset += (uint64_t)(k * v->stride[1]);
    return part;
}

/* state = from, or 0. */
static weft_status begin_state(const weft_kernel_call *c, const weft_cl *cl, const weft_view *state,
                               const weft_view *from)
{
    return from ? cl->copy(c, state, from) : cl->fill(c, state, 0);
}

static int few_units(const weft_kernel_call *c, int64_t units)
{
    int64_t most = c->param(c, "GPU_UNITS");

    if (c->device(c, "is_cpu")) return units <= c->param(c, "CPU_UNITS");
    return units <= most && c->device(c, "max_group") >= most;
}

/* The launch of a kernel that walks through all steps of `rows` rows: inputs and outputs that are
 * there, behind `first` if that is given. */
static weft_status launch_rows(const weft_kernel_call *c, const weft_cl *cl, const char *kernel,
                               int64_t rows, const weft_view *first)
{
    const weft_view *views[16];
    int64_t units = c->in[first ? GRAD_U : LSTM_U]->dim[0], step = c->param(c, "GROUP_STEP");
    size_t group = c->device(c, "is_cpu") ? 1 : (size_t)((units + step - 1) / step * step);
    weft_cl_launch l = { .struct_size = sizeof l,
                         .kernel = kernel,
                         .global = { (size_t)rows * group, 1, 1 },
                         .local = { group, 1, 1 },
                         .views = views };
    uint32_t i;

    if (first) views[l.n_views++] = first;
    for (i = 0; i < c->n_in; i++)
        if (c->in[i]) views[l.n_views++] = c->in[i];
    for (i = 0; i < c->n_out; i++)
        if (c->out[i]->data) views[l.n_views++] = c->out[i];
    return cl->launch(c, &l);
}

/* ---- lstm ---- */
/* h u of one step, h and c. */
static size_t scratch_forward(const weft_kernel_call *c)
{
    const weft_view *z = c->in[LSTM_Z];
    int64_t units = c->in[LSTM_U]->dim[0];

    return few_units(c, units) ? 0 : (size_t)(z->dim[0] * 6 * units) * size_of(z->dtype);
}

typedef struct forward {
    const weft_kernel_call *call;
    const weft_cl *cl;
    int64_t rows, steps, units;
    plane sums, h_scratch, c_scratch;
    const weft_view *h, *c;
} forward;

static weft_status forward_step(const forward *f, int64_t k)
{
    const weft_kernel_call *call = f->call;
    const weft_view *u = call->in[LSTM_U];
    int64_t t = call->attr_i(call, "go_backwards") ? f->steps - 1 - k : k;
    weft_view z = at_step(call->in[LSTM_Z], t), y = at_step(call->out[LSTM_Y], k),
              gates = at_step(call->out[LSTM_GATES], k), cells = at_step(call->out[LSTM_CELLS], k),
              mask = at_step(call->in[LSTM_MASK], t);
    const weft_view *views[] = { &z, &f->sums.view, f->h, f->c, &y, &gates, &cells, &mask };
    weft_gemm g = { .struct_size = sizeof g,
                    .m = f->rows,
                    .n = 4 * f->units,
                    .k = f->units,
                    .lda = f->h->stride[0],
                    .ldb = u->stride[0],
                    .ldc = 4 * f->units,
                    .alpha = 1,
                    .a = f->h,
                    .b = u,
                    .c = &f->sums.view };
    weft_cl_launch l = { .struct_size = sizeof l,
                         .n_views = sizeof views / sizeof *views,
                         .kernel = "lstm_cell",
                         .global = { (size_t)(f->rows * f->units) },
                         .views = views };
    weft_status st = f->cl->gemm(call, &g);

    return st ? st : f->cl->launch(call, &l);
}

static weft_status enqueue_forward(const weft_kernel_call *call, const weft_cl *cl)
{
    const weft_view *const *out = call->out;
    forward f = { .call = call,
                  .cl = cl,
                  .rows = call->in[LSTM_Z]->dim[0],
                  .steps = call->in[LSTM_Z]->dim[1],
                  .units = call->in[LSTM_U]->dim[0] };
    weft_status st;
    int64_t k;

    if (f.rows == 0) return WEFT_OK;
    if (few_units(call, f.units)) return launch_rows(call, cl, "lstm_rows", f.rows, NULL);
    scratch_plane(call, &f.sums, 0, f.rows, 4 * f.units);
    scratch_plane(call, &f.h_scratch, f.rows * 4 * f.units, f.rows, f.units);
    scratch_plane(call, &f.c_scratch, f.rows * 5 * f.units, f.rows, f.units);
    f.h = out[LSTM_H]->data ? out[LSTM_H] : &f.h_scratch.view;
    f.c = out[LSTM_C]->data ? out[LSTM_C] : &f.c_scratch.view;
    if ((st = begin_state(call, cl, f.h, call->in[LSTM_H0])) ||
        (st = begin_state(call, cl, f.c, call->in[LSTM_C0])))
        return st;
    for (k = 0; k < f.steps && !st; k++)
        st = forward_step(&f, k);
    return st;
}

/* ---- lstm_grad ---- */
/* The transpose of u, or dz of one step, dh and dc. */
static size_t scratch_backward(const weft_kernel_call *c)
{
    const weft_view *gates = c->in[GRAD_GATES];
    int64_t units = c->in[GRAD_U]->dim[0], n = gates->dim[0] * 6 * units;

    if (few_units(c, units)) n = 4 * units * units;
    return (size_t)n * size_of(gates->dtype);
}

typedef struct backward {
    const weft_kernel_call *call;
    const weft_cl *cl;
    int64_t rows, steps, units;
    plane dz_scratch, dh_scratch, dc_scratch;
    const weft_view *dh, *dc;
} backward;

/* u is [units, 4 units]; the kernel reads along units. */
static weft_status grad_rows(const weft_kernel_call *call, const weft_cl *cl, int64_t rows)
{
    const weft_view *u = call->in[GRAD_U];
    int64_t dim[2], stride[2];
    weft_view turned = *u;
    plane ut;
    weft_status st;

    dim[0] = u->dim[1];
    dim[1] = u->dim[0];
    stride[0] = u->stride[1];
    stride[1] = u->stride[0];
    turned.layout = WEFT_STRIDED;
    turned.dim = dim;
    turned.stride = stride;
    scratch_plane(call, &ut, 0, dim[0], dim[1]);
    st = cl->copy(call, &ut.view, &turned);
    return st ? st : launch_rows(call, cl, "lstm_grad_rows", rows, &ut.view);
}

static weft_status backward_step(const backward *r, int64_t k)
{
    const weft_kernel_call *call = r->call;
    const weft_view *u = call->in[GRAD_U], *c0 = call->in[GRAD_C0], *out = call->out[GRAD_DZ];
    int64_t t = call->attr_i(call, "go_backwards") ? r->steps - 1 - k : k;
    weft_view gates = at_step(call->in[GRAD_GATES], k), cells = at_step(call->in[GRAD_CELLS], k),
              before = at_step(call->in[GRAD_CELLS], k ? k - 1 : 0),
              dy = at_step(call->in[GRAD_DY], k), mask = at_step(call->in[GRAD_MASK], t),
              dz = out->data ? at_step(out, t) : r->dz_scratch.view;
    int64_t before_row = k ? before.stride[0] : c0 ? c0->stride[0] : -1;
    const weft_view *views[] = { &gates, &cells, k || !c0 ? &before : c0, &dy, r->dh, r->dc,
                                 &dz,    &mask };
    weft_cl_launch l = { .struct_size = sizeof l,
                         .n_views = sizeof views / sizeof *views,
                         .n_ints = 1,
                         .kernel = "lstm_grad_cell",
                         .global = { (size_t)(r->rows * r->units) },
                         .views = views,
                         .ints = &before_row };
    weft_gemm g = { .struct_size = sizeof g,
                    .trans_b = 1,
                    .m = r->rows,
                    .n = r->units,
                    .k = 4 * r->units,
                    .lda = dz.stride[0],
                    .ldb = u->stride[0],
                    .ldc = r->dh->stride[0],
                    .alpha = 1,
                    .beta = 1,
                    .a = &dz,
                    .b = u,
                    .c = r->dh };
    weft_status st = r->cl->launch(call, &l);

    return st ? st : r->cl->gemm(call, &g);
}

static weft_status enqueue_backward(const weft_kernel_call *call, const weft_cl *cl)
{
    const weft_view *const *out = call->out;
    backward r = { .call = call,
                   .cl = cl,
                   .rows = call->in[GRAD_GATES]->dim[0],
                   .steps = call->in[GRAD_GATES]->dim[1],
                   .units = call->in[GRAD_U]->dim[0] };
    weft_status st;
    int64_t k;

    if (r.rows == 0) return WEFT_OK;
    if (few_units(call, r.units)) return grad_rows(call, cl, r.rows);
    scratch_plane(call, &r.dz_scratch, 0, r.rows, 4 * r.units);
    scratch_plane(call, &r.dh_scratch, r.rows * 4 * r.units, r.rows, r.units);
    scratch_plane(call, &r.dc_scratch, r.rows * 5 * r.units, r.rows, r.units);
    r.dh = out[GRAD_DH0]->data ? out[GRAD_DH0] : &r.dh_scratch.view;
    r.dc = out[GRAD_DC0]->data ? out[GRAD_DC0] : &r.dc_scratch.view;
    if ((st = begin_state(call, cl, r.dh, call->in[GRAD_DH])) ||
        (st = begin_state(call, cl, r.dc, call->in[GRAD_DC])))
        return st;
    for (k = r.steps - 1; k >= 0 && !st; k--)
        st = backward_step(&r, k);
    return st;
}

const weft_cl_kernel recurrent_lstm_cl = { .struct_size = sizeof recurrent_lstm_cl,
                                           .flags = FLAGS,
                                           .scratch = scratch_forward,
                                           .source = (const char *)weft_cl_lstm,
                                           .params = params,
                                           .enqueue = enqueue_forward };
const weft_cl_kernel recurrent_lstm_grad_cl = { .struct_size = sizeof recurrent_lstm_grad_cl,
                                                .flags = FLAGS,
                                                .scratch = scratch_backward,
                                                .source = (const char *)weft_cl_lstm_grad,
                                                .params = params,
                                                .enqueue = enqueue_backward };
