/* The OpenCL backend's own types: devices, memory, errors, programs. What steps become is in
 * step.h. */
#ifndef OCL_H
#define OCL_H
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <pthread.h>
#include <weft/backend.h>

/* ---- errors: text goes to the host, the status travels up ---- */
weft_status ocl_fail(const weft_host *host, weft_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* "<text>: CL_OUT_OF_RESOURCES (-5)"; running out of memory gives WEFT_E_NOMEM. */
weft_status ocl_cl_fail(const weft_host *host, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
const char *ocl_code_name(int code); /* of OpenCL and of CLBlast; "unknown code" */

/* ---- heap: all of it is the host's, which counts it and can make it fail ---- */
void *ocl_alloc(const weft_host *host, size_t n, size_t size); /* n * size zero bytes, or NULL */
void ocl_free(const weft_host *host, void *memory);
/* Twice as many elements (32 at first) when n == *capacity; 0: no memory, nothing has changed. */
int ocl_grow(const weft_host *host, void *array, uint32_t n, uint32_t *capacity, size_t size);

/* ---- text that grows: running out of memory is remembered, and seen once at the end ---- */
typedef struct ocl_text {
    const weft_host *host; /* set it; the rest starts as zeros */
    char *data;            /* NUL-terminated when size > 0 */
    size_t size, capacity;
    int failed;
} ocl_text;
void ocl_text_add(ocl_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void ocl_text_append(ocl_text *text, const char *bytes, size_t n);
/* A constant, exact, whatever the locale of the program: by its bits. */
void ocl_text_real(ocl_text *text, double value, int f64);
void ocl_text_finish(ocl_text *text);

/* ---- devices: never freed, as CLBlast and the program cache hang on the context ---- */
typedef struct ocl_program ocl_program;
typedef struct ocl_device {
    cl_platform_id platform;
    cl_device_id id;
    weft_dev_info info;
    int is_cpu;
    uint32_t vector_f32, vector_f64; /* native lanes */
    size_t max_group;                /* in one dimension, or as lines of 16 */
    uint64_t local_memory;
    char platform_version[128];
    pthread_mutex_t lock; /* of what follows */
    cl_context context;   /* made by the first open */
    ocl_program *programs;
} ocl_device;
/* All devices of all platforms in the stable order; found once a process. [any-thread] */
weft_status ocl_devices(const weft_host *host, ocl_device **list, uint32_t *n, char *why,
                        size_t why_size);
/* Whether setting opencl_devices lets this host use it. */
int ocl_device_chosen(const weft_host *host, const ocl_device *device);

struct weft_dev { /* an opened device: one in-order queue */
    const weft_host *host;
    ocl_device *device;
    cl_command_queue queue, timed; /* timed: with profiling, made when first asked for */
    int cpu;                       /* kernels for CPUs, not for GPUs */
    int clblast;                   /* gemm by CLBlast where it can */
    size_t max_group;              /* the device's, or less: setting opencl_limits */
    uint64_t local_memory;         /* bytes, likewise */
    uint64_t builds;
    cl_program gemm[2], movement[4]; /* of the services, borrowed: float, double; 1 2 4 8 bytes */
    weft_exe *checked;               /* runs whose indices are checked by finish() */
};
struct weft_buf {
    cl_mem mem;
    uint64_t bytes;
};

weft_status ocl_open(const weft_host *host, uint32_t dev, const char *options, weft_dev **result);
void ocl_close(weft_dev *dev);
weft_status ocl_timed_queue(weft_dev *dev, cl_command_queue *queue);

/* ---- memory ---- */
weft_status ocl_buf_alloc(weft_dev *dev, uint64_t bytes, weft_buf **buf);
void ocl_buf_release(weft_dev *dev, weft_buf *buf);
weft_status ocl_buf_write(weft_dev *dev, weft_buf *buf, uint64_t offset, const void *data,
                          uint64_t bytes);
weft_status ocl_buf_read(weft_dev *dev, weft_buf *buf, uint64_t offset, void *data, uint64_t bytes);
/* step: whose scratch it is; NULL: a buffer of the plan's. */
weft_status ocl_mem_create(weft_dev *dev, const weft_step *step, uint64_t bytes, cl_mem *mem);

/* ---- programs ---- */
typedef struct ocl_request {
    const char *source, *options; /* options: besides -cl-std, or NULL */
    const char *op, *path;        /* for the message of a failed build */
} ocl_request;
/* From this process, from the disk, or built. The program belongs to the device record. */
weft_status ocl_program_get(weft_dev *dev, const ocl_request *request, cl_program *program);

typedef struct ocl_key {
    uint64_t word[2];
} ocl_key;
void ocl_key_start(ocl_key *key);
void ocl_key_add(ocl_key *key, const void *data, size_t n);
/* The stored binary (ocl_free()), or NULL: none, or not to be trusted. */
unsigned char *ocl_cache_load(const weft_host *host, const ocl_key *key, size_t *size);
/* Failing to store is no failure: the next process builds again. */
void ocl_cache_store(const weft_host *host, const ocl_key *key, const unsigned char *data,
                     size_t size);
int ocl_cache_enabled(const weft_host *host);
#endif
