/* Attributes against a schema: types, ranges, defaults; with errors that show the text and name the
 * way out. */
#include "base/attrs.h"
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "base/suggest.h"

enum { SHOWN = 80 };

static const char *type_text(weft_attr_type type)
{
    switch (type) {
    case WEFT_INT: return "an integer";
    case WEFT_FLOAT: return "a number";
    case WEFT_FLAG: return "true or false";
    case WEFT_STRING: return "a word or a \"string\"";
    case WEFT_INTS: return "a list of integers, (1,2)";
    case WEFT_FLOATS: return "a list of numbers, (0.5,1)";
    case WEFT_STRINGS: return "a list of words or \"strings\"";
    case WEFT_LAYER_CONFIG: return "a layer, Name or Name(attributes)";
    default: return NULL;
    }
}

static const char *kind_text(weft__kind kind)
{
    switch (kind) {
    case WEFT__INT: return "the integer ";
    case WEFT__FLOAT: return "the number ";
    case WEFT__WORD: return "the word ";
    case WEFT__STRING: return "the string ";
    case WEFT__LIST: return "the list ";
    case WEFT__CALL: return "the layer ";
    default: return "";
    }
}

/* The same, cut for an error text. */
static void print_short(weft__text *text, const weft__value *value)
{
    weft__text whole = { 0 };
    weft__value_print(&whole, value);
    if (whole.n > SHOWN)
        weft__text_add(text, "%.*s...", SHOWN, whole.s);
    else
        weft__text_put(text, whole.s ? whole.s : "", whole.n);
    weft__text_finish(&whole);
}

/* Owner and the text around: `layer class Dense: in "units=abc": units must be `. */
static weft_status refuse(const char *what, const weft_attr *schema, const weft__value *value,
                          const char *must)
{
    weft__text given = { 0 };
    print_short(&given, value);
    weft_status st = weft_fail(WEFT_E_ATTR, "%s: in \"%s=%s\": %s must be %s, not %s%s", what,
                               schema->name, given.s ? given.s : "", schema->name, must,
                               kind_text(value->kind), given.s ? given.s : "");
    weft__text_finish(&given);
    return st;
}

static weft_status refuse_type(const char *what, const weft_attr *schema, const weft__value *value)
{
    char must[128];
    snprintf(must, sizeof must, "%s%s", type_text(schema->type),
             schema->flags & WEFT_NULLABLE ? ", or none" : "");
    return refuse(what, schema, value, must);
}

/* "1.." -> "at least 1", "same|valid" -> "same or valid". */
static void print_range(weft__text *text, const char *range)
{
    const char *dots = strstr(range, "..");
    if (dots == range) {
        weft__text_add(text, "at most %s", dots + 2);
    } else if (dots) {
        weft__text_add(text, dots[2] ? "from %.*s to %s" : "at least %.*s%s", (int)(dots - range),
                       range, dots + 2);
    } else {
        for (const char *at = range;; at++) {
            size_t n = strcspn(at, "|");
            const char *between = at == range ? "" : at[n] ? ", " : " or ";
            weft__text_add(text, "%s%.*s", between, (int)n, at);
            at += n;
            if (!*at) break;
        }
    }
}

static weft_status refuse_range(const char *what, const weft_attr *schema, const weft__value *value)
{
    weft__text must = { 0 };
    if (value->kind == WEFT__LIST) weft__text_add(&must, "all ");
    print_range(&must, schema->range);
    weft_status st = refuse(what, schema, value, must.s ? must.s : schema->range);
    weft__text_finish(&must);
    return st;
}

static int in_bounds(const char *range, const weft__value *value)
{
    const char *dots = strstr(range, "..");
    double x = value->kind == WEFT__FLOAT ? value->f : (double)value->i;
    /* strtod would read "0..1" as "0." and ".1", so the text before the dots is cut out. */
    if (dots > range) {
        char low[64];
        size_t n = (size_t)(dots - range) < sizeof low ? (size_t)(dots - range) : sizeof low - 1;
        memcpy(low, range, n);
        low[n] = 0;
        if (!(x >= weft__strtod(low, NULL))) return 0;
    }
    return !dots[2] || x <= weft__strtod(dots + 2, NULL);
}

static int is_choice(const char *range, const char *s)
{
    size_t n = strlen(s);
    for (const char *at = range;; at++) {
        size_t len = strcspn(at, "|");
        if (len == n && !memcmp(at, s, n)) return 1;
        at += len;
        if (!*at) return 0;
    }
}

static int in_range(const char *range, const weft__value *value)
{
    int number = value->kind == WEFT__INT || value->kind == WEFT__FLOAT;
    if (!range || value->kind == WEFT__NONE) return 1;
    if (value->kind == WEFT__LIST) {
        for (size_t i = 0; i < value->n_items; i++)
            if (!in_range(range, &value->item[i])) return 0;
        return 1;
    }
    if (strstr(range, "..")) return !number || in_bounds(range, value);
    if (value->s) return is_choice(range, value->s);
    weft__text text = { 0 };
    weft__value_print(&text, value);
    int ok = !text.s || is_choice(range, text.s);
    weft__text_finish(&text);
    return ok;
}

/* A single value of type INT, FLOAT or STRING, converted in place. */
static int convert_scalar(weft_attr_type type, weft__value *value)
{
    switch (type) {
    case WEFT_INT: return value->kind == WEFT__INT;
    case WEFT_FLOAT:
        if (value->kind == WEFT__INT) {
            value->kind = WEFT__FLOAT;
            value->f = (double)value->i;
            value->i = 0;
        }
        return value->kind == WEFT__FLOAT;
    case WEFT_STRING:
        if (value->kind == WEFT__WORD) value->kind = WEFT__STRING;
        return value->kind == WEFT__STRING;
    default: return 0;
    }
}

/* Moves the leaves of nested lists to `flat`. */
static weft_status flatten(weft__value *list, weft__value *flat, size_t *cap)
{
    for (size_t i = 0; i < list->n_items; i++) {
        weft__value *item = &list->item[i];
        if (item->kind == WEFT__LIST) {
            weft_status st = flatten(item, flat, cap);
            if (st) return st;
        } else {
            if (weft__grow(&flat->item, flat->n_items, cap, sizeof *flat->item))
                return WEFT_E_NOMEM;
            flat->item[flat->n_items++] = *item;
            *item = (weft__value){ 0 };
        }
    }
    return WEFT_OK;
}

/* *ok: every item has the type. */
static weft_status convert_list(weft_attr_type item_type, weft__value *value, int *ok)
{
    weft__value flat = { .kind = WEFT__LIST },
                whole = { .kind = WEFT__LIST, .item = value, .n_items = 1 };
    size_t cap = 0;
    weft_status st = flatten(&whole, &flat, &cap);
    weft__value_finish(value);
    *value = flat;
    *ok = 1;
    for (size_t i = 0; i < flat.n_items; i++)
        *ok = *ok && convert_scalar(item_type, &flat.item[i]);
    return st;
}

/* Words and strings name a class; a call stays. */
static weft_status convert_layer(weft__value *value, int *ok)
{
    *ok = 1;
    if (value->kind == WEFT__CALL) return WEFT_OK;
    *ok = value->kind == WEFT__WORD || (value->kind == WEFT__STRING && weft__is_word(value->s));
    if (!*ok) return WEFT_OK;
    value->args = weft__alloc(sizeof *value->args);
    if (!value->args) return WEFT_E_NOMEM;
    value->kind = WEFT__CALL;
    return WEFT_OK;
}

static weft_status convert(const weft_attr *schema, weft__value *value, int *ok)
{
    *ok = 1;
    if (value->kind == WEFT__NONE && schema->flags & WEFT_NULLABLE) return WEFT_OK;
    switch (schema->type) {
    case WEFT_FLAG: *ok = value->kind == WEFT__FLAG; return WEFT_OK;
    case WEFT_INTS: return convert_list(WEFT_INT, value, ok);
    case WEFT_FLOATS: return convert_list(WEFT_FLOAT, value, ok);
    case WEFT_STRINGS: return convert_list(WEFT_STRING, value, ok);
    case WEFT_LAYER_CONFIG: return convert_layer(value, ok);
    default: *ok = convert_scalar(schema->type, value); return WEFT_OK;
    }
}

/* Defaults are text: of a STRING the string itself, else attribute text. */
static weft_status default_value(const weft_attr *schema, const char *what, weft__value *value)
{
    int nullable = schema->flags & WEFT_NULLABLE;
    if (!schema->def)
        return weft_fail(WEFT_E_ATTR, "%s: the attribute \"%s\" is missing: give %s=, %s%s%s%s",
                         what, schema->name, schema->name, type_text(schema->type),
                         schema->doc ? " (" : "", schema->doc ? schema->doc : "",
                         schema->doc ? ")" : "");
    if (nullable && !strcmp(schema->def, "none")) return WEFT_OK;
    if (!*schema->def && schema->type != WEFT_STRING) {
        value->kind = WEFT__LIST;
        return WEFT_OK;
    }
    if (schema->type != WEFT_STRING || *schema->def == '"')
        return weft__value_parse(schema->def, value);
    value->kind = WEFT__STRING;
    value->s = weft__strdup(schema->def);
    return value->s ? WEFT_OK : WEFT_E_NOMEM;
}

static weft_status check_one(const weft__value *given, const weft_attr *schema, const char *what,
                             weft__value *value)
{
    int ok;
    weft_status st;
    if (!type_text(schema->type))
        return weft_fail(WEFT_E_ABI, "%s: the attribute \"%s\" has the unknown type %d", what,
                         schema->name, (int)schema->type);
    if ((st = given ? weft__value_copy(given, value) : default_value(schema, what, value)))
        return st;
    if ((st = convert(schema, value, &ok))) return st;
    if (!ok) return refuse_type(what, schema, given ? given : value);
    if (!in_range(schema->range, value)) return refuse_range(what, schema, given ? given : value);
    return WEFT_OK;
}

static weft_status refuse_unknown(const char *what, const weft_attr *schema, const char *name)
{
    weft__text known = { 0 };
    weft__suggest suggest = { name, NULL, 0 };
    for (const weft_attr *a = schema; a && a->name; a++) {
        weft__text_add(&known, known.n ? ", %s" : "%s", a->name);
        weft__suggest_try(&suggest, a->name);
    }
    weft_status st;
    if (!known.n)
        st = weft_fail(WEFT_E_ATTR, "%s has no attribute \"%s\": it takes none", what, name);
    else
        st = weft_fail(WEFT_E_ATTR, "%s has no attribute \"%s\"; %s%s%s%s", what, name,
                       suggest.best ? "did you mean \"" : "it knows ",
                       suggest.best ? suggest.best : "", suggest.best ? "\"? It knows " : "",
                       known.s);
    weft__text_finish(&known);
    return st;
}

static const weft_attr *find(const weft_attr *schema, const char *name)
{
    for (; schema && schema->name; schema++)
        if (!strcmp(schema->name, name)) return schema;
    return NULL;
}

weft_status weft__attrs_check(const weft__attrs *attrs, const weft_attr *schema, const char *what,
                              weft__attrs **full)
{
    weft_status st = WEFT_E_NOMEM;
    size_t n = 0;
    weft__attrs *set = NULL;
    *full = NULL;
    for (size_t i = 0; attrs && i < attrs->n; i++)
        if (!find(schema, attrs->attr[i].name))
            return refuse_unknown(what, schema, attrs->attr[i].name);
    while (schema && schema[n].name)
        n++;
    if (!(set = weft__alloc(sizeof *set))) goto out;
    if (n && !(set->attr = weft__alloc_n(n, sizeof *set->attr))) goto out;
    for (size_t i = 0; i < n; i++) {
        set->n = i + 1;
        st = WEFT_E_NOMEM;
        if (!(set->attr[i].name = weft__strdup(schema[i].name))) goto out;
        if ((st = check_one(weft__attrs_get(attrs, schema[i].name), &schema[i], what,
                            &set->attr[i].value)))
            goto out;
    }
    st = WEFT_OK;
    *full = set;
    set = NULL;
out:
    weft__attrs_destroy(&set);
    return st;
}

weft_status weft__schema_check(const weft_attr *schema, const char *what)
{
    for (const weft_attr *a = schema; a && a->name; a++) {
        weft__value value = { 0 };
        weft_attr optional = *a;
        if (!weft__is_word(a->name))
            return weft_fail(WEFT_E_ATTR, "%s: \"%s\" is no name for an attribute", what, a->name);
        if (find(schema, a->name) != a)
            return weft_fail(WEFT_E_ATTR, "%s: the attribute \"%s\" is there twice", what, a->name);
        if (a->flags & ~WEFT_NULLABLE)
            return weft_fail(WEFT_E_ABI,
                             "%s: the attribute \"%s\" has flags 0x%x, of which this library knows "
                             "0x%x: leave the others out, or use a newer libweft",
                             what, a->name, (unsigned)a->flags, (unsigned)WEFT_NULLABLE);
        if (!a->def) { /* a required one: only its type can be looked at */
            optional.def = "none";
            optional.flags |= WEFT_NULLABLE;
        }
        size_t depth = weft__where_push("default of \"%s\"", a->name);
        weft_status st = check_one(NULL, &optional, what, &value);
        weft__where_pop(depth);
        weft__value_finish(&value);
        if (st) return st;
    }
    return WEFT_OK;
}
