/* The context: created, held by its models and sessions, asked about plugins. */
#include <string.h>
#include "base/alloc.h"
#include "base/attrs.h"
#include "base/fail.h"
#include "registry/internal.h"

static const weft_attr schema[] = {
    { "plugin_path", WEFT_STRING, 0, "", NULL, "directories or files, separated by ':'" },
    { "trust", WEFT_FLAG, 0, "false", NULL, "load plugins whatever their owner and mode" },
    { 0 },
};

static weft_status read_options(weft_context *ctx, const char *text)
{
    weft__attrs *given = NULL, *options = NULL;
    weft_status st;
    if ((st = weft__attrs_parse(text, &given))) goto out;
    if ((st = weft__attrs_check(given, schema, "context options", &options))) goto out;
    ctx->trust = (int)weft__attrs_i(options, "trust");
    ctx->plugin_path = weft__strdup(weft__attrs_s(options, "plugin_path"));
    if (!ctx->plugin_path) st = WEFT_E_NOMEM;
out:
    weft__attrs_destroy(&options);
    weft__attrs_destroy(&given);
    return st;
}

static void finish(weft_context *ctx)
{
    weft__devices_finish(ctx);
    weft__pool_destroy(&ctx->pool);
    for (size_t i = 0; i < ctx->n_entries; i++) {
        weft__free(ctx->entry[i].path);
        weft__free(ctx->entry[i].reason);
    }
    for (size_t i = 0; i < ctx->n_early; i++)
        weft__free(ctx->early[i].message);
    weft__table_finish(&ctx->ops);
    weft__table_finish(&ctx->layers);
    weft__text_finish(&ctx->searched);
    weft__free(ctx->entry);
    weft__free(ctx->early);
    weft__free(ctx->format);
    weft__free(ctx->plugin_path);
    pthread_mutex_destroy(&ctx->probing);
    weft__free(ctx);
}

weft_status weft_context_create(const char *options, weft_context **ctx)
{
    weft_status st;
    if (!ctx) return weft_fail(WEFT_E_ARG, "weft_context_create: ctx is NULL");
    *ctx = NULL;
    weft_context *c = weft__alloc(sizeof *c);
    if (!c) return WEFT_E_NOMEM;
    atomic_init(&c->holders, 1);
    c->log.level = WEFT_LOG_ERROR + 1;
    if (pthread_mutex_init(&c->probing, NULL)) {
        weft__free(c);
        return weft_fail(WEFT_E_NOMEM, "out of memory: a lock cannot be made");
    }
    if ((st = weft__host_init(c))) goto out;
    if ((st = read_options(c, options))) goto out;
    if ((st = weft__load_plugins(c))) goto out;
    *ctx = c;
    c = NULL;
out:
    weft_context_destroy(&c);
    return st;
}

weft_context *weft__context_ref(weft_context *ctx)
{
    atomic_fetch_add(&ctx->holders, 1);
    return ctx;
}

void weft_context_destroy(weft_context **ctx)
{
    if (!ctx || !*ctx) return;
    weft_context *c = *ctx;
    *ctx = NULL;
    if (atomic_fetch_sub(&c->holders, 1) == 1) finish(c);
}

void weft_context_log(weft_context *ctx, weft_log_level level, weft_log_fn fn, void *user)
{
    if (!ctx) return;
    weft__log to = { level, fn, user };
    weft__log_set(&ctx->log, &to);
    /* Said while plugins were loaded, when there was nobody to tell: every new listener hears
     * it. */
    for (size_t i = 0; fn && i < ctx->n_early; i++)
        if (ctx->early[i].level >= level) fn(user, ctx->early[i].level, ctx->early[i].message);
}

const weft_host *weft__context_host(const weft_context *ctx)
{
    return &ctx->host;
}

const weft__log *weft__context_logger(const weft_context *ctx)
{
    return &ctx->log;
}

uint32_t weft_context_n_plugins(const weft_context *ctx)
{
    return ctx ? (uint32_t)ctx->n_entries : 0;
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

weft_status weft_context_plugin(const weft_context *ctx, uint32_t i, weft_plugin_info *info)
{
    if (!ctx || !info) return weft_fail(WEFT_E_ARG, "weft_context_plugin: ctx or info is NULL");
    if (i >= ctx->n_entries)
        return weft_fail(WEFT_E_ARG, "plugin %u of %zu", (unsigned)i, ctx->n_entries);
    const weft__entry *e = &ctx->entry[i];
    const weft_plugin *p = e->plugin;
    *info = (weft_plugin_info){
        .path = e->path,
        .name = or_empty(p ? p->name : NULL),
        .version = or_empty(p ? p->version : NULL),
        .author = or_empty(p ? p->author : NULL),
        .license = or_empty(p ? p->license : NULL),
        .url = or_empty(p ? p->url : NULL),
        .loaded = !e->reason,
        .reason = or_empty(e->reason),
        .plugin = e->reason ? NULL : p,
    };
    return WEFT_OK;
}

const weft_layer_class *weft_context_layer_class(const weft_context *ctx, const char *name)
{
    return ctx ? weft__find_layer_class(ctx, name) : NULL;
}

const weft_op_class *weft_context_op_class(const weft_context *ctx, const char *name)
{
    return ctx ? weft__find_op(ctx, name) : NULL;
}
