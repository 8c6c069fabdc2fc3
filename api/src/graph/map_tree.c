/* Trees of elementwise expressions: made node by node, printed canonically, put into each other. */
#include "graph/map_tree.h"
#include <math.h>
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/map.h"
#include "graph/map_table.h"

static weft_status add_node(weft__map_tree *tree, const weft__map_node *node, uint32_t *number)
{
    if (tree->n >= WEFT__MAP_NODES || node->depth > WEFT__MAP_DEPTH)
        return weft_fail(
            WEFT_E_UNSUPPORTED,
            "an elementwise expression has at most %d functions and operands and depth %d; "
            "split it into several",
            WEFT__MAP_NODES, WEFT__MAP_DEPTH);
    if (weft__grow(&tree->node, tree->n, &tree->cap, sizeof *tree->node)) return WEFT_E_NOMEM;
    tree->node[tree->n] = *node;
    *number = (uint32_t)tree->n++;
    return WEFT_OK;
}

void weft__map_tree_finish(weft__map_tree *tree)
{
    weft__free(tree->node);
    *tree = (weft__map_tree){ 0 };
}

weft_status weft__map_input(weft__map_tree *tree, uint32_t number, uint32_t *node)
{
    if (number >= tree->n_inputs) tree->n_inputs = number + 1;
    return add_node(tree, &(weft__map_node){ .kind = WEFT_MAP_INPUT, .arg = { number } }, node);
}

weft_status weft__map_literal(weft__map_tree *tree, double value, uint32_t *node)
{
    return add_node(tree, &(weft__map_node){ .kind = WEFT_MAP_CONST, .value = value }, node);
}

weft_status weft__map_call(weft__map_tree *tree, const weft_map_fn *fn, const uint32_t *arg,
                           uint32_t *node)
{
    weft__map_node call = { .kind = WEFT_MAP_CALL, .fn = fn };
    double value[3] = { 0 };
    int literals = 1;
    for (int32_t i = 0; i < fn->arity; i++) {
        const weft__map_node *a = &tree->node[arg[i]];
        call.arg[i] = arg[i];
        value[i] = a->value;
        literals &= a->kind == WEFT_MAP_CONST;
        if (a->depth >= call.depth) call.depth = a->depth + 1;
    }
    /* A comparison's result is a bool, which a literal cannot say. */
    if (literals && !(fn->flags & (WEFT_MAP_COMPARE | WEFT_MAP_LOGICAL))) {
        double result;
        fn->f64(1, &result, &value[0], &value[1], &value[2]);
        return weft__map_literal(tree, result, node);
    }
    return add_node(tree, &call, node);
}

weft_status weft__map_to(weft__map_tree *tree, weft_dtype dtype, uint32_t arg, uint32_t *node)
{
    weft__map_node cast = {
        .kind = WEFT_MAP_CAST, .dtype = dtype, .arg = { arg }, .depth = tree->node[arg].depth + 1
    };
    return add_node(tree, &cast, node);
}

void weft__map_print_literal(weft__text *text, double value)
{
    if (isnan(value))
        weft__text_add(text, "nan");
    else if (isinf(value))
        weft__text_add(text, value < 0 ? "-inf" : "inf");
    else if (fabs(value) < 1e15 && value == floor(value))
        weft__text_add(text, "%s%.0f", signbit(value) ? "-" : "", fabs(value));
    else
        weft__text_double(text, value);
}

/* How tightly the node's text binds: comparisons 0, sums 1, terms 2, -x 3, the rest 4. */
static int binding(const weft__map_node *node)
{
    if (node->kind == WEFT_MAP_CONST) return signbit(node->value) && !isnan(node->value) ? 3 : 4;
    if (node->kind != WEFT_MAP_CALL || !node->fn->infix) return 4;
    if (node->fn->arity == 1) return 3;
    switch (node->fn->infix[0]) {
    case '*':
    case '/': return 2;
    case '+':
    case '-': return 1;
    default: return 0;
    }
}

static void print_operand(weft__text *text, const weft__map_tree *tree, uint32_t node, int least)
{
    int bare = binding(&tree->node[node]) >= least;
    if (!bare) weft__text_put(text, "(", 1);
    weft__map_print(text, tree, node);
    if (!bare) weft__text_put(text, ")", 1);
}

static void print_call(weft__text *text, const weft__map_tree *tree, const weft__map_node *node)
{
    int level = binding(node);
    if (level == 3) {
        weft__text_put(text, "-", 1);
        print_operand(text, tree, node->arg[0], 3);
    } else if (level < 3) {
        print_operand(text, tree, node->arg[0], level);
        weft__text_add(text, "%s", node->fn->infix);
        /* a-(-b) rather than a--b, which reads badly */
        int least = level > 0 && binding(&tree->node[node->arg[1]]) == 3 ? 4 : level + 1;
        print_operand(text, tree, node->arg[1], least);
    } else {
        weft__text_add(text, "%s(", node->fn->name);
        for (int32_t i = 0; i < node->fn->arity; i++) {
            if (i) weft__text_put(text, ",", 1);
            weft__map_print(text, tree, node->arg[i]);
        }
        weft__text_put(text, ")", 1);
    }
}

void weft__map_print(weft__text *text, const weft__map_tree *tree, uint32_t node)
{
    const weft__map_node *at = &tree->node[node];
    char input = (char)('a' + at->arg[0]);
    switch (at->kind) {
    case WEFT_MAP_INPUT: weft__text_put(text, &input, 1); break;
    case WEFT_MAP_CONST: weft__map_print_literal(text, at->value); break;
    case WEFT_MAP_CAST:
        weft__text_add(text, "%s(", weft__map_cast_name(at->dtype));
        weft__map_print(text, tree, at->arg[0]);
        weft__text_put(text, ")", 1);
        break;
    default: print_call(text, tree, at); break;
    }
}

/* A copy of src's node in dst, with inputs replaced by the nodes with[number] of dst. */
static weft_status copy_node(const weft__map_tree *src, uint32_t node, const uint32_t *with,
                             weft__map_tree *dst, uint32_t *copy)
{
    const weft__map_node *at = &src->node[node];
    uint32_t arg[3] = { 0 };
    if (at->kind == WEFT_MAP_INPUT) {
        *copy = with[at->arg[0]];
        return WEFT_OK;
    }
    if (at->kind == WEFT_MAP_CONST) return weft__map_literal(dst, at->value, copy);
    int32_t n = at->kind == WEFT_MAP_CALL ? at->fn->arity : 1;
    for (int32_t i = 0; i < n; i++) {
        weft_status st = copy_node(src, at->arg[i], with, dst, &arg[i]);
        if (st) return st;
    }
    return at->kind == WEFT_MAP_CALL ? weft__map_call(dst, at->fn, arg, copy)
                                     : weft__map_to(dst, at->dtype, arg[0], copy);
}

weft_status weft__map_substitute(const char *expr, const char *const *with, uint32_t n_in,
                                 weft__text *text)
{
    weft__map_tree src = { 0 }, dst = { 0 };
    uint32_t root[WEFT_MAP_MAX_INPUTS] = { 0 }, node;
    weft_status st = weft__map_parse(expr, &src);
    if (!st && src.n_inputs > n_in)
        st = weft_fail(WEFT_E_ATTR, "expression \"%.200s\" reads input %c, but there %s %u", expr,
                       (int)('a' + src.n_inputs - 1), n_in == 1 ? "is" : "are", (unsigned)n_in);
    for (uint32_t i = 0; !st && i < src.n_inputs; i++) {
        st = weft__map_parse(with[i], &dst);
        root[i] = dst.root;
    }
    if (!st) st = copy_node(&src, src.root, root, &dst, &node);
    if (!st) weft__map_print(text, &dst, node);
    if (!st && text->failed) st = WEFT_E_NOMEM;
    weft__map_tree_finish(&src);
    weft__map_tree_finish(&dst);
    return st;
}

int weft__map_costly(const char *expr)
{
    weft__map_tree tree = { 0 };
    int costly = weft__map_parse(expr, &tree) != WEFT_OK;
    for (size_t i = 0; i < tree.n; i++)
        costly |=
            tree.node[i].kind == WEFT_MAP_CALL && (tree.node[i].fn->flags & WEFT_MAP_COSTLY) != 0;
    weft__map_tree_finish(&tree);
    return costly;
}

int weft__map_is_literal(const char *expr, double *value)
{
    weft__map_tree tree = { 0 };
    int literal =
        weft__map_parse(expr, &tree) == WEFT_OK && tree.node[tree.root].kind == WEFT_MAP_CONST;
    if (literal) *value = tree.node[tree.root].value;
    weft__map_tree_finish(&tree);
    return literal;
}

int weft__map_is_arithmetic(const char *expr)
{
    weft__map_tree tree = { 0 };
    int arithmetic = weft__map_parse(expr, &tree) == WEFT_OK;
    for (size_t i = 0; i < tree.n; i++) {
        const weft__map_node *at = &tree.node[i];
        arithmetic &= at->kind != WEFT_MAP_CAST;
        if (at->kind == WEFT_MAP_CALL)
            arithmetic &= !(at->fn->flags & (WEFT_MAP_COMPARE | WEFT_MAP_LOGICAL));
    }
    weft__map_tree_finish(&tree);
    return arithmetic;
}
