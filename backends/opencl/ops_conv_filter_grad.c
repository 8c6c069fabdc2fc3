/* conv_filter_grad: the choice among the kernels of conv_filter_grad.cl and of the number of parts
 * that the pixels are cut into: by shapes and the device alone, so that the same run gives the same
 * numbers. A 1 x 1 filter with stride 1 may be a matrix product. */
#include <string.h>
#include "conv.h"
#include "kernels/conv_filter_grad.cl.h"

enum {
    PART_BYTES = 512 << 10, /* of x and dy, that stay in a second-level cache */
    SUMS_BYTES = 64 << 20,  /* of all parts of dw */
    LEAST_PIXELS = 512,     /* of a part, so that adding up parts costs little */
    ROWS_FEW = 6,           /* channels that tiles of several taps are made of */
};
typedef enum form { SIMPLE, TILES, DEPTH } form;

typedef struct shape {
    ocl_conv c;
    int64_t vectors, taps, chans, last; /* CPUs: a tile of dw */
    form form;
} shape;

static int64_t limit(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value < high ? value : high;
}

static form form_of(const weft_dev *dev, const ocl_conv *c)
{
    int64_t rows = c->k[0] * c->k[1] * c->k[2] * c->channels;
    if (!ocl_conv_all_numbers(c)) return SIMPLE;
    if (!dev->cpu) return c->filters >= 16 && rows >= 9 && ocl_has_tiles(dev) ? TILES : SIMPLE;
    if (c->channels == 1 && c->filters == 1 && c->groups > 1) return DEPTH;
    return c->filters >= 4 || c->groups == 1 ? TILES : SIMPLE;
}

/* Rows of a tile: channels of one tap or, if those are few, several taps of a row of the filter. */
static void tile_rows(const weft_dev *dev, int f64, shape *s)
{
    const ocl_conv *c = &s->c;
    int64_t width = c->k[OCL_SPATIAL - 1];
    int64_t most = ocl_conv_rows(dev, f64, c->filters, &s->vectors);
    s->taps = 1;
    s->chans = s->last = c->channels;
    if (!c->channels) return;
    if (c->channels <= ROWS_FEW && 2 * c->channels <= most && width > 1) {
        s->taps = ocl_conv_cut(width, limit(most / c->channels, 1, width), &s->last);
        s->last *= c->channels;
        return;
    }
    s->chans = ocl_conv_cut(c->channels, most, &s->last);
}

static shape shape_of(const weft_dev *dev, const weft_step *step)
{
    shape s = { .c = ocl_conv_of(step,
                                 &(ocl_conv_operands){ step->in[0], step->out[0], step->in[1] }) };
    s.form = form_of(dev, &s.c);
    tile_rows(dev, ocl_step_f64(step), &s);
    return s;
}

static weft_status write(ocl_source *src)
{
    static const char *const forms[] = { "", "GRAD_TILE", "GRAD_DEPTH" };
    shape s = shape_of(src->dev, src->step);
    ocl_conv_numbers(src, &s.c);
    ocl_conv_number(src, "VECTORS", s.vectors);
    ocl_conv_number(src, "TAPS", s.taps);
    ocl_conv_number(src, "CHANS", s.chans);
    ocl_conv_number(src, "LAST", s.last);
    if (s.form != SIMPLE) ocl_text_add(src->text, "#define %s 1\n", forms[s.form]);
    return WEFT_OK;
}

/* What is cut into parts: `units` of `pixels` each; items: work-items that one part gives. */
typedef struct job {
    ocl_call *call;
    const shape *s;
    int64_t rows, units, pixels, items;
    weft_cl_launch launch;
} job;

static int64_t parts_of(const job *j)
{
    const ocl_conv *c = &j->s->c;
    int64_t size = j->call->f64 ? 8 : 4, cores = j->call->dev->device->info.compute_units;
    int64_t all = j->units * j->pixels, dw = j->rows * c->groups * c->filters * size;
    int64_t x = (int64_t)j->call->base.in[0]->count, dy = (int64_t)j->call->base.in[1]->count;
    int64_t most = limit(SUMS_BYTES / (dw + 1), 1, j->units > 0 ? j->units : 1);
    int64_t busy = ocl_blocks(4 * cores, j->items), cached = 1;
    busy = limit(busy, 1, limit(all / 64, 1, all + 1));
    if (j->call->dev->cpu) cached = limit((x + dy) * size / PART_BYTES, 1, all / LEAST_PIXELS + 1);
    return limit(busy > cached ? busy : cached, 1, most);
}

static weft_status start(job *j, const weft_view *sums, int64_t span, int64_t parts)
{
    const weft_kernel_call *base = &j->call->base;
    const weft_view *views[] = { base->in[0], base->in[1], sums, base->out[0] };
    int64_t ints[] = { span, parts };
    j->launch.struct_size = sizeof j->launch;
    j->launch.n_views = sizeof views / sizeof *views;
    j->launch.n_ints = 2;
    j->launch.views = views;
    j->launch.ints = ints;
    return ocl_services.launch(base, &j->launch);
}

/* The launch, its last dimension the parts; and a second one where there are several. */
static weft_status run_parts(job *j, int axis)
{
    const weft_view *dw = j->call->base.out[0];
    int64_t parts = parts_of(j), span = ocl_blocks(j->units, parts);
    weft_view sums = { .struct_size = sizeof sums };
    weft_status st;
    parts = limit(span ? ocl_blocks(j->units, span) : 1, 1, parts);
    if (parts > 1) sums = ocl_work(j->call, dw->dtype, 0, (uint64_t)parts * dw->count);
    j->launch.global[axis] = (size_t)parts;
    if ((st = start(j, &sums, span, parts)) || parts == 1) return st;
    j->launch = (weft_cl_launch){ .kernel = "conv_filter_sum", .global = { (size_t)dw->count } };
    return start(j, &sums, span, parts);
}

static weft_status gpu_tiles(job *j)
{
    const ocl_conv *c = &j->s->c;
    int64_t side = 64, cores = j->call->dev->device->info.compute_units;
    j->units *= j->pixels;
    j->pixels = 1;
    j->launch = (weft_cl_launch){ .kernel = "conv_filter_64", .local = { 16, 16, 1 } };
    if (c->filters > 64 && j->rows > 64 && !j->call->f64 &&
        ocl_blocks(j->rows, 128) * ocl_blocks(c->filters, 128) * c->groups * (j->units / 256) >=
            2 * cores) {
        j->launch.kernel = "conv_filter_128";
        side = 128;
    }
    j->launch.global[0] = (size_t)(16 * ocl_blocks(j->rows, side));
    j->launch.global[1] = (size_t)(16 * ocl_blocks(c->filters, side) * c->groups);
    j->items = ocl_blocks(j->rows, side) * ocl_blocks(c->filters, side) * c->groups;
    return run_parts(j, 2);
}

static weft_status cpu_tiles(job *j)
{
    const shape *s = j->s;
    const ocl_conv *c = &s->c;
    int64_t panel = s->vectors * (int64_t)ocl_lanes(j->call->dev, j->call->f64);
    int64_t lines = ocl_blocks(c->k[OCL_SPATIAL - 1], s->taps) * ocl_blocks(c->channels, s->chans);
    j->launch = (weft_cl_launch){ .kernel = "conv_filter_tile", .local = { 1, 1, 1 } };
    j->launch.global[0] = (size_t)(c->k[0] * c->k[1] * lines);
    j->launch.global[1] = (size_t)(ocl_blocks(c->filters, panel) * c->groups);
    j->items = (int64_t)(j->launch.global[0] * j->launch.global[1]);
    return run_parts(j, 2);
}

static weft_status depthwise(job *j)
{
    j->launch = (weft_cl_launch){ .kernel = "conv_filter_depth", .local = { 1, 1, 1 } };
    j->launch.global[0] = (size_t)ocl_blocks(j->s->c.groups, 32);
    j->launch.global[1] = (size_t)j->rows;
    j->items = (int64_t)j->launch.global[0] * j->rows;
    return run_parts(j, 2);
}

static weft_status simple(job *j)
{
    j->launch = (weft_cl_launch){ .kernel = "conv_filter_simple" };
    j->launch.global[0] = j->call->base.out[0]->count;
    j->launch.global[2] = 1;
    j->items = ocl_blocks((int64_t)j->launch.global[0], 64);
    return run_parts(j, 1);
}

/* ---- 1 x 1 ---- */

/* The step between the lines of v, if one step does it: dense lines, the last axis apart. */
static int even_lines(const weft_operand *o, int64_t batch, int64_t *step)
{
    ocl_nest nest;
    ocl_nest_range(&nest, o, 0, o->rank - 1);
    *step = nest.rank ? ocl_group_stride(&nest, batch) : o->dim[o->rank - 1];
    return nest.rank <= 1 && o->stride[o->rank - 1] == 1 && *step >= o->dim[o->rank - 1];
}

/* Where it gives every core something to do. */
static int as_product(const job *j, weft_gemm *g)
{
    const ocl_conv *c = &j->s->c;
    const weft_step *step = j->call->step;
    int64_t batch = j->call->base.batch, cores = j->call->dev->device->info.compute_units;
    int64_t rows = j->call->dev->cpu ? ocl_rows(j->call->dev) : 64;
    int64_t cols = j->call->dev->cpu ? 2 * (int64_t)ocl_lanes(j->call->dev, j->call->f64) : 64;
    if (c->groups != 1 || j->rows != c->channels || !ocl_conv_all_numbers(c)) return 0;
    for (int a = 0; a < OCL_SPATIAL; a++)
        if (c->stride[a] != 1 || c->low[a] || c->x[a] != c->y[a]) return 0;
    if (ocl_blocks(c->channels, rows) * ocl_blocks(c->filters, cols) < 4 * cores) return 0;
    *g = (weft_gemm){ .struct_size = sizeof *g,
                      .trans_a = 1,
                      .m = c->channels,
                      .n = c->filters,
                      .k = j->units * j->pixels,
                      .ldc = c->filters,
                      .alpha = 1,
                      .a = j->call->base.in[0],
                      .b = j->call->base.in[1],
                      .c = j->call->base.out[0] };
    return even_lines(step->in[0], batch, &g->lda) && even_lines(step->in[1], batch, &g->ldb);
}

static weft_status enqueue(const weft_kernel_call *base, const weft_cl *cl)
{
    ocl_call *call = (ocl_call *)base;
    shape s = shape_of(call->dev, call->step);
    const weft_view *dw = base->out[0];
    const ocl_conv *c = &s.c;
    weft_gemm product;
    job j = { .call = call, .s = &s };
    if (dw->count == 0) return WEFT_OK;
    j.rows = c->k[0] * c->k[1] * c->k[2] * c->channels;
    j.units =
        ocl_at(c->n, base->batch) * ocl_at(c->y[0], base->batch) * ocl_at(c->y[1], base->batch);
    j.pixels = ocl_at(c->y[2], base->batch);
    if (base->in[0]->count == 0 || base->in[1]->count == 0) return cl->fill(base, dw, 0);
    if (as_product(&j, &product)) return cl->gemm(base, &product);
    switch (s.form) {
    case TILES: return call->dev->cpu ? cpu_tiles(&j) : gpu_tiles(&j);
    case DEPTH: return depthwise(&j);
    default: return simple(&j);
    }
}

const ocl_op ocl_op_conv_filter_grad = {
    .name = "conv_filter_grad",
    .file = "conv_filter_grad.cl",
    .source = weft_cl_conv_filter_grad,
    .kernel = { .struct_size = sizeof(weft_cl_kernel),
                .flags = WEFT_KERNEL_IN_STRIDED | WEFT_KERNEL_IN_PITCHED | WEFT_KERNEL_F64,
                .enqueue = enqueue },
    .write = write,
};
