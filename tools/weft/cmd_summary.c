/* weft summary MODEL: Keras's table. */
#include <stdio.h>
#include "tool.h"

static int run(int argc, char **argv)
{
    static const tool_option options[] = { { 0 } };
    tool_args args = { .argc = argc, .argv = argv, .options = options, .verb = "summary" };
    weft_context *ctx = NULL;
    weft_model *model = NULL;
    const char *path = NULL;
    int i, code;

    while ((i = tool_next(&args, &code)) != -1) {
        if (i == -2) return code;
        if (path)
            return tool_usage_error("summary", "takes one MODEL, got %s and %s", path, args.value);
        path = args.value;
    }
    if (!path) return tool_usage_error("summary", "give a MODEL file: weft summary model.keras");
    if (tool_context(&ctx) || weft_model_load(ctx, path, &model) ||
        weft_model_summary(model, stdout))
        code = tool_fail();
    weft_model_destroy(&model);
    weft_context_destroy(&ctx);
    return code;
}

const tool_verb tool_summary = {
    "summary", "MODEL", "prints Keras's table of a model",
    "  MODEL    a file that a format plugin reads (.keras)\n\nexample: weft summary model.keras\n",
    run
};
