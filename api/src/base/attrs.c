/* Attribute sets in memory: printing, copying, comparing, getting. */
#include "base/attrs.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "base/alloc.h"

static void print_string(weft__text *text, const char *s)
{
    static const char from[] = "\"\\\n\t\r", to[] = "\"\\ntr";
    if (weft__is_word(s)) {
        weft__text_put(text, s, strlen(s));
        return;
    }
    weft__text_put(text, "\"", 1);
    while (*s) {
        size_t plain = strcspn(s, from);
        weft__text_put(text, s, plain);
        s += plain;
        if (*s) {
            char pair[2] = { '\\', to[strchr(from, *s) - from] };
            weft__text_put(text, pair, 2);
            s++;
        }
    }
    weft__text_put(text, "\"", 1);
}

void weft__value_print(weft__text *text, const weft__value *value)
{
    switch (value->kind) {
    case WEFT__NONE: weft__text_put(text, "none", 4); break;
    case WEFT__INT: weft__text_add(text, "%" PRId64, value->i); break;
    case WEFT__FLOAT: weft__text_double(text, value->f); break;
    case WEFT__FLAG: weft__text_add(text, value->i ? "true" : "false"); break;
    case WEFT__WORD:
    case WEFT__STRING: print_string(text, value->s); break;
    case WEFT__LIST:
        weft__text_put(text, "(", 1);
        for (size_t i = 0; i < value->n_items; i++) {
            if (i) weft__text_put(text, ",", 1);
            weft__value_print(text, &value->item[i]);
        }
        weft__text_put(text, ")", 1);
        break;
    case WEFT__CALL:
        weft__text_put(text, value->s, strlen(value->s));
        /* A word that means something else by itself keeps its parentheses. */
        if (value->args->n == 0 && weft__is_word(value->s)) break;
        weft__text_put(text, "(", 1);
        weft__attrs_print(text, value->args, NULL);
        weft__text_put(text, ")", 1);
        break;
    }
}

static int is_default(const weft__attr *attr, const weft_attr *schema)
{
    weft__attrs *full = NULL;
    for (; schema && schema->name; schema++) {
        if (strcmp(schema->name, attr->name)) continue;
        if (!schema->def) return 0;
        weft_attr one[2] = { *schema, { 0 } };
        if (weft__attrs_check(NULL, one, "default", &full)) return 0;
        int same = weft__value_equal(&attr->value, &full->attr[0].value);
        weft__attrs_destroy(&full);
        return same;
    }
    return 0;
}

void weft__attrs_print(weft__text *text, const weft__attrs *attrs, const weft_attr *schema)
{
    int first = 1;
    weft__text_put(text, "", 0);
    for (size_t i = 0; attrs && i < attrs->n; i++) {
        const weft__attr *attr = &attrs->attr[i];
        if (is_default(attr, schema)) continue;
        weft__text_add(text, first ? "%s=" : " %s=", attr->name);
        weft__value_print(text, &attr->value);
        first = 0;
    }
}

static weft_status copy_value(const weft__value *value, weft__value *copy)
{
    weft_status st;
    *copy = (weft__value){ .kind = value->kind, .i = value->i, .f = value->f };
    if (value->s && !(copy->s = weft__strdup(value->s))) return WEFT_E_NOMEM;
    if (value->n_items) {
        copy->item = weft__alloc_n(value->n_items, sizeof *copy->item);
        if (!copy->item) return WEFT_E_NOMEM;
    }
    for (size_t i = 0; i < value->n_items; i++) {
        copy->n_items = i + 1;
        if ((st = copy_value(&value->item[i], &copy->item[i]))) return st;
    }
    return value->args ? weft__attrs_copy(value->args, &copy->args) : WEFT_OK;
}

weft_status weft__value_copy(const weft__value *value, weft__value *copy)
{
    weft_status st = copy_value(value, copy);
    if (st) weft__value_finish(copy);
    return st;
}

weft_status weft__attrs_copy(const weft__attrs *attrs, weft__attrs **copy)
{
    weft_status st = WEFT_E_NOMEM;
    size_t n = attrs ? attrs->n : 0;
    weft__attrs *set = weft__alloc(sizeof *set);
    *copy = NULL;
    if (!set) goto out;
    if (n && !(set->attr = weft__alloc_n(n, sizeof *set->attr))) goto out;
    for (size_t i = 0; i < n; i++) {
        set->n = i + 1;
        if (!(set->attr[i].name = weft__strdup(attrs->attr[i].name))) goto out;
        if (copy_value(&attrs->attr[i].value, &set->attr[i].value)) goto out;
    }
    st = WEFT_OK;
    *copy = set;
    set = NULL;
out:
    weft__attrs_destroy(&set);
    return st;
}

int weft__attrs_take(weft__attrs *attrs, const char *name, weft__value *value)
{
    for (size_t i = 0; attrs && i < attrs->n; i++) {
        if (strcmp(attrs->attr[i].name, name)) continue;
        *value = attrs->attr[i].value;
        weft__free(attrs->attr[i].name);
        attrs->n--;
        memmove(&attrs->attr[i], &attrs->attr[i + 1], (attrs->n - i) * sizeof *attrs->attr);
        return 1;
    }
    return 0;
}

static int sets_equal(const weft__attrs *a, const weft__attrs *b)
{
    if (a->n != b->n) return 0;
    for (size_t i = 0; i < a->n; i++) {
        const weft__value *other = weft__attrs_get(b, a->attr[i].name);
        if (!other || !weft__value_equal(&a->attr[i].value, other)) return 0;
    }
    return 1;
}

/* Spellings of the same name: a word, a quoted string, a call without attributes. */
static const char *plain_name(const weft__value *value)
{
    if (value->kind == WEFT__CALL) return value->args->n == 0 ? value->s : NULL;
    return value->s;
}

int weft__value_equal(const weft__value *a, const weft__value *b)
{
    const char *x = plain_name(a), *y = plain_name(b);
    if (x || y) return x && y && !strcmp(x, y);
    if (a->kind != b->kind) return 0;
    switch (a->kind) {
    case WEFT__INT:
    case WEFT__FLAG: return a->i == b->i;
    case WEFT__FLOAT:
        return (isnan(a->f) && isnan(b->f)) || (a->f == b->f && signbit(a->f) == signbit(b->f));
    case WEFT__LIST:
        if (a->n_items != b->n_items) return 0;
        for (size_t i = 0; i < a->n_items; i++)
            if (!weft__value_equal(&a->item[i], &b->item[i])) return 0;
        return 1;
    case WEFT__CALL: return !strcmp(a->s, b->s) && sets_equal(a->args, b->args);
    default: return 1;
    }
}

void weft__value_finish(weft__value *value)
{
    for (size_t i = 0; i < value->n_items; i++)
        weft__value_finish(&value->item[i]);
    weft__free(value->item);
    weft__free(value->s);
    weft__attrs_destroy(&value->args);
    *value = (weft__value){ 0 };
}

void weft__attrs_destroy(weft__attrs **attrs)
{
    if (!attrs || !*attrs) return;
    for (size_t i = 0; i < (*attrs)->n; i++) {
        weft__free((*attrs)->attr[i].name);
        weft__value_finish(&(*attrs)->attr[i].value);
    }
    weft__free((*attrs)->attr);
    weft__free(*attrs);
    *attrs = NULL;
}

const weft__value *weft__attrs_get(const weft__attrs *attrs, const char *name)
{
    for (size_t i = 0; attrs && name && i < attrs->n; i++)
        if (!strcmp(attrs->attr[i].name, name)) return &attrs->attr[i].value;
    return NULL;
}

static double as_double(const weft__value *value)
{
    if (value->kind == WEFT__FLOAT) return value->f;
    return value->kind == WEFT__INT || value->kind == WEFT__FLAG ? (double)value->i : 0;
}

static int64_t as_int(const weft__value *value)
{
    if (value->kind == WEFT__INT || value->kind == WEFT__FLAG) return value->i;
    if (value->kind != WEFT__FLOAT || isnan(value->f)) return 0;
    if (value->f >= 0x1p63) return INT64_MAX;
    return value->f <= -0x1p63 ? INT64_MIN : (int64_t)value->f;
}

int64_t weft__attrs_i(const weft__attrs *attrs, const char *name)
{
    const weft__value *value = weft__attrs_get(attrs, name);
    return value ? as_int(value) : 0;
}

double weft__attrs_f(const weft__attrs *attrs, const char *name)
{
    const weft__value *value = weft__attrs_get(attrs, name);
    return value ? as_double(value) : 0;
}

const char *weft__attrs_s(const weft__attrs *attrs, const char *name)
{
    const weft__value *value = weft__attrs_get(attrs, name);
    return value && (value->kind == WEFT__WORD || value->kind == WEFT__STRING) ? value->s : NULL;
}

uint32_t weft__attrs_v(const weft__attrs *attrs, const char *name, int64_t *values, uint32_t cap)
{
    const weft__value *value = weft__attrs_get(attrs, name);
    if (!value || value->kind != WEFT__LIST) return 0;
    for (size_t i = 0; i < value->n_items && i < cap; i++)
        values[i] = as_int(&value->item[i]);
    return (uint32_t)value->n_items;
}

uint32_t weft__attrs_fv(const weft__attrs *attrs, const char *name, double *values, uint32_t cap)
{
    const weft__value *value = weft__attrs_get(attrs, name);
    if (!value || value->kind != WEFT__LIST) return 0;
    for (size_t i = 0; i < value->n_items && i < cap; i++)
        values[i] = as_double(&value->item[i]);
    return (uint32_t)value->n_items;
}
