/* Layers of plugins that were built out of tree (XTanh from weft's plugins/example/xtanh.c, Swish
 * from swish.c), found through WEFT_PLUGIN_PATH and run on every device, against the formulas: x
 * tanh(x), and x / (1 + exp(-1.5 x)). */
#include <math.h>
#include <weft/weft.h>

enum { SAMPLES = 3, WIDTH = 37 };

static weft_model *make(weft_context *ctx)
{
    weft_model *m = NULL;
    weft_tensor x, y;

    if (weft_model_create(ctx, "outside", &m)) return NULL;
    x = weft_input(m, "x", WEFT_F32, WEFT_SHAPE(WIDTH));
    y = weft_apply(m, "org.example.XTanh", NULL, x);
    weft_output(m, y);
    y = weft_apply(m, "org.example.Swish", "beta=1.5", x);
    weft_output(m, y);
    if (weft_model_finish(m)) weft_model_destroy(&m);
    return m;
}

/* Is every element within a few roundings of the formula's? */
static int right(const float *x, const weft_array *y, int swish)
{
    const float *got = y->data;

    for (int i = 0; i < SAMPLES * WIDTH; i++) {
        double v = x[i], want = swish ? v / (1 + exp(-1.5 * v)) : v * tanh(v);

        if (fabs(got[i] - want) <= 1e-5 * fabs(want) + 1e-7) continue;
        printf("%s(%g) is %.9g, not %.9g\n", swish ? "Swish" : "XTanh", v, got[i], want);
        return 0;
    }
    return 1;
}

static int run(weft_model *m, const char *device, const float *x)
{
    weft_array in = { { WEFT_F32, 2, { SAMPLES, WIDTH } }, (float *)x }, *y[2] = { NULL, NULL };
    const weft_array *inputs[] = { &in };
    weft_session *s = NULL;
    int ok = 0;

    if (weft_session_create(m, device, "strict=true", &s) || weft_session_run(s, inputs, 1, y, 2))
        printf("%s: %s\n", device, weft_error());
    else
        ok = right(x, y[0], 0) & right(x, y[1], 1);
    printf("%s: %s\n", device, ok ? "right" : "wrong");
    weft_array_destroy(&y[0]);
    weft_array_destroy(&y[1]);
    weft_session_destroy(&s);
    return ok;
}

int main(void)
{
    float x[SAMPLES * WIDTH];
    weft_context *ctx = NULL;
    weft_model *m = NULL;
    int devices = 0, ok = 0;

    for (int i = 0; i < SAMPLES * WIDTH; i++)
        x[i] = (float)(i - SAMPLES * WIDTH / 2) * 0.09375f;
    if (weft_context_create(NULL, &ctx) || !(m = make(ctx))) {
        printf("%s\n", weft_error());
        goto out;
    }
    for (uint32_t i = 0; i < weft_context_n_devices(ctx); i++) {
        weft_dev_info info = { .struct_size = sizeof info };
        const char *id;

        if (weft_context_device(ctx, i, &id, &info) || !info.usable) continue;
        devices++;
        ok += run(m, id, x);
    }
out:
    weft_model_destroy(&m);
    weft_context_destroy(&ctx);
    return !devices || ok != devices;
}
