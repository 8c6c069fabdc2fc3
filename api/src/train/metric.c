/* Metrics, with Keras's formulas (metrics/accuracy_metrics.py): means over all samples and
 * elements that no mask leaves out. */
#include <string.h>
#include "base/fail.h"
#include "train/parts.h"

static weft_val op2(weft__build *b, const char *name, weft_val x, weft_val y)
{
    return weft_op2(&b->base, name, x, y);
}

static weft_val equal(weft__build *b, weft_val x, weft_val y)
{
    return weft_op1(&b->base, "f32", op2(b, "eq", x, y));
}

static weft_val best(weft__build *b, weft_val x)
{
    return weft_opf(&b->base, "reduce", x, "fn=argmax axes=(-1)");
}

/* y is what p > 0.5 says */
static weft_val binary(weft__build *b, weft_val y, weft_val p)
{
    weft_val yes = op2(b, "gt", p, weft_scalar(&b->base, 0.5));
    return equal(b, y, weft_op1(&b->base, "f32", yes));
}

static weft_val categorical(weft__build *b, weft_val y, weft_val p)
{
    return equal(b, best(b, y), best(b, p));
}

static weft_val sparse(weft__build *b, weft_val y, weft_val p)
{
    return equal(b, weft_op1(&b->base, "i64", y), best(b, p));
}

static weft_val mse(weft__build *b, weft_val y, weft_val p)
{
    return weft_op1(&b->base, "square", op2(b, "sub", y, p));
}

static weft_val mae(weft__build *b, weft_val y, weft_val p)
{
    return weft_op1(&b->base, "abs", op2(b, "sub", y, p));
}

typedef struct row {
    const char *name, *other; /* other: an alias */
    int sparse;               /* takes class numbers */
    int classes;              /* along the last axis of the output */
    weft_val (*values)(weft__build *, weft_val y, weft_val p);
} row;
static const row rows[] = {
    { "binary_accuracy", "BinaryAccuracy", 0, 0, binary },
    { "categorical_accuracy", "CategoricalAccuracy", 0, 1, categorical },
    { "sparse_categorical_accuracy", "SparseCategoricalAccuracy", 1, 1, sparse },
    { "mse", "mean_squared_error", 0, 0, mse },
    { "mae", "mean_absolute_error", 0, 0, mae },
};
enum { ROWS = sizeof rows / sizeof *rows };

/* Keras asks for a last dimension of 1 first, also where targets are class numbers. */
static weft_status choose_accuracy(const weft_spec *output, int sparse_targets, const row **found)
{
    int one = output->rank > 0 && output->dim[output->rank - 1] == 1;
    if (sparse_targets && one)
        return weft_fail(WEFT_E_ARG, "accuracy: the output has one class, whose number would be "
                                     "compared with p > 0.5, as in Keras; use "
                                     "binary_crossentropy, or sparse_categorical_accuracy");
    *found = &rows[sparse_targets ? 2 : one ? 0 : 1];
    return WEFT_OK;
}

weft_status weft__metric_make(const char *name, const weft_spec *output, int sparse_targets,
                              weft__metric *metric)
{
    const row *found = NULL;
    *metric = (weft__metric){ .values = NULL };
    snprintf(metric->name, sizeof metric->name, "%s", name);
    if (!strcmp(name, "accuracy") || !strcmp(name, "acc")) {
        weft_status st = choose_accuracy(output, sparse_targets, &found);
        if (st) return st;
    }
    for (size_t i = 0; i < ROWS && !found; i++)
        if (!strcmp(rows[i].name, name) || !strcmp(rows[i].other, name)) found = &rows[i];
    if (!found)
        return weft_fail(WEFT_E_NOTFOUND,
                         "there is no metric \"%.60s\"; there are accuracy, binary_accuracy, "
                         "categorical_accuracy, sparse_categorical_accuracy, mse, mae",
                         name);
    if (found->classes && output->rank < 2) return weft__fail_classes(found->name);
    if (found->sparse != sparse_targets)
        return weft_fail(WEFT_E_ARG,
                         "metric %s takes %s, but the loss of this output takes %s; \"accuracy\" "
                         "chooses by itself",
                         found->name, found->sparse ? "class numbers" : "targets like the output",
                         sparse_targets ? "class numbers" : "targets like the output");
    metric->values = found->values;
    return WEFT_OK;
}

weft_val weft__metric_build(weft__build *build, const weft__metric *metric, const weft__judged *of)
{
    weft_val values = metric->values(build, of->y, of->p);
    return weft__mean_all(build, weft__masked(build, values, of->weights));
}
