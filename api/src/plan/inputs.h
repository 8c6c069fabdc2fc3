/* Arrays that callers hand in, checked once against a model. */
#ifndef WEFT_PLAN_INPUTS_H
#define WEFT_PLAN_INPUTS_H
#include "plan/plan.h"

/* specs[n]: the model's input specs with WEFT_ANY replaced by what the arrays have; *batch: the
 * number of samples, 1 for a model without a batch dimension. */
weft_status weft__inputs_check(const weft_model *model, const weft_array *const *inputs, uint32_t n,
                               weft_spec *specs, int64_t *batch);
/* The first dimension of all inputs and outputs, if it is a number and everywhere the same, as
 * stateful layers want it; else 0. */
uint64_t weft__fixed_batch(const weft_model *model);
/* Are n samples whole batches, if the model fixes their size? what: who asks, for the error. */
weft_status weft__whole_batches(const weft_model *model, const char *what, uint64_t n);
/* What output i is for a batch; times: of how many batches, if the model fixes them, else 1. */
weft_spec weft__output_spec(const weft__plan *plan, uint32_t i, int64_t batch, int64_t times);
/* Output arrays that the caller brings must be that. */
weft_status weft__outputs_check(const weft__plan *plan, weft_array *const *outputs, uint32_t n,
                                int64_t batch, int64_t times);
#endif
