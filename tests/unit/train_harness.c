/* See train_harness.h. */
#include "train_harness.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "fixture.h"

weft_context *train_ctx;
const char *train_device[3];

int train_setup(void **state)
{
    devices all;
    uint32_t n = 0;
    (void)state;
    if (weft_context_create("plugin_path=\"" WEFT_TEST_PLUGINS "\"", &train_ctx)) return -1;
    train_device[n++] = "cpu";
    devices_list(train_ctx, &all);
    for (size_t i = 0; *all.id[i]; i++)
        if (!strcmp(all.id[i], "opencl:0")) train_device[n++] = "opencl:0";
    train_device[n] = NULL;
    return 0;
}

int train_teardown(void **state)
{
    (void)state;
    weft_context_destroy(&train_ctx);
    return 0;
}

static void must(weft_status st, const char *what)
{
    if (st) fail_msg("%s: %s", what, weft_error());
}

weft_model *train_model(const char *name, uint64_t seed)
{
    weft_model *m = NULL;
    must(weft_model_create(train_ctx, name, &m), name);
    must(weft_model_set_seed(m, seed), name);
    return m;
}

weft_model *train_finished(weft_model *model)
{
    must(weft_model_finish(model), weft_model_name(model));
    return model;
}

weft_session *train_compiled(weft_model *model, const char *device, const char *attrs)
{
    weft_session *s = NULL;
    must(weft_session_create(model, device, "strict=true", &s), device);
    must(weft_session_compile(s, attrs), attrs);
    return s;
}

void train_step(weft_session *session, const weft_array *x, const weft_array *y, weft_logs *logs)
{
    must(weft_session_train_step(session, &(weft_data){ &x, &y, 1, 1 }, logs), "train_step");
}

weft_array *train_predict(weft_session *session, const weft_array *x)
{
    weft_array *y = NULL;
    must(weft_session_run(session, &x, 1, &y, 1), "run");
    return y;
}

uint32_t train_variable(const weft_model *model, const char *name)
{
    for (uint32_t i = 0; i < weft_model_n_variables(model); i++) {
        const char *path = "";
        must(weft_model_variable(model, i, &path, NULL, NULL), name);
        if (!strcmp(path, name)) return i;
    }
    fail_msg("model \"%s\" has no variable %s", weft_model_name(model), name);
    return 0;
}

void train_read(const weft_model *model, const char *name, float *values)
{
    weft_array a = { .data = values };
    uint32_t i = train_variable(model, name);
    must(weft_model_variable(model, i, NULL, &a.spec, NULL), name);
    must(weft_model_get_variable(model, i, &a), name);
}

void train_write(weft_model *model, const char *name, const float *values)
{
    float copy[4096];
    weft_array a = { .data = copy };
    uint32_t i = train_variable(model, name);
    must(weft_model_variable(model, i, NULL, &a.spec, NULL), name);
    assert_true(weft_array_bytes(&a) <= sizeof copy);
    memcpy(copy, values, (size_t)weft_array_bytes(&a));
    must(weft_model_set_variable(model, i, &a), name);
}

static weft_session_stats stats(const weft_session *session)
{
    weft_session_stats s = { .struct_size = sizeof s };
    must(weft_session_get_stats(session, &s), "stats");
    return s;
}

uint64_t train_builds(const weft_session *session)
{
    return stats(session).builds;
}

uint64_t train_prologues(const weft_session *session)
{
    return stats(session).prologue_runs;
}

weft_array train_array(float *data, weft_spec spec)
{
    return (weft_array){ spec, data };
}

/* ---- the forward part ---- */

void forward_open(forward *f, weft_model *model, const char *device)
{
    const weft__plan_options options = { .strict = 1, .simplify = 1, .fuse = 1, .views = 1 };
    weft__graph *graph = NULL;
    weft__lower_request request = { .training = 1 };
    *f = (forward){ .model = model };
    must(weft__model_lower(model, &request, &graph), weft_model_name(model));
    must(weft__devices_open(train_ctx, device, 1, &f->devices), device);
    must(weft__plan_create(graph, f->devices, &options, &f->plan), device);
    weft__graph_destroy(&graph);
}

void forward_close(forward *f)
{
    weft__plan_destroy(&f->plan);
    weft__devices_close(&f->devices);
}

void forward_run(forward *f, const weft_array *x, weft_array **outputs)
{
    weft__plan_call call = { .model = f->model,
                             .inputs = &x,
                             .outputs = outputs,
                             .batch = x->spec.dim[0],
                             .generation = weft__model_generation(f->model) };
    memset(outputs, 0, weft_model_n_outputs(f->model) * sizeof *outputs);
    must(weft__plan_run(f->plan, &call), "forward");
}
