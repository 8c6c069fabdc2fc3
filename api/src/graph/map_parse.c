/* Text of elementwise expressions -> tree. Expressions come from model files too: nesting and size
 * are limited, and every error shows the text and the column.
 *   compare = sum { ("<" | "<=" | ">" | ">=" | "==" | "!=") sum }   sum = term { ("+"|"-") term }
 *   term = unary { ("*" | "/") unary }   unary = "-" unary | primary   primary = "(" compare ")"
 *     | number | "inf" | "nan" | input | name "(" compare { "," compare } ")" */
#include <math.h>
#include <string.h>
#include "base/fail.h"
#include "graph/map_table.h"
#include "graph/map_tree.h"

enum { NESTING = WEFT__MAP_DEPTH + 64 };

typedef struct parser {
    const char *text, *at;
    weft__map_tree *tree;
    int nesting;
} parser;

static weft_status parse_compare(parser *p, uint32_t *node);

static weft_status fail_at(const parser *p, const char *what)
{
    size_t column = (size_t)(p->at - p->text);
    size_t from = column > 40 ? column - 40 : 0;
    return weft_fail(WEFT_E_ATTR, "expression \"%s%.80s%s\", column %zu: %s", from ? "..." : "",
                     p->text + from, strlen(p->text + from) > 80 ? "..." : "", column + 1, what);
}

static void skip_spaces(parser *p)
{
    while (*p->at == ' ' || *p->at == '\t' || *p->at == '\n')
        p->at++;
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static int take(parser *p, char c)
{
    skip_spaces(p);
    if (*p->at != c) return 0;
    p->at++;
    return 1;
}

static weft_status parse_number(parser *p, uint32_t *node)
{
    char *end = NULL;
    double value = weft__strtod(p->at, &end);
    if (end == p->at || is_letter(*end) || is_digit(*end) || *end == '.')
        return fail_at(p, "this is no number; write 2, 0.5 or 1e-5");
    p->at = end;
    return weft__map_literal(p->tree, value, node);
}

static weft_status parse_arguments(parser *p, uint32_t *arg, int32_t *n)
{
    *n = 0;
    do {
        if (*n == 3) return fail_at(p, "no function has more than 3 arguments");
        weft_status st = parse_compare(p, &arg[(*n)++]);
        if (st) return st;
    } while (take(p, ','));
    if (!take(p, ')')) return fail_at(p, "expected ',' or ')' here");
    return WEFT_OK;
}

static weft_status fail_name(parser *p, const char *name, size_t n)
{
    char what[512];
    size_t used = (size_t)snprintf(what, sizeof what, "there is no function \"%.*s\"; there are",
                                   (int)(n > 40 ? 40 : n), name);
    const weft_map_fn *fn;
    for (uint32_t i = 0; (fn = weft__map_row(i)) != NULL && used < sizeof what - 32; i++)
        used += (size_t)snprintf(what + used, sizeof what - used, " %s", fn->name);
    snprintf(what + used, sizeof what - used, " f32 f64 i32 i64 u8 bool");
    p->at = name;
    return fail_at(p, what);
}

static weft_status parse_call(parser *p, const char *name, size_t n, uint32_t *node)
{
    const weft_map_fn *fn = weft__map_find_n(name, n);
    weft_dtype cast = weft__map_cast(name, n);
    if (!fn && !cast) return fail_name(p, name, n);
    uint32_t arg[3] = { 0 };
    int32_t got, want = fn ? fn->arity : 1;
    weft_status st = parse_arguments(p, arg, &got);
    if (st) return st;
    if (got != want) {
        char what[96];
        snprintf(what, sizeof what, "%.*s takes %d argument%s, not %d", (int)n, name, (int)want,
                 want == 1 ? "" : "s", (int)got);
        p->at = name;
        return fail_at(p, what);
    }
    return fn ? weft__map_call(p->tree, fn, arg, node) : weft__map_to(p->tree, cast, arg[0], node);
}

static weft_status parse_name(parser *p, uint32_t *node)
{
    const char *name = p->at;
    while (is_letter(*p->at) || is_digit(*p->at))
        p->at++;
    size_t n = (size_t)(p->at - name);
    if (take(p, '(')) return parse_call(p, name, n, node);
    if (n == 1 && *name >= 'a' && *name <= 'z')
        return weft__map_input(p->tree, (uint32_t)(*name - 'a'), node);
    if (n == 3 && memcmp(name, "inf", 3) == 0)
        return weft__map_literal(p->tree, (double)INFINITY, node);
    if (n == 3 && memcmp(name, "nan", 3) == 0) return weft__map_literal(p->tree, (double)NAN, node);
    p->at = name;
    return fail_at(p, "inputs are named a to z; a function needs its arguments in parentheses");
}

static weft_status parse_primary(parser *p, uint32_t *node)
{
    skip_spaces(p);
    if (is_digit(*p->at) || *p->at == '.') return parse_number(p, node);
    if (is_letter(*p->at)) return parse_name(p, node);
    if (!take(p, '('))
        return fail_at(p, *p->at ? "expected a number, an input, a function or '('"
                                 : "the expression ends where an operand is expected");
    weft_status st = parse_compare(p, node);
    if (st) return st;
    return take(p, ')') ? WEFT_OK : fail_at(p, "expected ')' here");
}

static weft_status parse_unary(parser *p, uint32_t *node)
{
    if (!take(p, '-')) return parse_primary(p, node);
    if (++p->nesting > NESTING) return fail_at(p, "the expression is nested too deeply");
    uint32_t arg[3] = { 0 };
    weft_status st = parse_unary(p, &arg[0]);
    p->nesting--;
    return st ? st : weft__map_call(p->tree, weft__map_infix("-", 1, 1), arg, node);
}

/* The operator here among those of `level` (0 compare, 1 sum, 2 term), moving behind it; NULL =
 * none. */
static const weft_map_fn *take_operator(parser *p, int level)
{
    static const char *const operators[3][7] = { { "<=", ">=", "==", "!=", "<", ">", NULL },
                                                 { "+", "-", NULL },
                                                 { "*", "/", NULL } };
    skip_spaces(p);
    for (const char *const *o = operators[level]; *o; o++) {
        size_t n = strlen(*o);
        if (strncmp(p->at, *o, n) != 0) continue;
        p->at += n;
        return weft__map_infix(*o, n, 2);
    }
    return NULL;
}

static weft_status parse_level(parser *p, int level, uint32_t *node)
{
    uint32_t arg[3] = { 0 };
    weft_status st = level == 2 ? parse_unary(p, &arg[0]) : parse_level(p, level + 1, &arg[0]);
    const weft_map_fn *fn;
    while (!st && (fn = take_operator(p, level)) != NULL) {
        st = level == 2 ? parse_unary(p, &arg[1]) : parse_level(p, level + 1, &arg[1]);
        if (!st) st = weft__map_call(p->tree, fn, arg, &arg[0]);
    }
    *node = arg[0];
    return st;
}

static weft_status parse_compare(parser *p, uint32_t *node)
{
    if (++p->nesting > NESTING) return fail_at(p, "the expression is nested too deeply");
    weft_status st = parse_level(p, 0, node);
    p->nesting--;
    return st;
}

weft_status weft__map_parse(const char *expr, weft__map_tree *tree)
{
    parser p = { .text = expr, .at = expr, .tree = tree };
    weft_status st = parse_compare(&p, &tree->root);
    if (st) return st;
    skip_spaces(&p);
    return *p.at ? fail_at(&p, "expected an operator or the end") : WEFT_OK;
}
