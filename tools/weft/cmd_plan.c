/* weft plan MODEL: where each op runs and why, what fused, which concats are free, memory. */
#include <stdio.h>
#include <string.h>
#include "tool.h"

typedef struct plan {
    const char *model;
    char devices[TOOL_DEVICES];
    uint64_t batch;
    weft_plan_stage stage;
    int strict, train;
    const char *optimizer, *loss;
} plan;

static int parse(int argc, char **argv, plan *p)
{
    static const tool_option options[] = {
        { 'd', "device", 1, NULL }, { 'b', "batch", 1, "batch-size" },
        { 0, "stage", 1, NULL },    { 0, "strict", 0, NULL },
        { 0, "train", 0, NULL },    { 0, "optimizer", 1, NULL },
        { 0, "loss", 1, NULL },     { 0 }
    };
    tool_args args = { .argc = argc, .argv = argv, .options = options, .verb = "plan" };
    int i, code;

    while ((i = tool_next(&args, &code)) != -1) {
        if (i == -2) return code;
        if (i == 0 && (code = tool_add_device(&args, p->devices))) return code;
        if (i == 1 && (code = tool_number(&args, "batch", 0, TOOL_MAX_BATCH, &p->batch)))
            return code;
        if (i == 2) {
            p->stage = !strcmp(args.value, "graph")    ? WEFT_PLAN_GRAPH
                       : !strcmp(args.value, "placed") ? WEFT_PLAN_PLACED
                       : !strcmp(args.value, "steps")  ? WEFT_PLAN_STEPS
                                                       : 0;
            if (!p->stage)
                return tool_usage_error("plan", "--stage is %s; it is graph, placed or steps",
                                        args.value);
        } else if (i == 3)
            p->strict = 1;
        else if (i == 4)
            p->train = 1;
        else if (i == 5)
            p->optimizer = args.value;
        else if (i == 6)
            p->loss = args.value;
        else if (i == 7 && p->model)
            return tool_usage_error("plan", "takes one MODEL, got %s and %s", p->model, args.value);
        else if (i == 7)
            p->model = args.value;
    }
    if (!p->train && (p->optimizer || p->loss))
        return tool_usage_error("plan", "--optimizer and --loss are for --train");
    if (!p->model) return tool_usage_error("plan", "give a MODEL file: weft plan model.keras");
    return TOOL_OK;
}

static int print_training(weft_session *session, const plan *p)
{
    char attrs[512];
    weft_status st;

    snprintf(attrs, sizeof attrs, "optimizer=%s loss=%s", p->optimizer ? p->optimizer : "adam",
             p->loss ? p->loss : "mse");
    if ((st = weft_session_compile(session, attrs))) return tool_fail_session(st);
    if (!weft_session_plan_training(session, (int64_t)p->batch, p->stage, stdout)) return TOOL_OK;
    return tool_fail();
}

static int run(int argc, char **argv)
{
    plan p = { .batch = 32, .stage = WEFT_PLAN_STEPS };
    weft_context *ctx = NULL;
    weft_model *model = NULL;
    weft_session *session = NULL;
    weft_status st;
    int code = parse(argc, argv, &p);

    if (code) return code;
    if (tool_context(&ctx) || weft_model_load(ctx, p.model, &model))
        code = tool_fail();
    else if ((st = weft_session_create(model, *p.devices ? p.devices : "best",
                                       p.strict ? "strict=true" : NULL, &session)))
        code = tool_fail_session(st);
    else if (p.train)
        code = print_training(session, &p);
    else if (weft_session_plan(session, (int64_t)p.batch, p.stage, stdout))
        code = tool_fail();
    weft_session_destroy(&session);
    weft_model_destroy(&model);
    weft_context_destroy(&ctx);
    return code;
}

const tool_verb tool_plan = {
    "plan", "MODEL [-d DEVICE]... [--batch N]",
    "shows where each op runs and why, what fused, what moves, memory",
    "  -d, --device DEVICE   cpu, opencl:0, best (default); again: the next choice\n"
    "  -b, --batch N         batch size for sizes in bytes (32); --batch-size is the same\n"
    "      --stage STAGE     graph (as lowered), placed (devices and reasons), steps (default: "
    "the plan)\n"
    "      --strict          an op that the first device cannot run is an error\n"
    "      --train           the plan of a training step\n"
    "      --optimizer NAME  for --train: adam (default), sgd, \"SGD(momentum=0.9)\"\n"
    "      --loss NAME       for --train: mse (default), binary_crossentropy ..\n\n"
    "example: weft plan model.keras -d opencl:0 --batch 8\n",
    run
};
