/* weft/backend.h - what a backend provides, besides weft/plugin.h. The core validates everything
 * once, above this table; a backend asserts. Failures are reported through host->fail, whose text
 * says where and what; the status alone travels up. Struct rules: R1..R9 of plugin.h. */
#ifndef WEFT_BACKEND_H
#define WEFT_BACKEND_H
#include <weft/plugin.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct weft_dev
    weft_dev; /* one opened device with one in-order queue; owned by the backend */
typedef struct weft_buf weft_buf; /* device memory */
typedef struct weft_exe weft_exe; /* a compiled run of steps */
typedef int32_t weft_dev_kind;
enum { WEFT_DEV_CPU = 1, WEFT_DEV_GPU, WEFT_DEV_IGPU, WEFT_DEV_ACCEL };

typedef struct weft_dev_info { /* filled by the backend up to the caller's struct_size */
    uint32_t struct_size;
    weft_dev_kind kind;
    char name[128], vendor[64], driver[128], platform[128];
    uint64_t mem_total, max_alloc; /* bytes; 0 = not known */
    uint64_t align; /* bytes that offsets of tensors in a buffer must be multiples of */
    uint32_t compute_units, has_f16, has_f64, unified;
    uint32_t usable, reserved; /* 0: listed, and `why` says what is missing */
    char why[256];
} weft_dev_info;

/* One input or output of a step, symbolic in the batch B: a dimension, stride, outer, inner or
 * pitch of -c means c * B. */
typedef struct weft_operand {
    uint32_t struct_size;
    weft_dtype dtype;
    int32_t rank;
    weft_layout layout;
    const int64_t *dim, *stride;
    int64_t outer, inner, pitch; /* as in weft_view */
    uint32_t absent, reserved;   /* an optional input that is not there, an output nobody reads */
} weft_operand;

typedef struct weft_step { /* one op of a plan, placed; read only; lives as long as the weft_exe */
    uint32_t struct_size, n_in, n_out,
        n_extra;             /* the last n_extra of the n_in inputs belong to `then` */
    const weft_op_class *op; /* with the kernels that plugins brought, by backend kind */
    const char *attrs;       /* canonical text, the same as in logs */
    const char *path;        /* "encoder/dense_1", for messages */
    const weft_operand *const *in, *const *out;
    int64_t (*attr_i)(const struct weft_step *, const char *);
    double (*attr_f)(const struct weft_step *, const char *);
    const char *(*attr_s)(const struct weft_step *, const char *);
    uint32_t (*attr_v)(const struct weft_step *, const char *, int64_t *values, uint32_t cap);
    uint32_t (*attr_fv)(const struct weft_step *, const char *, double *values, uint32_t cap);
} weft_step;

/* Where an operand lies in one run: the buffer, and the offset of its first element, in bytes. */
typedef struct weft_bind {
    weft_buf *buf;
    uint64_t offset;
} weft_bind; /* FROZEN */

typedef struct weft_run {
    uint32_t struct_size, n_binds;
    int64_t batch;
    const weft_bind *binds; /* step by step: inputs, then outputs; absent ones have buf NULL */
    uint64_t generation;    /* the same number as in the last run: batch and binds are the same */
    uint64_t *step_ns;      /* NULL, or one per step: device time; makes the run slower */
} weft_run;

typedef struct weft_support {    /* the answer to supports() */
    uint32_t struct_size, flags; /* WEFT_KERNEL_*: what the chosen kernel takes */
    char variant[64];            /* which kernel: "clblast", "max_pool.cl" */
    char why[192];               /* when the answer is no: the reason, for people */
} weft_support;

/* Threads: probe, info and open [load]; everything that takes a weft_dev: one thread at a time a
 * device handle; different handles, also of one device, at once. */
typedef struct weft_backend {
    uint32_t struct_size, flags;
    const char *id;                /* "cpu", "opencl" */
    const char *const *kernel_ids; /* kernels it runs: { WEFT_KERNEL_OPENCL, NULL } */
    const char *doc;
    /* cheap; 0 devices with a reason in why is a normal answer ("no OpenCL platform is installed")
     */
    weft_status (*probe)(const weft_host *, uint32_t *n_dev, char *why, size_t why_size);
    weft_status (*info)(const weft_host *, uint32_t dev, weft_dev_info *);
    weft_status (*open)(const weft_host *, uint32_t dev, const char *options, weft_dev **);
    void (*close)(weft_dev *);
    /* memory: in the order of the device's queue. read() returns when the data has arrived; write()
     * may return before the device has it, but the source may be changed after the return. */
    weft_status (*alloc)(weft_dev *, uint64_t bytes, weft_buf **);
    void (*release)(weft_dev *, weft_buf *);
    weft_status (*write)(weft_dev *, weft_buf *, uint64_t offset, const void *, uint64_t bytes);
    weft_status (*read)(weft_dev *, weft_buf *, uint64_t offset, void *, uint64_t bytes);
    /* a buffer over the caller's memory, for backends whose kernels can use it directly; NULL =
     * cannot */
    weft_status (*wrap)(weft_dev *, void *memory, uint64_t bytes, weft_buf **);
    weft_status (*finish)(weft_dev *); /* waits; late errors of kernels surface here */
    /* work: 1 = yes, 0 = no and why is filled; the step may be dropped after the call */
    int (*supports)(weft_dev *, const weft_step *, weft_support *);
    weft_status (*compile)(weft_dev *, const weft_step *const *, uint32_t n, weft_exe **);
    weft_status (*run)(weft_dev *, weft_exe *, const weft_run *); /* enqueues, does not wait */
    void (*release_exe)(weft_dev *, weft_exe *);
    uint64_t (*builds)(
        weft_dev *); /* programs compiled so far through this handle, for tests; may be NULL */
    const void *(*extension)(weft_dev *, const char *id); /* may be NULL */
    const weft_ext
        *services; /* what host->extension finds for all plugins; ends with {0}, or NULL */
} weft_backend;

#ifdef __cplusplus
}
#endif
#endif
