/* weft check MODEL: every op on every device against the f64 reference on the cpu; the first that
 * differs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tool.h"

typedef struct check {
    const char *model;
    char device[16][64];
    uint32_t n_devices;
    tool_files inputs;
    uint64_t seed;
    int verbose;
    uint32_t passed, failed, unverified;
    int named; /* the first failed op of this device has been printed */
} check;

static int parse(int argc, char **argv, check *c)
{
    static const tool_option options[] = {
        { 'd', "device", 1 }, { 'i', "input", 1 }, { 0, "seed", 1 }, { 'v', "verbose", 0 }, { 0 }
    };
    tool_args args = { .argc = argc, .argv = argv, .options = options, .verb = "check" };
    int i, code;

    while ((i = tool_next(&args, &code)) != -1) {
        if (i == -2) return code;
        if (i == 0 && (code = tool_device(&args))) return code;
        if (i == 0 && (c->n_devices == 16 || strlen(args.value) >= 64))
            return tool_usage_error("check", "--device %s: %s", args.value,
                                    c->n_devices == 16 ? "more than 16 devices"
                                                       : "no device has so long a name");
        if (i == 0)
            strcpy(c->device[c->n_devices++], args.value);
        else if (i == 1 && (code = tool_add_file(&args, &c->inputs)))
            return code;
        else if (i == 2 && (code = tool_number(&args, "seed", 0, UINT64_MAX, &c->seed)))
            return code;
        else if (i == 3)
            c->verbose = 1;
        else if (i == 4 && c->model)
            return tool_usage_error("check", "takes one MODEL, got %s and %s", c->model,
                                    args.value);
        else if (i == 4)
            c->model = args.value;
    }
    if (!c->model) return tool_usage_error("check", "give a MODEL file: weft check model.keras");
    return TOOL_OK;
}

static void print_line(void *user, const weft_check_line *line)
{
    static const char *const words[] = { "?", "PASSED", "FAILED", "UNVERIFIED" };
    check *c = user;
    int first = line->result == WEFT_CHECK_FAILED && !c->named;

    c->passed += line->result == WEFT_CHECK_PASSED;
    c->failed += line->result == WEFT_CHECK_FAILED;
    c->unverified += line->result == WEFT_CHECK_UNVERIFIED;
    if (!c->verbose && !first && line->result != WEFT_CHECK_UNVERIFIED) return;
    printf("%s%-10s %-9s %s (%s) at %s", first ? "first that differs: " : "", words[line->result],
           line->device, line->op, line->variant, line->path);
    if (*line->why)
        printf(": %s", line->why);
    else
        printf(": error %.3g, bound %.3g", line->error, line->bound);
    if (line->result == WEFT_CHECK_FAILED && !*line->why)
        printf("; element %llu: got %.9g, want %.9g", (unsigned long long)line->index, line->got,
               line->want);
    printf("\n");
    if (first) printf("    %s\n", line->attrs);
    c->named |= first;
}

/* All usable devices, unless some were named. */
static weft_status choose_devices(weft_context *ctx, check *c)
{
    const char *id;

    if (c->n_devices) return WEFT_OK;
    for (uint32_t i = 0; i < weft_context_n_devices(ctx) && c->n_devices < 16; i++) {
        weft_dev_info d = { .struct_size = sizeof d };
        weft_status st = weft_context_device(ctx, i, &id, &d);

        if (st) return st;
        if (d.usable && strlen(id) < 64) strcpy(c->device[c->n_devices++], id);
    }
    return WEFT_OK;
}

static int run(int argc, char **argv)
{
    check c = { .inputs = { .option = 'i' }, .seed = 1 };
    weft_context *ctx = NULL;
    weft_model *model = NULL;
    weft_array **x = NULL;
    uint32_t n_x = 0, failed = 0;
    int code = parse(argc, argv, &c);

    if (code) return code;
    code = TOOL_FAILED;
    if (tool_context(&ctx) || weft_model_load(ctx, c.model, &model) || choose_devices(ctx, &c)) {
        tool_fail();
        goto out;
    }
    if (c.inputs.n && tool_load_arrays(model, &c.inputs, &x, &n_x)) goto out;
    code = TOOL_OK;
    for (uint32_t i = 0; i < c.n_devices; i++) {
        weft_check_options options = { .seed = c.seed,
                                       .inputs = (const weft_array *const *)x,
                                       .n_inputs = n_x };

        c.passed = c.failed = c.unverified = 0;
        c.named = 0;
        if (weft_check_model(model, c.device[i], &options, print_line, &c, &failed)) {
            code = tool_fail();
            continue;
        }
        printf("%-10s %u op%s right, %u wrong, %u unverified\n", c.device[i], c.passed,
               c.passed == 1 ? "" : "s", c.failed, c.unverified);
        if (failed) code = TOOL_FAILED;
    }
out:
    tool_free_arrays(&x, n_x);
    weft_model_destroy(&model);
    weft_context_destroy(&ctx);
    return code;
}

const tool_verb tool_check = {
    "check", "MODEL [-d DEVICE]...", "compares every op on every device with the cpu in float64",
    "  -d, --device DEVICE      only this device; may be repeated (default: all)\n"
    "  -i, --input NAME=FILE    real inputs instead of random ones\n"
    "      --seed N             of the random inputs (1)\n"
    "  -v, --verbose            a line for every op, not only for wrong ones\n\n"
    "Each op gets the reference's values as inputs, so a wrong op is named, and not the ones "
    "behind it.\n\n"
    "example: weft check model.keras -d opencl:0\n",
    run
};
