/* What the simplify pass does with maps: constants are folded and written into expressions,
 * broadcasts in front of a map that broadcasts by itself are left out, maps that change nothing
 * vanish. */
#include <string.h>
#include <weft/status.h>
#include "base/alloc.h"
#include "graph/dim.h"
#include "graph/map.h"
#include "graph/map_table.h"
#include "graph/map_tree.h"
#include "graph/ops/ops.h"
#include "graph/simplify.h"

enum { FOLD_MOST = 4096 }; /* elements of a constant that is computed here */

static const weft_spec *spec_of(const weft__simplify *s, weft_val v)
{
    return weft__graph_spec(s->rw.dst, v);
}

static const char *expr_of(const weft__simplify *s)
{
    return weft__attrs_s(s->node->attrs, "expr");
}

/* Where element i of the row-major order of `all` lies in a dense tensor of spec `x` that is
 * broadcast to it. */
static size_t offset_in(const weft_spec *all, const weft_spec *x, uint64_t i)
{
    uint64_t offset = 0, stride = 1;
    for (int32_t k = 1; k <= x->rank; k++) {
        uint64_t n = (uint64_t)all->dim[all->rank - k], at = i % n;
        i /= n;
        if (x->dim[x->rank - k] != 1) offset += at * stride;
        stride *= (uint64_t)x->dim[x->rank - k];
    }
    return offset;
}

static void spread(const weft__simplify *s, const weft__gvalue *x, uint64_t n, char *dst)
{
    size_t size = weft_dtype_size(x->spec.dtype);
    for (uint64_t i = 0; i < n; i++)
        memcpy(dst + i * size, (const char *)x->data + offset_in(s->out, &x->spec, i) * size, size);
}

/* All inputs are constants: evaluates the map into a new one. */
static weft_status fold(weft__simplify *s, uint64_t n)
{
    weft_dtype in[WEFT_MAP_MAX_INPUTS] = { 0 };
    const void *data[WEFT_MAP_MAX_INPUTS] = { 0 };
    char *memory = weft__alloc_n(s->node->n_in + 1, n * 8), *result = memory;
    weft_map_program *program = NULL;
    weft_status st = memory ? WEFT_OK : WEFT_E_NOMEM;
    for (uint32_t k = 0; !st && k < s->node->n_in; k++) {
        const weft__gvalue *x = weft__graph_value(s->rw.dst, s->in[k]);
        char *dst = memory + (k + 1) * n * 8;
        in[k] = x->spec.dtype;
        data[k] = dst;
        spread(s, x, n, dst);
    }
    if (!st) st = weft__map_api.parse(NULL, expr_of(s), in, s->node->n_in, s->out->dtype, &program);
    size_t size = weft_dtype_size(s->out->dtype);
    for (uint64_t first = 0; !st && first < n; first += 1024) {
        const void *at[WEFT_MAP_MAX_INPUTS];
        for (uint32_t k = 0; k < s->node->n_in; k++)
            at[k] = (const char *)data[k] + first * weft_dtype_size(in[k]);
        weft__map_api.eval(program, n - first < 1024 ? n - first : 1024, at, result + first * size);
    }
    if (!st) st = weft__graph_try_constant(s->rw.dst, s->out, result, 0, &s->result);
    weft__map_api.release(&program);
    weft__free(memory);
    return st;
}

static int foldable(const weft__simplify *s, uint64_t *n)
{
    for (uint32_t k = 0; k < s->node->n_in; k++)
        if (weft__graph_value(s->rw.dst, s->in[k])->kind != WEFT__V_CONST) return 0;
    for (int32_t i = 0; i < s->out->rank; i++)
        if (!weft__dim_known(s->out->dim[i])) return 0;
    *n = weft__spec_count_at(s->out, 0);
    return *n > 0 && *n <= FOLD_MOST;
}

/* Literals take the others' dtype: they need no cast where all inputs have one float dtype
 * throughout. */
static int plain_literals(const weft__simplify *s)
{
    weft_dtype t = spec_of(s, s->in[0])->dtype;
    for (uint32_t k = 1; k < s->node->n_in; k++)
        if (spec_of(s, s->in[k])->dtype != t) return 0;
    return (t == WEFT_F32 || t == WEFT_F64) && weft__map_is_arithmetic(expr_of(s));
}

/* A constant of rank 0 becomes a literal, with its dtype said where it differs from the others'. */
static weft_status inline_scalars(weft__simplify *s)
{
    char text[WEFT_MAP_MAX_INPUTS][64];
    const char *with[WEFT_MAP_MAX_INPUTS];
    weft_val left[WEFT_MAP_MAX_INPUTS];
    uint32_t n = 0, n_in = s->node->n_in;
    weft__text attrs = { 0 };
    weft_status st = WEFT_OK;
    int plain = plain_literals(s);
    for (uint32_t k = 0; k < n_in; k++) {
        weft__text literal = { 0 };
        double number;
        with[k] = text[k];
        if (!weft__graph_scalar(s->rw.dst, s->in[k], &number)) {
            snprintf(text[k], sizeof text[k], "%c", (int)('a' + n));
            left[n++] = s->in[k];
            continue;
        }
        if (!plain)
            weft__text_add(&literal, "%s(", weft__map_cast_name(spec_of(s, s->in[k])->dtype));
        weft__map_print_literal(&literal, number);
        if (!plain) weft__text_add(&literal, ")");
        if (literal.failed) st = WEFT_E_NOMEM;
        snprintf(text[k], sizeof text[k], "%s", literal.s && !literal.failed ? literal.s : "0");
        weft__text_finish(&literal);
    }
    if (st || n == n_in || n == 0) return st;
    weft__text_add(&attrs, "expr=\"");
    st = weft__map_substitute(expr_of(s), with, n_in, &attrs);
    weft__text_add(&attrs, "\"");
    if (!st && attrs.failed) st = WEFT_E_NOMEM;
    if (!st) st = weft__simplify_op(s, "map", attrs.s, left, n);
    weft__text_finish(&attrs);
    return st;
}

/* An input that is a broadcast is read at its source, where the result's shape stays the same. */
static weft_status skip_broadcasts(weft__simplify *s)
{
    uint32_t n = s->node->n_in;
    for (uint32_t k = 0; k < n; k++) {
        const weft__node *from = weft__graph_producer(s->rw.dst, s->in[k]);
        weft_spec all = { s->out->dtype, 0, { 0 } };
        if (!from || from->op != &weft__op_broadcast) continue;
        int fits = 1;
        for (uint32_t i = 0; i < n; i++)
            fits &= weft__spec_broadcast(&all, spec_of(s, i == k ? from->in[0] : s->in[i]), &all) ==
                    WEFT_OK;
        if (!fits || !weft__same_dims(&all, s->out)) continue;
        s->in[k] = from->in[0];
        return weft__simplify_op(s, "map", s->node->text, s->in, n);
    }
    return WEFT_OK;
}

static int repeated(const weft__simplify *s)
{
    for (uint32_t i = 0; i < s->node->n_in; i++)
        for (uint32_t k = 0; k < i; k++)
            if (s->in[i] == s->in[k]) return 1;
    return 0;
}

weft_status weft__simplify_map(weft__simplify *s)
{
    const char *expr = expr_of(s);
    const weft_spec *x = spec_of(s, s->in[0]);
    uint64_t n;
    if (s->node->n_in > WEFT_MAP_MAX_INPUTS) return WEFT_OK;
    /* "a", or a cast to the dtype that a has */
    int name = weft__map_cast(expr, strcspn(expr, "(")) == s->out->dtype &&
               strcmp(strchr(expr, '('), "(a)") == 0;
    if (s->node->n_in == 1 && x->dtype == s->out->dtype && (name || strcmp(expr, "a") == 0)) {
        s->result = s->in[0];
        return WEFT_OK;
    }
    if (foldable(s, &n)) return fold(s, n);
    /* adding it anew merges inputs that have become one value */
    if (repeated(s)) return weft__simplify_op(s, "map", s->node->text, s->in, s->node->n_in);
    weft_status st = inline_scalars(s);
    return st || s->result ? st : skip_broadcasts(s);
}
