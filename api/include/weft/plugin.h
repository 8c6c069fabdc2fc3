/* weft/plugin.h - the one header that a layer or op plugin is built against.
 * C99, no library: a plugin imports no host symbol; everything comes through function tables.
 * ABI rules R1..R9 are at the end; tests/headers pins the layout of every struct. */
#ifndef WEFT_PLUGIN_H
#define WEFT_PLUGIN_H
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#ifdef __cplusplus
extern "C" {
#endif

#define WEFT_ABI_MAJOR 1       /* changes => new symbol name, new plugin directory   */
#define WEFT_ABI_MINOR 0       /* grows when a field or a table entry is appended    */
#define WEFT_MAGIC 0x31544657u /* "WFT1" */
#define WEFT_MAX_RANK 8
#define WEFT_BATCH (-1)    /* a dimension -c means c times the batch              */
#define WEFT_ANY INT64_MIN /* a dimension that is known only when the model runs  */

/* Is FIELD inside the struct the other side was compiled with, and set? (R1) */
#define WEFT_HAS(p, field)                                                                \
    ((size_t)((const char *)(&(p)->field + 1) - (const char *)(p)) <= (p)->struct_size && \
     (p)->field)

#if defined(_WIN32)
#define WEFT_EXPORT __declspec(dllexport)
#else
#define WEFT_EXPORT __attribute__((visibility("default")))
#endif

typedef int32_t weft_status; /* fixed width, never a C enum type (R5) */
enum {
    WEFT_OK = 0,
    WEFT_E_ARG,
    WEFT_E_SHAPE,
    WEFT_E_DTYPE,
    WEFT_E_ATTR,
    WEFT_E_UNSUPPORTED,
    WEFT_E_NOMEM,
    WEFT_E_DEVICE,
    WEFT_E_ABI,
    WEFT_E_IO,
    WEFT_E_NOTFOUND,
    WEFT_E_UNTRUSTED,
    WEFT_E_INTERNAL
};
typedef int32_t weft_dtype;
enum { WEFT_F32 = 1, WEFT_F64, WEFT_F16, WEFT_BF16, WEFT_I32, WEFT_I64, WEFT_U8, WEFT_BOOL };
typedef int32_t weft_log_level;
enum { WEFT_LOG_DEBUG, WEFT_LOG_INFO, WEFT_LOG_WARN, WEFT_LOG_ERROR };

/* A value while a graph is built: good until the function that was handed the builder returns. 0 =
 * "failed already". */
typedef uint32_t weft_val;
#define WEFT_NONE UINT32_MAX /* absent: an optional input, no incoming gradient, no mask */
typedef struct weft_spec {   /* FROZEN (R2): shape and type of one tensor */
    weft_dtype dtype;
    int32_t rank;
    int64_t dim[WEFT_MAX_RANK];
} weft_spec;
typedef struct weft_ext {
    const char *id;
    const void *data;
} weft_ext; /* FROZEN, ends with {0} */

/* ---- host services -----------------------------------------------------------------------
 * alloc: not zeroed, align a power of two; NULL after a failure, which is recorded; release takes
 * NULL. parallel_for: fn over [0, n) in pieces of at least grain elements, on several threads or on
 * the caller's alone, in any order; returns when all are done. What fn fails with counts as the
 * caller's failure. extension: WEFT_MAP_ID, WEFT_GEMM_ID; NULL if there is none of that id. */
typedef struct weft_host {
    uint32_t struct_size, abi_minor;
    const char *name, *version;
    void (*log)(const struct weft_host *, weft_log_level, const char *msg); /* [any-thread] */
    weft_status (*fail)(const struct weft_host *, weft_status,
                        const char *msg); /* [any-thread] records, returns the status */
    const char *(*setting)(const struct weft_host *,
                           const char *name); /* [any-thread] never getenv in a module */
    void *(*alloc)(const struct weft_host *, size_t bytes, size_t align);      /* [any-thread] */
    void (*release)(const struct weft_host *, void *);                         /* [any-thread] */
    void (*parallel_for)(const struct weft_host *, uint64_t n, uint64_t grain, /* [kernel] */
                         void (*fn)(void *user, uint64_t begin, uint64_t end), void *user);
    const void *(*extension)(const struct weft_host *, const char *id); /* [any-thread] */
} weft_host;

/* ---- attributes: a schema in data; the host parses, checks, serialises, prints it ---------
 * Text: name=value, separated by blanks; a value is 3, 0.5, true, none, a word, "a string", (1,2,3)
 * or Name(attributes). INTS, FLOATS, STRINGS are flat lists. Unknown names are refused. */
typedef int32_t weft_attr_type;
enum {
    WEFT_INT = 1,
    WEFT_FLOAT,
    WEFT_FLAG,
    WEFT_STRING,
    WEFT_INTS,
    WEFT_FLOATS,
    WEFT_STRINGS,
    WEFT_LAYER_CONFIG
};
enum { WEFT_NULLABLE = 1 }; /* weft_attr.flags: `none` is allowed */
typedef struct weft_attr {  /* FROZEN, ends with {0} */
    const char *name;
    weft_attr_type type;
    int32_t flags;
    const char *def;   /* default as text; NULL = the user must give it   */
    const char *range; /* "1..", "0..1", "same|valid|causal"; NULL = any  */
    const char *doc;
} weft_attr;

/* ---- building a graph: what a layer's build(), an op's lower() and gradient() are handed --- */
typedef struct weft_build weft_build;
enum { WEFT_SCAN_REVERSE = 1 }; /* weft_scan.flags: from the last step to the first */
/* A loop over one axis; the body is traced once; differentiable. At least one x; all have the same
 * number of steps, which is no multiple of the batch. The body sets every carry_out (of its carry's
 * spec) and every y, which gets the axis back. It may read any value of its surroundings; they may
 * read nothing of it. In it out(), set_mask(), assign(), random() and add_loss() fail. */
typedef struct weft_scan {
    uint32_t struct_size, flags;
    int32_t axis; /* of xs, whose steps it takes one by one, and of ys */
    uint32_t n_carry, n_x, n_y;
    const weft_val *carry0, *xs;
    void (*body)(weft_build *, void *user, const weft_val *carry, const weft_val *x,
                 weft_val *carry_out, weft_val *y);
    void *user;
    weft_val *carry_end, *ys; /* results */
} weft_scan;
/* Flags of a variable. TRAINABLE: the optimizer changes it; alone. STATE: the layer does, by
 * assign(). TRANSIENT: model files do not hold it, as what a stateful layer keeps from batch to
 * batch; such ones are made last. 0: nothing changes it but the user. */
enum { WEFT_TRAINABLE = 1, WEFT_STATE = 2, WEFT_TRANSIENT = 4 };
/* Errors are sticky: the first failure is kept with its text, after it every call does nothing and
 * gives 0 or that status, and the host returns it whatever the plugin's function returns. What is
 * handed in (texts, specs, data, arrays) is copied or read before the call returns; texts that are
 * absent are NULL. infer() may call n_in, in, spec, attr_*() and fail() alone; layers alone may
 * call layer() and variable() to set_mask(). */
typedef struct weft_build_api {
    uint32_t struct_size, reserved;
    weft_val (*in)(weft_build *, uint32_t i); /* WEFT_NONE: an optional one that is absent */
    uint32_t (*n_in)(weft_build *); /* of an op that names its inputs: all, absent ones too */
    weft_status (*out)(weft_build *, uint32_t i, weft_val); /* result i, from 0 on */
    /* op: an op, a function of `map` ("tanh", "add") or a cast ("f32"), by name. outs (may be NULL,
     * 0) are the first n_outs results, WEFT_NONE for those that the op does not have; returns
     * result 0, also without outs. */
    weft_val (*op)(weft_build *, const char *op, const char *attrs, const weft_val *args,
                   uint32_t n, weft_val *outs, uint32_t n_outs);
    /* A layer inside this one, as op(). layer_class: "Dense", or what attr_s gives of a
     * LAYER_CONFIG, "LeakyReLU(negative_slope=0.1)". name: its variables are name/kernel ..; the
     * same name again is the same layer; NULL: a new name. */
    weft_val (*layer)(weft_build *, const char *layer_class, const char *name, const char *attrs,
                      const weft_val *args, uint32_t n, weft_val *outs, uint32_t n_outs);
    /* A variable of the layer, whose dimensions are numbers: made at the layer's first call, found
     * by its name (no "/") later; spec and flags must be the same each time. initializer: "zeros"
     * (NULL too), "glorot_uniform", "constant(value=0.5)" ..: a name, or a name with attributes, as
     * in Keras. The handle is the value that the variable has there: after assign(), the new
     * one. */
    weft_val (*variable)(weft_build *, const char *name, const weft_spec *, const char *initializer,
                         uint32_t flags);
    /* The new value of a variable (what variable() gave), of its spec, stored at the end of the
     * run: moving statistics, RNN state ..; a later call of a shared layer reads it. */
    weft_status (*assign)(weft_build *, weft_val variable, weft_val);
    int (*training)(weft_build *);  /* 1: a graph for training; 0: for inference */
    int (*trainable)(weft_build *); /* 0: the layer is frozen */
    /* a stream of random numbers of this call site: its key and the model's step, the two inputs of
     * op random; weft_random() does both. The key is of the layer's attribute `seed` if it has one
     * and it is a number, else of the model's seed and the layer's path */
    weft_status (*random)(weft_build *, weft_val stream[2]);
    weft_status (*add_loss)(weft_build *,
                            weft_val); /* a scalar, part of the loss; in inference too */
    /* Masks of Keras: bool, false where a step does not count; WEFT_NONE if input i has none.
     * Result `out` gets one; WEFT_NONE sets nothing. Their shape is between the layers, the host
     * checks none. */
    weft_val (*mask)(weft_build *, uint32_t i);
    weft_status (*set_mask)(weft_build *, uint32_t out, weft_val);
    /* Data: dense, row-major; dimensions are numbers. One of rank 0, whatever its dtype, takes that
     * of the other operands in expressions, unless theirs is of a lower kind (x * 0.5 keeps a float
     * x's); elsewhere it keeps its own, but f64 becomes f32. */
    weft_val (*constant)(weft_build *, const weft_spec *, const void *data);
    weft_status (*spec)(weft_build *, weft_val, weft_spec *result); /* of WEFT_NONE: an error */
    /* Attributes by a name of the schema; another name is an error. attr_i: INT, FLAG (0 or 1);
     * attr_f: FLOAT; `none` is 0, and an empty list. */
    int64_t (*attr_i)(weft_build *, const char *);
    double (*attr_f)(weft_build *, const char *);
    /* any type as canonical text, NULL for none; lives until the function that was handed the
     * builder returns */
    const char *(*attr_s)(weft_build *, const char *);
    /* INTS, FLOATS: returns how many there are, writes at most cap */
    uint32_t (*attr_v)(weft_build *, const char *, int64_t *values, uint32_t cap);
    uint32_t (*attr_fv)(weft_build *, const char *, double *values, uint32_t cap);
    /* msg says what is wrong, with the values, and what to do; layer and op are put in front of it
     * */
    weft_status (*fail)(weft_build *, weft_status, const char *msg);
    weft_status (*scan)(weft_build *, const weft_scan *);
    /* in gradient() only: inputs are in(), results of the forward op fwd(), incoming gradients
     * dout() or WEFT_NONE (never all of them). out(i) is the gradient of input i, of its spec; an
     * input without has none. */
    weft_val (*fwd)(weft_build *, uint32_t i);
    weft_val (*dout)(weft_build *, uint32_t i);
    const void *(*extension)(weft_build *, const char *id);
} weft_build_api;
struct weft_build { /* FROZEN; the host keeps more behind it */
    const weft_build_api *api;
};

/* ---- kernels: how one backend kind runs one op ---------------------------------------------
 * A view is where a tensor lies. Strides count elements and are the truth. Dense: row-major without
 * gaps. Pitched: `outer` dense rows of `inner` elements, `pitch` elements from row to row (a dense
 * view has outer 1, inner == pitch == count). Strided: anything else (stride 0 repeats). */
typedef int32_t weft_layout;
enum { WEFT_DENSE = 1, WEFT_PITCHED, WEFT_STRIDED };
typedef struct weft_view {
    uint32_t struct_size;
    weft_dtype dtype;
    int32_t rank;
    weft_layout layout;
    const int64_t *dim, *stride;
    uint64_t count; /* of elements; all numbers, the batch is known */
    uint64_t outer, inner, pitch;
    void *data; /* CPU: the first element. NULL: an output that nobody reads, and that need not be
                   written. OpenCL: stands for the buffer; views that a kernel makes of a part carry
                   it on, of scratch memory the call's scratch */
    uint64_t offset; /* OpenCL: of the first element, in elements, counted from where data starts */
} weft_view;
/* What supports(), scratch(), range(), run() and enqueue() are handed; valid until they return.
 * Inputs: the op's own, then n_extra that belong to `then`. An absent optional input is NULL. In
 * supports() data is NULL, and dimensions and strides are as in a weft_spec: -c is c batches.
 * scratch: scratch_size bytes, what scratch() asked for, aligned to 64, with anything in them; of
 * one run of one op. Attributes are read as in weft_build_api, but attr_s gives WEFT_STRING alone,
 * NULL for other types, and a name that the schema lacks is 0. extension: services by id, NULL for
 * those that the call has not (R8). */
typedef struct weft_kernel_call {
    uint32_t struct_size, n_in, n_out, n_extra;
    const weft_host *host;
    const weft_view *const *in, *const *out;
    void *scratch;
    size_t scratch_size;
    int64_t batch;
    const char *path; /* "encoder/dense_1", for messages */
    int64_t (*attr_i)(const struct weft_kernel_call *, const char *);
    double (*attr_f)(const struct weft_kernel_call *, const char *);
    const char *(*attr_s)(const struct weft_kernel_call *, const char *);
    uint32_t (*attr_v)(const struct weft_kernel_call *, const char *, int64_t *values,
                       uint32_t cap);
    uint32_t (*attr_fv)(const struct weft_kernel_call *, const char *, double *values,
                        uint32_t cap);
    /* "is_cpu", "compute_units"; of OpenCL devices "local_memory" in bytes, "max_group" in items,
     * "vector" in floats. 0 for facts that the backend does not know */
    int64_t (*device)(const struct weft_kernel_call *, const char *fact);
    int64_t (*param)(const struct weft_kernel_call *,
                     const char *); /* of `params`; 0 for others, and in cpu kernels */
    weft_status (*fail)(const struct weft_kernel_call *, weft_status, const char *msg);
    const void *(*extension)(const struct weft_kernel_call *, const char *id);
} weft_kernel_call;
/* What a kernel takes besides dense f32 inputs and outputs. A kernel that takes strided views takes
 * pitched ones. INPLACE: out 0 may lie exactly on one dense input of the same shape and dtype, an
 * extra one too. EPILOGUE: the op's attribute `then` is applied to out 0. F64: f64 too. ANY_DTYPE:
 * whatever the op's infer lets through. INPLACE_EACH: every output may lie on any input of the same
 * shape and dtype (no two on the same one): element i of all inputs is read before element i of any
 * output is written, and no other element of an input is needed for it. */
enum {
    WEFT_KERNEL_IN_PITCHED = 1,
    WEFT_KERNEL_OUT_PITCHED = 2,
    WEFT_KERNEL_IN_STRIDED = 4,
    WEFT_KERNEL_OUT_STRIDED = 8,
    WEFT_KERNEL_INPLACE = 16,
    WEFT_KERNEL_EPILOGUE = 32,
    WEFT_KERNEL_F64 = 64,
    WEFT_KERNEL_ANY_DTYPE = 128,
    WEFT_KERNEL_INPLACE_EACH = 256
};

#define WEFT_KERNEL_CPU "weft.kernel.cpu/1"
typedef struct weft_cpu_kernel {
    uint32_t struct_size, flags;
    int (*supports)(const weft_kernel_call *, char *why,
                    size_t why_size);            /* NULL = what flags say */
    size_t (*scratch)(const weft_kernel_call *); /* bytes; NULL = none */
    weft_status (*run)(const weft_kernel_call *);
} weft_cpu_kernel;

/* The services an OpenCL kernel gets, so that no plugin includes OpenCL headers. Each records one
 * command of the plan; none waits. */
typedef struct weft_cl_launch { /* arguments: (pointer, ulong offset) a view, long an int, REAL a
                                   scalar, long batch */
    uint32_t struct_size, n_views, n_ints, n_scalars;
    const char *kernel;
    size_t global[3], local[3]; /* local[0] 0: the backend chooses; global is rounded up to it; 0
                     anywhere in global: nothing runs; { n } is short for { n, 1, 1 } */
    const weft_view *const *views;
    const int64_t *ints;
    const double *scalars;
} weft_cl_launch;
typedef struct weft_gemm { /* c = alpha a b + beta c, row major, leading dimensions in elements */
    uint32_t struct_size;
    int32_t trans_a, trans_b, reserved;
    int64_t m, n, k, lda, ldb, ldc;
    double alpha, beta;
    const weft_view *a, *b, *c;
    int64_t a_offset, b_offset, c_offset; /* in elements, added to the views' own */
} weft_gemm;
typedef struct weft_cl {
    uint32_t struct_size, reserved;
    weft_status (*launch)(const weft_kernel_call *, const weft_cl_launch *);
    weft_status (*gemm)(const weft_kernel_call *, const weft_gemm *);
    /* Integers and bool take a value that they hold exactly: else WEFT_E_ARG. */
    weft_status (*fill)(const weft_kernel_call *, const weft_view *, double value);
    weft_status (*copy)(const weft_kernel_call *, const weft_view *dst, const weft_view *src);
} weft_cl;
/* OpenCL C 1.2. In front of the source the host puts, for every tensor T in IN0.. (the op's own
 * inputs) and OUT0..: T_RANK, T_N (count), T_D0.. (dimensions), T_S0.. (strides), T_TYPE, and
 * T_AT(i), where element i of the row-major order lies; T_ABSENT is defined when it is absent.
 * Sizes may depend on the run-time argument `batch`. Then REAL (float or double), REAL_MAX,
 * ATTR_<name> for number, flag and list (ATTR_<name>_0 ..) attributes, the parameters of `params`,
 * and THEN(v, i), the epilogue (v when there is none). A kernel with one launch is written
 *   __kernel void name(WEFT_ARGS)
 *   {
 *       size_t i = get_global_id(0);
 *       if (i < OUT0_N) OUT0(i) = f(IN0(i));
 *   }
 * WEFT_ARGS: in0, in0_offset .. out0, out0_offset .. (present ones), extras, batch. T(i) is element
 * i of the row-major order: IN0(i) is in0[in0_offset + IN0_AT(i)]. Kernels that enqueue() launches
 * with THEN in them declare its inputs by WEFT_EXTRAS ("extra0, extra0_offset ..," or nothing)
 * behind their own views, and are launched with the call's extra inputs there. WEFT_CPU is defined
 * on CPUs. */
#define WEFT_KERNEL_OPENCL "weft.kernel.opencl/1"
typedef struct weft_cl_kernel {
    uint32_t struct_size, flags;
    int (*supports)(const weft_kernel_call *, char *why, size_t why_size);
    size_t (*scratch)(const weft_kernel_call *);
    const char *source;           /* NUL-terminated OpenCL C */
    const char *kernel, *options; /* the one launch, or NULL; options for the compiler, or NULL */
    const char
        *params; /* "TILE=4|8|16 VEC=1|4": macros, also param(); the first value is the default */
    weft_status (*range)(const weft_kernel_call *, size_t global[3],
                         size_t local[3]); /* NULL = one item an element of out 0 */
    weft_status (*enqueue)(
        const weft_kernel_call *,
        const weft_cl *); /* or: records several launches, gemms ... once a batch size */
} weft_cl_kernel;

/* ---- an op: the unit of dispatch ------------------------------------------------------------ */
typedef struct weft_op_class {
    uint32_t struct_size, flags;
    const char *name; /* "max_pool"; third parties: "org.example.name"            */
    /* "x", "x, w, b?" (optional), "x..." (one or more). outputs: each is there always, also one
     * with "?", which only tells people that few want it; as many "y..." as there are inputs. */
    const char *inputs, *outputs;
    const weft_attr *attrs;
    /* Sets dtype, rank and dim of every output in outs, which is zeroed; -c and WEFT_ANY where
     * inputs have them; without what `then` does. NULL: specs follow from lower. */
    weft_status (*infer)(weft_build *, weft_spec *outs);
    /* The same meaning in other ops: out() of every output, of the spec that infer gave; WEFT_NONE
     * for one that nobody can read. */
    weft_status (*lower)(weft_build *);
    weft_status (*gradient)(weft_build *); /* NULL: by differentiating lower */
    const weft_ext
        *kernels; /* by backend kind; several of one kind are variants, first supported wins */
    /* problem lines for check and bench, NULL behind the last: "attributes : dtype dims, dtype
     * dims, ..", with dims joined by x, B the batch, 2B twice the batch, none for rank 0, "none" an
     * absent input, and for integers <n, values below n: "axis=1 : f32 Bx3x5, i32 2Bx7<3, f32" */
    const char *const *cases;
    const char *doc;
} weft_op_class;               /* at least one of lower and kernels, best both */
enum { WEFT_OP_EPILOGUE = 1 }; /* weft_op_class.flags: the host adds `then` to attrs */

/* ---- a layer: what users name ---------------------------------------------------------------- */
typedef struct weft_layer_class {
    uint32_t struct_size, flags;
    const char *name; /* "LSTM"; third parties: "org.example.Swish"              */
    /* version counts from 1 and is raised when attributes or variables get another meaning;
     * min_version (1 .. version): the oldest whose attributes and variables it still takes. For
     * formats that keep versions in their files; .keras files have none. */
    uint32_t version, min_version;
    const char *inputs,
        *outputs; /* as of ops; outputs with "?" behind the others may be left out */
    const weft_attr *attrs;
    weft_status (*build)(weft_build *); /* [build] the meaning; pure            */
    const weft_ext *ext;
    const char *const *cases;
    const char *doc;
} weft_layer_class;
enum {
    WEFT_LAYER_PASS_MASK = 1
}; /* weft_layer_class.flags: results take over the mask of input 0 */

struct weft_backend;         /* weft/backend.h */
struct weft_format;          /* weft/format.h: file formats, read and write */
typedef struct weft_plugin { /* the only exported symbol: const weft_plugin weft_plugin_v1 */
    uint32_t magic, struct_size, abi_major, abi_minor;
    const char *abi_tag, *name, *version, *author, *license, *url;
    /* "scan op/1.0": features without which it cannot work, each alone, with the major or with the
     * least minor version; "" or NULL: none. A library without one of them refuses the plugin.
     * Those of this library, all 1.0: abi (the structs and tables of these headers), op (the core's
     * ops and their attributes), map (expressions and their functions), initializer (names of
     * them), scan, gradient (training), random, mask, state (assign, transient variables), cpu, cl
     * (kernels). */
    const char *needs;
    weft_status (*init)(const weft_host *); /* NULL for most. [load] no threads, no OpenCL calls */
    const weft_op_class *const *ops;        /* these lists end with NULL */
    const weft_layer_class *const *layers;
    const struct weft_backend *const *backends;
    const struct weft_format *const *formats;
    const weft_ext *ext; /* what else it brings, by extension id; unknown ones are ignored (R8) */
} weft_plugin;

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define WEFT_ENDIAN "be"
#else
#define WEFT_ENDIAN "le"
#endif
#if UINTPTR_MAX > 0xffffffffu
#define WEFT_ABI_TAG "p64." WEFT_ENDIAN
#else
#define WEFT_ABI_TAG "p32." WEFT_ENDIAN
#endif
#define WEFT_PLUGIN_HEAD \
    WEFT_MAGIC, sizeof(weft_plugin), WEFT_ABI_MAJOR, WEFT_ABI_MINOR, WEFT_ABI_TAG
#ifdef WEFT_STATIC /* linked in: each plugin needs its own name */
#define WEFT_PLUGIN_SYM(n) weft_plugin_v1_##n
#else
#define WEFT_PLUGIN_SYM(n) weft_plugin_v1
#endif
#define WEFT_PLUGIN(n, ...)                                  \
    WEFT_EXPORT extern const weft_plugin WEFT_PLUGIN_SYM(n); \
    const weft_plugin WEFT_PLUGIN_SYM(n) = { WEFT_PLUGIN_HEAD, #n, __VA_ARGS__ }
#define WEFT_LAYER(n, ...) /* a plugin that is exactly one layer */                          \
    static const weft_layer_class n##_layer_ = { sizeof(weft_layer_class), 0, __VA_ARGS__ }; \
    static const weft_layer_class *const n##_layers_[] = { &n##_layer_, 0 };                 \
    WEFT_PLUGIN(n, .layers = n##_layers_)
#define WEFT_UNARY_LAYER(id, label, attributes, builder, text) /* one of several: x to y */ \
    const weft_layer_class id = {                                                           \
        .struct_size = sizeof id,                                                           \
        .name = label,                                                                      \
        .version = 1,                                                                       \
        .min_version = 1,                                                                   \
        .inputs = "x",                                                                      \
        .outputs = "y",                                                                     \
        .attrs = attributes,                                                                \
        .build = builder,                                                                   \
        .doc = text,                                                                        \
    }

/* ---- sugar: compiled into the plugin, no ABI ------------------------------------------------- */
#ifndef __cplusplus /* any op by name: weft_op_(b, "max_pool", "size=2,2", x) */
#define weft_op_(b, name, attrs, ...)                                \
    ((b)->api->op((b), (name), (attrs), (weft_val[]){ __VA_ARGS__ }, \
                  sizeof((weft_val[]){ __VA_ARGS__ }) / sizeof(weft_val), 0, 0))
#endif
static inline weft_val weft_op1(weft_build *b, const char *p, weft_val x)
{
    return b->api->op(b, p, 0, &x, 1, 0, 0);
}
static inline weft_val weft_op2(weft_build *b, const char *p, weft_val x, weft_val y)
{
    weft_val a[2];
    a[0] = x;
    a[1] = y;
    return b->api->op(b, p, 0, a, 2, 0, 0);
}
static inline weft_val weft_in(weft_build *b, uint32_t i)
{
    return b->api->in(b, i);
}
static inline weft_status weft_out(weft_build *b, uint32_t i, weft_val v)
{
    return b->api->out(b, i, v);
}
static inline weft_val weft_add(weft_build *b, weft_val x, weft_val y)
{
    return weft_op2(b, "add", x, y);
}
static inline weft_val weft_mul(weft_build *b, weft_val x, weft_val y)
{
    return weft_op2(b, "mul", x, y);
}
static inline weft_val weft_sigmoid(weft_build *b, weft_val x)
{
    return weft_op1(b, "sigmoid", x);
}
static inline weft_val weft_tanh(weft_build *b, weft_val x)
{
    return weft_op1(b, "tanh", x);
}
static inline weft_val weft_scalar(weft_build *b, double d)
{
    weft_spec s = { WEFT_F64, 0, { 0 } };
    return b->api->constant(b, &s, &d); /* rank 0: weakly typed */
}

/* New numbers in every run: weft_random(b, "dist=uniform shape=(-1,8)"). */
static inline weft_val weft_random(weft_build *b, const char *attrs)
{
    weft_val stream[2];
    if (b->api->random(b, stream)) return 0;
    return b->api->op(b, "random", attrs, stream, 2, 0, 0);
}
static inline weft_val weft_sub(weft_build *b, weft_val x, weft_val y)
{
    return weft_op2(b, "sub", x, y);
}
static inline weft_val weft_matmul(weft_build *b, weft_val x, weft_val y)
{
    return weft_op2(b, "matmul", x, y);
}
/* weft_opf(b, "reduce", x, "fn=%s axes=(%d)", "sum", 1): one input and formatted attributes. */
static inline weft_val weft_opf(weft_build *b, const char *op, weft_val x, const char *format, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return b->api->op(b, op, text, &x, 1, 0, 0);
}
/* x for a layer that computes with floats: whole numbers and truth values become float32, as in
 * Keras. Its spec into s; 0 after a failure. */
static inline weft_val weft_float(weft_build *b, weft_val x, weft_spec *s)
{
    if (b->api->spec(b, x, s)) return 0;
    if (s->dtype < WEFT_I32) return x;
    s->dtype = WEFT_F32;
    return weft_opf(b, "map", x, "expr=\"f32(a)\"");
}
static inline weft_status weft_failf(weft_build *b, weft_status status, const char *format, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return (b->api->fail)(b, status, text); /* in parentheses: cmocka has a macro fail() */
}
/* "(1,-2,3)" into text, which must hold 24 bytes a number; returns text. */
static inline const char *weft_ints_text(char *text, size_t size, const int64_t *values, uint32_t n)
{
    size_t at = 0;
    uint32_t i;
    for (i = 0; i < n && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%lld", i ? "," : "(", (long long)values[i]);
    if (at < size) snprintf(text + at, size - at, n ? ")" : "()");
    return text;
}

/* One op with one input and one attribute that is a list: name=(1,-2,3). n: up to WEFT_MAX_RANK. */
static inline weft_val weft_op_ints(weft_build *b, const char *op, weft_val x, const char *name,
                                    const int64_t *values, int32_t n)
{
    char text[WEFT_MAX_RANK * 24];
    return weft_opf(b, op, x, "%s=%s", name,
                    weft_ints_text(text, sizeof text, values, (uint32_t)n));
}

/* `size` elements of an axis from `begin` on. */
static inline weft_val weft_slice(weft_build *b, weft_val x, int32_t axis, int64_t begin,
                                  int64_t size)
{
    int64_t from[WEFT_MAX_RANK] = { 0 };
    char t_from[WEFT_MAX_RANK * 24], t_size[WEFT_MAX_RANK * 24];
    weft_spec s;
    if (b->api->spec(b, x, &s)) return 0;
    if (axis < 0) axis += s.rank;
    if (axis < 0 || axis >= s.rank) {
        weft_failf(b, WEFT_E_ARG, "a slice along axis %d of a value of rank %d", (int)axis,
                   (int)s.rank);
        return 0;
    }
    from[axis] = begin;
    s.dim[axis] = size;
    return weft_opf(b, "slice", x, "begin=%s size=%s",
                    weft_ints_text(t_from, sizeof t_from, from, (uint32_t)s.rank),
                    weft_ints_text(t_size, sizeof t_size, s.dim, (uint32_t)s.rank));
}
/* Zeros of that shape and dtype. */
static inline weft_val weft_zeros(weft_build *b, const weft_spec *s)
{
    static const double zero = 0;
    weft_spec one = { 0, 1, { 1 } }; /* of rank 0 it would have no dtype of its own */
    one.dtype = s->dtype;
    return weft_op_ints(b, "broadcast", b->api->constant(b, &one, &zero), "shape", s->dim, s->rank);
}

/* ABI rules
 *
 * R1 Every struct but the FROZEN ones starts with struct_size = sizeof at the writer's compile time
 *    (weft_plugin: behind the magic). The reader uses WEFT_HAS before any field that is not in the
 *    first minor of this major. reserved fields and unused flags are 0.
 *
 * R2 Structs that live in arrays are FROZEN, or the array holds pointers.
 *
 * R3 New fields and table entries go at the end; none is removed, reordered or retyped.
 *
 * R4 A newer minor on either side is never refused for that; weft_plugin.needs says what a plugin
 *    cannot do without.
 *
 * R5 Enumerations are int32_t. Unknown values and unknown flags are refused with a text, when the
 *    plugin is loaded or at the call; never asserted, never ignored.
 *
 * R6 Strings are UTF-8; descriptors and their strings are const for the life of the process.
 *
 * R7 Memory is released by the side that allocated it; no FILE*, no errno, no longjmp across.
 *
 * R8 A new idea is a new extension id ("name/rev"), never a changed struct.
 *
 * R9 No hidden padding: neither between the fields of a struct nor at its end; sizes are multiples
 *    of 8.
 *
 * Threads: [load] one at a time; [build] any thread, several builds at once, never one build from
 * two; pure: same attributes and shapes give the same graph; [kernel] several calls at once on
 * different nodes; [any-thread] as it says. Plugins start no threads. init() runs once a context
 * and must not keep the host it is given. */
#ifdef __cplusplus
}
#endif
#endif
