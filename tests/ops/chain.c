/* See chain.h. */
#include "chain.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "case_line.h"

weft_context *chain_context(void)
{
    weft_context *ctx = NULL;
    char options[1200];

    snprintf(options, sizeof options, "plugin_path=\"%s\"", WEFT_TEST_MODULES);
    if (weft_context_create(options, &ctx)) printf("%s\n", weft_error());
    return ctx;
}

/* text in quotes, quotes and backslashes in it escaped. */
static void quote(const char *text, size_t n, char *to)
{
    *to++ = '"';
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '"' || text[i] == '\\') *to++ = '\\';
        *to++ = text[i];
    }
    *to++ = '"';
    *to = 0;
}

static weft_tensor add_step(weft_model *m, const char *step, int number, const weft_tensor *values)
{
    size_t op = strcspn(step, ";"), n = strcspn(step + op + 1, ";");
    const char *at = step + op + 1 + n + 1;
    char quoted[2048], attrs[2200];
    weft_tensor args[CASE_INPUTS];
    uint32_t n_args = 0;

    quote(step + op + 1, n, quoted);
    snprintf(attrs, sizeof attrs, "name=step%d op=%.*s attrs=%s", number, (int)op, step, quoted);
    while (*at && n_args < CASE_INPUTS) {
        char *end;

        args[n_args++] = values[strtol(at, &end, 10)];
        at = end;
    }
    return weft_apply_n(m, "org.test.Op", attrs, args, n_args);
}

weft_model *chain_model(weft_context *ctx, const chain *c)
{
    weft_tensor values[CASE_INPUTS + CHAIN_STEPS];
    weft_model *m = NULL;
    case_line line;
    char text[512], name[16];
    uint32_t n;

    snprintf(text, sizeof text, ": %s", c->inputs);
    if (case_parse(text, &line)) return NULL;
    if (weft_model_create(ctx, "chain", &m)) goto out;
    for (n = 0; n < line.n; n++) {
        snprintf(name, sizeof name, "x%u", (unsigned)n);
        values[n] = weft_input_spec(m, name, &line.spec[n]);
    }
    for (int i = 0; i < CHAIN_STEPS && c->steps[i]; i++, n++)
        values[n] = add_step(m, c->steps[i], i, values);
    weft_output(m, values[n - 1]);
    if (!weft_model_finish(m)) return m;
out:
    printf("%s: %s\n", c->steps[0], weft_error());
    weft_model_destroy(&m);
    return NULL;
}
