/* A stranger's LSTM (weft's plugins/example/lstm.c, built out of tree, found through
 * WEFT_PLUGIN_PATH) trains on every device. It learns a task that needs memory: to tell, after the
 * last symbol of a sequence, which one was the first. And from the same weights, with the same
 * batches, it gets the weights that Weft's own LSTM gets, which has kernels.
 *
 * The truth for those is Weft's LSTM in float64. In float32 every device rounds, each in its own
 * order: it may be as far away as a few times what Weft's LSTM on the cpu is, and never has to be
 * nearer than a rounding a step. Distances are relative above 1. */
#include <math.h>
#include <string.h>
#include <weft/weft.h>

enum { SAMPLES = 256, LENGTH = 12, SYMBOLS = 4, BATCH = 32, STEPS = 20, TIMES = 8, VARIABLES = 5 };
enum { UNITS = 16, LARGEST = UNITS * 4 * UNITS };
static const double EPS = 0x1p-23;

static float sequences[SAMPLES][LENGTH][SYMBOLS];
static int32_t labels[SAMPLES];

/* ---- the task ---- */
static void make_task(void)
{
    uint32_t seed = 1;

    for (int i = 0; i < SAMPLES; i++)
        for (int t = 0; t < LENGTH; t++) {
            seed = seed * 1664525u + 1013904223u;
            sequences[i][t][seed >> 30] = 1;
            if (t == 0) labels[i] = (int32_t)(seed >> 30);
        }
}

static weft_model *make_model(weft_context *ctx, const char *lstm)
{
    weft_model *m = NULL;
    weft_tensor x;

    if (weft_model_create(ctx, "memory", &m)) return NULL;
    weft_model_set_seed(m, 1);
    x = weft_input(m, "symbols", WEFT_F32, WEFT_SHAPE(LENGTH, SYMBOLS));
    x = weft_apply(m, lstm, "name=memory units=16", x);
    weft_output(m, weft_apply(m, "Dense", "name=first units=4 activation=softmax", x));
    if (weft_model_finish(m)) weft_model_destroy(&m);
    return m;
}

/* Samples first .. first + n - 1, for the length of one call. */
typedef struct part {
    weft_array x, y;
    const weft_array *px, *py;
    weft_data data;
} part;

static const weft_data *samples(part *p, int first, int n)
{
    p->x = (weft_array){ { WEFT_F32, 3, { n, LENGTH, SYMBOLS } }, sequences[first] };
    p->y = (weft_array){ { WEFT_I32, 1, { n } }, &labels[first] };
    p->px = &p->x;
    p->py = &p->y;
    p->data = (weft_data){ &p->px, &p->py, 1, 1 };
    return &p->data;
}

static weft_status start(weft_model *m, const char *device, const char *options,
                         const char *optimizer, weft_session **s)
{
    char attrs[160];
    weft_status st;

    snprintf(attrs, sizeof attrs,
             "optimizer=%s loss=sparse_categorical_crossentropy metrics=accuracy", optimizer);
    if ((st = weft_session_create(m, device, options, s))) return st;
    return weft_session_compile(*s, attrs);
}

/* ---- does it learn? ---- */
/* logs: loss and accuracy over all samples, before and after. */
static weft_status learn(weft_context *ctx, const char *device, weft_logs *before, weft_logs *after)
{
    weft_model *m = make_model(ctx, "org.example.LSTM");
    weft_session *s = NULL;
    weft_fit_options options = { .epochs = 40, .batch_size = BATCH, .seed = 1 };
    part all;
    weft_status st = WEFT_E_ARG;

    if (!m || (st = start(m, device, "strict=true", "Adam(learning_rate=0.01)", &s))) goto out;
    if ((st = weft_session_evaluate(s, samples(&all, 0, SAMPLES), 0, before))) goto out;
    if ((st = weft_session_fit(s, samples(&all, 0, SAMPLES), &options, NULL))) goto out;
    st = weft_session_evaluate(s, samples(&all, 0, SAMPLES), 0, after);
out:
    weft_session_destroy(&s);
    weft_model_destroy(&m);
    return st;
}

/* Who does not remember the first symbol is right in a quarter of the cases, at a loss of log 4. */
static int learns(weft_context *ctx, const char *device)
{
    weft_logs before, after;
    int ok;

    if (learn(ctx, device, &before, &after)) {
        printf("%s: %s\n", device, weft_error());
        return 0;
    }
    ok = before.value[1] < 0.5 && after.value[1] == 1 && after.value[0] < log(SYMBOLS) / 10;
    printf("%-10s loss %.3f -> %.4f, accuracy %.3f -> %.3f: %s\n", device, before.value[0],
           after.value[0], before.value[1], after.value[1],
           ok ? "it has learned" : "it has learned too little");
    return ok;
}

/* ---- does it learn the same? ---- */
typedef struct weights {
    float value[VARIABLES][LARGEST];
    uint64_t count[VARIABLES];
} weights;

static weft_status exchange(weft_model *m, weights *w, int set)
{
    weft_status st = weft_model_n_variables(m) == VARIABLES ? WEFT_OK : WEFT_E_SHAPE;

    for (uint32_t i = 0; i < VARIABLES && !st; i++) {
        weft_array a = { .data = w->value[i] };

        if ((st = weft_model_variable(m, i, NULL, &a.spec, NULL))) break;
        if ((w->count[i] = weft_array_count(&a)) > LARGEST) return WEFT_E_SHAPE;
        st = set ? weft_model_set_variable(m, i, &a) : weft_model_get_variable(m, i, &a);
    }
    return st;
}

/* STEPS steps from `from` on; the new weights into *to. */
static weft_status train(weft_context *ctx, const char *lstm, const char *device,
                         const char *options, const weights *from, weights *to)
{
    weft_model *m = make_model(ctx, lstm);
    weft_session *s = NULL;
    weft_status st = WEFT_E_ARG;
    part batch;

    *to = *from;
    if (!m || (st = exchange(m, to, 1))) goto out;
    if ((st = start(m, device, options, "SGD(learning_rate=0.2 momentum=0.9)", &s))) goto out;
    for (int i = 0; i < STEPS && !st; i++)
        st = weft_session_train_step(s, samples(&batch, i * BATCH % SAMPLES, BATCH), NULL);
    if (!st) st = exchange(m, to, 0);
out:
    if (st) printf("%s on %s: %s\n", lstm, device, weft_error());
    weft_session_destroy(&s);
    weft_model_destroy(&m);
    return st;
}

/* NaN where anything is. */
static double distance(const weights *a, const weights *b)
{
    double most = 0;

    for (int i = 0; i < VARIABLES; i++)
        for (uint64_t k = 0; k < a->count[i]; k++) {
            double x = a->value[i][k], y = b->value[i][k], d = fabs(x - y) / fmax(1, fabs(y));

            if (!(d <= most)) most = d;
        }
    return most;
}

static weights first, truth, own, got;

static int equal(weft_context *ctx, const char *device, double most)
{
    double far;
    int ok;

    if (train(ctx, "org.example.LSTM", device, "strict=true", &first, &got)) return 0;
    far = distance(&got, &truth);
    ok = far <= most;
    printf("%-10s after %d steps %.2g from LSTM's weights in float64 (up to %.2g): %s\n", device,
           STEPS, far, most, ok ? "equal" : "NOT EQUAL");
    return ok;
}

/* The truth, and how far from it float32 may be; < 0 after a failure. */
static double find_truth(weft_context *ctx)
{
    weft_model *m = make_model(ctx, "LSTM");
    double far;

    if (!m || exchange(m, &first, 0)) printf("%s\n", weft_error());
    weft_model_destroy(&m);
    if (train(ctx, "LSTM", "cpu", "dtype=float64", &first, &truth)) return -1;
    if (train(ctx, "LSTM", "cpu", NULL, &first, &own)) return -1;
    far = distance(&truth, &first);
    if (!(far > 0.05)) {
        printf("%d steps have changed the weights by %g only\n", STEPS, far);
        return -1;
    }
    return fmax(TIMES * distance(&own, &truth), STEPS * EPS);
}

int main(void)
{
    weft_context *ctx = NULL;
    int devices = 0, ok = 0;
    double most;

    make_task();
    if (weft_context_create(NULL, &ctx)) {
        printf("%s\n", weft_error());
        return 1;
    }
    most = find_truth(ctx);
    for (uint32_t i = 0; i < weft_context_n_devices(ctx) && most > 0; i++) {
        weft_dev_info info = { .struct_size = sizeof info };
        const char *id;

        if (weft_context_device(ctx, i, &id, &info) || !info.usable) continue;
        devices++;
        ok += learns(ctx, id) & equal(ctx, id, most);
    }
    weft_context_destroy(&ctx);
    return !devices || ok != devices;
}
