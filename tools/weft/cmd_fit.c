/* weft fit MODEL -x NAME=FILE.npy... -y FILE.npy --loss NAME -o FILE: trains a model. */
#include <signal.h>
#include <stdio.h>
#include "training.h"

typedef struct fit {
    training t;
    const char *output;
    uint64_t epochs;
    weft_fit_options options;
    uint32_t done; /* epochs */
} fit;

/* Signals that end the training well, with what it has learned until then. */
static const struct {
    int number;
    const char *name;
} stop_signals[] = { { SIGINT, "SIGINT" }, { SIGTERM, "SIGTERM" }, { SIGHUP, "SIGHUP" } };
enum { STOP_SIGNALS = sizeof stop_signals / sizeof *stop_signals };
static volatile sig_atomic_t stop_signal; /* 0: none came */

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
    if (!f->output) {
        fprintf(stderr, "weft: fit: the trained weights are not kept; give -o FILE.keras to keep "
                        "them\n");
        return TOOL_OK;
    }
    if (over_an_input(&f->t, f->output))
        return tool_usage_error("fit", "-o %s is a file that is read; give another one", f->output);
    return tool_check_output("fit", f->t.ctx, f->output);
}

static weft_status on_epoch(void *user, weft_epoch *epoch)
{
    fit *f = user;

    if (f->t.json) {
        printf("%s\n    { \"epoch\": %u, \"seconds\": %.3f, \"logs\": ", f->done ? "," : "",
               (unsigned)epoch->number, epoch->seconds);
        training_print_json(epoch->logs);
        printf(" }");
        fflush(stdout);
    }
    f->done = epoch->number;
    return WEFT_OK;
}

/* The second ends the program at once. */
static void on_signal(int number)
{
    if (stop_signal) {
        signal(number, SIG_DFL);
        raise(number);
    }
    stop_signal = number;
}

/* keeps: a reader that goes away (`| head`) is no reason to lose what was learned. */
static void catch_signals(int keeps)
{
    struct sigaction action = { .sa_handler = on_signal }, old;

    action.sa_flags = SA_RESTART;
    for (int i = 0; i < STOP_SIGNALS; i++)
        if (!sigaction(stop_signals[i].number, NULL, &old) && old.sa_handler != SIG_IGN)
            sigaction(stop_signals[i].number, &action, NULL);
    if (keeps) signal(SIGPIPE, SIG_IGN);
}

/* Whole JSON also after a failure. */
static void end_json(const fit *f, int code, double seconds)
{
    printf(" ],\n  \"seconds\": %.3f, \"%s\": ", seconds, code ? "error" : "saved");
    if (code || f->output)
        tool_json_string(code ? weft_error() : f->output);
    else
        printf("null");
    printf(" }\n");
}

static int save(const fit *f)
{
    if (f->output && (weft_model_set_note(f->t.model, WEFT_NOTE_COMPILE, f->t.compiled) ||
                      weft_model_save(f->t.model, f->output)))
        return tool_fail();
    return TOOL_OK;
}

/* Shells give 128 + the signal for a program that one has ended. */
static int tell_signal(const fit *f)
{
    int number = stop_signal, i = 0;

    if (!number || f->done == f->options.epochs) return TOOL_OK;
    while (i < STOP_SIGNALS - 1 && stop_signals[i].number != number)
        i++;
    fprintf(stderr, "weft: fit: stopped by %s after %u of %u epochs; %s\n", stop_signals[i].name,
            (unsigned)f->done, (unsigned)f->options.epochs,
            f->output ? "what was learned until then is kept" : "nothing is kept without -o");
    return 128 + number;
}

static int train(fit *f)
{
    double start = tool_seconds();
    int code;

    f->options.epochs = (uint32_t)f->epochs;
    f->options.batch_size = f->t.batch_size;
    f->options.progress = f->t.json ? stderr : stdout;
    f->options.on_epoch = on_epoch;
    f->options.user = f;
    f->options.stop = &stop_signal;
    catch_signals(f->output != NULL);
    if (f->t.json) printf("{ \"epochs\": [");
    code = weft_session_fit(f->t.session, &f->t.data, &f->options, NULL) ? tool_fail() : save(f);
    if (f->t.json) end_json(f, code, tool_seconds() - start);
    if (!code) code = tell_signal(f);
    if (code || f->t.json) return code;
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
    "      --json              for programs: the numbers of each epoch; and, if it failed, why\n"
    "  Ctrl-C                  ends the training after the batch, and writes the file\n\n"
    "example: weft fit model.keras -x image=a.npy -x tabular=b.npy -y y.npy --epochs 5 "
    "--loss binary_crossentropy --metrics accuracy --validation-split 0.2 -o trained.keras\n",
    run
};
