/* Arrays that callers hand in, checked once against a model. */
#ifndef WEFT_PLAN_INPUTS_H
#define WEFT_PLAN_INPUTS_H
#include "plan/plan.h"

/* specs[n]: the model's input specs with WEFT_ANY replaced by what the arrays have; *batch: the
 * number of samples, 1 for a model without a batch dimension. */
weft_status weft__inputs_check(const weft_model *model, const weft_array *const *inputs, uint32_t n,
                               weft_spec *specs, int64_t *batch);
/* Output arrays that the caller brings must fit the plan's outputs. */
weft_status weft__outputs_check(const weft__plan *plan, weft_array *const *outputs, uint32_t n,
                                int64_t batch);
#endif
