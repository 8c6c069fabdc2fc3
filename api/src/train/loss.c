/* Losses, with Keras's formulas (losses/losses.py) and names: means over all samples and elements
 * that no mask leaves out.
 * Crossentropies of probabilities that a sigmoid or a softmax made are computed from what went into
 * it, which neither overflows nor loses digits. */
#include <string.h>
#include <weft/status.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/node.h"
#include "graph/ops/ops.h"
#include "train/parts.h"

#define EPSILON 1e-7 /* keras.config.epsilon(): probabilities are kept away from 0 and 1 by it */

struct weft__loss_class {
    const char *names[4]; /* the first one is for messages */
    /* of the shape of p, or without its last axis: the loss is their mean */
    weft_val (*values)(weft__build *, const weft__loss *, weft_val y, weft_val p);
    int crossentropy, sparse;
    int classes; /* along the last axis of the output */
};

static weft_val op1(weft__build *b, const char *name, weft_val x)
{
    return weft_op1(&b->base, name, x);
}

static weft_val op2(weft__build *b, const char *name, weft_val x, weft_val y)
{
    return weft_op2(&b->base, name, x, y);
}

static weft_val number(weft__build *b, double value)
{
    return weft_scalar(&b->base, value);
}

weft_val weft__mean_all(weft__build *b, weft_val x)
{
    return weft_opf(&b->base, "reduce", x, "fn=mean");
}

static weft_val mse(weft__build *b, const weft__loss *loss, weft_val y, weft_val p)
{
    (void)loss;
    return op1(b, "square", op2(b, "sub", y, p));
}

static weft_val mae(weft__build *b, const weft__loss *loss, weft_val y, weft_val p)
{
    (void)loss;
    return op1(b, "abs", op2(b, "sub", y, p));
}

/* What went into the sigmoid or softmax that made p; WEFT_NONE if none did. */
static weft_val before(const weft__build *b, weft_val p, const weft_op_class *op, const char *expr)
{
    const weft__node *node = weft__graph_producer(b->graph, p);
    if (!node || node->op != op) return WEFT_NONE;
    if (expr && (node->n_in != 1 || strcmp(weft__attrs_s(node->attrs, "expr"), expr) != 0))
        return WEFT_NONE;
    if (!expr) { /* softmax: along the last axis */
        int64_t axis = weft__attrs_i(node->attrs, "axis");
        int32_t rank = weft__graph_spec(b->graph, p)->rank;
        if (axis != -1 && axis != rank - 1) return WEFT_NONE;
    }
    return node->in[0];
}

static weft_val clipped(weft__build *b, weft_val p)
{
    weft_val in[] = { p, number(b, EPSILON), number(b, 1 - EPSILON) };
    return b->base.api->op(&b->base, "clip", NULL, in, 3, NULL, 0);
}

/* y moved towards equal shares of the classes by label_smoothing. */
static weft_val smoothed(weft__build *b, const weft__loss *loss, weft_val y, double classes)
{
    return op2(b, "add", op2(b, "mul", y, number(b, 1 - loss->smoothing)),
               number(b, loss->smoothing / classes));
}

/* -(y log p + (1 - y) log(1 - p)); of logits x: log(1 + exp(x)) - x y */
static weft_val binary(weft__build *b, const weft__loss *loss, weft_val y, weft_val p)
{
    weft_val x = loss->from_logits ? p : before(b, p, &weft__op_map, "sigmoid(a)");
    if (loss->smoothing > 0) y = smoothed(b, loss, y, 2);
    if (x != WEFT_NONE) return op2(b, "sub", op1(b, "softplus", x), op2(b, "mul", x, y));
    p = clipped(b, p);
    weft_val yes = op2(b, "mul", y, op1(b, "log", p));
    weft_val no = op2(b, "mul", op2(b, "sub", number(b, 1), y),
                      op1(b, "log", op2(b, "sub", number(b, 1), p)));
    return op1(b, "neg", op2(b, "add", yes, no));
}

/* log of the probabilities, along the last axis */
static weft_val log_probabilities(weft__build *b, const weft__loss *loss, weft_val p)
{
    weft_val x = loss->from_logits ? p : before(b, p, &weft__op_softmax, NULL);
    if (x != WEFT_NONE) return weft_opf(&b->base, "log_softmax", x, "axis=-1");
    weft_val sum = weft_opf(&b->base, "reduce", p, "fn=sum axes=(-1) keepdims=true");
    return op1(b, "log", clipped(b, op2(b, "div", p, sum)));
}

/* -sum over classes */
static weft_val crossentropy(weft__build *b, weft_val weighted)
{
    return op1(b, "neg", weft_opf(&b->base, "reduce", weighted, "fn=sum axes=(-1)"));
}

static weft_val categorical(weft__build *b, const weft__loss *loss, weft_val y, weft_val p)
{
    weft_spec s;
    if (loss->smoothing > 0 && !b->base.api->spec(&b->base, p, &s))
        y = smoothed(b, loss, y, (double)s.dim[s.rank - 1]);
    return crossentropy(b, op2(b, "mul", y, log_probabilities(b, loss, p)));
}

/* 1 where the classes that y names are, along the last axis of p; y: class numbers. */
static weft_val one_hot(weft__build *b, weft_val y, weft_val p)
{
    weft_spec s, index;
    if (b->base.api->spec(&b->base, p, &s)) return 0;
    int64_t classes = s.dim[s.rank - 1], *numbers;
    index = (weft_spec){ WEFT_I64, 1, { classes } };
    if (classes < 0 || !(numbers = weft__alloc_n((size_t)classes, sizeof *numbers))) return 0;
    for (int64_t i = 0; i < classes; i++)
        numbers[i] = i;
    weft_val all = b->base.api->constant(&b->base, &index, numbers);
    weft__free(numbers);
    s.dim[s.rank - 1] = 1;
    y = weft_op_ints(&b->base, "reshape", y, "shape", s.dim, s.rank);
    return op2(b, "eq", y, all);
}

static weft_val sparse(weft__build *b, const weft__loss *loss, weft_val y, weft_val p)
{
    weft_val in[] = { one_hot(b, y, p), log_probabilities(b, loss, p), number(b, 0) };
    return crossentropy(b, b->base.api->op(&b->base, "select", NULL, in, 3, NULL, 0));
}

static const weft__loss_class classes[] = {
    { { "mse", "mean_squared_error", "MeanSquaredError" }, mse, 0, 0, 0 },
    { { "mae", "mean_absolute_error", "MeanAbsoluteError" }, mae, 0, 0, 0 },
    { { "binary_crossentropy", "BinaryCrossentropy" }, binary, 1, 0, 0 },
    { { "categorical_crossentropy", "CategoricalCrossentropy" }, categorical, 1, 0, 1 },
    { { "sparse_categorical_crossentropy", "SparseCategoricalCrossentropy" }, sparse, 1, 1, 1 },
};
enum { CLASSES = sizeof classes / sizeof *classes };

static const weft__loss_class *find(const char *name)
{
    for (size_t i = 0; i < CLASSES; i++)
        for (size_t k = 0; k < 4 && classes[i].names[k]; k++)
            if (!strcmp(classes[i].names[k], name)) return &classes[i];
    return NULL;
}

static const weft_attr plain_attrs[] = { { 0 } };
static const weft_attr crossentropy_attrs[] = {
    { "from_logits", WEFT_FLAG, 0, "false", NULL, "the output is no probability yet" },
    { "label_smoothing", WEFT_FLOAT, 0, "0.0", "0..1", "moves the targets away from 0 and 1" },
    { 0 },
};

weft_status weft__loss_make(const weft__named *named, weft__loss *loss)
{
    weft__attrs *full = NULL;
    char what[96];
    const weft__loss_class *cls = find(named->name);
    if (!cls)
        return weft_fail(WEFT_E_NOTFOUND,
                         "there is no loss \"%.60s\"; there are mse, mae, binary_crossentropy, "
                         "categorical_crossentropy, sparse_categorical_crossentropy",
                         named->name);
    snprintf(what, sizeof what, "loss %s", cls->names[0]);
    weft_status st = weft__attrs_check(
        named->args, cls->crossentropy ? crossentropy_attrs : plain_attrs, what, &full);
    if (st) return st;
    *loss = (weft__loss){ .cls = cls, .weight = 1 };
    if (cls->crossentropy) {
        loss->from_logits = weft__attrs_i(full, "from_logits") != 0;
        loss->smoothing = weft__attrs_f(full, "label_smoothing");
    }
    weft__attrs_destroy(&full);
    if (cls->sparse && loss->smoothing > 0)
        return weft_fail(WEFT_E_ATTR,
                         "%s has no label_smoothing, as in Keras; use "
                         "categorical_crossentropy with one-hot targets",
                         cls->names[0]);
    return WEFT_OK;
}

weft_status weft__fail_classes(const char *name)
{
    return weft_fail(WEFT_E_SHAPE,
                     "%s needs an output with classes along its last axis behind the batch", name);
}

const char *weft__loss_name(const weft__loss *loss)
{
    return loss->cls->names[0];
}

int weft__loss_classes(const weft__loss *loss)
{
    return loss->cls->classes;
}

int weft__loss_sparse(const weft__loss *loss)
{
    return loss->cls->sparse;
}

weft_status weft__loss_target(const weft__loss *loss, const weft_spec *output, weft_spec *target)
{
    *target = *output;
    target->dtype = WEFT_F32;
    if (output->dtype != WEFT_F32)
        return weft_fail(WEFT_E_DTYPE, "a loss needs a float32 output, this one is %s",
                         weft_dtype_name(output->dtype));
    if (loss->cls->classes && (output->rank < 2 || output->dim[output->rank - 1] < 1))
        return weft__fail_classes(loss->cls->names[0]);
    if (!loss->cls->sparse) return WEFT_OK;
    target->dtype = WEFT_I32;
    target->dim[--target->rank] = 0;
    return WEFT_OK;
}

static weft_val sum_all(weft__build *b, weft_val x)
{
    return weft_opf(&b->base, "reduce", x, "fn=sum");
}

weft_val weft__loss_build(weft__build *build, const weft__loss *loss, const weft__judged *of)
{
    weft_val values = loss->cls->values(build, loss, of->y, of->p);
    if (of->weights == WEFT_NONE) return weft__mean_all(build, values);
    weft_val n = op2(build, "max", sum_all(build, of->weights), number(build, 1));
    return op2(build, "div", sum_all(build, weft__masked(build, values, of->weights)), n);
}
