/* weft/check.h - is a device right? Every op of a model's plan, on every device, against cpu in
 * f64. */
#ifndef WEFT_CHECK_H
#define WEFT_CHECK_H
#include <weft/session.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef int32_t weft_check_result;
enum { WEFT_CHECK_PASSED = 1, WEFT_CHECK_FAILED, WEFT_CHECK_UNVERIFIED };

/* One op on one device. Each op is given the f64 reference's values, rounded to f32, as inputs, so
 * that a wrong op is named and not the ones behind it. */
typedef struct weft_check_line {
    const char *device, *op, *attrs, *path, *variant; /* valid during the callback */
    weft_check_result result;
    double error, bound; /* the largest |got - want|, and what rounding allows there */
    uint64_t index;      /* of that element */
    double got, want;
    const char *why; /* UNVERIFIED, or FAILED without numbers; else "" */
} weft_check_line;
typedef void (*weft_check_fn)(void *user, const weft_check_line *line);

/* inputs: NULL = random ones, from seed, of batch size 2; else as for weft_session_run. devices as
 * for weft_session_create; *n_failed (may be NULL) counts. A failed op is no error status. */
typedef struct weft_check_options {
    uint64_t seed;
    const weft_array *const *inputs;
    uint32_t n_inputs, reserved;
} weft_check_options;
WEFT_EXPORT weft_status weft_check_model(weft_model *model, const char *devices,
                                         const weft_check_options *options, weft_check_fn fn,
                                         void *user, uint32_t *n_failed);

/* One op, from attribute text and specs (dims may be batch-symbolic; dtype 0: an optional input
 * that is absent), as weft_check_model does it: random inputs from seed. Covers what no model
 * needs: tests of ops and plugins. */
typedef struct weft_check_case {
    const char *op, *attrs;
    const weft_spec *inputs;
    uint32_t n_inputs, reserved;
    int64_t batch;
    uint64_t seed;
    const weft_array *const *values; /* NULL = random; else the inputs */
} weft_check_case;
WEFT_EXPORT weft_status weft_check_op(weft_context *ctx, const char *device,
                                      const weft_check_case *op_case, weft_check_fn fn, void *user);
#ifdef __cplusplus
}
#endif
#endif
