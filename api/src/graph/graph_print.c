/* Graphs as text, for people: `weft plan`, error texts, tests. */
#include <string.h>
#include <weft/status.h>
#include "graph/dim.h"
#include "graph/graph.h"
#include "graph/map_tree.h"
#include "graph/node.h"

static const char *brief_dtype(weft_dtype t)
{
    static const char *const name[] = {
        "?", "f32", "f64", "f16", "bf16", "i32", "i64", "u8", "bool"
    };
    return t >= WEFT_F32 && t <= WEFT_BOOL ? name[t] : name[0];
}

void weft__print_spec(weft__text *text, const weft_spec *spec)
{
    weft__text_add(text, "%s[", brief_dtype(spec->dtype));
    for (int32_t i = 0; i < spec->rank; i++) {
        char dim[24];
        weft__text_add(text, "%s%s", i ? ", " : "", weft__shape_dim(spec->dim[i], dim));
    }
    weft__text_put(text, "]", 1);
}

void weft__graph_describe(const weft__graph *graph, weft_val value, weft__text *text)
{
    const weft__gvalue *v = weft__graph_value(graph, value);
    const weft__node *node = weft__graph_producer(graph, value);
    if (value == WEFT_NONE) {
        weft__text_add(text, "absent");
        return;
    }
    switch (v->kind) {
    case WEFT__V_INPUT: weft__text_add(text, "input %s ", v->name); break;
    case WEFT__V_VARIABLE: weft__text_add(text, "variable %s ", v->name); break;
    case WEFT__V_CONST: weft__text_add(text, "a constant "); break;
    default:
        if (node)
            weft__text_add(text, "result of %s%s%s ", node->op->name, *node->path ? " in " : "",
                           node->path);
        break;
    }
    weft__text_add(text, "%s ", weft_dtype_name(v->spec.dtype));
    weft__text_shape(text, &v->spec);
}

void weft__port_name(const char *list, uint32_t i, char name[64])
{
    const char *at = list ? list : "";
    uint32_t n = i;
    for (const char *comma; n && (comma = strchr(at, ',')) != NULL; n--)
        at = comma + 1;
    while (*at == ' ')
        at++;
    size_t length = strcspn(at, ",?. ");
    if (length == 0) {
        snprintf(name, 64, "%u", (unsigned)i);
    } else if (strncmp(at + length, "...", 3) == 0) {
        snprintf(name, 64, "%.*s[%u]", (int)(length < 40 ? length : 40), at, (unsigned)n);
    } else if (n) {
        snprintf(name, 64, "%u", (unsigned)i);
    } else {
        snprintf(name, 64, "%.*s", (int)(length < 40 ? length : 40), at);
    }
}

static void indent(weft__text *text, int depth)
{
    for (int i = 0; i < depth; i++)
        weft__text_put(text, "    ", 4);
}

static void print_source(const weft__graph *graph, size_t v, weft__text *text)
{
    const weft__gvalue *value = &graph->value[v];
    double number;
    weft__text_add(text, "%%%zu = ", v);
    if (value->kind == WEFT__V_INPUT)
        weft__text_add(text, "input %s", value->name);
    else if (value->kind == WEFT__V_VARIABLE)
        weft__text_add(text, "variable %s", value->name);
    else
        weft__text_add(text, "constant");
    if (weft__graph_scalar(graph, (weft_val)v, &number)) {
        weft__text_put(text, " ", 1);
        weft__map_print_literal(text, number);
    }
    weft__text_add(text, value->weak ? " weak -> " : " -> ");
    weft__print_spec(text, &value->spec);
    weft__text_put(text, "\n", 1);
}

static void print_graph(const weft__graph *graph, weft__text *text, int depth);

static void print_node(const weft__graph *graph, const weft__node *node, weft__text *text,
                       int depth)
{
    for (uint32_t i = 0; i < node->n_out; i++)
        weft__text_add(text, i ? ", %%%u" : "%%%u", (unsigned)node->out[i]);
    weft__text_add(text, " = %s(", node->op->name);
    for (uint32_t i = 0; i < node->n_in; i++)
        if (node->in[i] == WEFT_NONE)
            weft__text_add(text, i ? ", none" : "none");
        else
            weft__text_add(text, i ? ", %%%u" : "%%%u", (unsigned)node->in[i]);
    weft__text_add(text, *node->text ? ") %s -> " : ")%s -> ", node->text);
    for (uint32_t i = 0; i < node->n_out; i++) {
        if (i) weft__text_put(text, ", ", 2);
        weft__print_spec(text, &graph->value[node->out[i]].spec);
    }
    if (*node->path) weft__text_add(text, "   # %s", node->path);
    if (node->device >= 0)
        weft__text_add(text, "   @%d%s%s", (int)node->device, node->reason ? " " : "",
                       node->reason ? node->reason : "");
    weft__text_put(text, "\n", 1);
    if (node->region) print_graph(node->region, text, depth + 1);
}

/* Nodes keep their order; the sources that they read come first. */
static void print_graph(const weft__graph *graph, weft__text *text, int depth)
{
    for (size_t v = 1; v <= graph->n_values; v++)
        if (graph->value[v].kind != WEFT__V_RESULT) {
            indent(text, depth);
            print_source(graph, v, text);
        }
    for (size_t i = 0; i < graph->n_nodes; i++) {
        indent(text, depth);
        print_node(graph, graph->node[i], text, depth);
    }
    for (size_t i = 0; i < graph->n_assigns; i++) {
        indent(text, depth);
        weft__text_add(text, "assign %%%u = %%%u\n", (unsigned)graph->assign[i].variable,
                       (unsigned)graph->assign[i].value);
    }
    for (size_t i = 0; i < graph->n_outputs; i++) {
        indent(text, depth);
        weft__text_add(text, "output %s%s= %%%u\n", graph->output[i].name,
                       *graph->output[i].name ? " " : "", (unsigned)graph->output[i].value);
    }
}

void weft__graph_print(const weft__graph *graph, weft__text *text)
{
    print_graph(graph, text, 0);
}
