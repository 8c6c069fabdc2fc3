/* The parser of attribute text. Text may come from model files, so nesting and counts are
 * bounded. */
#include "base/attrs.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"

enum { MAX_DEPTH = 32, MAX_ATTRS = 4096, CONTEXT = 40 };

typedef struct parser {
    const char *text, *at;
    int depth;
} parser;

static weft_status parse_value(parser *p, weft__value *value);
static weft_status parse_attrs(parser *p, weft__attrs *set, int nested);

/* An error at a place: `what`, then the text around it with an arrow at the place. */
static weft_status refuse(const parser *p, const char *place, const char *what)
{
    size_t before = (size_t)(place - p->text), after = strlen(place);
    size_t from = before > CONTEXT ? CONTEXT : before;
    return weft_fail(WEFT_E_ATTR, "attribute text, column %zu: %s: \"%s%.*s<here>%.*s%s\"",
                     before + 1, what, from < before ? "..." : "", (int)from, place - from,
                     (int)(after > CONTEXT ? CONTEXT : after), place, after > CONTEXT ? "..." : "");
}

/* An expression that stands without quotes: place is in the value, or right behind it. */
static weft_status refuse_bare(const parser *p, const char *place)
{
    const char *start = place, *value;
    char what[160];
    int n;
    while (start > p->text && start[-1] != ' ')
        start--;
    n = (int)strcspn(start, " ");
    value = memchr(start, '=', (size_t)n);
    if (!value || value >= place || n > CONTEXT) return refuse(p, place, "expected name=value");
    value++;
    snprintf(what, sizeof what, "a value with parentheses or operators needs quotes: %.*s\"%.*s\"",
             (int)(value - start), start, n - (int)(value - start), value);
    return refuse(p, place, what);
}

static int is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int is_word_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static int is_word_part(char c)
{
    return is_word_start(c) || is_digit(c) || c == '.';
}

static void skip_space(parser *p)
{
    while (is_space(*p->at))
        p->at++;
}

static size_t word_length(const char *s)
{
    size_t n = 0;
    if (is_word_start(*s))
        while (is_word_part(s[n]))
            n++;
    return n;
}

static int word_is(const char *s, size_t n, const char *word)
{
    return strlen(word) == n && !memcmp(s, word, n);
}

int weft__is_word(const char *text)
{
    static const char *const reserved[] = { "true", "false", "none", "inf", "nan" };
    size_t n = word_length(text);
    if (!n || text[n]) return 0;
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (!strcmp(text, reserved[i])) return 0;
    return 1;
}

/* How far a number goes, and whether it has a fraction or an exponent. */
static const char *number_end(const char *s, int *is_float)
{
    int hex;
    *is_float = 0;
    if (*s == '-' || *s == '+') s++;
    hex = s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
    if (hex) s += 2;
    for (; is_word_part(*s) || ((*s == '-' || *s == '+') && strchr(hex ? "pP" : "eE", s[-1])); s++)
        if (strchr(hex ? ".pP" : ".eE", *s)) *is_float = 1;
    return s;
}

static weft_status parse_number(parser *p, weft__value *value)
{
    const char *start = p->at;
    int is_float;
    const char *end = number_end(start, &is_float);
    char digits[96], *stop;
    size_t n = (size_t)(end - start);
    if (n >= sizeof digits) return refuse(p, start, "the number is too long");
    memcpy(digits, start, n);
    digits[n] = 0;
    errno = 0;
    if (is_float) {
        value->kind = WEFT__FLOAT;
        value->f = weft__strtod(digits, &stop);
        if (errno == ERANGE && fabs(value->f) > 1)
            return refuse(p, start, "the number is too large for a float (inf is written inf)");
    } else {
        value->kind = WEFT__INT;
        value->i = strtoll(digits, &stop, strpbrk(digits, "xX") ? 16 : 10);
        if (errno == ERANGE) return refuse(p, start, "the integer does not fit 64 bits");
    }
    if (*stop || stop == digits) return refuse(p, start + (stop - digits), "this is no number");
    p->at = end;
    return WEFT_OK;
}

static int unescape(char c)
{
    switch (c) {
    case '"':
    case '\\': return c;
    case 'n': return '\n';
    case 't': return '\t';
    case 'r': return '\r';
    default: return 0;
    }
}

static weft_status parse_string(parser *p, weft__value *value)
{
    const char *start = p->at++;
    weft__text text = { 0 };
    for (; *p->at && *p->at != '"'; p->at++) {
        char c = *p->at;
        if (c == '\\') {
            c = (char)unescape(*++p->at);
            if (!c) {
                weft__text_finish(&text);
                return refuse(p, p->at, "after a backslash only \" \\ n t r may stand");
            }
        }
        weft__text_put(&text, &c, 1);
    }
    if (!*p->at) {
        weft__text_finish(&text);
        return refuse(p, start, "this string has no closing quote");
    }
    p->at++;
    value->s = weft__text_take(&text);
    if (!value->s) return WEFT_E_NOMEM;
    value->kind = WEFT__STRING;
    return WEFT_OK;
}

/* One more item of a list. */
static weft_status parse_item(parser *p, weft__value *list, size_t *cap)
{
    if (weft__grow(&list->item, list->n_items, cap, sizeof *list->item)) return WEFT_E_NOMEM;
    weft__value *item = &list->item[list->n_items];
    *item = (weft__value){ 0 };
    weft_status st = parse_value(p, item);
    if (st)
        weft__value_finish(item);
    else
        list->n_items++;
    return st;
}

static weft_status parse_list(parser *p, weft__value *value)
{
    const char *start = p->at++;
    size_t cap = 0;
    value->kind = WEFT__LIST;
    for (;;) {
        skip_space(p);
        if (*p->at == ')') break;
        weft_status st = parse_item(p, value, &cap);
        if (st) return st;
        skip_space(p);
        if (*p->at == ',')
            p->at++;
        else if (!*p->at)
            return refuse(p, start, "this list has no closing )");
        else if (*p->at != ')')
            return refuse(p, p->at, "expected , or ) in a list");
    }
    p->at++;
    return WEFT_OK;
}

static weft_status parse_word(parser *p, weft__value *value)
{
    const char *start = p->at;
    size_t n = word_length(start);
    p->at += n;
    if (*p->at == '(') {
        value->s = weft__strndup(start, n);
        value->args = weft__alloc(sizeof *value->args);
        value->kind = WEFT__CALL;
        if (!value->s || !value->args) return WEFT_E_NOMEM;
        p->at++;
        return parse_attrs(p, value->args, 1);
    }
    if (word_is(start, n, "none")) {
        value->kind = WEFT__NONE;
    } else if (word_is(start, n, "true") || word_is(start, n, "false")) {
        value->kind = WEFT__FLAG;
        value->i = *start == 't';
    } else if (word_is(start, n, "inf") || word_is(start, n, "nan")) {
        value->kind = WEFT__FLOAT;
        value->f = *start == 'i' ? (double)INFINITY : (double)NAN;
    } else {
        value->s = weft__strndup(start, n);
        if (!value->s) return WEFT_E_NOMEM;
        value->kind = WEFT__WORD;
    }
    return WEFT_OK;
}

static weft_status parse_value(parser *p, weft__value *value)
{
    const char *s = p->at;
    weft_status st;
    if (p->depth >= MAX_DEPTH) return refuse(p, s, "nested more than 32 deep");
    p->depth++;
    if (*s == '"') {
        st = parse_string(p, value);
    } else if (*s == '(') {
        st = parse_list(p, value);
    } else if (is_word_start(*s)) {
        st = parse_word(p, value);
    } else if ((*s == '-' || *s == '+') && word_length(s + 1) == 3 && !memcmp(s + 1, "inf", 3)) {
        value->kind = WEFT__FLOAT;
        value->f = *s == '-' ? -(double)INFINITY : (double)INFINITY;
        p->at += 4;
        st = WEFT_OK;
    } else if (is_digit(*s) || *s == '-' || *s == '+' || *s == '.') {
        st = parse_number(p, value);
    } else {
        st = refuse(p, s,
                    "expected a value: a number, true, false, none, a word, \"text\", a (list) "
                    "or Name(...)");
    }
    p->depth--;
    return st;
}

/* A value at the top of an attribute, where a bare "2,2" is a list. */
static weft_status parse_top(parser *p, weft__value *value)
{
    weft_status st = parse_value(p, value);
    if (st || *p->at != ',') return st;
    weft__value first = *value;
    size_t cap = 0;
    *value = (weft__value){ .kind = WEFT__LIST };
    if (weft__grow(&value->item, 0, &cap, sizeof *value->item)) {
        weft__value_finish(&first);
        return WEFT_E_NOMEM;
    }
    value->item[value->n_items++] = first;
    while (!st && *p->at == ',') {
        p->at++;
        st = parse_item(p, value, &cap);
    }
    return st;
}

static weft_status parse_attr(parser *p, weft__attrs *set, size_t *cap, int nested)
{
    const char *start = p->at;
    size_t n = word_length(start);
    if (nested && (!n || start[n] != '=')) return refuse_bare(p, start);
    if (!n) return refuse(p, start, "expected name=value");
    if (start[n] != '=') return refuse(p, start + n, "expected = right after the name");
    for (size_t i = 0; i < set->n; i++)
        if (word_is(start, n, set->attr[i].name))
            return refuse(p, start, "this attribute is given twice");
    if (set->n >= MAX_ATTRS) return refuse(p, start, "more than 4096 attributes");
    if (weft__grow(&set->attr, set->n, cap, sizeof *set->attr)) return WEFT_E_NOMEM;
    weft__attr *attr = &set->attr[set->n];
    *attr = (weft__attr){ 0 };
    attr->name = weft__strndup(start, n);
    if (!attr->name) return WEFT_E_NOMEM;
    set->n++; /* from here on the set's owner frees it */
    p->at += n + 1;
    return parse_top(p, &attr->value);
}

/* Up to the end of the text, or the ) of the call that it is nested in. */
static weft_status parse_attrs(parser *p, weft__attrs *set, int nested)
{
    const char *start = p->at;
    size_t cap = 0;
    for (;;) {
        const char *before = p->at;
        skip_space(p);
        if (!*p->at) break;
        if (nested && *p->at == ')') break;
        if (set->n && p->at == before && strchr("+-*/%^<>=!&|?", *p->at))
            return refuse_bare(p, p->at);
        if (set->n && p->at == before)
            return refuse(p, p->at, "expected a space before the next attribute");
        weft_status st = parse_attr(p, set, &cap, nested);
        if (st) return st;
    }
    if (!nested) return WEFT_OK;
    if (!*p->at) return refuse(p, start - 1, "this ( has no closing )");
    p->at++;
    return WEFT_OK;
}

weft_status weft__attrs_parse(const char *text, weft__attrs **attrs)
{
    parser p = { text ? text : "", text ? text : "", 0 };
    weft_status st;
    weft__attrs *set = weft__alloc(sizeof *set);
    *attrs = NULL;
    if (!set) return WEFT_E_NOMEM;
    if ((st = parse_attrs(&p, set, 0))) goto out;
    *attrs = set;
    set = NULL;
out:
    weft__attrs_destroy(&set);
    return st;
}

weft_status weft__value_parse(const char *text, weft__value *value)
{
    parser p = { text, text, 0 };
    *value = (weft__value){ 0 };
    skip_space(&p);
    weft_status st = parse_top(&p, value);
    if (!st) {
        skip_space(&p);
        if (*p.at) st = refuse(&p, p.at, "the value should end here");
    }
    if (st) weft__value_finish(value);
    return st;
}
