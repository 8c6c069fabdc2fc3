/* A program outside of Weft's tree: finds the installed plugins, and one of its own in argv[1]. */
#include <weft/weft.h>

static int report(const weft_context *ctx)
{
    int loaded = 0;
    for (uint32_t i = 0; i < weft_context_n_plugins(ctx); i++) {
        weft_plugin_info info;
        if (weft_context_plugin(ctx, i, &info)) return -1;
        printf("%s: %s%s\n", info.path, info.loaded ? "loaded" : "refused: ", info.reason);
        loaded += info.loaded != 0;
    }
    return loaded;
}

int main(int argc, char **argv)
{
    weft_context *ctx = NULL;
    weft_status st;
    char options[4096];

    snprintf(options, sizeof options, "plugin_path=\"%s\"", argc > 1 ? argv[1] : ".");
    if ((st = weft_context_create(options, &ctx))) goto out;
    printf("weft %s, %d plugins loaded\n", weft_version(), report(ctx));
    if (!weft_context_layer_class(ctx, "org.example.Outside")) st = WEFT_E_NOTFOUND;
    if (!weft_context_layer_class(ctx, "Dense")) st = WEFT_E_NOTFOUND;
out:
    if (st) fprintf(stderr, "%s: %s\n", weft_status_name(st), weft_error());
    weft_context_destroy(&ctx);
    return st != WEFT_OK;
}
