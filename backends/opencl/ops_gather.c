/* gather: rows of x by number; scatter_add: rows added to where their numbers say. Every index is
 * checked on the device; finish() reports a bad one. x of the one and y of the other is the table,
 * the other side the rows.
 *
 * Scatter_add adds without float atomics, and always in the same order: integer atomics find the
 * first and the last place where an entry of the table is meant, and each entry walks the indices
 * between them. Where there are too few entries to keep the device busy, the walk is cut into
 * parts, whose sums are added last. */
#include "step.h"
#include <limits.h>
#include <stdio.h>
#include "kernels/gather.cl.h"

typedef struct shape {
    int32_t axis, last; /* last: the first axis of the rows behind the indices */
    const weft_operand *table, *indices, *rows;
    ocl_nest table_outer, table_inner, j, rows_outer, rows_mid, rows_inner;
} shape;

static void range(ocl_nest *nest, const weft_operand *o, int32_t from, int32_t to)
{
    int32_t axes[WEFT_MAX_RANK];
    for (int32_t k = from; k < to; k++)
        axes[k - from] = k;
    ocl_nest_axes(nest, o, axes, (uint32_t)(to - from));
}

static shape shape_of(const weft_step *step, int adds)
{
    shape s = { .axis = (int32_t)step->attr_i(step, "axis") };
    s.table = adds ? step->out[0] : step->in[0];
    s.indices = step->in[adds ? 0 : 1];
    s.rows = adds ? step->in[1] : step->out[0];
    if (s.axis < 0) s.axis += s.table->rank;
    s.last = s.axis + s.indices->rank;
    range(&s.table_outer, s.table, 0, s.axis);
    range(&s.table_inner, s.table, s.axis + 1, s.table->rank);
    range(&s.j, s.indices, 0, s.indices->rank);
    range(&s.rows_outer, s.rows, 0, s.axis);
    range(&s.rows_mid, s.rows, s.axis, s.last);
    range(&s.rows_inner, s.rows, s.last, s.rows->rank);
    return s;
}

static void write_shape(ocl_source *src, const shape *s)
{
    ocl_source_group(src, "TABLE_OUTER", &s->table_outer, "so");
    ocl_source_group(src, "TABLE_INNER", &s->table_inner, "si");
    ocl_source_group(src, "J", &s->j, "sj");
    ocl_source_group(src, "ROWS_OUTER", &s->rows_outer, "to");
    ocl_source_group(src, "ROWS_MID", &s->rows_mid, "tm");
    ocl_source_group(src, "ROWS_INNER", &s->rows_inner, "ti");
    ocl_text_add(src->text, "#define INDEX %s\n", ocl_type_name(s->indices->dtype));
}

static weft_status write_gather(ocl_source *src)
{
    shape s = shape_of(src->step, 0);
    size_t size = ocl_type_size(s.table->dtype);
    write_shape(src, &s);
    ocl_text_add(src->text, "#define ELEMENT %s\n",
                 size == 1   ? "uchar"
                 : size == 2 ? "ushort"
                 : size == 4 ? "uint"
                             : "ulong");
    return WEFT_OK;
}

static weft_status write_scatter_add(ocl_source *src)
{
    shape s = shape_of(src->step, 1);
    write_shape(src, &s);
    ocl_text_add(src->text, "#define SCATTER_ADD 1\n");
    return WEFT_OK;
}

static int takes(weft_dtype index, char *why, size_t why_size)
{
    if (index == WEFT_I32 || index == WEFT_I64) return 1;
    snprintf(why, why_size, "indices must be i32 or i64");
    return 0;
}

static int gather_supports(const weft_kernel_call *base, char *why, size_t why_size)
{
    return takes(base->in[1]->dtype, why, why_size);
}

static int scatter_add_supports(const weft_kernel_call *base, char *why, size_t why_size)
{
    weft_dtype updates = base->in[1]->dtype;
    if (updates == WEFT_F32 || updates == WEFT_F64) return takes(base->in[0]->dtype, why, why_size);
    snprintf(why, why_size, "updates must be f32 or f64");
    return 0;
}

static int64_t product(const weft_view *v, int32_t from, int32_t to)
{
    int64_t n = 1;
    for (int32_t k = from; k < to; k++)
        n *= v->dim[k];
    return n;
}

/* The sizes and strides that both kernels' arguments start with. */
enum { OUTER, N, INNER, SIZE, STRIDES, NUMBER = 11, INTS };
static shape get_ints(const ocl_call *call, const weft_view *table, int adds, int64_t ints[INTS])
{
    shape s = shape_of(call->step, adds);
    const ocl_nest *nests[] = { &s.table_outer, &s.table_inner, &s.j,
                                &s.rows_outer,  &s.rows_mid,    &s.rows_inner };
    ints[OUTER] = product(table, 0, s.axis);
    ints[N] = (int64_t)call->base.in[adds ? 0 : 1]->count;
    ints[INNER] = product(table, s.axis + 1, table->rank);
    ints[SIZE] = table->dim[s.axis];
    ints[STRIDES] = table->stride[s.axis];
    for (int k = 0; k < 6; k++)
        ints[STRIDES + 1 + k] = ocl_group_stride(nests[k], call->base.batch);
    ints[NUMBER] = call->number;
    return s;
}

static weft_status gather(const weft_kernel_call *base, const weft_cl *cl)
{
    ocl_call *call = (ocl_call *)base;
    const weft_view *x = base->in[0], *y = base->out[0];
    int64_t ints[INTS];
    weft_view errors = ocl_errors(call, x);
    const weft_view *views[4] = { x, base->in[1], y, &errors };
    weft_cl_launch l = { .struct_size = sizeof l,
                         .n_views = 4,
                         .n_ints = INTS,
                         .kernel = "gather",
                         .views = views,
                         .ints = ints };
    if (y->count == 0) return WEFT_OK;
    get_ints(call, x, 0, ints);
    if (call->dev->cpu) {
        l.local[0] = l.local[1] = l.local[2] = 1;
        l.global[0] = (size_t)ints[N];
        l.global[1] = (size_t)ints[OUTER];
        l.global[2] = 1;
    } else {
        l.global[0] = (size_t)(ints[OUTER] * ints[N] * ints[INNER]);
    }
    return cl->launch(base, &l);
}

/* ---- scatter_add */

enum { COLUMNS = 4 }; /* elements of an entry that a work-item adds up; on CPUs all of them */

/* Parts that the walk over n indices is cut into, so that `items` entries keep the device busy. */
static int64_t parts_of(const weft_dev *dev, int64_t items, int64_t n)
{
    int64_t wanted = (dev->cpu ? 64 : 16384) / (items ? items : 1), most = n / 256;
    if (wanted > most) wanted = most;
    return wanted < 1 ? 1 : wanted;
}

static weft_status scatter_add(const weft_kernel_call *base, const weft_cl *cl)
{
    ocl_call *call = (ocl_call *)base;
    const weft_view *y = base->out[0];
    int64_t ints[INTS + 2];
    int cpu = call->dev->cpu;
    weft_status st;
    get_ints(call, y, 1, ints);
    if (ints[N] > INT_MAX)
        return ocl_fail(base->host, WEFT_E_UNSUPPORTED,
                        "%s: op scatter_add: %lld indices; at most %d are possible here",
                        base->path, (long long)ints[N], INT_MAX);
    int64_t columns = cpu ? 1 : (ints[INNER] + COLUMNS - 1) / COLUMNS;
    int64_t items = ints[OUTER] * ints[SIZE] * columns, parts = parts_of(call->dev, items, ints[N]);
    uint64_t ends = (uint64_t)ints[SIZE] * 2, at = (ends * 4 + 7) / 8 * 8;
    weft_view errors = ocl_errors(call, y), range = ocl_work(call, WEFT_I32, 0, ends);
    weft_view sums = ocl_work(call, y->dtype, at, parts > 1 ? (uint64_t)parts * y->count : 0);
    const weft_view *views[] = { base->in[0], base->in[1], y, &range, &sums, &errors };
    weft_cl_launch l = {
        .struct_size = sizeof l, .n_views = 6, .n_ints = INTS + 2, .views = views, .ints = ints
    };
    ints[INTS] = parts;
    ints[INTS + 1] = (ints[N] + parts - 1) / parts;
    l.kernel = "scatter_clear";
    l.global[0] = (size_t)ints[SIZE];
    if ((st = cl->launch(base, &l))) return st;
    l.kernel = "scatter_mark";
    l.global[0] = (size_t)ints[N];
    if ((st = cl->launch(base, &l)) || y->count == 0) return st;
    l.kernel = "scatter_sum";
    l.global[0] = (size_t)(items * parts);
    l.local[0] = (size_t)cpu;
    if ((st = cl->launch(base, &l)) || parts == 1) return st;
    l.kernel = "scatter_join";
    l.global[0] = (size_t)y->count;
    l.local[0] = 0;
    return cl->launch(base, &l);
}

enum {
    ANY_LAYOUT = WEFT_KERNEL_IN_STRIDED | WEFT_KERNEL_OUT_STRIDED | WEFT_KERNEL_IN_PITCHED |
                 WEFT_KERNEL_OUT_PITCHED
};
const ocl_op ocl_op_gather = {
    .name = "gather",
    .file = "gather.cl",
    .source = weft_cl_gather,
    .moves_bits = 1,
    .kernel = { .struct_size = sizeof(weft_cl_kernel),
                .flags = ANY_LAYOUT | WEFT_KERNEL_ANY_DTYPE,
                .supports = gather_supports,
                .enqueue = gather },
    .write = write_gather,
};
const ocl_op ocl_op_scatter_add = {
    .name = "scatter_add",
    .file = "gather.cl",
    .source = weft_cl_gather,
    .kernel = { .struct_size = sizeof(weft_cl_kernel),
                .flags = ANY_LAYOUT | WEFT_KERNEL_ANY_DTYPE,
                .supports = scatter_add_supports,
                .enqueue = scatter_add },
    .write = write_scatter_add,
};
