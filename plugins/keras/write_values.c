/* Canonical attribute text, as the library gives it, as JSON: words and strings alike become
 * strings, Name(..) becomes {"class_name": "Name", "config": {..}}. */
#include <string.h>
#include "keras.h"

#define MAX_NESTING 40 /* the library's parser stops before */

typedef struct reader {
    const keras_file *f;
    const char *at;
    const char *why; /* what has no form in JSON; NULL: no memory, or a grammar unknown here */
    int depth;
} reader;

static json_t *read_attributes(reader *r, char end);
static json_t *read_value(reader *r);

static int is_word_part(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
}

static json_t *read_string(reader *r)
{
    keras_text text = { .f = r->f };
    json_t *v = NULL;

    keras_text_str(&text, "");
    for (r->at++; *r->at && *r->at != '"'; r->at++) {
        char c = *r->at;

        if (c == '\\' && r->at[1]) {
            c = *++r->at;
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
        }
        keras_text_add(&text, &c, 1);
    }
    if (*r->at == '"') r->at++;
    if (!text.failed && !(v = json_string(text.s))) r->why = "a string that is not UTF-8";
    keras_text_free(&text);
    return v;
}

/* jansson reads numbers in any locale. */
static json_t *read_number(reader *r)
{
    size_t n = strspn(r->at, "+-.0123456789eE");
    json_t *v = json_loadb(r->at, n, JSON_DECODE_ANY, NULL);

    if (!v && (strspn(r->at, "-+") == n)) r->why = "inf";
    r->at += n;
    return v;
}

static json_t *read_list(reader *r)
{
    json_t *list = json_array();

    r->at++;
    while (list && *r->at && *r->at != ')') {
        if (json_array_append_new(list, read_value(r))) {
            json_decref(list);
            return NULL;
        }
        if (*r->at == ',') r->at++;
    }
    if (*r->at == ')') r->at++;
    return list;
}

static json_t *read_word(reader *r)
{
    size_t n = 0;
    const char *word = r->at;
    json_t *config;

    while (is_word_part(word[n]))
        n++;
    r->at += n;
    if (n && *r->at == '(') {
        r->at++;
        config = read_attributes(r, ')');
        if (*r->at == ')') r->at++;
        return json_pack("{s:s%,s:o}", "class_name", word, n, "config", config);
    }
    if (n == 4 && !memcmp(word, "none", n)) return json_null();
    if (n == 4 && !memcmp(word, "true", n)) return json_true();
    if (n == 5 && !memcmp(word, "false", n)) return json_false();
    if (n == 3 && (!memcmp(word, "inf", n) || !memcmp(word, "nan", n))) {
        r->why = *word == 'i' ? "inf" : "nan";
        return NULL;
    }
    return n ? json_stringn(word, n) : NULL;
}

static json_t *read_value(reader *r)
{
    json_t *v = NULL;
    char c = *r->at;

    if (r->depth++ < MAX_NESTING)
        v = c == '"'                                         ? read_string(r)
            : c == '('                                       ? read_list(r)
            : c == '-' || c == '+' || (c >= '0' && c <= '9') ? read_number(r)
                                                             : read_word(r);
    r->depth--;
    return v;
}

/* name=value, separated by blanks, up to `end`. */
static json_t *read_attributes(reader *r, char end)
{
    json_t *object = json_object();

    while (object && *r->at && *r->at != end) {
        size_t n = strcspn(r->at, "= )");
        const char *name = r->at;
        json_t *v = NULL;

        if (*r->at == ' ') {
            r->at++;
            continue;
        }
        if (r->at[n] == '=') {
            r->at += n + 1;
            v = read_value(r);
        }
        if (!v || json_object_setn_new(object, name, n, v)) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

json_t *keras_attributes_json(const keras_file *f, const char *text, const char **why)
{
    reader r = { .f = f, .at = text };
    json_t *object = read_attributes(&r, 0);

    *why = r.why;
    return object;
}
