/* The OpenCL backend: its table, and the plugin that brings it. */
#include <stdio.h>
#include <string.h>
#include "step.h"

static weft_status probe(const weft_host *host, uint32_t *n_dev, char *why, size_t why_size)
{
    ocl_device *list = NULL;
    return ocl_devices(host, &list, n_dev, why, why_size);
}

static weft_status info(const weft_host *host, uint32_t dev, weft_dev_info *result)
{
    ocl_device *list = NULL;
    uint32_t n = 0, size = result->struct_size;
    weft_status st = ocl_devices(host, &list, &n, NULL, 0);
    if (st) return st;
    if (dev >= n)
        return ocl_fail(host, WEFT_E_NOTFOUND, "opencl:%u: there %s %u", dev, n == 1 ? "is" : "are",
                        n);
    weft_dev_info full = list[dev].info;
    if (full.usable && !ocl_device_chosen(host, &list[dev])) {
        full.usable = 0;
        snprintf(full.why, sizeof full.why, "WEFT_OPENCL_DEVICES leaves it out");
    }
    if (size > sizeof full) size = sizeof full;
    full.struct_size = size;
    memcpy(result, &full, size);
    return WEFT_OK;
}

static weft_status finish(weft_dev *dev)
{
    cl_int code = clFinish(dev->queue);
    if (code) return ocl_cl_fail(dev->host, code, "opencl: waiting for %s", dev->device->info.name);
    return ocl_check_indices(dev);
}

static uint64_t builds(weft_dev *dev)
{
    return dev->builds;
}

static const char *const kernel_ids[] = { WEFT_KERNEL_OPENCL, NULL };
static const weft_backend backend = {
    .struct_size = sizeof backend,
    .id = "opencl",
    .kernel_ids = kernel_ids,
    .doc = "any OpenCL 1.2 device: GPUs, accelerators, and CPUs through PoCL or Intel's runtime",
    .probe = probe,
    .info = info,
    .open = ocl_open,
    .close = ocl_close,
    .alloc = ocl_buf_alloc,
    .release = ocl_buf_release,
    .write = ocl_buf_write,
    .read = ocl_buf_read,
    .finish = finish,
    .supports = ocl_supports,
    .compile = ocl_compile,
    .run = ocl_run,
    .release_exe = ocl_release_exe,
    .builds = builds,
};
static const weft_backend *const backends[] = { &backend, NULL };

WEFT_PLUGIN(opencl, .version = "0.1.0", .author = "the Weft authors", .license = "Apache-2.0",
            .backends = backends);
