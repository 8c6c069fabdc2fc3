/* conv and conv_input_grad: the step's numbers as macros for kernels/conv.cl, and the choice among
 * its kernels by shape and device. A 1 x 1 filter with stride 1 is a matrix product, and is handed
 * to gemm. */
#include "conv.h"
#include <string.h>
#include "kernels/conv.cl.h"
#include "kernels/gemm.cl.h"

enum { SPATIAL = OCL_SPATIAL };
typedef enum form { SIMPLE, ROW, FLAT, DEPTH, TILES } form;

typedef struct shape {
    ocl_conv c;
    int64_t steps[SPATIAL], every[SPATIAL]; /* of the transpose: T and G in conv.cl */
    int transposed;
    ocl_nest w_k, w_f, w_c; /* rows; filters. Transposed: taps, and filters and channels of a w */
    int64_t vectors, tile, rest;
    form form;
} shape;

ocl_conv ocl_conv_of(const weft_step *step, const ocl_conv_operands *o)
{
    int32_t n = o->x->rank - 2, skip = SPATIAL - n;
    int64_t strides[SPATIAL], dilations[SPATIAL], pads[2 * SPATIAL];
    ocl_conv c = { .n = o->x->dim[0], .groups = step->attr_i(step, "groups") };
    ocl_attr_list(step, "strides", strides, SPATIAL, 1);
    ocl_attr_list(step, "dilations", dilations, SPATIAL, 1);
    ocl_attr_list(step, "pads", pads, 2 * SPATIAL, 0);
    c.channels = o->w->dim[n];
    c.filters = o->w->dim[n + 1] / c.groups;
    c.x_stride[0] = o->x->stride[0];
    c.y_stride[0] = o->y->stride[0];
    c.x_stride[SPATIAL + 1] = o->x->stride[n + 1];
    c.y_stride[SPATIAL + 1] = o->y->stride[n + 1];
    for (int32_t a = 0; a < SPATIAL; a++) {
        int32_t from = a - skip;
        int there = from >= 0;
        c.x[a] = there ? o->x->dim[from + 1] : 1;
        c.y[a] = there ? o->y->dim[from + 1] : 1;
        c.k[a] = there ? o->w->dim[from] : 1;
        c.stride[a] = there ? strides[from] : 1;
        c.dilation[a] = there ? dilations[from] : 1;
        c.low[a] = there ? pads[from] : 0;
        c.x_stride[a + 1] = there ? o->x->stride[from + 1] : 0;
        c.y_stride[a + 1] = there ? o->y->stride[from + 1] : 0;
    }
    return c;
}

int ocl_conv_all_numbers(const ocl_conv *c)
{
    for (int a = 0; a < SPATIAL; a++)
        if (c->x[a] < 0 || c->y[a] < 0 || c->x_stride[a + 1] < 0) return 0;
    return c->x_stride[0] >= 0 && c->x_stride[SPATIAL + 1] >= 0;
}

int64_t ocl_conv_rows(const weft_dev *dev, int f64, int64_t filters, int64_t *vectors)
{
    *vectors = filters > (int64_t)ocl_lanes(dev, f64) ? 2 : 1;
    return ocl_rows(dev) == 12 ? 14 : *vectors == 2 ? 6 : 12;
}

int64_t ocl_conv_cut(int64_t whole, int64_t most, int64_t *last)
{
    int64_t each = ocl_blocks(whole, ocl_blocks(whole, most));
    *last = whole - (ocl_blocks(whole, each) - 1) * each;
    return each;
}

static int64_t divisor(int64_t a, int64_t b)
{
    return b ? divisor(b, a % b) : a;
}

/* conv_input_grad as a convolution of dy with w turned around, whose places are divided by what the
 * strides were. */
static void transpose(shape *s)
{
    ocl_conv *c = &s->c;
    int64_t channels = c->channels, x[SPATIAL], x_stride[SPATIAL + 2];
    memcpy(x, c->x, sizeof x);
    memcpy(c->x, c->y, sizeof x);
    memcpy(c->y, x, sizeof x);
    memcpy(x_stride, c->x_stride, sizeof x_stride);
    memcpy(c->x_stride, c->y_stride, sizeof x_stride);
    memcpy(c->y_stride, x_stride, sizeof x_stride);
    c->channels = c->filters;
    c->filters = channels;
    for (int a = 0; a < SPATIAL; a++) {
        s->steps[a] = c->stride[a];
        s->every[a] = c->stride[a] / divisor(c->stride[a], c->dilation[a]);
        c->stride[a] = 1;
        c->low[a] = c->dilation[a] * (c->k[a] - 1) - c->low[a];
    }
}

/* Pixels of a row's largest phase. */
static int64_t phase_of(const shape *s, int axis, int64_t size)
{
    return (size + s->steps[axis] - 1) / s->steps[axis];
}

static form form_of(const weft_dev *dev, const shape *s)
{
    const ocl_conv *c = &s->c;
    int dense = c->filters >= 4 || c->groups == 1;
    if (!ocl_conv_all_numbers(c)) return SIMPLE;
    if (!dev->cpu) return c->filters >= 16 && ocl_has_tiles(dev) ? TILES : SIMPLE;
    if (c->channels == 1 && c->filters == 1 && c->groups > 1) return DEPTH;
    return !dense ? SIMPLE : phase_of(s, SPATIAL - 1, c->y[SPATIAL - 1]) >= 6 ? ROW : FLAT;
}

/* A row is cut into tiles as large as the registers allow; flat tiles are of one size. */
static void tiles(const weft_dev *dev, int f64, shape *s)
{
    int64_t most = ocl_conv_rows(dev, f64, s->c.filters, &s->vectors);
    s->tile = ocl_rows(dev) == 12 ? 8 : 6;
    s->rest = 1;
    if (s->form == ROW)
        s->tile = ocl_conv_cut(phase_of(s, SPATIAL - 1, s->c.y[SPATIAL - 1]), most, &s->rest);
}

static int is_transposed(const weft_step *step)
{
    return !strcmp(step->op->name, "conv_input_grad");
}

static shape shape_of(const weft_dev *dev, const weft_step *step)
{
    const weft_operand *in = step->in[0], *w = step->in[1], *out = step->out[0];
    int32_t last = in->rank - 1;
    shape s = { .steps = { 1, 1, 1 }, .every = { 1, 1, 1 }, .transposed = is_transposed(step) };
    if (s.transposed) {
        s.c = ocl_conv_of(step, &(ocl_conv_operands){ out, w, in });
        transpose(&s);
        ocl_nest_range(&s.w_k, w, 0, last - 1);
        ocl_nest_range(&s.w_c, w, last - 1, last);
    } else {
        s.c = ocl_conv_of(step, &(ocl_conv_operands){ in, w, out });
        ocl_nest_range(&s.w_k, w, 0, last);
    }
    ocl_nest_range(&s.w_f, w, last, last + 1);
    s.form = form_of(dev, &s);
    tiles(dev, ocl_step_f64(step), &s);
    return s;
}

/* As a long: products of int constants would wrap at 2^31. */
void ocl_conv_number(ocl_source *src, const char *name, int64_t symbol)
{
    ocl_text_add(src->text, "#define %s ((long)", name);
    ocl_symbol_text(src->text, symbol);
    ocl_text_add(src->text, ")\n");
}

static void numbers(ocl_source *src, const char *const *names, const int64_t *symbols, int n)
{
    for (int k = 0; k < n; k++)
        ocl_conv_number(src, names[k], symbols[k]);
}

void ocl_conv_numbers(ocl_source *src, const ocl_conv *c)
{
    numbers(src, (const char *const[]){ "XD", "XH", "XW" }, c->x, SPATIAL);
    numbers(src, (const char *const[]){ "OD", "OH", "OW" }, c->y, SPATIAL);
    numbers(src, (const char *const[]){ "KD", "KH", "KW" }, c->k, SPATIAL);
    numbers(src, (const char *const[]){ "SD", "SH", "SW" }, c->stride, SPATIAL);
    numbers(src, (const char *const[]){ "DD", "DH", "DW" }, c->dilation, SPATIAL);
    numbers(src, (const char *const[]){ "XN_S", "XD_S", "XH_S", "XW_S", "XC_S" }, c->x_stride,
            SPATIAL + 2);
    numbers(src, (const char *const[]){ "ON_S", "OD_S", "OH_S", "OW_S", "OC_S" }, c->y_stride,
            SPATIAL + 2);
    numbers(src, (const char *const[]){ "N", "CG", "FG", "GROUPS" },
            (const int64_t[]){ c->n, c->channels, c->filters, c->groups }, 4);
    /* no symbols: below 0 where a transposed convolution leaves out results */
    ocl_text_add(src->text,
                 "#define PD ((long)%lld)\n#define PH ((long)%lld)\n#define PW ((long)%lld)\n",
                 (long long)c->low[0], (long long)c->low[1], (long long)c->low[2]);
}

static void index_macro(ocl_source *src, const char *name, const ocl_nest *nest)
{
    ocl_text_add(src->text, "#define %s(x) ", name);
    ocl_nest_index(src->text, nest, nest->rank, 0, "(ulong)(x)");
    ocl_text_add(src->text, "\n");
}

static void filter_macros(ocl_source *src, const shape *s)
{
    if (!s->transposed) {
        index_macro(src, "W_K", &s->w_k);
        index_macro(src, "W_F", &s->w_f);
        return;
    }
    index_macro(src, "W_TAP", &s->w_k);
    index_macro(src, "W_C", &s->w_c);
    index_macro(src, "W_FILTER", &s->w_f);
    ocl_text_add(src->text,
                 "#define W_K(k) (W_TAP(KD * KH * KW - 1 - (k) / CG) + W_FILTER((k) %% CG))\n"
                 "#define W_F(f) (W_C((f) %% FG) + W_FILTER((f) / FG * CG))\n");
}

static weft_status write(ocl_source *src)
{
    static const char *const forms[] = { "", "CONV_ROW", "CONV_FLAT", "CONV_DEPTH", "CONV_TILE" };
    shape s = shape_of(src->dev, src->step);
    int32_t rank = src->step->out[0]->rank;
    ocl_axes groups[2] = { { 0 } };
    ocl_conv_numbers(src, &s.c);
    numbers(src, (const char *const[]){ "TD", "TH", "TW" }, s.steps, SPATIAL);
    numbers(src, (const char *const[]){ "GD", "GH", "GW" }, s.every, SPATIAL);
    numbers(src, (const char *const[]){ "VECTORS", "TILE", "REST" },
            (const int64_t[]){ s.vectors, s.tile, s.rest }, 3);
    filter_macros(src, &s);
    if (s.form != SIMPLE) ocl_text_add(src->text, "#define %s 1\n", forms[s.form]);
    for (int32_t k = 0; k < rank - 1; k++)
        groups[0].axis[groups[0].n++] = k;
    groups[1].axis[groups[1].n++] = rank - 1;
    ocl_source_then_at(src, groups, 2);
    return WEFT_OK;
}

static weft_status launch(ocl_call *call, const weft_view *packed, int64_t first, weft_cl_launch *l)
{
    const weft_kernel_call *base = &call->base;
    const weft_view *views[4 + WEFT_MAP_MAX_INPUTS] = { base->in[0], base->in[1], packed,
                                                        base->out[0] };
    for (uint32_t k = 0; k < base->n_extra; k++)
        views[4 + k] = base->in[base->n_in - base->n_extra + k];
    l->struct_size = sizeof *l;
    l->n_views = 4 + base->n_extra;
    l->n_ints = 1;
    l->views = views;
    l->ints = &first;
    return ocl_services.launch(base, l);
}

/* Rows and flat tiles: filters are read in place where whole vectors of them lie side by side, the
 * others are packed first. */
static weft_status panels(ocl_call *call, const shape *s, int64_t pixels, weft_cl_launch *l)
{
    int64_t panel = s->vectors * (int64_t)ocl_lanes(call->dev, call->f64),
            n = ocl_blocks(s->c.filters, panel);
    int64_t rows = s->c.k[0] * s->c.k[1] * s->c.k[2] * s->c.channels;
    int direct =
        !s->transposed && s->w_k.rank <= 1 && (s->w_f.rank == 0 || s->w_f.stride[0][0] == 1);
    if (direct)
        direct = !ocl_pack_pays(pixels, rows, ocl_group_stride(&s->w_k, 1) * (call->f64 ? 8 : 4));
    int64_t first = direct ? s->c.filters / panel : 0;
    weft_view packed = ocl_work(call, call->f64 ? WEFT_F64 : WEFT_F32, 0,
                                (uint64_t)(s->c.groups * (n - first) * panel * rows));
    weft_status st = WEFT_OK;
    l->local[0] = l->local[1] = l->local[2] = 1;
    l->global[2] = (size_t)(n * s->c.groups);
    if (packed.count) {
        const weft_view *views[] = { call->base.in[1], &packed };
        weft_cl_launch pack = { .struct_size = sizeof pack,
                                .n_views = 2,
                                .n_ints = 1,
                                .kernel = "conv_pack",
                                .local = { 1, 1, 1 },
                                .views = views,
                                .ints = &first };
        pack.global[0] = (size_t)(n - first);
        pack.global[1] = (size_t)ocl_blocks(rows, 64);
        pack.global[2] = (size_t)s->c.groups;
        st = ocl_services.launch(&call->base, &pack);
    } else {
        packed.data = NULL;
    }
    return st ? st : launch(call, &packed, first, l);
}

static weft_status gpu_tiles(ocl_call *call, const shape *s, weft_cl_launch *l)
{
    const ocl_device *device = call->dev->device;
    weft_view none = { .struct_size = sizeof none };
    int64_t side = 64, phases = 1, pixels = ocl_at(s->c.n, call->base.batch), large;
    for (int a = 0; a < SPATIAL; a++) {
        phases *= s->steps[a];
        pixels *= phase_of(s, a, s->c.y[a]);
    }
    large = ocl_blocks(pixels, 128) * ocl_blocks(s->c.filters, 128) * s->c.groups * phases;
    l->kernel = "conv_64";
    if (s->c.filters > 64 && large >= 2 * (int64_t)device->info.compute_units && !call->f64) {
        l->kernel = "conv_128";
        side = 128;
    }
    l->local[0] = l->local[1] = 16;
    l->local[2] = 1;
    l->global[0] = (size_t)(16 * ocl_blocks(pixels, side));
    l->global[1] = (size_t)(16 * ocl_blocks(s->c.filters, side) * s->c.groups);
    l->global[2] = (size_t)phases;
    return launch(call, &none, 0, l);
}

static weft_status enqueue(const weft_kernel_call *base, const weft_cl *cl)
{
    ocl_call *call = (ocl_call *)base;
    shape s = shape_of(call->dev, call->step);
    const weft_view *y = base->out[0], none = { .struct_size = sizeof none };
    int64_t filters = s.c.filters * s.c.groups, width = ocl_at(s.c.y[SPATIAL - 1], base->batch);
    weft_cl_launch l = { .kernel = "conv_simple" };
    (void)cl;
    if (y->count == 0) return WEFT_OK;
    int64_t pixels = (int64_t)y->count / filters, steps = s.steps[SPATIAL - 1];
    form how = base->in[0]->count && s.c.channels ? s.form : SIMPLE; /* of nothing: only zeros */
    switch (how) {
    case ROW:
        l.kernel = "conv_row";
        l.global[0] = (size_t)(steps * ocl_blocks(phase_of(&s, SPATIAL - 1, width), s.tile));
        l.global[1] = (size_t)(pixels / width);
        return panels(call, &s, pixels, &l);
    case FLAT:
        l.kernel = "conv_flat";
        l.global[0] = (size_t)ocl_blocks(pixels, s.tile);
        l.global[1] = 1;
        return panels(call, &s, pixels, &l);
    case DEPTH:
        l = (weft_cl_launch){ .kernel = "conv_depth", .local = { 1, 1, 1 } };
        l.global[0] = (size_t)ocl_blocks(filters, 32);
        l.global[1] = (size_t)(pixels / width);
        l.global[2] = 1;
        break;
    case TILES: return gpu_tiles(call, &s, &l);
    default: l.global[0] = (size_t)y->count;
    }
    return launch(call, &none, 0, &l);
}

/* ---- 1 x 1 ---- */
static weft_status write_point(ocl_source *src)
{
    int32_t rank = src->step->out[0]->rank;
    ocl_axes groups[3] = { { 0 } };
    ocl_text_add(src->text, "#define A_BATCH(x) ((x)*a_sz)\n#define B_BATCH(x) ((x)*b_sz)\n"
                            "#define C_BATCH(x) ((x)*c_sz)\n");
    for (int32_t k = 0; k < rank - 1; k++)
        groups[1].axis[groups[1].n++] = k;
    groups[2].axis[groups[2].n++] = rank - 1;
    ocl_source_then_at(src, groups, 3);
    return WEFT_OK;
}

static weft_status enqueue_point(const weft_kernel_call *base, const weft_cl *cl)
{
    ocl_call *call = (ocl_call *)base;
    const weft_view *x = base->in[0], *w = base->in[1], *y = base->out[0];
    int32_t last = x->rank - 1, turned = is_transposed(call->step);
    ocl_nest xm, ym;
    ocl_nest_range(&xm, call->step->in[0], 0, last);
    ocl_nest_range(&ym, call->step->out[0], 0, last);
    ocl_product p = { .program = call->program,
                      .a = *x,
                      .b = *w,
                      .c = *y,
                      .alpha = 1,
                      .f64 = call->f64,
                      .extra = base->in + (base->n_in - base->n_extra),
                      .n_extra = base->n_extra,
                      .then = ocl_then(call->step) != NULL,
                      .m = 1,
                      .n = w->dim[last - turned],
                      .k = w->dim[last - 1 + turned],
                      .z = 1 };
    (void)cl;
    for (int32_t k = 0; k < last; k++)
        p.m *= y->dim[k];
    p.a_rs = ocl_group_stride(&xm, base->batch);
    p.a_cs = x->stride[last];
    p.b_rs = w->stride[last - 1 + turned];
    p.b_cs = w->stride[last - turned];
    p.c_rs = ocl_group_stride(&ym, base->batch);
    p.c_cs = y->stride[last];
    return ocl_product_record(call, &p);
}

enum { FLAGS = OCL_ANY_LAYOUT | WEFT_KERNEL_EPILOGUE | WEFT_KERNEL_F64 };

static const ocl_op point = {
    .name = "conv",
    .file = "gemm.cl",
    .source = weft_cl_gemm,
    .kernel = { .struct_size = sizeof(weft_cl_kernel), .flags = FLAGS, .enqueue = enqueue_point },
    .write = write_point,
};

static const ocl_op *refine(const weft_step *step)
{
    const weft_operand *x = step->in[0], *w = step->in[1];
    int64_t strides[SPATIAL], pads[2 * SPATIAL];
    ocl_nest xm, ym;
    ocl_attr_list(step, "strides", strides, SPATIAL, 1);
    ocl_attr_list(step, "pads", pads, 2 * SPATIAL, 0);
    for (int32_t k = 0; k < x->rank - 2; k++)
        if (w->dim[k] != 1 || strides[k] != 1) return NULL;
    for (int32_t k = 0; k < 2 * SPATIAL; k++)
        if (pads[k] != 0) return NULL;
    if (step->attr_i(step, "groups") != 1) return NULL;
    ocl_nest_range(&xm, x, 0, x->rank - 1);
    ocl_nest_range(&ym, step->out[0], 0, x->rank - 1);
    return xm.rank <= 1 && ym.rank <= 1 ? &point : NULL;
}

#define CONV(op)                                                                                 \
    const ocl_op ocl_op_##op = {                                                                 \
        .name = #op,                                                                             \
        .file = "conv.cl",                                                                       \
        .source = weft_cl_conv,                                                                  \
        .kernel = { .struct_size = sizeof(weft_cl_kernel), .flags = FLAGS, .enqueue = enqueue }, \
        .write = write,                                                                          \
        .refine = refine,                                                                        \
    }
CONV(conv);
CONV(conv_input_grad);
