/* Attribute text: one grammar for C calls, the command line, logs and model attributes.
 *   attrs = name=value separated by white space
 *   value = integer | float | true | false | none | word | "string with \" \\ \n \t \r" |
 *           (value,value,...) | value,value,... | Name(attrs)
 * inf and nan are floats. Printing then parsing gives the same: see weft__value_equal. */
#ifndef WEFT_BASE_ATTRS_H
#define WEFT_BASE_ATTRS_H
#include <weft/plugin.h>
#include "base/text.h"

typedef enum {
    WEFT__NONE,
    WEFT__INT,
    WEFT__FLOAT,
    WEFT__FLAG,
    WEFT__WORD,
    WEFT__STRING,
    WEFT__LIST,
    WEFT__CALL
} weft__kind;
typedef struct weft__attrs weft__attrs;
typedef struct weft__value {
    weft__kind kind;
    int64_t i; /* INT, FLAG */
    double f;  /* FLOAT */
    char *s;   /* WORD, STRING; CALL: the name */
    struct weft__value *item;
    size_t n_items;    /* LIST */
    weft__attrs *args; /* CALL; never NULL there */
} weft__value;
typedef struct weft__attr {
    char *name;
    weft__value value;
} weft__attr;
struct weft__attrs {
    size_t n;
    weft__attr *attr;
};

/* NULL or "" gives an empty set. Refuses duplicate names; depth of nesting <= 32. Error texts show
 * the text and the place. */
weft_status weft__attrs_parse(const char *text, weft__attrs **attrs);
/* Checks against a schema (ends with {0}; NULL = no attributes) and fills defaults: the result
 * holds every attribute of the schema, in its order and of its type (an int for FLOAT becomes a
 * float; a scalar for INTS FLOATS STRINGS a list; nested lists of ints or floats are flattened; a
 * WORD for STRING a string; a WORD for LAYER_CONFIG a call without arguments). `what` names the
 * owner in errors ("layer class Dense"); unknown names are errors that list the known ones. */
weft_status weft__attrs_check(const weft__attrs *attrs, const weft_attr *schema, const char *what,
                              weft__attrs **full);
/* Canonical text. schema: leaves out what equals the default (NULL = prints all). */
void weft__attrs_print(weft__text *text, const weft__attrs *attrs, const weft_attr *schema);
void weft__value_print(weft__text *text, const weft__value *value);
weft_status weft__attrs_copy(const weft__attrs *attrs, weft__attrs **copy);
/* Removes `name` and gives its value to the caller (weft__value_finish); 0 if it was not there. */
int weft__attrs_take(weft__attrs *attrs, const char *name, weft__value *value);
/* On failure there is nothing to finish. */
weft_status weft__value_copy(const weft__value *value, weft__value *copy);
/* A string that is a word is printed bare, a call without attributes as its name: so a word, a
 * string and such a call of the same text are equal. */
int weft__value_equal(const weft__value *a, const weft__value *b);
void weft__value_finish(weft__value *value);
void weft__attrs_destroy(weft__attrs **attrs);
/* One value alone: "3", "(1,2)", "LSTM(units=3)". Nothing to finish on failure. */
weft_status weft__value_parse(const char *text, weft__value *value);
/* Is a plugin's schema itself sound: types known, names unique, defaults that pass their own
 * range? */
weft_status weft__schema_check(const weft_attr *schema, const char *what);
/* Is text a bare word that reads back as one (not true, false, none, inf, nan)? */
int weft__is_word(const char *text);

/* Getters over a checked set. NULL = no such name. */
const weft__value *weft__attrs_get(const weft__attrs *attrs, const char *name);
int64_t weft__attrs_i(const weft__attrs *attrs, const char *name); /* INT FLAG FLOAT; else 0 */
double weft__attrs_f(const weft__attrs *attrs, const char *name);  /* FLOAT INT; else 0 */
const char *weft__attrs_s(const weft__attrs *attrs,
                          const char *name); /* WORD STRING; NULL for none. CALL: NULL */
/* Copies up to cap of the list's ints (a float is truncated), returns how many there are; none:
 * 0. */
uint32_t weft__attrs_v(const weft__attrs *attrs, const char *name, int64_t *values, uint32_t cap);
uint32_t weft__attrs_fv(const weft__attrs *attrs, const char *name, double *values, uint32_t cap);
#endif
