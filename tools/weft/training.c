/* From the options of `weft fit` and `weft evaluate` to a compiled session and its data. */
#include "training.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int training_option(training *t, const tool_args *args, int i)
{
    switch (i) {
    case 0: return tool_add_file(args, &t->x_files);
    case 1: return tool_add_file(args, &t->y_files);
    case 2: return tool_add_device(args, t->devices);
    case 3: return tool_number(args, "batch", 1, TOOL_MAX_BATCH, &t->batch_size);
    case 4: t->loss = args->value; return TOOL_OK;
    case 5: t->loss_weights = args->value; return TOOL_OK;
    case 6: t->metrics = args->value; return TOOL_OK;
    case 7: t->strict = 1; return TOOL_OK;
    default: t->json = 1; return TOOL_OK;
    }
}

int training_model(training *t, const char *path)
{
    if (t->path) return tool_usage_error(t->verb, "takes one MODEL, got %s and %s", t->path, path);
    t->path = path;
    return TOOL_OK;
}

/* Where the first of `characters` is that stands in no parentheses and in no "string" of attribute
 * text; NULL if there is none. */
static const char *find_outside(const char *text, const char *characters)
{
    int depth = 0, quoted = 0;

    for (; *text; text++) {
        if (quoted && *text == '\\' && text[1])
            text++;
        else if (*text == '"')
            quoted = !quoted;
        else if (quoted)
            continue;
        else if (*text == '(' || *text == ')')
            depth += *text == '(' ? 1 : -1;
        else if (depth <= 0 && strchr(characters, *text))
            return text;
    }
    return NULL;
}

/* A value must be one word of attribute text, or words with commas between. */
static int check_value(const training *t, const char *option, const char *value)
{
    if (!value || (*value && !find_outside(value, " \t\n=") && strlen(value) < 1024))
        return TOOL_OK;
    return tool_usage_error(t->verb,
                            "--%s is \"%.200s\"; give a name, or Name(attribute=value ..), or "
                            "several with commas between",
                            option, value);
}

int training_check(const training *t)
{
    int code;

    if (!t->path)
        return tool_usage_error(
            t->verb, "give a MODEL file: weft %s model.keras -x x.npy -y y.npy --loss mse",
            t->verb);
    if (!t->x_files.n) return tool_usage_error(t->verb, "give -x NAME=FILE.npy for each input");
    if (!t->y_files.n) return tool_usage_error(t->verb, "give -y NAME=FILE.npy for each output");
    if ((code = check_value(t, "optimizer", t->optimizer))) return code;
    if ((code = check_value(t, "loss", t->loss))) return code;
    if ((code = check_value(t, "loss-weights", t->loss_weights))) return code;
    return check_value(t, "metrics", t->metrics);
}

/* " loss=mse,mae" */
static void add_attribute(char *text, const char *name, const char *value)
{
    if (value) sprintf(text + strlen(text), " %s=%s", name, value);
}

static size_t length(const char *value)
{
    return value ? strlen(value) + strlen(" loss_weights=") : 0;
}

static int no_memory(const training *t)
{
    fprintf(stderr, "weft: %s: no memory for the training configuration\n", t->verb);
    return TOOL_FAILED;
}

/* What a file's training configuration gives, and the option that gives another. */
static const struct {
    const char *name, *option;
} parts[] = { { "optimizer", "--optimizer" },
              { "loss", "--loss" },
              { "loss_weights", "--loss-weights" },
              { "metrics", "--metrics" } };
enum { PARTS = sizeof parts / sizeof *parts };

static const char **part_value(training *t, int i)
{
    const char **const values[PARTS] = { &t->optimizer, &t->loss, &t->loss_weights, &t->metrics };

    return values[i];
}

/* "name=value" of the file, if no option gave it. */
static void take(training *t, const char *attribute)
{
    for (int i = t->optimizes ? 0 : 1; i < PARTS; i++) {
        size_t n = strlen(parts[i].name);

        if (*part_value(t, i) || strncmp(attribute, parts[i].name, n) || attribute[n] != '=')
            continue;
        *part_value(t, i) = attribute + n + 1;
        t->taken |= 1u << i;
    }
}

/* After a failure: what came from the file, and how to do without; 0: nothing did. */
static int tell_taken(training *t)
{
    if (!t->taken) return 0;
    fprintf(stderr, "weft: %s: from the file:", t->verb);
    for (int i = 0; i < PARTS; i++)
        if (t->taken & 1u << i) {
            fprintf(stderr, " %s=", parts[i].name);
            tool_print(stderr, *part_value(t, i));
        }
    fputs("; other ones by", stderr);
    for (int i = 0; i < PARTS; i++)
        if (t->taken & 1u << i) fprintf(stderr, " %s", parts[i].option);
    fputs("\n", stderr);
    return 1;
}

static int compile(training *t)
{
    size_t n =
        length(t->optimizer) + length(t->loss) + length(t->loss_weights) + length(t->metrics) + 1;
    weft_status st;
    int code;

    if (!(t->compiled = calloc(n, 1))) return no_memory(t);
    add_attribute(t->compiled, "optimizer", t->optimizer);
    add_attribute(t->compiled, "loss", t->loss);
    add_attribute(t->compiled, "loss_weights", t->loss_weights);
    add_attribute(t->compiled, "metrics", t->metrics);
    if (!(st = weft_session_compile(t->session, t->compiled))) return TOOL_OK;
    code = tool_fail_session(st);
    if (!tell_taken(t)) return code;
    return t->n_given ? code : TOOL_FAILED; /* nothing was wrong with the usage */
}

/* What no option gave is as in the file. */
static int complete(training *t)
{
    const char *note = weft_model_note(t->model, WEFT_NOTE_COMPILE);
    char *at, *end;

    t->n_given = !!t->optimizer + !!t->loss + !!t->loss_weights + !!t->metrics;
    if (note && !(t->from_file = malloc(strlen(note) + 1))) return no_memory(t);
    for (at = note ? strcpy(t->from_file, note) : NULL; at; at = end) {
        if ((end = (char *)find_outside(at, " "))) *end++ = 0;
        take(t, at);
    }
    if (t->optimizes && !t->optimizer) t->optimizer = "adam";
    if (t->loss) return TOOL_OK;
    return tool_usage_error(t->verb,
                            "%s does not say how it was trained; give --loss NAME, for example mse "
                            "or binary_crossentropy; `weft %s --help` lists them",
                            t->path, t->verb);
}

int training_load(training *t)
{
    if (tool_context(&t->ctx) || weft_model_load(t->ctx, t->path, &t->model)) return tool_fail();
    return complete(t);
}

int training_open(training *t)
{
    weft_status st;

    if ((st = tool_load_arrays(t->model, &t->x_files, &t->x, &t->n_x)) ||
        (st = tool_load_arrays(t->model, &t->y_files, &t->y, &t->n_y)))
        return st == WEFT_E_ARG ? TOOL_USAGE : TOOL_FAILED;
    t->data = (weft_data){ (const weft_array *const *)t->x, (const weft_array *const *)t->y, t->n_x,
                           t->n_y };
    if ((st = weft_session_create(t->model, *t->devices ? t->devices : "best",
                                  t->strict ? "strict=true" : NULL, &t->session)))
        return tool_fail_session(st);
    return compile(t);
}

void training_close(training *t)
{
    tool_free_arrays(&t->x, t->n_x);
    tool_free_arrays(&t->y, t->n_y);
    weft_session_destroy(&t->session);
    weft_model_destroy(&t->model);
    weft_context_destroy(&t->ctx);
    free(t->from_file);
    free(t->compiled);
}

void training_print_json(const weft_logs *logs)
{
    printf("{");
    for (uint32_t i = 0; i < logs->n; i++) {
        printf("%s ", i ? "," : "");
        tool_json_string(logs->name[i]);
        if (isfinite(logs->value[i]))
            printf(": %.9g", logs->value[i]);
        else
            printf(": null");
    }
    printf(" }");
}
