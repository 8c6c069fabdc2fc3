/* weft devices: what runs here, and why others do not. */
#include <stdio.h>
#include <string.h>
#include "tool.h"

static const char *kind_name(weft_dev_kind kind)
{
    switch (kind) {
    case WEFT_DEV_CPU: return "CPU";
    case WEFT_DEV_GPU: return "GPU";
    case WEFT_DEV_IGPU: return "integrated GPU";
    case WEFT_DEV_ACCEL: return "accelerator";
    default: return "device";
    }
}

static void print_device(const char *id, const weft_dev_info *d)
{
    printf("%-10s %s\n", id, d->name);
    printf(
        "           %s, %u compute units, %.1f GiB memory, largest allocation %.1f GiB, f64 %s\n",
        kind_name(d->kind), d->compute_units, (double)d->mem_total / (1u << 30),
        (double)d->max_alloc / (1u << 30), d->has_f64 ? "yes" : "no");
    if (*d->platform || *d->driver)
        printf("           %s%s%s\n", d->platform, *d->platform && *d->driver ? "; driver " : "",
               d->driver);
    if (!d->usable) printf("           not usable: %s\n", d->why);
}

static void print_json(const char *id, const weft_dev_info *d, int first)
{
    printf("%s\n    { \"id\": ", first ? "" : ",");
    tool_json_string(id);
    printf(", \"name\": ");
    tool_json_string(d->name);
    printf(", \"kind\": \"%s\", \"platform\": ", kind_name(d->kind));
    tool_json_string(d->platform);
    printf(", \"driver\": ");
    tool_json_string(d->driver);
    printf(", \"compute_units\": %u, \"memory_bytes\": %llu, \"max_allocation_bytes\": %llu, "
           "\"f64\": %s, \"usable\": %s, "
           "\"why\": ",
           d->compute_units, (unsigned long long)d->mem_total, (unsigned long long)d->max_alloc,
           d->has_f64 ? "true" : "false", d->usable ? "true" : "false");
    tool_json_string(d->why);
    printf(" }");
}

static int list(weft_context *ctx, int json)
{
    uint32_t n = weft_context_n_devices(ctx), i, devices;
    const char *id, *why;
    weft_dev_info d;

    if (json) printf("{ \"devices\": [");
    for (i = 0; i < n; i++) {
        d = (weft_dev_info){ .struct_size = sizeof d };
        if (weft_context_device(ctx, i, &id, &d)) return tool_fail();
        if (json)
            print_json(id, &d, i == 0);
        else
            print_device(id, &d);
    }
    if (json) printf(" ],\n  \"backends_without_devices\": [");
    for (i = 0, n = 0; i < weft_context_n_backends(ctx); i++) {
        if (weft_context_backend(ctx, i, &id, &devices, &why) || devices) continue;
        if (json) {
            printf("%s{ \"id\": ", n++ ? ", " : " ");
            tool_json_string(id);
            printf(", \"why\": ");
            tool_json_string(why);
            printf(" }");
        } else
            printf("%-10s no device: %s\n", id, why);
    }
    if (json) printf(" ] }\n");
    return TOOL_OK;
}

/* A backend whose module could not be loaded is no backend: its reason is the plugin's. */
static void print_refused(weft_context *ctx)
{
    weft_plugin_info p;

    for (uint32_t i = 0; i < weft_context_n_plugins(ctx); i++)
        if (!weft_context_plugin(ctx, i, &p) && !p.loaded && strstr(p.path, "opencl"))
            printf("%-10s not loaded: %s\n", "opencl", p.reason);
}

static int run(int argc, char **argv)
{
    static const tool_option options[] = { { 0, "json", 0, NULL }, { 0 } };
    tool_args args = { .argc = argc, .argv = argv, .options = options, .verb = "devices" };
    weft_context *ctx = NULL;
    int i, code, json = 0;

    while ((i = tool_next(&args, &code)) != -1) {
        if (i == -2) return code;
        if (i == 1) return tool_usage_error("devices", "takes no argument, got %s", args.value);
        json = 1;
    }
    if (tool_context(&ctx)) return tool_fail();
    code = list(ctx, json);
    if (!json) print_refused(ctx);
    weft_context_destroy(&ctx);
    return code;
}

const tool_verb tool_devices = { "devices", "[--json]",
                                 "lists what runs here, and why others do not",
                                 "  --json   for programs\n\nexample: weft devices\n", run };
