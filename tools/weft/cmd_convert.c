/* weft convert IN OUT: reads a model and writes it again, in the format of OUT's extension. */
#include <stdio.h>
#include <sys/stat.h>
#include "tool.h"

typedef struct convert {
    const char *in, *out;
} convert;

static int parse(int argc, char **argv, convert *c)
{
    static const tool_option options[] = { { 0 } };
    tool_args args = { .argc = argc, .argv = argv, .options = options, .verb = "convert" };
    int i, code;

    while ((i = tool_next(&args, &code)) != -1) {
        if (i == -2) return code;
        if (c->out)
            return tool_usage_error("convert", "takes IN and OUT, got %s, %s and %s", c->in, c->out,
                                    args.value);
        *(c->in ? &c->out : &c->in) = args.value;
    }
    if (!c->out)
        return tool_usage_error("convert", "give two files: weft convert in.keras out.keras");
    if (tool_same_file(c->in, c->out))
        return tool_usage_error("convert", "%s is the model's own file; give another one", c->out);
    return TOOL_OK;
}

static void report(const weft_model *model, const convert *c)
{
    uint32_t n = weft_model_n_variables(model);
    uint64_t numbers = 0;
    struct stat info;

    for (uint32_t i = 0; i < n; i++) {
        weft_spec spec;
        uint64_t count = 1;

        if (weft_model_variable(model, i, NULL, &spec, NULL)) continue;
        for (int32_t k = 0; k < spec.rank; k++)
            count *= (uint64_t)spec.dim[k];
        numbers += count;
    }
    printf("%s: model \"%s\", %u variables with %llu numbers, %lld bytes\n", c->out,
           weft_model_name(model), (unsigned)n, (unsigned long long)numbers,
           stat(c->out, &info) ? 0LL : (long long)info.st_size);
}

static int run(int argc, char **argv)
{
    convert c = { 0 };
    weft_context *ctx = NULL;
    weft_model *model = NULL;
    int code = parse(argc, argv, &c);

    if (code) return code;
    if (tool_context(&ctx))
        code = tool_fail();
    else if ((code = tool_check_output("convert", ctx, c.out)))
        ;
    else if (weft_model_load(ctx, c.in, &model) || weft_model_save(model, c.out))
        code = tool_fail();
    else
        report(model, &c);
    weft_model_destroy(&model);
    weft_context_destroy(&ctx);
    return code;
}

const tool_verb tool_convert = {
    "convert", "IN OUT", "reads a model and writes it in the format of OUT's extension",
    "  IN     a file that a format plugin reads (.keras)\n"
    "  OUT    the new file, of a format that is written (.keras); an old file of the name is\n"
    "         replaced once the new one is whole\n\n"
    "The state of an optimizer is not kept.\n\n"
    "example: weft convert trained.keras copy.keras\n",
    run
};
