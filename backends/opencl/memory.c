/* Memory: the host's heap, and buffers on the device with the ways in and out of them. */
#include "ocl.h"
#include <string.h>

enum { LEAST = 16 }; /* bytes: OpenCL has no empty buffers */

void *ocl_alloc(const weft_host *host, size_t n, size_t size)
{
    void *memory = size && n > PTRDIFF_MAX / size ? NULL : host->alloc(host, n * size, 16);
    if (memory) memset(memory, 0, n * size);
    return memory;
}

void ocl_free(const weft_host *host, void *memory)
{
    if (memory) host->release(host, memory);
}

int ocl_grow(const weft_host *host, void *array, uint32_t n, uint32_t *capacity, size_t size)
{
    uint32_t more = *capacity ? *capacity * 2 : 32;
    void *old, *made;
    if (n < *capacity) return 1;
    if (more < *capacity || !(made = ocl_alloc(host, more, size))) return 0;
    memcpy(&old, array, sizeof old);
    if (n) memcpy(made, old, n * size);
    ocl_free(host, old);
    memcpy(array, &made, sizeof made);
    *capacity = more;
    return 1;
}

weft_status ocl_mem_create(weft_dev *dev, const weft_step *step, uint64_t bytes, cl_mem *mem)
{
    const weft_dev_info *info = &dev->device->info;
    const char *path = step ? step->path : "opencl", *what = step ? "scratch memory" : "a buffer";
    const char *op = step ? ": op " : "", *name = step ? step->op->name : "";
    cl_int code = CL_SUCCESS;
    if (bytes > info->max_alloc)
        return ocl_fail(
            dev->host, WEFT_E_NOMEM,
            "%s%s%s: %s of %llu bytes on %s, whose largest buffer is %llu bytes (memory: "
            "%llu); use a smaller batch",
            path, op, name, what, (unsigned long long)bytes, info->name,
            (unsigned long long)info->max_alloc, (unsigned long long)info->mem_total);
    cl_mem made = clCreateBuffer(dev->device->context, CL_MEM_READ_WRITE,
                                 bytes < LEAST ? LEAST : (size_t)bytes, NULL, &code);
    if (code)
        return ocl_cl_fail(dev->host, code, "%s%s%s: %s of %llu bytes on %s", path, op, name, what,
                           (unsigned long long)bytes, info->name);
    *mem = made;
    return WEFT_OK;
}

weft_status ocl_buf_alloc(weft_dev *dev, uint64_t bytes, weft_buf **buf)
{
    weft_buf *made = ocl_alloc(dev->host, 1, sizeof *made);
    weft_status st = WEFT_OK;
    if (!made) return ocl_fail(dev->host, WEFT_E_NOMEM, "opencl: no memory for a buffer's record");
    made->bytes = bytes;
    if ((st = ocl_mem_create(dev, NULL, bytes, &made->mem))) goto out;
    *buf = made;
    made = NULL;
out:
    ocl_free(dev->host, made);
    return st;
}

void ocl_buf_release(weft_dev *dev, weft_buf *buf)
{
    if (!buf) return;
    clReleaseMemObject(buf->mem); /* OpenCL keeps it until enqueued commands are done */
    ocl_free(dev->host, buf);
}

static weft_status inside(weft_dev *dev, const weft_buf *buf, uint64_t offset, uint64_t bytes)
{
    if (offset <= buf->bytes && bytes <= buf->bytes - offset) return WEFT_OK;
    return ocl_fail(
        dev->host, WEFT_E_INTERNAL, "opencl: bytes %llu + %llu of a buffer of %llu bytes",
        (unsigned long long)offset, (unsigned long long)bytes, (unsigned long long)buf->bytes);
}

weft_status ocl_buf_write(weft_dev *dev, weft_buf *buf, uint64_t offset, const void *data,
                          uint64_t bytes)
{
    weft_status st = inside(dev, buf, offset, bytes);
    if (st || bytes == 0) return st;
    cl_int code = clEnqueueWriteBuffer(dev->queue, buf->mem, CL_TRUE, (size_t)offset, (size_t)bytes,
                                       data, 0, NULL, NULL);
    if (!code) return WEFT_OK;
    return ocl_cl_fail(dev->host, code, "opencl: writing %llu bytes to %s",
                       (unsigned long long)bytes, dev->device->info.name);
}

weft_status ocl_buf_read(weft_dev *dev, weft_buf *buf, uint64_t offset, void *data, uint64_t bytes)
{
    weft_status st = inside(dev, buf, offset, bytes);
    if (st || bytes == 0) return st;
    cl_int code = clEnqueueReadBuffer(dev->queue, buf->mem, CL_TRUE, (size_t)offset, (size_t)bytes,
                                      data, 0, NULL, NULL);
    if (!code) return WEFT_OK;
    return ocl_cl_fail(dev->host, code, "opencl: reading %llu bytes from %s",
                       (unsigned long long)bytes, dev->device->info.name);
}
