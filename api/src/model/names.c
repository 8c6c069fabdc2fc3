/* Names of layers: a hash table of those in use, Keras's snake case, and default names with a
 * counter. */
#include "model/names.h"
#include <ctype.h>
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "base/text.h"

static size_t hash(const char *key)
{
    uint64_t h = 14695981039346656037u;
    for (; *key; key++)
        h = (h ^ (unsigned char)*key) * 1099511628211u;
    return (size_t)(h ^ (h >> 32));
}

/* cap is a power of two and never full: the walk ends. */
static weft__name_slot *locate(const weft__names *names, const char *key)
{
    size_t i = hash(key) & (names->cap - 1);
    while (names->slot[i].key && strcmp(names->slot[i].key, key) != 0)
        i = (i + 1) & (names->cap - 1);
    return &names->slot[i];
}

uint32_t *weft__names_find(const weft__names *names, const char *key)
{
    if (names->cap == 0) return NULL;
    weft__name_slot *slot = locate(names, key);
    return slot->key ? &slot->value : NULL;
}

static weft_status widen(weft__names *names)
{
    weft__names wide = { .n = names->n, .cap = names->cap ? names->cap * 2 : 16 };
    wide.slot = weft__alloc_n(wide.cap, sizeof *wide.slot);
    if (!wide.slot) return WEFT_E_NOMEM;
    for (size_t i = 0; i < names->cap; i++)
        if (names->slot[i].key) *locate(&wide, names->slot[i].key) = names->slot[i];
    weft__free(names->slot);
    *names = wide;
    return WEFT_OK;
}

weft_status weft__names_put(weft__names *names, const char *key, uint32_t value)
{
    if (names->cap == 0 || names->n + 1 > names->cap / 2) {
        weft_status st = widen(names);
        if (st) return st;
    }
    weft__name_slot *slot = locate(names, key);
    if (!slot->key) {
        slot->key = weft__strdup(key);
        if (!slot->key) return WEFT_E_NOMEM;
        names->n++;
    }
    slot->value = value;
    return WEFT_OK;
}

void weft__names_finish(weft__names *names)
{
    for (size_t i = 0; i < names->cap; i++)
        weft__free(names->slot[i].key);
    weft__free(names->slot);
    memset(names, 0, sizeof *names);
}

static int upper(char c)
{
    return c >= 'A' && c <= 'Z';
}
static int lower(char c)
{
    return c >= 'a' && c <= 'z';
}
static int word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

/* The regular expressions of Keras's to_snake_case, one after the other:
 * (.)([A-Z][a-z]+) -> \1_\2, then ([a-z])([A-Z]) -> \1_\2, then lower case. */
static size_t split_words(const char *src, char *dst)
{
    size_t n = 0;
    while (*src) {
        if (src[1] && upper(src[1]) && lower(src[2])) {
            dst[n++] = *src++;
            dst[n++] = '_';
            dst[n++] = *src++;
            while (lower(*src))
                dst[n++] = *src++;
        } else {
            dst[n++] = *src++;
        }
    }
    dst[n] = 0;
    return n;
}

static void split_cases(const char *src, char *dst)
{
    size_t n = 0;
    for (; *src; src++) {
        if (n > 0 && upper(*src) && lower(src[-1])) dst[n++] = '_';
        dst[n++] = upper(*src) ? (char)(*src - 'A' + 'a') : *src;
    }
    dst[n] = 0;
}

char *weft__snake(const char *camel)
{
    const char *dot = strrchr(camel, '.');
    if (dot && dot[1]) camel = dot + 1;
    size_t n = strlen(camel), used = 0;
    char *plain = weft__alloc(n + 1), *words = weft__alloc(2 * n + 1),
         *snake = weft__alloc(4 * n + 1);
    if (plain && words && snake) {
        for (size_t i = 0; i < n; i++)
            if (word(camel[i])) plain[used++] = camel[i];
        split_words(plain, words);
        split_cases(words, snake);
    } else {
        weft__free(snake);
        snake = NULL;
    }
    weft__free(plain);
    weft__free(words);
    return snake;
}

char *weft__unique_name(const weft__names *used, weft__names *counters, const char *base)
{
    if (!weft__names_find(used, base)) return weft__strdup(base);
    uint32_t *counter = weft__names_find(counters, base);
    for (uint32_t i = counter ? *counter : 1;; i++) {
        weft__text text = { 0 };
        weft__text_add(&text, "%s_%u", base, (unsigned)i);
        char *name = weft__text_take(&text);
        if (!name) return NULL;
        if (!weft__names_find(used, name)) {
            if (weft__names_put(counters, base, i + 1) == WEFT_OK) return name;
            weft__free(name);
            return NULL;
        }
        weft__free(name);
    }
}

weft_status weft__name_check(const char *name, const char *what)
{
    size_t n = strlen(name);
    if (n == 0)
        return weft_fail(WEFT_E_ARG, "%s: a name must not be empty; leave it out to get a default",
                         what);
    if (n > 512)
        return weft_fail(WEFT_E_ARG, "%s: a name of %zu bytes is too long; 512 are allowed", what,
                         n);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return weft_fail(WEFT_E_ARG,
                             "%s: a name holds the control character 0x%02x; use printable text",
                             what, (unsigned)(unsigned char)name[i]);
    return WEFT_OK;
}
