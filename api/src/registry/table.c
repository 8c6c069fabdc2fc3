/* Tables of what plugins brought, and how names are looked up in them. */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "base/suggest.h"
#include "registry/internal.h"

/* Where the name is or belongs. */
static size_t place_of(const weft__table *table, const char *name, int *there)
{
    size_t low = 0, high = table->n;
    *there = 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(table->row[middle].name, name);
        if (!order) {
            *there = 1;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

weft_status weft__table_add(weft__table *table, const weft__class *row, const char **taken)
{
    int there;
    size_t i = place_of(table, row->name, &there);
    *taken = there ? table->row[i].from : NULL;
    if (there) return WEFT_OK;
    if (weft__grow(&table->row, table->n, &table->cap, sizeof *table->row)) return WEFT_E_NOMEM;
    memmove(&table->row[i + 1], &table->row[i], (table->n - i) * sizeof *table->row);
    table->row[i] = *row;
    table->n++;
    return WEFT_OK;
}

static const char *short_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

const weft__class *weft__table_get(const weft__table *table, const char *name)
{
    int there;
    if (!name) return NULL;
    size_t i = place_of(table, name, &there);
    if (there) return &table->row[i];
    const weft__class *found = NULL;
    for (i = 0; i < table->n; i++) {
        if (strcmp(short_name(table->row[i].name), name)) continue;
        if (found) return NULL; /* ambiguous: the long name must be given */
        found = &table->row[i];
    }
    return found;
}

void weft__table_finish(weft__table *table)
{
    for (size_t i = 0; i < table->n; i++)
        weft__free(table->row[i].attrs);
    weft__free(table->row);
    *table = (weft__table){ 0 };
}

/* ---- registering
 * ------------------------------------------------------------------------------ */

/* The op's attributes and `then`. */
static weft_status add_then(const weft_op_class *op, weft_attr **attrs)
{
    static const weft_attr then = {
        "then",
        WEFT_STRING,
        WEFT_NULLABLE,
        "none",
        NULL,
        "an expression that is applied to the first result, a; b, c .. are extra inputs"
    };
    size_t n = 0;
    *attrs = NULL;
    if (!(op->flags & WEFT_OP_EPILOGUE)) return WEFT_OK;
    while (op->attrs && op->attrs[n].name)
        n++;
    weft_attr *all = weft__alloc_n(n + 2, sizeof *all);
    if (!all) return WEFT_E_NOMEM;
    if (n) memcpy(all, op->attrs, n * sizeof *all);
    all[n] = then;
    *attrs = all;
    return WEFT_OK;
}

static weft_status add_class(weft_context *ctx, weft__table *table, weft__class *row,
                             const char *kind)
{
    const char *taken = NULL;
    weft_status st = weft__table_add(table, row, &taken);
    if (st || taken) weft__free(row->attrs);
    if (taken)
        st = weft__context_say(ctx, WEFT_LOG_WARN,
                               "%s %s of plugin %s is not used: %s came first with that name", kind,
                               row->name, row->from, taken);
    return st;
}

weft_status weft__register_ops(weft_context *ctx, const weft_op_class *const *ops, const char *from)
{
    weft_status st;
    for (; ops && *ops; ops++) {
        weft__class row = { .name = (*ops)->name, .class = *ops, .from = from };
        if ((st = add_then(*ops, &row.attrs))) return st;
        if ((st = add_class(ctx, &ctx->ops, &row, "op"))) return st;
    }
    return WEFT_OK;
}

static weft_status register_backends(weft_context *ctx, const weft_plugin *plugin)
{
    for (const weft_backend *const *b = plugin->backends; b && *b; b++) {
        int taken = 0;
        for (size_t i = 0; i < ctx->n_providers; i++)
            taken = taken || !strcmp(ctx->provider[i].backend->id, (*b)->id);
        if (taken) {
            weft_status st = weft__context_say(
                ctx, WEFT_LOG_WARN,
                "backend %s of plugin %s is not used: another came first with that name", (*b)->id,
                plugin->name);
            if (st) return st;
            continue;
        }
        if (weft__grow(&ctx->provider, ctx->n_providers, &ctx->cap_providers,
                       sizeof *ctx->provider))
            return WEFT_E_NOMEM;
        ctx->provider[ctx->n_providers++] = (weft__provider){ .backend = *b };
    }
    return WEFT_OK;
}

static weft_status register_formats(weft_context *ctx, const weft_plugin *plugin)
{
    for (const weft_format *const *f = plugin->formats; f && *f; f++) {
        if (weft__grow(&ctx->format, ctx->n_formats, &ctx->cap_formats, sizeof *ctx->format))
            return WEFT_E_NOMEM;
        ctx->format[ctx->n_formats++] = *f;
    }
    return WEFT_OK;
}

weft_status weft__register_plugin(weft_context *ctx, const weft_plugin *plugin)
{
    weft_status st;
    if ((st = weft__register_ops(ctx, plugin->ops, plugin->name))) return st;
    for (const weft_layer_class *const *l = plugin->layers; l && *l; l++) {
        weft__class row = { .name = (*l)->name, .class = *l, .from = plugin->name };
        if ((st = add_class(ctx, &ctx->layers, &row, "layer class"))) return st;
    }
    if ((st = register_backends(ctx, plugin))) return st;
    return register_formats(ctx, plugin);
}

/* ---- looking up
 * ------------------------------------------------------------------------------- */

const weft_op_class *weft__find_op(const weft_context *ctx, const char *name)
{
    const weft__class *row = weft__table_get(&ctx->ops, name);
    return row ? row->class : NULL;
}

const weft_layer_class *weft__find_layer_class(const weft_context *ctx, const char *name)
{
    const weft__class *row = weft__table_get(&ctx->layers, name);
    return row ? row->class : NULL;
}

const weft_attr *weft__op_attrs(const weft_context *ctx, const weft_op_class *op)
{
    const weft__class *row = weft__table_get(&ctx->ops, op->name);
    return row && row->class == op && row->attrs ? row->attrs : op->attrs;
}

uint32_t weft__n_formats(const weft_context *ctx)
{
    return (uint32_t)ctx->n_formats;
}

const weft_format *weft__format(const weft_context *ctx, uint32_t i)
{
    return i < ctx->n_formats ? ctx->format[i] : NULL;
}

/* What the name may have meant: the long names of an ambiguous one, or the nearest. */
static void add_suggestion(weft__text *text, const weft__table *table, const char *name)
{
    weft__suggest near = { name, NULL, 0 };
    const char *before = "; it is short for ";
    int ambiguous = 0;
    for (size_t i = 0; i < table->n; i++) {
        const char *have = table->row[i].name;
        if (!strcmp(short_name(have), name)) {
            weft__text_add(text, "%s\"%s\"", before, have);
            before = " and for ";
            ambiguous = 1;
        }
        weft__suggest_try(&near, have);
        weft__suggest_try(&near, short_name(have));
    }
    if (ambiguous)
        weft__text_add(text, ": give the long name");
    else if (near.best)
        weft__text_add(text, "; did you mean \"%s\"?", near.best);
}

static void add_plugins(weft__text *text, const weft_context *ctx)
{
    size_t loaded = 0, refused = 0;
    for (size_t i = 0; i < ctx->n_entries; i++)
        loaded += !ctx->entry[i].reason;
    weft__text_add(text, "%s plugins loaded: %zu",
                   text->n && text->s[text->n - 1] == '?' ? "" : ";", loaded);
    if (ctx->searched.n)
        weft__text_add(text, " (searched: %s)", ctx->searched.s);
    else
        weft__text_add(text, " (no directory was searched: name one in WEFT_PLUGIN_PATH)");
    for (size_t i = 0; i < ctx->n_entries; i++)
        if (ctx->entry[i].reason && refused++ < 8)
            weft__text_add(text, "%s%s: %s", refused == 1 ? "; refused: " : "; ",
                           ctx->entry[i].path, ctx->entry[i].reason);
    if (refused > 8) weft__text_add(text, "; and %zu more", refused - 8);
}

/* Is the name of the file much like that of the class: "libswish.so" like "org.example.Swish"? */
static int resembles(const char *path, const char *class_name)
{
    const char *slash = strrchr(path, '/'), *wanted = short_name(class_name);
    weft__suggest near = { wanted, NULL, 0 };
    char stem[64];
    snprintf(stem, sizeof stem, "%s", slash ? slash + 1 : path);
    stem[strcspn(stem, ".")] = 0;
    weft__suggest_try(&near, stem);
    size_t n = strlen(stem), m = strlen(wanted);
    for (size_t i = 0; m > 2 && i + m <= n && !near.best; i++)
        if (!strncasecmp(stem + i, wanted, m)) near.best = stem;
    return near.best != NULL;
}

void weft__tell_refused_like(const weft_context *ctx, const char *class_name, weft__text *text)
{
    for (size_t i = 0; i < ctx->n_entries; i++) {
        const weft__entry *e = &ctx->entry[i];
        if (e->reason && resembles(e->path, class_name))
            weft__text_add(text, "; the plugin %s is refused: %s", e->path, e->reason);
    }
}

void weft__tell_refused(const weft_context *ctx, const char *before, weft__text *text)
{
    size_t n = 0;
    for (size_t i = 0; i < ctx->n_entries; i++)
        n += ctx->entry[i].reason && !ctx->entry[i].unwanted;
    if (n)
        weft__text_add(text, "%s%zu plugin file%s refused; `weft plugins` says why", before, n,
                       n == 1 ? " was" : "s were");
}

static weft_status fail_no(const weft_context *ctx, const weft__table *table, const char *kind,
                           const char *name)
{
    weft__text text = { 0 };
    weft__text_add(&text, "no %s \"%s\"", kind, name ? name : "");
    add_suggestion(&text, table, name ? name : "");
    add_plugins(&text, ctx);
    weft_status st = text.failed ? WEFT_E_NOMEM : weft_fail(WEFT_E_NOTFOUND, "%s", text.s);
    weft__text_finish(&text);
    return st;
}

weft_status weft__fail_no_layer_class(const weft_context *ctx, const char *name)
{
    return fail_no(ctx, &ctx->layers, "layer class", name);
}

weft_status weft__fail_no_op(const weft_context *ctx, const char *name)
{
    return fail_no(ctx, &ctx->ops, "op", name);
}
