/* Copies and fills between views of any strides, each one launch of kernels/movement.cl. */
#include "step.h"
#include "copy.h"
#include <string.h>
#include "kernels/movement.cl.h"

enum { CPU_CHUNK = 8192, TILE_SIDE = 128 };

static weft_status get_program(ocl_call *call, size_t size, cl_program *program)
{
    static const char *const element[4] = { "uchar", "ushort", "uint", "ulong" };
    weft_dev *dev = call->dev;
    int which = size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3;
    ocl_text text = { .host = dev->host };
    weft_status st = WEFT_OK;
    if (!dev->movement[which]) {
        ocl_text_add(&text, "%s#define ELEMENT %s\n%s", dev->cpu ? "#define WEFT_CPU 1\n" : "",
                     element[which], (const char *)weft_cl_movement);
        ocl_request request = { text.data, NULL, call->step->op->name, call->base.path };
        if (text.failed)
            st = ocl_fail(dev->host, WEFT_E_NOMEM, "%s: no memory for a copy", call->base.path);
        else
            st = ocl_program_get(dev, &request, &dev->movement[which]);
    }
    ocl_text_finish(&text);
    *program = dev->movement[which];
    return st;
}

/* The loop that walks dst most finely becomes the innermost. Numbers only. */
static void sort_loops(ocl_nest *nest)
{
    for (uint32_t i = 1; i < nest->rank; i++)
        for (uint32_t k = i; k > 0 && nest->stride[0][k] > nest->stride[0][k - 1]; k--) {
            int64_t n = nest->dim[k];
            nest->dim[k] = nest->dim[k - 1];
            nest->dim[k - 1] = n;
            for (uint32_t t = 0; t < nest->n; t++) {
                int64_t s = nest->stride[t][k];
                nest->stride[t][k] = nest->stride[t][k - 1];
                nest->stride[t][k - 1] = s;
            }
        }
}

/* Arguments n, d, s for so many loops, from the innermost on; then chunk and block. */
static uint32_t loop_arguments(const ocl_nest *nest, uint32_t loops, int64_t *ints)
{
    for (uint32_t k = 0; k < loops; k++) {
        int there = k < nest->rank;
        uint32_t from = there ? nest->rank - 1 - k : 0;
        ints[k] = there ? nest->dim[from] : 1;
        ints[loops + k] = there ? nest->stride[0][from] : 0;
        ints[2 * loops + k] = there && nest->n > 1 ? nest->stride[1][from] : 0;
    }
    return 3 * loops;
}

static void cpu_range(const int64_t *ints, uint32_t loops, int64_t *chunk, int64_t *block,
                      size_t *global)
{
    const int64_t *s = ints + 2 * loops;
    int64_t n0 = ints[0], n1 = ints[1], outer = 1;
    for (uint32_t k = 2; k < loops; k++)
        outer *= ints[k];
    int across = loops == 3 && s[1] == 1 && s[0] != 1 && s[0] != 0;
    *chunk = across ? TILE_SIDE : n0 < CPU_CHUNK ? n0 : CPU_CHUNK;
    *block = across ? TILE_SIDE : n0 < CPU_CHUNK ? CPU_CHUNK / n0 : 1;
    global[0] = (size_t)ocl_blocks(n0, *chunk);
    global[1] = (size_t)ocl_blocks(n1, *block);
    global[2] = (size_t)outer;
}

static weft_status launch_loops(ocl_call *call, const ocl_nest *nest, const weft_view *const *views,
                                const int64_t *bits)
{
    int64_t ints[3 * WEFT_MAX_RANK + 3] = { 0 };
    uint32_t loops = bits || nest->rank > 3 ? 8 : 3, n = loop_arguments(nest, loops, ints);
    cl_program program = NULL;
    weft_cl_launch l = { .struct_size = sizeof l,
                         .n_views = bits ? 1 : 2,
                         .views = views,
                         .ints = ints,
                         .kernel = bits         ? "fill8"
                                   : loops == 3 ? "copy3"
                                                : "copy8" };
    weft_status st = get_program(call, ocl_type_size(views[0]->dtype), &program);
    if (st) return st;
    if (call->dev->cpu) {
        l.local[0] = l.local[1] = l.local[2] = 1;
        cpu_range(ints, loops, &ints[n], &ints[n + 1], l.global);
    } else if (loops == 3 && ints[loops] == 1 && ints[2 * loops + 1] == 1 && ints[2 * loops] > 1 &&
               ints[0] >= 16 && ints[1] >= 16 && call->dev->max_group >= 256) {
        l.kernel = "transpose";
        l.local[0] = 32;
        l.local[1] = 8;
        l.local[2] = 1;
        l.global[0] = (size_t)(32 * ocl_blocks(ints[0], 32));
        l.global[1] = (size_t)(8 * ocl_blocks(ints[1], 32));
        l.global[2] = (size_t)ints[2];
    } else {
        l.global[0] = 1;
        for (uint32_t k = 0; k < loops; k++)
            l.global[0] *= (size_t)ints[k];
    }
    n += 2;
    if (bits) ints[n++] = *bits;
    l.n_ints = n;
    return ocl_record_launch(call, program, &l);
}

static int empty(const ocl_nest *nest)
{
    for (uint32_t k = 0; k < nest->rank; k++)
        if (nest->dim[k] == 0) return 1;
    return 0;
}

weft_status ocl_copy_nest(ocl_call *call, const weft_view *dst, const weft_view *src,
                          ocl_nest *nest)
{
    const weft_view *views[2] = { dst, src };
    if (empty(nest)) return WEFT_OK;
    ocl_nest_merge(nest);
    sort_loops(nest);
    ocl_nest_merge(nest);
    return launch_loops(call, nest, views, NULL);
}

static int is_dense(const weft_view *v)
{
    int64_t step = 1;
    for (int32_t k = v->rank - 1; k >= 0; k--) {
        if (v->dim[k] != 1 && v->stride[k] != step) return 0;
        step *= v->dim[k];
    }
    return 1;
}

/* Row-major strides of a dense tensor of the nest's dimensions. */
static void dense_strides(ocl_nest *nest, uint32_t tensor)
{
    int64_t step = 1;
    for (uint32_t k = nest->rank; k-- > 0; step *= nest->dim[k])
        nest->stride[tensor][k] = step;
}

static void view_strides(ocl_nest *nest, uint32_t tensor, const weft_view *v)
{
    nest->rank = (uint32_t)v->rank;
    memcpy(nest->dim, v->dim, (size_t)v->rank * sizeof *nest->dim);
    memcpy(nest->stride[tensor], v->stride, (size_t)v->rank * sizeof *nest->dim);
}

static int same_dims(const weft_view *a, const weft_view *b)
{
    return a->rank == b->rank && !memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim);
}

/* Element i of src becomes element i of dst, in row-major order; shapes may differ, counts may
 * not. */
weft_status ocl_copy(ocl_call *call, const weft_view *dst, const weft_view *src)
{
    ocl_nest nest = { .n = 2 };
    weft_status st;
    if (dst->count != src->count || dst->dtype != src->dtype)
        return ocl_fail(call->dev->host, WEFT_E_ARG, "%s: op %s: a copy of %llu elements to %llu",
                        call->base.path, call->step->op->name, (unsigned long long)src->count,
                        (unsigned long long)dst->count);
    if (same_dims(dst, src)) {
        view_strides(&nest, 0, dst);
        view_strides(&nest, 1, src);
    } else if (is_dense(src)) {
        view_strides(&nest, 0, dst);
        dense_strides(&nest, 1);
    } else if (is_dense(dst)) {
        view_strides(&nest, 1, src);
        dense_strides(&nest, 0);
    } else { /* neither order is the other's: through dense memory */
        weft_view dense = ocl_work(call, dst->dtype, 0, dst->count);
        dense.rank = 1;
        dense.dim = dense.stride = (const int64_t[]){ (int64_t)dense.count, 1 };
        dense.stride++;
        if ((st = ocl_copy(call, &dense, src))) return st;
        return ocl_copy(call, dst, &dense);
    }
    return ocl_copy_nest(call, dst, src, &nest);
}

int ocl_fill_bits(weft_dtype dtype, double value, int64_t *bits)
{
    float f = (float)value;
    *bits = 0;
    switch (dtype) {
    case WEFT_F32: memcpy(bits, &f, sizeof f); return 1;
    case WEFT_F64: memcpy(bits, &value, sizeof value); return 1;
    case WEFT_F16:
    case WEFT_BF16: return value == 0; /* not computed */
    default: break;
    }
    if (!(value >= -0x1p63 && value < 0x1p63)) return 0;
    *bits = (int64_t)value;
    if ((double)*bits != value) return 0;
    if (dtype == WEFT_I32) return *bits >= INT32_MIN && *bits <= INT32_MAX;
    if (dtype == WEFT_U8) return *bits >= 0 && *bits <= UINT8_MAX;
    return dtype == WEFT_I64 || *bits == 0 || *bits == 1;
}

weft_status ocl_fill(ocl_call *call, const weft_view *dst, double value)
{
    ocl_nest nest = { .n = 1 };
    const char *type = ocl_type_name(dst->dtype);
    int64_t bits;
    if (!ocl_fill_bits(dst->dtype, value, &bits))
        return ocl_fail(call->dev->host, WEFT_E_ARG,
                        "%s: op %s: a fill with %g, which elements of type %s cannot be",
                        call->base.path, call->step->op->name, value,
                        dst->dtype == WEFT_BOOL ? "bool"
                        : type                  ? type
                                                : "half");
    view_strides(&nest, 0, dst);
    if (empty(&nest)) return WEFT_OK;
    ocl_nest_merge(&nest);
    sort_loops(&nest);
    ocl_nest_merge(&nest);
    return launch_loops(call, &nest, &dst, &bits);
}
