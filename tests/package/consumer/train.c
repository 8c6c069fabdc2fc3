/* A stranger's layer with a loop, org.example.LSTM of weft's plugins/example/lstm.c, built out of
 * tree, trains on every device: on a task that needs memory, whether the first number of a series
 * is positive, which eight others follow. The loss falls to a small part of what guessing gives,
 * the devices agree, and Weft's own LSTM, which has kernels, learns the same from the same
 * weights. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

enum {
    SAMPLES = 64,
    STEPS = 9,
    UNITS = 8,
    COMPARED = 10,
    ROUNDS = 500,
    VARIABLES = 5,
    MOST = 4 * UNITS * UNITS
};

static float x[SAMPLES * STEPS], y[SAMPLES];

static void make_data(void)
{
    unsigned state = 1;

    for (int i = 0; i < SAMPLES * STEPS; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(state >> 8) / (1 << 23) - 1;
    }
    for (int i = 0; i < SAMPLES; i++)
        y[i] = x[i * STEPS] > 0;
}

static weft_model *make(weft_context *ctx, const char *layer)
{
    weft_model *m = NULL;
    char attrs[96];

    /* Keras adds 1 to the bias of the forget gate; the example is plain */
    snprintf(attrs, sizeof attrs, "name=lstm units=%d%s", UNITS,
             strchr(layer, '.') ? "" : " unit_forget_bias=false");
    if (weft_model_create(ctx, "memory", &m)) return NULL;
    weft_tensor t = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(STEPS, 1));
    t = weft_apply(m, layer, attrs, t);
    weft_output(m, weft_apply(m, "Dense", "name=score units=1 activation=sigmoid", t));
    if (weft_model_finish(m)) weft_model_destroy(&m);
    return m;
}

static int get_weights(weft_model *m, float w[VARIABLES][MOST])
{
    for (uint32_t i = 0; i < VARIABLES; i++) {
        weft_array a = { { 0 }, w[i] };
        if (weft_model_variable(m, i, NULL, &a.spec, NULL)) return 0;
        if (weft_array_count(&a) > MOST || weft_model_get_variable(m, i, &a)) return 0;
    }
    return 1;
}

/* w: the weights after COMPARED steps; 0 after a failure. */
static int train(weft_model *m, const char *device, const char *layer, float w[VARIABLES][MOST])
{
    weft_array ax = { { WEFT_F32, 3, { SAMPLES, STEPS, 1 } }, x },
               ay = { { WEFT_F32, 1, { SAMPLES } }, y };
    const weft_array *xs[] = { &ax }, *ys[] = { &ay };
    weft_data data = { xs, ys, 1, 1 };
    weft_session *s = NULL;
    weft_logs first, last;
    int ok = 0;

    if (weft_session_create(m, device, "strict=true", &s)) goto out;
    if (weft_session_compile(s, "optimizer=Adam(learning_rate=0.01) loss=binary_crossentropy "
                                "metrics=accuracy"))
        goto out;
    for (int i = 0; i < ROUNDS; i++) {
        if (weft_session_train_step(s, &data, i ? &last : &first)) goto out;
        if (i + 1 == COMPARED && !get_weights(m, w)) goto out;
    }
    printf("%-18s %-9s loss %.3f -> %.4f, accuracy %.2f\n", layer, device, first.value[0],
           last.value[0], last.value[1]);
    ok = last.value[0] < 0.2 * first.value[0] && last.value[1] > 0.95;
    if (!ok) printf("it has not learnt the task\n");
out:
    if (!ok) printf("%s on %s: %s\n", layer, device, weft_error());
    weft_session_destroy(&s);
    return ok;
}

/* Ten steps of Adam move each weight by up to 0.1; roundings, which later steps take further and
 * further, are still small. */
static int same(float a[VARIABLES][MOST], float b[VARIABLES][MOST], const char *who)
{
    double off = 0;

    for (int i = 0; i < VARIABLES; i++)
        for (int k = 0; k < MOST; k++)
            off = fmax(off, fabs((double)a[i][k] - b[i][k]));
    printf("%s: weights differ by %.2g\n", who, off);
    return off < 1e-4;
}

int main(void)
{
    static float first[VARIABLES][MOST], w[VARIABLES][MOST];
    static const char *const layers[] = { "org.example.LSTM", "LSTM" };
    weft_context *ctx = NULL;
    int runs = 0, ok = 1;

    make_data();
    if (weft_context_create(NULL, &ctx)) ok = 0;
    for (uint32_t i = 0; ok && i < weft_context_n_devices(ctx); i++) {
        weft_dev_info info = { .struct_size = sizeof info };
        const char *id;

        if (weft_context_device(ctx, i, &id, &info) || !info.usable) continue;
        for (int k = 0; ok && k < 2; k++) {
            weft_model *m = make(ctx, layers[k]);

            memset(w, 0, sizeof w);
            ok = m && train(m, id, layers[k], w);
            if (!m) printf("%s\n", weft_error());
            if (ok && !runs) memcpy(first, w, sizeof w);
            if (ok && runs++) ok = same(first, w, "against the first run");
            weft_model_destroy(&m);
        }
    }
    weft_context_destroy(&ctx);
    return !ok || !runs;
}
