/* The table of the core's ops, what their infer functions share, and the extensions that this room
 * offers. */
#include "graph/ops/ops.h"
#include "base/fail.h"
#include "graph/dim.h"
#include "graph/map.h"
#include "registry/registry.h"

const weft_op_class *const weft__core_ops[] = {
    &weft__op_map,
    &weft__op_reduce,
    &weft__op_matmul,
    &weft__op_conv,
    &weft__op_reshape,
    &weft__op_transpose,
    &weft__op_slice,
    &weft__op_pad,
    &weft__op_concat,
    &weft__op_broadcast,
    &weft__op_reverse,
    &weft__op_copy,
    &weft__op_count,
    &weft__op_gather,
    &weft__op_softmax,
    &weft__op_log_softmax,
    &weft__op_scan,
    &weft__op_scatter_add,
    &weft__op_random,
    &weft__op_adam_update,
    &weft__op_sgd_update,
    &weft__op_conv_input_grad,
    &weft__op_conv_filter_grad,
    NULL,
};

const weft_ext weft__host_extensions[] = { { WEFT_MAP_ID, &weft__map_api }, { NULL, NULL } };

weft_status weft__op_in(weft_build *build, uint32_t i, weft_spec *spec)
{
    *spec = (weft_spec){ 0 };
    return build->api->spec(build, build->api->in(build, i), spec);
}

weft_status weft__op_in_float(weft_build *build, uint32_t i, weft_spec *spec)
{
    weft_status st = weft__op_in(build, i, spec);
    if (st || spec->dtype == WEFT_F32 || spec->dtype == WEFT_F64) return st;
    return weft_fail(
        WEFT_E_DTYPE,
        "input %u is %s, but this op computes with float32 and float64; convert it first",
        (unsigned)i, weft_dtype_name(spec->dtype));
}

weft_status weft__op_list(weft_build *build, const char *name, int32_t n, int64_t def,
                          int64_t *values)
{
    uint32_t got = build->api->attr_v(build, name, values, (uint32_t)n);
    if (!build->api->attr_s(build, name)) {
        for (int32_t i = 0; i < n; i++)
            values[i] = def;
        return WEFT_OK;
    }
    if (got == (uint32_t)n) return WEFT_OK;
    return weft_fail(WEFT_E_ATTR, "%s has %u number%s, not %d", name, (unsigned)got,
                     got == 1 ? "" : "s", (int)n);
}

weft_status weft__op_axes(weft_build *build, const char *name, int32_t rank,
                          int flags[WEFT_MAX_RANK])
{
    int64_t axes[WEFT_MAX_RANK];
    uint32_t n = build->api->attr_v(build, name, axes, WEFT_MAX_RANK);
    int all = !build->api->attr_s(build, name);
    for (int32_t i = 0; i < WEFT_MAX_RANK; i++)
        flags[i] = all && i < rank;
    if (!all && n == 0)
        return weft_fail(WEFT_E_ATTR, "%s=() names no axis; leave it out for all of them", name);
    if (n > (uint32_t)rank)
        return weft_fail(WEFT_E_ATTR, "%s names %u axes of a tensor of rank %d", name, (unsigned)n,
                         (int)rank);
    for (uint32_t i = 0; i < n; i++) {
        int32_t axis;
        weft_status st = weft__axis(axes[i], rank, &axis);
        if (st) return st;
        if (flags[axis]) return weft_fail(WEFT_E_ATTR, "%s names axis %d twice", name, (int)axis);
        flags[axis] = 1;
    }
    return WEFT_OK;
}

weft_status weft__op_dims(weft_build *build, const char *name, weft_spec *spec)
{
    uint32_t n = build->api->attr_v(build, name, spec->dim, WEFT_MAX_RANK);
    if (n > WEFT_MAX_RANK)
        return weft_fail(WEFT_E_SHAPE, "%s has %u dimensions; a tensor has at most %d", name,
                         (unsigned)n, WEFT_MAX_RANK);
    spec->rank = (int32_t)n;
    return WEFT_OK;
}
