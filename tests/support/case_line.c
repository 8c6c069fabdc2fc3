/* See case_line.h. */
#include "case_line.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    weft_dtype dtype;
} dtypes[] = {
    { "f32", WEFT_F32 }, { "f64", WEFT_F64 },   { "i32", WEFT_I32 }, { "i64", WEFT_I64 },
    { "u8", WEFT_U8 },   { "bool", WEFT_BOOL }, { "none", 0 },
};

static const char *skip(const char *at)
{
    while (isspace((unsigned char)*at))
        at++;
    return at;
}

/* "f32 Bx3x5<7": reads one tensor, gives the place behind it, or NULL. */
static const char *parse_tensor(const char *at, weft_spec *spec, int64_t *below)
{
    size_t n = strcspn(at, " ,"), i = 0, rows = sizeof dtypes / sizeof *dtypes;

    while (i < rows && (strlen(dtypes[i].name) != n || strncmp(dtypes[i].name, at, n)))
        i++;
    if (i == rows) return NULL;
    spec->dtype = dtypes[i].dtype;
    at = skip(at + n);
    while (*at == 'B' || isdigit((unsigned char)*at)) {
        char *end = (char *)at;
        int64_t value = isdigit((unsigned char)*at) ? strtoll(at, &end, 10) : 1;

        if (spec->rank == WEFT_MAX_RANK) return NULL;
        spec->dim[spec->rank++] = *end == 'B' ? -value : value;
        at = end + (*end == 'B');
        if (*at != 'x') break;
        at++;
    }
    if (*at == '<') {
        char *end;

        *below = strtoll(at + 1, &end, 10);
        at = end;
    }
    return skip(at);
}

int case_parse(const char *text, case_line *line)
{
    const char *colon = strrchr(text, ':'), *at;
    size_t n;

    memset(line, 0, sizeof *line);
    if (!colon || (n = (size_t)(colon - text)) >= sizeof line->attrs) goto wrong;
    memcpy(line->attrs, text, n);
    for (at = skip(colon + 1); *at; at = skip(at + (*at == ','))) {
        if (line->n == CASE_INPUTS) goto wrong;
        at = parse_tensor(at, &line->spec[line->n], &line->below[line->n]);
        if (!at || (*at && *at != ',')) goto wrong;
        line->limited |= line->below[line->n++] > 0;
    }
    if (line->n) return 0;
wrong:
    printf("\"%s\" is no case line\n", text);
    return -1;
}

int64_t case_count(const weft_spec *spec, int64_t batch)
{
    int64_t n = 1;

    for (int32_t i = 0; i < spec->rank; i++)
        n *= spec->dim[i] < 0 ? -spec->dim[i] * batch : spec->dim[i];
    return n;
}

/* Knuth's 64-bit linear congruential generator. */
static uint32_t next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static void put(weft_array *a, uint64_t i, int64_t below, uint64_t *seed)
{
    int64_t whole = below ? (int64_t)next(seed) % below : (int64_t)(next(seed) % 19) - 9;

    switch (a->spec.dtype) {
    case WEFT_F32:
        ((float *)a->data)[i] = below ? (float)whole : (float)next(seed) / 536870912.0f - 2.0f;
        break;
    case WEFT_F64: ((double *)a->data)[i] = next(seed) / 536870912.0 - 2.0; break;
    case WEFT_I32: ((int32_t *)a->data)[i] = (int32_t)whole; break;
    case WEFT_I64: ((int64_t *)a->data)[i] = whole; break;
    case WEFT_U8:
        ((uint8_t *)a->data)[i] = (uint8_t)(below ? whole : (int64_t)(next(seed) % 256));
        break;
    default: ((uint8_t *)a->data)[i] = next(seed) & 1; break;
    }
}

weft_array *case_array(const weft_spec *spec, int64_t batch, int64_t below, uint64_t *seed)
{
    weft_spec known = *spec;
    weft_array *a = NULL;

    for (int32_t i = 0; i < known.rank; i++)
        if (known.dim[i] < 0) known.dim[i] *= -batch;
    if (weft_array_create(&known, &a)) printf("%s\n", weft_error());
    for (uint64_t i = 0; a && i < weft_array_count(a); i++)
        put(a, i, below, seed);
    return a;
}

static void take(void *user, const weft_check_line *line)
{
    case_tally *t = user;

    /* by design an error: such a result could not be empty */
    if (!t->batch && strstr(line->why, "does not depend on the batch")) {
        t->passed++;
        return;
    }
    t->passed += line->result == WEFT_CHECK_PASSED;
    t->unverified += line->result == WEFT_CHECK_UNVERIFIED;
    if (line->result == WEFT_CHECK_PASSED) return;
    t->failed += line->result == WEFT_CHECK_FAILED;
    printf("%s %s (%s) on %s, batch %" PRId64 ": ",
           line->result == WEFT_CHECK_FAILED ? "FAILED" : "unverified", line->op, line->variant,
           line->device, t->batch);
    if (*line->why)
        printf("%s", line->why);
    else
        printf("error %g, bound %g, element %" PRIu64 ": got %.9g, want %.9g", line->error,
               line->bound, line->index, line->got, line->want);
    printf("\n  again: one %s %" PRId64 " %s '%s'\n", t->device, t->batch, t->op, t->text);
}

void case_check(const case_run *run, case_tally *tally)
{
    weft_array *made[CASE_INPUTS] = { NULL }, **values = run->values;
    uint64_t seed = 7;
    unsigned before = tally->passed + tally->failed + tally->unverified;
    case_line line;

    tally->lines++;
    *tally = (case_tally){ tally->passed, tally->failed, tally->unverified, tally->lines,
                           run->device,   run->op,       run->text,         run->batch };
    if (case_parse(run->text, &line)) {
        tally->failed++;
        return;
    }
    if (line.limited && !values) {
        for (uint32_t i = 0; i < line.n; i++)
            if (line.spec[i].dtype)
                made[i] = case_array(&line.spec[i], run->batch, line.below[i], &seed);
        values = made;
    }
    weft_check_case one = { .op = run->op,
                            .attrs = line.attrs,
                            .inputs = line.spec,
                            .n_inputs = line.n,
                            .batch = run->batch,
                            .seed = seed,
                            .values = (const weft_array *const *)values };
    if (weft_check_op(run->ctx, run->device, &one, take, tally)) {
        printf("FAILED: %s\n  again: one %s %" PRId64 " %s '%s'\n", weft_error(), run->device,
               run->batch, run->op, run->text);
        tally->failed++;
    } else if (before == tally->passed + tally->failed + tally->unverified) {
        printf("FAILED: nothing was checked\n  again: one %s %" PRId64 " %s '%s'\n", run->device,
               run->batch, run->op, run->text);
        tally->failed++;
    }
    for (uint32_t i = 0; i < line.n; i++)
        weft_array_destroy(&made[i]);
}
