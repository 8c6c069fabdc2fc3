/* What is the fused op lstm worth in training? Trains one model with two LSTMs on two series by the
 * class LSTM (fused) and by org.example.LSTM (the same steps by a scan, plugins/example/lstm.c), in
 * turns, and prints medians and their ratio. Usage: weft_bench_train_lstm [DEVICE] [REPEATS] */
#include <stdio.h>
#include <weft/weft.h>
#include "timing.h"

enum { BATCH = 32, FEATURES = 8 };

typedef struct size {
    int64_t steps, units;
} size;

static weft_status make_model(weft_context *ctx, const char *lstm, size n, weft_model **m)
{
    weft_tensor x[2], joined;
    char attrs[64];
    weft_status st = weft_model_create(ctx, "series", m);

    if (st) return st;
    snprintf(attrs, sizeof attrs, "units=%lld", (long long)n.units);
    for (int i = 0; i < 2; i++)
        x[i] = weft_apply(*m, lstm, attrs,
                          weft_input(*m, i ? "b" : "a", WEFT_F32, WEFT_SHAPE(n.steps, FEATURES)));
    joined = weft_apply(*m, "Concatenate", NULL, x[0], x[1]);
    weft_output(*m, weft_apply(*m, "Dense", "units=1", joined));
    return weft_model_finish(*m);
}

/* Two arrays of numbers between -1 and 1, and one of targets. */
static weft_status make_data(size n, weft_array **array)
{
    const weft_spec spec[3] = { { WEFT_F32, 3, { BATCH, n.steps, FEATURES } },
                                { WEFT_F32, 3, { BATCH, n.steps, FEATURES } },
                                { WEFT_F32, 2, { BATCH, 1 } } };
    uint32_t seed = 1;
    weft_status st = WEFT_OK;

    for (int i = 0; i < 3 && !st; i++) {
        if ((st = weft_array_create(&spec[i], &array[i]))) break;
        for (uint64_t k = 0; k < weft_array_count(array[i]); k++) {
            seed = seed * 1664525u + 1013904223u;
            ((float *)array[i]->data)[k] = (float)(int32_t)seed * 0x1p-31f;
        }
    }
    return st;
}

/* One session a class, in turns, so that what else the machine does falls on both. Each step ends
 * with the loss read back. */
static weft_status compare(weft_context *ctx, const char *device, size n, int repeats)
{
    static const char *const classes[] = { "LSTM", "org.example.LSTM" };
    static double time[2][MAX_REPEATS];
    weft_model *m[2] = { NULL, NULL };
    weft_session *s[2] = { NULL, NULL };
    weft_array *a[3] = { NULL, NULL, NULL };
    weft_logs logs;
    weft_status st = make_data(n, a);
    const weft_array *x[2] = { a[0], a[1] }, *y = a[2];
    weft_data batch = { x, &y, 2, 1 };

    for (int c = 0; !st && c < 2; c++) {
        if ((st = make_model(ctx, classes[c], n, &m[c]))) break;
        if ((st = weft_session_create(m[c], device, "strict=true", &s[c]))) break;
        if ((st = weft_session_compile(s[c], "optimizer=adam loss=mse"))) break;
        st = weft_session_train_step(s[c], &batch, &logs); /* compiles */
    }
    for (int i = 0; !st && i < repeats; i++)
        for (int c = 0; !st && c < 2; c++) {
            double start = seconds();

            st = weft_session_train_step(s[c], &batch, &logs);
            time[c][i] = seconds() - start;
        }
    if (!st) {
        double fused = median(time[0], repeats), scan = median(time[1], repeats);

        printf("%6lld %6lld  %10.1f %10.1f  %6.2f\n", (long long)n.steps, (long long)n.units,
               1 / fused, 1 / scan, scan / fused);
    }
    for (int i = 0; i < 3; i++)
        weft_array_destroy(&a[i]);
    for (int c = 0; c < 2; c++) {
        weft_session_destroy(&s[c]);
        weft_model_destroy(&m[c]);
    }
    return st;
}

int main(int argc, char **argv)
{
    static const size sizes[] = { { 10, 32 }, { 100, 32 }, { 100, 128 }, { 1000, 32 } };
    const char *device = argc > 1 ? argv[1] : "opencl:0";
    int repeats = repeats_of(argc > 2 ? argv[2] : NULL, 11);
    weft_context *ctx = NULL;
    weft_status st = weft_context_create(NULL, &ctx);

    if (!st && !weft_context_layer_class(ctx, "org.example.LSTM")) {
        fprintf(stderr,
                "org.example.LSTM is missing: set WEFT_PLUGIN_PATH to a folder with lstm.so, "
                "or run the program from the build tree\n");
        weft_context_destroy(&ctx);
        return 1;
    }
    if (!st)
        printf("%s, medians of %d, training steps a second, 2 LSTMs, batch %d\n"
               " steps  units       fused       scan   fused/scan\n",
               device, repeats, BATCH);
    for (unsigned i = 0; !st && i < sizeof sizes / sizeof *sizes; i++)
        st = compare(ctx, device, sizes[i], repeats);
    if (st) fprintf(stderr, "%s\n", weft_error());
    weft_context_destroy(&ctx);
    return st != WEFT_OK;
}
