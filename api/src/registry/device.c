/* Devices of all backends: found when first asked for, numbered in the order of their backend. */
#include <string.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "registry/internal.h"

void weft__devices_finish(weft_context *ctx)
{
    for (size_t i = 0; i < ctx->n_devices; i++)
        weft__free(ctx->device[i].id);
    for (size_t i = 0; i < ctx->n_providers; i++)
        weft__free(ctx->provider[i].why);
    weft__free(ctx->device);
    weft__free(ctx->provider);
    ctx->device = NULL;
    ctx->provider = NULL;
    ctx->n_devices = ctx->n_providers = 0;
}

static weft_status keep_why(weft__provider *provider, const char *why)
{
    weft__free(provider->why);
    provider->why = weft__strdup(why);
    return provider->why ? WEFT_OK : WEFT_E_NOMEM;
}

/* The text of a call that failed, or that it gave none. */
static const char *why_failed(weft_status st, uint64_t count_before)
{
    return weft__fail_count() != count_before ? weft_error() : weft_status_name(st);
}

static int is_cpu(const weft_backend *backend)
{
    return !strcmp(backend->id, "cpu");
}

static weft_status add_device(weft_context *ctx, const weft_backend *backend, uint32_t number)
{
    weft__text id = { 0 };
    if (weft__grow(&ctx->device, ctx->n_devices, &ctx->cap_devices, sizeof *ctx->device))
        return WEFT_E_NOMEM;
    weft__device *d = &ctx->device[ctx->n_devices];
    *d = (weft__device){ .backend = backend,
                         .number = number,
                         .info = { .struct_size = sizeof d->info } };
    if (is_cpu(backend) && number == 0)
        weft__text_add(&id, "cpu");
    else
        weft__text_add(&id, "%s:%u", backend->id, (unsigned)number);
    if (!(d->id = weft__text_take(&id))) return WEFT_E_NOMEM;
    ctx->n_devices++;
    uint64_t before = weft__fail_count();
    weft_status st = backend->info(&ctx->host, number, &d->info);
    if (st) {
        d->info = (weft_dev_info){ .struct_size = sizeof d->info };
        snprintf(d->info.why, sizeof d->info.why, "it cannot be asked: %s", why_failed(st, before));
    }
    return WEFT_OK;
}

static weft_status probe(weft_context *ctx, weft__provider *provider)
{
    const weft_backend *backend = provider->backend;
    char why[512] = "";
    uint32_t n = 0;
    weft_status st;
    /* Without cpu nothing is left to fall back to, so it cannot be switched off. */
    if (weft__disabled(backend->id) && !is_cpu(backend))
        return keep_why(provider, "switched off by WEFT_DISABLE");
    uint64_t before = weft__fail_count();
    if ((st = backend->probe(&ctx->host, &n, why, sizeof why)))
        return keep_why(provider, why_failed(st, before));
    why[sizeof why - 1] = 0;
    if ((st = keep_why(provider, n || *why ? why : "it found no device"))) return st;
    for (uint32_t i = 0; i < n; i++)
        if ((st = add_device(ctx, backend, i))) return st;
    provider->n_devices = n;
    return WEFT_OK;
}

static weft_status probe_all(weft_context *ctx)
{
    weft_status st = WEFT_OK;
    for (int cpu = 1; cpu >= 0; cpu--)
        for (size_t i = 0; i < ctx->n_providers && !st; i++)
            if (is_cpu(ctx->provider[i].backend) == cpu) st = probe(ctx, &ctx->provider[i]);
    if (st) { /* asked again next time */
        for (size_t i = 0; i < ctx->n_devices; i++)
            weft__free(ctx->device[i].id);
        ctx->n_devices = 0;
    }
    return st;
}

/* Contexts share the backends' code: what plugin.h calls [load] is one thread at a time in the
 * process. */
static pthread_mutex_t backends = PTHREAD_MUTEX_INITIALIZER;

void weft__backends_lock(void)
{
    pthread_mutex_lock(&backends);
}

void weft__backends_unlock(void)
{
    pthread_mutex_unlock(&backends);
}

static weft_status ensure_probed(weft_context *ctx)
{
    weft_status st = WEFT_OK;
    pthread_mutex_lock(&ctx->probing);
    if (!ctx->probed) {
        weft__backends_lock();
        st = probe_all(ctx);
        weft__backends_unlock();
    }
    ctx->probed = !st;
    pthread_mutex_unlock(&ctx->probing);
    return st;
}

uint32_t weft_context_n_devices(weft_context *ctx)
{
    return ctx && !ensure_probed(ctx) ? (uint32_t)ctx->n_devices : 0;
}

weft_status weft_context_device(weft_context *ctx, uint32_t i, const char **id, weft_dev_info *info)
{
    weft_status st;
    if (!ctx) return weft_fail(WEFT_E_ARG, "weft_context_device: ctx is NULL");
    if ((st = ensure_probed(ctx))) return st;
    if (i >= ctx->n_devices)
        return weft_fail(WEFT_E_ARG, "device %u of %zu", (unsigned)i, ctx->n_devices);
    const weft__device *d = &ctx->device[i];
    if (id) *id = d->id;
    if (info) {
        uint32_t size = info->struct_size && info->struct_size < sizeof *info ? info->struct_size
                                                                              : sizeof *info;
        memcpy(info, &d->info, size);
        info->struct_size = size;
    }
    return WEFT_OK;
}

uint32_t weft_context_n_backends(weft_context *ctx)
{
    return ctx ? (uint32_t)ctx->n_providers : 0;
}

weft_status weft_context_backend(weft_context *ctx, uint32_t i, const char **id,
                                 uint32_t *n_devices, const char **why)
{
    weft_status st;
    if (!ctx) return weft_fail(WEFT_E_ARG, "weft_context_backend: ctx is NULL");
    if (i >= ctx->n_providers)
        return weft_fail(WEFT_E_ARG, "backend %u of %zu", (unsigned)i, ctx->n_providers);
    if ((st = ensure_probed(ctx))) return st;
    const weft__provider *p = &ctx->provider[i];
    if (id) *id = p->backend->id;
    if (n_devices) *n_devices = p->n_devices;
    if (why) *why = p->why;
    return WEFT_OK;
}

/* What there is instead of the device that was asked for. */
static weft_status fail_no_device(const weft_context *ctx, const char *id)
{
    weft__text text = { 0 };
    weft__text_add(&text, "no device \"%s\"; there is", id);
    for (size_t i = 0; i < ctx->n_devices; i++) {
        const weft__device *d = &ctx->device[i];
        weft__text_add(
            &text, "%s %s (%s%s%s)", i ? "," : "", d->id, d->info.name,
            d->info.usable ? "" : "; cannot be used: ", d->info.usable ? "" : d->info.why);
    }
    if (!ctx->n_devices) weft__text_add(&text, " none");
    for (size_t i = 0; i < ctx->n_providers; i++)
        if (!ctx->provider[i].n_devices)
            weft__text_add(&text, "; backend %s has none: %s", ctx->provider[i].backend->id,
                           ctx->provider[i].why);
    weft_status st = text.failed ? WEFT_E_NOMEM : weft_fail(WEFT_E_NOTFOUND, "%s", text.s);
    weft__text_finish(&text);
    return st;
}

/* "cpu", "cpu:0", and "opencl" for its first device. */
static int is_named(const weft__device *device, const char *id)
{
    size_t n = strlen(device->backend->id);
    char number[16];
    if (!strcmp(device->id, id)) return 1;
    if (device->number || strncmp(id, device->backend->id, n)) return 0;
    snprintf(number, sizeof number, ":%u", (unsigned)device->number);
    return !id[n] || !strcmp(id + n, number);
}

weft_status weft__find_device(weft_context *ctx, const char *id, const weft_backend **backend,
                              uint32_t *dev)
{
    weft_status st = ensure_probed(ctx);
    if (st) return st;
    for (size_t i = 0; i < ctx->n_devices; i++) {
        const weft__device *d = &ctx->device[i];
        if (!is_named(d, id)) continue;
        if (!d->info.usable)
            return weft_fail(WEFT_E_DEVICE, "device %s (%s) cannot be used: %s", d->id,
                             d->info.name, d->info.why);
        *backend = d->backend;
        *dev = d->number;
        return WEFT_OK;
    }
    return fail_no_device(ctx, id);
}
