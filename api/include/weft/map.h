/* weft/map.h - elementwise expressions, parsed and typed once by the core, for backends that run
 * the op `map` and the attribute `then`. Reached by host->extension(host, WEFT_MAP_ID).
 *
 * Text: literals, inputs a b c .. z, calls f(x, y), infix + - * / and comparisons, -x, parentheses.
 * In `then`, a is the result of the op and b, c, .. its extra inputs. Types: bool < u8 < i32 < i64
 * < f32 < f64, the highest operand wins; literals take the others' type (a fraction with integers:
 * f32). */
#ifndef WEFT_MAP_H
#define WEFT_MAP_H
#include <weft/plugin.h>
#ifdef __cplusplus
extern "C" {
#endif
#define WEFT_MAP_ID "weft.map/1"
#define WEFT_MAP_MAX_INPUTS 26

enum {
    WEFT_MAP_COMPARE = 1, /* gives bool: the evaluators write 0 or 1 in the operands' type */
    WEFT_MAP_COSTLY = 2,  /* tanh, exp ...: never fused into a larger broadcast */
    WEFT_MAP_FLOAT = 4,   /* integer operands are converted to float first */
    WEFT_MAP_LOGICAL = 8
}; /* and, or, not: operands are converted to bool; gives bool */

/* A function of the table. FROZEN. The evaluators are its C definition: dst[i] = f(a[i], b[i],
 * c[i]) for n elements; dst may be a, b or c; arguments beyond arity are ignored. i64 serves every
 * integer type and bool. */
typedef struct weft_map_fn {
    const char *name, *infix; /* infix: "+" or NULL */
    int32_t arity, flags;
    const char *opencl; /* "fmax($0, $1)"; $T is the operands' OpenCL type: weft_max_$T($0, $1) */
    void (*f32)(size_t n, float *dst, const float *a, const float *b, const float *c);
    void (*f64)(size_t n, double *dst, const double *a, const double *b, const double *c);
    void (*i64)(size_t n, int64_t *dst, const int64_t *a, const int64_t *b,
                const int64_t *c); /* NULL if FLOAT */
    const char
        *derivative[3]; /* d f / d argument i, as text over a, b, c and r (the result); NULL = 0 */
} weft_map_fn;

typedef int32_t weft_map_kind;
enum { WEFT_MAP_INPUT = 1, WEFT_MAP_CONST, WEFT_MAP_CALL, WEFT_MAP_CAST };
/* One instruction; its result is value number i of the program. FROZEN. Operands of a call all have
 * the dtype `type`; casts are explicit. Integers wrap to their dtype after every instruction (bool:
 * != 0). A float cast to an integer is truncated and saturates, NaN gives 0; an integer cast to a
 * narrower one wraps; a cast to bool is != 0. kernels/map.clh has weft_cast_<to>_<from>(x) and the
 * functions of `opencl` texts. */
typedef struct weft_map_ins {
    weft_map_kind kind;
    weft_dtype type, dtype; /* of the operands, of the result */
    uint32_t arg[3];        /* earlier instructions; for INPUT arg[0] is the input's number */
    double value;           /* CONST */
    const weft_map_fn *fn;  /* CALL */
} weft_map_ins;

typedef struct weft_map_program {                  /* made by parse, ended by release */
    uint32_t struct_size, n_ins, n_inputs, result; /* result: the number of the instruction */
    const weft_map_ins *ins;
} weft_map_program;

typedef struct weft_map_api { /* [any-thread] */
    uint32_t struct_size, reserved;
    /* Inputs have the given dtypes; want: the result is cast to it, 0 = leave it. */
    weft_status (*parse)(const weft_host *, const char *expr, const weft_dtype *in, uint32_t n_in,
                         weft_dtype want, weft_map_program **);
    void (*release)(weft_map_program **);
    /* The reference evaluator: n <= 1024 elements, in[k] of the program's k-th input dtype, dense;
     * dst may be an in[k] of the result's dtype. */
    void (*eval)(const weft_map_program *, size_t n, const void *const *in, void *dst);
} weft_map_api;
#ifdef __cplusplus
}
#endif
#endif
