/* LSTM (Keras's): the products x W + b of all steps at once, then the op lstm; other activations
 * than tanh and sigmoid, and recurrent dropout in training, by a scan over the steps. */
#include <string.h>
#include "recurrent.h"

/* One call of the layer while it is built. */
typedef struct lstm {
    weft_val in; /* of floats */
    weft_spec x; /* its spec */
    int64_t units;
    const char *activation, *recurrent_activation; /* NULL: none */
    weft_val kernel, recurrent, bias;              /* bias: WEFT_NONE if there is none */
    weft_val state[2], mask;                       /* WEFT_NONE: zeros; all steps count */
    weft_val stored[2];                            /* variables of a stateful layer, or WEFT_NONE */
    weft_val drop[4]; /* what h is multiplied by, for each gate, or WEFT_NONE */
    int backwards;
} lstm;

/* ---- variables and states ---- */
/* Of 4 * units columns; a vector of them if rows is 0. */
static weft_val variable(weft_build *b, const lstm *l, const char *name, int64_t rows,
                         const char *initializer)
{
    int64_t columns = 4 * l->units;
    weft_spec s = { l->x.dtype, rows ? 2 : 1, { rows ? rows : columns, columns } };

    return b->api->variable(b, name, &s, initializer, WEFT_TRAINABLE);
}

static weft_status make_variables(weft_build *b, lstm *l)
{
    const char *of_bias = b->api->attr_s(b, "bias_initializer");
    char text[512];
    int n;

    l->kernel = variable(b, l, "kernel", l->x.dim[2], b->api->attr_s(b, "kernel_initializer"));
    l->recurrent =
        variable(b, l, "recurrent_kernel", l->units, b->api->attr_s(b, "recurrent_initializer"));
    l->bias = WEFT_NONE;
    if (!b->api->attr_i(b, "use_bias")) return WEFT_OK;
    if (b->api->attr_i(b, "unit_forget_bias")) {
        n = snprintf(text, sizeof text, "unit_forget_bias(bias=%s)", of_bias ? of_bias : "zeros");
        if (n < 0 || (size_t)n >= sizeof text)
            return weft_failf(b, WEFT_E_ARG,
                              "bias_initializer has %d characters more than there is room for: "
                              "make it shorter, or give unit_forget_bias=false",
                              n + 1 - (int)sizeof text);
        of_bias = text;
    }
    l->bias = variable(b, l, "bias", 0, of_bias);
    return WEFT_OK;
}

/* Where the first states come from: further inputs, the last batch, or they are 0. */
static weft_status find_states(weft_build *b, lstm *l)
{
    static const char *const names[] = { "state_h", "state_c" };
    weft_spec s = { l->x.dtype, 2, { l->x.dim[0], l->units } }, its;
    uint32_t given = b->api->n_in(b) - 1, i;
    int stateful = b->api->attr_i(b, "stateful") != 0;

    if (given == 1)
        return weft_failf(b, WEFT_E_ARG,
                          "one initial state is given; LSTM has two: give h and c, or none");
    if (stateful && s.dim[0] < 0)
        return weft_failf(b, WEFT_E_SHAPE,
                          "stateful=true keeps a state for each sample of a batch, so that the "
                          "batch must have a fixed size; give the input one (batch_shape)");
    for (i = 0; i < 2; i++) {
        l->state[i] = given ? weft_float(b, weft_in(b, 1 + i), &its) : WEFT_NONE;
        l->stored[i] = stateful
                           ? b->api->variable(b, names[i], &s, "zeros", WEFT_STATE | WEFT_TRANSIENT)
                           : WEFT_NONE;
        if (stateful && !given) l->state[i] = l->stored[i];
    }
    return WEFT_OK;
}

/* ---- dropout: one draw a call, the same at every step ---- */
/* 0 or 1 / (1 - rate), of shape [batch, n] or [batch, 1, n]. */
static weft_val drop(weft_build *b, const lstm *l, double rate, int64_t n, int rank)
{
    int64_t shape[3] = { l->x.dim[0], 1, n };
    char text[96], attrs[128];

    shape[rank - 1] = n;
    snprintf(attrs, sizeof attrs, "dist=uniform shape=%s",
             weft_ints_text(text, sizeof text, shape, (uint32_t)rank));
    return weft_opf(b, "map", weft_random(b, attrs), "expr=\"select(a>=%.17g,%.17g,0.0)\"", rate,
                    1 / (1 - rate));
}

static weft_val columns(weft_build *b, weft_val x, int gate, int64_t units)
{
    weft_spec s;

    if (b->api->spec(b, x, &s)) return 0;
    return weft_slice(b, x, s.rank - 1, gate * units, units);
}

/* x W + b for all steps. With recurrent dropout each gate draws its own mask, as in Keras. */
static weft_val project(weft_build *b, const lstm *l, weft_val x, double rate, int by_gate)
{
    weft_val part[4], z;
    int k;

    if (by_gate) {
        for (k = 0; k < 4; k++)
            part[k] = weft_matmul(b, weft_mul(b, x, drop(b, l, rate, l->x.dim[2], 3)),
                                  columns(b, l->kernel, k, l->units));
        z = b->api->op(b, "concat", "axis=2", part, 4, NULL, 0);
    } else {
        if (rate > 0) x = weft_mul(b, x, drop(b, l, rate, l->x.dim[2], 3));
        z = weft_matmul(b, x, l->kernel);
    }
    return l->bias == WEFT_NONE ? z : weft_add(b, z, l->bias);
}

/* ---- the steps ---- */
static weft_val activate(weft_build *b, const char *activation, const char *name, weft_val x)
{
    return activation ? b->api->layer(b, activation, name, NULL, &x, 1, NULL, 0) : x;
}

static weft_val recur(weft_build *b, const lstm *l, weft_val h)
{
    weft_val part[4];
    int k;

    if (l->drop[0] == WEFT_NONE) return weft_matmul(b, h, l->recurrent);
    for (k = 0; k < 4; k++)
        part[k] = weft_matmul(b, weft_mul(b, h, l->drop[k]), columns(b, l->recurrent, k, l->units));
    return b->api->op(b, "concat", "axis=1", part, 4, NULL, 0);
}

static void step(weft_build *b, void *user, const weft_val *carry, const weft_val *x,
                 weft_val *carry_out, weft_val *y)
{
    const lstm *l = user;
    weft_val s = weft_add(b, x[0], recur(b, l, carry[0])), gate[4], c, h;
    int k;

    for (k = 0; k < 4; k++)
        gate[k] =
            activate(b, k == 2 ? l->activation : l->recurrent_activation,
                     k == 2 ? "activation" : "recurrent_activation", columns(b, s, k, l->units));
    c = RECURRENT_MAP(b, "b*d+a*c", gate[0], gate[1], gate[2], carry[1]);
    h = weft_mul(b, gate[3], activate(b, l->activation, "activation", c));
    if (l->mask != WEFT_NONE) {
        h = RECURRENT_MAP(b, "select(a,b,c)", x[1], h, carry[0]);
        c = RECURRENT_MAP(b, "select(a,b,c)", x[1], c, carry[1]);
    }
    carry_out[0] = y[0] = h;
    carry_out[1] = c;
}

/* r: y, h, c. */
static void by_scan(weft_build *b, lstm *l, weft_val z, weft_val *r)
{
    weft_val x[2] = { recurrent_reverse(b, z, l->backwards), WEFT_NONE }, carry[2];
    weft_scan scan = { .struct_size = sizeof scan,
                       .axis = 1,
                       .n_carry = 2,
                       .n_x = l->mask == WEFT_NONE ? 1 : 2,
                       .n_y = 1,
                       .carry0 = carry,
                       .xs = x,
                       .body = step,
                       .user = l,
                       .carry_end = r + 1,
                       .ys = r };
    int i;

    for (i = 0; i < 2; i++)
        carry[i] = l->state[i] == WEFT_NONE
                       ? weft_zeros(b, &(weft_spec){ l->x.dtype, 2, { l->x.dim[0], l->units } })
                       : l->state[i];
    if (l->mask != WEFT_NONE)
        x[1] = recurrent_reverse(b, recurrent_column(b, l->mask), l->backwards);
    r[0] = r[1] = r[2] = 0;
    b->api->scan(b, &scan);
}

static void by_op(weft_build *b, const lstm *l, weft_val z, weft_val *r)
{
    weft_val args[5];

    args[LSTM_Z] = z;
    args[LSTM_U] = l->recurrent;
    args[LSTM_H0] = l->state[0];
    args[LSTM_C0] = l->state[1];
    args[LSTM_MASK] = l->mask;
    b->api->op(b, "lstm", l->backwards ? "go_backwards=true" : NULL, args, 5, r, 3);
}

static int is(const char *activation, const char *name)
{
    return activation && !strcmp(activation, name);
}

static void run_steps(weft_build *b, lstm *l, weft_val *r)
{
    int training = b->api->training(b), k;
    double rate = training ? b->api->attr_f(b, "dropout") : 0;
    double recurrent_rate = training ? b->api->attr_f(b, "recurrent_dropout") : 0;
    weft_val z;

    /* Keras: a rate of 1 drops nothing; recurrent dropout makes four masks of everything */
    if (rate >= 1) rate = 0;
    z = project(b, l, l->in, rate, rate > 0 && recurrent_rate > 0);
    for (k = 0; k < 4; k++)
        l->drop[k] = recurrent_rate > 0 && recurrent_rate < 1
                         ? drop(b, l, recurrent_rate, l->units, 2)
                         : WEFT_NONE;
    if (is(l->activation, "tanh") && is(l->recurrent_activation, "sigmoid") &&
        l->drop[0] == WEFT_NONE)
        by_op(b, l, z, r);
    else
        by_scan(b, l, z, r);
}

/* ---- outputs of masked steps ---- */
static void begin_or_go_on(weft_build *b, void *user, const weft_val *carry, const weft_val *x,
                           weft_val *carry_out, weft_val *y)
{
    (void)user;
    carry_out[0] = y[0] = RECURRENT_MAP(b, "or(a,b)", carry[0], x[0]);
}

/* live [batch, steps, 1]: has a step counted so far? */
static weft_val begun(weft_build *b, const lstm *l, weft_val live)
{
    weft_val no = weft_zeros(b, &(weft_spec){ WEFT_BOOL, 2, { l->x.dim[0], 1 } }), end, ys = 0;
    weft_scan scan = { .struct_size = sizeof scan,
                       .axis = 1,
                       .n_carry = 1,
                       .n_x = 1,
                       .n_y = 1,
                       .carry0 = &no,
                       .xs = &live,
                       .body = begin_or_go_on,
                       .carry_end = &end,
                       .ys = &ys };

    b->api->scan(b, &scan);
    return ys;
}

/* y, or the last h: at a step that does not count it is the one before; 0 if there is none, where h
 * is the state that was given, and always with zero_output_for_mask. */
static weft_val masked(weft_build *b, const lstm *l, weft_val y, int sequences)
{
    int zero = b->api->attr_i(b, "zero_output_for_mask") != 0;
    weft_val live;

    if (l->mask == WEFT_NONE || l->x.dim[1] < 1) return y;
    if (!zero && l->state[0] == WEFT_NONE) return y;
    if (sequences) {
        live = recurrent_reverse(b, recurrent_column(b, l->mask), l->backwards);
        if (!zero) live = begun(b, l, live);
    } else if (zero) {
        live = weft_slice(b, l->mask, 1, l->backwards ? 0 : l->x.dim[1] - 1, 1);
    } else {
        live = weft_opf(b, "reduce", l->mask, "fn=any axes=(1) keepdims=true");
    }
    return RECURRENT_MAP(b, "select(a,b,0)", live, y);
}

static weft_status build(weft_build *b)
{
    int sequences = b->api->attr_i(b, "return_sequences") != 0;
    lstm l = { .units = b->api->attr_i(b, "units"),
               .activation = b->api->attr_s(b, "activation"),
               .recurrent_activation = b->api->attr_s(b, "recurrent_activation"),
               .backwards = b->api->attr_i(b, "go_backwards") != 0 };
    weft_val r[3];
    weft_status st;
    int i;

    if (!(l.in = weft_float(b, weft_in(b, 0), &l.x))) return weft_out(b, 0, 0);
    if (l.x.rank != 3)
        return weft_failf(b, WEFT_E_SHAPE,
                          "the input has rank %d; LSTM wants (batch, steps, features): put a "
                          "Reshape in front",
                          (int)l.x.rank);
    if (l.x.dim[2] < 1)
        return weft_failf(b, WEFT_E_SHAPE,
                          "the last axis of the input has no fixed size, and the kernel's shape "
                          "depends on it: give the input a number there");
    if ((st = make_variables(b, &l)) || (st = find_states(b, &l))) return st;
    l.mask = b->api->mask(b, 0);
    run_steps(b, &l, r);
    for (i = 0; i < 2 && l.stored[i] != WEFT_NONE; i++)
        b->api->assign(b, l.stored[i], r[1 + i]);
    if (sequences && l.mask != WEFT_NONE) b->api->set_mask(b, 0, l.mask);
    weft_out(b, 0, masked(b, &l, r[sequences ? 0 : 1], sequences));
    for (i = 1; i <= 2 && b->api->attr_i(b, "return_state"); i++)
        weft_out(b, (uint32_t)i, r[i]);
    return WEFT_OK;
}

#define OPTIONAL(name, text)                                       \
    {                                                              \
        name, WEFT_LAYER_CONFIG, WEFT_NULLABLE, "none", NULL, text \
    }
#define FLAG(name, value, text)               \
    {                                         \
        name, WEFT_FLAG, 0, value, NULL, text \
    }
static const weft_attr attrs[] = {
    { "units", WEFT_INT, 0, NULL, "1..", "size of the state and of the output's last axis" },
    { "activation", WEFT_LAYER_CONFIG, WEFT_NULLABLE, "tanh", NULL,
      "a layer applied to what enters the state, and to the state" },
    { "recurrent_activation", WEFT_LAYER_CONFIG, WEFT_NULLABLE, "sigmoid", NULL,
      "a layer applied to the gates" },
    FLAG("use_bias", "true", "add a vector to the gates"),
    { "kernel_initializer", WEFT_LAYER_CONFIG, 0, "glorot_uniform", NULL,
      "first values of the kernel" },
    { "recurrent_initializer", WEFT_LAYER_CONFIG, 0, "orthogonal", NULL,
      "first values of the recurrent kernel" },
    { "bias_initializer", WEFT_LAYER_CONFIG, 0, "zeros", NULL, "first values of the bias" },
    FLAG("unit_forget_bias", "true", "the forget gate's bias begins as 1"),
    OPTIONAL("kernel_regularizer", "added to the loss in training"),
    OPTIONAL("recurrent_regularizer", "added to the loss in training"),
    OPTIONAL("bias_regularizer", "added to the loss in training"),
    OPTIONAL("activity_regularizer", "added to the loss in training"),
    OPTIONAL("kernel_constraint", "applied after each training step"),
    OPTIONAL("recurrent_constraint", "applied after each training step"),
    OPTIONAL("bias_constraint", "applied after each training step"),
    { "dropout", WEFT_FLOAT, 0, "0.0", "0..1", "share of the inputs that become 0 in training" },
    { "recurrent_dropout", WEFT_FLOAT, 0, "0.0", "0..1",
      "share of the state that the gates do not see in training" },
    { "seed", WEFT_INT, WEFT_NULLABLE, "none", NULL, "of the random numbers" },
    FLAG("return_sequences", "false", "the output of every step, not of the last one alone"),
    FLAG("return_state", "false", "also the last h and c"),
    FLAG("go_backwards", "false", "from the last step to the first; outputs in that order"),
    FLAG("stateful", "false", "a batch begins with the states that the last one ended with"),
    FLAG("unroll", "false", "no effect: steps are never written out"),
    FLAG("zero_output_for_mask", "false", "0 where a step is masked, not the output before it"),
    { 0 }
};

const weft_layer_class recurrent_lstm_layer = {
    .struct_size = sizeof recurrent_lstm_layer,
    .name = "LSTM",
    .version = 1,
    .min_version = 1,
    .inputs = "x, h?, c?",
    .outputs = "y, h?, c?",
    .attrs = attrs,
    .build = build,
    .doc =
        "long short-term memory over axis 1; kernel (features, 4 units), recurrent_kernel (units, "
        "4 units), bias (4 units), in the order i, f, c, o",
};
