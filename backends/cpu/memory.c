/* Memory of the cpu backend: a buffer is host memory on a cache line, or the caller's own.
 * Everything is done when a call returns: the queue of this device is the calling thread. */
#include "cpu.h"
#include <assert.h>
#include <string.h>

#define ALIGN 64u

weft_status cpu_alloc(weft_dev *dev, uint64_t bytes, weft_buf **res)
{
    weft_buf *buf;
    *res = NULL;
    if (bytes > SIZE_MAX - 2 * ALIGN) {
        return dev->host->fail(dev->host, WEFT_E_NOMEM,
                               "cpu: a buffer is larger than the address space. "
                               "Use a smaller batch");
    }
    buf = dev->host->alloc(dev->host, ALIGN + (bytes ? (size_t)bytes : 1), ALIGN);
    if (!buf) return WEFT_E_NOMEM;
    buf->data = (char *)buf + ALIGN;
    buf->bytes = bytes;
    *res = buf;
    return WEFT_OK;
}

weft_status cpu_wrap(weft_dev *dev, void *memory, uint64_t bytes, weft_buf **res)
{
    weft_buf *buf = dev->host->alloc(dev->host, sizeof *buf, ALIGN);
    *res = NULL;
    if (!buf) return WEFT_E_NOMEM;
    buf->data = memory;
    buf->bytes = bytes;
    *res = buf;
    return WEFT_OK;
}

void cpu_release(weft_dev *dev, weft_buf *buf)
{
    if (buf) dev->host->release(dev->host, buf);
}

weft_status cpu_write(weft_dev *dev, weft_buf *buf, uint64_t at, const void *src, uint64_t bytes)
{
    (void)dev;
    assert(at <= buf->bytes && bytes <= buf->bytes - at);
    if (bytes) memcpy(buf->data + at, src, (size_t)bytes);
    return WEFT_OK;
}

weft_status cpu_read(weft_dev *dev, weft_buf *buf, uint64_t at, void *dst, uint64_t bytes)
{
    (void)dev;
    assert(at <= buf->bytes && bytes <= buf->bytes - at);
    if (bytes) memcpy(dst, buf->data + at, (size_t)bytes);
    return WEFT_OK;
}
