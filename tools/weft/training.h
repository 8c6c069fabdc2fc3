/* What `weft fit` and `weft evaluate` share: options, and a session with all that it needs. */
#ifndef WEFT_TOOL_TRAINING_H
#define WEFT_TOOL_TRAINING_H
#include "tool.h"

typedef struct training {
    const char *verb, *path; /* of the model */
    char devices[TOOL_DEVICES];
    tool_files x_files, y_files;
    /* values of attribute text; NULL: the file's */
    const char *optimizer, *loss, *loss_weights, *metrics;
    int optimizes;       /* 0: no optimizer, also if the file has one */
    uint64_t batch_size; /* 0: the library chooses */
    int strict, json;
    /* opened */
    weft_context *ctx;
    weft_model *model;
    weft_session *session;
    weft_array **x, **y;
    uint32_t n_x, n_y;
    weft_data data;
    int n_given;     /* how many of the values options gave */
    unsigned taken;  /* a bit for each of them that the file gave */
    char *from_file; /* what the file says of these values, cut into pieces */
    char *compiled;  /* the text that the session is compiled with */
} training;

/* The options, to stand first in a verb's table, and their help. */
#define TRAINING_OPTION(letter, name, takes, alias) \
    {                                               \
        letter, name, takes, alias                  \
    }
#define TRAINING_OPTIONS                                                                         \
    TRAINING_OPTION('x', "x", 1, NULL), TRAINING_OPTION('y', "y", 1, NULL),                      \
        TRAINING_OPTION('d', "device", 1, NULL), TRAINING_OPTION('b', "batch", 1, "batch-size"), \
        TRAINING_OPTION(0, "loss", 1, NULL), TRAINING_OPTION(0, "loss-weights", 1, NULL),        \
        TRAINING_OPTION(0, "metrics", 1, NULL), TRAINING_OPTION(0, "strict", 0, NULL),           \
        TRAINING_OPTION(0, "json", 0, NULL)
enum { TRAINING_OPTION_COUNT = 9 };
#define TRAINING_HELP                                                                             \
    "  -x NAME=FILE.npy        one for each input; NAME= may be left out if there is one input\n" \
    "  -y NAME=FILE.npy        what the model should make of it; one for each output\n"           \
    "      --loss NAME         mse, mae, binary_crossentropy, categorical_crossentropy,\n"        \
    "                          sparse_categorical_crossentropy, or with attributes:\n"            \
    "                          'BinaryCrossentropy(from_logits=true)'; one, or one for each\n"    \
    "                          output: mse,binary_crossentropy\n"                                 \
    "                          none given: the file's, if it was trained; so all that follow\n"   \
    "      --loss-weights F,F  factors of the outputs' losses in the sum (1)\n"                   \
    "      --metrics NAME,..   accuracy, mse, mae ..\n"                                           \
    "  -d, --device DEVICE     cpu, opencl:0, best (default); again: the next choice\n"           \
    "  -b, --batch N           samples at a time (32, or what the model fixes)\n"                 \
    "      --strict            an op that the first device cannot run is an error\n"

/* Option i < TRAINING_OPTION_COUNT of args; an exit code. */
int training_option(training *t, const tool_args *args, int i);
/* The word that is no option; an exit code. */
int training_model(training *t, const char *path);
/* After the last option: is all there that must be? An exit code. */
int training_check(const training *t);
/* Exit codes, errors told: the model, whose file may tell what no option tells; then its arrays,
 * and a session that is compiled. */
int training_load(training *t);
int training_open(training *t);
void training_close(training *t);
/* { "loss": 0.5, "accuracy": null } on stdout */
void training_print_json(const weft_logs *logs);
#endif
