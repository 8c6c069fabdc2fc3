/* The services that plugins and backends are handed: a thin layer over base. */
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "base/settings.h"
#include "registry/internal.h"
#include "registry/parallel.h"

static const weft_context *context_of(const weft_host *host)
{
    return (const weft_context *)(const void *)host;
}

static void host_log(const weft_host *host, weft_log_level level, const char *msg)
{
    weft__log_write(&context_of(host)->log, level, "%s", msg ? msg : "");
}

static weft_status host_fail(const weft_host *host, weft_status status, const char *msg)
{
    (void)host;
    return weft_fail(status, "%s", msg ? msg : weft_status_name(status));
}

static const char *host_setting(const weft_host *host, const char *name)
{
    (void)host;
    return weft__setting(name);
}

static void *host_alloc(const weft_host *host, size_t bytes, size_t align)
{
    (void)host;
    return weft__alloc_aligned(bytes, align);
}

static void host_release(const weft_host *host, void *memory)
{
    (void)host;
    weft__free(memory);
}

static void host_parallel_for(const weft_host *host, uint64_t n, uint64_t grain,
                              void (*fn)(void *user, uint64_t begin, uint64_t end), void *user)
{
    weft__parallel_for(context_of(host)->threads, n, grain, fn, user);
}

static const void *find_extension(const weft_ext *list, const char *id)
{
    for (; list->id; list++)
        if (!strcmp(list->id, id)) return list->data;
    return NULL;
}

/* The core's, then what the backends bring. */
static const void *host_extension(const weft_host *host, const char *id)
{
    const weft_context *ctx = context_of(host);
    const void *found = id ? find_extension(weft__host_extensions, id) : NULL;
    for (size_t i = 0; id && !found && i < ctx->n_providers; i++)
        if (WEFT_HAS(ctx->provider[i].backend, services))
            found = find_extension(ctx->provider[i].backend->services, id);
    return found;
}

void weft__host_init(weft_context *ctx)
{
    const char *threads = weft__setting("num_threads");
    long n = threads ? strtol(threads, NULL, 10) : 0;
    ctx->threads = n > 0 && n <= 1024 ? (int)n : 0;
    ctx->host = (weft_host){
        .struct_size = sizeof(weft_host),
        .abi_minor = WEFT_ABI_MINOR,
        .name = "weft",
        .version = weft_version(),
        .log = host_log,
        .fail = host_fail,
        .setting = host_setting,
        .alloc = host_alloc,
        .release = host_release,
        .parallel_for = host_parallel_for,
        .extension = host_extension,
    };
}

weft_status weft__context_say(weft_context *ctx, weft_log_level level, const char *format, ...)
{
    enum { MOST = 1000 };
    char text[2048], *message;
    va_list args;
    va_start(args, format);
    int n = weft__vformat(text, sizeof text, format, args);
    va_end(args);
    if (n < 0 || ctx->n_early >= MOST) return WEFT_OK;
    if (weft__grow(&ctx->early, ctx->n_early, &ctx->cap_early, sizeof *ctx->early))
        return WEFT_E_NOMEM;
    if (!(message = weft__strdup(text))) return WEFT_E_NOMEM;
    ctx->early[ctx->n_early++] = (weft__early){ level, message };
    return WEFT_OK;
}
