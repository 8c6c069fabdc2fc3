/* The reference of movement ops. Plans make them of views, so a plan cannot be its own witness:
 * here cpu's kernel of that op runs alone, as one step over dense buffers. */
#include <string.h>
#include "base/alloc.h"
#include "base/array.h"
#include "base/fail.h"
#include "graph/dim.h"
#include "plan/check_op.h"

int weft__trial_moves(const weft__trial *trial)
{
    static const char *const names[] = { "reshape", "transpose", "slice", "broadcast", "concat" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(trial->op, names[i])) return 1;
    return 0;
}

/* The step's operands in buffers: inputs, then outputs. */
static weft_status fill(weft__device *device, const weft__trial *trial, const weft_array *const *in,
                        weft_array *const *results, weft__buffer *buffer)
{
    weft_status st = WEFT_OK;
    for (uint32_t i = 0; i < trial->n_in + trial->n_out && !st; i++) {
        const weft_array *array = i >= trial->n_in ? results[i - trial->n_in]
                                  : in             ? in[i]
                                                   : trial->in[i].value;
        uint64_t bytes = weft_array_bytes(array);
        if ((st = weft__buffer_alloc(device, bytes, trial->path, &buffer[i])) || !bytes) continue;
        st = device->backend->write(device->dev, buffer[i].buf, 0, array->data, bytes);
    }
    return st;
}

/* Compiles and runs the step; what it wrote comes back into results. */
static weft_status run_step(weft__device *device, const weft__trial *trial, const weft__step *step,
                            const weft__buffer *buffer, weft_array *const *results)
{
    const weft_backend *backend = device->backend;
    const weft_step *const steps[] = { &step->base };
    uint32_t n = trial->n_in + trial->n_out;
    weft_exe *exe = NULL;
    weft_status st = WEFT_E_NOMEM, late;
    weft_bind *bind = weft__alloc_n(n, sizeof *bind);
    if (!bind) goto out;
    for (uint32_t i = 0; i < n; i++)
        bind[i] = (weft_bind){ buffer[i].buf, 0 };
    if ((st = backend->compile(device->dev, steps, 1, &exe))) goto out;
    weft_run run = { .struct_size = sizeof run,
                     .n_binds = n,
                     .batch = trial->batch,
                     .binds = bind,
                     .generation = 1 };
    st = backend->run(device->dev, exe, &run);
    if ((late = backend->finish(device->dev)) && !st) st = late;
    for (uint32_t i = 0; i < trial->n_out && !st; i++)
        if (weft_array_bytes(results[i]))
            st = backend->read(device->dev, buffer[trial->n_in + i].buf, 0, results[i]->data,
                               weft_array_bytes(results[i]));
out:
    if (exe) backend->release_exe(device->dev, exe);
    weft__free(bind);
    return st;
}

static weft_status make_results(const weft__graph *graph, const weft__node *node, int64_t batch,
                                weft_array **results)
{
    weft_status st = WEFT_OK;
    for (uint32_t i = 0; i < node->n_out && !st; i++) {
        weft_spec spec = weft__spec_at(&graph->value[node->out[i]].spec, batch);
        st = weft_array_create(&spec, &results[i]);
    }
    return st;
}

static weft_status move(weft__device *device, const weft__graph *graph, const weft__trial *trial,
                        const weft_array *const *in, weft_array **results)
{
    uint32_t n = trial->n_in + trial->n_out;
    weft__step *step = NULL;
    weft__buffer *buffer = weft__alloc_n(n, sizeof *buffer);
    weft_status st = WEFT_E_NOMEM;
    if (!buffer) goto out;
    if ((st = weft__step_of_node(graph, graph->node[0], &step))) goto out;
    if (!weft__device_asks(device, step)) {
        st = weft_fail(WEFT_E_UNSUPPORTED, "cpu has no kernel for op %s %s (%s)", trial->op,
                       trial->attrs, step->support.why);
        goto out;
    }
    if ((st = make_results(graph, graph->node[0], trial->batch, results))) goto out;
    if ((st = fill(device, trial, in, results, buffer))) goto out;
    st = run_step(device, trial, step, buffer, results);
out:
    for (uint32_t i = 0; buffer && i < n; i++)
        weft__buffer_release(device, &buffer[i]);
    for (uint32_t i = 0; st && i < trial->n_out; i++)
        weft_array_destroy(&results[i]);
    weft__step_destroy(&step);
    weft__free(buffer);
    return st;
}

weft_status weft__trial_move(weft__devices *cpu, const weft__trial *trial,
                             const weft_array *const *in, weft_array **results)
{
    weft__graph *narrow = NULL, *graph = NULL;
    weft_status st;
    if ((st = weft__trial_graph(cpu->ctx, trial, &narrow))) goto out;
    if ((st = weft__pass_f64(narrow, &graph))) goto out;
    if (graph->n_nodes != 1 || graph->node[0]->n_in != trial->n_in ||
        graph->node[0]->n_out != trial->n_out)
        st = weft_fail(WEFT_E_INTERNAL, "op %s %s is not one op of its own", trial->op,
                       trial->attrs);
    else
        st = move(&cpu->device[0], graph, trial, in, results);
out:
    weft__graph_destroy(&narrow);
    weft__graph_destroy(&graph);
    return st;
}
