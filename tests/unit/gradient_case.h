/* Gradients of single ops against central differences, and on devices. */
#ifndef WEFT_TESTS_GRADIENT_CASE_H
#define WEFT_TESTS_GRADIENT_CASE_H
#include "case_line.h"
#include "graph/gradient.h"
#include "plan/check_op.h"

enum { GRADIENT_RESULTS = 40, GRADIENT_PORTS = CASE_INPUTS + GRADIENT_RESULTS };
typedef struct gradient_case {
    weft_context *ctx;
    const char *op, *text;
    case_line line;
    int64_t batch;
    weft__graph *forward;           /* x0.. -> y0.. */
    weft__graph *backward;          /* x0.., then dy of each float y -> dx of each float x */
    weft_array *in[GRADIENT_PORTS]; /* of backward's inputs, float ones exact in f32 */
    uint32_t n_x, n_y, n_in, n_dx;
    int32_t dy_of[GRADIENT_RESULTS]; /* which of `in` is dy of result i; -1 = none */
    int32_t x_of[CASE_INPUTS];       /* which of `in` dx number i is for */
} gradient_case;

typedef struct gradient_tally {
    unsigned lines, compared, rough, undefined, wrong, checked, unverified;
    int quiet;
} gradient_tally;

/* Builds both graphs and the inputs; 0: it has no gradient (no float in or out). Failures end the
 * test. */
int gradient_begin(gradient_case *c, weft_context *ctx, const char *op, const char *text,
                   int64_t batch);
void gradient_finish(gradient_case *c);
/* Elements of every dx against differences of the forward op, in f64 on cpu. */
void gradient_differences(gradient_case *c, gradient_tally *tally);
/* Every op of the gradient's graph, fused for the device, with that device's own bounds. */
void gradient_device(gradient_case *c, const char *device, gradient_tally *tally);
#endif
