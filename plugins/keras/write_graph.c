/* A model as an entry of config.json: a Sequential as the list of its layers, any other model as a
 * Functional, whose layers say by which tensors they are called: [layer, call, result]. */
#include <string.h>
#include "keras.h"

typedef struct graph {
    keras_writer *w;
    const weft_model *m;
    keras_calls calls;
    int depth;
} graph;

static json_t *input_json(keras_writer *w, const weft_tensor_info *info)
{
    return keras_object_json("keras.layers", "InputLayer",
                             json_pack("{s:o,s:s,s:b,s:o}", "batch_shape",
                                       keras_shape_json(&info->spec), "dtype",
                                       keras_dtype_name(info->spec.dtype), "sparse", 0, "name",
                                       keras_name_json(w, info->name)));
}

static int get_tensor(graph *g, weft_tensor_id id, weft_tensor_info *info)
{
    weft_status st;

    *info = (weft_tensor_info){ .struct_size = sizeof *info };
    st = g->w->f.api->tensor_info(g->m, id, info);
    if (st && !g->w->status) g->w->status = st;
    return !st;
}

/* [layer, call, result]. In input_layers and output_layers (`port`) Keras counts the calls of
 * nested Functional models from 1. */
static json_t *history_json(graph *g, const weft_tensor_info *info, int port)
{
    const weft_model_api *api = g->w->f.api;
    const char *name = info->name;
    weft_model *sub = NULL;
    uint32_t number = 0;

    if (info->kind == WEFT_TENSOR_RESULT) {
        if (api->layer_info(g->m, info->layer, NULL, &name, NULL, &sub, NULL)) return NULL;
        number = g->calls.number[g->calls.first[info->layer] + info->call];
        if (port && sub && !keras_is_chain(&g->w->f, sub)) number++;
    }
    return json_pack("[s,i,i]", name, (int)number, (int)info->index);
}

static json_t *tensor_json(graph *g, weft_tensor_id id)
{
    weft_tensor_info info;
    json_t *v;

    if (id == WEFT_NONE) return json_null();
    if (!get_tensor(g, id, &info)) return NULL;
    if (info.kind == WEFT_TENSOR_CONSTANT) {
        v = keras_constant_json(&info);
        return v ? v
                 : keras_write_fail(g->w,
                                    "its input \"%s\", a constant, holds nan, inf or no elements, "
                                    "which config.json cannot",
                                    info.name ? info.name : "");
    }
    return json_pack("{s:s,s:{s:o,s:s,s:o}}", "class_name", "__keras_tensor__", "config", "shape",
                     keras_shape_json(&info.spec), "dtype", keras_dtype_name(info.spec.dtype),
                     "keras_history", history_json(g, &info, 0));
}

/* Is it called on one list of tensors, and not on several arguments? */
static int takes_list(const weft_layer_class *cls, uint32_t n_in)
{
    size_t n = cls && cls->inputs ? strlen(cls->inputs) : 0;

    if (!cls) return n_in > 1;
    return !strcmp(cls->name, "Subtract") || (n > 3 && !strcmp(cls->inputs + n - 3, "..."));
}

/* Is there a tensor that depends on the model's inputs among them? Keras computes at once what is
 * called on arrays alone, so the layer would be none of the model's. */
static int symbolic(graph *g, const weft_call_info *info)
{
    uint32_t i;

    for (i = 0; i < info->n_in; i++) {
        weft_tensor_info t;

        if (info->in[i] != WEFT_NONE && get_tensor(g, info->in[i], &t) &&
            t.kind != WEFT_TENSOR_CONSTANT)
            return 1;
    }
    return 0;
}

/* Inputs first .. end - 1 of a call. */
static json_t *tensors_json(graph *g, const weft_call_info *info, uint32_t first, uint32_t end)
{
    json_t *list = json_array();
    uint32_t i;

    for (i = first; i < end; i++)
        list = keras_append(list, tensor_json(g, info->in[i]));
    return list;
}

static json_t *call_json(graph *g, weft_layer_id id, uint32_t call)
{
    weft_call_info info = { .struct_size = sizeof info };
    const weft_layer_class *cls = NULL;
    json_t *args, *kwargs;
    int states;

    if (g->w->f.api->call_info(g->m, id, call, &info) ||
        g->w->f.api->layer_info(g->m, id, &cls, NULL, NULL, NULL, NULL) || !symbolic(g, &info))
        return keras_write_fail(g->w, "it is called on constants alone, which Keras cannot save");
    states = keras_is_recurrent(cls) && info.n_in > 1;
    args = tensors_json(g, &info, 0, states ? 1 : info.n_in);
    if (takes_list(cls, info.n_in)) args = keras_append(json_array(), args);
    kwargs = states ? json_pack("{s:o}", "initial_state", tensors_json(g, &info, 1, info.n_in))
                    : json_object();
    if (kwargs && !strcmp(info.attrs, "training=false"))
        json_object_set_new(kwargs, "training", json_false());
    return json_pack("{s:o,s:o}", "args", args, "kwargs", kwargs);
}

/* The calls that are kept, in their order. */
static json_t *nodes_json(graph *g, weft_layer_id id)
{
    json_t *nodes = json_array();
    uint32_t first = g->calls.first[id], k;

    for (k = first; k < g->calls.first[id + 1]; k++)
        if (g->calls.number[k] != UINT32_MAX)
            nodes = keras_append(nodes, call_json(g, id, k - first));
    return nodes;
}

/* The layer's first call that is kept. */
static weft_status first_call(const graph *g, weft_layer_id id, weft_call_info *call)
{
    uint32_t first = g->calls.first[id], k = first;

    while (k + 1 < g->calls.first[id + 1] && g->calls.number[k] == UINT32_MAX)
        k++;
    *call = (weft_call_info){ .struct_size = sizeof *call };
    return g->w->f.api->call_info(g->m, id, k - first, call);
}

/* What the layer is called on first, from which Keras builds its variables: a shape, or a list of
 * them. NULL if it has several arguments: then the first call builds it. */
static json_t *build_config_json(graph *g, const weft_call_info *call, const weft_layer_class *cls)
{
    json_t *shapes = json_array(), *shape;
    weft_tensor_info t;
    uint32_t i;

    for (i = 0; i < call->n_in; i++)
        if (call->in[i] != WEFT_NONE && get_tensor(g, call->in[i], &t))
            shapes = keras_append(shapes, keras_shape_json(&t.spec));
    if (takes_list(cls, call->n_in)) return json_pack("{s:o}", "input_shape", shapes);
    shape = call->n_in == 1 ? json_incref(json_array_get(shapes, 0)) : NULL;
    json_decref(shapes);
    return shape ? json_pack("{s:o}", "input_shape", shape) : NULL;
}

static json_t *layer_json(graph *g, weft_layer_id id)
{
    const weft_layer_class *cls = NULL;
    const char *name = NULL;
    weft_model *sub = NULL;
    weft_call_info call;
    weft_tensor_info result;
    json_t *entry, *build;

    if (g->w->f.api->layer_info(g->m, id, &cls, &name, NULL, &sub, NULL)) return NULL;
    if (sub) return keras_model_json(g->w, sub, name, g->depth + 1);
    if (first_call(g, id, &call) || !get_tensor(g, call.first, &result)) return NULL;
    build = build_config_json(g, &call, cls);
    entry = keras_layer_json(g->w, g->m, id, &result.spec);
    if (!entry)
        json_decref(build);
    else if (build && json_object_set_new(entry, "build_config", build)) {
        json_decref(entry);
        return NULL;
    }
    return entry;
}

/* With the keys of a Functional's layer; takes over both. */
static json_t *with_nodes(json_t *entry, json_t *nodes)
{
    json_t *name = json_object_get(json_object_get(entry, "config"), "name");

    if (!entry || !nodes || json_object_set(entry, "name", name)) {
        json_decref(entry);
        json_decref(nodes);
        return NULL;
    }
    if (!json_object_set_new(entry, "inbound_nodes", nodes)) return entry;
    json_decref(entry);
    return NULL;
}

/* All layers that the outputs need, behind the inputs. */
static json_t *layers_json(graph *g, int functional)
{
    const weft_model_api *api = g->w->f.api;
    uint32_t n = api->order(g->m, NULL, 0), i;
    weft_layer_id *ids = keras_alloc(&g->w->f, (size_t)n + 1, sizeof *ids);
    json_t *list = ids ? json_array() : NULL, *entry;
    weft_tensor_info t;

    if (ids) api->order(g->m, ids, n);
    for (i = 0; list && i < api->n_inputs(g->m); i++) {
        entry = get_tensor(g, api->input_at(g->m, i), &t) ? input_json(g->w, &t) : NULL;
        list = keras_append(list, functional ? with_nodes(entry, json_array()) : entry);
    }
    for (i = 0; list && i < n; i++) {
        entry = layer_json(g, ids[i]);
        if (entry && functional) entry = with_nodes(entry, nodes_json(g, ids[i]));
        list = keras_append(list, entry);
    }
    keras_free(&g->w->f, ids);
    return list;
}

/* Keras hands a Functional's trainable on to all that is in it, so it is written only where all
 * agree. */
static void add_trainable(json_t *config, const json_t *layers)
{
    size_t i, n = 0, frozen = 0, mixed = 0;
    json_t *entry;

    json_array_foreach((json_t *)layers, i, entry)
    {
        const json_t *v = json_object_get(json_object_get(entry, "config"), "trainable");

        const char *cls = keras_string(entry, "class_name");

        if (!v && !keras_is_model(cls)) continue; /* it has nothing to train */
        n++;
        frozen += json_is_false(v);
        mixed += !v;
    }
    if (!mixed && (!frozen || frozen == n))
        json_object_set_new(config, "trainable", json_boolean(!frozen));
}

static json_t *ports_json(graph *g, int outputs)
{
    const weft_model_api *api = g->w->f.api;
    uint32_t n = outputs ? api->n_outputs(g->m) : api->n_inputs(g->m), i;
    json_t *keys = outputs || g->depth ? NULL : keras_input_keys(&g->w->f, g->m);
    int names = keys || (outputs && !g->depth && keras_outputs_by_name(&g->w->f, g->m));
    json_t *ports = names ? json_object() : json_array(), *only;
    weft_tensor_info t;

    for (i = 0; ports && i < n; i++) {
        const char *name = keys ? json_string_value(json_array_get(keys, i)) : "";
        weft_tensor_id id = outputs ? api->output_at(g->m, i, &name) : api->input_at(g->m, i);
        json_t *port = get_tensor(g, id, &t) ? history_json(g, &t, 1) : NULL;

        if (t.kind == WEFT_TENSOR_CONSTANT) {
            json_decref(port);
            port = keras_write_fail(g->w,
                                    "an output of \"%s\" is a constant, which Keras cannot "
                                    "save; leave it out",
                                    api->name(g->m));
        }
        if (!names)
            ports = keras_append(ports, port);
        else if (json_object_set_new(ports, name, port)) {
            json_decref(ports);
            ports = NULL;
        }
    }
    json_decref(keys);
    if (names || n != 1 || !ports) return ports;
    only = json_incref(json_array_get(ports, 0));
    json_decref(ports);
    return only;
}

static json_t *functional_json(graph *g, json_t *name)
{
    json_t *layers = layers_json(g, 1), *config;

    g->w->layer = NULL;
    config = json_pack("{s:o,s:o,s:o,s:o}", "name", name, "layers", layers, "input_layers",
                       layers ? ports_json(g, 0) : NULL, "output_layers",
                       layers ? ports_json(g, 1) : NULL);
    if (config) add_trainable(config, layers);
    return json_pack("{s:s,s:s,s:o,s:s,s:{s:n}}", "module", "keras.src.models.functional",
                     "class_name", "Functional", "config", config, "registered_name", "Functional",
                     "build_config", "input_shape");
}

static json_t *sequential_json(graph *g, json_t *name)
{
    json_t *layers = layers_json(g, 0), *config, *shape;
    weft_tensor_info t;

    g->w->layer = NULL;
    shape = get_tensor(g, g->w->f.api->input_at(g->m, 0), &t) ? keras_shape_json(&t.spec) : NULL;
    config = json_pack("{s:o,s:o,s:o,s:O}", "name", name, "dtype", keras_policy_json(WEFT_F32),
                       "layers", layers, "build_input_shape", shape);
    if (config) add_trainable(config, layers);
    return json_pack("{s:s,s:s,s:o,s:n,s:{s:o}}", "module", "keras", "class_name", "Sequential",
                     "config", config, "registered_name", "build_config", "input_shape", shape);
}

json_t *keras_model_json(keras_writer *w, const weft_model *m, const char *name, int depth)
{
    graph g = { .w = w, .m = m, .depth = depth };
    json_t *entry = NULL, *own;

    w->layer = NULL;
    if (depth > KERAS_MAX_DEPTH)
        return keras_write_fail(w, "models are nested more than %d deep", KERAS_MAX_DEPTH);
    if (!(own = keras_name_json(w, name))) return NULL;
    if ((w->status = keras_calls_find(&w->f, m, &g.calls)))
        json_decref(own);
    else
        entry = keras_is_chain(&w->f, m) ? sequential_json(&g, own) : functional_json(&g, own);
    keras_calls_finish(&w->f, &g.calls);
    return entry;
}
