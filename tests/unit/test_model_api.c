/* The table that formats build and read models through, and the files they come from. */
#include "model_classes.h"
#include <sys/stat.h>
#include <unistd.h>

static const weft_model_api *api;
static weft_context *ctx;
static weft_model *m;
static weft_status (*script)(weft_model *); /* what the test's format does when it reads */
static char folder[] = "/tmp/weft-model-XXXXXX", path[128];

static int probe(const void *head, size_t n, const char *file)
{
    (void)file;
    return n >= 4 && memcmp(head, "TEST", 4) == 0 ? 80 : 0;
}
static int unsure(const void *head, size_t n, const char *file)
{
    (void)head;
    (void)n;
    (void)file;
    return 10;
}
static weft_status read_test(const weft_model_api *table, weft_model *model, const char *file,
                             const char *options)
{
    (void)file;
    (void)options;
    api = table;
    return script(model);
}
static weft_status never(const weft_model_api *table, weft_model *model, const char *file,
                         const char *options)
{
    (void)file;
    (void)options;
    return (table->fail)(model, WEFT_E_IO, "the unsure format was taken");
}
/* Writes class and variables of every layer, in Keras's order. */
static weft_status write_test(const weft_model_api *table, const weft_model *model,
                              const char *file, const char *options)
{
    weft_layer_id ids[16];
    uint32_t n = table->order(model, ids, 16);
    FILE *f = fopen(file, "w");
    (void)options;
    if (!f) return (table->host->fail)(table->host, WEFT_E_IO, "cannot write");
    for (uint32_t i = 0; i < n; i++) {
        const weft_layer_class *cls;
        const char *name, *attrs;
        weft_status st = table->layer_info(model, ids[i], &cls, &name, &attrs, NULL, NULL);
        if (st) return st;
        fprintf(f, "%s %s %s\n", cls ? cls->name : "model", name, attrs);
    }
    fclose(f);
    return WEFT_OK;
}
static const weft_format test_format = { sizeof(weft_format), 0,     "test",    ".test .tst",
                                         "of a test",         probe, read_test, write_test };
static const weft_format unsure_format = { sizeof(weft_format), 0,      "unsure", ".x",
                                           "of a test",         unsure, never,    NULL };
static const weft_format *const formats[] = { &unsure_format, &test_format, NULL };

static int setup(void **state)
{
    (void)state;
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/a model.test", folder);
    FILE *f = fopen(path, "w");
    if (!f) return -1;
    fputs("TEST", f);
    fclose(f);
    ctx = t_open(formats);
    return 0;
}

static int teardown(void **state)
{
    char command[160];
    (void)state;
    weft_model_destroy(&m);
    weft_context_destroy(&ctx);
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static const weft_spec eight = { WEFT_F32, 2, { WEFT_BATCH, 8 } };

static void load(weft_status (*what)(weft_model *))
{
    script = what;
    if (weft_model_load(ctx, path, &m)) fail_msg("%s", weft_error());
}

static void load_fails(weft_status (*what)(weft_model *), weft_status status, const char *part)
{
    script = what;
    assert_int_equal(weft_model_load(ctx, path, &m), status);
    assert_null(m);
    t_says(part);
}

static weft_status small(weft_model *model)
{
    weft_tensor_id x = api->input(model, "x", &eight);
    weft_layer_id d = api->layer(model, "Dense", "d", "units=2");
    assert_int_equal(api->n_variables(model, d), 0);
    x = api->call(model, d, &x, 1, NULL);
    api->output(model, NULL, x);
    return (api->finish)(model);
}

static void reading(void **state)
{
    (void)state;
    load(small);
    assert_string_equal(weft_model_name(m), "a model");
    const char *name, *attrs;
    const weft_layer_class *cls;
    weft_model *sub;
    uint32_t n, flags;
    weft_spec spec;
    float k[16], b[2] = { 1, 2 };
    assert_int_equal(api->n_layers(m), 1);
    assert_int_equal(api->layer_info(m, 1, &cls, &name, &attrs, &sub, &n), WEFT_OK);
    assert_string_equal(cls->name, "Dense");
    assert_string_equal(name, "d");
    assert_string_equal(attrs, "units=2 activation=none");
    assert_null(sub);
    assert_int_equal(n, 1);
    assert_int_equal(api->layer_info(m, 2, NULL, NULL, NULL, NULL, NULL), WEFT_E_ARG);
    assert_int_equal(api->n_variables(m, 1), 2);
    assert_int_equal(api->variable_spec(m, 1, 0, &name, &spec, &flags), WEFT_OK);
    assert_string_equal(name, "kernel");
    assert_int_equal(spec.dim[0], 8);
    assert_int_equal(flags, WEFT_TRAINABLE);
    assert_int_equal(api->variable_get(m, 1, 0, k, sizeof k), WEFT_OK);
    assert_int_equal(api->variable_set(m, 1, 1, b, sizeof b), WEFT_OK);
    assert_int_equal(api->variable_set(m, 1, 1, b, 4), WEFT_E_SHAPE);
    t_says("layer \"d\" (Dense): variable \"bias\" has the shape (2,) float32, 8 bytes; 4 bytes "
           "were given");
    assert_int_equal(api->variable_set(m, 1, 2, b, 4), WEFT_E_ARG);
    weft_array a = { .spec = { WEFT_F32, 1, { 2 } }, .data = k };
    assert_int_equal(weft_model_get_variable(m, 1, &a), WEFT_OK);
    assert_memory_equal(k, b, sizeof b);
}

/* A nested model, a shared layer, a constant, a frozen layer, names and kinds: then all of it is
 * read. */
static weft_status rich(weft_model *model)
{
    float one = 1;
    const weft_spec scalar = { WEFT_F32, 0, { 0 } };
    weft_model *sub = api->submodel(model, "encoder");
    weft_tensor_id x = api->input(sub, NULL, &eight), y[3];
    x = api->call(sub, api->layer(sub, "Dense", NULL, "units=8"), &x, 1, NULL);
    x = api->call(sub, api->layer(sub, "BatchNormalization", NULL, "trainable=false"), &x, 1, NULL);
    api->output(sub, NULL, x);
    api->set_kind(sub, "Sequential");
    (api->finish)(sub);
    api->rename(model, "rich");
    x = api->input(model, "x", &eight);
    weft_layer_id e = api->model_layer(model, sub, "e"),
                  last = api->layer(model, "Add", NULL, NULL);
    y[0] = api->call(model, e, &x, 1, "training=false");
    y[1] = api->call(model, e, y, 1, "mask=none");
    y[1] = api->result(model, e, 1, 0);
    y[2] = api->constant(model, "one", &scalar, &one);
    api->output(model, "total", api->call(model, last, y, 3, NULL));
    api->set_note(model, "compile", "loss=mse");
    api->set_note(model, "compile", "loss=mae");
    return WEFT_OK; /* the host finishes it */
}

static void structure(void **state)
{
    (void)state;
    load(rich);
    weft_tensor_info t = { .struct_size = sizeof t };
    weft_call_info c = { .struct_size = sizeof c };
    weft_model *sub;
    const char *name, *attrs;
    weft_layer_id ids[4];
    weft_spec spec;
    assert_string_equal(api->name(m), "rich");
    assert_string_equal(api->kind(m), "Functional");
    assert_string_equal(api->note(m, "compile"), "loss=mae");
    assert_null(api->note(m, "other"));
    /* how a model was trained is attribute text, kept as that is printed; other notes are texts */
    assert_int_equal(api->set_note(m, "compile", " loss=( mse) loss_weights=+.5,2.\n"), WEFT_OK);
    assert_string_equal(api->note(m, "compile"), "loss=(mse) loss_weights=(0.5,2.0)");
    assert_int_equal(api->set_note(m, "compile", "loss=(mse"), WEFT_E_ATTR);
    t_says("note \"compile\": attribute text, column 6: this list has no closing )");
    assert_string_equal(api->note(m, "compile"), "loss=(mse) loss_weights=(0.5,2.0)");
    assert_int_equal(api->set_note(m, "other", " (a"), WEFT_OK);
    assert_string_equal(api->note(m, "other"), " (a");
    assert_int_equal(api->n_inputs(m), 1);
    assert_int_equal(api->n_outputs(m), 1);
    assert_int_equal(api->order(m, ids, 4), 2);
    assert_int_equal(ids[0], 1);
    assert_int_equal(ids[1], 2);
    assert_int_equal(api->tensor_info(m, api->output_at(m, 0, &name), &t), WEFT_OK);
    assert_string_equal(name, "total");
    assert_int_equal(t.kind, WEFT_TENSOR_RESULT);
    assert_int_equal(t.layer, 2);
    assert_int_equal(api->call_info(m, 2, 0, &c), WEFT_OK);
    assert_int_equal(c.n_in, 3);
    assert_int_equal(api->tensor_info(m, c.in[2], &t), WEFT_OK);
    assert_int_equal(t.kind, WEFT_TENSOR_CONSTANT);
    assert_string_equal(t.name, "one");
    assert_true(*(const float *)t.data == 1.F);
    assert_int_equal(api->call_info(m, 1, 0, &c), WEFT_OK);
    assert_string_equal(c.attrs, "training=false");
    assert_int_equal(c.in[0], api->input_at(m, 0));
    assert_int_equal(api->call_info(m, 1, 2, &c), WEFT_E_ARG);
    assert_int_equal(api->layer_info(m, 1, NULL, NULL, NULL, &sub, NULL), WEFT_OK);
    assert_string_equal(api->kind(sub), "Sequential");
    assert_int_equal(api->layer_info(sub, 2, NULL, NULL, &attrs, NULL, NULL), WEFT_OK);
    assert_string_equal(attrs, "trainable=false");
    assert_int_equal(api->n_variables(m, 1), 6);
    assert_int_equal(api->variable_spec(m, 1, 4, &name, &spec, NULL), WEFT_OK);
    assert_string_equal(name, "batch_normalization/moving_mean");
    assert_null(api->extension(m, "weft.optimizer/1"));
}

static weft_status lacking(weft_model *model)
{
    weft_model *sub = api->submodel(model, "inner");
    weft_tensor_id x = api->input(sub, NULL, &eight), y;
    assert_null(api->layer_class(model, "Lambda"));
    api->missing(sub, "Lambda", "lambda_7", "its function is Python code");
    y = api->call(sub, 0, &x, 1, NULL);
    assert_int_equal(y, 0);
    api->output(sub, NULL, y);
    assert_int_equal((api->finish)(sub), WEFT_OK); /* told by the root */
    x = api->input(model, NULL, &eight);
    weft_layer_id s = api->model_layer(model, sub, NULL),
                  d = api->layer(model, "Dense", NULL, "units=2");
    x = api->call(model, d, &x, 1, "mask=3 training=true");
    y = api->call(model, s, &x, 1, NULL);
    assert_int_equal(api->result(model, d, 3, 0), 0);
    api->missing(model, "Custom>Mix", "mix", NULL);
    api->output(model, NULL, y);
    return (api->finish)(model);
}

static void all_missing_at_once(void **state)
{
    (void)state;
    load_fails(lacking, WEFT_E_UNSUPPORTED, "has 4 unsupported parts:\n");
    t_says("\n  layer \"lambda_7\" (Lambda) in model \"inner\": its function is Python code\n");
    t_says("\n  layer \"dense\" (Dense): it is called with mask=3, which is not supported\n");
    t_says("called with training=true");
    t_says("\n  layer \"mix\" (Custom>Mix): no plugin provides this class\n");
    t_says("A Lambda holds Python code");
}

static weft_status broken(weft_model *model)
{
    weft_tensor_id x = api->input(model, NULL, &eight);
    x = api->call(model, api->layer(model, "Dense", NULL, "units=-2"), &x, 1, NULL);
    assert_int_equal(x, 0);
    api->output(model, NULL, x);
    return (api->finish)(model);
}
static weft_status out_of_thin_air(weft_model *model)
{
    weft_tensor_id x = 77;
    api->call(model, api->layer(model, "Dense", NULL, "units=2"), &x, 1, NULL);
    return (api->finish)(model);
}
static weft_status says_no(weft_model *model)
{
    return (api->fail)(model, WEFT_E_UNTRUSTED, "it is a bomb");
}
static weft_status nothing(weft_model *model)
{
    (void)model;
    return WEFT_OK;
}
static weft_status wrong_kind(weft_model *model)
{
    return api->set_kind(model, "Model");
}
static weft_status same_input(weft_model *model)
{
    api->input(model, "x", &eight);
    api->input(model, "x", &eight);
    return (api->finish)(model);
}

static void failures(void **state)
{
    (void)state;
    load_fails(broken, WEFT_E_ATTR, "units");
    t_says(path);
    load_fails(out_of_thin_air, WEFT_E_ARG, "no tensor number 77");
    load_fails(says_no, WEFT_E_UNTRUSTED, "it is a bomb");
    load_fails(nothing, WEFT_E_ARG, "has no outputs");
    load_fails(wrong_kind, WEFT_E_ARG, "\"Functional\" or \"Sequential\"");
    load_fails(same_input, WEFT_E_ARG, "two parts named \"x\"");
}

static void files(void **state)
{
    (void)state;
    char other[160], line[64] = "";
    struct stat info;
    assert_int_equal(weft_model_load(ctx, "/no/such.test", &m), WEFT_E_NOTFOUND);
    t_says("/no/such.test: there is no such file");
    assert_int_equal(weft_model_load(ctx, folder, &m), WEFT_E_IO);
    t_says("is a directory");
    assert_int_equal(weft_model_load(ctx, "/dev/null", &m), WEFT_E_IO);
    assert_int_equal(weft_model_load(ctx, NULL, &m), WEFT_E_ARG);
    snprintf(other, sizeof other, "%s/empty", folder);
    fclose(fopen(other, "w"));
    assert_int_equal(weft_model_load(ctx, other, &m), WEFT_E_IO);
    t_says("is empty");
    load(small);
    assert_int_equal(weft_model_save(m, "/tmp/a.x"), WEFT_E_UNSUPPORTED);
    t_says("format unsure can be read, not written; formats that are written: test (.test .tst)");
    assert_int_equal(weft_model_save(m, "/tmp/a.onnx"), WEFT_E_UNSUPPORTED);
    t_says("no format has this extension");
    snprintf(other, sizeof other, "%s/out.TST", folder);
    assert_int_equal(weft_model_save(m, other), WEFT_OK);
    assert_int_equal(stat(other, &info), 0);
    FILE *f = fopen(other, "r");
    assert_non_null(fgets(line, sizeof line, f));
    fclose(f);
    assert_string_equal(line, "Dense d units=2 activation=none\n");
}

/* Reading a file when memory ends: at each allocation once. */
static void out_of_memory(void **state)
{
    (void)state;
    script = rich;
    assert_int_equal(weft_model_load(ctx, path, &m), WEFT_OK);
    weft_model_destroy(&m);
    size_t live = weft__alloc_live();
    uint64_t before = weft__alloc_calls(), calls, survived = 0;
    assert_int_equal(weft_model_load(ctx, path, &m), WEFT_OK);
    weft_model_destroy(&m);
    calls = weft__alloc_calls() - before;
    for (uint64_t n = 1; n <= calls; n++) {
        weft__alloc_fail_at(n);
        weft_status st = weft_model_load(ctx, path, &m);
        weft__alloc_fail_at(0);
        survived += st == WEFT_OK;
        weft_model_destroy(&m);
        if (st != WEFT_E_NOMEM && st != WEFT_OK)
            fail_msg("allocation %d: status %d, \"%s\"", (int)n, (int)st, weft_error());
        if (weft__alloc_live() != live)
            fail_msg("allocation %d: %d blocks leak", (int)n, (int)(weft__alloc_live() - live));
    }
    assert_true(survived < calls / 20);
}

static void no_format(void **state)
{
    (void)state;
    weft_context *bare = t_open(NULL);
    script = small;
    assert_int_equal(weft_model_load(bare, path, &m), WEFT_E_UNSUPPORTED);
    t_says("no format knows this file");
    weft_context_destroy(&bare);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = { T(reading),      T(structure), T(all_missing_at_once),
                                        T(failures),     T(files),     T(no_format),
                                        T(out_of_memory) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
