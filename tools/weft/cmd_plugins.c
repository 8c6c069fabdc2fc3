/* weft plugins [NAME]: every plugin seen, loaded or refused; or one layer's, op's or plugin's
 * contents. */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "tool.h"

static const char *attr_type(weft_attr_type type)
{
    static const char *const names[] = { "?",    "int",    "float",   "flag", "string",
                                         "ints", "floats", "strings", "layer" };

    return type > 0 && type < (weft_attr_type)(sizeof names / sizeof *names) ? names[type] : "?";
}

static void print_attrs(const weft_attr *a)
{
    if (!a || !a->name) printf("  no attributes\n");
    for (; a && a->name; a++)
        printf("  %-24s %-7s %-16s %s%s%s%s\n", a->name, attr_type(a->type),
               a->def ? a->def : "(required)", a->doc, a->range ? " [" : "",
               a->range ? a->range : "", a->range ? "]" : "");
}

static void print_contents(const weft_plugin *p)
{
    for (uint32_t i = 0; p->layers && p->layers[i]; i++)
        printf("  layer   %-24s %s\n", p->layers[i]->name, p->layers[i]->doc);
    for (uint32_t i = 0; p->ops && p->ops[i]; i++)
        printf("  op      %-24s %s\n", p->ops[i]->name, p->ops[i]->doc);
    for (uint32_t i = 0; p->formats && p->formats[i]; i++)
        printf("  format  %-24s %s\n", p->formats[i]->name, p->formats[i]->doc);
    for (uint32_t i = 0; p->backends && p->backends[i]; i++)
        printf("  backend %-24s %s\n", p->backends[i]->id, p->backends[i]->doc);
}

/* "         layers: Dense ReLU .." and so on, wrapped. */
static void print_name(const char *kind, const char *name, int *column)
{
    if (!*column || *column + (int)strlen(name) > 98) {
        printf("%s         %-9s", *column ? "\n" : "", *column ? "" : kind);
        *column = 18;
    }
    *column += printf(" %s", name);
}

/* What an expression may call, and weft_op1(b, "tanh", x) with it, by the number of arguments. */
static void print_functions(void)
{
    static const char *const kinds[] = { "f(x)", "f(x,y)", "f(x,y,z)" };
    const char *name;
    int32_t arity = 0;

    for (int32_t n = 1; n <= 3; n++) {
        int column = 0;

        for (uint32_t i = 0; (name = weft_map_function(i, &arity)) != NULL; i++)
            if (arity == n) print_name(kinds[n - 1], name, &column);
        if (column) putchar('\n');
    }
}

/* The name of a layer or op that differs in capitals alone; NULL = none. */
static const char *respell(weft_context *ctx, const char *name)
{
    weft_plugin_info p;

    for (uint32_t i = 0; i < weft_context_n_plugins(ctx); i++) {
        if (weft_context_plugin(ctx, i, &p) || !p.loaded) continue;
        for (uint32_t k = 0; p.plugin->layers && p.plugin->layers[k]; k++)
            if (!strcasecmp(p.plugin->layers[k]->name, name)) return p.plugin->layers[k]->name;
        for (uint32_t k = 0; p.plugin->ops && p.plugin->ops[k]; k++)
            if (!strcasecmp(p.plugin->ops[k]->name, name)) return p.plugin->ops[k]->name;
    }
    return NULL;
}

static int print_one(weft_context *ctx, const char *name)
{
    const weft_layer_class *layer = weft_context_layer_class(ctx, name);
    const weft_op_class *op = weft_context_op_class(ctx, name);
    weft_plugin_info p;
    const char *near;
    int found = 0;

    if (layer) {
        printf("layer %s(%s) -> %s: %s\n", layer->name, layer->inputs, layer->outputs, layer->doc);
        print_attrs(layer->attrs);
        found = 1;
    }
    if (op) {
        printf("op %s(%s) -> %s: %s\n", op->name, op->inputs, op->outputs, op->doc);
        print_attrs(op->attrs);
        if (op == weft_context_op_class(ctx, "map")) print_functions();
        found = 1;
    }
    for (uint32_t i = 0; i < weft_context_n_plugins(ctx); i++) {
        if (weft_context_plugin(ctx, i, &p) || !p.loaded || strcmp(p.name, name)) continue;
        printf("plugin %s %s (%s), %s\n", p.name, p.version, p.license, p.path);
        print_contents(p.plugin);
        found = 1;
    }
    if (found) return TOOL_OK;
    near = respell(ctx, name);
    fprintf(stderr,
            "weft: plugins: no layer, op or plugin \"%s\"; %s%s%s`weft plugins` lists what there "
            "is\n",
            name, near ? "did you mean \"" : "", near ? near : "", near ? "\"? " : "");
    return TOOL_FAILED;
}

static void print_names(const weft_plugin *p)
{
    int column = 0;

    for (uint32_t i = 0; p->layers && p->layers[i]; i++)
        print_name("layers", p->layers[i]->name, &column);
    if (column) putchar('\n');
    column = 0;
    for (uint32_t i = 0; p->ops && p->ops[i]; i++)
        print_name("ops", p->ops[i]->name, &column);
    if (column) putchar('\n');
    column = 0;
    for (uint32_t i = 0; p->formats && p->formats[i]; i++)
        print_name("formats", p->formats[i]->name, &column);
    if (column) putchar('\n');
    column = 0;
    for (uint32_t i = 0; p->backends && p->backends[i]; i++)
        print_name("backends", p->backends[i]->id, &column);
    if (column) putchar('\n');
}

static void print_core(void)
{
    const weft_op_class *op;
    int column = 0;

    printf("%-8s %-16s %-8s %s\n", "LOADED", "weft", weft_version(), "the core");
    for (uint32_t i = 0; (op = weft_core_op(i)) != NULL; i++)
        print_name("ops", op->name, &column);
    putchar('\n');
}

static int print_all(weft_context *ctx)
{
    weft_plugin_info p;

    print_core();
    for (uint32_t i = 0; i < weft_context_n_plugins(ctx); i++) {
        if (weft_context_plugin(ctx, i, &p)) return tool_fail();
        printf("%-8s %-16s %-8s %s\n", p.loaded ? "LOADED" : "REFUSED", p.name, p.version, p.path);
        if (p.loaded)
            print_names(p.plugin);
        else
            printf("         %s\n", p.reason);
    }
    return TOOL_OK;
}

static void print_all_json(weft_context *ctx)
{
    weft_plugin_info p;

    printf("{ \"plugins\": [");
    for (uint32_t i = 0; i < weft_context_n_plugins(ctx); i++) {
        if (weft_context_plugin(ctx, i, &p)) continue;
        printf("%s\n    { \"name\": ", i ? "," : "");
        tool_json_string(p.name);
        printf(", \"version\": ");
        tool_json_string(p.version);
        printf(", \"path\": ");
        tool_json_string(p.path);
        printf(", \"loaded\": %s, \"reason\": ", p.loaded ? "true" : "false");
        tool_json_string(p.reason);
        printf(" }");
    }
    printf(" ] }\n");
}

static int run(int argc, char **argv)
{
    static const tool_option options[] = { { 0, "json", 0, NULL }, { 0 } };
    tool_args args = { .argc = argc, .argv = argv, .options = options, .verb = "plugins" };
    weft_context *ctx = NULL;
    const char *name = NULL;
    int i, code, json = 0;

    while ((i = tool_next(&args, &code)) != -1) {
        if (i == -2) return code;
        if (i == 0)
            json = 1;
        else if (name)
            return tool_usage_error("plugins", "takes one NAME, got %s and %s", name, args.value);
        else
            name = args.value;
    }
    if (name && json) return tool_usage_error("plugins", "--json goes without NAME");
    if (tool_context(&ctx)) return tool_fail();
    code = TOOL_OK;
    if (name)
        code = print_one(ctx, name);
    else if (json)
        print_all_json(ctx);
    else
        code = print_all(ctx);
    weft_context_destroy(&ctx);
    return code;
}

const tool_verb tool_plugins = {
    "plugins", "[NAME] [--json]", "lists plugins, or the attributes of a layer or op",
    "  NAME     a layer class, an op or a plugin\n  --json   for programs\n\n"
    "example: weft plugins Conv2D\n",
    run
};
