/* weft evaluate MODEL -x NAME=FILE.npy... -y FILE.npy --loss NAME: loss and metrics of a model. */
#include <stdio.h>
#include "training.h"

static int parse(int argc, char **argv, training *t)
{
    static const tool_option options[] = { TRAINING_OPTIONS, { 0 } };
    tool_args args = { .argc = argc, .argv = argv, .options = options, .verb = t->verb };
    int i, code;

    while ((i = tool_next(&args, &code)) != -1) {
        if (i == -2) return code;
        code = i < TRAINING_OPTION_COUNT ? training_option(t, &args, i)
                                         : training_model(t, args.value);
        if (code) return code;
    }
    return training_check(t);
}

static void report(const training *t, const weft_logs *logs, double seconds)
{
    long long samples = t->data.y[0]->spec.dim[0];

    if (t->json) {
        printf("{ \"samples\": %lld, \"seconds\": %.3f, \"logs\": ", samples, seconds);
        training_print_json(logs);
        printf(" }\n");
        return;
    }
    for (uint32_t i = 0; i < logs->n; i++)
        printf("%s: %.6g\n", logs->name[i], logs->value[i]);
    printf("%lld samples, %.3f s\n", samples, seconds);
}

static int run(int argc, char **argv)
{
    training t = { .verb = "evaluate",
                   .x_files = { .option = 'x' },
                   .y_files = { .option = 'y', .outputs = 1 } };
    weft_logs logs;
    double start;
    int code = parse(argc, argv, &t);

    if (code) return code;
    if ((code = training_load(&t)) || (code = training_open(&t))) goto out;
    start = tool_seconds();
    if (weft_session_evaluate(t.session, &t.data, t.batch_size, &logs))
        code = tool_fail();
    else
        report(&t, &logs, tool_seconds() - start);
out:
    training_close(&t);
    return code;
}

const tool_verb tool_evaluate = {
    "evaluate", "MODEL -x NAME=FILE.npy... -y NAME=FILE.npy... [--loss NAME] [-d DEVICE]...",
    "tells loss and metrics of a model on arrays from .npy files",
    TRAINING_HELP "      --json              for programs\n\n"
                  "example: weft evaluate model.keras -x image=a.npy -x tabular=b.npy -y y.npy "
                  "--loss binary_crossentropy --metrics accuracy\n",
    run
};
