/* weft fit MODEL -x NAME=FILE.npy... -y FILE.npy --loss NAME -o FILE: trains a model. */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "training.h"

typedef struct fit {
    training t;
    const char *output;
    uint64_t epochs;
    weft_fit_options options;
    uint32_t printed; /* epochs, as JSON */
} fit;

static int parse(int argc, char **argv, fit *f)
{
    enum { OPTIMIZER = TRAINING_OPTION_COUNT, EPOCHS, SPLIT, SEED, NO_SHUFFLE, OUTPUT, WORD };
    static const tool_option options[] = {
        TRAINING_OPTIONS,           { 0, "optimizer", 1, NULL },
        { 0, "epochs", 1, NULL },   { 0, "validation-split", 1, NULL },
        { 0, "seed", 1, NULL },     { 0, "no-shuffle", 0, NULL },
        { 'o', "output", 1, NULL }, { 0 }
    };
    tool_args args = { .argc = argc, .argv = argv, .options = options, .verb = f->t.verb };
    int i, code;

    while ((i = tool_next(&args, &code)) != -1) {
        if (i == -2) return code;
        switch (i) {
        case OPTIMIZER: f->t.optimizer = args.value; break;
        case EPOCHS: code = tool_number(&args, "epochs", 1, UINT32_MAX, &f->epochs); break;
        case SPLIT:
            code = tool_fraction(&args, "validation-split", &f->options.validation_split);
            break;
        case SEED: code = tool_number(&args, "seed", 0, UINT64_MAX, &f->options.seed); break;
        case NO_SHUFFLE: f->options.keep_order = 1; break;
        case OUTPUT: f->output = args.value; break;
        case WORD: code = training_model(&f->t, args.value); break;
        default: code = training_option(&f->t, &args, i); break;
        }
        if (code) return code;
    }
    return training_check(&f->t);
}

static int ends_with_word_of(const char *path, const char *words)
{
    size_t len = strlen(path);

    for (; *words; words += strspn(words, " ")) {
        size_t n = strcspn(words, " ");

        if (n < len && !strncasecmp(path + len - n, words, n)) return 1;
        words += n;
    }
    return 0;
}

/* Is there a format plugin that writes files of that extension? */
static int has_writer(weft_context *ctx, const char *path)
{
    weft_plugin_info p;

    for (uint32_t i = 0; i < weft_context_n_plugins(ctx); i++) {
        if (weft_context_plugin(ctx, i, &p) || !p.loaded) continue;
        for (uint32_t k = 0; p.plugin->formats && p.plugin->formats[k]; k++) {
            const weft_format *format = p.plugin->formats[k];

            if (WEFT_HAS(format, write) && format->extensions &&
                ends_with_word_of(path, format->extensions))
                return 1;
        }
    }
    return 0;
}

static int over_an_input(const training *t, const char *path)
{
    int over = tool_same_file(path, t->path);

    for (uint32_t i = 0; i < t->x_files.n; i++)
        over |= tool_same_file(path, tool_file_path(t->x_files.text[i]));
    for (uint32_t i = 0; i < t->y_files.n; i++)
        over |= tool_same_file(path, tool_file_path(t->y_files.text[i]));
    return over;
}

/* What is wrong with -o is said before the work, not after it; no input is overwritten. */
static int check_output(const fit *f)
{
    char folder[4096];
    const char *slash;

    if (!f->output) {
        fprintf(stderr, "weft: fit: the trained weights are not kept; give -o FILE.keras to keep "
                        "them\n");
        return TOOL_OK;
    }
    if (over_an_input(&f->t, f->output))
        return tool_usage_error("fit", "-o %s is a file that is read; give another one", f->output);
    if (!has_writer(f->t.ctx, f->output))
        return tool_usage_error("fit",
                                "-o %s: no plugin writes such files; give a file that ends in "
                                ".keras (`weft plugins` lists the plugins)",
                                f->output);
    slash = strrchr(f->output, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - f->output + 1) : 1,
             slash ? f->output : ".");
    if (!access(folder, W_OK)) return TOOL_OK;
    return tool_usage_error("fit",
                            "-o %s: files cannot be written in the folder %s; give another "
                            "one",
                            f->output, folder);
}

static weft_status print_epoch(void *user, weft_epoch *epoch)
{
    fit *f = user;

    printf("%s\n    { \"epoch\": %u, \"seconds\": %.3f, \"logs\": ", f->printed++ ? "," : "",
           (unsigned)epoch->number, epoch->seconds);
    training_print_json(epoch->logs);
    printf(" }");
    fflush(stdout);
    return WEFT_OK;
}

static int train(fit *f)
{
    double start = tool_seconds();

    f->options.epochs = (uint32_t)f->epochs;
    f->options.batch_size = f->t.batch_size;
    f->options.progress = f->t.json ? stderr : stdout;
    if (f->t.json) {
        f->options.on_epoch = print_epoch;
        f->options.user = f;
        printf("{ \"epochs\": [");
    }
    if (weft_session_fit(f->t.session, &f->t.data, &f->options, NULL) ||
        (f->output && (weft_model_set_note(f->t.model, WEFT_NOTE_COMPILE, f->t.compiled) ||
                       weft_model_save(f->t.model, f->output))))
        return tool_fail();
    if (f->t.json) {
        printf(" ],\n  \"seconds\": %.3f, \"saved\": ", tool_seconds() - start);
        if (f->output)
            tool_json_string(f->output);
        else
            printf("null");
        printf(" }\n");
        return TOOL_OK;
    }
    if (f->output) printf("%s -> %s\n", weft_model_name(f->t.model), f->output);
    printf("%.3f s\n", tool_seconds() - start);
    return TOOL_OK;
}

static int run(int argc, char **argv)
{
    fit f = { .t = { .verb = "fit",
                     .x_files = { .option = 'x' },
                     .y_files = { .option = 'y', .outputs = 1 },
                     .optimizes = 1 },
              .epochs = 1 };
    int code = parse(argc, argv, &f);

    if (code) return code;
    if (!(code = training_load(&f.t)) && !(code = check_output(&f)) &&
        !(code = training_open(&f.t)))
        code = train(&f);
    training_close(&f.t);
    return code;
}

const tool_verb tool_fit = {
    "fit", "MODEL -x NAME=FILE.npy... -y NAME=FILE.npy... [--loss NAME] [-o FILE] [-d DEVICE]...",
    "trains a model on arrays from .npy files",
    TRAINING_HELP
    "      --optimizer NAME    the file's, or adam; sgd, or with attributes:\n"
    "                          'SGD(learning_rate=0.01 momentum=0.9)'\n"
    "      --epochs N          how often all samples are seen (1)\n"
    "      --validation-split F  this part of the samples, the last ones, only validates (0)\n"
    "      --no-shuffle        the samples in their order, in every epoch\n"
    "      --seed N            of the shuffling (0)\n"
    "  -o, --output FILE       where the trained model is written (.keras), with how it was\n"
    "                          trained; none: it is not kept\n"
    "      --json              for programs: the numbers of each epoch\n\n"
    "example: weft fit model.keras -x image=a.npy -x tabular=b.npy -y y.npy --epochs 5 "
    "--loss binary_crossentropy --metrics accuracy --validation-split 0.2 -o trained.keras\n",
    run
};
