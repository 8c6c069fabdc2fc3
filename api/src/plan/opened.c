/* Devices of a session: the text that names them, their handles, their buffers. Everything that
 * a session holds on a device is counted here. */
#include "plan/opened.h"
#include <inttypes.h>
#include <string.h>
#include "base/alloc.h"
#include "base/array.h"
#include "base/fail.h"
#include "registry/registry.h"

/* "best": the first usable GPU, else cpu. */
static const char *best_device(weft_context *ctx)
{
    uint32_t n = weft_context_n_devices(ctx);
    for (uint32_t i = 0; i < n; i++) {
        const char *id;
        weft_dev_info info = { .struct_size = sizeof info };
        if (weft_context_device(ctx, i, &id, &info)) continue;
        if (info.usable && (info.kind == WEFT_DEV_GPU || info.kind == WEFT_DEV_IGPU)) return id;
    }
    return "cpu";
}

/* The id under which the context lists the device; what it was called if it lists none. */
static const char *listed_id(weft_context *ctx, const weft__device *device, const char *called)
{
    uint32_t n = weft_context_n_devices(ctx);
    for (uint32_t i = 0; i < n; i++) {
        const char *id;
        const weft_backend *backend;
        uint32_t number;
        weft_dev_info info = { .struct_size = sizeof info };
        if (weft_context_device(ctx, i, &id, &info) || !info.usable) continue;
        if (weft__find_device(ctx, id, &backend, &number)) continue;
        if (backend == device->backend && number == device->number) return id;
    }
    return called;
}

/* device: its backend and number are known. */
static weft_status open_found(weft_context *ctx, const char *id, weft__device *device)
{
    const weft_host *host = weft__context_host(ctx);
    weft_status st;
    device->info.struct_size = sizeof device->info;
    weft__backends_lock();
    st = device->backend->info(host, device->number, &device->info);
    weft__backends_unlock();
    if (st) return st;
    if (!device->info.usable)
        return weft_fail(WEFT_E_DEVICE,
                         "device %s (%s) cannot be used: %s; `weft devices` lists the others", id,
                         device->info.name, device->info.why);
    if (!(device->id = weft__strdup(listed_id(ctx, device, id)))) return WEFT_E_NOMEM;
    weft__backends_lock();
    st = device->backend->open(host, device->number, "", &device->dev);
    weft__backends_unlock();
    return st;
}

/* By what it is, not by its spelling: "opencl" and "opencl:0" are one device. */
static int is_open(const weft__devices *devices, const weft__device *device)
{
    for (uint32_t i = 0; i < devices->n; i++)
        if (devices->device[i].backend == device->backend &&
            devices->device[i].number == device->number)
            return 1;
    return 0;
}

/* Opens the device unless it is there already. devices->device has room. */
static weft_status add_device(weft__devices *devices, const char *id)
{
    weft__device found = { 0 };
    weft_status st;
    if (!strcmp(id, "best")) id = best_device(devices->ctx);
    if ((st = weft__find_device(devices->ctx, id, &found.backend, &found.number))) return st;
    if (is_open(devices, &found)) return WEFT_OK;
    /* counted first, so that closing also releases a half-opened one */
    devices->device[devices->n] = found;
    return open_found(devices->ctx, id, &devices->device[devices->n++]);
}

static weft_status add_devices(weft__devices *devices, const char *text)
{
    weft_status st = WEFT_OK;
    while (!st) {
        const char *end = strchr(text, ',');
        size_t n = end ? (size_t)(end - text) : strlen(text);
        while (n && *text == ' ')
            text++, n--;
        while (n && text[n - 1] == ' ')
            n--;
        if (!n)
            return weft_fail(WEFT_E_ARG,
                             "devices: a name is missing; write \"opencl:0,cpu\" or \"best\"");
        char *id = weft__strndup(text, n);
        if (!id) return WEFT_E_NOMEM;
        st = add_device(devices, id);
        weft__free(id);
        if (!end) break;
        text = end + 1;
    }
    return st;
}

weft_status weft__devices_open(weft_context *ctx, const char *text, int strict,
                               weft__devices **result)
{
    weft_status st = WEFT_E_NOMEM;
    size_t n = 2;
    if (!text || !*text) text = "best";
    for (const char *s = text; *s; s++)
        n += *s == ',';
    weft__devices *devices = weft__alloc(sizeof *devices);
    if (!devices) return st;
    devices->ctx = weft__context_ref(ctx);
    if (!(devices->device = weft__alloc_n(n, sizeof *devices->device))) goto out;
    if ((st = add_devices(devices, text))) goto out;
    if (!strict && (st = add_device(devices, "cpu"))) goto out;
    *result = devices;
    devices = NULL;
out:
    weft__devices_close(&devices);
    return st;
}

static void drop_copies(weft__device *device)
{
    for (size_t i = 0; i < device->n_copies; i++) {
        weft__buffer_release(device, &device->copy[i]->buffer);
        weft__free(device->copy[i]);
    }
    device->n_copies = 0;
}

void weft__devices_drop_copies(weft__devices *devices)
{
    for (uint32_t i = 0; i < devices->n; i++)
        drop_copies(&devices->device[i]);
    devices->pack = NULL;
}

static void close_device(weft__device *device)
{
    if (device->dev) {
        drop_copies(device);
        for (int i = 0; i < WEFT__MAX_ARENAS; i++)
            weft__buffer_release(device, &device->arena[i]);
        device->backend->close(device->dev);
    }
    weft__free(device->copy);
    weft__free(device->id);
}

weft__devices weft__devices_only(const weft__devices *devices, uint32_t device)
{
    weft__devices one = *devices;
    one.device += device;
    one.n = 1;
    return one;
}

void weft__devices_close(weft__devices **devices)
{
    weft__devices *old = *devices;
    if (!old) return;
    for (uint32_t i = 0; i < old->n; i++)
        close_device(&old->device[i]);
    weft__free(old->device);
    weft_context_destroy(&old->ctx);
    weft__free(old);
    *devices = NULL;
}

uint64_t weft__device_align(const weft__device *device)
{
    return device->info.align > 64 ? device->info.align : 64;
}

weft_status weft__buffer_alloc(weft__device *device, uint64_t bytes, const char *what,
                               weft__buffer *buffer)
{
    uint64_t limit = device->info.max_alloc;
    if (limit && bytes > limit)
        return weft_fail(WEFT_E_NOMEM,
                         "layer \"%s\": a value of %" PRIu64
                         " bytes is larger than what %s allocates "
                         "in one piece (%" PRIu64 " bytes); use a smaller batch, or another device",
                         what, bytes, device->id, limit);
    weft_status st = device->backend->alloc(device->dev, bytes ? bytes : 1, &buffer->buf);
    if (st) return st;
    buffer->bytes = bytes;
    device->bytes += bytes;
    device->epoch++;
    return WEFT_OK;
}

void weft__buffer_release(weft__device *device, weft__buffer *buffer)
{
    if (!buffer->buf) return;
    device->backend->release(device->dev, buffer->buf);
    device->bytes -= buffer->bytes;
    device->epoch++;
    *buffer = (weft__buffer){ 0 };
}

weft_status weft__buffer_reserve(weft__device *device, uint64_t bytes, const char *what,
                                 weft__buffer *buffer)
{
    if (buffer->buf && buffer->bytes >= bytes) return WEFT_OK;
    weft__buffer_release(device, buffer);
    return weft__buffer_alloc(device, bytes, what, buffer);
}

int weft__device_asks(const weft__device *device, weft__step *step)
{
    step->support = (weft_support){ .struct_size = sizeof step->support };
    return device->backend->supports(device->dev, &step->base, &step->support) == 1;
}

weft_status weft__device_copy(weft__device *device, weft__variable *variable, weft_dtype dtype,
                              weft__copy **result)
{
    for (size_t i = 0; i < device->n_copies; i++)
        if (device->copy[i]->variable == variable && device->copy[i]->dtype == dtype) {
            *result = device->copy[i];
            return WEFT_OK;
        }
    if (weft__grow(&device->copy, device->n_copies, &device->cap_copies, sizeof(weft__copy *)))
        return WEFT_E_NOMEM;
    weft__copy *copy = weft__alloc(sizeof *copy);
    if (!copy) return WEFT_E_NOMEM;
    copy->variable = variable;
    copy->dtype = dtype;
    weft_array shape = { .spec = variable->spec };
    uint64_t bytes = weft_array_count(&shape) * weft_dtype_size(dtype);
    weft_status st = weft__buffer_alloc(device, bytes, variable->path, &copy->buffer);
    if (st) {
        weft__free(copy);
        return st;
    }
    device->copy[device->n_copies++] = *result = copy;
    return WEFT_OK;
}

weft_status weft__device_upload(weft__device *device, weft__copy *copy)
{
    const weft__variable *variable = copy->variable;
    weft_array data = { .spec = variable->spec, .data = variable->data };
    weft_array *converted = NULL;
    weft_status st = WEFT_OK;
    /* generation + 1: a variable that was never written has generation 0 */
    if (copy->generation == variable->generation + 1 || !copy->buffer.bytes) return WEFT_OK;
    if (data.spec.dtype != copy->dtype) {
        if ((st = weft_array_convert(&data, copy->dtype, &converted))) return st;
        data = *converted;
    }
    st = device->backend->write(device->dev, copy->buffer.buf, 0, data.data, copy->buffer.bytes);
    if (!st) copy->generation = variable->generation + 1;
    copy->newer = 0;
    weft_array_destroy(&converted);
    return st;
}

int weft__devices_wrote(weft__devices *devices, weft__copy *copy)
{
    int others = 0;
    for (uint32_t i = 0; i < devices->n; i++)
        for (size_t k = 0; k < devices->device[i].n_copies; k++) {
            weft__copy *other = devices->device[i].copy[k];
            if (other->variable != copy->variable || other == copy) continue;
            other->generation = 0;
            other->newer = 0;
            others = 1;
        }
    copy->newer = 1;
    return others;
}

int weft__devices_newer(const weft__devices *devices)
{
    int newer = 0;
    for (uint32_t i = 0; i < devices->n; i++)
        for (size_t k = 0; k < devices->device[i].n_copies; k++)
            newer |= devices->device[i].copy[k]->newer;
    return newer;
}

static weft_status read_copy(const weft__device *device, weft__copy *copy)
{
    weft_dtype wanted = copy->variable->spec.dtype;
    weft_spec spec = copy->variable->spec;
    weft_array *array = NULL;
    weft_status st;
    spec.dtype = copy->dtype;
    if ((st = weft__array_create_raw(&spec, &array))) goto out;
    if ((st = device->backend->read(device->dev, copy->buffer.buf, 0, array->data,
                                    copy->buffer.bytes)))
        goto out;
    if (copy->dtype != wanted) {
        st = weft_array_convert(array, wanted, &copy->home);
    } else {
        copy->home = array;
        array = NULL;
    }
out:
    weft_array_destroy(&array);
    return st;
}

/* Whoever has written the variable since is right: then the copy is out of date. */
static void land(weft__devices *devices, weft__copy *copy)
{
    uint64_t generation = copy->generation - 1; /* as weft__device_upload counts */
    copy->newer = 0;
    if (!weft__variable_land(copy->variable, copy->home->data, &generation)) return;
    copy->generation = generation + 1;
    if (devices->pack && copy->variable == devices->pack->flat) weft__pack_scatter(devices->pack);
}

/* Of one variable, or of all (NULL). Devices may take their time, so that they are read before the
 * lock is taken. */
static weft_status pull(weft__devices *devices, const weft_model *model,
                        const weft__variable *variable)
{
    weft_status st = WEFT_OK;
    for (uint32_t i = 0; i < devices->n; i++)
        for (size_t k = 0; k < devices->device[i].n_copies && !st; k++) {
            weft__copy *copy = devices->device[i].copy[k];
            if (copy->newer && (!variable || copy->variable == variable))
                st = read_copy(&devices->device[i], copy);
        }
    if (model) weft__model_write_lock(model);
    for (uint32_t i = 0; i < devices->n; i++)
        for (size_t k = 0; k < devices->device[i].n_copies; k++) {
            weft__copy *copy = devices->device[i].copy[k];
            if (copy->home && !st) land(devices, copy);
            weft_array_destroy(&copy->home);
        }
    if (model) weft__model_unlock(model);
    return st;
}

weft_status weft__devices_pull(weft__devices *devices, const weft_model *model)
{
    return weft__devices_newer(devices) ? pull(devices, model, NULL) : WEFT_OK;
}

weft_status weft__devices_pull_own(weft__devices *devices, const weft__variable *variable)
{
    return pull(devices, NULL, variable);
}

weft_status weft__devices_set(weft__devices *devices, weft__variable *variable, const void *data)
{
    weft_status st = weft__variable_write(variable, data);
    for (uint32_t i = 0; i < devices->n; i++)
        for (size_t k = 0; k < devices->device[i].n_copies && !st; k++)
            if (devices->device[i].copy[k]->variable == variable)
                st = weft__device_upload(&devices->device[i], devices->device[i].copy[k]);
    return st;
}
