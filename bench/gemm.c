/* Is the choice of a gemm provider right on this device? Runs one Dense layer by each provider, in
 * turns, and prints medians and their ratio. Usage: weft_bench_gemm [DEVICE] [REPEATS] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>
#include "timing.h"

static weft_status make_model(weft_context *ctx, int64_t k, int64_t n, weft_model **m)
{
    char attrs[64];
    weft_status st = weft_model_create(ctx, "gemm", m);

    if (st) return st;
    snprintf(attrs, sizeof attrs, "units=%lld use_bias=false", (long long)n);
    weft_output(*m, weft_apply(*m, "Dense", attrs, weft_input(*m, "x", WEFT_F32, WEFT_SHAPE(k))));
    return weft_model_finish(*m);
}

/* One session a provider; runs in turns, so that what else the machine does falls on both. */
static weft_status compare(weft_context *ctx, const char *device, int64_t m, int64_t k, int64_t n,
                           int repeats)
{
    static const char *const providers[] = { "clblast", "weft" };
    weft_model *model = NULL;
    weft_session *s[2] = { NULL, NULL };
    weft_array *x = NULL, *y = NULL;
    double time[2][MAX_REPEATS], flop = 2.0 * (double)m * (double)k * (double)n;
    weft_status st = make_model(ctx, k, n, &model);

    if (!st) st = weft_array_create(&(weft_spec){ WEFT_F32, 2, { m, k } }, &x);
    for (int p = 0; !st && p < 2; p++) {
        setenv("WEFT_GEMM", providers[p], 1);
        if (!(st = weft_session_create(model, device, "strict=true", &s[p])))
            st = weft_session_run(s[p], (const weft_array *const *)&x, 1, &y, 1); /* compiles */
    }
    for (int i = 0; !st && i < repeats; i++)
        for (int p = 0; !st && p < 2; p++) {
            double start = seconds();

            st = weft_session_run(s[p], (const weft_array *const *)&x, 1, &y, 1);
            time[p][i] = seconds() - start;
        }
    if (!st) {
        double clblast = median(time[0], repeats), weft = median(time[1], repeats);

        printf("%6lld %6lld %6lld  %10.1f %10.1f  %6.2f\n", (long long)m, (long long)k,
               (long long)n, 1e-9 * flop / clblast, 1e-9 * flop / weft, clblast / weft);
    }
    weft_array_destroy(&x);
    weft_array_destroy(&y);
    for (int p = 0; p < 2; p++)
        weft_session_destroy(&s[p]);
    weft_model_destroy(&model);
    return st;
}

int main(int argc, char **argv)
{
    static const int64_t sizes[][3] = { { 64, 64, 64 },       { 256, 256, 256 },  { 512, 512, 512 },
                                        { 1024, 1024, 1024 }, { 32, 12544, 256 }, { 4096, 576, 64 },
                                        { 1, 4096, 1024 } };
    const char *device = argc > 1 ? argv[1] : "opencl:0";
    int repeats = repeats_of(argc > 2 ? argv[2] : NULL, 21);
    weft_context *ctx = NULL;
    weft_status st = weft_context_create(NULL, &ctx);

    if (!st)
        printf("%s, medians of %d, GFLOP/s with transfers of input and result\n"
               "     m      k      n     CLBlast       "
               "Weft   Weft/CLBlast\n",
               device, repeats);
    for (size_t i = 0; !st && i < sizeof sizes / sizeof *sizes; i++)
        st = compare(ctx, device, sizes[i][0], sizes[i][1], sizes[i][2], repeats);
    if (st) fprintf(stderr, "%s\n", weft_error());
    weft_context_destroy(&ctx);
    return st != WEFT_OK;
}
