/* Rescaling and Normalization (Keras, layers/preprocessing): numbers brought into a range before
 * the network. */
#include <weft/plugin.h>

#define MAX_VALUES 4096

/* The numbers of an attribute as a constant that broadcasts to x: one number, or as many as `shape`
 * has elements. shape: of x's rank, 1 on the axes along which the values are the same. */
static weft_val values(weft_build *b, const char *name, const weft_spec *shape)
{
    double v[MAX_VALUES];
    uint32_t n = b->api->attr_fv(b, name, v, MAX_VALUES);
    weft_spec s = *shape;
    int64_t want = 1;
    int32_t i;

    if (n == 1) return weft_scalar(b, v[0]);
    for (i = 0; i < s.rank; i++)
        want = s.dim[i] < 0 || s.dim[i] > MAX_VALUES || want > MAX_VALUES ? MAX_VALUES + 1
                                                                          : want * s.dim[i];
    if (n > MAX_VALUES || (int64_t)n != want) {
        weft_failf(b, WEFT_E_ATTR,
                   "%s holds %u numbers; give one, or one for each of the %lld along axis %d%s",
                   name, (unsigned)n, (long long)want, (int)s.rank - 1,
                   n > MAX_VALUES ? " (at most 4096)" : "");
        return 0;
    }
    s.dtype = WEFT_F64;
    return weft_op_(b, "map", "expr=\"f32(a)\"", b->api->constant(b, &s, v));
}

static weft_status build_rescaling(weft_build *b)
{
    weft_val x = weft_in(b, 0);
    weft_spec s, last = { .rank = 1 };

    if (!(x = weft_float(b, x, &s))) return weft_out(b, 0, 0);
    if (s.rank)
        last.dim[0] = s.dim[s.rank - 1];
    else
        last.dim[0] = 1;
    return weft_out(
        b, 0, weft_add(b, weft_mul(b, x, values(b, "scale", &last)), values(b, "offset", &last)));
}
static const weft_attr rescaling_attrs[] = {
    { "scale", WEFT_FLOATS, 0, NULL, NULL,
      "factor: one number, or one for each element of the last axis" },
    { "offset", WEFT_FLOATS, 0, "(0.0)", NULL, "added afterwards" },
    { 0 }
};
static WEFT_UNARY_LAYER(rescaling, "Rescaling", rescaling_attrs, build_rescaling,
                        "x scale + offset");

/* Which axes keep their own statistics: as sizes in x's rank (1 elsewhere) and as the variables'
 * shape. */
static weft_status get_shapes(weft_build *b, const weft_spec *s, weft_spec *wide, weft_spec *narrow)
{
    int64_t axis[WEFT_MAX_RANK];
    uint32_t n = b->api->attr_v(b, "axis", axis, WEFT_MAX_RANK), i;
    int keep[WEFT_MAX_RANK] = { 0 };
    int32_t k;

    for (i = 0; i < n && i < WEFT_MAX_RANK; i++) {
        if (axis[i] < 0) axis[i] += s->rank;
        if (axis[i] < 1 || axis[i] >= s->rank || s->dim[axis[i]] < 0)
            return weft_failf(
                b, WEFT_E_ATTR,
                "axis=%s; the axes must be of fixed size, and not the batch; the input "
                "has rank %d",
                b->api->attr_s(b, "axis"), (int)s->rank);
        keep[axis[i]] = 1;
    }
    *wide = *narrow = (weft_spec){ .dtype = WEFT_F32 };
    wide->rank = s->rank;
    for (k = 0; k < s->rank; k++) {
        wide->dim[k] = keep[k] ? s->dim[k] : 1;
        if (keep[k]) narrow->dim[narrow->rank++] = s->dim[k];
    }
    return WEFT_OK;
}

/* Mean and variance from the attributes, or as variables: mean, variance, count, as Keras stores
 * them. */
static void get_statistics(weft_build *b, const weft_spec *wide, const weft_spec *narrow,
                           weft_val *mean, weft_val *variance)
{
    const weft_build_api *api = b->api;
    weft_spec count = { .dtype = WEFT_I64 };

    if (api->attr_s(b, "mean")) {
        *mean = values(b, "mean", wide);
        *variance = values(b, "variance", wide);
        return;
    }
    *mean = api->variable(b, "mean", narrow, "zeros", WEFT_STATE);
    *variance = api->variable(b, "variance", narrow, "ones", WEFT_STATE);
    api->variable(b, "count", &count, "zeros", WEFT_STATE);
    *mean = weft_op_ints(b, "reshape", *mean, "shape", wide->dim, wide->rank);
    *variance = weft_op_ints(b, "reshape", *variance, "shape", wide->dim, wide->rank);
}

static weft_status build_normalization(weft_build *b)
{
    weft_val x = weft_in(b, 0), mean, variance, deviation;
    weft_spec s, wide, narrow;

    if (!(x = weft_float(b, x, &s)) || get_shapes(b, &s, &wide, &narrow)) return weft_out(b, 0, 0);
    if (!b->api->attr_s(b, "mean") != !b->api->attr_s(b, "variance"))
        return weft_failf(b, WEFT_E_ATTR, "mean and variance must be given both or not at all");
    get_statistics(b, &wide, &narrow, &mean, &variance);
    deviation = weft_op_(b, "map", "expr=\"max(sqrt(a),1e-07)\"", variance);
    if (b->api->attr_i(b, "invert"))
        return weft_out(b, 0, weft_add(b, weft_mul(b, x, deviation), mean));
    return weft_out(b, 0, weft_op2(b, "div", weft_sub(b, x, mean), deviation));
}
static const weft_attr normalization_attrs[] = {
    { "axis", WEFT_INTS, WEFT_NULLABLE, "(-1)", NULL,
      "axes that keep their own statistics; none = one for all" },
    { "mean", WEFT_FLOATS, WEFT_NULLABLE, "none", NULL, "fixed mean, instead of a variable" },
    { "variance", WEFT_FLOATS, WEFT_NULLABLE, "none", NULL,
      "fixed variance, instead of a variable" },
    { "invert", WEFT_FLAG, 0, "false", NULL, "undo a normalization" },
    { 0 }
};
static WEFT_UNARY_LAYER(normalization, "Normalization", normalization_attrs, build_normalization,
                        "(x - mean) / max(sqrt(variance), 1e-7)");

static const weft_layer_class *const layers[] = { &rescaling, &normalization, NULL };

WEFT_PLUGIN(preprocessing, .version = "0.1.0", .author = "the Weft authors",
            .license = "Apache-2.0", .layers = layers);
