/* Buffers on the device, and the ways in and out of them. */
#include "ocl.h"
#include <stdlib.h>

enum { LEAST = 16 }; /* bytes: OpenCL has no empty buffers */

weft_status ocl_mem_create(weft_dev *dev, uint64_t bytes, const char *what, cl_mem *mem)
{
    const weft_dev_info *info = &dev->device->info;
    cl_int code = CL_SUCCESS;
    if (bytes > info->max_alloc)
        return ocl_fail(
            dev->host, WEFT_E_NOMEM,
            "opencl: %s of %llu bytes on %s, whose largest buffer is %llu bytes (memory: "
            "%llu); use a smaller batch",
            what, (unsigned long long)bytes, info->name, (unsigned long long)info->max_alloc,
            (unsigned long long)info->mem_total);
    cl_mem made = clCreateBuffer(dev->device->context, CL_MEM_READ_WRITE,
                                 bytes < LEAST ? LEAST : (size_t)bytes, NULL, &code);
    if (code)
        return ocl_cl_fail(dev->host, code, "opencl: %s of %llu bytes on %s", what,
                           (unsigned long long)bytes, info->name);
    *mem = made;
    return WEFT_OK;
}

weft_status ocl_buf_alloc(weft_dev *dev, uint64_t bytes, weft_buf **buf)
{
    weft_buf *made = calloc(1, sizeof *made);
    weft_status st = WEFT_OK;
    if (!made) return ocl_fail(dev->host, WEFT_E_NOMEM, "opencl: no memory for a buffer's record");
    made->bytes = bytes;
    if ((st = ocl_mem_create(dev, bytes, "a buffer", &made->mem))) goto out;
    *buf = made;
    made = NULL;
out:
    free(made);
    return st;
}

void ocl_buf_release(weft_dev *dev, weft_buf *buf)
{
    (void)dev;
    if (!buf) return;
    clReleaseMemObject(buf->mem); /* OpenCL keeps it until enqueued commands are done */
    free(buf);
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
