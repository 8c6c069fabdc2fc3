/* conv: cross-correlation, f32 or f64, 1 to 3 spatial dimensions, `then` on the result. x[N, in..,
 * C], w[kernel.., C / G, F]: out[n, o.., g F/G + f] = sum over k.., c of w[k.., c, g F/G + f] *
 * x[n, o * stride - low + k * dilation, g C/G + c], which is 0 outside. The output points of all
 * images are rows of a matrix product, cut into blocks that are gathered (im2col.c), multiplied
 * and finished in one core's cache; what a block gathers of a large window is cut into sums of
 * some taps. One-point kernels need no gathering, depthwise ones no gemm. */
#include "conv.h"
#include <limits.h>
#include <string.h>

typedef struct plan {
    cpu_image conv;
    int depthwise, in_place, direct; /* x is the matrix; gemm writes the output itself */
    int64_t a_row, out_row;          /* steps from row to row, in place and direct */
    int64_t block;                   /* rows of a task */
    cpu_cut cut;                     /* what of them is gathered at a time */
    size_t w_copy, a_bytes, c_bytes, temp_size;
    cpu_job job;
    const weft_view *out;
    char *temp;
} plan;

void cpu_image_init(cpu_image *c, const weft_kernel_call *call, const cpu_conv_views *views)
{
    const weft_view *x = views->x, *w = views->w, *out = views->y;
    int32_t n = x->rank - 2, skip = CPU_SPATIAL - n;
    int64_t stride[CPU_SPATIAL], pads[2 * CPU_SPATIAL], dilation[CPU_SPATIAL];
    cpu_attr_list(call, "strides", stride, (uint32_t)n, 1);
    cpu_attr_list(call, "pads", pads, 2 * (uint32_t)n, 0);
    cpu_attr_list(call, "dilations", dilation, (uint32_t)n, 1);
    c->taps = 1;
    c->rows = x->dim[0];
    for (int32_t d = 0; d < CPU_SPATIAL; d++) {
        int32_t s = d - skip;
        c->in[d] = s < 0 ? 1 : x->dim[1 + s];
        c->out[d] = s < 0 ? 1 : out->dim[1 + s];
        c->kernel[d] = s < 0 ? 1 : w->dim[s];
        c->x_step[d] = s < 0 ? 0 : x->stride[1 + s];
        c->stride[d] = s < 0 ? 1 : stride[s];
        c->low[d] = s < 0 ? 0 : pads[s];
        c->dilation[d] = s < 0 ? 1 : dilation[s];
        c->taps *= c->kernel[d];
        c->rows *= c->out[d];
    }
    c->groups = call->attr_i(call, "groups");
    c->in_group = w->dim[n];
    c->features = w->dim[n + 1];
    c->out_group = c->features / c->groups;
    c->k = c->taps * c->in_group;
    c->x_image = x->stride[0];
    c->x_channel = x->stride[n + 1];
    c->dtype = x->dtype;
    c->size = cpu_dtype_size(x->dtype);
    c->x = x->data;
    c->w = w->data;
}

int64_t cpu_even_rows(const weft_view *v)
{
    cpu_nest nest;
    int64_t row = v->dim[v->rank - 1];
    if (v->stride[v->rank - 1] != 1 && row > 1) return 0;
    cpu_nest_init(&nest, v->rank - 1, v->dim);
    cpu_nest_add(&nest, v->stride);
    cpu_nest_collapse(&nest);
    if (nest.rank == 0) return row;
    return nest.rank == 1 && nest.stride[0][0] >= row ? nest.stride[0][0] : 0;
}

int cpu_image_pointwise(const cpu_image *c)
{
    int yes = c->taps == 1;
    for (int d = 0; d < CPU_SPATIAL; d++)
        yes = yes && c->stride[d] == 1 && c->low[d] == 0 && c->in[d] == c->out[d];
    return yes;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void make_plan(plan *p, const weft_kernel_call *call)
{
    cpu_image *c = &p->conv;
    memset(p, 0, sizeof *p);
    p->out = call->out[0];
    cpu_image_init(c, call, &(cpu_conv_views){ call->in[0], call->in[1], call->out[0] });
    p->block = cpu_conv_block(c, larger(c->k, c->features), larger(c->in_group, c->features));
    p->cut = cpu_cut_of(c, p->block, c->k);
    c->w_row = cpu_even_rows(call->in[1]);
    if (!c->w_row) {
        c->w_row = c->features;
        p->w_copy = cpu_conv_round((size_t)call->in[1]->count * c->size);
    }
    p->depthwise = c->in_group == 1 && c->groups > 1;
    p->a_row = cpu_image_pointwise(c) && !p->depthwise ? cpu_even_rows(call->in[0]) : 0;
    p->in_place = p->a_row != 0;
    p->out_row = cpu_even_rows(p->out);
    p->direct =
        !cpu_node_of(call)->then && p->out_row != 0 && (!p->depthwise || p->out_row == c->features);
    if (!p->in_place && !p->depthwise) {
        p->a_bytes = cpu_conv_round((size_t)(p->block * p->cut.taps * p->cut.channels) * c->size);
    }
    if (!p->direct) {
        p->c_bytes = cpu_conv_round((size_t)(p->block * c->features) * c->size);
        p->temp_size = cpu_job_temp(1 + call->n_extra);
    }
    p->temp_size += p->a_bytes + p->c_bytes;
}

/* One block of one group; c: the block's first output, of group 0. */
static void multiply(const plan *p, cpu_piece *piece, char *c_at, char *a_temp)
{
    const cpu_image *c = &p->conv;
    int64_t size = (int64_t)c->size, column = piece->group * c->out_group;
    for (int64_t i = 0; i < p->cut.pieces; i++) {
        int64_t row = cpu_cut_piece(&p->cut, c, i, piece), k = piece->taps * piece->channels;
        cpu_gemm g = { c->dtype,
                       piece->rows,
                       c->out_group,
                       k,
                       a_temp,
                       c->w + (row * c->w_row + column) * size,
                       k,
                       1,
                       c->w_row,
                       1,
                       c_at + column * size,
                       p->direct ? p->out_row : c->features,
                       i > 0 };
        if (p->in_place) {
            int64_t channel = piece->group * c->in_group + piece->channel;
            g.a = c->x + (piece->first * p->a_row + channel) * size;
            g.a_row = p->a_row;
        } else if (k > 0) {
            cpu_im2col(c, piece, a_temp);
        }
        cpu_gemm_run(&g);
    }
}

static void conv_task(void *user, uint64_t task, uint32_t thread)
{
    const plan *p = user;
    const cpu_image *c = &p->conv;
    int64_t first = (int64_t)task * p->block, left = c->rows - first;
    int64_t rows = left < p->block ? left : p->block;
    char *temp = p->temp + thread * p->temp_size, *c_at = temp + p->a_bytes;
    if (p->direct) c_at = (char *)p->out->data + first * p->out_row * (int64_t)c->size;
    if (p->depthwise) {
        cpu_depthwise(c, first, rows, c_at);
    } else {
        cpu_piece piece = { .first = first, .rows = rows };
        for (; piece.group < c->groups; piece.group++)
            multiply(p, &piece, c_at, temp);
    }
    if (!p->direct) {
        cpu_job_range(&p->job, c_at, (uint64_t)(first * c->features),
                      (uint64_t)(rows * c->features), c_at + p->c_bytes);
    }
}

/* w as a dense matrix where its rows are not evenly spaced; returns what is behind it. */
static char *copy_filter(const weft_kernel_call *call, plan *p, char *to)
{
    weft_view dense = *call->in[1];
    int64_t stride[WEFT_MAX_RANK];
    cpu_box box;
    if (!p->w_copy || !dense.count) return to;
    cpu_dense_strides(dense.rank, dense.dim, stride);
    dense.stride = stride;
    dense.data = to;
    box = cpu_box_of(&dense, call->in[1]->data);
    memcpy(box.src_stride, call->in[1]->stride, (size_t)dense.rank * sizeof *stride);
    cpu_box_copy(call, &box);
    p->conv.w = to;
    return to + p->w_copy;
}

static uint64_t n_blocks(const plan *p)
{
    return p->block ? (uint64_t)((p->conv.rows + p->block - 1) / p->block) : 0;
}

static int too_large(const plan *p)
{
    return p->conv.w_row > INT_MAX || p->a_row > INT_MAX || p->out_row > INT_MAX;
}

static weft_status run(const weft_kernel_call *call)
{
    plan p;
    if (!call->out[0]->count || !call->out[0]->data) return WEFT_OK;
    make_plan(&p, call);
    if (too_large(&p)) {
        return cpu_fail(call, WEFT_E_UNSUPPORTED,
                        "steps between rows of %lld (image), %lld (filter) or %lld (output) "
                        "elements are beyond what BLAS counts (2^31 - 1)",
                        (long long)p.a_row, (long long)p.conv.w_row, (long long)p.out_row);
    }
    if (!p.conv.k)
        p.conv.x = p.conv.w = p.out->data; /* never read; they may have no memory at all */
    p.temp = copy_filter(call, &p, call->scratch);
    if (!p.direct) cpu_then_job(&p.job, call, p.conv.dtype);
    cpu_parallel(call, p.out->count * (uint64_t)(p.conv.k / 4 + 1), n_blocks(&p), conv_task, &p);
    return WEFT_OK;
}

uint64_t cpu_conv_threads(const weft_kernel_call *call, uint64_t tasks)
{
    uint64_t threads = cpu_node_of(call)->dev->threads;
    return threads < tasks ? threads : tasks;
}

static size_t scratch(const weft_kernel_call *call)
{
    plan p;
    make_plan(&p, call);
    return p.w_copy + cpu_conv_threads(call, n_blocks(&p)) * p.temp_size;
}

int cpu_conv_supports(const weft_kernel_call *call, char *why, size_t size)
{
    int32_t spatial = call->in[0]->rank - 2;
    if (!cpu_same_dtype(call, 2, why, size)) return 0;
    if (spatial < 1 || spatial > CPU_SPATIAL) {
        return cpu_no(why, size, "%d spatial dimensions; conv takes 1 to %d", spatial, CPU_SPATIAL);
    }
    return cpu_then_supports(call, call->in[0]->dtype, why, size);
}

weft_status cpu_conv_prepare(cpu_node *node)
{
    return cpu_then_prepare(node, node->call.in[0]->dtype);
}

const cpu_kernel cpu_conv = {
    "conv",
    { sizeof(weft_cpu_kernel),
      WEFT_KERNEL_IN_PITCHED | WEFT_KERNEL_IN_STRIDED | WEFT_KERNEL_OUT_PITCHED |
          WEFT_KERNEL_EPILOGUE | WEFT_KERNEL_F64,
      cpu_conv_supports, scratch, run },
    cpu_conv_prepare,
};
