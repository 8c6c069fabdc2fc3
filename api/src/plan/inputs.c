/* Checks of input and output arrays, in the manner of Keras: which input, both shapes, what to
 * do. */
#include "plan/inputs.h"
#include <inttypes.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/dim.h"

enum { NO_BATCH = -1 };

/* bool < integers < floats: values may move up, not down. */
static int kind_of(weft_dtype dtype)
{
    if (dtype == WEFT_BOOL) return 0;
    return dtype == WEFT_U8 || dtype == WEFT_I32 || dtype == WEFT_I64 ? 1 : 2;
}

static int converts(weft_dtype from, weft_dtype to)
{
    if (from == to) return 1;
    if (!weft_dtype_size(from) || (to == WEFT_U8 && from != WEFT_BOOL)) return 0;
    return kind_of(from) <= kind_of(to);
}

/* The batch that a dimension of -c implies; 0 = none does. */
static int batch_of(int64_t dim, int64_t found, int64_t *batch)
{
    if (found % -dim) return 0;
    *batch = found / -dim;
    return 1;
}

/* Does found fit the spec? Fills in WEFT_ANY; *batch: of this input, NO_BATCH if it has none. */
static int fits(weft_spec *spec, const weft_spec *found, int64_t *batch)
{
    *batch = NO_BATCH;
    if (spec->rank != found->rank) return 0;
    for (int32_t i = 0; i < spec->rank; i++) {
        int64_t dim = spec->dim[i], here;
        if (found->dim[i] < 0) return 0;
        if (dim == WEFT_ANY) {
            spec->dim[i] = found->dim[i];
        } else if (dim >= 0) {
            if (dim != found->dim[i]) return 0;
        } else {
            if (!batch_of(dim, found->dim[i], &here)) return 0;
            if (*batch != NO_BATCH && *batch != here) return 0;
            *batch = here;
        }
    }
    return 1;
}

static weft_status fail_shape(const weft_model *model, const char *name, const weft_spec *want,
                              const weft_spec *found)
{
    weft__shape_text s, t;
    return weft_fail(
        WEFT_E_SHAPE,
        "model \"%s\": invalid shape for input \"%s\": expected shape %s, but the array "
        "has shape %s; None is the number of samples",
        weft_model_name(model), name, weft__shape_show(want, &s), weft__shape_show(found, &t));
}

static weft_status check_one(const weft_model *model, const weft_array *array, uint32_t i,
                             weft_spec *spec, int64_t *batch)
{
    const char *name;
    weft_spec want;
    weft_status st = weft_model_input(model, i, &name, &want);
    if (st) return st;
    if (!array)
        return weft_fail(WEFT_E_ARG, "model \"%s\": no array is given for input \"%s\"",
                         weft_model_name(model), name);
    *spec = want;
    if (!fits(spec, &array->spec, batch)) return fail_shape(model, name, &want, &array->spec);
    if (!converts(array->spec.dtype, want.dtype))
        return weft_fail(
            WEFT_E_DTYPE,
            "model \"%s\": input \"%s\" takes %s, and %s values cannot become that without "
            "losing their kind; convert the array first",
            weft_model_name(model), name, weft_dtype_name(want.dtype),
            weft_dtype_name(array->spec.dtype));
    if (!array->data && weft_array_count(array))
        return weft_fail(WEFT_E_ARG, "model \"%s\": the array for input \"%s\" has no data",
                         weft_model_name(model), name);
    return WEFT_OK;
}

static weft_status fail_number(const weft_model *model, uint32_t n)
{
    weft__text text = { 0 };
    uint32_t want = weft_model_n_inputs(model);
    for (uint32_t i = 0; i < want; i++) {
        const char *name = "";
        weft_model_input(model, i, &name, NULL);
        weft__text_add(&text, "%s\"%s\"", i ? ", " : "", name);
    }
    weft_status st = weft_fail(WEFT_E_ARG, "model \"%s\" takes %u input%s (%s), but %u %s given",
                               weft_model_name(model), want, want == 1 ? "" : "s",
                               text.s && !text.failed ? text.s : "", n, n == 1 ? "is" : "are");
    weft__text_finish(&text);
    return st;
}

static weft_status fail_cardinality(const weft_model *model, const int64_t *batch, uint32_t n)
{
    weft__text text = { 0 };
    for (uint32_t i = 0; i < n; i++) {
        const char *name = "";
        if (batch[i] == NO_BATCH) continue;
        weft_model_input(model, i, &name, NULL);
        weft__text_add(&text, "%s\"%s\": %" PRId64, text.n ? ", " : "", name, batch[i]);
    }
    weft_status st =
        weft_fail(WEFT_E_SHAPE,
                  "model \"%s\": Data cardinality is ambiguous. Make sure all arrays contain "
                  "the same number of samples. Sizes: %s",
                  weft_model_name(model), text.s && !text.failed ? text.s : "");
    weft__text_finish(&text);
    return st;
}

weft_status weft__inputs_check(const weft_model *model, const weft_array *const *inputs, uint32_t n,
                               weft_spec *specs, int64_t *result)
{
    weft_status st = WEFT_OK;
    int64_t common = NO_BATCH;
    if (n != weft_model_n_inputs(model)) return fail_number(model, n);
    int64_t *batch = weft__alloc_n(n, sizeof *batch);
    if (!batch) return WEFT_E_NOMEM;
    for (uint32_t i = 0; i < n && !st; i++)
        st = check_one(model, inputs[i], i, &specs[i], &batch[i]);
    for (uint32_t i = 0; i < n && !st; i++) {
        if (common == NO_BATCH) common = batch[i];
        if (batch[i] != NO_BATCH && batch[i] != common) st = fail_cardinality(model, batch, n);
    }
    weft__free(batch);
    *result = common == NO_BATCH ? 1 : common;
    return st;
}

uint64_t weft__fixed_batch(const weft_model *m)
{
    uint32_t n = weft_model_n_inputs(m), i;
    int64_t batch = 0;
    for (i = 0; i < n + weft_model_n_outputs(m); i++) {
        weft_spec spec;
        if (i < n ? weft_model_input(m, i, NULL, &spec) : weft_model_output(m, i - n, NULL, &spec))
            return 0;
        if (!spec.rank || spec.dim[0] < 1 || (batch && batch != spec.dim[0])) return 0;
        batch = spec.dim[0];
    }
    return (uint64_t)batch;
}

weft_status weft__whole_batches(const weft_model *m, const char *what, uint64_t n)
{
    uint64_t fixed = weft__fixed_batch(m);
    if (!fixed || n % fixed == 0) return WEFT_OK;
    return weft_fail(WEFT_E_SHAPE,
                     "%s: %" PRIu64 " samples are no whole number of batches: the inputs of model "
                     "\"%s\" fix %" PRIu64 " samples a batch; give a multiple of it",
                     what, n, weft_model_name(m), fixed);
}

weft_spec weft__output_spec(const weft__plan *plan, uint32_t i, int64_t batch, int64_t times)
{
    const weft__graph *graph = plan->graph;
    weft_spec spec = weft__spec_at(&graph->value[graph->output[i].value].spec, batch);
    if (times != 1) spec.dim[0] *= times;
    return spec;
}

weft_status weft__outputs_check(const weft__plan *plan, weft_array *const *outputs, uint32_t n,
                                int64_t batch, int64_t times)
{
    const weft__graph *graph = plan->graph;
    if (n != graph->n_outputs)
        return weft_fail(WEFT_E_ARG, "the model has %zu output%s, but room for %u is given",
                         graph->n_outputs, graph->n_outputs == 1 ? "" : "s", n);
    for (uint32_t i = 0; i < n; i++) {
        weft_spec want = weft__output_spec(plan, i, batch, times);
        weft__shape_text s, t;
        if (!outputs[i] || weft__spec_equal(&outputs[i]->spec, &want)) continue;
        return weft_fail(
            WEFT_E_SHAPE,
            "output \"%s\" is %s of %s, but the array given is %s of %s; give NULL to have it made",
            graph->output[i].name, weft__shape_show(&want, &s), weft_dtype_name(want.dtype),
            weft__shape_show(&outputs[i]->spec, &t), weft_dtype_name(outputs[i]->spec.dtype));
    }
    return WEFT_OK;
}
