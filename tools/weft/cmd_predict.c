/* weft predict MODEL -i NAME=FILE.npy ... -o FILE: runs a model on arrays from files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tool.h"

typedef struct predict {
    const char *model, *output;
    char devices[TOOL_DEVICES], session_options[128];
    tool_files inputs;
    uint64_t batch_size;
    int strict, f64;
} predict;

static int parse(int argc, char **argv, predict *p)
{
    static const tool_option options[] = { { 'i', "input", 1 },
                                           { 'o', "output", 1 },
                                           { 'd', "device", 1 },
                                           { 'b', "batch-size", 1 },
                                           { 0, "strict", 0 },
                                           { 0, "f64", 0 },
                                           { 0 } };
    tool_args args = { .argc = argc, .argv = argv, .options = options, .verb = "predict" };
    int i, code;

    while ((i = tool_next(&args, &code)) != -1) {
        if (i == -2) return code;
        if (i == 0 && (code = tool_add_file(&args, &p->inputs)))
            return code;
        else if (i == 1)
            p->output = args.value;
        else if (i == 2 && (code = tool_add_device(&args, p->devices)))
            return code;
        else if (i == 3 &&
                 (code = tool_number(&args, "batch-size", 1, TOOL_MAX_BATCH, &p->batch_size)))
            return code;
        else if (i == 4)
            p->strict = 1;
        else if (i == 5)
            p->f64 = 1;
        else if (i == 6 && p->model)
            return tool_usage_error("predict", "takes one MODEL, got %s and %s", p->model,
                                    args.value);
        else if (i == 6)
            p->model = args.value;
    }
    if (!p->model)
        return tool_usage_error("predict",
                                "give a MODEL file: weft predict model.keras -i a.npy -o y.npy");
    if (!p->output)
        return tool_usage_error("predict", "give -o FILE.npy (or .npz) for the results");
    snprintf(p->session_options, sizeof p->session_options, "strict=%s dtype=%s",
             p->strict ? "true" : "false", p->f64 ? "float64" : "float32");
    return TOOL_OK;
}

static void show_progress(void *user, uint64_t done, uint64_t total)
{
    (void)user;
    if (!isatty(2)) return;
    fprintf(stderr, "\r%llu/%llu samples%s", (unsigned long long)done, (unsigned long long)total,
            done == total ? "\n" : "");
}

/* One output: an .npy; several: an .npz with their names. */
static weft_status save(const weft_model *model, const char *path, weft_array **y, uint32_t n)
{
    const char *dot = strrchr(path, '.');
    weft_npz npz = { .n = n, .array = y };
    weft_status st = WEFT_OK;

    if (n == 1 && !(dot && !strcmp(dot, ".npz"))) return weft_npy_write(path, y[0]);
    if (!(npz.name = calloc(n, sizeof *npz.name))) return WEFT_E_NOMEM;
    for (uint32_t i = 0; i < n; i++) {
        const char *name = NULL;

        if (!st && !(st = weft_model_output(model, i, &name, NULL))) npz.name[i] = strdup(name);
        if (!npz.name[i]) st = WEFT_E_NOMEM;
    }
    if (!st) st = weft_npz_write(path, &npz);
    for (uint32_t i = 0; i < n; i++)
        free(npz.name[i]);
    free(npz.name);
    return st;
}

static void report(const weft_model *model, weft_array **y, uint32_t n, const char *path,
                   double seconds)
{
    for (uint32_t i = 0; i < n; i++) {
        const char *name = "";

        weft_model_output(model, i, &name, NULL);
        printf("%s (", name);
        for (int32_t k = 0; k < y[i]->spec.rank; k++)
            printf("%s%lld", k ? ", " : "", (long long)y[i]->spec.dim[k]);
        printf(") %s -> %s\n", weft_dtype_name(y[i]->spec.dtype), path);
    }
    printf("%.3f s\n", seconds);
}

static int ends_with(const char *path, const char *end)
{
    size_t n = strlen(path), m = strlen(end);

    return n > m && !strcmp(path + n - m, end);
}

/* What is wrong with -o is said before the work, not after it; no input is overwritten. */
static int check_output(const predict *p, uint32_t n_outputs)
{
    if (!ends_with(p->output, ".npz") && (n_outputs > 1 || !ends_with(p->output, ".npy"))) {
        fprintf(stderr, "weft: -o %s: the model has %u output%s; give a file that ends in %s\n",
                p->output, n_outputs, n_outputs == 1 ? "" : "s",
                n_outputs == 1 ? ".npy or .npz" : ".npz");
        return 0;
    }
    if (tool_same_file(p->output, p->model)) {
        fprintf(stderr, "weft: -o %s is the model's file; give another one\n", p->output);
        return 0;
    }
    for (uint32_t i = 0; i < p->inputs.n; i++) {
        if (!tool_same_file(p->output, tool_file_path(p->inputs.text[i]))) continue;
        fprintf(stderr, "weft: -o %s is the file of an input; give another one\n", p->output);
        return 0;
    }
    return 1;
}

static int run(int argc, char **argv)
{
    predict p = { .inputs = { .option = 'i' }, .batch_size = 32 };
    weft_context *ctx = NULL;
    weft_model *model = NULL;
    weft_session *session = NULL;
    weft_array **x = NULL, **y = NULL;
    uint32_t n_x = 0, n_y = 0;
    double start;
    int code = parse(argc, argv, &p);

    if (code) return code;
    code = TOOL_FAILED;
    if (tool_context(&ctx) || weft_model_load(ctx, p.model, &model)) {
        tool_fail();
        goto out;
    }
    if (!check_output(&p, weft_model_n_outputs(model))) {
        code = TOOL_USAGE;
        goto out;
    }
    if (tool_load_arrays(model, &p.inputs, &x, &n_x)) goto out;
    n_y = weft_model_n_outputs(model);
    if (!(y = calloc(n_y, sizeof *y))) goto out;
    start = tool_seconds();
    if (weft_session_create(model, *p.devices ? p.devices : "best", p.session_options, &session) ||
        weft_session_predict(session, (const weft_array *const *)x, n_x, y, n_y, p.batch_size,
                             show_progress, NULL) ||
        save(model, p.output, y, n_y)) {
        tool_fail();
        goto out;
    }
    report(model, y, n_y, p.output, tool_seconds() - start);
    code = TOOL_OK;
out:
    tool_free_arrays(&x, n_x);
    tool_free_arrays(&y, n_y);
    weft_session_destroy(&session);
    weft_model_destroy(&model);
    weft_context_destroy(&ctx);
    return code;
}

const tool_verb tool_predict = {
    "predict", "MODEL -i NAME=FILE.npy... -o FILE [-d DEVICE]...",
    "runs a model on arrays from .npy files",
    "  -i, --input NAME=FILE.npy   one for each input; NAME= may be left out if there is one "
    "input\n"
    "  -o, --output FILE           .npy for one output, .npz for several\n"
    "  -d, --device DEVICE         cpu, opencl:0, best (default); again: the next choice\n"
    "  -b, --batch-size N          samples at a time (32)\n"
    "      --strict                an op that the first device cannot run is an error\n"
    "      --f64                   compute in float64, on the cpu\n\n"
    "example: weft predict model.keras -i image=a.npy -i tabular=b.npy -o y.npy -d opencl:0\n",
    run
};
