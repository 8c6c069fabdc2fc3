/* A Functional config: layers in the order of their calls, found by walking from every call to its
 * inputs. */
#include <stdlib.h>
#include <string.h>
#include "keras.h"

typedef enum { NODE_NEW, NODE_OPEN, NODE_DONE } node_state;
typedef struct node {
    uint32_t layer, number, call;
    node_state state;
} node;

typedef struct functional {
    const keras_file *f;
    weft_model *into;
    keras_layer *layer;
    size_t n_layers;
    node *node;
    size_t n_nodes;
    uint32_t *stack;
    size_t n_stack;      /* nodes being walked */
    const char *reader;  /* whose connections are being looked at, for messages */
    const char *port;    /* the key of the input or output being looked at, NULL for none */
    const json_t *names; /* of the outputs, where the file has them besides */
    json_t *keys;        /* of the inputs, where they are a dict */
    json_t *constants;   /* name -> tensor: one array for all calls on it */
    json_t *index;       /* layer name -> number */
} functional;

/* {"class_name": "__keras_tensor__", "config": {"keras_history": [layer, node, tensor]}} */
static const json_t *tensor_history(const json_t *v)
{
    const char *cls = keras_string(v, "class_name");

    return cls && !strcmp(cls, "__keras_tensor__")
               ? json_object_get(json_object_get(v, "config"), "keras_history")
               : NULL;
}

static weft_status fail_history(const functional *u, const json_t *history)
{
    char *text = json_dumps(history, JSON_COMPACT);
    weft_status st =
        keras_fail(u->f, WEFT_E_UNTRUSTED,
                   "%s is connected to %.200s, which should be [layer, call, result] of "
                   "a layer of the model",
                   u->reader, text ? text : "?");

    free(text);
    return st;
}

/* [layer, node, tensor] as numbers; the layer must exist. */
static weft_status resolve(const functional *u, const json_t *history, uint32_t *layer,
                           uint32_t *number, uint32_t *tensor)
{
    const json_t *i = json_object_get(u->index, json_string_value(json_array_get(history, 0)));
    const json_t *n = json_array_get(history, 1), *t = json_array_get(history, 2);
    const keras_layer *l;
    json_int_t nodes;

    if (!i || !json_is_integer(n) || !json_is_integer(t) || json_integer_value(n) < 0 ||
        json_integer_value(t) < 0)
        return fail_history(u, history);
    *layer = (uint32_t)json_integer_value(i);
    l = &u->layer[*layer];
    nodes = keras_is_input(l->class_name) ? 1 : (json_int_t)json_array_size(l->nodes);
    *number = (uint32_t)(json_integer_value(n) > UINT16_MAX ? UINT16_MAX : json_integer_value(n));
    *tensor = (uint32_t)(json_integer_value(t) > UINT16_MAX ? UINT16_MAX : json_integer_value(t));
    if (*number < nodes) return WEFT_OK;
    return keras_fail(
        u->f, WEFT_E_UNTRUSTED,
        "a connection comes from call %u of layer \"%s\", which is called %lld time%s", *number,
        l->name, (long long)nodes, nodes == 1 ? "" : "s");
}

typedef struct history_list { /* connections, and arrays: see keras_is_constant() */
    const json_t *item[1024];
    size_t n;
    int inference; /* called with training=False */
} history_list;

/* Every tensor in args and kwargs, in order. What is neither a tensor nor without effect is
 * refused. */
static weft_status collect(const functional *u, const keras_layer *l, const char *key,
                           const json_t *v, history_list *list, int depth)
{
    const json_t *history = !json_is_object(v)     ? NULL
                            : keras_is_constant(v) ? v
                                                   : tensor_history(v);
    const json_t *item;
    const char *name;
    weft_status st;
    size_t i;

    if (history) {
        if (list->n == sizeof list->item / sizeof *list->item)
            return keras_fail(u->f, WEFT_E_UNSUPPORTED,
                              "layer \"%s\" is called on more than %zu tensors", l->name, list->n);
        list->item[list->n++] = history;
        return WEFT_OK;
    }
    if (depth > 8)
        return keras_fail(u->f, WEFT_E_UNTRUSTED,
                          "layer \"%s\": its arguments are nested too deeply", l->name);
    if (json_is_array(v)) {
        json_array_foreach((json_t *)v, i,
                           item) if ((st = collect(u, l, key, item, list, depth + 1))) return st;
        return WEFT_OK;
    }
    if (json_is_object(v) && !keras_string(v, "class_name")) {
        json_object_foreach((json_t *)v, name,
                            item) if ((st = collect(u, l, name, item, list, depth + 1))) return st;
        return WEFT_OK;
    }
    if (json_is_null(v)) return WEFT_OK;
    if (json_is_false(v) && !strcmp(key, "training")) {
        list->inference = 1;
        return WEFT_OK;
    }
    return keras_fail(u->f, WEFT_E_UNSUPPORTED,
                      "layer \"%s\" (%s) is called with the argument %s, which is no tensor",
                      l->name, l->class_name, key);
}

static weft_status node_inputs(functional *u, const node *n, history_list *list)
{
    const keras_layer *l = &u->layer[n->layer];
    const json_t *entry = json_array_get(l->nodes, n->number),
                 *args = json_object_get(entry, "args");
    const char *key;
    json_t *v;
    weft_status st;

    list->n = 0;
    list->inference = 0;
    u->reader = l->name;
    if (!json_is_array(args))
        return keras_fail(u->f, WEFT_E_UNSUPPORTED,
                          "layer \"%s\": its inbound_nodes are not as Keras 3 writes them; open "
                          "the file in Keras 3 and save it again",
                          l->name);
    if ((st = collect(u, l, "args", args, list, 0))) return st;
    json_object_foreach(json_object_get(entry, "kwargs"), key,
                        v) if ((st = collect(u, l, key, v, list, 0))) return st;
    return WEFT_OK;
}

/* An array that was named is one constant, however many calls read it. */
static weft_status constant_of(functional *u, const json_t *v, weft_tensor_id *tensor)
{
    const char *name = keras_string(json_object_get(v, "config"), "name");
    const json_t *known = name ? json_object_get(u->constants, name) : NULL;
    weft_status st;

    if (known) {
        *tensor = (weft_tensor_id)json_integer_value(known);
        return WEFT_OK;
    }
    if ((st = keras_constant_read(u->f, v, u->into, tensor)) || !name) return st;
    if (!u->constants) u->constants = json_object();
    return json_object_set_new(u->constants, name, json_integer(*tensor))
               ? keras_fail(u->f, WEFT_E_NOMEM, "no memory for names")
               : WEFT_OK;
}

/* The tensor that a history names; its node is done. */
static weft_status tensor_of(functional *u, const json_t *history, weft_tensor_id *tensor)
{
    uint32_t layer, number, index;
    const keras_layer *l;
    weft_status st;

    if (keras_is_constant(history)) return constant_of(u, history, tensor);
    if ((st = resolve(u, history, &layer, &number, &index))) return st;
    l = &u->layer[layer];
    *tensor = keras_is_input(l->class_name)
                  ? l->tensor
                  : u->f->api->result(u->into, l->id, u->node[l->first_node + number].call, index);
    return WEFT_OK;
}

/* Calls the node's layer; all nodes it reads are done. */
static weft_status call_node(functional *u, node *n, const history_list *list)
{
    keras_layer *l = &u->layer[n->layer];
    weft_tensor_id *x = keras_alloc(u->f, list->n ? list->n : 1, sizeof *x);
    weft_status st = WEFT_OK;
    size_t i;

    if (!x)
        return keras_fail(u->f, WEFT_E_NOMEM, "no memory for the inputs of layer \"%s\"", l->name);
    for (i = 0; !st && i < list->n; i++)
        st = tensor_of(u, list->item[i], &x[i]);
    if (!st && !(st = keras_check_dtype(u->f, l, u->into, x, list->n))) {
        st = keras_check_result(u->f, l, u->into,
                                u->f->api->call(u->into, l->id, x, (uint32_t)list->n,
                                                list->inference ? "training=false" : NULL));
        n->call = l->n_calls++;
        n->state = NODE_DONE;
    }
    keras_free(u->f, x);
    return st;
}

/* Pushes the first input of node n that is not done; *pushed tells whether there was one. */
static weft_status push_input(functional *u, const history_list *list, int *pushed)
{
    size_t i;

    *pushed = 0;
    for (i = 0; i < list->n; i++) {
        uint32_t layer, number, tensor, at;
        weft_status st;

        if (keras_is_constant(list->item[i])) continue;
        if ((st = resolve(u, list->item[i], &layer, &number, &tensor))) return st;
        if (keras_is_input(u->layer[layer].class_name)) continue;
        at = u->layer[layer].first_node + number;
        if (u->node[at].state == NODE_DONE) continue;
        if (u->node[at].state == NODE_OPEN)
            return keras_fail(u->f, WEFT_E_UNTRUSTED,
                              "the layers form a cycle: layer \"%s\" needs its own result",
                              u->layer[layer].name);
        u->node[at].state = NODE_OPEN;
        u->stack[u->n_stack++] = at;
        *pushed = 1;
        return WEFT_OK;
    }
    return WEFT_OK;
}

/* Depth first from one node, without recursion. */
static weft_status walk(functional *u, uint32_t start, history_list *list)
{
    weft_status st;

    if (u->node[start].state == NODE_DONE) return WEFT_OK;
    u->node[start].state = NODE_OPEN;
    u->stack[u->n_stack++] = start;
    while (u->n_stack) {
        node *n = &u->node[u->stack[u->n_stack - 1]];
        int pushed;

        if ((st = node_inputs(u, n, list)) || (st = push_input(u, list, &pushed))) return st;
        if (pushed) continue;
        if ((st = call_node(u, n, list))) return st;
        u->n_stack--;
    }
    return WEFT_OK;
}

typedef weft_status (*port_fn)(functional *, const json_t *);
static weft_status each_port(functional *u, const json_t *ports, port_fn fn, int depth);

static int is_port(const json_t *v)
{
    return json_is_array(v) && json_is_string(json_array_get(v, 0));
}

/* Names to single ports, and nothing deeper? Then the names are those of the outputs. */
static int names_ports(const json_t *ports)
{
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)ports, key, v) if (!is_port(v)) return 0;
    return json_is_object(ports);
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names to ports, in Keras's order: sorted by name. */
static weft_status each_named_port(functional *u, const json_t *ports, port_fn fn, int depth)
{
    int named = !depth && names_ports(ports);
    const char **keys = keras_alloc(u->f, json_object_size(ports) + 1, sizeof *keys), *key;
    weft_status st = WEFT_OK;
    json_t *item;
    size_t n = 0, i;

    if (!keys)
        return keras_fail(u->f, WEFT_E_NOMEM, "no memory for %zu names", json_object_size(ports));
    json_object_foreach((json_t *)ports, key, item) keys[n++] = key;
    qsort(keys, n, sizeof *keys, compare_keys);
    for (i = 0; !st && i < n; i++) {
        u->port = named ? keys[i] : NULL;
        st = each_port(u, json_object_get(ports, keys[i]), fn, depth + 1);
    }
    u->port = NULL;
    keras_free(u->f, keys);
    return st;
}

/* A bare [layer, node, tensor], a list of them, or names to them: calls fn for each in order. */
static weft_status each_port(functional *u, const json_t *ports, port_fn fn, int depth)
{
    const json_t *item;
    weft_status st;
    size_t i;

    if (is_port(ports)) return fn(u, ports);
    if (depth > 4 || (!json_is_array(ports) && !json_is_object(ports)))
        return keras_fail(u->f, WEFT_E_UNTRUSTED,
                          "input_layers or output_layers is no list of [layer, node, tensor]");
    if (json_is_array(ports))
        json_array_foreach((json_t *)ports, i,
                           item) if ((st = each_port(u, item, fn, depth + 1))) return st;
    return json_is_object(ports) ? each_named_port(u, ports, fn, depth) : WEFT_OK;
}

static weft_status make_input(functional *u, keras_layer *l)
{
    const json_t *shape = json_object_get(l->config, "batch_shape");

    if (l->tensor) return WEFT_OK;
    return keras_input(u->f, l->name,
                       shape ? shape : json_object_get(l->config, "batch_input_shape"), l->config,
                       u->into, &l->tensor);
}

static weft_status add_input(functional *u, const json_t *history)
{
    uint32_t layer, number, tensor;
    weft_status st = resolve(u, history, &layer, &number, &tensor);

    if (st) return st;
    if (!keras_is_input(u->layer[layer].class_name))
        return keras_fail(u->f, WEFT_E_UNSUPPORTED, "input_layers names \"%s\", which is a %s",
                          u->layer[layer].name, u->layer[layer].class_name);
    if (u->keys) json_array_append_new(u->keys, json_string(u->port));
    return make_input(u, &u->layer[layer]);
}

/* Keras counts the calls of nested Functional models from 1 here. */
static json_t *from_zero(const functional *u, const json_t *history)
{
    const json_t *i = json_object_get(u->index, json_string_value(json_array_get(history, 0)));
    const char *cls = i ? u->layer[json_integer_value(i)].class_name : NULL;
    json_int_t call = json_integer_value(json_array_get(history, 1));
    json_t *copy = json_copy((json_t *)history);

    if (keras_is_model(cls) && strcmp(cls, "Sequential") && call > 0 &&
        json_is_integer(json_array_get(copy, 1)))
        json_array_set_new(copy, 1, json_integer(call - 1));
    return copy;
}

static weft_status add_output(functional *u, const json_t *history)
{
    json_t *at = from_zero(u, history);
    weft_tensor_id tensor = 0;
    const char *name =
        u->port ? u->port
                : json_string_value(json_array_get(u->names, u->f->api->n_outputs(u->into)));
    weft_status st =
        at ? tensor_of(u, at, &tensor) : keras_fail(u->f, WEFT_E_NOMEM, "no memory for an output");

    json_decref(at);
    if (!st) u->f->api->output(u->into, name, tensor);
    return st;
}

static weft_status add_inputs(functional *u, const json_t *ports)
{
    json_t *keys = names_ports(ports) ? json_array() : NULL;
    char *text = NULL;
    weft_status st;

    u->keys = keys;
    st = each_port(u, ports, add_input, 0);
    if (!st && keys && (text = json_dumps(keys, JSON_COMPACT)))
        st = u->f->api->set_note(u->into, KERAS_NOTE_INPUTS, text);
    free(text);
    json_decref(keys);
    return st;
}

static weft_status add_outputs(functional *u, const json_t *ports)
{
    weft_status st;

    u->reader = "the list of outputs";
    if (u->into == u->f->root)
        u->names = json_object_get(json_object_get(u->f->config, "weft"), "outputs");
    if (names_ports(ports) && (st = u->f->api->set_note(u->into, KERAS_NOTE_OUTPUTS, "dict")))
        return st;
    return each_port(u, ports, add_output, 0);
}

/* The table of layers from the config's list. */
static weft_status list_layers(functional *u, const json_t *layers)
{
    const json_t *entry;
    size_t i;

    u->n_layers = json_array_size(layers);
    u->layer = keras_alloc(u->f, u->n_layers ? u->n_layers : 1, sizeof *u->layer);
    u->index = json_object();
    if (!u->layer || !u->index)
        return keras_fail(u->f, WEFT_E_NOMEM, "no memory for %zu layers", u->n_layers);
    json_array_foreach((json_t *)layers, i, entry)
    {
        keras_layer *l = &u->layer[i];

        l->entry = entry;
        l->config = json_object_get(entry, "config");
        l->class_name = keras_string(entry, "class_name");
        l->name = keras_string(entry, "name") ? keras_string(entry, "name")
                                              : keras_string(l->config, "name");
        l->nodes = json_object_get(entry, "inbound_nodes");
        if (json_object_get(u->index, l->name))
            return keras_fail(u->f, WEFT_E_UNTRUSTED, "the name \"%s\" is used for two layers",
                              l->name);
        if (json_object_set_new(u->index, l->name, json_integer((json_int_t)i)))
            return keras_fail(u->f, WEFT_E_NOMEM, "no memory for the names of layers");
        l->first_node = (uint32_t)u->n_nodes;
        u->n_nodes += keras_is_input(l->class_name) ? 0 : json_array_size(l->nodes);
    }
    return WEFT_OK;
}

static weft_status list_nodes(functional *u)
{
    size_t i, k, at = 0;

    u->node = keras_alloc(u->f, u->n_nodes ? u->n_nodes : 1, sizeof *u->node);
    u->stack = keras_alloc(u->f, u->n_nodes + 1, sizeof *u->stack);
    if (!u->node || !u->stack)
        return keras_fail(u->f, WEFT_E_NOMEM, "no memory for %zu calls", u->n_nodes);
    for (i = 0; i < u->n_layers; i++)
        for (k = 0;
             !keras_is_input(u->layer[i].class_name) && k < json_array_size(u->layer[i].nodes); k++)
            u->node[at++] = (node){ .layer = (uint32_t)i, .number = (uint32_t)k };
    return WEFT_OK;
}

weft_status keras_build_functional(const keras_file *f, const json_t *config, weft_model *into,
                                   int depth)
{
    functional u = { .f = f, .into = into, .reader = "the list of inputs" };
    history_list *list = keras_alloc(f, 1, sizeof *list);
    weft_status st;
    size_t i;

    if (!list) return keras_fail(f, WEFT_E_NOMEM, "no memory");
    if ((st = list_layers(&u, json_object_get(config, "layers"))) || (st = list_nodes(&u)))
        goto out;
    if ((st = add_inputs(&u, json_object_get(config, "input_layers")))) goto out;
    for (i = 0; i < u.n_layers; i++)
        if (keras_is_input(u.layer[i].class_name)
                ? (st = make_input(&u, &u.layer[i]))
                : (st = keras_create_layer(f, &u.layer[i], into, depth)))
            goto out;
    for (i = 0; i < u.n_nodes; i++)
        if ((st = walk(&u, (uint32_t)i, list))) goto out;
    if ((st = add_outputs(&u, json_object_get(config, "output_layers")))) goto out;
    st = f->api->finish(into);
out:
    keras_free(f, u.layer);
    keras_free(f, u.node);
    keras_free(f, u.stack);
    json_decref(u.index);
    json_decref(u.constants);
    keras_free(f, list);
    return st;
}
