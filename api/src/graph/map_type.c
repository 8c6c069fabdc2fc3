/* The promotion rules of elementwise expressions. bool < u8 < i32 < i64 < f32 < f64: the highest
 * operand wins. Literals and weak inputs take the others' dtype; where those are of a lower kind
 * (0.5 with integers, 1 with bool) they give f32 or i32. Functions of floats make f32 of
 * integers. */
#include <math.h>
#include <string.h>
#include <weft/status.h>
#include "base/alloc.h"
#include "graph/dim.h"
#include "graph/map.h"
#include "graph/map_program.h"

int weft__map_rank(weft_dtype t)
{
    switch (t) {
    case WEFT_BOOL: return 1;
    case WEFT_U8: return 2;
    case WEFT_I32: return 3;
    case WEFT_I64: return 4;
    case WEFT_F32: return 5;
    case WEFT_F64: return 6;
    default: return 0;
    }
}

int weft__map_kind(weft_dtype t)
{
    return weft__is_float(t) ? 2 : t != WEFT_BOOL;
}

int weft__map_conditional(const weft_map_fn *fn)
{
    return fn == weft__map_find("select");
}

static weft__map_typing common(const uint32_t *arg, int32_t n, const weft__map_typing *type)
{
    weft_dtype strong = 0, soft = 0;
    for (int32_t i = 0; i < n; i++) {
        weft__map_typing o = type[arg[i]];
        weft_dtype *t = o.weak ? &soft : &strong;
        if (weft__map_rank(o.dtype) > weft__map_rank(*t)) *t = o.dtype;
    }
    int soft_kind = weft__map_kind(soft);
    if (!strong) return (weft__map_typing){ soft_kind == 2 ? WEFT_F32 : soft, 1 };
    if (!soft || soft_kind <= weft__map_kind(strong)) return (weft__map_typing){ strong, 0 };
    return (weft__map_typing){ soft_kind == 2 ? WEFT_F32 : WEFT_I32, 0 };
}

weft__map_typing weft__map_operands(const weft__map_node *call, const weft__map_typing *type)
{
    int condition = weft__map_conditional(call->fn);
    if (call->fn->flags & WEFT_MAP_LOGICAL) return (weft__map_typing){ WEFT_BOOL, 0 };
    weft__map_typing t = common(call->arg + condition, call->fn->arity - condition, type);
    if ((call->fn->flags & WEFT_MAP_FLOAT) && !weft__is_float(t.dtype)) t.dtype = WEFT_F32;
    return t;
}

static weft_status type_input(const weft__map_compile *setup, uint32_t k, weft__map_typing *t,
                              char why[256])
{
    uint32_t n = setup->n_in;
    if (k >= n) {
        snprintf(why, 256, "it reads input %c, but there %s %u", (int)('a' + k),
                 n == 1 ? "is" : "are", (unsigned)n);
        return WEFT_E_ATTR;
    }
    *t = (weft__map_typing){ setup->in[k], setup->weak && setup->weak[k] };
    if (weft__map_rank(t->dtype)) return WEFT_OK;
    snprintf(why, 256, "input %c is %s, which is for storage only; convert it to float32 first",
             (int)('a' + k), weft_dtype_name(t->dtype));
    return WEFT_E_DTYPE;
}

static weft_status type_node(const weft__map_node *at, const weft__map_compile *setup,
                             const weft__map_typing *type, weft__map_typing *t, char why[256])
{
    switch (at->kind) {
    case WEFT_MAP_INPUT: return type_input(setup, at->arg[0], t, why);
    case WEFT_MAP_CAST: *t = (weft__map_typing){ at->dtype, 0 }; return WEFT_OK;
    case WEFT_MAP_CONST:
        /* a fraction makes floats of integers; so do numbers that no integer type holds */
        *t = (weft__map_typing){ WEFT_F32, 1 };
        if (at->value == floor(at->value) && fabs(at->value) < 9e18) t->dtype = WEFT_I32;
        return WEFT_OK;
    default:
        *t = (weft__map_typing){ WEFT_BOOL, 0 };
        if (!(at->fn->flags & (WEFT_MAP_COMPARE | WEFT_MAP_LOGICAL)))
            *t = weft__map_operands(at, type);
        return WEFT_OK;
    }
}

weft_status weft__map_type_nodes(const weft__map_tree *tree, const weft__map_compile *setup,
                                 weft__map_typing **type, char why[256])
{
    weft_status st = WEFT_OK;
    snprintf(why, 256, "out of memory");
    weft__map_typing *t = weft__alloc_n(tree->n, sizeof *t);
    if (!t) return WEFT_E_NOMEM;
    /* arguments precede their calls, so one pass is enough */
    for (size_t i = 0; !st && i < tree->n; i++)
        st = type_node(&tree->node[i], setup, t, &t[i], why);
    if (!st) {
        *type = t;
        t = NULL;
    }
    weft__free(t);
    return st;
}

/* Makes node i of the f64 tree, arguments already in place. Where integers would meet as f32, the
 * first of them is cast to f64, and takes the others with it. */
static weft_status widen_node(weft__map_tree *tree, const weft__map_typing *type, uint32_t i,
                              uint32_t *made)
{
    weft__map_node at = tree->node[i];
    if (at.kind == WEFT_MAP_CAST)
        return weft__map_to(tree, at.dtype == WEFT_F32 ? WEFT_F64 : at.dtype, made[at.arg[0]],
                            &made[i]);
    if (at.kind != WEFT_MAP_CALL) {
        made[i] = i;
        return WEFT_OK;
    }
    uint32_t arg[3] = { 0 };
    int32_t first = weft__map_conditional(at.fn), strong = -1;
    int floats = 0;
    weft_status st = WEFT_OK;
    for (int32_t k = 0; k < at.fn->arity; k++) {
        arg[k] = made[at.arg[k]];
        if (k < first) continue;
        floats |= weft__is_float(type[at.arg[k]].dtype) && !type[at.arg[k]].weak;
        if (!type[at.arg[k]].weak) strong = k;
    }
    if (weft__map_operands(&at, type).dtype == WEFT_F32 && !floats && strong >= 0)
        st = weft__map_to(tree, WEFT_F64, arg[strong], &arg[strong]);
    return st ? st : weft__map_call(tree, at.fn, arg, &made[i]);
}

weft_status weft__map_to_f64(const char *expr, const weft_dtype *in, uint32_t n_in,
                             weft__text *text)
{
    weft__map_tree tree = { 0 };
    weft__map_typing *type = NULL;
    uint32_t *made = NULL;
    char why[256];
    weft_status st = weft__map_parse(expr, &tree);
    uint32_t n = (uint32_t)tree.n;
    if (!st)
        st =
            weft__map_type_nodes(&tree, &(weft__map_compile){ .in = in, .n_in = n_in }, &type, why);
    if (!st && !(made = weft__alloc_n(n, sizeof *made))) st = WEFT_E_NOMEM;
    for (uint32_t i = 0; !st && i < n; i++)
        st = widen_node(&tree, type, i, made);
    if (!st) weft__map_print(text, &tree, made[tree.root]);
    if (!st && text->failed) st = WEFT_E_NOMEM;
    weft__free(made);
    weft__free(type);
    weft__map_tree_finish(&tree);
    return st;
}
