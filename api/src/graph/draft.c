/* The normal form of elementwise ops, so that equal ones have equal text: canonical expressions,
 * weak constants as literals, every input once. */
#include "graph/draft.h"
#include <string.h>
#include <weft/status.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/map.h"
#include "graph/map_table.h"
#include "graph/map_tree.h"

int weft__graph_scalar(const weft__graph *graph, weft_val value, double *number)
{
    const weft__gvalue *v = weft__graph_value(graph, value);
    if (v->kind != WEFT__V_CONST || v->spec.rank != 0) return 0;
    int64_t wide;
    switch (v->spec.dtype) {
    case WEFT_F32: *number = (double)*(const float *)v->data; return 1;
    case WEFT_F64: *number = *(const double *)v->data; return 1;
    case WEFT_I32: *number = *(const int32_t *)v->data; return 1;
    case WEFT_I64:
        wide = *(const int64_t *)v->data;
        *number = (double)wide;
        return wide > -(INT64_C(1) << 53) && wide < INT64_C(1) << 53;
    case WEFT_U8: *number = *(const uint8_t *)v->data; return 1;
    default: return 0;
    }
}

/* What replaces each input of an expression whose first `fixed` inputs stay as they are. */
typedef struct renaming {
    char text[WEFT_MAP_MAX_INPUTS][40];
    const char *with[WEFT_MAP_MAX_INPUTS];
    weft_val in[WEFT_MAP_MAX_INPUTS]; /* the inputs that are left, without the fixed ones */
    uint32_t n;
} renaming;

static weft_status name_literal(double number, char text[40])
{
    weft__text t = { 0 };
    weft__map_print_literal(&t, number);
    weft_status st = t.failed ? WEFT_E_NOMEM : WEFT_OK;
    if (!st) memcpy(text, t.s, t.n < 40 ? t.n + 1 : 40);
    text[39] = '\0';
    weft__text_finish(&t);
    return st;
}

static weft_status rename_inputs(const weft__graph *graph, const weft_val *in, uint32_t n,
                                 uint32_t fixed, renaming *r)
{
    r->n = 0;
    for (uint32_t i = 0; i < fixed; i++) {
        snprintf(r->text[i], sizeof r->text[i], "%c", (int)('a' + i));
        r->with[i] = r->text[i];
    }
    for (uint32_t i = 0; i < n; i++) {
        char *text = r->text[fixed + i];
        uint32_t k = 0;
        double number;
        r->with[fixed + i] = text;
        if (weft__graph_value(graph, in[i])->weak && weft__graph_scalar(graph, in[i], &number)) {
            weft_status st = name_literal(number, text);
            if (st) return st;
            continue;
        }
        while (k < r->n && r->in[k] != in[i])
            k++;
        if (k == r->n) r->in[r->n++] = in[i];
        snprintf(text, sizeof r->text[0], "%c", (int)('a' + fixed + k));
    }
    return WEFT_OK;
}

/* Puts the text in the attribute's place. */
static weft_status replace_text(weft__attrs *attrs, const char *name, weft__text *text)
{
    char *s = weft__text_take(text);
    if (!s) return WEFT_E_NOMEM;
    for (size_t i = 0; i < attrs->n; i++) {
        if (strcmp(attrs->attr[i].name, name) != 0) continue;
        weft__free(attrs->attr[i].value.s);
        attrs->attr[i].value.s = s;
        return WEFT_OK;
    }
    weft__free(s);
    return weft_fail(WEFT_E_INTERNAL, "no attribute %s", name);
}

static weft_status check_count(uint32_t n, uint32_t most, const char *what)
{
    if (n <= most) return WEFT_OK;
    return weft_fail(WEFT_E_ARG, "takes at most %u %s, not %u; combine some of them first",
                     (unsigned)most, what, (unsigned)n);
}

/* All inputs are constants of rank 0: evaluates the expression. */
static weft_status evaluate(weft__draft *d, const char *expr, weft_val *constant)
{
    weft_dtype in[WEFT_MAP_MAX_INPUTS];
    const void *data[WEFT_MAP_MAX_INPUTS];
    weft_spec spec = { 0 };
    double result = 0;
    weft_map_program *program = NULL;
    for (uint32_t i = 0; i < d->n_in; i++) {
        in[i] = d->graph->value[d->in[i]].spec.dtype;
        data[i] = d->graph->value[d->in[i]].data;
    }
    weft_status st = weft__map_type(expr, in, NULL, d->n_in, &spec.dtype);
    if (!st) st = weft__map_api.parse(NULL, expr, in, d->n_in, spec.dtype, &program);
    if (!st) weft__map_api.eval(program, 1, data, &result);
    if (!st &&
        !(*constant = weft__graph_constant(d->graph, &spec, &result, spec.dtype == WEFT_F64)))
        st = WEFT_E_NOMEM;
    weft__map_api.release(&program);
    return st;
}

weft_status weft__draft_map(weft__draft *d, weft_val *constant)
{
    static const weft_spec scalar = { WEFT_F64, 0, { 0 } };
    renaming r;
    weft__text text = { 0 };
    double literal;
    const char *expr = weft__attrs_s(d->attrs, "expr");
    weft_status st = check_count(d->n_in, WEFT_MAP_MAX_INPUTS, "inputs");
    if (st) return st;
    for (uint32_t i = 0; i < d->n_in; i++)
        if (d->in[i] == WEFT_NONE)
            return weft_fail(WEFT_E_ARG, "input %c is absent; a map needs all its inputs",
                             (int)('a' + i));
    if ((st = rename_inputs(d->graph, d->in, d->n_in, 0, &r))) return st;
    if ((st = weft__map_substitute(expr, r.with, d->n_in, &text))) goto out;
    if (d->n_in && !r.n) {
        if (!weft__map_is_literal(text.s, &literal))
            st = evaluate(d, expr, constant);
        else if (!(*constant = weft__graph_constant(d->graph, &scalar, &literal, 1)))
            st = WEFT_E_NOMEM;
        goto out;
    }
    memcpy(d->in, r.in, r.n * sizeof *d->in);
    d->n_in = r.n;
    st = replace_text(d->attrs, "expr", &text);
out:
    weft__text_finish(&text);
    return st;
}

weft_status weft__draft_then(weft__draft *d)
{
    renaming r;
    weft__text text = { 0 };
    uint32_t own = d->n_in - d->n_extra;
    weft_status st = check_count(d->n_extra, WEFT_MAP_MAX_INPUTS - 1, "extra inputs of `then`");
    if (st) return st;
    if ((st = rename_inputs(d->graph, d->in + own, d->n_extra, 1, &r))) return st;
    st = weft__map_substitute(d->then, r.with, 1 + d->n_extra, &text);
    if (!st) st = replace_text(d->attrs, "then", &text);
    weft__text_finish(&text);
    if (st) return st;
    if (r.n) memcpy(d->in + own, r.in, r.n * sizeof *d->in);
    d->n_in = own + r.n;
    d->n_extra = r.n;
    d->then = weft__attrs_s(d->attrs, "then");
    return WEFT_OK;
}

static weft_dtype dtype_named(const char *name, size_t n)
{
    for (weft_dtype t = WEFT_F32; t <= WEFT_BOOL; t++) {
        const char *keras = weft_dtype_name(t);
        if (strlen(keras) == n && memcmp(keras, name, n) == 0)
            return t == WEFT_F16 || t == WEFT_BF16 ? 0 : t;
    }
    return weft__map_cast(name, n);
}

weft_dtype weft__cast_named(const char *name, const char *attrs)
{
    weft_dtype t = weft__map_cast(name, strlen(name));
    if (!t && strncmp(name, "cast_", 5) == 0) t = weft__map_cast(name + 5, strlen(name + 5));
    if (t && *attrs) {
        weft_fail(WEFT_E_ATTR, "%s takes no attributes, not \"%.80s\"", name, attrs);
        return -1;
    }
    if (t || strcmp(name, "cast") != 0) return t;
    if (strncmp(attrs, "dtype=", 6) == 0) t = dtype_named(attrs + 6, strlen(attrs + 6));
    if (t) return t;
    weft_fail(WEFT_E_ATTR,
              "cast needs dtype= float32, float64, int32, int64, uint8 or bool, not \"%.80s\"",
              attrs);
    return -1;
}
