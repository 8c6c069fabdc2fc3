/* How steps become launches: symbolic index arithmetic, program text, recorded commands, the ops'
 * rows. */
#ifndef OCL_STEP_H
#define OCL_STEP_H
#include <weft/map.h>
#include "ocl.h"

/* Blocks of `size` > 0 that n >= 0 things fill, the last one perhaps in part. */
static inline int64_t ocl_blocks(int64_t n, int64_t size)
{
    return (n + size - 1) / size;
}

/* ---- sizes that may depend on the batch: -c is c * batch ---- */
int64_t ocl_at(int64_t symbol, int64_t batch);
int ocl_symbol_mul(int64_t a, int64_t b, int64_t *product); /* 0: no such symbol */
void ocl_symbol_text(ocl_text *text, int64_t symbol);       /* "(3)", "(2*batch)" */

/* Loops over up to 8 dimensions, with the strides of n tensors along them. */
enum { OCL_NEST_MAX = WEFT_MAP_MAX_INPUTS + 1 };
typedef struct ocl_nest {
    uint32_t rank, n;
    int64_t dim[WEFT_MAX_RANK], stride[OCL_NEST_MAX][WEFT_MAX_RANK];
} ocl_nest;
/* The loops of one operand along some of its axes, in that order, merged. */
void ocl_nest_axes(ocl_nest *nest, const weft_operand *operand, const int32_t *axes, uint32_t n);
/* The same along the axes from .. to - 1; none: a nest of rank 0. */
void ocl_nest_range(ocl_nest *nest, const weft_operand *operand, int32_t from, int32_t to);
/* Operand broadcast to dims (numpy's rule), as tensor number nest->n++. */
void ocl_nest_add(ocl_nest *nest, const weft_operand *operand);
/* Drops dimensions of 1 and joins neighbours that all tensors walk as one. */
void ocl_nest_merge(ocl_nest *nest);
/* The element that row-major index var of the first `rank` loops means in tensor k, as OpenCL C. */
void ocl_nest_index(ocl_text *text, const ocl_nest *nest, uint32_t rank, uint32_t k,
                    const char *var);

/* ---- program text ---- */
const char *ocl_type_name(weft_dtype dtype); /* NULL: not a type of kernels */
size_t ocl_type_size(weft_dtype dtype);
typedef struct ocl_source {
    weft_dev *dev;
    const weft_step *step;
    const weft_cl_kernel *kernel;
    const char *file, *body; /* macros that body does not mention are left out; NULL: none are */
    weft_dtype raw;          /* of result 0 before `then` */
    ocl_text *text;
} ocl_source;
weft_status ocl_source_prelude(ocl_source *s);
/* Macros of the device for kernels of products and convolutions: lanes and rows, or tiles. */
void ocl_source_units(ocl_text *text, const weft_dev *dev, int f64);
int ocl_source_wants(const ocl_source *s, const char *name);
/* "__global const float *restrict in0, ulong in0_offset" of all that are present; "" if there are
 * none. */
void ocl_source_arguments(ocl_source *s);
/* #define NAME(x): where index x of a group of axes lies: x * arg if one stride does it, else in
 * full. */
void ocl_source_group(ocl_source *s, const char *name, const ocl_nest *group, const char *arg);
/* The stride that the kernel argument `arg` must have. */
int64_t ocl_group_stride(const ocl_nest *group, int64_t batch);
/* #define THEN_AT(v, p0, p1 ..): the epilogue at index p0 of the first group of result axes, p1 of
 * the next .. */
typedef struct ocl_axes {
    uint32_t n;
    int32_t axis[WEFT_MAX_RANK];
} ocl_axes;
void ocl_source_then_at(ocl_source *s, const ocl_axes *groups, uint32_t n);
const char *ocl_then(const weft_step *step); /* NULL: none */

weft_status ocl_map_parse(weft_dev *dev, const char *path, const char *expr, const weft_dtype *in,
                          uint32_t n, weft_dtype want, weft_map_program **program);
void ocl_map_release(weft_dev *dev, weft_map_program **program);
/* The library of functions, and static T name(T0 x0, T1 x1 ...). f64: the program has float64
 * already. */
void ocl_map_function(ocl_text *text, const weft_map_program *program, const char *name, int f64);
int ocl_map_f64(const weft_map_program *program); /* some value is float64 */

/* ---- commands ---- */
typedef struct ocl_arg {
    uint32_t index, slot;
    uint64_t offset, size; /* elements; bytes of one */
} ocl_arg;
typedef struct ocl_cmd {
    uint32_t step, first_arg, n_args, reserved;
    cl_program program;
    cl_kernel kernel; /* NULL: a gemm by CLBlast, args a, b, c */
    char name[64];
    size_t global[3], local[3];
    weft_gemm gemm;
} ocl_cmd;
enum { OCL_SLOT_SCRATCH, OCL_SLOT_WORK, OCL_SLOT_ERRORS, OCL_SLOTS }; /* then the binds */

typedef struct ocl_op ocl_op;
typedef struct ocl_call {  /* what kernels see as weft_kernel_call */
    weft_kernel_call base; /* first */
    weft_dev *dev;
    const weft_step *step;
    weft_exe *exe; /* NULL in supports() */
    const weft_cl_kernel *kernel;
    const ocl_op *op; /* NULL: a plugin's kernel */
    cl_program program;
    uint32_t number, first_slot;
    int f64;                /* REAL is double */
    weft_view *view;        /* inputs, then outputs */
    const weft_view *table; /* of ocl_errors() */
    const weft_view **list;
    int64_t *numbers;
} ocl_call;

struct weft_exe {
    weft_dev *dev;
    ocl_call *call;
    uint32_t n_steps, n_binds;
    ocl_cmd *cmd;
    uint32_t n_cmd, cap_cmd;
    ocl_arg *arg;
    uint32_t n_arg, cap_arg;
    ocl_cmd *old;
    uint32_t n_old; /* while recording again: kernels to take over */
    int64_t batch;
    uint64_t generation;
    int recorded, bound, checks, ran;
    int far; /* tensors lie beyond what CLBlast counts */
    cl_mem mem[OCL_SLOTS];
    uint64_t mem_size[OCL_SLOTS], want[OCL_SLOTS];
    uint32_t wants[OCL_SLOTS]; /* the step that wants so much */
    char *tokens;              /* view.data of slot i is tokens + i */
    weft_exe *next;            /* in weft_dev.checked */
};

weft_status ocl_call_init(ocl_call *call, weft_dev *dev, const weft_step *step);
void ocl_call_finish(ocl_call *call);
void ocl_call_fill(ocl_call *call, int64_t batch); /* batch < 0: leave symbols */
/* The kernel for call->step; 0 and why if there is none. */
int ocl_choose(ocl_call *call, char *why, size_t why_size);
int ocl_step_f64(const weft_step *step);     /* REAL is double: not for `then` alone */
int ocl_step_any_f64(const weft_step *step); /* some operand is float64 */
int ocl_param(const weft_cl_kernel *kernel, const char *name, int64_t *value);

weft_status ocl_record(weft_exe *exe, int64_t batch);
weft_status ocl_record_launch(ocl_call *call, cl_program program, const weft_cl_launch *launch);
weft_status ocl_record_clblast(ocl_call *call, const weft_gemm *gemm);
/* A view of n elements in memory that this step alone uses while it runs, `offset` bytes in. */
weft_view ocl_work(ocl_call *call, weft_dtype dtype, uint64_t offset, uint64_t n);
/* int[4] of the index checks; table: what is indexed along the op's axis, a view of the call. */
weft_view ocl_errors(ocl_call *call, const weft_view *table);
extern const weft_cl ocl_services;
/* Whether CLBlast's kernels can count to where the matrices lie. */
int ocl_clblast_reaches(const weft_gemm *g, const uint64_t *offset);
weft_status ocl_clblast_run(weft_dev *dev, const weft_step *step, const weft_gemm *g,
                            const cl_mem *mem, const uint64_t *offset, cl_command_queue queue);

int ocl_supports(weft_dev *dev, const weft_step *step, weft_support *support);
weft_status ocl_compile(weft_dev *dev, const weft_step *const *steps, uint32_t n, weft_exe **exe);
weft_status ocl_run(weft_dev *dev, weft_exe *exe, const weft_run *run);
void ocl_release_exe(weft_dev *dev, weft_exe *exe);
weft_status ocl_check_indices(weft_dev *dev); /* after the queue is done */

/* ---- the core's ops ---- */
/* Flags of a kernel that takes views of any strides, and makes them. */
enum {
    OCL_ANY_LAYOUT = WEFT_KERNEL_IN_STRIDED | WEFT_KERNEL_OUT_STRIDED | WEFT_KERNEL_IN_PITCHED |
                     WEFT_KERNEL_OUT_PITCHED
};
struct ocl_op {
    const char *name, *file;     /* "reduce", "reduce.cl" */
    const unsigned char *source; /* NULL: write() writes it all, or nothing is to be compiled */
    int moves_bits;              /* takes every dtype of 1, 2, 4 or 8 bytes */
    weft_cl_kernel kernel;
    weft_dtype (*raw)(const weft_step *step);       /* of result 0 before `then`; NULL: REAL */
    weft_status (*write)(ocl_source *s);            /* after the prelude; may be NULL */
    const ocl_op *(*refine)(const weft_step *step); /* a row for special shapes, or NULL */
};
const ocl_op *ocl_op_find(const char *name);
extern const ocl_op ocl_op_map, ocl_op_matmul, ocl_op_conv, ocl_op_reduce, ocl_op_softmax,
    ocl_op_log_softmax, ocl_op_gather, ocl_op_count, ocl_op_copy, ocl_op_pad, ocl_op_reverse,
    ocl_op_scatter_add, ocl_op_random, ocl_op_adam_update, ocl_op_sgd_update,
    ocl_op_conv_input_grad, ocl_op_conv_filter_grad;
/* A batch of products with any strides; matrix z at z * a_sz unless the program says otherwise. */
typedef struct ocl_product {
    cl_program program; /* gemm.cl behind its macros */
    weft_view a, b, c;
    const weft_view *const *extra;
    uint32_t n_extra;
    int64_t m, n, k, z, a_rs, a_cs, b_rs, b_cs, c_rs, c_cs, a_sz, b_sz, c_sz;
    double alpha, beta;
    int f64, then; /* then: the program has an epilogue */
} ocl_product;
weft_status ocl_product_record(ocl_call *call, const ocl_product *p);
weft_status ocl_gemm_plain(ocl_call *call, int f64, cl_program *program);
uint32_t ocl_lanes(const weft_dev *dev, int f64); /* of a vector: 4, 8 or 16 */
uint32_t ocl_rows(const weft_dev *dev);
/* GPUs: groups of 16 x 16, and memory for the largest tiles of gemm.cl, conv.cl and
 * conv_filter_grad.cl (18 KB: 64 x 64 in float64). */
int ocl_has_tiles(const weft_dev *dev);
int ocl_pack_pays(int64_t m, int64_t k, int64_t stride);
/* c = alpha a b + beta c by whatever gemm the device has, and fills and copies, of any dtype and
 * strides. */
weft_status ocl_gemm(ocl_call *call, const weft_gemm *gemm);
weft_status ocl_fill(ocl_call *call, const weft_view *dst, double value);
weft_status ocl_copy(ocl_call *call, const weft_view *dst, const weft_view *src);
int64_t ocl_attr_list(const weft_step *step, const char *name, int64_t *values, uint32_t n,
                      int64_t def);
#endif
