/* Parses the dictionary in front of a .npy file: { 'descr': '<f4', 'fortran_order': False, 'shape':
 * (2, 3), }. A parser of its own, since the text may come from a stranger and is Python, not
 * JSON. */
#include "base/npy_header.h"
#include <string.h>
#include "base/fail.h"

typedef struct scan {
    const char *at, *name;
} scan;

static weft_status refuse(const scan *s, const char *what)
{
    return weft_fail(WEFT_E_IO, "%s: is no valid .npy file: %s near \"%.24s\" in its header",
                     s->name, what, s->at);
}

static void skip(scan *s)
{
    while (*s->at == ' ' || *s->at == '\n' || *s->at == '\t' || *s->at == '\r')
        s->at++;
}

static int take(scan *s, char c)
{
    skip(s);
    if (*s->at != c) return 0;
    s->at++;
    return 1;
}

static weft_status quoted(scan *s, char *dst, size_t size)
{
    skip(s);
    char quote = *s->at;
    if (quote != '\'' && quote != '"') return refuse(s, "expected a string");
    const char *end = strchr(s->at + 1, quote);
    size_t n = end ? (size_t)(end - s->at - 1) : size;
    if (n >= size) return refuse(s, "a string that is not closed or too long");
    memcpy(dst, s->at + 1, n);
    dst[n] = 0;
    s->at = end + 1;
    return WEFT_OK;
}

static weft_status parse_descr(scan *s, weft__npy_head *head)
{
    char text[32];
    skip(s);
    if (*s->at == '[')
        return weft_fail(WEFT_E_DTYPE, "%s: holds records with fields, not plain numbers", s->name);
    weft_status st = quoted(s, text, sizeof text);
    if (st) return st;
    const char *t = text;
    head->order = '=';
    if (*t == '<' || *t == '>' || *t == '|' || *t == '=') head->order = *t++;
    head->kind = *t ? *t++ : 0;
    head->size = 0;
    while (*t >= '0' && *t <= '9' && head->size < 1000)
        head->size = head->size * 10 + (uint32_t)(*t++ - '0');
    if (head->kind == '?') head->kind = 'b', head->size = 1;
    if (*t || !head->kind || !strchr("fiub", head->kind))
        return weft_fail(
            WEFT_E_DTYPE,
            "%s: holds values of the dtype %s; numbers are needed: save it with .astype('float32')",
            s->name, text);
    return WEFT_OK;
}

static weft_status parse_bool(scan *s, int *value)
{
    skip(s);
    if (!strncmp(s->at, "True", 4)) {
        *value = 1;
        s->at += 4;
    } else if (!strncmp(s->at, "False", 5)) {
        *value = 0;
        s->at += 5;
    } else {
        return refuse(s, "expected True or False");
    }
    return WEFT_OK;
}

static weft_status parse_shape(scan *s, weft__npy_head *head)
{
    head->rank = 0;
    if (!take(s, '(')) return refuse(s, "expected ( of the shape");
    while (!take(s, ')')) {
        int64_t d = 0;
        skip(s);
        if (*s->at < '0' || *s->at > '9') return refuse(s, "expected a dimension");
        for (; *s->at >= '0' && *s->at <= '9'; s->at++) {
            if (d > (INT64_MAX - 9) / 10) return refuse(s, "a dimension that is too large");
            d = d * 10 + (*s->at - '0');
        }
        if (*s->at == 'L') s->at++; /* written by Python 2 */
        if (head->rank == WEFT_MAX_RANK)
            return weft_fail(WEFT_E_SHAPE, "%s: has more than %d dimensions", s->name,
                             WEFT_MAX_RANK);
        head->dim[head->rank++] = d;
        skip(s);
        if (!take(s, ',') && *s->at != ')') return refuse(s, "expected , or ) in the shape");
    }
    return WEFT_OK;
}

weft_status weft__npy_parse(const char *text, const char *name, weft__npy_head *head)
{
    scan s = { text, name };
    unsigned seen = 0;
    char key[32];
    weft_status st;
    if (!take(&s, '{')) return refuse(&s, "expected {");
    while (!take(&s, '}')) {
        unsigned bit;
        if ((st = quoted(&s, key, sizeof key))) return st;
        if (!take(&s, ':')) return refuse(&s, "expected :");
        if (!strcmp(key, "descr"))
            bit = 1, st = parse_descr(&s, head);
        else if (!strcmp(key, "fortran_order"))
            bit = 2, st = parse_bool(&s, &head->fortran);
        else if (!strcmp(key, "shape"))
            bit = 4, st = parse_shape(&s, head);
        else
            return refuse(&s, "an unknown key");
        if (st) return st;
        if (seen & bit) return refuse(&s, "a key that is there twice");
        seen |= bit;
        skip(&s);
        if (!take(&s, ',') && *s.at != '}') return refuse(&s, "expected , or }");
    }
    skip(&s);
    if (*s.at) return refuse(&s, "something after }");
    return seen == 7 ? WEFT_OK : refuse(&s, "descr, fortran_order or shape is missing");
}
