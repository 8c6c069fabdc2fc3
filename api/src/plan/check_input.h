/* Random inputs for checks: the same seed gives the same numbers on every machine. */
#ifndef WEFT_PLAN_CHECK_INPUT_H
#define WEFT_PLAN_CHECK_INPUT_H
#include "plan/plan.h"
/* One array an input of graph, for that batch: floats in [-2, 2), integers and whatever is used
 * as an index within range. arrays: n_inputs, made; on failure none is left. */
weft_status weft__check_inputs(const weft__graph *graph, int64_t batch, uint64_t seed,
                               weft_array **arrays);
#endif
