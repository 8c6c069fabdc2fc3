/* What the files of the cpu backend share: the device, the node (one step made ready), the row of
 * the kernel table, and the services that kernels are written with: nests, copies, jobs, threads,
 * gemm. */
#ifndef WEFT_CPU_H
#define WEFT_CPU_H
#include <weft/backend.h>
#include <weft/gemm.h>
#include <weft/map.h>

#define CPU_BLOCK 1024                   /* elements that are worked on while they are in cache */
#define CPU_BLOCK_BYTES (CPU_BLOCK * 8u) /* of the largest dtype */
#define CPU_MAX_OPERANDS (WEFT_MAP_MAX_INPUTS + 2)

struct weft_dev {
    const weft_host *host;
    const weft_map_api *map; /* NULL: the host has no expressions */
    uint32_t threads, reserved;
};

struct weft_buf {
    char *data; /* lies behind this struct, or is the caller's */
    uint64_t bytes;
};

/* One step: its operands as views for a batch, and the kernel chosen for it. */
typedef struct cpu_node {
    weft_kernel_call call; /* first: a kernel is handed &call */
    weft_dev *dev;
    const weft_step *step;
    const weft_cpu_kernel *kernel;
    const char *then;           /* NULL = none */
    weft_map_program *program;  /* of `map`, or of `then`; NULL = none */
    weft_view *views;           /* n_in inputs, n_out outputs */
    const weft_view **pointers; /* what call.in and call.out point into */
    int64_t *dims;              /* WEFT_MAX_RANK dims and strides a view */
} cpu_node;

/* A core op's row in the table of step.c. */
typedef struct cpu_kernel {
    const char *op;
    weft_cpu_kernel kernel;
    weft_status (*prepare)(cpu_node *); /* once, at compile: parses expressions; NULL = nothing */
} cpu_kernel;

extern const cpu_kernel cpu_map, cpu_reduce, cpu_matmul, cpu_conv, cpu_reshape, cpu_transpose,
    cpu_slice, cpu_pad, cpu_concat, cpu_broadcast, cpu_reverse, cpu_copy, cpu_gather, cpu_softmax,
    cpu_log_softmax, cpu_count, cpu_scatter_add, cpu_random, cpu_adam_update, cpu_sgd_update,
    cpu_conv_input_grad, cpu_conv_filter_grad;
enum {
    CPU_ANY_LAYOUT = WEFT_KERNEL_IN_PITCHED | WEFT_KERNEL_IN_STRIDED | WEFT_KERNEL_OUT_PITCHED |
                     WEFT_KERNEL_OUT_STRIDED
};

static inline const cpu_node *cpu_node_of(const weft_kernel_call *call)
{
    return (const cpu_node *)(const void *)call;
}

/* ---- memory.c ---- */
weft_status cpu_alloc(weft_dev *dev, uint64_t bytes, weft_buf **res);
void cpu_release(weft_dev *dev, weft_buf *buf);
weft_status cpu_write(weft_dev *dev, weft_buf *buf, uint64_t at, const void *src, uint64_t bytes);
weft_status cpu_read(weft_dev *dev, weft_buf *buf, uint64_t at, void *dst, uint64_t bytes);
weft_status cpu_wrap(weft_dev *dev, void *memory, uint64_t bytes, weft_buf **res);

/* ---- step.c ---- */
weft_status cpu_node_create(weft_dev *dev, const weft_step *step, cpu_node **res);
void cpu_node_destroy(cpu_node **node);
/* Dims and strides for a batch, or symbolic as the step gives them; where the operands lie: inputs,
 * then outputs. */
void cpu_node_place(cpu_node *node, int64_t batch);
void cpu_node_bind(cpu_node *node, const weft_bind *binds);
void cpu_node_symbolic(cpu_node *node);
/* Sets node->kernel; NULL and why when nothing runs the step. No row: a plugin's kernel. */
const cpu_kernel *cpu_choose(cpu_node *node, weft_support *support);
int cpu_supports(weft_dev *dev, const weft_step *step, weft_support *support);

/* ---- exe.c ---- */
weft_status cpu_compile(weft_dev *dev, const weft_step *const *steps, uint32_t n, weft_exe **res);
weft_status cpu_run(weft_dev *dev, weft_exe *exe, const weft_run *run);
void cpu_release_exe(weft_dev *dev, weft_exe *exe);

/* ---- text.c: names of things, messages ---- */
size_t cpu_dtype_size(weft_dtype dtype); /* 0 = unknown */
const char *cpu_dtype_name(weft_dtype dtype);
int cpu_dtype_float(weft_dtype dtype);                       /* f32 or f64 */
int cpu_no(char *why, size_t size, const char *format, ...); /* writes why, returns 0 */
/* Records the failure with the step's path in front; returns the status. */
weft_status cpu_fail(const weft_kernel_call *call, weft_status status, const char *format, ...);
/* A list attribute padded to n with `fill`; 1 when it was given. */
int cpu_attr_list(const weft_kernel_call *call, const char *name, int64_t *list, uint32_t n,
                  int64_t fill);
/* Both 1 when so, else 0 and why. */
int cpu_same_dtype(const weft_kernel_call *call, uint32_t n_in, char *why, size_t size);
int cpu_no_half(const weft_kernel_call *call, char *why, size_t size);

/* ---- threads.c: the one place with OpenMP, and the peace between it and BLAS ---- */
typedef void cpu_task(void *user, uint64_t task, uint32_t thread);
/* Threads worth starting for so many simple operations: 1 .. the device's. */
uint32_t cpu_threads(const weft_kernel_call *call, uint64_t work);
/* Runs task 0 .. n-1; `thread` < threads. What a task computes must not depend on `thread`. */
void cpu_parallel(uint32_t threads, uint64_t n, cpu_task *task, void *user);
uint32_t cpu_processors(void);
/* While any run is between the two, BLAS calls stay in the thread that makes them. */
void cpu_blas_enter(void);
void cpu_blas_leave(void);

/* ---- blas.c ---- */
/* The kernel set that would be faster on this processor than OpenBLAS's choice; NULL = none. */
const char *cpu_blas_better(void);
void cpu_blas_describe(char *text, size_t size); /* "OpenBLAS 0.3.21, Haswell kernels" */
void cpu_blas_warn(const weft_host *host);       /* once a process, where there are faster ones */

/* ---- nest.c: operands over one row-major index space ---- */
typedef struct cpu_nest {
    int32_t rank;
    uint32_t n; /* operands */
    uint64_t count;
    int64_t dim[WEFT_MAX_RANK], stride[CPU_MAX_OPERANDS][WEFT_MAX_RANK];
} cpu_nest;
void cpu_nest_init(cpu_nest *nest, int32_t rank, const int64_t *dim);
void cpu_nest_add(cpu_nest *nest, const int64_t *stride);
void cpu_nest_add_view(cpu_nest *nest, const weft_view *view); /* broadcast, right-aligned */
/* Drops dims of 1 and merges what is contiguous for all operands; the flat order stays. */
void cpu_nest_collapse(cpu_nest *nest);
int64_t cpu_nest_offset(const cpu_nest *nest, uint32_t operand, uint64_t flat); /* in elements */

/* n elements from `first` on of one operand, in flat order; size: bytes of an element. */
typedef struct cpu_span {
    const cpu_nest *nest;
    uint32_t operand, size;
    uint64_t first, n;
} cpu_span;
const void *cpu_span_direct(const cpu_span *span, const void *base); /* NULL: not contiguous */
/* Where the span lies, or its copy in temp. */
const void *cpu_span_load(const cpu_span *span, const void *base, void *temp);
void cpu_span_store(const cpu_span *span, void *base, const void *src);

/* ---- box.c: the one strided copy ---- */
typedef struct cpu_box { /* dst and src overlap nowhere, or are the same places */
    void *dst;
    const void *src;
    size_t size;
    int32_t rank, reserved;
    int64_t dim[WEFT_MAX_RANK], dst_stride[WEFT_MAX_RANK], src_stride[WEFT_MAX_RANK];
} cpu_box;
void cpu_box_copy(const weft_kernel_call *call, cpu_box *box); /* the box is used up */
/* A box over all of dst, its src strides 0. */
cpu_box cpu_box_of(const weft_view *dst, const void *src);
void cpu_dense_strides(int32_t rank, const int64_t *dim, int64_t *stride);

/* ---- map.c: an expression placed over an output ---- */
typedef struct cpu_job {
    const weft_map_api *api;
    const weft_map_program *program; /* NULL: the linear input is only stored */
    cpu_nest nest;                   /* operand 0: the output; 1 + k: input k */
    void *out;
    const void *in[WEFT_MAP_MAX_INPUTS];
    uint32_t size[CPU_MAX_OPERANDS]; /* of elements, by operand */
    uint32_t n_in, linear, aliased;  /* linear: input 0 comes with each range, dense */
} cpu_job;
size_t cpu_job_temp(uint32_t n_in); /* bytes that a thread needs for ranges */
/* Elements [first, first + n) of the output. */
void cpu_job_range(const cpu_job *job, const void *linear, uint64_t first, uint64_t n, void *temp);
void cpu_job_begin(cpu_job *job, const weft_kernel_call *call, weft_dtype linear);
void cpu_job_input(cpu_job *job, const weft_view *view);
void cpu_job_end(cpu_job *job);

/* ---- epilogue.c: `then` ---- */
weft_status cpu_then_prepare(cpu_node *node, weft_dtype result);
int cpu_then_supports(const weft_kernel_call *call, weft_dtype result, char *why, size_t size);
/* A job whose linear input is the op's result: `then` if there is one, else a plain store. */
void cpu_then_job(cpu_job *job, const weft_kernel_call *call, weft_dtype result);

/* ---- gemm.c: one thread, row major; any a or b with one unit stride ---- */
typedef struct cpu_gemm {
    weft_dtype dtype;
    int64_t m, n, k;
    const void *a, *b;
    int64_t a_row, a_col, b_row, b_col; /* strides */
    void *c;
    int64_t ldc;
    int add; /* c += a b */
} cpu_gemm;
int cpu_gemm_takes(int64_t rows, int64_t cols, int64_t row_stride, int64_t col_stride);
void cpu_gemm_run(const cpu_gemm *gemm); /* c = a b, or c += a b */
extern const weft_gemm_api cpu_gemm_api; /* the same for kernels of plugins */
#endif
