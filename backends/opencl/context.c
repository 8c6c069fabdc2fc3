/* Opening a device: one context a device and process, so that programs are compiled once, and one
 * in-order queue a handle. Contexts stay until the process ends: CLBlast keeps programs by
 * context. */
#include "ocl.h"
#include <stdio.h>
#include <string.h>

static weft_status get_context(const weft_host *host, ocl_device *device, cl_context *context)
{
    weft_status st = WEFT_OK;
    cl_int code = CL_SUCCESS;
    pthread_mutex_lock(&device->lock);
    if (!device->context) {
        cl_context_properties wanted[] = { CL_CONTEXT_PLATFORM,
                                           (cl_context_properties)device->platform, 0 };
        device->context = clCreateContext(wanted, 1, &device->id, NULL, NULL, &code);
        if (code) {
            device->context = NULL;
            st = ocl_cl_fail(host, code, "opencl: no context on %s", device->info.name);
        }
    }
    *context = device->context;
    pthread_mutex_unlock(&device->lock);
    return st;
}

static weft_status make_queue(weft_dev *dev, cl_command_queue_properties wanted,
                              cl_command_queue *queue)
{
    cl_int code = CL_SUCCESS;
    cl_command_queue made =
        clCreateCommandQueue(dev->device->context, dev->device->id, wanted, &code);
    if (code) return ocl_cl_fail(dev->host, code, "opencl: no queue on %s", dev->device->info.name);
    *queue = made;
    return WEFT_OK;
}

/* Words that choose kernels: settings opencl_variant=cpu|gpu and gemm=weft|clblast, for tests and
 * for measuring. Without them CPUs get kernels for CPUs and Weft's own gemm (measured: 420 against
 * 30 GFLOP/s), other devices kernels with local memory, and CLBlast. */
static weft_status choose_kernels(weft_dev *dev)
{
    const weft_host *host = dev->host;
    const char *variant = host->setting ? host->setting(host, "opencl_variant") : NULL;
    const char *gemm = host->setting ? host->setting(host, "gemm") : NULL;
    dev->cpu = dev->device->is_cpu;
    if (variant && *variant) {
        if (strcmp(variant, "cpu") && strcmp(variant, "gpu"))
            return ocl_fail(host, WEFT_E_ARG, "WEFT_OPENCL_VARIANT is \"%s\": give cpu or gpu",
                            variant);
        dev->cpu = !strcmp(variant, "cpu");
    }
    dev->clblast = !dev->device->is_cpu;
    if (gemm && *gemm) {
        if (strcmp(gemm, "weft") && strcmp(gemm, "clblast"))
            return ocl_fail(host, WEFT_E_ARG, "WEFT_GEMM is \"%s\": give weft or clblast", gemm);
        dev->clblast = !strcmp(gemm, "clblast");
    }
    return WEFT_OK;
}

/* Setting opencl_limits, "64,16384": a device with smaller work-groups and less local memory, for
 * tests. */
static weft_status choose_limits(weft_dev *dev)
{
    const weft_host *host = dev->host;
    const char *limits = host->setting ? host->setting(host, "opencl_limits") : NULL;
    unsigned group = 0, local = 0;
    char rest;
    dev->max_group = dev->device->max_group;
    dev->local_memory = dev->device->local_memory;
    if (!limits || !*limits) return WEFT_OK;
    if (sscanf(limits, "%u,%u%c", &group, &local, &rest) != 2 || group == 0)
        return ocl_fail(host, WEFT_E_ARG,
                        "WEFT_OPENCL_LIMITS is \"%s\": give work-items and bytes, as 64,16384",
                        limits);
    if (group < dev->max_group) dev->max_group = group;
    if (local < dev->local_memory) dev->local_memory = local;
    return WEFT_OK;
}

weft_status ocl_open(const weft_host *host, uint32_t dev, const char *options, weft_dev **result)
{
    ocl_device *list = NULL;
    uint32_t n = 0;
    weft_dev *made = NULL;
    cl_context context = NULL;
    weft_status st = ocl_devices(host, &list, &n, NULL, 0);
    if (st) return st;
    if (options && *options)
        return ocl_fail(host, WEFT_E_ARG, "opencl: the device has no options, \"%s\" was given",
                        options);
    if (dev >= n)
        return ocl_fail(host, WEFT_E_NOTFOUND, "opencl:%u: there %s %u", dev, n == 1 ? "is" : "are",
                        n);
    if (!list[dev].info.usable || !ocl_device_chosen(host, &list[dev]))
        return ocl_fail(
            host, WEFT_E_DEVICE, "opencl:%u (%s) cannot be used: %s", dev, list[dev].info.name,
            list[dev].info.usable ? "WEFT_OPENCL_DEVICES leaves it out" : list[dev].info.why);
    if (!(made = ocl_alloc(host, 1, sizeof *made)))
        return ocl_fail(host, WEFT_E_NOMEM, "opencl:%u: no memory for a handle", dev);
    made->host = host;
    made->device = &list[dev];
    if ((st = get_context(host, made->device, &context))) goto out;
    if ((st = choose_kernels(made)) || (st = choose_limits(made))) goto out;
    if ((st = make_queue(made, 0, &made->queue))) goto out;
    *result = made;
    made = NULL;
out:
    if (made) ocl_close(made);
    return st;
}

weft_status ocl_timed_queue(weft_dev *dev, cl_command_queue *queue)
{
    weft_status st = WEFT_OK;
    if (!dev->timed) st = make_queue(dev, CL_QUEUE_PROFILING_ENABLE, &dev->timed);
    *queue = dev->timed;
    return st;
}

void ocl_close(weft_dev *dev)
{
    if (!dev) return;
    if (dev->queue) {
        clFinish(dev->queue);
        clReleaseCommandQueue(dev->queue);
    }
    if (dev->timed) clReleaseCommandQueue(dev->timed);
    ocl_free(dev->host, dev);
}
