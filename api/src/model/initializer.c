/* Keras's initializers (initializers/random_initializers.py states the same formulas), drawn from
 * Weft's own counter-based generator: no two frameworks give the same bits, but Weft always gives
 * the same. */
#include "model/initializer.h"
#include <math.h>
#include <string.h>
#include "base/alloc.h"
#include "base/attrs.h"
#include "base/fail.h"
#include "graph/dim.h"
#include "model/names.h"
#include "model/random.h"

/* What a fill function is handed. sink.put stores element i in the variable's dtype. */
typedef struct fill {
    const weft_spec *spec;
    const weft__attrs *attrs;
    double scale; /* of the variance_scaling family */
    const char *mode, *distribution;
    uint64_t key, n;
    void *data;
    const weft__initializer_request *request;
} fill;

typedef struct family {
    const char *name;
    const weft_attr *schema;
    weft_status (*run)(const fill *);
    double scale;
    const char *mode, *distribution;
} family;

/* A double outside the integer type has no defined conversion; nan becomes low. */
static double within(double value, double low, double high)
{
    return value >= high ? high : value > low ? value : low;
}

static void put(const fill *f, uint64_t i, double value)
{
    switch (f->spec->dtype) {
    case WEFT_F32: ((float *)f->data)[i] = (float)value; break;
    case WEFT_F64: ((double *)f->data)[i] = value; break;
    case WEFT_I32: ((int32_t *)f->data)[i] = (int32_t)within(value, INT32_MIN, INT32_MAX); break;
    case WEFT_I64:
        ((int64_t *)f->data)[i] = (int64_t)within(value, -0x1p63, 0x1.fffffffffffffp62);
        break;
    case WEFT_BOOL: ((uint8_t *)f->data)[i] = value != 0; break;
    default: ((uint8_t *)f->data)[i] = (uint8_t)within(value, 0, UINT8_MAX); break;
    }
}

static weft_status fill_value(const fill *f, double value)
{
    for (uint64_t i = 0; i < f->n; i++)
        put(f, i, value);
    return WEFT_OK;
}

static weft_status run_zeros(const fill *f)
{
    memset(f->data, 0, (size_t)f->n * weft_dtype_size(f->spec->dtype));
    return WEFT_OK;
}

static weft_status run_ones(const fill *f)
{
    return fill_value(f, 1);
}
static weft_status run_constant(const fill *f)
{
    return fill_value(f, weft__attrs_f(f->attrs, "value"));
}

static weft_status fill_uniform(const fill *f, double low, double high)
{
    for (uint64_t i = 0; i < f->n; i++)
        put(f, i, low + (high - low) * weft__random_uniform(f->key, i));
    return WEFT_OK;
}

static weft_status fill_normal(const fill *f, double mean, double deviation, int truncated)
{
    for (uint64_t i = 0; i < f->n; i++) {
        double z = truncated ? weft__random_truncated(f->key, i) : weft__random_normal(f->key, i);
        put(f, i, mean + deviation * z);
    }
    return WEFT_OK;
}

static weft_status run_uniform(const fill *f)
{
    return fill_uniform(f, weft__attrs_f(f->attrs, "minval"), weft__attrs_f(f->attrs, "maxval"));
}

static weft_status run_normal(const fill *f)
{
    return fill_normal(f, weft__attrs_f(f->attrs, "mean"), weft__attrs_f(f->attrs, "stddev"), 0);
}

static weft_status run_truncated(const fill *f)
{
    return fill_normal(f, weft__attrs_f(f->attrs, "mean"), weft__attrs_f(f->attrs, "stddev"), 1);
}

/* Keras's compute_fans: the last two dimensions, times the receptive field in front of them. */
static void fans(const weft_spec *spec, double *fan_in, double *fan_out)
{
    int rank = spec->rank;
    double field = 1;
    for (int i = 0; i < rank - 2; i++)
        field *= (double)spec->dim[i];
    *fan_in = rank == 0 ? 1 : field * (double)spec->dim[rank < 2 ? 0 : rank - 2];
    *fan_out = rank == 0 ? 1 : field * (double)spec->dim[rank < 2 ? 0 : rank - 1];
}

static weft_status run_scaling(const fill *f)
{
    const char *mode = f->mode ? f->mode : weft__attrs_s(f->attrs, "mode");
    const char *kind = f->distribution ? f->distribution : weft__attrs_s(f->attrs, "distribution");
    double scale = f->mode ? f->scale : weft__attrs_f(f->attrs, "scale"), in, out, n;
    fans(f->spec, &in, &out);
    n = strcmp(mode, "fan_in") == 0 ? in : strcmp(mode, "fan_out") == 0 ? out : (in + out) / 2;
    scale /= n < 1 ? 1 : n;
    if (strcmp(kind, "uniform") == 0) {
        double limit = sqrt(3 * scale);
        return fill_uniform(f, -limit, limit);
    }
    if (strcmp(kind, "untruncated_normal") == 0) return fill_normal(f, 0, sqrt(scale), 0);
    /* the deviation of a normal distribution that is cut at 2 */
    return fill_normal(f, 0, sqrt(scale) / 0.87962566103423978, 1);
}

static weft_status run_identity(const fill *f)
{
    double gain = weft__attrs_f(f->attrs, "gain");
    uint64_t rows = (uint64_t)f->spec->dim[0], columns = (uint64_t)f->spec->dim[1];
    run_zeros(f);
    for (uint64_t i = 0; i < rows && i < columns; i++)
        put(f, i * columns + i, gain);
    return WEFT_OK;
}

static double dot(const double *a, const double *b, uint64_t n)
{
    double s[4] = { 0 };
    uint64_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; k++)
            s[k] += a[i + (uint64_t)k] * b[i + (uint64_t)k];
    for (; i < n; i++)
        s[0] += a[i] * b[i];
    return s[0] + s[1] + s[2] + s[3];
}

/* Takes out of a what it has of q, a vector of length 1. */
static void take_out(double *a, const double *q, uint64_t length)
{
    double d = dot(a, q, length);
    for (uint64_t k = 0; k < length; k++)
        a[k] -= d * q[k];
}

/* So many vectors stay in the cache while all those before them pass: 1024 of 4096 numbers take a
 * third of the time. */
enum { TOGETHER = 16 };

/* Takes out of vectors first .. first + n - 1 what they have of those before them; again, if one of
 * them has lost so much of its length that what is left is not accurate. */
static void take_out_before(double *v, uint64_t first, uint64_t n, uint64_t length)
{
    double *block = v + first * length, square[TOGETHER];
    int again = 1;
    for (uint64_t i = 0; i < n; i++)
        square[i] = dot(block + i * length, block + i * length, length);
    for (int pass = 0; pass < 2 && again; pass++) {
        again = 0;
        for (uint64_t j = 0; j < first; j++)
            for (uint64_t i = 0; i < n; i++)
                take_out(block + i * length, v + j * length, length);
        for (uint64_t i = 0; i < n; i++)
            again |= dot(block + i * length, block + i * length, length) < square[i] / 2;
    }
}

/* Makes `count` vectors of `length` orthonormal, in place. Gram-Schmidt, done twice where it has
 * to be, is accurate to rounding, and its triangle has a positive diagonal, which is the sign that
 * Keras chooses after its QR. */
static void orthonormalise(double *v, uint64_t count, uint64_t length)
{
    for (uint64_t i = 0; i < count; i++) {
        double *a = v + i * length;
        uint64_t left = count - i, first = i - i % TOGETHER;
        if (i == first) take_out_before(v, i, left < TOGETHER ? left : TOGETHER, length);
        for (int pass = 0; pass < 2; pass++)
            for (uint64_t j = first; j < i; j++)
                take_out(a, v + j * length, length);
        double norm = sqrt(dot(a, a, length));
        for (uint64_t k = 0; k < length; k++)
            a[k] /= norm > 0 ? norm : 1;
    }
}

/* The matrix is (all dimensions but the last) x last; its shorter side becomes orthonormal vectors.
 */
static weft_status run_orthogonal(const fill *f)
{
    double gain = weft__attrs_f(f->attrs, "gain");
    uint64_t columns = (uint64_t)f->spec->dim[f->spec->rank - 1],
             rows = columns ? f->n / columns : 0;
    int tall = rows >= columns;
    uint64_t count = tall ? columns : rows, length = tall ? rows : columns;
    if (f->n == 0) return WEFT_OK;
    double *v = weft__alloc_n((size_t)f->n, sizeof *v);
    if (!v) return WEFT_E_NOMEM;
    for (uint64_t i = 0; i < f->n; i++)
        v[i] = weft__random_normal(f->key, i);
    orthonormalise(v, count, length);
    for (uint64_t r = 0; r < rows; r++)
        for (uint64_t c = 0; c < columns; c++)
            put(f, r * columns + c, gain * (tall ? v[c * length + r] : v[r * length + c]));
    weft__free(v);
    return WEFT_OK;
}

/* Elements begin .. end of a vector by another initializer. */
static weft_status fill_part(const fill *f, const char *text, uint64_t begin, uint64_t end)
{
    weft__initializer_request part = *f->request;
    weft_spec spec = { f->spec->dtype, 1, { (int64_t)(end - begin) } };
    part.text = text;
    part.spec = &spec;
    return weft__initializer_run(&part, (char *)f->data + begin * weft_dtype_size(spec.dtype));
}

/* Keras's LSTM: of four quarters the second one, the forget gate's, is ones. */
static weft_status run_unit_forget_bias(const fill *f)
{
    const weft__value *bias = weft__attrs_get(f->attrs, "bias");
    weft__text text = { 0 };
    uint64_t n = f->n / 4;
    weft_status st;
    weft__value_print(&text, bias);
    st = text.failed || !text.s ? WEFT_E_NOMEM : fill_part(f, text.s, 0, n);
    if (!st) st = fill_part(f, "ones", n, 2 * n);
    if (!st) st = fill_part(f, text.s, 2 * n, f->n);
    weft__text_finish(&text);
    return st;
}

#define SEED                                                                                    \
    {                                                                                           \
        "seed", WEFT_INT, WEFT_NULLABLE, "none", NULL, "of the numbers; none: the model's seed" \
    }
static const weft_attr no_attrs[] = { { 0 } };
static const weft_attr seed_attrs[] = { SEED, { 0 } };
static const weft_attr constant_attrs[] = {
    { "value", WEFT_FLOAT, 0, "0.0", NULL, "of every element" }, { 0 }
};
static const weft_attr uniform_attrs[] = {
    { "minval", WEFT_FLOAT, 0, "-0.05", NULL, "least value" },
    { "maxval", WEFT_FLOAT, 0, "0.05", NULL, "end of the range" },
    SEED,
    { 0 }
};
static const weft_attr normal_attrs[] = { { "mean", WEFT_FLOAT, 0, "0.0", NULL, "mean" },
                                          { "stddev", WEFT_FLOAT, 0, "0.05", NULL,
                                            "standard deviation" },
                                          SEED,
                                          { 0 } };
static const weft_attr scaling_attrs[] = {
    { "scale", WEFT_FLOAT, 0, "1.0", NULL, "of the variance" },
    { "mode", WEFT_STRING, 0, "fan_in", "fan_in|fan_out|fan_avg",
      "what the variance is divided by" },
    { "distribution", WEFT_STRING, 0, "truncated_normal",
      "truncated_normal|untruncated_normal|normal|uniform", "of the numbers" },
    SEED,
    { 0 }
};
static const weft_attr gain_attrs[] = { { "gain", WEFT_FLOAT, 0, "1.0", NULL, "factor" },
                                        SEED,
                                        { 0 } };

static const weft_attr forget_attrs[] = {
    { "bias", WEFT_LAYER_CONFIG, 0, "zeros", NULL, "initializer of the other gates" }, { 0 }
};

static const family families[] = {
    { "zeros", no_attrs, run_zeros, 0, NULL, NULL },
    { "ones", no_attrs, run_ones, 0, NULL, NULL },
    { "constant", constant_attrs, run_constant, 0, NULL, NULL },
    { "random_uniform", uniform_attrs, run_uniform, 0, NULL, NULL },
    { "random_normal", normal_attrs, run_normal, 0, NULL, NULL },
    { "truncated_normal", normal_attrs, run_truncated, 0, NULL, NULL },
    { "variance_scaling", scaling_attrs, run_scaling, 0, NULL, NULL },
    { "glorot_uniform", seed_attrs, run_scaling, 1, "fan_avg", "uniform" },
    { "glorot_normal", seed_attrs, run_scaling, 1, "fan_avg", "truncated_normal" },
    { "he_uniform", seed_attrs, run_scaling, 2, "fan_in", "uniform" },
    { "he_normal", seed_attrs, run_scaling, 2, "fan_in", "truncated_normal" },
    { "lecun_uniform", seed_attrs, run_scaling, 1, "fan_in", "uniform" },
    { "lecun_normal", seed_attrs, run_scaling, 1, "fan_in", "truncated_normal" },
    { "orthogonal", gain_attrs, run_orthogonal, 0, NULL, NULL },
    { "identity", gain_attrs, run_identity, 0, NULL, NULL },
    { "unit_forget_bias", forget_attrs, run_unit_forget_bias, 0, NULL, NULL },
};
enum { N_FAMILIES = sizeof families / sizeof families[0] };

/* Keras's other names, in snake case. */
static const char *const aliases[][2] = {
    { "zero", "zeros" },
    { "one", "ones" },
    { "uniform", "random_uniform" },
    { "normal", "random_normal" },
    { "identity_initializer", "identity" },
    { "orthogonal_initializer", "orthogonal" },
    { "glorot", "glorot_uniform" },
    { "xavier_uniform", "glorot_uniform" },
    { "xavier_normal", "glorot_normal" },
};

static const family *find_snake(const char *name)
{
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
        if (strcmp(aliases[i][0], name) == 0) name = aliases[i][1];
    for (size_t i = 0; i < N_FAMILIES; i++)
        if (strcmp(families[i].name, name) == 0) return &families[i];
    return NULL;
}

static weft_status find_family(const char *name, const family **res)
{
    char *snake = weft__snake(name);
    if (!snake) return WEFT_E_NOMEM;
    *res = find_snake(snake);
    weft__free(snake);
    if (*res) return WEFT_OK;
    weft__text known = { 0 };
    for (size_t i = 0; i < N_FAMILIES; i++)
        weft__text_add(&known, "%s%s", i ? ", " : "", families[i].name);
    weft_status st = weft_fail(WEFT_E_NOTFOUND, "unknown initializer \"%s\"; there are %s", name,
                               known.failed || !known.s ? "zeros, ones, ..." : known.s);
    weft__text_finish(&known);
    return st;
}

/* attrs: checked, the caller's to destroy. */
static weft_status parse(const char *text, const family **fam, weft__attrs **attrs)
{
    weft_status st = WEFT_OK;
    weft__attrs *outer = NULL;
    weft__text whole = { 0 }, what = { 0 };
    weft__text_add(&whole, "initializer=%s", text);
    if (whole.failed) {
        st = WEFT_E_NOMEM;
        goto out;
    }
    if ((st = weft__attrs_parse(whole.s, &outer))) goto out;
    const weft__value *value = weft__attrs_get(outer, "initializer");
    if (!value || outer->n != 1 ||
        (value->kind != WEFT__WORD && value->kind != WEFT__CALL && value->kind != WEFT__STRING)) {
        st = weft_fail(WEFT_E_ATTR, "\"%s\" is no initializer; write a name, or a name(attributes)",
                       text);
        goto out;
    }
    if ((st = find_family(value->s, fam))) goto out;
    weft__text_add(&what, "initializer %s", (*fam)->name);
    if (what.failed) {
        st = WEFT_E_NOMEM;
        goto out;
    }
    weft__attrs none = { 0 };
    st = weft__attrs_check(value->kind == WEFT__CALL ? value->args : &none, (*fam)->schema, what.s,
                           attrs);
out:
    weft__attrs_destroy(&outer);
    weft__text_finish(&whole);
    weft__text_finish(&what);
    return st;
}

static weft_status fits(const family *fam, const weft_spec *spec)
{
    if (fam->run == run_identity && spec->rank != 2)
        return weft_fail(WEFT_E_SHAPE,
                         "initializer identity needs a matrix, not a variable of rank %d",
                         (int)spec->rank);
    if (fam->run == run_unit_forget_bias && (spec->rank != 1 || spec->dim[0] % 4))
        return weft_fail(WEFT_E_SHAPE,
                         "initializer unit_forget_bias needs a vector of four parts of one size, "
                         "not a variable of rank %d",
                         (int)spec->rank);
    if (fam->run == run_orthogonal && spec->rank < 2)
        return weft_fail(
            WEFT_E_SHAPE,
            "initializer orthogonal needs two dimensions or more, not a variable of rank %d",
            (int)spec->rank);
    if (fam->run != run_zeros && (spec->dtype == WEFT_F16 || spec->dtype == WEFT_BF16))
        return weft_fail(WEFT_E_UNSUPPORTED,
                         "initializer %s does not make %s; make the variable float32", fam->name,
                         weft_dtype_name(spec->dtype));
    return WEFT_OK;
}

weft_status weft__initializer_check(const char *text, const weft_spec *spec)
{
    const family *fam = NULL;
    weft__attrs *attrs = NULL;
    weft_status st = parse(text, &fam, &attrs);
    if (st == WEFT_OK) st = fits(fam, spec);
    weft__attrs_destroy(&attrs);
    return st;
}

weft_status weft__initializer_run(const weft__initializer_request *request, void *data)
{
    const family *fam = NULL;
    weft__attrs *attrs = NULL;
    weft_status st = parse(request->text, &fam, &attrs);
    if (st == WEFT_OK) st = fits(fam, request->spec);
    if (st == WEFT_OK) {
        const weft__value *seed = weft__attrs_get(attrs, "seed");
        int own = seed && seed->kind == WEFT__INT;
        fill f = { .spec = request->spec,
                   .attrs = attrs,
                   .scale = fam->scale,
                   .mode = fam->mode,
                   .distribution = fam->distribution,
                   .n = weft__spec_count_at(request->spec, 1),
                   .data = data,
                   .request = request };
        f.key = own ? weft__stream_key((uint64_t)seed->i, "")
                    : weft__stream_key(request->seed, request->stream);
        st = fam->run(&f);
    }
    weft__attrs_destroy(&attrs);
    return st;
}
