/* weft fit and weft evaluate: wrong usage is told before any work, what they print, and what they
 * keep. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "fixture.h"
#include "program.h"
#include "saved.h"

#define DIGITS WEFT_TEST_DATA "/../../examples/digits/"
#define MODEL DIGITS "untrained.keras"
#define IMAGES "-x image=" DIGITS "train_image.npy "
#define TABLES "-x table=" DIGITS "train_table.npy "
#define LABELS "-y " DIGITS "train_labels.npy "
#define LOSS "--loss sparse_categorical_crossentropy "
#define ALL MODEL " " IMAGES TABLES LABELS LOSS "-d cpu "

static void test_usage(void **state)
{
    static const char *const verbs[] = { "fit", "evaluate" };
    char line[1024];

    (void)state;
    for (int i = 0; i < 2; i++) {
        const char *v = verbs[i];

        snprintf(line, sizeof line, "%s --help", v);
        program_says(0, line, "usage: weft |-x NAME=FILE.npy|--loss NAME|--json|example: weft ");
        program_says(2, v, "give a MODEL file");
        snprintf(line, sizeof line, "%s a.keras b.keras", v);
        program_says(2, line, "takes one MODEL, got a.keras and b.keras");
        snprintf(line, sizeof line, "%s a.keras", v);
        program_says(2, line, "give -x NAME=FILE.npy");
        snprintf(line, sizeof line, "%s a.keras -x a", v);
        program_says(2, line, "give -y NAME=FILE.npy");
        snprintf(line, sizeof line, "%s " WEFT_TEST_DATA "/training/P01.keras -x a -y b", v);
        program_says(2, line, "does not say how it was trained; give --loss NAME|mse");
        snprintf(line, sizeof line, "%s a.keras -x a -y b --loss ''", v);
        program_says(2, line, "--loss is \"\"");
        snprintf(line, sizeof line, "%s a.keras -x a -y b --loss 'mse optimizer=sgd'", v);
        program_says(2, line, "--loss is \"mse optimizer=sgd\"; give a name");
        snprintf(line, sizeof line, "%s a.keras -x a -y b --loss mse --metrics 'a b'", v);
        program_says(2, line, "--metrics is \"a b\"");
        snprintf(line, sizeof line, "%s a.keras --batch 0", v);
        program_says(2, line, "--batch is \"0\"; give a whole number from 1");
        snprintf(line, sizeof line, "%s a.keras -d ''", v);
        program_says(2, line, "--device is \"\"");
        snprintf(line, sizeof line, "%s a.keras --speed", v);
        program_says(2, line, "unknown option --speed");
    }
}

static void test_fit_usage(void **state)
{
    static const char *const splits[] = { "1", "-0.1", "x", "''", "0.5x", "nan", "1e9" };
    char line[256];

    (void)state;
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++) {
        snprintf(line, sizeof line, "fit a.keras --validation-split %s", splits[i]);
        program_says(2, line, "weft: fit: --validation-split is \"|from 0 to below 1");
    }
    program_says(2, "fit a.keras --epochs 0", "--epochs is \"0\"; give a whole number from 1");
    program_says(2, "fit a.keras --seed -1", "--seed is \"-1\"");
    program_says(2, "fit a.keras --no-shuffle=1", "option --no-shuffle takes no value");
    program_says(2, "fit a.keras -x a -y b --loss mse --optimizer 'adam loss=mae'",
                 "--optimizer is \"adam loss=mae\"");
    program_says(2, "evaluate a.keras --epochs 1", "unknown option --epochs");
}

/* No file that is read is written over, and what cannot be written is told before the training. */
static void refuse_output(const char *path, const char *words)
{
    char line[1024], text[4096];
    int code;

    snprintf(line, sizeof line, "fit " ALL "-o %s", path);
    code = program_run(line, text, sizeof text);
    if (code != 2 || !holds_words(text, words) || strstr(text, "Epoch"))
        fail_msg("weft %s: exit code %d, \"%s\" not in:\n%s", line, code, words, text);
}

static void test_output(void **state)
{
    char name[290];

    (void)state;
    program_says(2, "fit " ALL "-o " MODEL, "-o |is a file that is read; give another one");
    program_says(2, "fit " ALL "-o " DIGITS "train_table.npy", "is a file that is read");
    program_says(2, "fit " ALL "-o " DIGITS "train_labels.npy", "is a file that is read");
    program_says(2, "fit " ALL "-o trained.onnx",
                 "weft: fit: trained.onnx: no format has this extension|.keras");
    assert_int_equal(mkdir("d.keras", 0777) | mkfifo("f.keras", 0666), 0);
    assert_int_equal(symlink("/dev/null", "n.keras"), 0);
    refuse_output("d.keras", "d.keras: cannot be written: it is a directory");
    refuse_output("f.keras", "f.keras: cannot be written: it is no regular file");
    refuse_output("n.keras", "n.keras: cannot be written: it is no regular file");
    refuse_output("none/a.keras", "none/a.keras: cannot be written: No such file");
    memset(name, 'a', sizeof name - 1);
    memcpy(name + sizeof name - 7, ".keras", 7);
    refuse_output(name, "cannot be written: File name too long");
    assert_int_equal(rmdir("d.keras") | unlink("f.keras") | unlink("n.keras"), 0);
}

static void test_arrays(void **state)
{
    (void)state;
    program_says(2, "fit " MODEL " " IMAGES LABELS LOSS,
                 "input \"table\" is missing: give -x table=FILE.npy|image, table");
    program_says(2, "fit " MODEL " " IMAGES TABLES IMAGES LABELS LOSS, "this input is given twice");
    program_says(2, "evaluate " MODEL " " IMAGES TABLES "-y digits=a.npy " LOSS,
                 "-y digits=a.npy: no such output; the model's outputs are: digit (give -y");
    program_says(1, "evaluate " MODEL " " IMAGES TABLES "-y a.npy " LOSS, "a.npy");
    program_says(1, "fit " MODEL " " IMAGES "-x table=" DIGITS "table.npy " LABELS LOSS "-d cpu",
                 "weft: |1437|360");
    program_says(2, "fit " MODEL " " IMAGES TABLES LABELS "--loss hinge", "hinge");
    program_says(2, "fit " ALL "--optimizer adan", "adan");
    program_says(2, "fit " ALL "--optimizer 'SGD(speed=1)'", "no attribute \"speed\"");
    program_says(2, "fit " ALL "--optimizer 'SGD(learning_rate=inf)'", "learning_rate|inf");
    program_says(2, "fit " ALL "--optimizer 'Adam(epsilon=inf)'", "epsilon|inf");
    program_says(2, "evaluate " ALL "--metrics accuracy,accuracy", "\"accuracy\"|twice");
    program_says(2, "evaluate " ALL "-d gpu", "no device \"gpu\"");
    program_says(2, "fit " ALL "-d gpu", "no device \"gpu\"");
    /* a blank and an escaped quote in a string are no end of it; a ' is no quote */
    program_says(2, "fit " MODEL " " IMAGES TABLES LABELS "--loss '\"a \\\"b c\"'",
                 "no loss \"a \"b c\"");
    program_says(2, "fit " MODEL " " IMAGES TABLES LABELS "--loss \"a'b c'\"",
                 "--loss is \"a'b c'");
    program_says(1, "fit " ALL "--validation-split 0.9999", "none of 1437 samples to train with");
}

/* The number behind the next "name": must lie between; what comes behind it. */
static const char *number_between(const char *at, const char *name, double least, double most)
{
    char key[64];
    const char *found;
    double value;

    snprintf(key, sizeof key, "\"%s\": ", name);
    if (!(found = strstr(at, key))) fail_msg("no %s in %s", key, at);
    value = strtod(found + strlen(key), NULL);
    if (!(value >= least && value <= most)) fail_msg("%s is %g: %s", name, value, at);
    return found + strlen(key);
}

static void test_fit(void **state)
{
    char text[4096];
    const char *at = text;

    (void)state;
    program_says(0, "fit " ALL "--metrics accuracy --epochs 2 --batch 128 --validation-split 0.2",
                 "the trained weights are not kept; give -o|"
                 "Epoch 1/2\n9/9 - |/step - accuracy: |loss: |val_accuracy: |Epoch 2/2");
    assert_int_equal(program_run("fit " ALL "--metrics accuracy --epochs 2 --seed 3 --json "
                                 "--optimizer 'Adam(learning_rate=0.003)' 2>/dev/null",
                                 text, sizeof text),
                     0);
    at = number_between(at, "epoch", 1, 1);
    number_between(at, "loss", 1, 2.5);
    at = number_between(at, "epoch", 2, 2);
    number_between(at, "loss", 0.1, 1.5);
    number_between(at, "accuracy", 0.5, 1);
    assert_non_null(strstr(at, "\"saved\": null }\n"));
}

/* A signal ends the training after the batch; what was learned is there. */
static void test_signal(void **state)
{
    char text[4096], *config;
    FILE *file;

    (void)state;
    remove("stopped.keras");
    remove("stopped.json");
    assert_int_equal(
        program_run("fit " ALL "--epochs 1000000 --json -o stopped.keras > stopped.json & p=$!; "
                    "until grep -q loss stopped.json 2>&1; do kill -0 $p || break; sleep 0.05; "
                    "done; kill -TERM $p; wait $p",
                    text, sizeof text),
        128 + 15);
    if (!holds_words(text, "weft: fit: stopped by SIGTERM after |of 1000000 epochs; what was "
                           "learned until then is kept"))
        fail_msg("%s", text);
    config = saved_compile_config("stopped.keras");
    free(config);
    assert_non_null(file = fopen("stopped.json", "r"));
    fseek(file, -30, SEEK_END);
    text[fread(text, 1, 30, file)] = 0;
    fclose(file);
    assert_non_null(strstr(text, "\"saved\": \"stopped.keras\" }\n"));
    program_says(0, "evaluate stopped.keras " IMAGES TABLES LABELS "-d cpu", "loss");
}

/* JSON is whole whatever happens, and says what. */
static void test_json_failure(void **state)
{
    char text[4096];

    (void)state;
    assert_int_equal(
        program_run("fit " ALL "--json --validation-split 0.9999 2>/dev/null", text, sizeof text),
        1);
    if (strncmp(text, "{ \"epochs\": [ ],\n  \"seconds\": ", 30) ||
        !holds_words(text, ", \"error\": \"|none of 1437 samples") ||
        strcmp(text + strlen(text) - 4, "\" }\n"))
        fail_msg("%s", text);
}

/* However a number is spelled, the file has it as Keras's float. */
static void test_spellings(void **state)
{
    static const char *const cases[][2] = {
        { "--optimizer 'SGD(learning_rate=1.)'", "\"learning_rate\": 1.0" },
        { "--optimizer 'SGD(learning_rate=+0.5)'", "\"learning_rate\": 0.5" },
        { "--optimizer 'SGD(learning_rate=.5 momentum=0)'",
          "\"learning_rate\": 0.5|\"momentum\": 0.0" },
        { "--optimizer 'Adam(learning_rate=01)'", "\"learning_rate\": 1.0" },
        { "--optimizer 'Adam(learning_rate=0x1p-4)'", "\"learning_rate\": 0.0625" },
        { "--optimizer 'Adam(learning_rate=0 epsilon=1)'",
          "\"learning_rate\": 0.0|\"epsilon\": 1.0" },
        { "--loss '( sparse_categorical_crossentropy)' --loss-weights 2",
          "\"loss\": \"sparse_categorical_crossentropy\"|\"loss_weights\": 2.0" },
        { "--loss-weights 2.", "\"loss_weights\": 2.0" },
        { "--loss-weights .5", "\"loss_weights\": 0.5" },
    };
    char line[1024], *config;

    (void)state;
    setenv("WEFT_DISABLE", "opencl", 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(line, sizeof line, "fit " ALL "-b 512 -o spelled.keras %s", cases[i][0]);
        program_says(0, line, "digits -> spelled.keras");
        config = saved_compile_config("spelled.keras");
        if (!holds_words(config, cases[i][1])) fail_msg("%s: %s", cases[i][0], config);
        free(config);
    }
    unsetenv("WEFT_DISABLE");
    assert_int_equal(remove("spelled.keras"), 0);
}

/* A name in a file that would command the terminal is shown, not obeyed. */
static void test_control_characters(void **state)
{
    char text[4096];

    (void)state;
    assert_int_equal(program_run("fit " ALL
                                 "-o loud.keras --loss \"\\\"$(printf '\\033[31m\\007')\\\"\"",
                                 text, sizeof text),
                     2);
    assert_null(strpbrk(text, "\033\007"));
    if (!holds_words(text, "no loss \"\\x1b[31m\\x07\"")) fail_msg("%s", text);
}

/* A file that fit wrote tells how it was trained; options change that. */
static void test_trained(void **state)
{
#define TRAINED(verb, file) verb " " file " " IMAGES TABLES LABELS "-d cpu "
    (void)state;
    program_says(0, "fit " ALL "--metrics accuracy --optimizer 'SGD(momentum=0.5)' -o once.keras",
                 "digits -> once.keras");
    program_says(0, TRAINED("evaluate", "once.keras"), "loss: |accuracy: |1437 samples, ");
    program_says(0, TRAINED("fit", "once.keras") "--optimizer adam -o twice.keras",
                 "loss: |accuracy: |digits -> twice.keras");
    program_says(2, TRAINED("fit", "twice.keras") "--loss hinge",
                 "no loss \"hinge\"|weft: fit: from the file: optimizer=adam "
                 "metrics=(accuracy); other ones by --optimizer --metrics\n");
    assert_int_equal(remove("once.keras") | remove("twice.keras"), 0);
#undef TRAINED
}

static void test_evaluate(void **state)
{
    char text[4096];

    (void)state;
    program_says(0, "evaluate " ALL "--metrics accuracy", "loss: 2.|accuracy: 0.0|1437 samples, ");
    /* Keras's 354 of 360 */
    assert_int_equal(program_run("evaluate " DIGITS "digits.keras -x image=" DIGITS "image.npy "
                                 "-x table=" DIGITS "table.npy -y digit=" DIGITS "labels.npy " LOSS
                                 "--metrics accuracy --json -d cpu -b 100",
                                 text, sizeof text),
                     0);
    number_between(text, "accuracy", 354.0 / 360 - 1e-6, 354.0 / 360 + 1e-6);
    number_between(text, "samples", 360, 360);
}

/* The joined paths of P09: neither the concat nor its gradient moves a byte, and one op updates all
 * weights. */
static void test_plan(void **state)
{
    static const char *const ids[] = { "cpu", "opencl:0" };
    char line[512], out[65536];
    const char *at;

    (void)state;
    program_says(2, "plan m.keras --loss mse", "are for --train");
    program_says(2, "plan " WEFT_TEST_DATA "/models/P09.keras --train --loss nothing -d cpu",
                 "there is no loss \"nothing\"");
    for (int i = 0; i < 2; i++) {
        int concats = 0, updates = 0;

        snprintf(line, sizeof line,
                 "plan " WEFT_TEST_DATA
                 "/models/P09.keras --train --loss binary_crossentropy -d %s",
                 ids[i]);
        if (program_run(line, out, sizeof out) != 0) {
            if (i) continue; /* no such device here */
            fail_msg("%s", out);
        }
        for (at = out; (at = strstr(at, "\nconcat ")) != NULL; at++, concats++)
            assert_true(strstr(at, ": 0 bytes moved\n") &&
                        strstr(at, ": 0 bytes moved\n") < strchr(at + 1, '\n'));
        for (at = out; (at = strstr(at, " adam_update ")) != NULL; at++)
            updates++;
        assert_true(concats >= 2);
        assert_int_equal(updates, 1);
        assert_null(strstr(out, "into the variable"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usage),     cmocka_unit_test(test_fit_usage),
        cmocka_unit_test(test_output),    cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_fit),       cmocka_unit_test(test_evaluate),
        cmocka_unit_test(test_plan),      cmocka_unit_test(test_trained),
        cmocka_unit_test(test_signal),    cmocka_unit_test(test_json_failure),
        cmocka_unit_test(test_spellings), cmocka_unit_test(test_control_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
