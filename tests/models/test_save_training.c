/* The training configuration of .keras files: what Keras wrote is understood and written again as
 * it was, and a note becomes what Keras opens. With a folder as argument it keeps a file for each
 * of `noted`, which tests/data/verify_saved.py gives to Keras. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "fixture.h"
#include "saved.h"

static weft_context *ctx;
static const char *kept; /* a folder of the user's */
static char folder[] = "/tmp/weft_training_XXXXXX";
static char warnings[4096];

static weft_model *load(const char *name)
{
    weft_model *model = NULL;
    char path[1024];

    snprintf(path, sizeof path, "%s/models/%s.keras", WEFT_TEST_DATA, name);
    if (weft_model_load(ctx, path, &model)) fail_msg("%s", weft_error());
    return model;
}

/* compile_config in the model's file, which is removed; freed by the caller. */
static char *compile_config(const weft_model *model)
{
    char path[1024], *text;

    snprintf(path, sizeof path, "%s/compiled.keras", folder);
    if (weft_model_save(model, path)) fail_msg("%s", weft_error());
    text = saved_compile_config(path);
    assert_int_equal(remove(path), 0);
    return text;
}

/* The note that a model has when it is read again. */
static void check_note(const weft_model *model, const char *note)
{
    char path[1024];
    weft_model *read = NULL;
    const char *got;

    snprintf(path, sizeof path, "%s/compiled.keras", folder);
    if (weft_model_save(model, path) || weft_model_load(ctx, path, &read))
        fail_msg("%s", weft_error());
    got = weft_model_note(read, WEFT_NOTE_COMPILE);
    if (!got || strcmp(got, note) != 0)
        fail_msg("the note became \"%s\", not \"%s\"", got ? got : "NULL", note);
    weft_model_destroy(&read);
    assert_int_equal(remove(path), 0);
}

/* What Keras wrote is understood, and written again as it was; another note is written in Keras's
 * words. */
typedef struct compiled {
    const char *model, *note; /* of Keras's file */
    const char *keras;        /* words of its compile_config that the note has no form for */
    const char *other, *read; /* another note, and how it is read again */
    const char *written;      /* words of its compile_config */
} compiled;
static const compiled compiled_models[] = {
    { "trained_adam",
      "optimizer=Adam(learning_rate=0.009999999776482582 beta_1=0.9 beta_2=0.999 epsilon=1e-07) "
      "loss=binary_crossentropy metrics=(accuracy)",
      "\"steps_per_execution\"|\"clipnorm\"", "loss=mse optimizer=sgd", "optimizer=sgd loss=mse",
      "\"optimizer\": \"sgd\"|\"loss\": \"mse\"|\"metrics\": null" },
    { "compiled_objects",
      "optimizer=SGD(learning_rate=0.125 momentum=0.5 nesterov=true) "
      "loss=CategoricalCrossentropy(label_smoothing=0.25) loss_weights=2.0 "
      "metrics=(categorical_accuracy,mae)",
      "\"keras.metrics\"|\"weight_decay\"",
      "optimizer=sgd(momentum=0.5) loss=categorical_crossentropy(from_logits=true)",
      "optimizer=SGD(momentum=0.5) loss=CategoricalCrossentropy(from_logits=true)",
      "\"module\": \"keras.optimizers\"|\"SGD\"|\"keras.losses\"|\"CategoricalCrossentropy\"" },
    { "compiled_by_name",
      "optimizer=Adam(learning_rate=0.0010000000474974513 beta_1=0.9 beta_2=0.999 epsilon=1e-07) "
      "loss=(MeanSquaredError,categorical_crossentropy) loss_weights=(0.5,1.0) "
      "metrics=(mae)",
      "\"module\": \"keras.losses\"", "optimizer=sgd loss=(mse,mae) loss_weights=(2,1) metrics=mae",
      "optimizer=sgd loss=(mse,mae) loss_weights=(2.0,1.0) metrics=(mae)",
      "\"loss\": {\"amount\": \"mse\", \"kind\": \"mae\"}|\"metrics\": {\"amount\": [\"mae\"]" },
    { "several_outputs", NULL, NULL, "optimizer=adam loss=mse", NULL,
      "\"loss\": [\"mse\", \"mse\"" },
};

static void test_compile_config(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof compiled_models / sizeof *compiled_models; i++) {
        const compiled *c = &compiled_models[i];
        weft_model *model = load(c->model);
        char *config;

        if (c->note) {
            check_note(model, c->note);
            config = compile_config(model);
            if (!holds_words(config, c->keras)) fail_msg("%s: %s", c->model, config);
            free(config);
        } else {
            assert_null(weft_model_note(model, WEFT_NOTE_COMPILE));
        }
        assert_int_equal(weft_model_set_note(model, WEFT_NOTE_COMPILE, c->other), WEFT_OK);
        if (c->read) check_note(model, c->read);
        config = compile_config(model);
        if (!holds_words(config, c->written)) fail_msg("%s: %s", c->model, config);
        if (c->keras && holds_words(config, "steps_per_execution"))
            fail_msg("%s: the old configuration is still there: %s", c->model, config);
        free(config);
        weft_model_destroy(&model);
    }
}

/* A note and words of what is written of it. Each stands in verify_saved.py, too, which knows what
 * Keras must make of it. Keras takes no whole number for what is a float there. */
typedef struct note {
    const char *name, *model, *text, *written;
} note;
static const note noted[] = {
    { "whole", "trained_adam",
      "optimizer=SGD(learning_rate=1 momentum=0 nesterov=false) loss=mse loss_weights=2",
      "\"learning_rate\": 1.0|\"momentum\": 0.0|\"nesterov\": false|\"loss_weights\": 2.0" },
    { "zero", "trained_adam", "optimizer=Adam(learning_rate=0) loss=mse metrics=mae",
      "\"learning_rate\": 0.0|\"metrics\": [\"mae\"]" },
    { "points", "trained_adam",
      "optimizer=SGD(learning_rate=.25 momentum=+0.5) loss=mse loss_weights=.5",
      "\"learning_rate\": 0.25|\"momentum\": 0.5|\"loss_weights\": 0.5" },
    { "behind", "trained_adam", "optimizer=SGD(learning_rate=1.) loss=( mse) loss_weights=2.",
      "\"learning_rate\": 1.0|\"loss\": \"mse\"|\"loss_weights\": 2.0" },
    { "odd", "trained_adam",
      "  optimizer=Adam(learning_rate=0x1p-4\tbeta_1=05e-1 epsilon=01)  loss=\"mae\"",
      "\"learning_rate\": 0.0625|\"beta_1\": 0.5|\"epsilon\": 1.0|\"loss\": \"mae\"" },
    { "smoothing", "trained_adam",
      "optimizer=adam loss=BinaryCrossentropy(label_smoothing=0 from_logits=true)",
      "\"label_smoothing\": 0.0|\"from_logits\": true" },
    { "weights", "compiled_by_name",
      "optimizer=adam loss=(mse,categorical_crossentropy) loss_weights=(2,.5)",
      "\"loss_weights\": {\"amount\": 2.0, \"kind\": 0.5}" },
    { "metrics", "compiled_by_name",
      "optimizer=adam loss=(mse,categorical_crossentropy) metrics=((mae,mse),())",
      "\"metrics\": {\"amount\": [\"mae\", \"mse\"], \"kind\": []}" },
    { "one_for_all", "several_outputs", "optimizer=adam loss=mse loss_weights=(1,2,3) metrics=mae",
      "\"loss\": [\"mse\", \"mse\", \"mse\"]|\"loss_weights\": [1.0, 2.0, 3.0]" },
};

static void test_notes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof noted / sizeof *noted; i++) {
        weft_model *model = load(noted[i].model);
        char path[1024], *config;

        if (weft_model_set_note(model, WEFT_NOTE_COMPILE, noted[i].text))
            fail_msg("%s", weft_error());
        config = compile_config(model);
        if (!holds_words(config, noted[i].written)) fail_msg("%s: %s", noted[i].text, config);
        free(config);
        snprintf(path, sizeof path, "%s/noted_%s.keras", kept, noted[i].name);
        if (kept && weft_model_save(model, path)) fail_msg("%s", weft_error());
        weft_model_destroy(&model);
    }
}

/* Metrics of each output are read as they were written. */
static void test_metrics(void **state)
{
    static const char *const texts[] = {
        "optimizer=sgd loss=(mse,mse) loss_weights=(1.0,1.0) metrics=((mae,mse),())",
        "optimizer=sgd loss=(mse,mse) loss_weights=(1.0,1.0) metrics=((),(accuracy))",
        "optimizer=sgd loss=(mse,mse) loss_weights=(1.0,1.0) metrics=(accuracy,mae)",
    };
    weft_model *model = load("compiled_by_name");

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_int_equal(weft_model_set_note(model, WEFT_NOTE_COMPILE, texts[i]), WEFT_OK);
        check_note(model, texts[i]);
    }
    weft_model_destroy(&model);
}

/* What Keras cannot hold is left out and said; the weights are kept. */
static void test_left_out(void **state)
{
    static const char *const texts[][2] = {
        { "loss=mse", "names no optimizer" },
        { "optimizer=none loss=mse", "names no optimizer" },
        { "optimizer=SGD(learning_rate=inf) loss=mse", "learning_rate=inf|cannot hold inf" },
        { "optimizer=sgd loss=mse loss_weights=-inf", "cannot hold inf" },
        { "optimizer=sgd loss=mse loss_weights=nan", "cannot hold nan" },
        { "optimizer=sgd loss=(mse,mae)", "loss|2 values|1 output" },
        { "optimizer=sgd loss=mse metrics=((mae),(mse))", "metrics|2 values|1 output" },
        { "optimizer=sgd loss=mse metrics=(mse,(mae))", "metrics|1 values|1 output" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        weft_model *model = load("trained_adam");
        char *config;

        assert_int_equal(weft_model_set_note(model, WEFT_NOTE_COMPILE, texts[i][0]), WEFT_OK);
        *warnings = 0;
        config = compile_config(model);
        if (strncmp(config, "{}", 2)) fail_msg("%s: %s", texts[i][0], config);
        if (!holds_words(warnings, "training configuration|left out") ||
            !holds_words(warnings, texts[i][1]))
            fail_msg("%s: \"%s\" lacks some of %s", texts[i][0], warnings, texts[i][1]);
        free(config);
        weft_model_destroy(&model);
    }
}

/* Keras opens a file that leaves the optimizer to it, but none that says there is none. */
static void test_without_optimizer(void **state)
{
    static const char *const texts[][2] = { { "{\"loss\": \"mse\"}", "{\"loss\": \"mse\"}" },
                                            { "{\"optimizer\": null, \"loss\": \"mse\"}", "{}" } };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        weft_model *model = load("P05_a");
        char *config;

        assert_int_equal(weft_model_set_note(model, "compile_config", texts[i][0]), WEFT_OK);
        assert_int_equal(weft_model_set_note(model, WEFT_NOTE_COMPILE, "loss=mse"), WEFT_OK);
        config = compile_config(model);
        if (strncmp(config, texts[i][1], strlen(texts[i][1])))
            fail_msg("%s became %s", texts[i][0], config);
        free(config);
        weft_model_destroy(&model);
    }
}

enum { OUTPUTS = 64, LONG = 4000 };

/* A model with many outputs, whose file says `form` of a name of LONG letters; read again. */
static weft_model *read_large(const char *form)
{
    weft_model *model = NULL, *read = NULL;
    char path[1024], name[LONG + 1], text[LONG + 512];
    weft_tensor x;

    memset(name, 'A', LONG);
    name[LONG] = 0;
    snprintf(text, sizeof text, form, name);
    assert_int_equal(weft_model_create(ctx, "many", &model), WEFT_OK);
    x = weft_input(model, "x", WEFT_F32, WEFT_SHAPE(2));
    for (int i = 0; i < OUTPUTS; i++)
        weft_output(model, weft_apply(model, "Dense", "units=1", x));
    assert_int_equal(weft_model_finish(model), WEFT_OK);
    assert_int_equal(weft_model_set_note(model, "compile_config", text), WEFT_OK);
    snprintf(path, sizeof path, "%s/large.keras", folder);
    if (weft_model_save(model, path) || weft_model_load(ctx, path, &read))
        fail_msg("%s", weft_error());
    assert_string_equal(weft_model_note(read, "compile_config"), text);
    weft_model_destroy(&model);
    assert_int_equal(remove(path), 0);
    return read;
}

/* A small file makes no large note: what holds for every output is said once, and more than a
 * person would write stays Keras's alone. */
static void test_large(void **state)
{
    weft_model *model = read_large("{\"loss\":\"%s\",\"optimizer\":\"adam\"}");
    const char *text = weft_model_note(model, WEFT_NOTE_COMPILE);

    (void)state;
    assert_non_null(text);
    assert_int_equal(strlen(text), strlen("optimizer=adam loss=") + LONG);
    weft_model_destroy(&model);
    model = read_large("{\"loss\":\"mse\",\"loss_weights\":\"%s\",\"optimizer\":\"adam\"}");
    assert_null(weft_model_note(model, WEFT_NOTE_COMPILE));
    weft_model_destroy(&model);
}

static void keep_warning(void *user, weft_log_level level, const char *message)
{
    (void)user;
    if (level >= WEFT_LOG_WARN && strlen(warnings) + strlen(message) + 2 < sizeof warnings)
        strcat(strcat(warnings, message), "\n");
}

static int setup(void **state)
{
    weft_status st = weft_context_create(NULL, &ctx);

    (void)state;
    if (!st) weft_context_log(ctx, WEFT_LOG_WARN, keep_warning, NULL);
    return st || !mkdtemp(folder);
}
static int teardown(void **state)
{
    (void)state;
    weft_context_destroy(&ctx);
    return rmdir(folder);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compile_config),    cmocka_unit_test(test_notes),
        cmocka_unit_test(test_metrics),           cmocka_unit_test(test_left_out),
        cmocka_unit_test(test_without_optimizer), cmocka_unit_test(test_large),
    };

    kept = argc > 1 ? argv[1] : NULL;
    return cmocka_run_group_tests(tests, setup, teardown);
}
